//! The real daemon killed at every step between an alert and its ticket: one ticket in the end, on both engines.

use rustix::process::Signal;
use tokio::net::TcpListener;

use super::daemon::{connector, in_sync, ticket};
use super::platforms::servicenow::ServiceNow;
use super::server::{Fault, Server};
use crate::support::daemon::{Daemon, Home};
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines!(a_kill_at_any_step_from_alert_to_mark_makes_one_ticket);

/// Where it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The alert is known, that a ticket is wanted is not decided.
    BeforeIntent,
    /// A ticket is wanted, and nothing has gone out.
    BeforeSend,
    /// It was asked for, and the platform did nothing.
    Sent,
    /// The platform made it, and its answer was not heard.
    Made,
    /// It is written down.
    Marked,
}

const STEPS: [Step; 5] = [
    Step::BeforeIntent,
    Step::BeforeSend,
    Step::Sent,
    Step::Made,
    Step::Marked,
];

/// Waits until the daemon is at that step.
async fn reach(step: Step, daemon: &Daemon, snow: Option<&Server<ServiceNow>>) {
    match step {
        Step::BeforeIntent => {
            let incident = daemon.incident("an incident", |_| true).await;
            assert!(incident["tickets"].as_array().unwrap().is_empty());
        }
        Step::BeforeSend => {
            ticket(daemon, "a ticket that waits", |ticket| {
                ticket["state"] == "pending" && ticket["error"].is_string()
            })
            .await;
        }
        Step::Sent | Step::Made => {
            eventually("a request hangs", async || {
                (snow.unwrap().hanging() >= 1).then_some(())
            })
            .await;
        }
        Step::Marked => drop(ticket(daemon, "a ticket", in_sync).await),
    }
}

async fn a_kill_at_any_step_from_alert_to_mark_makes_one_ticket(store: TestStore) {
    for step in STEPS {
        let store = TestStore::make(store.engine).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = connector(&format!("http://{address}"), "");
        config.push_str(&format!("[store]\nurl = \"{}\"\n", store.url));
        if step == Step::BeforeIntent {
            config = config.replacen("P2 = \"0s\"", "P2 = \"2s\"", 1);
        }
        // Nobody is there yet when nothing may go out.
        let mut snow = None;
        if step == Step::BeforeSend {
            drop(listener);
        } else {
            let server = Server::start_on(listener, ServiceNow::default());
            if matches!(step, Step::Sent | Step::Made) {
                let is_after = step == Step::Made;
                server.fault(Fault::Hang { is_after });
            }
            snow = Some(server);
        }
        let home = Home::new(&config);
        let mut daemon = home.start().await;
        daemon.alert("DiskFull", "firing").await;
        reach(step, &daemon, snow.as_ref()).await;
        daemon.process.signal(Signal::KILL);
        daemon.process.ended().await;

        let snow = match snow {
            Some(snow) => snow,
            None => {
                let listener = TcpListener::bind(address).await.unwrap();
                Server::start_on(listener, ServiceNow::default())
            }
        };
        let daemon = home.start().await;
        ticket(&daemon, "ticket", in_sync).await;
        daemon.alert("DiskFull", "resolved").await;
        eventually("its end there", async || {
            snow.inside(|snow| (snow.only()["state"] == "6").then_some(()))
        })
        .await;
        let made = snow.inside(|snow| snow.made);
        assert_eq!(made, 1, "{step:?}");
        daemon.stop().await;
    }
}
