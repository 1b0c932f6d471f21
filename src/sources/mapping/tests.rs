//! What mappings mean, and what no template and no payload may do.

use std::sync::Arc;

use minijinja::value::Value;

use super::engine::{Expr, Missing, Scope, Variables};
use super::value::{self, Budget, SHOWN_BYTES_MAX};
use super::*;
use crate::core::observation::{Claim, Observation};
use crate::core::time::Timestamp;
use crate::sources::mapped::{Mapped, Shape};
use crate::sources::{DecodeError, Decoded, Envelope, Message, Source};

const AT: Timestamp = Timestamp::from_millis(1_767_226_200_000);

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the fields of a mapping take"
)]
fn expr(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn minimal() -> MappingText {
    MappingText {
        key: expr("item.k"),
        ..MappingText::default()
    }
}

fn source_of(text: &MappingText) -> Mapped {
    let mapping = Mapping::compile(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    Mapped::new(Shape::Json, Arc::new(mapping))
}

fn decode_with(
    text: &MappingText,
    envelope: &Envelope,
    body: &str,
) -> Result<Decoded, DecodeError> {
    source_of(text).decode(&Message {
        envelope,
        ..Message::new("s", body.as_bytes(), AT)
    })
}

fn decode(text: &MappingText, body: &str) -> Decoded {
    decode_with(text, &Envelope::EMPTY, body).unwrap()
}

fn one(text: &MappingText, body: &str) -> Observation {
    let mut got = decode(text, body);
    assert_eq!(got.rejects, []);
    got.observations.remove(0)
}

fn compiled(source: &str) -> Expr {
    Expr::compile(source, Missing::Empty, &[]).unwrap_or_else(|error| panic!("{source}: {error:?}"))
}

fn scope_of(payload: &str) -> Scope {
    let budget = Budget::of_body(payload.len());
    let payload = value::read(payload, &budget).unwrap();
    let variables = Variables {
        item: payload.clone(),
        payload,
        ..Variables::default()
    };
    Scope::new(variables, &budget)
}

fn eval(source: &str, payload: &str) -> Result<Value, String> {
    compiled(source).eval(&scope_of(payload))
}

fn shown(source: &str, payload: &str) -> String {
    value::shown(&eval(source, payload).unwrap(), 1000)
}

#[test]
fn the_mapping_of_the_contract_works() {
    let text = MappingText {
        alerts: expr("payload.events"),
        key: expr("item.host ~ '/' ~ item.check"),
        status: expr("'resolved' if item.value == 0 else 'firing'"),
        severity: Some(SeverityText {
            from: "item.level".to_owned(),
            table: vec![
                ("disaster".to_owned(), "critical".to_owned()),
                ("average".to_owned(), "low".to_owned()),
            ],
            default: expr("high"),
        }),
        summary: expr("item.text"),
        labels: Some(PairsText::Whole("item.tags".to_owned())),
        ci: Some(HintsText::One("item.host".to_owned())),
        ..MappingText::default()
    };
    let got = decode(
        &text,
        r#"{"events":[
            {"host":"a","check":"c","value":1,"level":"Disaster","text":"one\ntwo","tags":{"x":1,"y":[1,"z"],"e":"","n":null}},
            {"host":"a","check":"d","value":0,"level":"average","tags":[{"tag":"t","value":"v"},"p:q",{"odd":1}]},
            {"host":"b","check":"c","value":1,"level":"warning"},
            {"host":"b","check":"d","value":1,"level":"purple"}]}"#,
    );
    let [first, second, third, fourth] = &got.observations[..] else {
        panic!("{got:?}")
    };
    assert_eq!(first.key.text(), "s:v1:a/c");
    assert_eq!(
        (first.claim, first.severity),
        (Claim::Firing, Severity::Critical)
    );
    assert_eq!(first.text.summary, "one");
    assert_eq!(
        first.text.labels,
        [("x".into(), "1".into()), ("y".into(), "[1,\"z\"]".into())]
    );
    assert_eq!(
        (second.claim, second.severity),
        (Claim::Resolved, Severity::Low)
    );
    assert_eq!(
        second.text.labels,
        [("p".into(), "q".into()), ("t".into(), "v".into())]
    );
    assert_eq!(second.text.summary, "s:v1:a/d");
    assert_eq!(
        (third.severity, fourth.severity),
        (Severity::Warning, Severity::High)
    );
    assert_eq!((got.note_count, got.reject_count), (0, 0));
}

