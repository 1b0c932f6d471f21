//! Laws and cases of the webhook decoder.

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use super::*;
use crate::core::severity::Severity;

const AT: i64 = 1_767_225_600_000;

fn message(body: &[u8]) -> Message<'_> {
    Message::new("am", body, Timestamp::from_millis(AT))
}

fn decode(body: &Value) -> Decoded {
    Alertmanager
        .decode(&message(body.to_string().as_bytes()))
        .unwrap()
}

fn decode_item(item: &Value) -> Observation {
    let decoded = decode(&json!({"alerts": [item]}));
    assert_eq!(decoded.rejects, []);
    decoded.observations[0].clone()
}

#[test]
fn the_alerts_own_status_decides() {
    let decoded = decode(&json!({"status": "resolved", "alerts": [
        {"status": "firing", "fingerprint": "efb0c6c488e007da"},
        {"status": "resolved", "fingerprint": "efb0c6c488e007da"}]}));
    let claims: Vec<Claim> = decoded.observations.iter().map(|it| it.claim).collect();
    assert_eq!(claims, [Claim::Firing, Claim::Resolved]);
}

#[test]
fn a_missing_fingerprint_is_computed_and_equals_the_sent_one() {
    let labels = json!({"severity": "critical", "instance": "db1:9100", "alertname": "DiskFull"});
    let computed = decode_item(&json!({"status": "firing", "labels": labels}));
    let sent = decode_item(
        &json!({"status": "firing", "labels": labels, "fingerprint": "EFB0C6C488E007DA"}),
    );
    assert_eq!(computed.key.text(), "am:v1:efb0c6c488e007da");
    assert_eq!(computed, sent);
}

#[test]
fn a_bad_item_spoils_no_other() {
    let decoded = decode(&json!({"alerts": [
        {"status": "firing", "labels": {"a": "b"}},
        {"status": "firing", "labels": {"a": {"deep": 1}}},
        {"status": "pending", "labels": {"a": "b"}},
        {"labels": {"a": "b"}},
        {"status": "firing", "labels": {"a": ""}},
        7,
        {"status": "resolved", "labels": {"a": 1}}]}));
    let places: Vec<(usize, &str)> = decoded
        .rejects
        .iter()
        .map(|reject| (reject.index, reject.path.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (1, "alerts[1].labels.a"),
            (2, "alerts[2].status"),
            (3, "alerts[3].status"),
            (4, "alerts[4]"),
            (5, "alerts[5]"),
        ]
    );
    assert_eq!(decoded.rejects[4].raw, "7");
    assert_eq!(decoded.reject_count, 5);
    assert_eq!(decoded.observations.len(), 2);
    assert_eq!(decoded.observations[1].text.label("a"), Some("1"));
}

#[test]
fn odd_times_are_notes_and_never_reject() {
    let decoded = decode(&json!({"alerts": [
        {"status": "firing", "labels": {"a": "1"}, "startsAt": "soon", "endsAt": {"x": 1}},
        {"status": "resolved", "labels": {"a": "2"}, "startsAt": 1_767_225_605, "endsAt": null}]}));
    assert_eq!(decoded.rejects, []);
    let paths: Vec<&str> = decoded
        .notes
        .iter()
        .map(|note| note.path.as_str())
        .collect();
    assert_eq!(paths, ["alerts[0].startsAt", "alerts[0].endsAt"]);
    let [unset, epoch] = &decoded.observations[..] else {
        panic!("two observations")
    };
    assert_eq!((unset.starts_at, unset.ends_at), (None, None));
    assert_eq!(epoch.starts_at, Some(Timestamp::from_millis(AT + 5_000)));
    assert_eq!(epoch.ends_at, None);
}

#[test]
fn an_end_bounds_a_firing_alert_only_when_it_is_to_come() {
    let end = |status: &str, ends_at: &str| {
        decode_item(&json!({"status": status, "labels": {"a": "b"}, "endsAt": ends_at})).ends_at
    };
    let later = Timestamp::from_millis(AT + 1);
    let earlier = Timestamp::from_millis(AT - 1);
    assert_eq!(end("firing", "2026-01-01T00:00:00.001Z"), Some(later));
    assert_eq!(end("firing", "2026-01-01T00:00:00Z"), None);
    assert_eq!(end("resolved", "2025-12-31T23:59:59.999Z"), Some(earlier));
    assert_eq!(end("resolved", "0001-01-01T00:00:00Z"), None);
}

#[test]
fn the_summary_is_the_first_line_of_the_best_text() {
    let summary = |annotations: Value, labels: Value| {
        let item = json!({"status": "firing", "fingerprint": "efb0c6c488e007da",
            "annotations": annotations, "labels": labels});
        decode_item(&item).text.summary.clone()
    };
    let named = json!({"alertname": "N"});
    let all = json!({"summary": "S", "message": "M", "description": "D"});
    assert_eq!(summary(all, named.clone()), "S");
    let blank = json!({"summary": " \n", "description": "\n D1 \nD2", "message": null});
    assert_eq!(summary(blank, named.clone()), "D1");
    assert_eq!(summary(json!({}), named), "N");
    assert_eq!(summary(json!(null), json!({})), "am:v1:efb0c6c488e007da");
}

