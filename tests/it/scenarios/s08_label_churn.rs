//! S8: one lasting outage under ever new labels, and alerts that hardly say who they are.
//!
//! Must not know how a label is found to be volatile.

use watchbell::core::observation::Observation;
use watchbell::core::reason::Reason;
use watchbell::core::time::{Span, Timestamp};
use watchbell::ingest::churn::{Churn, VARIANTS};
use watchbell::sources::alertmanager::Alertmanager;
use watchbell::sources::{Message, Source as _};

use crate::support::claim::{Said, firing, resolved, t};
use crate::support::world::Bench;

const STEP: Span = Span::from_mins(10);
/// 48 hours of ten minutes that fire and ten that do not.
const OUTAGE: usize = 144;

fn variant(number: usize, said: fn(&str) -> Said) -> Said {
    let pod = format!("web-{number}");
    let instance = format!("10.1.{}.{}:9100", number / 256, number % 256);
    said(&pod).labelled(&[
        ("alertname", "WebDown"),
        ("cluster", "prod"),
        ("instance", &instance),
        ("pod", &pod),
    ])
}

#[test]
fn every_variant_of_a_long_outage_gets_its_end_and_the_labels_are_named() {
    let mut bench = Bench::new();
    let mut churn = Churn::default();
    let mut now = t("00:00");
    let mut found = Vec::new();
    for number in 0..OUTAGE {
        for said in [firing, resolved] {
            let said = variant(number, said);
            found.extend(churn.note(std::slice::from_ref(&said.observation), now));
            bench.hear(said);
            bench.after(STEP);
            now = now.plus(STEP);
        }
        assert_eq!(
            found.len(),
            usize::from(number + 1 >= VARIANTS),
            "told once, after {number} variants"
        );
    }
    assert_eq!(found[0].labels, ["instance", "pod"]);
    let shown = churn.found(now);
    assert_eq!(usize::try_from(shown[0].variants).unwrap(), OUTAGE);
    assert_eq!(bench.count(Reason::AlertResolved), OUTAGE);
    assert_eq!(bench.incidents(), (1, 1), "one incident for the outage");
    assert_eq!(bench.count(Reason::VariantFollowed), OUTAGE - 1);
    assert!(
        bench.count(Reason::RecoverySustained) <= 1,
        "not over in the gaps"
    );
    assert_eq!(bench.count(Reason::IncidentAnnounced), 1, "told once");
    bench.after(Span::from_hours(1));
    assert_eq!(bench.incidents().1, 0, "nothing stays open");
}

