//! Every preset with its own examples and every fixture of it, and what no input may do to any of them.

use std::fs::read_to_string;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};
use serde_json::{Value, json};
use watchbell::config::presets::{Preset, builtin, names};
use watchbell::core::observation::Claim;
use watchbell::sources::{DecodeError, Decoded, Envelope, Message, Source};

use crate::sources::{RECEIVED_AT, decoded, fixtures, snapshot};

fn preset(name: &str) -> Preset {
    match builtin(name) {
        Ok(Some(preset)) => preset,
        Ok(None) => panic!("there is no preset {name}"),
        Err(errors) => panic!("{errors}"),
    }
}

#[derive(Clone)]
/// A request as a fixture holds it: a bare body, with its head in a file that ends in `.http`, or below its topic in one
/// that ends in `.mqtt`.
struct Request {
    content_type: Option<String>,
    envelope: Envelope,
    body: Vec<u8>,
}

impl Request {
    fn read(path: &Path) -> Self {
        let text = read_to_string(path).unwrap();
        if path
            .extension()
            .is_some_and(|extension| extension == "mqtt")
        {
            let (topic, body) = text.split_once('\n').unwrap();
            let envelope = Envelope::of_publish(topic, Vec::new());
            return Self {
                envelope,
                ..Self::bare(body.trim_end())
            };
        }
        if path.extension().is_none_or(|extension| extension != "http") {
            return Self::bare(&text);
        }
        let (head, body) = text.split_once("\n\n").unwrap();
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let headers: Vec<(&str, &str)> = headers
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let label = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let pairs = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        Self {
            content_type: label.map(|(_, label)| (*label).to_owned()),
            envelope: Envelope::of_request(pairs, line.split_once('?').map(|(_, query)| query)),
            body: body.as_bytes().to_vec(),
        }
    }

    fn bare(body: &str) -> Self {
        Self {
            content_type: None,
            envelope: Envelope::EMPTY,
            body: body.as_bytes().to_vec(),
        }
    }

    fn message(&self) -> Message<'_> {
        Message {
            content_type: self.content_type.as_deref(),
            envelope: &self.envelope,
            ..Message::new("src", &self.body, RECEIVED_AT)
        }
    }
}

fn decode(source: &dyn Source, preset: &Preset, body: &str) -> Decoded {
    let mut request = Request::bare(body);
    request.content_type.clone_from(&preset.content_type);
    source
        .decode(&request.message())
        .unwrap_or_else(|error| panic!("{}: {error}\n{body}", preset.name))
}

#[test]
fn every_example_means_what_its_name_says() {
    for name in names() {
        let preset = preset(name);
        let source = preset.decoder().unwrap();
        let mut keys = Vec::new();
        for (shows, body) in &preset.examples {
            let got = decode(source.as_ref(), &preset, body);
            let claims: Vec<Claim> = got.observations.iter().map(|it| it.claim).collect();
            let counts = (got.reject_count, got.skip_count, got.test_count);
            let expected = match shows.as_str() {
                "firing" => (vec![Claim::Firing], (0, 0, 0)),
                "resolved" => (vec![Claim::Resolved], (0, 0, 0)),
                "test" => (vec![], (0, 0, 1)),
                "acknowledged" | "skipped" => (vec![], (0, 1, 0)),
                change if change.starts_with("change") => {
                    assert_eq!(got.changes.len(), 1, "{name} {shows}");
                    assert_eq!(got.notes, [], "{name} {shows}");
                    assert!(got.changes[0].state.is_some() && got.changes[0].cis.is_some());
                    (vec![], (0, 1, 0))
                }
                other => panic!("{name}: an example cannot be called {other}"),
            };
            assert_eq!(
                (claims, counts),
                expected,
                "{name} {shows}: {:?} {:?}",
                got.rejects,
                got.notes
            );
            if matches!(shows.as_str(), "firing" | "resolved") {
                assert_eq!(got.notes, [], "{name} {shows}");
                keys.extend(got.observations.iter().map(|it| it.key.clone()));
            }
        }
        assert_eq!(source.example(), preset.example());
        if preset.examples.iter().any(|(shows, _)| shows == "change") {
            assert_eq!(keys, [], "{name}: what sends changes sends no alerts");
            continue;
        }
        assert!(
            preset.examples.iter().any(|(shows, _)| shows == "firing"),
            "{name}"
        );
        keys.dedup();
        assert_eq!(
            keys.len(),
            1,
            "{name}: begin and end of an alert have one key"
        );
    }
    for (name, also) in [
        ("uptime-kuma", "Uptime_Kuma"),
        ("new-relic", "newrelic"),
        ("google-cloud-monitoring", "gcp"),
    ] {
        assert_eq!(preset(name), preset(also));
    }
}

