//! Sources that are understood by a mapping: presets, maps, both, and what is said about bad ones.

use watchbell::config::Env;
use watchbell::config::settings::{SourceKind, SourceSettings};
use watchbell::core::severity::Severity;
use watchbell::core::time::Timestamp;
use watchbell::sources::{Decoded, Message};

use crate::config::messages::{bad, says};
use crate::config::{Folder, good};

fn source(text: &str) -> SourceSettings {
    good(text).sources.remove(0)
}

fn decode(source: &SourceSettings, body: &str) -> Decoded {
    let decoder = source.decoder().expect("a decoder");
    let message = Message::new(&source.name, body.as_bytes(), Timestamp::MAX);
    decoder.decode(&message).expect("a message")
}

#[test]
fn a_map_of_ones_own_works_as_documented() {
    let source = source(
        r#"
[[source]]
name = "grid"
kind = "json"
[source.map]
alerts   = "payload.events"
key      = "item.host ~ '/' ~ item.check"
status   = "'resolved' if item.value == 0 else 'firing'"
severity = { from = "item.level", table = { disaster = "critical", average = "low" }, default = "warning" }
summary  = "item.text"
labels   = "item.tags"
ci       = "item.host"
"#,
    );
    let got = decode(
        &source,
        r#"{"events":[{"host":"a","check":"b","value":1,"level":"average","tags":{"x":"y"}}]}"#,
    );
    let [observation] = got.observations.as_slice() else {
        panic!("{got:?}")
    };
    assert_eq!(observation.key.text(), "grid:v1:a/b");
    assert_eq!(observation.severity, Severity::Low);
    assert_eq!(observation.text.label("x"), Some("y"));
}

#[test]
fn fields_of_the_map_take_the_place_of_those_of_the_preset() {
    let source = source(
        "[[source]]\nname = \"z\"\nkind = \"json\"\npreset = \"zabbix\"\nmap.severity = \"'high'\"\n\
         map.summary = \"payload.host ~ ': ' ~ payload.name\"\n",
    );
    assert_eq!(source.preset.as_deref(), Some("zabbix"));
    let got = decode(
        &source,
        r#"{"event_id":"1","event_value":"1","severity":"5","host":"h","name":"n"}"#,
    );
    assert_eq!(got.observations[0].severity, Severity::High);
    assert_eq!(got.observations[0].text.summary, "h: n");
    let example = source.decoder().expect("a decoder").example().to_owned();
    assert_eq!(decode(&source, &example).observations.len(), 1);
}

#[test]
fn kinds_with_a_wrapping_have_a_usual_preset() {
    let settings = good(
        "[[source]]\nname = \"a\"\nkind = \"sns\"\n[[source]]\nname = \"b\"\nkind = \"cloudevents\"\n\
         [[source]]\nname = \"c\"\nkind = \"json\"\npreset = \"nagios\"\n",
    );
    let kinds: Vec<_> = settings
        .sources
        .iter()
        .map(|source| (source.kind, source.preset.as_deref().unwrap_or("")))
        .collect();
    let expected = [
        (SourceKind::Sns, "cloudwatch"),
        (SourceKind::CloudEvents, "cloudevents"),
        (SourceKind::Json, "nagios"),
    ];
    assert_eq!(kinds, expected);
    for source in &settings.sources {
        let decoder = source.decoder().expect("a decoder");
        assert_eq!(decoder.kind(), source.kind.word());
    }
}

#[test]
fn a_file_beside_the_main_one_overrides_or_adds_a_preset() {
    let folder = Folder::with(&[
        (
            "etc/w.toml",
            "[[source]]\nname = \"a\"\nkind = \"json\"\npreset = \"zabbix\"\n\
             [[source]]\nname = \"b\"\nkind = \"json\"\npreset = \"ours\"\n",
        ),
        ("etc/sources/zabbix.toml", "[map]\nkey = \"payload.mine\"\n"),
        (
            "etc/sources/ours.toml",
            "title = \"Ours\"\n[map]\nkey = \"payload.id\"\n[example]\nfiring = '{\"id\":1}'\n",
        ),
    ]);
    let settings = folder.load().expect("a valid configuration");
    let keys: Vec<_> = settings
        .sources
        .iter()
        .filter_map(|source| source.mapping.as_ref()?.text().key.clone())
        .collect();
    assert_eq!(keys, ["payload.mine", "payload.id"]);
    assert_eq!(
        settings.sources[1].decoder().expect("a decoder").example(),
        "{\"id\":1}"
    );
}

