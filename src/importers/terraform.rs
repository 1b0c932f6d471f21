//! Terraform: the state file, version 4.
//!
//! A state holds passwords and keys in clear text. So attributes are taken from a short list only, and never those that
//! the state itself marks as sensitive. Source: the state format of Terraform 0.12 and later. Must not keep any other
//! attribute, and must not show one in a problem.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::core::cmdb::relation::RelationKind;
use crate::importers::documents::{heads_hold, json, malformed};
use crate::importers::draft::{Draft, identify, identify_address, identify_name, relation};
use crate::importers::value::{
    Object, criticality, field, items, keep_text, object, objects, text,
};
use crate::importers::{Format, ImportError, NamedBytes};

/// Attributes that are kept.
const KEPT: [&str; 14] = [
    "region",
    "availability_zone",
    "zone",
    "location",
    "instance_type",
    "machine_type",
    "size",
    "vm_size",
    "engine",
    "engine_version",
    "instance_state",
    "cluster_identifier",
    "resource_group_name",
    "project",
];
/// Attributes that identify a resource.
const NAMES: [&str; 12] = [
    "fqdn",
    "hostname",
    "dns_name",
    "private_dns",
    "public_dns",
    "private_ip",
    "public_ip",
    "private_ip_address",
    "public_ip_address",
    "ipv4_address",
    "access_ip_v4",
    "default_ip_address",
];
/// Resources that exist in the state only.
const NO_ITEMS: [&str; 9] = [
    "random_",
    "null_",
    "tls_",
    "local_",
    "time_",
    "terraform_",
    "template_",
    "external_",
    "http_",
];
/// Instances of one resource that one dependency links to; more say only that there are many.
const LINKS_MAX: usize = 100;

/// The format.
pub struct Terraform;

impl Format for Terraform {
    fn name(&self) -> &'static str {
        "terraform"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        heads_hold(files, &["\"terraform_version\"", "\"lineage\""])
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        for file in files {
            let state = json(file)?;
            let state = state
                .as_object()
                .ok_or_else(|| malformed(file, "expected a state file"))?;
            match state.get("version").and_then(Value::as_u64) {
                Some(4) => {}
                version => {
                    let problem = format!(
                        "version {version:?} of the state is not known; write it with `terraform state pull` of version 0.12 or later"
                    );
                    return Err(malformed(file, problem));
                }
            }
            read_state(&mut draft, &file.name, state);
        }
        Ok(draft.finish())
    }
}

/// Instances of a resource: the key and the id of each.
type Instances = BTreeMap<String, Vec<(Option<SmolStr>, SmolStr)>>;

fn read_state(draft: &mut Draft, file: &str, state: &Object) {
    let mut known = Instances::new();
    let mut dependencies = Vec::new();
    for (index, resource) in objects(state, "resources").enumerate() {
        let place = format!("{file}: resources[{index}]");
        let (Some(kind), Some(name)) = (field(resource, "type"), field(resource, "name")) else {
            draft.problem(&place, "the resource has no type or name; it is left out");
            continue;
        };
        let is_data = field(resource, "mode").is_some_and(|mode| mode == "data");
        if is_data || NO_ITEMS.iter().any(|prefix| kind.starts_with(prefix)) {
            continue;
        }
        let module = field(resource, "module").map_or(String::new(), |module| format!("{module}."));
        let address = format!("{module}{kind}.{name}");
        for instance in objects(resource, "instances") {
            if instance.contains_key("deposed") {
                continue;
            }
            let key = instance.get("index_key").and_then(text);
            let id = match instance.get("index_key") {
                Some(Value::String(key)) => format_smolstr!("{address}[\"{key}\"]"),
                Some(Value::Number(key)) => format_smolstr!("{address}[{key}]"),
                _ => address.as_str().into(),
            };
            let record = record(&id, &kind, &name, instance);
            if draft.ci(&place, record) {
                known
                    .entry(address.clone())
                    .or_default()
                    .push((key.clone(), id.clone()));
                let named = items(instance, "dependencies").iter().filter_map(text);
                dependencies.extend(named.map(|target| (id.clone(), key.clone(), target)));
            }
        }
    }
    for (from, key, target) in dependencies {
        let Some(instances) = known.get(target.as_str()) else {
            continue;
        };
        // The third machine uses the third disk.
        let twin = instances
            .iter()
            .find(|(other, _)| key.is_some() && *other == key);
        match twin {
            Some((_, to)) => link(draft, file, &from, to),
            None => instances
                .iter()
                .take(LINKS_MAX)
                .for_each(|(_, to)| link(draft, file, &from, to)),
        }
    }
}

