//! Mappings that come with Watchbell, one file per product.
//!
//! A file `sources/NAME.toml` beside the main configuration file takes the place of the preset of that name, or adds
//! one. Must not hold a fact about a product; those are in the files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::config::env::Env;
use crate::config::error::{Complaint, ConfigError, ConfigErrors};
use crate::config::files::{self, Files};
use crate::config::mapping;
use crate::config::reader::{Reading, Spot, expected};
use crate::config::settings::SourceKind;
use crate::config::tree::{self, Value};
use crate::config::values;
use crate::sources::mapping::{Mapping, MappingText};
use crate::sources::{Source, decoder};

/// Every preset: name and file.
const PRESETS: [(&str, &str); 24] = [
    ("argocd", include_str!("../../config/sources/argocd.toml")),
    (
        "azure-monitor",
        include_str!("../../config/sources/azure-monitor.toml"),
    ),
    ("checkmk", include_str!("../../config/sources/checkmk.toml")),
    (
        "cloudevents",
        include_str!("../../config/sources/cloudevents.toml"),
    ),
    (
        "cloudwatch",
        include_str!("../../config/sources/cloudwatch.toml"),
    ),
    ("datadog", include_str!("../../config/sources/datadog.toml")),
    (
        "dynatrace",
        include_str!("../../config/sources/dynatrace.toml"),
    ),
    ("elastic", include_str!("../../config/sources/elastic.toml")),
    ("github", include_str!("../../config/sources/github.toml")),
    ("gitlab", include_str!("../../config/sources/gitlab.toml")),
    (
        "google-cloud-monitoring",
        include_str!("../../config/sources/google-cloud-monitoring.toml"),
    ),
    ("grafana", include_str!("../../config/sources/grafana.toml")),
    ("icinga2", include_str!("../../config/sources/icinga2.toml")),
    (
        "kubernetes-events",
        include_str!("../../config/sources/kubernetes-events.toml"),
    ),
    (
        "librenms",
        include_str!("../../config/sources/librenms.toml"),
    ),
    ("mqtt", include_str!("../../config/sources/mqtt.toml")),
    ("nagios", include_str!("../../config/sources/nagios.toml")),
    ("netdata", include_str!("../../config/sources/netdata.toml")),
    (
        "new-relic",
        include_str!("../../config/sources/new-relic.toml"),
    ),
    ("prtg", include_str!("../../config/sources/prtg.toml")),
    ("sentry", include_str!("../../config/sources/sentry.toml")),
    ("splunk", include_str!("../../config/sources/splunk.toml")),
    (
        "uptime-kuma",
        include_str!("../../config/sources/uptime-kuma.toml"),
    ),
    ("zabbix", include_str!("../../config/sources/zabbix.toml")),
];
/// Other names under which a preset is found, as `plain` makes them.
const ALSO: [(&str, &str); 31] = [
    ("amazoncloudwatch", "cloudwatch"),
    ("awscloudwatch", "cloudwatch"),
    ("awssns", "cloudwatch"),
    ("azure", "azure-monitor"),
    ("azurecommon", "azure-monitor"),
    ("azuremonitorcommon", "azure-monitor"),
    ("checkmkraw", "checkmk"),
    ("cloudevent", "cloudevents"),
    ("cloudmonitoring", "google-cloud-monitoring"),
    ("elasticsearch", "elastic"),
    ("elasticwatcher", "elastic"),
    ("gcm", "google-cloud-monitoring"),
    ("gcp", "google-cloud-monitoring"),
    ("gcpmonitoring", "google-cloud-monitoring"),
    ("google", "google-cloud-monitoring"),
    ("googlecloud", "google-cloud-monitoring"),
    ("googlemonitoring", "google-cloud-monitoring"),
    ("icinga", "icinga2"),
    ("k8s", "kubernetes-events"),
    ("k8sevents", "kubernetes-events"),
    ("kibana", "elastic"),
    ("kubernetes", "kubernetes-events"),
    ("kubernetesevent", "kubernetes-events"),
    ("kuma", "uptime-kuma"),
    ("nagioscore", "nagios"),
    ("naemon", "nagios"),
    ("netdatacloud", "netdata"),
    ("sns", "cloudwatch"),
    ("splunkwebhook", "splunk"),
    ("stackdriver", "google-cloud-monitoring"),
    ("watcher", "elastic"),
];
/// Bytes of a preset file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Kinds that a preset can be for.
const KINDS: &[(&str, SourceKind)] = &[
    ("json", SourceKind::Json),
    ("cloudevents", SourceKind::CloudEvents),
    ("sns", SourceKind::Sns),
    ("mqtt", SourceKind::Mqtt),
    ("sparkplug", SourceKind::Sparkplug),
];

