//! The real daemon killed at every step between an alert and the mark that it was told: one page, and at most one
//! repeat that says so.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::daemon::{config_for, heard, outbox, settled};
use super::hook::{Hook, Manner};
use crate::support::daemon::{Daemon, Home};
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines!(a_kill_at_any_step_from_alert_to_mark_pages_once);

/// Where it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// That people are told is not decided.
    BeforeIntent,
    /// A message is due, and nothing has gone out.
    BeforeSend,
    /// It went out, and its answer was not heard.
    Sent,
    /// It is written down.
    Marked,
}

/// Waits until the daemon is at that step.
async fn reach(step: Step, daemon: &Daemon, hook: Option<&Hook>) {
    match step {
        Step::BeforeIntent => {
            daemon.incident("an incident", |_| true).await;
            assert!(outbox(daemon, "").await.is_empty());
        }
        Step::BeforeSend => {
            eventually("a try that failed", async || {
                let items = outbox(daemon, "state=pending").await;
                items.iter().any(|item| item["attempts"] == 1).then_some(())
            })
            .await;
        }
        Step::Sent => drop(heard(hook.unwrap(), 1).await),
        Step::Marked => drop(settled(daemon, 1).await),
    }
}

async fn a_kill_at_any_step_from_alert_to_mark_pages_once(store: TestStore) {
    let steps = [
        Step::BeforeIntent,
        Step::BeforeSend,
        Step::Sent,
        Step::Marked,
    ];
    for step in steps {
        let store = TestStore::make(store.engine).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = config_for(&format!("http://{address}/hook"), "");
        config.push_str(&format!("[store]\nurl = \"{}\"\n", store.url));
        if step == Step::BeforeIntent {
            config = config.replacen("P2 = \"0s\"", "P2 = \"2s\"", 1);
        }
        let gate = Arc::new(Notify::new());
        let mut hook = None;
        if step == Step::BeforeSend {
            drop(listener);
        } else {
            let held = (step == Step::Sent).then(|| Manner::Held(Arc::clone(&gate)));
            hook = Some(Hook::start_on(listener, held));
        }
        let home = Home::new(&config);
        let mut daemon = home.start().await;
        daemon.alert("A", "firing").await;
        reach(step, &daemon, hook.as_ref()).await;
        daemon.process.signal(Signal::KILL);
        daemon.process.ended().await;
        gate.notify_one();

        let hook = match hook {
            Some(hook) => hook,
            None => Hook::start_on(TcpListener::bind(address).await.unwrap(), []),
        };
        let daemon = home.start().await;
        let repeats = usize::from(step == Step::Sent);
        heard(&hook, 1 + repeats).await;
        daemon.alert("A", "resolved").await;
        heard(&hook, 2 + repeats).await;
        settled(&daemon, 2).await;
        let all = hook.heard();
        let lines: Vec<_> = all
            .iter()
            .filter(|one| !one.headers.contains_key("webhook-repeat"))
            .map(super::hook::Heard::line)
            .collect();
        let told = [
            "incident.opened INC-1 new",
            "incident.resolved INC-1 resolved",
        ];
        assert_eq!(lines, told, "{step:?}");
        assert_eq!(all.len(), 2 + repeats, "{step:?}");
        if repeats == 1 {
            assert_eq!(all[0].id(), all[1].id(), "who keeps ids drops it");
        }
        daemon.stop().await;
    }
}
