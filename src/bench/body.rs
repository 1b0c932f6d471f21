//! The JSON of a request, made by copying pieces into a buffer that is used again.
//!
//! The shapes are those of the Alertmanager, the webhook payload version 4 and the array of `POST /api/v2/alerts`, and
//! of Alerta's `POST /alert` (<https://docs.alerta.io/api/reference.html>).
//! Texts and sizes are like real ones: 8 labels, 3 annotations, a URL with the escapes of Go's encoder.
//!
//! Must not use a JSON serialiser: the generator shares the machine with the server, and at 100 alerts per request
//! it may take a few hundredths of a core. All texts are our own, so nothing has to be escaped.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::alerts::{Moment, Population, Subject};
use super::args::Target;
use super::numbers::Digits;
use super::plan::Slice;

const DAY_S: u64 = 86_400;
/// The most fingerprints kept; 64 MB.
const FINGERPRINTS_MAX: u64 = 4_000_000;
/// Go's zero time: "not ended".
const NEVER: &[u8] = b"0001-01-01T00:00:00Z";
/// The end that the API wants for a firing alert; so late that no run sees it.
const FAR_FUTURE: &[u8] = b"2099-01-01T00:00:00.000Z";

/// Makes request bodies; one per connection, since it keeps a small cache.
#[derive(Debug, Clone)]
pub(super) struct Renderer {
    target: Target,
    population: Population,
    is_churning: bool,
    /// The fingerprints of the first alerts; computing one takes as long as all the rest of its text.
    fingerprints: Arc<[[u8; 16]]>,
    /// The last day written, and its text up to and with the `T`.
    day: (u64, String),
}

impl Renderer {
    /// Makes bodies for `target`; with `is_churning` every pass changes every text.
    pub(super) fn new(target: Target, population: Population, is_churning: bool) -> Self {
        Self {
            target,
            population,
            is_churning,
            fingerprints: Arc::default(),
            day: (0, "1970-01-01T".to_owned()),
        }
    }

    /// Whether every pass sends the same bytes.
    pub(super) fn is_pass_invariant(&self) -> bool {
        !self.is_churning && !self.population.has_resolves()
    }

    /// Computes the fingerprints of the first `active` alerts, within a bound, if bodies carry them.
    pub(super) fn keep_fingerprints(&mut self, active: u64) {
        if self.target == Target::Watchbell {
            let numbers = 0..active.min(FINGERPRINTS_MAX);
            let print = |n| self.population.subject(n).fingerprint_hex();
            self.fingerprints = numbers.map(print).collect();
        }
    }

    /// Appends the body for `slice` to `out`.
    pub(super) fn render(&mut self, slice: Slice, out: &mut BytesMut) {
        let population = self.population.clone();
        match self.target {
            Target::Watchbell => self.render_webhook(&population, slice, out),
            Target::Alertmanager => self.render_api(&population, slice, out),
            Target::Alerta => self.render_alerta(&population, slice, out),
        }
    }

