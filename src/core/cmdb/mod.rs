//! The CMDB as the core knows it: configuration items, typed relations between them, and the graph they make.
//!
//! Read [`record`] (what importers say), [`ci`], [`relation`], then [`graph`]. The graph changes by differences only ([`graph::Difference`]), each of
//! which is one decision; so every input sees one consistent version. Must not parse any import format and must not
//! know which import said what: records of several imports are merged before they come here.

pub mod attributes;
pub mod ci;
pub mod gear;
pub mod graph;
pub mod index;
pub mod merge;
pub mod normal;
pub mod quality;
pub mod reconcile;
pub mod record;
pub mod relation;
