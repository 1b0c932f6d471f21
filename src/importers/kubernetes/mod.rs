//! Kubernetes: nodes, workloads, pods, services and ingresses, as files (`kubectl get ... -o yaml`) or from the API.
//!
//! The uid identifies an object, since a name means another one after it was made again. A service of Kubernetes is no
//! business service, so its class is `kubernetes-service`. Source: the API conventions of Kubernetes. Must not read
//! secrets, config maps, or anything else that is not in the list of kinds.

pub mod fetch;

use std::collections::BTreeMap;

use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::classes::kebab;
use crate::importers::documents::{documents, heads_hold};
use crate::importers::draft::{Draft, identify, identify_address, identify_name, relation_as};
use crate::importers::value::{
    Object, at, criticality, field, is_true, items, keep, keep_text, object, objects, text,
};
use crate::importers::{Format, ImportError, NamedBytes};

/// Kinds that are items.
const KINDS: [&str; 10] = [
    "Node",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Service",
    "Ingress",
];
/// Pods that one service may select; more are a selector that selects everything.
const PODS_MAX: usize = 5_000;

/// The format.
pub struct Kubernetes;

impl Format for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        heads_hold(files, &["apiVersion", "kind", "metadata"])
            || heads_hold(files, &["apiVersion", "kind", "items"])
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut objects = Objects::default();
        for file in files {
            for document in documents(file)? {
                let place = format!("{}:{}", file.name, document.line);
                match document.value {
                    Ok(value) => objects.add(&place, value),
                    Err(error) => objects.draft.problem(&place, &error),
                }
            }
        }
        Ok(objects.draw())
    }
}

/// Objects by kind, namespace and name.
#[derive(Default)]
pub struct Objects {
    draft: Draft,
    found: BTreeMap<(SmolStr, SmolStr, SmolStr), Object>,
    left_out: BTreeMap<SmolStr, usize>,
}