    fn render_webhook(&mut self, population: &Population, slice: Slice, out: &mut BytesMut) {
        let numbers = slice.first..slice.first + slice.count;
        let is_firing = numbers
            .clone()
            .any(|n| !population.moment(n, slice.pass).is_resolved);
        out.put_slice(br#"{"receiver":"bridge","status":""#);
        out.put_slice(status(!is_firing));
        out.put_slice(br#"","alerts":["#);
        for n in numbers {
            if n > slice.first {
                out.put_u8(b',');
            }
            let (subject, moment) = (population.subject(n), population.moment(n, slice.pass));
            out.put_slice(br#"{"status":""#);
            out.put_slice(status(moment.is_resolved));
            out.put_slice(br#"","#);
            self.put_texts(&subject, self.sample(slice.pass), out);
            self.put_time(moment.starts_s, b"Z", out);
            out.put_slice(br#"","endsAt":""#);
            self.put_end(moment, out);
            put_url(&subject, out);
            out.put_slice(br#","fingerprint":""#);
            match usize::try_from(n)
                .ok()
                .and_then(|n| self.fingerprints.get(n))
            {
                Some(print) => out.put_slice(print),
                None => out.put_slice(&subject.fingerprint_hex()),
            }
            out.put_slice(br#""}"#);
        }
        out.put_slice(br#"],"groupLabels":{"job":"node"},"commonLabels":{"job":"node","run":""#);
        out.put_slice(population.run().as_bytes());
        out.put_slice(
            br#""},"commonAnnotations":{},"externalURL":"http://alertmanager-0.example.net:9093","version":"4","groupKey":"{}:{job=\"node\"}","truncatedAlerts":0}"#,
        );
        out.put_u8(b'\n');
    }

    fn render_api(&mut self, population: &Population, slice: Slice, out: &mut BytesMut) {
        out.put_u8(b'[');
        for n in slice.first..slice.first + slice.count {
            if n > slice.first {
                out.put_u8(b',');
            }
            let (subject, moment) = (population.subject(n), population.moment(n, slice.pass));
            out.put_u8(b'{');
            self.put_texts(&subject, self.sample(slice.pass), out);
            self.put_time(moment.starts_s, b".000Z", out);
            out.put_slice(br#"","endsAt":""#);
            if moment.is_resolved {
                self.put_time(moment.ends_s, b".000Z", out);
            } else {
                out.put_slice(FAR_FUTURE);
            }
            put_url(&subject, out);
            out.put_u8(b'}');
        }
        out.put_u8(b']');
    }

    /// One alert; its identity there is environment, resource and event, and a resolve is a severity.
    fn render_alerta(&self, population: &Population, slice: Slice, out: &mut BytesMut) {
        let (subject, moment) = (
            population.subject(slice.first),
            population.moment(slice.first, slice.pass),
        );
        out.put_slice(br#"{"environment":"Production","service":["node"],"resource":"node-"#);
        out.put_slice(subject.host());
        out.put_slice(b":9100/");
        out.put_slice(subject.number());
        out.put_slice(br#"","event":""#);
        put_name(&subject, out);
        out.put_slice(br#"","severity":""#);
        out.put_slice(match (moment.is_resolved, subject.severity()) {
            (true, _) => b"normal",
            (false, "info") => b"informational",
            (false, severity) => severity.as_bytes(),
        });
        out.put_slice(br#"","text":""#);
        put_name(&subject, out);
        out.put_slice(b" on node-");
        out.put_slice(subject.host());
        out.put_slice(b": over limit for 10 min, sample ");
        out.put_slice(Digits::padded(self.sample(slice.pass), 8).as_bytes());
        out.put_slice(br#".","tags":["run="#);
        out.put_slice(population.run().as_bytes());
        out.put_slice(br#""]}"#);
    }

    /// Labels, annotations and the beginning of `startsAt`.
    fn put_texts(&self, subject: &Subject<'_>, sample: u64, out: &mut BytesMut) {
        out.put_slice(br#""labels":"#);
        for label in subject.labels() {
            out.put_slice(label.json.as_bytes());
            for piece in label.value {
                if !piece.is_empty() {
                    out.put_slice(piece);
                }
            }
        }
        out.put_slice(br#""},"annotations":{"description":"Host node-"#);
        out.put_slice(subject.host());
        out.put_slice(b": over limit for 10 min, sample ");
        out.put_slice(Digits::padded(sample, 8).as_bytes());
        out.put_slice(br#".","runbook_url":"https://runbooks.example.net/node/"#);
        put_name(subject, out);
        out.put_slice(br#"","summary":""#);
        put_name(subject, out);
        out.put_slice(b" on node-");
        out.put_slice(subject.host());
        out.put_slice(br#""},"startsAt":""#);
    }

    fn put_end(&mut self, moment: Moment, out: &mut BytesMut) {
        if moment.is_resolved {
            self.put_time(moment.ends_s, b"Z", out);
        } else {
            out.put_slice(NEVER);
        }
    }

    /// RFC 3339 in UTC; `zone` is what follows the seconds.
    fn put_time(&mut self, at_s: u64, zone: &[u8], out: &mut BytesMut) {
        let day = at_s / DAY_S;
        if self.day.0 != day {
            let midnight = i64::try_from(day * DAY_S).unwrap_or(i64::MAX);
            let midnight = jiff::Timestamp::from_second(midnight).unwrap_or(jiff::Timestamp::MAX);
            self.day = (day, format!("{}T", midnight.strftime("%Y-%m-%d")));
        }
        out.put_slice(self.day.1.as_bytes());
        out.put_slice(Digits::padded(at_s % DAY_S / 3600, 2).as_bytes());
        out.put_u8(b':');
        out.put_slice(Digits::padded(at_s % 3600 / 60, 2).as_bytes());
        out.put_u8(b':');
        out.put_slice(Digits::padded(at_s % 60, 2).as_bytes());
        out.put_slice(zone);
    }

    fn sample(&self, pass: u64) -> u64 {
        if self.is_churning { pass } else { 0 }
    }
}

fn put_name(subject: &Subject<'_>, out: &mut BytesMut) {
    for piece in subject.name() {
        out.put_slice(piece);
    }
}

fn put_url(subject: &Subject<'_>, out: &mut BytesMut) {
    out.put_slice(br#"","generatorURL":"http://prometheus.example.net:9090/graph?g0.expr=node%3A"#);
    put_name(subject, out);
    out.put_slice(br#"%3Arate5m\u0026g0.tab=1""#);
}

fn status(is_resolved: bool) -> &'static [u8] {
    if is_resolved { b"resolved" } else { b"firing" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::alerts::{fingerprint, label_fingerprint};
    use serde_json::Value;
    use std::time::Duration;

    const EPOCH_S: u64 = 1_767_225_600;

    fn body(target: Target, slice: Slice, percent: u64) -> BytesMut {
        let population = Population::new(9, EPOCH_S, Duration::from_millis(percent * 10));
        let mut out = BytesMut::new();
        Renderer::new(target, population, true).render(slice, &mut out);
        out
    }

    fn json(target: Target, count: u64, pass: u64) -> Value {
        serde_json::from_slice(&body(
            target,
            Slice {
                first: 500,
                count,
                pass,
            },
            30,
        ))
        .unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        for target in [Target::Watchbell, Target::Alertmanager] {
            let slice = Slice {
                first: 40,
                count: 60,
                pass: 7,
            };
            assert_eq!(body(target, slice, 30), body(target, slice, 30));
            assert_ne!(
                body(target, slice, 30),
                body(target, Slice { pass: 8, ..slice }, 30)
            );
        }
    }

    #[test]
    fn a_renderer_used_again_gives_the_same_bytes_as_a_fresh_one() {
        let slice = |pass| Slice {
            first: 40,
            count: 60,
            pass,
        };
        let population = Population::new(9, EPOCH_S, Duration::from_millis(300));
        let mut renderer = Renderer::new(Target::Watchbell, population, true);
        // Far passes start on later days, so the cached day has to go there and back.
        for pass in [0, 1_000_000, 0] {
            let mut out = BytesMut::new();
            renderer.render(slice(pass), &mut out);
            assert_eq!(out, body(Target::Watchbell, slice(pass), 30));
        }
    }

    #[test]
    fn webhook_bodies_have_the_shape_of_version_4() {
        let message = json(Target::Watchbell, 100, 3);
        assert_eq!(message["version"], "4");
        assert_eq!(message["groupKey"], r#"{}:{job="node"}"#);
        let alerts = message["alerts"].as_array().unwrap();
        assert_eq!(alerts.len(), 100);
        let mut resolved = 0;
        for (n, alert) in (500..).zip(alerts) {
            let labels: Vec<_> = alert["labels"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            assert_eq!(labels.len(), 8);
            assert_eq!(alert["labels"]["n"], n.to_string());
            assert_eq!(alert["fingerprint"], fingerprint(9, n));
            assert_eq!(
                alert["fingerprint"],
                format!("{:016x}", label_fingerprint(labels))
            );
            assert_eq!(alert["annotations"].as_object().unwrap().len(), 3);
            let start: jiff::Timestamp = alert["startsAt"].as_str().unwrap().parse().unwrap();
            let end: jiff::Timestamp = alert["endsAt"].as_str().unwrap().parse().unwrap();
            let is_resolved = alert["status"] == "resolved";
            assert_eq!(end > start, is_resolved, "{alert}");
            resolved += u32::from(is_resolved);
        }
        assert!((15..=45).contains(&resolved), "{resolved} of 100 at 30 %");
    }

    #[test]
    fn api_bodies_end_in_the_future_while_firing() {
        let message = json(Target::Alertmanager, 100, 3);
        let webhook = json(Target::Watchbell, 100, 3);
        for (alert, other) in message
            .as_array()
            .unwrap()
            .iter()
            .zip(webhook["alerts"].as_array().unwrap())
        {
            assert_eq!(alert["labels"], other["labels"]);
            assert_eq!(alert["annotations"], other["annotations"]);
            assert!(alert.get("fingerprint").is_none());
            let end: jiff::Timestamp = alert["endsAt"].as_str().unwrap().parse().unwrap();
            assert_eq!(
                end.to_string().starts_with("2099"),
                other["status"] == "firing"
            );
        }
    }

    #[test]
    fn bodies_for_alerta_say_who_what_and_how_bad() {
        let severities: std::collections::BTreeSet<String> = (0..100)
            .map(|first| {
                let slice = Slice {
                    first,
                    count: 1,
                    pass: 3,
                };
                let alert: Value =
                    serde_json::from_slice(&body(Target::Alerta, slice, 30)).unwrap();
                let resource = alert["resource"].as_str().unwrap();
                assert!(resource.ends_with(&format!("/{first}")), "{alert}");
                assert!(alert["event"].is_string() && alert["text"].is_string());
                alert["severity"].as_str().unwrap().to_owned()
            })
            .collect();
        let expected = ["critical", "informational", "normal", "warning"];
        assert!(severities.iter().eq(expected), "{severities:?}");
    }

    #[test]
    fn sizes_are_those_of_the_reference_measurement() {
        let size = |target, count| {
            body(
                target,
                Slice {
                    first: 50_000,
                    count,
                    pass: 0,
                },
                0,
            )
            .len()
        };
        assert!((850..=900).contains(&size(Target::Watchbell, 1)));
        assert!((60_000..=63_000).contains(&size(Target::Watchbell, 100)));
        assert!((480..=580).contains(&size(Target::Alertmanager, 1)));
        assert!((51_000..=57_000).contains(&size(Target::Alertmanager, 100)));
    }
}
