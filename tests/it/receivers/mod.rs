//! Receivers that speak other services' APIs, on the real daemon. Must not look inside it.

mod alertmanager;
mod generic;
mod opsgenie;
mod pagerduty;
mod rig;
mod status;
