//! A queue from before a long stop: every message is looked at again before it goes out, so nobody is paged for what is
//! taken or over.

use watchbell::core::input::Command;
use watchbell::core::rules::Rules;
use watchbell::core::tell::TellRules;
use watchbell::core::tell::event::EventSet;
use watchbell::core::time::Span;
use watchbell::store::outbox::work::{Mark, OutboxStep, Standing};

use super::daemon::{config, heard, settled};
use super::hook::Hook;
use crate::store::decisions::commit;
use crate::support::claim::resolved;
use crate::support::daemon::Home;
use crate::support::database::{TestStore, on_both_engines};
use crate::support::rig::{Rig, TestClock};
use crate::support::world::Bench;

on_both_engines!(only_what_still_holds_is_told_after_a_long_stop);

/// Four incidents, told of in one queue: one nobody has taken, one taken, one over, and one over whose opening arrived.
async fn left_behind(store: &TestStore) {
    let db = store.open().await;
    let rig = Rig::start(&db, &TestClock::new()).await;
    let mut bench = Bench::with(Rules {
        tell: TellRules {
            targets: [("hook".into(), EventSet::default())].into(),
            routes: Vec::new(),
        },
        ..Rules::default()
    });
    for name in ["open", "taken", "over", "told"] {
        bench.after(Span::from_mins(1)).firing(name, "00:00");
    }
    bench.after(Span::from_mins(2));
    bench.command(2, Command::Acknowledge { until: None });
    for name in ["over", "told"] {
        let end = bench.now;
        bench.hear(resolved(name).end_at(Some(end)));
    }
    bench.after(Span::from_mins(30));
    commit(&rig.handle, &mut bench, 3).await;
    // The fourth opening arrived; nothing else went out.
    let sent = Mark {
        id: 4,
        standing: Standing::Sent,
        may_have_arrived: false,
        attempts: 1,
        due_at: bench.now,
        tried_at: Some(bench.now),
        ended_at: Some(bench.now),
        status: Some(204),
        reason: None,
        error: None,
    };
    let step = OutboxStep {
        marks: vec![sent],
        ..OutboxStep::default()
    };
    rig.handle.outbox(step).await.unwrap();
    rig.end().await;
    db.close().await;
}

async fn only_what_still_holds_is_told_after_a_long_stop(store: TestStore) {
    left_behind(&store).await;
    let hook = Hook::start([]).await;
    let more = format!("[store]\nurl = \"{}\"\n", store.url);
    let home = Home::new(&(config(&hook, "") + &more));
    let daemon = home.start().await;
    // The queue is months old by now.
    let told = settled(&daemon, 6).await;
    assert_eq!(
        told,
        [
            "incident.opened sent -",
            "incident.opened skipped acknowledged_meanwhile",
            "incident.opened skipped resolved_meanwhile",
            "incident.opened sent -",
            "incident.resolved skipped never_told_open",
            "incident.resolved sent -",
        ]
    );
    // In which state the fourth is by then depends on how long ago that was.
    let lines = heard(&hook, 2).await;
    let mut lines: Vec<_> = lines
        .iter()
        .filter_map(|line| line.rsplit_once(' ').map(|(told, _)| told))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["incident.opened INC-1", "incident.resolved INC-4"]);
    daemon.stop().await;
}