#[test]
fn no_part_of_a_key_may_be_missing() {
    let text = MappingText {
        key: expr("item.host ~ '/' ~ item.check"),
        ..MappingText::default()
    };
    for body in ["{}", r#"{"host":"a"}"#, r#"{"host":"a","check":null}"#] {
        let got = decode(&text, body);
        assert_eq!((got.observations.len(), got.reject_count), (0, 1), "{body}");
        assert_eq!(got.rejects[0].path, "key");
        assert!(
            got.rejects[0].problem.contains("`item.check` is missing"),
            "{:?}",
            got.rejects
        );
    }
    let or = MappingText {
        key: expr("item.id or item.host ~ '!' ~ (item.check|default('none'))"),
        ..MappingText::default()
    };
    assert_eq!(one(&or, r#"{"host":"a"}"#).key.text(), "s:v1:a!none");
    assert_eq!(one(&or, r#"{"id":12}"#).key.text(), "s:v1:12");
}

#[test]
fn everything_around_the_body_is_seen_and_captures_are_labels() {
    let text = MappingText {
        key: expr(
            "topic ~ '|' ~ labels.device ~ '|' ~ headers['x-kind'] ~ '|' ~ query.q ~ '|' ~ payload",
        ),
        labels: Some(PairsText::Each(vec![(
            "device".to_owned(),
            "'mapped'".to_owned(),
        )])),
        ..MappingText::default()
    };
    let envelope = Envelope {
        headers: vec![("x-kind".into(), "h".into())],
        query: vec![("q".into(), "1".into())],
        ..Envelope::of_publish(
            "a/b",
            vec![("device".into(), "b".into()), ("site".into(), "a".into())],
        )
    };
    let got = decode_with(&text, &envelope, "offline").unwrap();
    let [got] = &got.observations[..] else {
        panic!("{got:?}")
    };
    assert_eq!(got.key.text(), "s:v1:a/b|b|h|1|offline");
    assert_eq!(
        got.text.labels,
        [
            ("device".into(), "mapped".into()),
            ("site".into(), "a".into())
        ]
    );
}

#[test]
fn statuses_are_words_or_truth_and_never_numbers() {
    let text = MappingText {
        status: expr("item.s"),
        ..minimal()
    };
    for (status, claim) in [
        ("\"Problem\"", Claim::Firing),
        ("true", Claim::Firing),
        ("\" OK \"", Claim::Resolved),
        ("false", Claim::Resolved),
    ] {
        assert_eq!(
            one(&text, &format!(r#"{{"k":"a","s":{status}}}"#)).claim,
            claim,
            "{status}"
        );
    }
    for status in ["1", "0", "\"purple\"", "null", "{}"] {
        let got = decode(&text, &format!(r#"{{"k":"a","s":{status}}}"#));
        assert_eq!(got.rejects[0].path, "status", "{status}");
    }
    let got = decode(&text, r#"{"k":"a","s":"acked"}"#);
    assert_eq!(
        (
            got.skip_count,
            got.acknowledged.len(),
            got.observations.len()
        ),
        (1, 1, 0)
    );
}

#[test]
fn items_that_are_no_alerts_are_counted_and_broken_conditions_reject() {
    let text = MappingText {
        alerts: expr("payload.list"),
        when: expr("item.on"),
        test: expr("item.test or payload.ping"),
        ..minimal()
    };
    let got = decode(
        &text,
        r#"{"list":[{"on":true,"k":1},{"on":false},{"test":1},{"on":1}]}"#,
    );
    assert_eq!(
        (
            got.observations.len(),
            got.skip_count,
            got.test_count,
            got.reject_count
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(got.rejects[0].path, "alerts[3].key");
    assert_eq!(got.rejects[0].raw, r#"{"on":1}"#);
    assert_eq!(
        decode(&text, r#"{"ping":1}"#).test_count,
        1,
        "a test message without a list"
    );
    for body in [r#"{"on":1}"#, r#"{"on":1,"list":"x"}"#] {
        let got = decode_with(&text, &Envelope::EMPTY, body);
        assert!(matches!(got, Err(DecodeError::WrongShape { .. })), "{body}");
    }
    let broken = MappingText {
        when: expr("item.k|int > 5"),
        ..minimal()
    };
    assert_eq!(decode(&broken, r#"{"k":"text"}"#).rejects[0].path, "when");
}

#[test]
fn times_are_read_and_a_passed_end_does_not_bound_a_firing_alert() {
    let text = MappingText {
        status: expr("item.s"),
        starts_at: expr("item.from"),
        ends_at: expr("item.to"),
        ..minimal()
    };
    let got = one(
        &text,
        r#"{"k":1,"s":"firing","from":1767225605.25,"to":"2026-01-01T00:00:09Z"}"#,
    );
    assert_eq!(got.starts_at.unwrap().as_millis(), 1_767_225_605_250);
    assert_eq!(got.ends_at, None);
    let got = one(
        &text,
        r#"{"k":1,"s":"ok","from":null,"to":"2026-01-01T00:00:09Z"}"#,
    );
    assert_eq!((got.starts_at, got.ends_at.is_some()), (None, true));
    let got = decode(&text, r#"{"k":1,"s":"ok","from":"2026.01.31 12:00:00"}"#);
    assert_eq!(
        (got.observations.len(), got.notes[0].path.as_str()),
        (1, "starts_at")
    );
}

#[test]
fn what_people_read_is_in_the_hash_and_times_are_not() {
    let text = MappingText {
        summary: expr("item.text"),
        starts_at: expr("item.at"),
        url: expr("item.url"),
        ..minimal()
    };
    let hash = |body: &str| one(&text, body).text_hash;
    let plain = hash(r#"{"k":1,"text":"a"}"#);
    assert_eq!(hash(r#"{"k":1,"text":"a","at":5,"other":1}"#), plain);
    assert_ne!(hash(r#"{"k":1,"text":"b"}"#), plain);
    assert_ne!(hash(r#"{"k":1,"text":"a","url":"u"}"#), plain);
}

#[test]
fn filters_are_those_that_are_listed_and_none_fails_on_nothing() {
    for filter in scan::FILTERS {
        let source = match filter {
            "replace" => "item.no|replace('a', 'b')".to_owned(),
            "before" | "after" => format!("item.no|{filter}('a')"),
            "times" => "item.no|times(2)".to_owned(),
            "map" => "item.no|map(attribute='a')".to_owned(),
            "selectattr" | "rejectattr" => format!("item.no|{filter}('a', 'eq', 1)"),
            filter => format!("item.no|{filter}"),
        };
        let got = eval(&source, "{}");
        assert!(got.is_ok(), "{source}: {got:?}");
    }
    for test in scan::TESTS {
        let args = match test {
            "eq" | "ne" | "lt" | "le" | "gt" | "ge" => "(1)",
            "in" => "([1])",
            "startingwith" | "endingwith" => "('a')",
            _ => "",
        };
        let source = format!("item.no is {test}{args}");
        let got = eval(&source, "{}");
        assert!(got.is_ok(), "{source}: {got:?}");
    }
}

#[test]
fn our_filters_do_what_they_say() {
    let payload = r#"{"t":"a.b.c","l":[{"n":"x","v":1},{"n":"y","v":2},5],"tags":["env:prod","bare","u=http://x"],
        "j":"{\"a\":[1]}","num":3}"#;
    for (source, expected) in [
        ("item.t|before('.')", "a"),
        ("item.t|after('.')", "b.c"),
        ("item.t|after('/')", ""),
        ("item.t|split('.')|last", "c"),
        ("item.t|replace('.', '--')", "a--b--c"),
        ("item.l|map(attribute='n')|join('+')", "x+y+"),
        ("(item.l|selectattr('v', 'gt', 1)|first).n", "y"),
        ("(item.l|rejectattr('n')|first)", "5"),
        ("(item.tags|pairs).u", "http://x"),
        ("(item.j|fromjson).a[0]", "1"),
        ("'no json'|fromjson", ""),
        ("item.l|tojson", r#"[{"n":"x","v":1},{"n":"y","v":2},5]"#),
        ("item.t|tojson", "\"a.b.c\""),
        ("item.num|times(1000)", "3000.0"),
        ("item.tags|sort|join(',')", "bare,env:prod,u=http://x"),
        ("item.l|length", "3"),
        ("{'3': 'three'}[item.num|string]", "three"),
    ] {
        assert_eq!(shown(source, payload), expected, "{source}");
    }
}

#[test]
fn placeholders_that_nobody_filled_in_are_unknown() {
    for text in [
        "{EVENT.ID}",
        "{$ZABBIX.URL}",
        "{ITEM.VALUE1}",
        "*UNKNOWN*",
        "$ALERT_ID",
        "%sensor",
        "{{ $device_id }}",
        "",
        " ",
        "<no value>",
        "{#DISK}",
    ] {
        let payload = serde_json::json!({"t": text}).to_string();
        assert_eq!(shown("item.t|known", &payload), "", "{text}");
    }
    for text in [
        "{a b}",
        "$5.00",
        "$money",
        "100%",
        "%",
        "$",
        "{}x",
        "[{\"a\":1}]",
        "{\"a\":1}",
        "%TEMP",
    ] {
        let payload = serde_json::json!({"t": text}).to_string();
        assert_eq!(shown("item.t|known", &payload), text);
    }
    assert_eq!(shown("item.t|known", r#"{"t":5}"#), "5");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = MappingText {
        key: None,
        status: expr("item.s ~"),
        summary: expr("itm.text"),
        url: expr("item.a|nosuch"),
        when: expr("item.a|replace('x')"),
        severity: Some(SeverityText {
            from: "item.l".to_owned(),
            table: vec![("a".to_owned(), "purple".to_owned())],
            default: expr("bad"),
        }),
        labels: Some(PairsText::Each(vec![(
            "host".to_owned(),
            "{{ item.host }}".to_owned(),
        )])),
        ci: Some(HintsText::Each(vec![
            "item.a".to_owned(),
            "'x' * 9".to_owned(),
        ])),
        ..MappingText::default()
    };
    let errors = Mapping::compile(&text).unwrap_err();
    let mut told: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.field(), error.message))
        .collect();
    told.sort();
    let fields: Vec<&str> = told
        .iter()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        fields,
        [
            "ci.1",
            "key",
            "labels.host",
            "severity.default",
            "severity.table.a",
            "status",
            "summary",
            "url",
            "when"
        ],
        "{told:#?}"
    );
    assert!(errors.iter().all(|error| !error.hint.is_empty()));
    assert!(
        told.contains(&"summary: `itm` is not a variable".to_owned()),
        "{told:#?}"
    );
}

/// Runs an expression over the largest payloads and holds it to its bounds.
fn bounded(source: &str) {
    let text = "x".repeat(2 << 20);
    let list = format!("[{}1]", "1,".repeat(400_000));
    let payload = format!(r#"{{"t":"{text}","l":{list},"o":{{"a":{list}}}}}"#);
    let scope = scope_of(&payload);
    let Ok(expr) = Expr::compile(source, Missing::Empty, &[]) else {
        return;
    };
    let bytes = expr
        .eval(&scope)
        .map_or(0, |value| value::shown(&value, usize::MAX).len());
    assert!(
        bytes <= 1_000 * SHOWN_BYTES_MAX,
        "{source} made {bytes} bytes"
    );
}

#[test]
fn hostile_expressions_stay_within_their_bounds() {
    let joined = |part: &str| vec![part; 32].join(" ~ ");
    for source in [
        joined("payload"),
        joined("payload.t"),
        joined("[payload, payload, payload]"),
        joined("payload.l|sort"),
        joined("(payload.l ~ payload.l)"),
        "payload.t|replace('x', payload.t)|replace('x', payload.t)".to_owned(),
        "payload.l|join(payload.t)".to_owned(),
        "[payload.l, payload.l]|map(attribute='0')|join".to_owned(),
        "payload.t|split('x')|join(payload.t)".to_owned(),
        "payload.l|unique|sort|unique".to_owned(),
        "payload.l + payload.l + payload.l".to_owned(),
        "payload == payload and payload.l in payload.l".to_owned(),
        format!("{}1{}", "(".repeat(20), ")".repeat(20)),
        format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
        format!("payload{}{}", "[payload".repeat(20), "]".repeat(20)),
        format!("payload{}{}", "[payload".repeat(500), "]".repeat(500)),
        format!("{}1", "not ".repeat(299)),
        format!("{}1", "not ".repeat(1000)),
        format!("payload{}", ".a".repeat(149)),
        format!("payload{}", ".a".repeat(2000)),
        format!("payload{}", "|string".repeat(149)),
        format!("payload{}", " or payload.x".repeat(70)),
        "payload|tojson|tojson|tojson|tojson".to_owned(),
        "payload.t|upper|lower|capitalize".to_owned(),
        "99999999999 ** 99999999999".to_owned(),
        "payload.t * 100000".to_owned(),
        "range(1000000000)".to_owned(),
        "payload.t|indent(900000000)".to_owned(),
    ] {
        bounded(&source);
    }
}

#[test]
fn a_message_that_asks_for_too_much_work_is_set_aside_item_by_item() {
    let text = MappingText {
        alerts: expr("payload.items"),
        when: expr("item in payload.big"),
        ..minimal()
    };
    let items = vec![r#"{"k":"a"}"#; 3_000].join(",");
    let big = vec!["1"; 200_000].join(",");
    let got = decode(&text, &format!(r#"{{"big":[{big}],"items":[{items}]}}"#));
    assert_eq!(
        got.observations.len() + got.skip_count + got.reject_count,
        3_000
    );
    assert!(
        got.reject_count > 0 && got.skip_count > 0,
        "{} {}",
        got.reject_count,
        got.skip_count
    );
    assert!(
        got.rejects[0]
            .problem
            .contains("more work than its size allows"),
        "{:?}",
        got.rejects[0]
    );
}

#[test]
fn more_alerts_than_a_message_may_have_are_refused() {
    let text = MappingText {
        alerts: expr("payload"),
        ..minimal()
    };
    let body = format!("[{}{{}}]", "{},".repeat(ITEMS_MAX));
    let got = decode_with(&text, &Envelope::EMPTY, &body);
    assert!(matches!(got, Err(DecodeError::WrongShape { .. })));
}