#[test]
fn everything_wrong_in_a_map_is_told_with_its_line() {
    bad(
        r#"[[source]]
name = "grid"
kind = "json"
[source.map]
kye = "item.id"
status = "item.s ~"
summary = 5
labels = { host = "{{ item.host }}", ok = "item.ok" }
ci = ["item.a", "hostname"]
url = "item.a|indent(99)"
severity = { from = "item.level", table = { bad = "purple" } }
"#,
        r#"
w.toml:4:1: source[0].map.key: is required
    hint: say what tells one alert from another, like key = "item.host ~ '/' ~ item.check"
w.toml:5:1: source[0].map.kye: unknown key
    hint: did you mean `key`?
w.toml:6:10: source[0].map.status: is not an expression: unexpected end of input, expected expression
    hint: write a Jinja expression without {{ }}, texts in quotes inside
w.toml:7:11: source[0].map.summary: expected an expression, found a whole number
    hint: write an expression in quotes, like "item.host"; a fixed text needs quotes inside, like "'db1'"
w.toml:8:19: source[0].map.labels.host: is a template, not an expression
    hint: write it without {{ }}; join texts with ~, like item.host ~ ' is down'
w.toml:9:17: source[0].map.ci.1: `hostname` is not a variable
    hint: known here: payload, item, labels, topic, headers, query; a text needs quotes inside, like 'hostname'
w.toml:10:7: source[0].map.url: there is no filter `indent`
    hint: known: after, before, bool, capitalize, count, d, default, first, float, fromjson, int, join, known, last, length, lower, map, pairs, pick, rejectattr, replace, selectattr, sort, split, string, times, tojson, trim, unique, upper
w.toml:11:51: source[0].map.severity.table.bad: "purple" is no severity
    hint: write one of critical, high, warning, low, info
"#,
    );
}

#[test]
fn presets_that_are_missing_misplaced_or_broken_are_told() {
    let folder = Folder::with(&[
        (
            "w.toml",
            "[[source]]\nname = \"a\"\nkind = \"json\"\n[[source]]\nname = \"b\"\nkind = \"json\"\npreset = \"zabix\"\n\
             [[source]]\nname = \"c\"\nkind = \"alertmanager\"\npreset = \"grafana\"\n\
             [[source]]\nname = \"d\"\nkind = \"json\"\npreset = \"own\"\n\
             [[source]]\nname = \"e\"\nkind = \"json\"\npreset = \"../w\"\n\
             [[source]]\nname = \"f\"\nkind = \"json\"\npreset = \"empty\"\n\
             [[source]]\nname = \"g\"\nkind = \"json\"\npreset = \"syntax\"\n",
        ),
        (
            "sources/own.toml",
            "title = \"x\"\nmpa = 1\n[map]\nkey = \"item.id\"\nurl = \"itm.url\"\n",
        ),
        ("sources/empty.toml", "title = \"x\"\n"),
        ("sources/syntax.toml", "[map]\nkey = payload\n"),
    ]);
    says(
        &folder.errors(Env::fixed([])),
        r#"
w.toml:1:1: source[0]: kind "json" needs a preset or a [source.map]
    hint: presets: argocd, azure-monitor, checkmk, cloudevents, cloudwatch, datadog, dynatrace, elastic, github, gitlab, google-cloud-monitoring, grafana, icinga2, kubernetes-events, librenms, mqtt, nagios, netdata, new-relic, prtg, sentry, splunk, uptime-kuma, zabbix; one of your own is the file sources/NAME.toml beside the main file
w.toml:7:10: source[1].preset: there is no preset "zabix"
    hint: did you mean "zabbix"?
w.toml:11:10: source[2].preset: kind "alertmanager" has a fixed meaning and takes no mapping
    hint: remove it, or write kind = "json"
sources/own.toml:2:1: mpa: unknown key
    hint: did you mean `map`?
sources/own.toml:5:7: map.url: `itm` is not a variable
    hint: known here: payload, item, labels, topic, headers, query; a text needs quotes inside, like 'itm'
w.toml:19:10: source[4].preset: there is no preset "../w"
    hint: presets: argocd, azure-monitor, checkmk, cloudevents, cloudwatch, datadog, dynatrace, elastic, github, gitlab, google-cloud-monitoring, grafana, icinga2, kubernetes-events, librenms, mqtt, nagios, netdata, new-relic, prtg, sentry, splunk, uptime-kuma, zabbix; one of your own is the file sources/NAME.toml beside the main file
sources/empty.toml:1:1: a preset needs a [map]
    hint: write [map] and the fields below it
sources/syntax.toml:2:7: not valid TOML: string values must be quoted, expected literal string
"#,
    );
}
