//! Correlation: which alerts belong to one incident, and what caused it.
//!
//! Not clustering: every active condition asks which upstream condition best explains it and points at that one.
//! An incident is a tree of such pointers, its root cause the tree's root, the reasons are the edges. Read
//! [`cause`] for what comes out.
//!
//! Must not scan the graph or all alerts for one alert; every walk has a bound. Without a CMDB nothing here happens.

pub mod cause;
