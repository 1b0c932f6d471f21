//! Time per alert of decoding mapped messages: parsing, mapping and building of the observation together.

use std::hint::black_box;

use watchbell::config::presets::{Preset, builtin, names};
use watchbell::core::time::Timestamp;
use watchbell::sources::{Message, Source};

const ROUNDS: usize = 20;
const AT: Timestamp = Timestamp::from_millis(1_767_225_700_000);

/// Grafana's example with its one alert many times.
fn grafana_of(preset: &Preset, alert_count: usize) -> Option<String> {
    let (head, rest) = preset.example().split_once("\"alerts\":[")?;
    let alert = rest.trim_end().strip_suffix("]}")?;
    let alerts = vec![alert; alert_count].join(",");
    Some(format!("{head}\"alerts\":[{alerts}]}}"))
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch for people"
)]
fn measure(name: &str, source: &dyn Source, content_type: Option<&str>, body: &str) {
    let message = Message {
        content_type,
        ..Message::new("bench", body.as_bytes(), AT)
    };
    let alert_count = source
        .decode(&message)
        .map_or(0, |decoded| decoded.observations.len());
    let round_count = 20_000 / alert_count.max(1) + 1;
    // The best of several rounds is the one that the neighbours disturbed least.
    let best = (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            for _ in 0..round_count {
                black_box(source.decode(black_box(&message))).ok();
            }
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    let alerts = u32::try_from(round_count * alert_count).unwrap_or(u32::MAX);
    println!(
        "{name:<24} {alert_count:>4} alerts per body of {:>6} bytes: {:?} per alert",
        body.len(),
        best / alerts.max(1)
    );
}

fn main() {
    for name in names() {
        let Ok(Some(preset)) = builtin(name) else {
            continue;
        };
        let Some(source) = preset.decoder() else {
            continue;
        };
        let label = preset.content_type.as_deref();
        measure(name, source.as_ref(), label, preset.example());
        if name == "grafana"
            && let Some(body) = grafana_of(&preset, 100)
        {
            measure(name, source.as_ref(), label, &body);
        }
    }
}
