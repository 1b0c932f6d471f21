//! Targets of Prometheus: the answer of `/api/v1/targets`, or files of its file and HTTP service discovery.
//!
//! A target becomes an item `job/instance`, its host another one that it runs on. Source: the HTTP API and the
//! service discovery pages of Prometheus' own documentation. Must not believe that a target that is down is gone.

use std::collections::BTreeSet;

use serde_json::Value;
use smol_str::SmolStr;

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::documents::{documents, heads_hold};
use crate::importers::draft::{Draft, identify, identify_name, relation_as};
use crate::importers::value::{Object, field, keep, keep_text, object, objects, text};
use crate::importers::{Format, ImportError, NamedBytes};

/// Discovered labels that identify the machine behind a target.
const MACHINE_LABELS: [(&str, IdentifierKind); 7] = [
    ("__meta_kubernetes_node_name", IdentifierKind::Alias),
    ("__meta_ec2_instance_id", IdentifierKind::Alias),
    ("__meta_ec2_private_ip", IdentifierKind::Ip),
    ("__meta_gce_instance_id", IdentifierKind::Alias),
    ("__meta_azure_machine_id", IdentifierKind::Alias),
    ("__meta_openstack_instance_id", IdentifierKind::Alias),
    ("__meta_consul_node", IdentifierKind::Alias),
];

/// The format.
pub struct Prometheus;

impl Format for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        [
            &["\"activeTargets\""][..],
            &["\"targets\"", "["],
            &["- targets:"],
        ]
        .iter()
        .any(|words| heads_hold(files, words))
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        for file in files {
            for document in documents(file)? {
                let place = format!("{}:{}", file.name, document.line);
                match document.value {
                    Ok(value) => read_document(&mut draft, &place, &value),
                    Err(error) => draft.problem(&place, &error),
                }
            }
        }
        Ok(draft.finish())
    }
}

fn read_document(draft: &mut Draft, place: &str, value: &Value) {
    match value {
        Value::Array(groups) => {
            for (index, group) in groups.iter().enumerate() {
                let place = format!("{place}[{index}]");
                match group.as_object() {
                    Some(group) => discovered(draft, &place, group),
                    None => draft.problem(&place, "expected an object with targets and labels"),
                }
            }
        }
        Value::Object(answer) => match object(answer, "data") {
            Some(data) => {
                for (index, target) in objects(data, "activeTargets").enumerate() {
                    active(draft, &format!("{place}: activeTargets[{index}]"), target);
                }
            }
            None => {
                let error = field(answer, "error").unwrap_or_default();
                let text =
                    format!("no data in the answer; expected that of /api/v1/targets {error}");
                draft.problem(place, &text);
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            draft.problem(
                place,
                "expected the answer of /api/v1/targets, or a list of target groups",
            );
        }
    }
}

/// A group of file or HTTP service discovery.
fn discovered(draft: &mut Draft, place: &str, group: &Object) {
    let empty = Object::new();
    let labels = object(group, "labels").unwrap_or(&empty);
    let job = field(labels, "job").unwrap_or_else(|| "targets".into());
    let targets = group.get("targets").and_then(Value::as_array);
    for target in targets.into_iter().flatten() {
        match text(target) {
            Some(instance) => add(
                draft,
                place,
                &Target {
                    job: &job,
                    instance: &instance,
                    labels,
                    found: &empty,
                    health: None,
                },
            ),
            None => draft.problem(place, "a target is not a text"),
        }
    }
}

fn active(draft: &mut Draft, place: &str, target: &Object) {
    let empty = Object::new();
    let labels = object(target, "labels").unwrap_or(&empty);
    let found = object(target, "discoveredLabels").unwrap_or(&empty);
    let job = field(labels, "job").or_else(|| field(target, "scrapePool"));
    let instance = field(labels, "instance").or_else(|| field(found, "__address__"));
    let (Some(job), Some(instance)) = (job, instance) else {
        draft.problem(place, "the target has no labels job and instance");
        return;
    };
    let health = field(target, "health");
    add(
        draft,
        place,
        &Target {
            job: &job,
            instance: &instance,
            labels,
            found,
            health,
        },
    );
}

struct Target<'a> {
    job: &'a str,
    instance: &'a str,
    labels: &'a Object,
    found: &'a Object,
    health: Option<SmolStr>,
}

fn add(draft: &mut Draft, place: &str, target: &Target<'_>) {
    let id = format!("{}/{}", target.job, target.instance);
    let mut record = CiRecord {
        id: id.as_str().into(),
        class: "target".into(),
        name: id.as_str().into(),
        environment: field(target.labels, "env").or_else(|| field(target.labels, "environment")),
        ..CiRecord::default()
    };
    for (key, value) in target.labels {
        keep(&mut record, key, value);
    }
    if let Some(health) = &target.health {
        keep_text(&mut record, "health", health);
    }
    if draft.has(&id) {
        // The same target may be found by two ways.
        return;
    }
    draft.ci(place, record);
    let host = host_of(target.instance);
    if host.is_empty() || host == "localhost" || host.starts_with("127.") || host == "::1" {
        return;
    }
    let host_id = format!("host:{}", host.to_ascii_lowercase());
    if !draft.has(&host_id) {
        let mut machine = CiRecord {
            id: host_id.as_str().into(),
            class: "host".into(),
            name: host.into(),
            ..CiRecord::default()
        };
        identify_name(&mut machine, host);
        draft.ci(place, machine);
    }
    if let Some(machine) = draft.get_mut(&host_id) {
        let known: BTreeSet<_> = machine.identifiers.iter().cloned().collect();
        for (label, kind) in MACHINE_LABELS {
            let text = field(target.found, label).unwrap_or_default();
            if !known.iter().any(|one| one.text == text) {
                identify(machine, kind, &text);
            }
        }
    }
    draft.relation(
        place,
        relation_as(&id, &host_id, RelationKind::RunsOn, Role::Host),
    );
}

/// The host of `host`, `host:port`, `[::1]:port`, or of a URL as probes have it.
fn host_of(instance: &str) -> &str {
    let rest = instance
        .split_once("://")
        .map_or(instance, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    if let Some(inner) = rest.strip_prefix('[') {
        return inner.split(']').next().unwrap_or_default();
    }
    match rest.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address.
        Some((host, _)) if !host.contains(':') => host,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_every_form_of_an_instance() {
        let cases = [
            ("db1:9100", "db1"),
            ("[::1]:9100", "::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("https://shop.example/health?x", "shop.example"),
            ("http://shop.example:8080/", "shop.example"),
            ("plain", "plain"),
            ("", ""),
        ];
        for (instance, host) in cases {
            assert_eq!(host_of(instance), host, "{instance}");
        }
    }
}
