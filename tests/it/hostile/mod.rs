//! Senders that are broken, hostile or just large, against the real binary: each gets a clear answer, disturbs nobody
//! else, and takes no more memory than the limits allow.

mod bodies;
mod connections;
mod queries;
mod volume;

use serde_json::Value;

use crate::api::Answer;
use crate::support::daemon::{Daemon, Home, LISTEN};

/// Memory that one bad message may cost the daemon for good, in KiB: a few bodies of 16 MiB.
const GROWTH_KIB: u64 = 96 * 1024;

/// A daemon with one guarded source `am`, and what is configured besides, under attack.
struct Target {
    daemon: Daemon,
    peak_kib: u64,
    _home: Home,
}

impl Target {
    async fn start(server: &str) -> Self {
        let source = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\ntoken = \"good-token\"\n";
        let home = Home::new(&format!("{LISTEN}{server}\n{source}"));
        let daemon = home.start().await.with_token("good-token");
        daemon.alert("Honest", "firing").await;
        let peak_kib = daemon.process.peak_kib();
        Self {
            daemon,
            peak_kib,
            _home: home,
        }
    }

    /// An honest message still gets its answer, and memory has not run away.
    async fn is_fine(&self) {
        self.daemon.alert("Honest", "firing").await;
        let grown = self.daemon.process.peak_kib().saturating_sub(self.peak_kib);
        println!("{grown} KiB more at the peak");
        assert!(grown < GROWTH_KIB, "{grown} KiB more at the peak");
    }

    /// Sends a body that must be refused with these words, and asserts that all is well.
    async fn refuses(&self, body: impl Into<reqwest::Body>, status: u16, kind: &str, words: &str) {
        let answer = self.daemon.ingest(body).await;
        says(&answer, status, kind, words);
        self.is_fine().await;
    }

    /// Sends a body that must be taken, and asserts that all is well.
    async fn takes(&self, body: impl Into<reqwest::Body>) -> Value {
        let answer = self.daemon.ingest(body).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
        self.is_fine().await;
        answer.json()
    }
}

/// The problem says what is wrong in these words.
fn says(answer: &Answer, status: u16, kind: &str, words: &str) {
    let problem = answer.problem(status, kind);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(words), "no {words:?} in {detail:?}");
}
