//! Every source with every fixture of its own, and what no input may do to any of them.

use std::fs::{read, read_dir};
use std::path::{Path, PathBuf};

use insta::{Settings, assert_json_snapshot};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use watchbell::core::observation::Observation;
use watchbell::core::time::{Span, Timestamp};
use watchbell::sources::alertmanager::poll::{active_alerts, started_at};
use watchbell::sources::opsgenie;
use watchbell::sources::opsgenie_update::Known;
use watchbell::sources::pagerduty::{self, Call};
use watchbell::sources::{DecodeError, Decoded, Message, SOURCES, Source, find};

/// 2026-01-01T00:10:00Z.
pub(crate) const RECEIVED_AT: Timestamp = Timestamp::from_millis(1_767_226_200_000);

fn decode(source: &dyn Source, body: &[u8]) -> Result<Decoded, DecodeError> {
    source.decode(&Message::new(source.kind(), body, RECEIVED_AT))
}

pub(crate) fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder);
    let mut paths: Vec<PathBuf> = read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn fixture(name: &str) -> Vec<u8> {
    read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name),
    )
    .unwrap()
}

/// Puts the snapshot beside the code, named after the fixture.
pub(crate) fn snapshot(name: &str, value: &Value) {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_json_snapshot!(name, value));
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap();
        Value::from(instant.to_string())
    })
}

fn pairs(pairs: &[(SmolStr, SmolStr)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(value.as_str())))
        .collect::<Map<String, Value>>()
        .into()
}

fn observation(it: &Observation) -> Value {
    json!({
        "key": it.key.text().as_str(),
        "claim": it.claim,
        "severity": it.severity,
        "summary": it.text.summary.as_str(),
        "starts_at": time(it.starts_at),
        "ends_at": time(it.ends_at),
        "labels": pairs(&it.text.labels),
        "annotations": pairs(&it.text.annotations),
        "generator_url": it.text.generator_url.as_str(),
        "ci_hint": it.text.ci_hint.as_deref(),
        "is_cut": it.text.is_cut,
        "undelivered": it.undelivered,
    })
}

pub(crate) fn decoded(decoded: &Decoded) -> Value {
    let rejects = decoded.rejects.iter().map(|reject| {
        json!({"index": reject.index, "path": reject.path, "problem": reject.problem, "raw": reject.raw})
    });
    let notes = decoded
        .notes
        .iter()
        .map(|note| format!("{}: {}", note.path, note.problem));
    json!({
        "observations": decoded.observations.iter().map(observation).collect::<Vec<_>>(),
        "rejects": rejects.collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
    })
}

#[test]
fn every_fixture_of_every_source_decodes_as_reviewed() {
    for source in SOURCES {
        let paths = fixtures(source.kind());
        assert!(!paths.is_empty(), "{} has no fixtures", source.kind());
        for path in paths {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let got = decode(*source, &read(&path).unwrap()).unwrap();
            snapshot(&format!("{}__{stem}", source.kind()), &decoded(&got));
        }
    }
}

#[test]
fn every_example_decodes_without_a_flaw() {
    for source in SOURCES {
        let got = decode(*source, source.example().as_bytes()).unwrap();
        assert!(!got.observations.is_empty());
        assert_eq!((got.reject_count, got.note_count), (0, 0));
    }
}

#[test]
fn both_halves_of_a_pair_mean_the_same_alert() {
    let source = find("alertmanager").unwrap();
    let [a, b] = ["pair_a", "pair_b"].map(|name| {
        let body = fixture(&format!("alertmanager/{name}.json"));
        decode(source, &body).unwrap().observations.remove(0)
    });
    assert_eq!(a.key, b.key);
    assert_eq!(a.text_hash, b.text_hash);
    let apart = b.starts_at.unwrap().since(a.starts_at.unwrap());
    assert_eq!(apart, Span::from_millis(1));
}

#[test]
fn a_poll_reads_as_reviewed_and_makes_the_keys_of_the_webhook() {
    let alerts = active_alerts("alertmanager", &fixture("alertmanager_poll/alerts.json")).unwrap();
    let shown: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            json!({"key": alert.key.text().as_str(), "starts_at": time(alert.starts_at),
                "is_muted": alert.is_muted, "muted_by": alert.muted_by})
        })
        .collect();
    snapshot("alertmanager_poll__alerts", &Value::from(shown));
    let webhook = fixture("alertmanager/single_firing.json");
    let webhook = decode(find("alertmanager").unwrap(), &webhook).unwrap();
    assert_eq!(alerts[0].key, webhook.observations[0].key);
    let started_at = started_at(&fixture("alertmanager_poll/status.json")).unwrap();
    assert_eq!(RECEIVED_AT.since(started_at), Span::from_millis(719_750));
}

