//! What tests share. Must not decide anything that the product decides.

pub(crate) mod claim;
pub(crate) mod daemon;
pub(crate) mod golden;
pub(crate) mod http;
pub(crate) mod invariants;
pub(crate) mod ledger;
pub(crate) mod tools;
pub(crate) mod tree;
pub(crate) mod world;
