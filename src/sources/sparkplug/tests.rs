//! What Sparkplug messages mean, and what no message may do.

use proptest::prelude::{any, prop, proptest};
use prost::Message as _;

use super::wire::{Metric, Payload, Value};
use super::*;
use crate::sources::mapping::MappingText;

const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);

fn metric(name: Option<&str>, alias: Option<u64>, value: Value) -> Metric {
    Metric {
        name: name.map(str::to_owned),
        alias,
        datatype: Some(3),
        value: Some(value),
        ..Metric::default()
    }
}

fn of(metrics: Vec<Metric>) -> Payload {
    Payload {
        metrics,
        ..Payload::default()
    }
}

fn decode(source: &Sparkplug, topic: &str, envelope: Envelope, body: &[u8]) -> Decoded {
    let envelope = Envelope {
        topic: topic.into(),
        ..envelope
    };
    let message = Message {
        envelope: &envelope,
        ..Message::new("s", body, NOW)
    };
    source.decode(&message).unwrap()
}

fn mapped() -> Sparkplug {
    let text = MappingText {
        alerts: Some("payload.metrics".to_owned()),
        key: Some("item.name".to_owned()),
        status: Some("item.value < 0".to_owned()),
        ..MappingText::default()
    };
    Sparkplug::new(Some(Arc::new(Mapping::compile(&text).unwrap())))
}

#[test]
fn topics_are_read_by_their_levels() {
    let topic = Topic::parse("spBv1.0/g/DDEATH/n/d").unwrap();
    assert_eq!(
        (topic.kind, topic.device.as_deref()),
        (Kind::DeviceDeath, Some("d"))
    );
    assert_eq!(Topic::parse("spBv1.0/g/NCMD/n").unwrap().kind, Kind::Other);
    assert_eq!(
        Topic::parse("spBv1.0/STATE/host").unwrap().kind,
        Kind::Other
    );
    for wrong in [
        "",
        "spBv1.0",
        "spBv1.0/g",
        "spBv1.0/g/NBIRTH",
        "spBv1.0/g/NBIRTH/n/d",
        "spBv1.0/g/DBIRTH/n",
        "spBv1.0/g/X/n",
        "spBv1.0/g/DDATA/n/d/e",
    ] {
        assert_eq!(Topic::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_message_is_decoded_the_same_from_what_is_kept_with_it() {
    let mut nodes = Nodes::default();
    let birth = of(vec![
        metric(Some("T"), Some(1), Value::Int(5)),
        metric(Some("bdSeq"), None, Value::Long(4)),
    ]);
    nodes.note(&Topic::parse("spBv1.0/g/NBIRTH/n").unwrap(), &birth, true);
    let data = of(vec![
        Metric {
            datatype: None,
            ..metric(None, Some(1), Value::Int((-5_i32).cast_unsigned()))
        },
        metric(None, Some(2), Value::Int(0)),
    ]);
    let topic = Topic::parse("spBv1.0/g/NDATA/n").unwrap();
    let noted = nodes.note(&topic, &data, true);
    assert_eq!((noted.unknown, noted.is_unborn), (1, true));
    let envelope = Envelope {
        headers: noted.pairs,
        ..Envelope::EMPTY
    };
    let got = decode(
        &mapped(),
        "spBv1.0/g/NDATA/n",
        envelope,
        &data.encode_to_vec(),
    );
    assert_eq!(got.observations.len(), 1);
    assert_eq!(
        got.observations[0].claim,
        Claim::Firing,
        "signed by the type of the birth"
    );
    assert_eq!(
        (got.skip_count, got.note_count),
        (1, 1),
        "the unknown alias is counted"
    );
}

#[test]
fn only_the_death_of_the_last_birth_counts() {
    let mut nodes = Nodes::default();
    let bd_seq = |number| of(vec![metric(Some("bdSeq"), None, Value::Long(number))]);
    let death = Topic::parse("spBv1.0/g/NDEATH/n").unwrap();
    assert_eq!(
        nodes.note(&death, &bd_seq(3), false).pairs,
        [],
        "before any birth it is believed"
    );
    nodes.note(
        &Topic::parse("spBv1.0/g/NBIRTH/n").unwrap(),
        &bd_seq(4),
        false,
    );
    let stale = nodes.note(&death, &bd_seq(3), false);
    let envelope = Envelope {
        headers: stale.pairs,
        ..Envelope::EMPTY
    };
    let got = decode(
        &Sparkplug::default(),
        "spBv1.0/g/NDEATH/n",
        envelope,
        &bd_seq(3).encode_to_vec(),
    );
    assert_eq!((got.observations.len(), got.skip_count), (0, 1));
    assert_eq!(nodes.note(&death, &bd_seq(4), false).pairs, []);
    let got = decode(
        &Sparkplug::default(),
        "spBv1.0/g/NDEATH/n",
        Envelope::EMPTY,
        &bd_seq(4).encode_to_vec(),
    );
    assert_eq!(got.observations[0].claim, Claim::Firing);
    assert_eq!(got.observations[0].text.ci_hint.as_deref(), Some("n"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        topic in "spBv1.0/[a-c/]{0,3}(/[ND](BIRTH|DEATH|DATA|CMD))?(/[a-c]{1,2}){0,3}",
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut nodes = Nodes::default();
        if let (Some(topic), Ok(payload)) = (Topic::parse(&topic), payload(&body)) {
            nodes.note(&topic, &payload, true);
        }
        let envelope = Envelope { topic: topic.as_str().into(), ..Envelope::EMPTY };
        let message = Message { envelope: &envelope, ..Message::new("s", &body, NOW) };
        drop(mapped().decode(&message));
        drop(Sparkplug::default().explain(&message));
    }

    #[test]
    fn births_of_any_metrics_are_survived(
        metrics in prop::collection::vec((any::<Option<u64>>(), ".{0,8}", any::<u32>(), any::<i64>()), 0..20),
    ) {
        let each = metrics.into_iter().map(|(alias, name, datatype, number)| Metric {
            alias,
            name: Some(name),
            datatype: Some(datatype % 20),
            value: Some(Value::Long(number.cast_unsigned())),
            ..Metric::default()
        });
        let body = of(each.collect()).encode_to_vec();
        drop(decode(&mapped(), "spBv1.0/g/DBIRTH/n/d", Envelope::EMPTY, &body));
    }
}