impl Objects {
    /// Takes an object or a list of them.
    pub fn add(&mut self, place: &str, value: Value) {
        match value {
            Value::Array(list) => self.add_list(place, None, list),
            Value::Object(mut one) => {
                let kind = field(&one, "kind").unwrap_or_default();
                match one.get_mut("items").map(Value::take) {
                    Some(Value::Array(list)) => {
                        // In a list of one kind its items do not repeat it.
                        let inner = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
                        self.add_list(place, inner, list);
                    }
                    Some(_) | None => self.add_object(place, &kind, one),
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.draft
                    .problem(place, "expected an object with kind and metadata");
            }
        }
    }

    fn add_list(&mut self, place: &str, kind: Option<&str>, list: Vec<Value>) {
        for (index, one) in list.into_iter().enumerate() {
            let place = format!("{place}[{index}]");
            match one {
                Value::Object(one) => {
                    let kind = field(&one, "kind")
                        .or_else(|| kind.map(SmolStr::from))
                        .unwrap_or_default();
                    self.add_object(&place, &kind, one);
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => {
                    self.draft.problem(&place, "expected an object");
                }
            }
        }
    }

    fn add_object(&mut self, place: &str, kind: &str, one: Object) {
        if !KINDS.contains(&kind) {
            let count = self
                .left_out
                .entry(if kind.is_empty() {
                    "nothing".into()
                } else {
                    kind.into()
                })
                .or_default();
            *count = count.saturating_add(1);
            return;
        }
        let Some(name) = at(&one, &["metadata", "name"]) else {
            self.draft
                .problem(place, "the object has no metadata.name; it is left out");
            return;
        };
        let namespace = if kind == "Node" {
            SmolStr::default()
        } else {
            at(&one, &["metadata", "namespace"]).unwrap_or_else(|| "default".into())
        };
        // Pages overlap when objects come and go; the later one is the truth.
        self.found.insert((kind.into(), namespace, name), one);
    }

    /// The picture.
    pub fn draw(mut self) -> Picture {
        for ((kind, namespace, name), one) in &self.found {
            let record = record(kind, namespace, name, one);
            self.draft.ci(&format!("{kind} {namespace}/{name}"), record);
        }
        for ((kind, namespace, name), one) in &self.found {
            let own = id(kind, namespace, name, one);
            let mut made = owners(&own, one);
            match kind.as_str() {
                "Pod" => made.extend(self.node_of(&own, one)),
                "Service" => made.extend(self.pods_of(&own, namespace, one)),
                "Ingress" => made.extend(self.services_of(&own, namespace, one)),
                _ => {}
            }
            let place = format!("{kind} {namespace}/{name}");
            for relation in made {
                if self.draft.has(&relation.from) && self.draft.has(&relation.to) {
                    self.draft.relation(&place, relation);
                }
            }
        }
        for (kind, count) in &self.left_out {
            let text = format!("{count} objects of kind {kind} are not read");
            self.draft.problem(kind, &text);
        }
        self.draft.finish()
    }

    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<SmolStr> {
        let key = (kind.into(), namespace.into(), name.into());
        self.found
            .get(&key)
            .map(|one| id(kind, namespace, name, one))
    }

    fn node_of(&self, own: &str, pod: &Object) -> Option<RelationRecord> {
        let node = at(pod, &["spec", "nodeName"])?;
        let node = self.find("Node", "", &node)?;
        Some(relation_as(own, &node, RelationKind::RunsOn, Role::Host))
    }

    fn pods_of(&self, own: &str, namespace: &str, service: &Object) -> Vec<RelationRecord> {
        let selector = object(service, "spec").and_then(|spec| object(spec, "selector"));
        let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
            return Vec::new();
        };
        let start = ("Pod".into(), namespace.into(), SmolStr::default());
        let pods = self
            .found
            .range(start..)
            .take_while(|((kind, space, _), _)| kind == "Pod" && space == namespace);
        let mut made: Vec<_> = pods
            .filter(|(_, pod)| {
                let labels =
                    object(pod, "metadata").and_then(|metadata| object(metadata, "labels"));
                labels.is_some_and(|labels| {
                    selector
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
                })
            })
            .take(PODS_MAX)
            .map(|((kind, space, name), pod)| {
                relation_as(
                    own,
                    &id(kind, space, name, pod),
                    RelationKind::MemberOf,
                    Role::Member,
                )
            })
            .collect();
        if made.len() > 1 {
            for one in &mut made {
                one.group = Some("endpoints".into());
            }
        }
        made
    }

    fn services_of(&self, own: &str, namespace: &str, ingress: &Object) -> Vec<RelationRecord> {
        let Some(spec) = object(ingress, "spec") else {
            return Vec::new();
        };
        let paths = objects(spec, "rules")
            .filter_map(|rule| object(rule, "http"))
            .flat_map(|http| objects(http, "paths"))
            .filter_map(|path| object(path, "backend"));
        let default = ["defaultBackend", "backend"]
            .iter()
            .filter_map(|key| object(spec, key));
        paths
            .chain(default)
            .filter_map(|backend| {
                at(backend, &["service", "name"]).or_else(|| field(backend, "serviceName"))
            })
            .filter_map(|name| self.find("Service", namespace, &name))
            .map(|service| relation_as(own, &service, RelationKind::Uses, Role::Call))
            .collect()
    }
}

fn id(kind: &str, namespace: &str, name: &str, one: &Object) -> SmolStr {
    at(one, &["metadata", "uid"]).unwrap_or_else(|| {
        let kind = kebab(kind);
        if namespace.is_empty() {
            format_smolstr!("{kind}:{name}")
        } else {
            format_smolstr!("{kind}:{namespace}/{name}")
        }
    })
}

/// Who owns it lives as long as one of those it owns.
fn owners(own: &str, one: &Object) -> Vec<RelationRecord> {
    let Some(metadata) = object(one, "metadata") else {
        return Vec::new();
    };
    objects(metadata, "ownerReferences")
        .filter_map(|owner| field(owner, "uid"))
        .map(|owner| RelationRecord {
            group: Some("members".into()),
            ..relation_as(&owner, own, RelationKind::MemberOf, Role::Member)
        })
        .collect()
}

fn record(kind: &str, namespace: &str, name: &str, one: &Object) -> CiRecord {
    let empty = Object::new();
    let part = |key: &str| object(one, key).unwrap_or(&empty);
    let (metadata, spec, status) = (part("metadata"), part("spec"), part("status"));
    let mut record = CiRecord {
        id: id(kind, namespace, name, one),
        name: if namespace.is_empty() {
            name.into()
        } else {
            format_smolstr!("{namespace}/{name}")
        },
        class: if kind == "Service" {
            "kubernetes-service".into()
        } else {
            kebab(kind).into()
        },
        ..CiRecord::default()
    };
    keep_text(&mut record, "namespace", namespace);
    for (key, value) in object(metadata, "labels").into_iter().flatten() {
        keep(&mut record, &format!("label {key}"), value);
    }
    for place in ["labels", "annotations"] {
        for (key, value) in object(metadata, place).into_iter().flatten() {
            let value = text(value);
            match key.rsplit('/').next().unwrap_or_default() {
                "team" | "owner" => record.owner = value,
                "env" | "environment" => record.environment = value,
                "criticality" => record.criticality = value.and_then(|text| criticality(&text)),
                "zone" if kind == "Node" => record.site = value,
                _ => {}
            }
        }
    }
    match kind {
        "Node" => node(&mut record, spec, status),
        "Pod" => pod(&mut record, name, spec, status),
        "Service" => service(&mut record, namespace, name, spec),
        "Ingress" => {
            for rule in objects(spec, "rules") {
                identify_name(&mut record, &field(rule, "host").unwrap_or_default());
            }
        }
        // What a deployment leaves behind at each change.
        "ReplicaSet" => {
            record.is_retired = field(spec, "replicas").is_some_and(|count| count == "0");
        }
        _ => {}
    }
    if !matches!(kind, "Node" | "Pod" | "Service") {
        keep_text(
            &mut record,
            "replicas",
            &field(spec, "replicas").unwrap_or_default(),
        );
    }
    record
}

fn node(record: &mut CiRecord, spec: &Object, status: &Object) {
    for address in objects(status, "addresses") {
        identify_address(record, &field(address, "address").unwrap_or_default());
    }
    record
        .identifiers
        .retain(|one| one.kind != IdentifierKind::Alias || one.text != record.name);
    if let Some(provider) = field(spec, "providerID") {
        identify(
            record,
            IdentifierKind::Alias,
            provider.rsplit('/').next().unwrap_or_default(),
        );
        keep_text(record, "provider_id", &provider);
    }
    let info = object(status, "nodeInfo");
    let uuid = info
        .and_then(|info| field(info, "systemUUID"))
        .unwrap_or_default();
    identify(record, IdentifierKind::Serial, &uuid);
    for key in ["kubeletVersion", "osImage", "architecture"] {
        keep_text(
            record,
            key,
            &info.and_then(|info| field(info, key)).unwrap_or_default(),
        );
    }
}

fn pod(record: &mut CiRecord, name: &str, spec: &Object, status: &Object) {
    identify(record, IdentifierKind::Alias, name);
    // On the host network the address is that of the node.
    if !is_true(spec, "hostNetwork") {
        identify_address(record, &field(status, "podIP").unwrap_or_default());
    }
    let phase = field(status, "phase").unwrap_or_default();
    record.is_retired = matches!(phase.as_str(), "Succeeded" | "Failed");
    keep_text(record, "phase", &phase);
    keep_text(record, "node", &field(spec, "nodeName").unwrap_or_default());
}

fn service(record: &mut CiRecord, namespace: &str, name: &str, spec: &Object) {
    identify_name(record, &format!("{name}.{namespace}.svc.cluster.local"));
    identify(
        record,
        IdentifierKind::Alias,
        &format!("{name}.{namespace}"),
    );
    for key in ["clusterIP", "loadBalancerIP"] {
        // A headless service says None.
        let address = field(spec, key).filter(|address| address != "None");
        identify_address(record, &address.unwrap_or_default());
    }
    for address in items(spec, "externalIPs") {
        identify_address(record, &text(address).unwrap_or_default());
    }
    keep_text(record, "type", &field(spec, "type").unwrap_or_default());
}