#[test]
fn events_are_stored_without_their_key_and_a_missing_dedup_key_is_the_new_one() {
    let body = br#"{"routing_key":"very secret","event_action":"trigger","dedup_key":"",
        "payload":{"summary":"s","source":"a","severity":"info","custom_details":{"routing_key":"kept"}}}"#;
    let got = pagerduty::receive(Call::Enqueue, body, "made").unwrap();
    assert_eq!(
        (got.routing_key.as_str(), got.dedup_key.as_str()),
        ("very secret", "made")
    );
    assert!(
        !String::from_utf8(got.stored.clone())
            .unwrap()
            .contains("very secret")
    );
    let decoded = decode(&pagerduty::PagerDuty, &got.stored).unwrap();
    let observation = &decoded.observations[0];
    assert_eq!(observation.key.text(), "pagerduty:v1:made");
    assert_eq!(observation.text.label("routing_key"), Some("kept"));
}

#[test]
fn events_that_the_service_refuses_are_refused_with_its_words() {
    let trigger = |payload: &str| {
        format!(r#"{{"event_action":"trigger","dedup_key":"k","payload":{payload}}}"#)
    };
    for (body, path, problem) in [
        ("{}".to_owned(), "event_action", "is missing or blank"),
        (
            r#"{"event_action":"page"}"#.to_owned(),
            "event_action",
            "is invalid (must be one of",
        ),
        (
            r#"{"event_action":"resolve"}"#.to_owned(),
            "dedup_key",
            "is missing or blank",
        ),
        (trigger("null"), "payload", "is missing or blank"),
        (trigger("[]"), "payload", "is a list, not an object"),
        (
            trigger(r#"{"severity":"info"}"#),
            "payload.summary",
            "is missing or blank",
        ),
        (
            trigger(r#"{"summary":"s","source":"a"}"#),
            "payload.severity",
            "is missing or blank",
        ),
        (
            trigger(r#"{"summary":"s","severity":"high"}"#),
            "payload.severity",
            "is invalid (must be one of",
        ),
    ] {
        let error = decode(&pagerduty::PagerDuty, body.as_bytes()).unwrap_err();
        let DecodeError::WrongShape {
            path: at,
            problem: told,
            ..
        } = error
        else {
            panic!("{body}: {error}");
        };
        assert!(
            at == path && told.starts_with(problem),
            "{body}: {at} {told}"
        );
    }
}

/// Feeds one body to everything that reads bodies; only its return counts.
fn feed(body: &[u8]) {
    for source in SOURCES {
        decode(*source, body).ok();
    }
    active_alerts("am", body).ok();
    started_at(body).ok();
    // What a receiver puts into a stored form can be decoded: it is refused before it is stored, or never.
    for call in [Call::Enqueue, Call::Change, Call::CreateEvent] {
        if let Ok(got) = pagerduty::receive(call, body, "new") {
            decode(&pagerduty::PagerDuty, &got.stored).ok();
            assert!(serde_json::from_slice::<Map<String, Value>>(&got.stored).is_ok());
        }
    }
    for call in opsgenie::Call::ALL {
        let target = opsgenie::Target::Alias("a".to_owned());
        let known = call.is_update().then(Known::default);
        if let Ok(stored) = opsgenie::store(call, &target, known.as_ref(), body) {
            assert_eq!(opsgenie::read("og", &stored).unwrap().call, call);
            decode(&opsgenie::Opsgenie, &stored).ok();
        }
    }
}

fn all_bodies() -> Vec<Vec<u8>> {
    let folders = SOURCES
        .iter()
        .map(|source| source.kind())
        .chain(["alertmanager_poll"]);
    folders
        .flat_map(fixtures)
        .map(|path| read(path).unwrap())
        .collect()
}

#[test]
fn a_body_cut_anywhere_is_an_error_and_never_a_smaller_message() {
    for source in SOURCES {
        for path in fixtures(source.kind()) {
            let body = read(&path).unwrap();
            let whole = body.trim_ascii_end();
            for end in 0..whole.len() {
                let got = decode(*source, &whole[..end]);
                assert!(got.is_err(), "{} cut at {end}", path.display());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        feed(&body);
    }

    #[test]
    fn json_like_garbage_never_panics(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "null", "1e9", "\"alerts\"", "\"labels\"", "\"a\"", "\"\\ud800\"",
                "\"status\"", "\"firing\"", "\"startsAt\"", "{\"alerts\":[{\"status\":\"firing\",\"labels\":{",
            ]),
            0..40,
        ),
    ) {
        feed(words.concat().as_bytes());
    }

    #[test]
    fn a_damaged_fixture_never_panics_and_nothing_is_lost_uncounted(
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let bodies = all_bodies();
        let mut body = pick.get(&bodies).clone();
        let index = at.index(body.len());
        body[index] = byte;
        feed(&body);
        let alertmanager = find("alertmanager").unwrap();
        // Where damage made half a character, only we can still read it, so there is nothing to compare with.
        let sent: Option<Value> = serde_json::from_slice(&body).ok();
        if let (Some(sent), Ok(got)) = (sent, decode(alertmanager, &body)) {
            let item_count = sent.as_array().or(sent["alerts"].as_array()).unwrap().len();
            prop_assert_eq!(got.observations.len() + got.reject_count, item_count);
        }
    }
}
