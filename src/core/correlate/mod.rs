//! Correlation: which alerts belong to one incident, and what caused it.
//!
//! Not clustering: every active condition asks which upstream condition best explains it and points at that one.
//! An incident is a tree of such pointers, its root cause the tree's root, the reasons are the edges. Late roots,
//! merges and splits are pointer moves. Read in this order: [`family`] (what an alert speaks of), [`node`] (one
//! condition), [`weight`] (all numbers), [`upstream`] (what a CI depends on), [`forest`] (what is kept), then the
//! deciding parts: `attach`, `link`, `silent`, `lateral`, `gap`, `company`, `habit`, `look`, `settle`, `assess`, `people`; [`cause`] comes out.
//!
//! Must not scan the graph or all alerts for one alert; every walk has a bound. Without a CMDB nothing here happens.

mod assess;
mod attach;
pub mod cause;
mod company;
pub mod family;
pub mod forest;
mod gap;
pub(crate) mod grove;
pub mod habit;
mod implied;
mod judge;
mod lateral;
mod link;
mod look;
pub mod node;
pub(crate) mod people;
mod reached;
pub mod rule;
mod ruled;
mod settle;
mod silent;
mod unseen;
pub mod upstream;
pub(crate) mod ways;
pub mod weight;
mod words;

use crate::core::correlate::forest::RecentChange;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::input::ChangeRecord;
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// Notes a change of a CI; one of an unknown CI is only logged.
pub(crate) fn record_change(world: World<'_>, record: &ChangeRecord, now: Timestamp) -> Decision {
    let mut decision = Decision::because(Reason::ChangeRecorded);
    if let Some(ci) = world.state.graph().find(&record.ci) {
        decision.change(Change::ChangeNoted {
            ci,
            change: RecentChange {
                at: now,
                id: record.id.clone(),
            },
            summary: record.summary.clone(),
        });
    }
    decision
}
