//! What shall happen: values in, one decision out.
//!
//! Read in this order: [`input`] (everything that can happen), [`decide`] (the front door), [`decision`] (the
//! answer), [`reason`] (why), then the nouns. A caller decides, applies, and only then decides again:
//! `let decision = decide(world, &input, now, &mut ids); state.apply(&decision);`.
//!
//! Must not know tokio, SQL, HTTP, logs, clocks, randomness, the environment or files; must not fail, since it has
//! no I/O. The same arguments give the same decision, byte for byte: nothing depends on hash order, every number is
//! an integer, and time and ids come in as values.

pub mod alert;
pub mod alert_facts;
mod announce;
mod answers;
pub mod audit;
pub mod bind;
pub mod calendar;
pub mod cmdb;
mod command;
pub mod condition;
pub mod correlate;
mod counts;
mod deadline;
mod deadlines;
pub mod decide;
pub mod decision;
mod draft;
mod due;
mod ease;
mod episode;
pub mod escalate;
pub mod expr;
pub mod fingerprint;
pub mod flap;
pub mod fold;
pub mod heartbeat;
pub mod identity;
pub mod ids;
pub mod impact;
pub mod incident;
pub mod input;
pub mod limits;
mod members;
pub mod mute;
pub mod observation;
pub mod oncall;
pub mod outcome;
pub mod pages;
pub mod past;
pub mod practice;
pub mod priority;
pub mod reason;
mod rebind;
pub mod reconcile;
pub mod records;
pub mod recurrence;
pub mod review;
pub mod rules;
pub mod severity;
pub mod silence;
pub mod sla;
pub mod state;
pub mod tell;
pub mod ticket;
pub mod time;
pub mod variant;
