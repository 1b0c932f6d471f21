//! A real daemon around the edges of silences, windows and calendars: nothing is missed and nothing told twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::daemon::{config, heard, settled};
use super::hook::Hook;
use crate::support::daemon::{Daemon, Home};
use crate::support::fake::{Asked, Fake, Told};
use crate::support::process::eventually;

async fn held(daemon: &Daemon, number: &str) {
    eventually("the incident is held", async || {
        let incidents = daemon.list("/api/v1/incidents").await;
        let incident = incidents.iter().find(|it| it["number"] == number)?;
        let by = incident["suppressed_by"].as_array().unwrap();
        (!by.is_empty()).then_some(())
    })
    .await;
}

async fn kill(daemon: Daemon) {
    let mut process = daemon.process;
    process.signal(Signal::KILL);
    process.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_that_pass_while_nobody_runs_are_told_once() {
    let hook = Hook::start([]).await;
    let home = Home::new(&config(&hook, ""));
    let daemon = home.start().await;
    let wanted = |name: &str| {
        let matcher = format!("alertname={name}");
        json!({"matchers": [matcher], "duration_s": 3, "reason": "disks are swapped"})
    };
    let window = daemon.post("/api/v1/maintenance", &wanted("A")).await;
    assert_eq!(window.status.as_u16(), 201, "{}", window.text);
    let silence = daemon.post("/api/v1/silences", &wanted("B")).await;
    assert_eq!(silence.status.as_u16(), 201, "{}", silence.text);
    let ends_at = silence.json()["ends_at"].as_str().unwrap().to_owned();
    daemon.alert("A", "firing").await;
    daemon.alert("B", "firing").await;
    for number in ["INC-1", "INC-2"] {
        held(&daemon, number).await;
    }
    kill(daemon).await;
    eventually("both ends pass while nobody runs", async || {
        let now = watchbell::runtime::clock::Clock::system().now();
        let now = watchbell::api::time::Time(now).to_string();
        (now > ends_at).then_some(())
    })
    .await;
    let daemon = home.start().await;
    heard(&hook, 2).await;
    // A kill between an answer and its mark would rightly be followed by a repeat.
    settled(&daemon, 2).await;
    kill(daemon).await;
    let daemon = home.start().await;
    daemon.alert("C", "firing").await;
    let mut lines = heard(&hook, 3).await;
    lines.sort();
    let opened = |number: usize| format!("incident.opened INC-{number} new");
    assert_eq!(lines, [opened(1), opened(2), opened(3)], "each once");
    daemon.stop().await;
}

const EVENT: &str = "BEGIN:VEVENT\r\nUID:1@x\r\nSUMMARY:Firmware\r\nDTSTART:20200101T000000Z\r\n\
    DTEND:20990101T000000Z\r\nEND:VEVENT\r\n";

fn calendar(events: &str) -> Told {
    let text =
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x\r\n{events}END:VCALENDAR\r\n");
    Told::status(200, &text)
}

async fn feed(daemon: &Daemon, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let feeds = daemon.list("/api/v1/maintenance/feeds").await;
        feeds.first().filter(|feed| is(feed)).cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_behind_an_address_makes_windows_and_what_it_said_last_stays() {
    let turn = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&turn);
    let server = Fake::start(move |_: &Asked| match at.load(Ordering::SeqCst) {
        0 => calendar(EVENT),
        1 => Told::status(503, "busy"),
        2 => Told::status(200, "<html>please log in</html>"),
        _ => calendar(""),
    })
    .await;
    let hook = Hook::start([]).await;
    let url = format!("{}/plant.ics?key=s3cret", server.url());
    let section = format!(
        "[[maintenance]]\nname = \"plant\"\nmatchers = [\"alertname=A\"]\n\
         calendar = {{ url = \"{url}\", every = \"1s\", allow_private = true }}\n"
    );
    let home = Home::new(&config(&hook, &section));
    let daemon = home.start().await;
    let read = feed(&daemon, "the calendar is read", |it| it["events"] == 1).await;
    assert!(!read.to_string().contains("s3cret"), "{read}");
    daemon.alert("A", "firing").await;
    held(&daemon, "INC-1").await;
    for (turned, words) in [(1, "503"), (2, "not an iCalendar file")] {
        turn.store(turned, Ordering::SeqCst);
        let says = |it: &Value| {
            it["last_error"]
                .as_str()
                .is_some_and(|it| it.contains(words))
        };
        feed(&daemon, words, says).await;
    }
    kill(daemon).await;
    let daemon = home.start().await;
    feed(&daemon, "the copy is used", |it| it["copy"] == true).await;
    held(&daemon, "INC-1").await;
    turn.store(3, Ordering::SeqCst);
    assert_eq!(heard(&hook, 1).await, ["incident.opened INC-1 new"]);
    daemon.stop().await;
}
