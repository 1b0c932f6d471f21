//! What tests share. Must not decide anything that the product decides.

pub(crate) mod claim;
pub(crate) mod daemon;
pub(crate) mod database;
pub(crate) mod estate;
pub(crate) mod fake;
pub(crate) mod golden;
pub(crate) mod http;
pub(crate) mod invariants;
pub(crate) mod ledger;
pub(crate) mod pg_proxy;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod rig;
pub(crate) mod tools;
pub(crate) mod tree;
pub(crate) mod world;

use std::time::Duration;

use tokio::time::Instant;

/// Waits for something that another process does; fails when it takes too long.
pub(crate) fn wait_until(what: &str, at_most: Duration, mut is_done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < at_most, "waited {at_most:?} for {what}");
        #[expect(
            clippy::disallowed_methods,
            reason = "another process cannot wake us up"
        )]
        std::thread::sleep(Duration::from_millis(5));
    }
}
