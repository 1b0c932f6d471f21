//! What is fed: every kind of source, every preset, every importer, and the small readers beside them.
//!
//! The first bytes of an input choose what stands around a body, so that a case is its bytes alone. Must not name a format
//! that a list of the library has: what is added there is fed too.

use std::fmt::Debug;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use watchbell::config::presets::{builtin, names};
use watchbell::core::identity::AlertKey;
use watchbell::core::silence::parse::{parse_matcher, parse_matchers, parse_word};
use watchbell::core::time::Timestamp;
use watchbell::importers::{IMPORTERS, NamedBytes, guess};
use watchbell::sources::alertmanager::poll;
use watchbell::sources::sns::SnsEnvelope;
use watchbell::sources::sparkplug::wire::{Metric, Payload, Value};
use watchbell::sources::sparkplug::{self, Nodes, Sparkplug, Topic};
use watchbell::sources::topic::Filter;
use watchbell::sources::{
    Envelope, Message, SOURCES, Source, body, decoder, opsgenie, pagerduty, time_text,
};

const AT: Timestamp = Timestamp::from_millis(1_767_225_700_000);
const TYPES: [Option<&str>; 6] = [
    None,
    Some("application/json"),
    Some("application/x-www-form-urlencoded"),
    Some("multipart/form-data; boundary=x"),
    Some("text/plain; charset=UTF-8"),
    Some("application/cloudevents-batch+json"),
];
const TOPICS: [&str; 6] = [
    "site/fra/alarm",
    "a",
    "spBv1.0/g/NBIRTH/n",
    "spBv1.0/g/NDEATH/n",
    "spBv1.0/g/DDATA/n/d",
    "spBv1.0/g/DDEATH/n/d",
];

type Reader = Box<dyn Fn(&[u8]) -> Answer>;

/// Something that reads bytes; it returns what its answer looks like.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) seeds: Vec<Vec<u8>>,
    pub(crate) run: Reader,
}

impl Target {
    fn new<A: Debug>(name: &str, seeds: Vec<Vec<u8>>, run: impl Fn(&[u8]) -> A + 'static) -> Self {
        Self {
            name: name.to_owned(),
            seeds,
            run: Box::new(move |input| answer(&run(input))),
        }
    }

    /// The same with a first byte that says what is around the rest.
    fn wrapped<A: Debug>(
        name: &str,
        seeds: &[Vec<u8>],
        run: impl Fn(u8, &[u8]) -> A + 'static,
    ) -> Self {
        let count = u8::try_from(TYPES.len().max(TOPICS.len())).unwrap_or(1);
        let with = |first: u8| {
            let each = seeds.iter();
            each.map(move |seed| [&[first], seed.as_slice()].concat())
        };
        let seeds = (0..count).flat_map(with).collect();
        Self::new(name, seeds, move |input| {
            let (first, rest) = input.split_first().unwrap_or((&0, &[]));
            run(*first, rest)
        })
    }
}

/// What was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Of the answer without numbers and texts: enough to tell one kind of answer from another.
    pub(crate) shape: u64,
    /// Of the whole answer.
    pub(crate) whole: u64,
}

/// A text that is compared like any other answer, and not as one text.
struct Raw(String);

impl Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn answer(answer: &impl Debug) -> Answer {
    let text = format!("{answer:?}");
    let mut whole = DefaultHasher::new();
    text.hash(&mut whole);
    let mut hasher = DefaultHasher::new();
    let mut inside = false;
    for byte in text.bytes().take(2_000) {
        if byte == b'"' {
            inside = !inside;
        }
        if !inside && !byte.is_ascii_digit() {
            byte.hash(&mut hasher);
        }
    }
    Answer {
        shape: hasher.finish(),
        whole: whole.finish(),
    }
}

pub(crate) fn all() -> Vec<Target> {
    let mut targets = sources();
    targets.extend(importers());
    targets.extend(calls());
    targets.extend(readers());
    targets.extend(encodings());
    targets
}

fn fixtures(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures").join(name)
}