/// A preset, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in the configuration.
    pub name: String,
    /// The product.
    pub title: String,
    /// The kind that its examples are for.
    pub kind: SourceKind,
    /// The mapping.
    pub text: MappingText,
    /// The type under which the product sends, where it matters.
    pub content_type: Option<String>,
    /// Messages by what they show: `firing`, `resolved`, `test`, ...
    pub examples: Vec<(String, String)>,
}

impl Preset {
    /// The first of its messages that fires, or that tells of a change; empty when it has none.
    pub fn example(&self) -> &str {
        let named = |word: &str| self.examples.iter().find(|(name, _)| name == word);
        let found = named("firing").or_else(|| named("change"));
        found.map_or("", |(_, body)| body)
    }

    /// The compiled mapping.
    pub fn mapping(&self) -> Option<Mapping> {
        let mapping = Mapping::compile(&self.text).ok()?;
        Some(
            mapping
                .with_example(self.example())
                .with_wrapping(self.kind.word()),
        )
    }

    /// A decoder of this preset as it is.
    pub fn decoder(&self) -> Option<Arc<dyn Source>> {
        decoder(self.kind.word(), self.mapping().map(Arc::new).as_ref())
    }
}

/// The names of the presets that come with Watchbell, in alphabetic order.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// A name without what people write in different ways: `Uptime_Kuma` is `uptimekuma`.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// A preset that comes with Watchbell; its text is checked by a test.
///
/// # Errors
/// Its file is wrong.
pub fn builtin(name: &str) -> Result<Option<Preset>, ConfigErrors> {
    let plain_name = plain(name);
    let also = ALSO.iter().find(|(also, _)| *also == plain_name);
    let plain_name = also.map_or(plain_name, |(_, name)| plain(name));
    let Some((name, text)) = PRESETS.iter().find(|(known, _)| plain(known) == plain_name) else {
        return Ok(None);
    };
    parse(name, &format!("<built-in preset {name}>"), text).map(Some)
}

/// The operator's preset of this name, else the one that comes with Watchbell.
pub(super) fn find(name: &str, files: &Files) -> Result<Option<Preset>, ConfigErrors> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if !name.chars().all(is_plain) {
        return Ok(None);
    }
    let relative = Path::new("sources").join(format!("{name}.toml"));
    let own = files
        .beside_main(&relative)
        .filter(|path| fs::exists(path).unwrap_or(true));
    let Some(path) = own else {
        return builtin(name);
    };
    let shown = path.display().to_string();
    match files::read_text(&path, FILE_BYTES_MAX) {
        Ok(text) => parse(name, &shown, &text).map(Some),
        Err(cause) => Err(ConfigErrors(vec![ConfigError {
            file: shown,
            position: None,
            key: String::new(),
            message: format!("cannot read this file: {cause}"),
            hint: Some("check the path and who may read it".to_owned()),
        }])),
    }
}

fn parse(name: &str, shown: &str, text: &str) -> Result<Preset, ConfigErrors> {
    let (table, errors) = tree::parse(0, text);
    if !errors.is_empty() {
        let errors = errors.into_iter().map(|error| ConfigError {
            file: shown.to_owned(),
            position: Some(error.at.position),
            key: String::new(),
            message: format!("not valid TOML: {}", error.message),
            hint: None,
        });
        return Err(ConfigErrors(errors.collect()));
    }
    let (files, env) = (Files::of_one(shown), Env::fixed([]));
    let reading = Reading::new(&files, &env);
    let mut root = reading.root(&table);
    let mut preset = Preset {
        name: name.to_owned(),
        title: root
            .optional("title", values::text)
            .unwrap_or_else(|| name.to_owned()),
        kind: root
            .optional("kind", values::word(KINDS))
            .unwrap_or(SourceKind::Json),
        text: MappingText::default(),
        content_type: root.optional("content_type", values::text),
        examples: root.optional("example", examples).unwrap_or_default(),
    };
    match root.table("map") {
        Some(mut map) => {
            preset.text = mapping::fields(&mut map);
            mapping::compile(&map, &preset.text);
            map.finish();
        }
        None if root.has("map") => {}
        None => {
            let complaint = Complaint::new("a preset needs a [map]");
            root.refuse(None, complaint.hint("write [map] and the fields below it"));
        }
    }
    root.finish();
    reading.finish()?;
    Ok(preset)
}

fn examples(spot: &Spot<'_>) -> Result<Vec<(String, String)>, Complaint> {
    let Value::Table(table) = &spot.node.value else {
        return Err(expected("a table of messages", &spot.node.value));
    };
    let entry = |(name, (_, node)): (&String, &(tree::At, tree::Node))| {
        if let Value::Text(body) = &node.value {
            return Ok((name.clone(), body.to_string()));
        }
        Err(expected("a message in quotes", &node.value))
    };
    table.iter().map(entry).collect()
}