fn link(draft: &mut Draft, file: &str, from: &str, to: &str) {
    if from != to {
        draft.relation(file, relation(from, to, RelationKind::DependsOn));
    }
}

fn record(id: &str, kind: &str, name: &str, instance: &Object) -> CiRecord {
    let empty = Object::new();
    let attributes = object(instance, "attributes").unwrap_or(&empty);
    let hidden = sensitive(instance);
    let read = |key: &str| {
        (!hidden.contains(key))
            .then(|| field(attributes, key))
            .flatten()
    };
    let tags: Vec<&Object> = ["tags", "tags_all", "labels", "user_labels"]
        .iter()
        .filter(|key| !hidden.contains(**key))
        .filter_map(|key| object(attributes, key))
        .collect();
    let tag = |words: &[&str]| {
        tags.iter().find_map(|tags| {
            let found = tags
                .iter()
                .find(|(key, _)| words.iter().any(|word| key.eq_ignore_ascii_case(word)));
            found.and_then(|(_, value)| text(value))
        })
    };
    let mut record = CiRecord {
        id: id.into(),
        name: tag(&["name"])
            .or_else(|| read("name"))
            .or_else(|| read("hostname"))
            .unwrap_or_else(|| name.into()),
        class: class(kind).into(),
        site: read("availability_zone")
            .or_else(|| read("zone"))
            .or_else(|| read("location"))
            .or_else(|| read("region")),
        environment: tag(&["environment", "env", "stage"]),
        owner: tag(&["owner", "team"]),
        criticality: tag(&["criticality", "tier"]).and_then(|text| criticality(&text)),
        ..CiRecord::default()
    };
    for key in ["id", "arn", "name", "self_link"] {
        identify(
            &mut record,
            IdentifierKind::Alias,
            &read(key).unwrap_or_default(),
        );
    }
    for key in NAMES {
        identify_name(&mut record, &read(key).unwrap_or_default());
    }
    identify_address(&mut record, &read("ip_address").unwrap_or_default());
    let own_name = record.name.clone();
    record.identifiers.retain(|one| one.text != own_name);
    for key in KEPT {
        keep_text(&mut record, key, &read(key).unwrap_or_default());
    }
    keep_text(&mut record, "terraform_type", kind);
    if field(instance, "status").is_some_and(|status| status == "tainted") {
        keep_text(&mut record, "terraform_status", "tainted");
    }
    record
}

/// Names of the attributes that the state marks as sensitive: `[[{"type": "get_attr", "value": "password"}]]`.
fn sensitive(instance: &Object) -> BTreeSet<SmolStr> {
    items(instance, "sensitive_attributes")
        .iter()
        .filter_map(|path| {
            let steps = path
                .as_array()
                .map_or(path, |steps| steps.first().unwrap_or(path));
            steps.as_object()
        })
        .filter_map(|step| field(step, "value"))
        .collect()
}

/// Machines, databases, load balancers and clusters of the large providers; other types are their own class.
fn class(kind: &str) -> &str {
    match kind {
        "aws_instance"
        | "google_compute_instance"
        | "azurerm_virtual_machine"
        | "azurerm_linux_virtual_machine"
        | "azurerm_windows_virtual_machine"
        | "openstack_compute_instance_v2"
        | "vsphere_virtual_machine"
        | "hcloud_server"
        | "digitalocean_droplet"
        | "proxmox_vm_qemu"
        | "libvirt_domain" => "vm",
        "aws_db_instance"
        | "aws_rds_cluster"
        | "google_sql_database_instance"
        | "azurerm_postgresql_flexible_server"
        | "azurerm_mssql_server"
        | "digitalocean_database_cluster"
        | "aws_dynamodb_table" => "database",
        "aws_lb"
        | "aws_alb"
        | "aws_elb"
        | "azurerm_lb"
        | "google_compute_forwarding_rule"
        | "hcloud_load_balancer"
        | "openstack_lb_loadbalancer_v2" => "load-balancer",
        "aws_eks_cluster" | "google_container_cluster" | "azurerm_kubernetes_cluster" => "cluster",
        other => other,
    }
}