#[test]
fn the_hash_tells_a_changed_text_from_a_repeat() {
    let item = |summary: &str, status: &str, starts_at: &str| {
        json!({"status": status, "labels": {"a": "b", "severity": "page"}, "startsAt": starts_at,
            "annotations": {"summary": summary}})
    };
    let first = decode_item(&item("x", "firing", "2026-01-01T00:00:00Z"));
    let repeat = decode_item(&item("x", "resolved", "2026-01-02T00:00:00Z"));
    let changed = decode_item(&item("y", "firing", "2026-01-01T00:00:00Z"));
    assert_eq!(first.severity, Severity::Critical);
    assert_eq!(first.text_hash, repeat.text_hash);
    assert_ne!(first.text_hash, changed.text_hash);
    let as_label = json!({"status": "firing", "labels": {"a": "b"}, "annotations": {}});
    let as_annotation = json!({"status": "firing", "labels": {}, "annotations": {"a": "b"},
        "fingerprint": "efb0c6c488e007da"});
    assert_ne!(
        decode_item(&as_label).text_hash,
        decode_item(&as_annotation).text_hash
    );
}

#[test]
fn truncation_is_told_on_each_observation() {
    let alerts = json!([{"status": "firing", "labels": {"a": "b"}}]);
    for (count, expected, note_count) in [
        (json!(19_900), 19_900, 0),
        (json!("7"), 7, 0),
        (json!(null), 0, 0),
        (json!(5_000_000_000_u64), u32::MAX, 0),
        (json!(-1), 0, 1),
        (json!({}), 0, 1),
    ] {
        let decoded = decode(&json!({"alerts": alerts, "truncatedAlerts": count}));
        assert_eq!(decoded.observations[0].undelivered, expected);
        assert_eq!(decoded.note_count, note_count, "{count}");
    }
    assert_eq!(
        decode(&json!({"alerts": alerts})).observations[0].undelivered,
        0
    );
}

#[test]
fn nul_is_removed_and_half_characters_are_replaced() {
    let body = br#"{"alerts":[{"status":"firing","labels":{"a":"x\u0000y","b":"\ud83d"}}]}"#;
    let decoded = Alertmanager.decode(&message(body)).unwrap();
    let text = &decoded.observations[0].text;
    assert_eq!(text.label("a"), Some("xy"));
    assert_eq!(text.label("b"), Some("\u{fffd}"));
    assert_eq!(decoded.note_count, 1);
}

#[test]
fn what_is_no_webhook_body_says_what_and_where() {
    for (body, expected) in [
        (&b""[..], "the body is empty"),
        (b"{\"a\":\"\xff\"}", "not UTF-8 text at byte 6"),
        (b"{\n \"alerts\": [}", "line 2, column 13"),
        (b"{\"status\":\"firing\"}", "alerts: is missing"),
        (b"{\"alerts\":{}}", "alerts: is an object, not a list"),
        (b"{\"alerts\":null}", "alerts: is null, not a list"),
        (b"{\"alerts\":[]} x", "trailing characters"),
    ] {
        let error = Alertmanager.decode(&message(body)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let wrong = Alertmanager.decode(&message(b"{}")).unwrap_err();
    assert!(wrong.to_string().contains("right source?"), "{wrong}");
    assert_eq!(decode(&json!({"alerts": []})), Decoded::default());
}

/// A value that stands where a text should: mostly a text, sometimes an oddity that is still accepted.
fn scalar_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => ".{0,30}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn item_value() -> impl Strategy<Value = Value> {
    let pairs = || proptest::collection::btree_map("[a-d\\PC]{0,3}", scalar_value(), 0..6);
    let status = prop_oneof![Just("firing"), Just("resolved")];
    let fingerprint = prop_oneof![Just("efb0c6c488e007da"), Just("own id")];
    let time = prop_oneof![
        Just("2026-01-01T00:00:00+0000".to_owned()),
        Just("".to_owned()),
        ".{0,9}"
    ];
    (status, pairs(), pairs(), time, scalar_value(), fingerprint).prop_map(
        |(status, labels, annotations, starts_at, generator_url, fingerprint)| {
            json!({"status": status, "labels": labels, "annotations": annotations, "other": [1],
                "startsAt": starts_at, "generatorURL": generator_url, "fingerprint": fingerprint})
        },
    )
}

proptest! {
    #[test]
    fn both_readers_read_the_same(items in proptest::collection::vec(item_value(), 0..4)) {
        let body = json!({"alerts": items, "truncatedAlerts": 3}).to_string();
        let message = message(body.as_bytes());
        let fast = decode_fast(&message, &body);
        prop_assert!(fast.is_some(), "{body}");
        prop_assert_eq!(fast, decode_carefully(&message, &body).ok());
    }

    #[test]
    fn the_order_of_labels_and_fields_changes_nothing(
        labels in proptest::collection::btree_map(".{1,4}", ".{0,9}", 1..9),
        seed in any::<usize>(),
    ) {
        let mut entries: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{}:{}", json!(name), json!(value)))
            .chain([r#""always":"there""#.to_owned()])
            .collect();
        let body = |entries: &[String]| {
            format!(r#"{{"alerts":[{{"labels":{{{}}},"status":"firing"}}]}}"#, entries.join(","))
        };
        let sorted = Alertmanager.decode(&message(body(&entries).as_bytes())).unwrap();
        let half = seed % entries.len();
        entries.rotate_left(half);
        entries.swap(0, half);
        let shuffled = Alertmanager.decode(&message(body(&entries).as_bytes())).unwrap();
        prop_assert_eq!(sorted, shuffled);
    }
}