/// All files of a folder of fixtures, without what stands above the body.
fn files(name: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(fixtures(name)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let read = paths.iter().filter_map(|path| {
        let bytes = fs::read(path).ok()?;
        let mark: &[u8] = match path.extension()?.to_str()? {
            "http" => b"\n\n",
            "mqtt" => b"\n",
            _ => return Some(bytes),
        };
        let place = bytes.windows(mark.len()).position(|part| part == mark)?;
        bytes.get(place + mark.len()..).map(<[u8]>::to_vec)
    });
    read.collect()
}

/// A message with what its first byte says around it: decoded, and explained.
fn decode(source: &dyn Source, first: u8, body: &[u8]) -> impl Debug + use<> {
    let index = usize::from(first);
    let content_type = TYPES.get(index % TYPES.len()).copied().flatten();
    let topic = TOPICS.get(index % TOPICS.len()).copied().unwrap_or("a");
    let filter = Filter::parse("+site/#").ok();
    let captures = filter.and_then(|filter| filter.captures(topic));
    let mut envelope = Envelope::of_publish(topic, captures.unwrap_or_default());
    let headers = ["ce-id", "ce-source", "ce-type", "ce-specversion"];
    envelope.set_headers(headers.map(|name| (name.into(), "1.0".into())).into_iter());
    let message = Message {
        content_type,
        envelope: &envelope,
        ..Message::new("fuzz", body, AT)
    };
    let explained = source.explain(&message).is_ok();
    let decoded = source.decode(&message);
    let decoded = decoded.map(|decoded| {
        let count = decoded.observations.len();
        (
            count.min(20),
            decoded.observations.into_iter().next(),
            decoded.rejects,
        )
    });
    (explained, Raw(format!("{decoded:?}")))
}

fn of_source(name: &str, source: Arc<dyn Source>, seeds: &[Vec<u8>]) -> Target {
    Target::wrapped(name, seeds, move |first, body| {
        decode(source.as_ref(), first, body)
    })
}

fn sources() -> Vec<Target> {
    let mut targets = Vec::new();
    for source in SOURCES.iter().copied() {
        let kind = source.kind();
        targets.push(Target::wrapped(
            &format!("kind {kind}"),
            &files(kind),
            move |first, body| decode(source, first, body),
        ));
    }
    for name in names() {
        let Ok(Some(preset)) = builtin(name) else {
            continue;
        };
        let mut seeds: Vec<Vec<u8>> = preset
            .examples
            .iter()
            .map(|(_, body)| body.clone().into_bytes())
            .collect();
        seeds.extend(files(name));
        if let Some(source) = preset.decoder() {
            targets.push(of_source(&format!("preset {name}"), source, &seeds));
        }
        // Another kind around the same mapping: what its users could write.
        for kind in ["json", "mqtt", "sns", "cloudevents"] {
            let mapping = preset.mapping().map(Arc::new);
            if name == "grafana"
                && let Some(source) = decoder(kind, mapping.as_ref())
            {
                targets.push(of_source(&format!("kind {kind}"), source, &seeds));
            }
        }
    }
    let sparkplug = Arc::new(Sparkplug::new(None));
    targets.push(of_source("kind sparkplug", sparkplug, &births()));
    targets
}

fn births() -> Vec<Vec<u8>> {
    let metric = |name: &str, alias, value| Metric {
        name: Some(name.to_owned()),
        alias: Some(alias),
        timestamp: Some(1_767_225_700_000),
        datatype: Some(3),
        is_historical: None,
        is_null: None,
        value: Some(value),
    };
    let birth = Payload {
        timestamp: Some(1_767_225_700_000),
        metrics: vec![
            metric("bdSeq", 1, Value::Long(7)),
            metric("Temperature", 2, Value::Double(96.5)),
            metric("Alarm", 3, Value::Boolean(true)),
            metric("Text", 4, Value::Text("hot".to_owned())),
        ],
        seq: Some(0),
    };
    vec![birth.encode_to_vec(), sparkplug::rebirth(AT)]
}

fn importers() -> Vec<Target> {
    let folder = fixtures("importers");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let named = |path: &Path| {
        let name = path.file_name()?.to_str()?.to_owned();
        let bytes = Bytes::from(fs::read(path).ok()?);
        Some(NamedBytes { name, bytes })
    };
    let all: Vec<NamedBytes> = paths.iter().filter_map(|path| named(path)).collect();
    let each = IMPORTERS.iter().copied().map(|format| {
        let own: Vec<&NamedBytes> = all
            .iter()
            .filter(|file| {
                guess(std::slice::from_ref(file)).map(|it| it.name()) == Some(format.name())
            })
            .collect();
        let name = own
            .first()
            .map_or("export.csv", |file| &file.name)
            .to_owned();
        let mut seeds: Vec<Vec<u8>> = own.iter().map(|file| file.bytes.to_vec()).collect();
        if seeds.is_empty() {
            seeds.push(b"name,class,relation,target\nweb1,server,runs_on,esx1\n".to_vec());
            seeds.push(br#"{"items":[{"id":"a","name":"web1"}],"relations":[]}"#.to_vec());
        }
        Target::new(
            &format!("importer {}", format.name()),
            seeds,
            move |input| {
                let file = NamedBytes {
                    name: name.clone(),
                    bytes: Bytes::copy_from_slice(input),
                };
                let files = [file];
                (guess(&files).map(|it| it.name()), format.read(&files))
            },
        )
    });
    each.collect()
}

fn calls() -> Vec<Target> {
    let events = files("pagerduty");
    let pagerduty = Target::wrapped("pagerduty call", &events, |first, body| {
        let calls = [
            pagerduty::Call::Enqueue,
            pagerduty::Call::Change,
            pagerduty::Call::CreateEvent,
        ];
        let call = calls.get(usize::from(first) % calls.len());
        let call = *call.unwrap_or(&pagerduty::Call::Enqueue);
        let received = pagerduty::receive(call, body, "new");
        received.map(|received| decode(&pagerduty::PagerDuty, 0, &received.stored))
    });
    let opsgenie = Target::wrapped("opsgenie call", &files("opsgenie"), |first, body| {
        let calls = opsgenie::Call::ALL;
        let index = usize::from(first);
        let call = *calls
            .get(index % calls.len())
            .unwrap_or(&opsgenie::Call::Create);
        let target = match index % 3 {
            0 => opsgenie::Target::Alias("a".to_owned()),
            1 => opsgenie::Target::Key(AlertKey::new("fuzz", "a")),
            _ => opsgenie::Target::Unknown("a".to_owned()),
        };
        let stored = opsgenie::store(call, &target, None, body);
        stored.map(|stored| decode(&opsgenie::Opsgenie, 0, &stored))
    });
    let polled = Target::new("alertmanager poll", files("alertmanager_poll"), |input| {
        (poll::active_alerts("am", input), poll::started_at(input))
    });
    let sns = Target::new("sns envelope", files("cloudwatch"), |input| {
        let envelope = str::from_utf8(input).ok().and_then(SnsEnvelope::read);
        envelope.map(|envelope| envelope.signed_text().len().min(1))
    });
    vec![pagerduty, opsgenie, polled, sns]
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn readers() -> Vec<Target> {
    let matchers = texts(&[
        "alertname=Foo",
        "{a=~\"web.*\",b!=\"c\",d!~'x|y'}",
        "instance=~\"(a|b)+[0-9]{1,3}\"",
        "\"quoted name\"=\"\\n\\\"\"",
    ]);
    let matchers = Target::new("matchers", matchers, |input| {
        let text = String::from_utf8_lossy(input);
        let fits = |matcher: watchbell::core::silence::matcher::Matcher| matcher.is_match("web12");
        let many = parse_matchers(&text).map(|all| all.into_iter().map(fits).collect::<Vec<_>>());
        (
            parse_matcher(&text).map(fits),
            many,
            parse_word(&text).is_ok(),
        )
    });
    let filters = texts(&["site/+site/#", "a/+b/c", "+/+/#\na/b/c", "$share/g/+x", "#"]);
    let filters = Target::new("topic filters", filters, |input| {
        let text = String::from_utf8_lossy(input);
        let (filter, topic) = text.split_once('\n').unwrap_or((&text, "site/fra/alarm/1"));
        Filter::parse(filter).map(|filter| (filter.wire().len().min(1), filter.captures(topic)))
    });
    let topics = texts(&[
        "spBv1.0/g/NBIRTH/n",
        "spBv1.0/g/DDATA/n/d",
        "spBv1.0/STATE/h",
    ]);
    let topics = Target::new("sparkplug topics", topics, |input| {
        let topic = Topic::parse(&String::from_utf8_lossy(input));
        topic.map(|topic| (topic.kind, topic.device, topic.group.len().min(1)))
    });
    let nodes = Target::wrapped("sparkplug payloads", &births(), |first, body| {
        let topic = TOPICS
            .get(2 + usize::from(first) % 4)
            .and_then(|topic| Topic::parse(topic));
        let payload = sparkplug::payload(body);
        payload.ok().zip(topic).map(|(payload, topic)| {
            let mut nodes = Nodes::default();
            (
                nodes.note(&topic, &payload, true),
                nodes.note(&topic, &payload, false),
            )
        })
    });
    vec![matchers, filters, topics, nodes]
}

fn encodings() -> Vec<Target> {
    let bodies = texts(&[
        "{\"a\":1}",
        "a=1&b=%7B%22c%22%3A2%7D&payload=%5B1%5D",
        "--x\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n{\"a\":1}\r\n--x--\r\n",
        "plain words",
    ]);
    let bodies = Target::wrapped("body encodings", &bodies, |first, input| {
        let content_type = TYPES
            .get(usize::from(first) % TYPES.len())
            .copied()
            .flatten();
        let message = Message {
            content_type,
            ..Message::new("fuzz", input, AT)
        };
        let query = Envelope::query_as_form(&String::from_utf8_lossy(input));
        (
            Raw(format!("{:?}", body::read(&message))),
            query.len().min(1),
        )
    });
    let times = texts(&[
        "2026-01-01T00:00:05.123Z",
        "1767225700",
        "1767225700123",
        "0001-01-01T00:00:00Z",
    ]);
    let times = Target::new("times", times, |input| {
        time_text::read(&String::from_utf8_lossy(input))
    });
    vec![bodies, times]
}