#[test]
fn every_example_and_fixture_decodes_as_reviewed() {
    for name in names() {
        let preset = preset(name);
        let source = preset.decoder().unwrap();
        for (shows, body) in &preset.examples {
            let got = decode(source.as_ref(), &preset, body);
            snapshot(&format!("{name}__example_{shows}"), &shown(Ok(got)));
        }
        for path in fixtures(name) {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let request = Request::read(&path);
            let got = source.decode(&request.message());
            snapshot(&format!("{name}__{stem}"), &shown(got));
        }
    }
}

fn shown(got: Result<Decoded, DecodeError>) -> Value {
    match got {
        Err(error) => json!({"error": error.to_string()}),
        Ok(got) => {
            let mut value = decoded(&got);
            value["skipped"] = got.skip_count.into();
            value["tests"] = got.test_count.into();
            if !got.changes.is_empty() {
                value["changes"] = serde_json::to_value(&got.changes).unwrap();
            }
            if !got.acknowledged.is_empty() {
                let keys = got.acknowledged.iter().map(|key| key.text().as_str());
                value["acknowledged"] = keys.collect();
            }
            value
        }
    }
}

#[test]
fn what_is_tried_is_told_as_reviewed() {
    for (name, fixture) in [
        ("grafana", "mixed_group.json"),
        ("zabbix", "unfilled_macros.json"),
        ("splunk", "no_host.json"),
        ("cloudevents", "batch.json"),
    ] {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}/{fixture}"));
        let request = Request::read(&path);
        let source = preset(name).decoder().unwrap();
        let tried = source.explain(&request.message()).unwrap();
        let got = source.decode(&request.message()).unwrap();
        assert_eq!(tried.observed, got.observations.len());
        assert_eq!(
            tried.items.len(),
            got.observations.len() + got.reject_count + got.skip_count + got.test_count
        );
        snapshot(
            &format!("{name}__tried"),
            &serde_json::to_value(tried).unwrap(),
        );
    }
}

fn all() -> Vec<(Arc<dyn Source>, Request)> {
    let of = |name: &'static str| {
        let preset = preset(name);
        let source = preset.decoder().unwrap();
        let examples = preset.examples.iter().map(|(_, body)| Request::bare(body));
        let requests: Vec<Request> = fixtures(name)
            .iter()
            .map(|path| Request::read(path))
            .collect();
        let requests = examples.chain(requests).collect::<Vec<_>>();
        requests
            .into_iter()
            .map(move |request| (Arc::clone(&source), request))
    };
    names().flat_map(of).collect()
}

#[test]
fn json_cut_anywhere_never_makes_a_claim() {
    for (source, mut request) in all() {
        let whole = request.body.trim_ascii().to_vec();
        if !whole.starts_with(b"{") {
            continue;
        }
        // Without any body, a query or the headers of an event may be a message of their own.
        for end in 1..whole.len() {
            request.body = whole[..end].to_vec();
            let got = source.decode(&request.message());
            let is_quiet = got.is_err() || got.is_ok_and(|got| got.observations.is_empty());
            assert!(
                is_quiet,
                "{}: {}",
                source.kind(),
                String::from_utf8_lossy(&whole[..end])
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damage_never_panics_and_loses_nothing_uncounted(
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        label in prop::sample::select(vec!["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]),
    ) {
        let (source, mut request) = pick.get(&ALL).clone();
        if !request.body.is_empty() {
            let index = at.index(request.body.len());
            request.body[index] = byte;
        }
        if !label.is_empty() {
            request.content_type = Some(label.to_owned());
        }
        if let Ok(tried) = source.explain(&request.message()) {
            let got = source.decode(&request.message()).unwrap();
            let counted = got.observations.len() + got.reject_count + got.skip_count + got.test_count;
            prop_assert!(tried.items.len() <= counted);
        }
    }

    #[test]
    fn garbage_never_panics(
        body in prop::collection::vec(any::<u8>(), 0..200),
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "null", "1e9", "\"alerts\"", "\"a\"", "\"\\ud800\"", "\"incident\"", "\"data\"",
                "\"essentials\"", "\"status\"", "\"heartbeat\"", "{\"Type\":\"Notification\",\"TopicArn\":\"t\",\"Message\":", "5",
                "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data\":",
            ]),
            0..30,
        ),
    ) {
        for (source, _) in ALL.iter() {
            for body in [&body[..], words.concat().as_bytes()] {
                source.decode(&Message::new("s", body, RECEIVED_AT)).ok();
            }
        }
    }
}

static ALL: std::sync::LazyLock<Vec<(Arc<dyn Source>, Request)>> = std::sync::LazyLock::new(all);
