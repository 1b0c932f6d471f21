//! Time per alert of decoding an Alertmanager body of 1, 100 and 1000 alerts.

use std::fmt::Write as _;
use std::hint::black_box;

use watchbell::core::time::Timestamp;
use watchbell::sources::{Message, Source, alertmanager::Alertmanager};

/// A body of the usual shape: 8 labels, 3 annotations, about 616 bytes per alert.
fn body(alert_count: usize) -> String {
    let mut body = r#"{"receiver":"bridge","status":"firing","alerts":["#.to_owned();
    for n in 0..alert_count {
        let comma = if n == 0 { "" } else { "," };
        let written = write!(
            body,
            r#"{comma}{{"status":"firing","labels":{{"alertname":"NodeDiskAlmostFull","cluster":"eu-1","env":"production","instance":"node-{n:05}.example:9100","job":"node","mountpoint":"/var/lib","severity":"warning","team":"storage"}},"annotations":{{"description":"Disk /var/lib of node-{n:05} is over 91.5 % full for an hour","runbook_url":"https://runbooks.example/disk/almost-full","summary":"Disk of node-{n:05} is almost full"}},"startsAt":"2026-01-01T00:00:05.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example:9090/graph?g0.expr=disk_used_ratio\u003e0.9\u0026g0.tab=1","fingerprint":"{n:016x}"}}"#
        );
        debug_assert!(written.is_ok());
    }
    body.push_str(r#"],"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am","version":"4","groupKey":"{}:{}","truncatedAlerts":0}"#);
    body
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch for people"
)]
fn main() {
    for alert_count in [1_usize, 100, 1000] {
        let body = body(alert_count);
        let message = Message::new(
            "alertmanager",
            body.as_bytes(),
            Timestamp::from_millis(1_767_225_700_000),
        );
        let round_count = 20_000 / alert_count + 1;
        // The best of several rounds is the one that the neighbours disturbed least.
        let best = (0..20)
            .map(|_| {
                let start = std::time::Instant::now();
                for _ in 0..round_count {
                    black_box(Alertmanager.decode(black_box(&message))).ok();
                }
                start.elapsed()
            })
            .min()
            .unwrap_or_default();
        let alerts = u32::try_from(round_count * alert_count).unwrap_or(u32::MAX);
        println!(
            "{alert_count:>5} alerts per body of {:>7} bytes: {:?} per alert",
            body.len(),
            best / alerts
        );
    }
}