fn decoded(labels: &[&str]) -> Vec<Observation> {
    let alerts: Vec<String> = labels
        .iter()
        .map(|labels| format!(r#"{{"status":"firing","labels":{labels}}}"#))
        .collect();
    let body = format!(r#"{{"version":"4","alerts":[{}]}}"#, alerts.join(","));
    let message = Message::new("am", body.as_bytes(), Timestamp::from_millis(0));
    Alertmanager.decode(&message).unwrap().observations
}

#[test]
fn alerts_that_only_name_their_rule_stay_apart() {
    let bare = decoded(&[
        r#"{"alertname":"BackupFailed"}"#,
        r#"{"alertname":"QueueFull"}"#,
    ]);
    assert_ne!(bare[0].key, bare[1].key);
    let again = decoded(&[r#"{"alertname":"QueueFull"}"#]);
    assert_eq!(
        again[0].key, bare[1].key,
        "the rule and the source are the key"
    );
    let mut bench = Bench::new();
    for observation in bare {
        bench.hear(Said { observation });
    }
    assert_eq!(bench.incidents(), (2, 2));
}

/// An alert of a workload with these labels besides.
fn of_rule(name: &str, labels: &[(&str, &str)]) -> Said {
    let mut all = vec![("alertname", "ErrorsHigh"), ("namespace", "shop")];
    all.extend(labels);
    all.sort_unstable();
    firing(name).labelled(&all)
}

#[test]
fn a_missing_dimension_is_filled_in_when_there_is_only_one() {
    let mut bench = Bench::new();
    bench
        .at("10:00")
        .hear(of_rule("A", &[("deployment", "cart")]));
    bench.at("10:01").hear(of_rule("B", &[]));
    assert_eq!(bench.incidents(), (1, 1), "matched as a subset");
    bench
        .at("10:02")
        .hear(of_rule("C", &[("deployment", "search")]));
    assert_eq!(bench.incidents(), (2, 2), "another workload");
    bench.at("10:03").hear(of_rule("D", &[("job", "other")]));
    assert_eq!(bench.incidents(), (3, 3), "another trouble");
}

#[test]
fn pods_that_fail_at_the_same_time_and_hosts_that_follow_each_other_stay_apart() {
    let mut bench = Bench::new();
    bench.at("10:00").hear(of_rule("A", &[("pod", "cart-0")]));
    bench.at("10:01").hear(of_rule("B", &[("pod", "cart-1")]));
    assert_eq!(bench.incidents(), (2, 2));
    let host = |name: &str| firing(name).labelled(&[("alertname", "Down"), ("instance", name)]);
    bench.at("11:00").hear(host("h1"));
    bench.at("11:01").hear(resolved("h1"));
    bench.at("11:02").hear(host("h2"));
    assert_eq!(bench.incidents().0, 4);
}

#[test]
fn beyond_a_bound_what_differs_only_by_a_label_of_an_event_folds_into_a_counter() {
    let mut bench = Bench::new();
    bench.rules.fold_after = 20;
    let said = |said: fn(&str) -> Said, number: usize| {
        let request = format!("r-{number:05}");
        said(&request).labelled(&[
            ("alertname", "CheckoutFailed"),
            ("request_id", &request),
            ("service", "checkout"),
        ])
    };
    bench.at("10:00");
    for number in 0..500 {
        bench.hear(said(firing, number));
    }
    assert_eq!(
        bench.state.alert_count(),
        21,
        "20 and one that counts the rest"
    );
    assert_eq!(bench.count(Reason::FoldingStarted), 1);
    let told = bench
        .entries
        .iter()
        .find(|(_, entry)| entry.reason == Reason::FoldingStarted);
    let note = told.unwrap().1.note.clone().unwrap();
    assert!(note.contains("request_id"), "{note}");
    bench.restart(Span::from_mins(1));
    for number in 0..499 {
        bench.hear(said(resolved, number));
    }
    let firing_now = |bench: &Bench| bench.state.alerts().filter(|it| it.is_firing()).count();
    assert_eq!(firing_now(&bench), 1, "the last one of them goes on");
    bench.hear(said(resolved, 499));
    assert_eq!(firing_now(&bench), 0, "every open gets its close");
    bench.after(Span::from_hours(1));
    assert_eq!(bench.incidents().1, 0);
    // Hosts are breadth, however many.
    for number in 0..60 {
        let host = format!("h{number}");
        let labels = [("alertname", "HostDown"), ("host", &*host), ("pid", "1")];
        bench.hear(firing(&host).labelled(&labels));
    }
    assert_eq!(firing_now(&bench), 60);
}

#[test]
fn labels_fold_by_the_look_of_their_value_and_by_the_rules_but_never_those_of_a_thing() {
    let alerts = |label: &str, value: fn(usize) -> String| {
        let mut bench = Bench::new();
        bench.rules.fold_after = 5;
        bench.rules.fold_labels = ["order".into()].into_iter().collect();
        bench.at("10:00");
        for number in 0..30 {
            let (key, value) = (format!("k{number}"), value(number));
            let labels = [("alertname", "Failed"), (label, &*value)];
            bench.hear(firing(&key).labelled(&labels));
        }
        bench.state.alert_count()
    };
    let uuid = |number| format!("{number:08x}-5717-4562-b3fc-2c963f66afa6");
    assert_eq!(alerts("basket", uuid), 6, "a UUID");
    assert_eq!(
        alerts("basket", |number| format!(
            "req-{:016x}",
            number + 0xa000_0000_0000_0001_usize
        )),
        6,
        "hexadecimal digits"
    );
    assert_eq!(
        alerts("at", |number| format!(
            "{}",
            1_767_225_605_000_usize + number
        )),
        6,
        "a long number"
    );
    assert_eq!(
        alerts("order", |number| format!("o{number}")),
        6,
        "by the rules"
    );
    assert_eq!(alerts("host", uuid), 30, "a thing");
    assert_eq!(alerts("subscription_id", uuid), 30, "whose it is");
    let account = |number| format!("{:012}", 123_456_789_000_usize + number);
    assert_eq!(alerts("aws_account", account), 30, "whose it is");
    assert_eq!(
        alerts("basket", |number| format!("b{number}")),
        30,
        "a short name"
    );
}

/// What folds is met on the tour of reasons.
pub(crate) fn tour() -> Bench {
    let mut bench = Bench::new();
    bench.rules.fold_after = 1;
    bench.at("10:00");
    for number in 0..3 {
        let name = format!("F{number}");
        let labels = [("alertname", "F"), ("trace_id", &*name)];
        bench.hear(firing(&name).labelled(&labels));
    }
    bench
}
