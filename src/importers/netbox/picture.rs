//! NetBox' rows as items and relations.
//!
//! Devices, machines, clusters, virtual chassis, racks, sites, circuits, power feeds and services are items; interfaces,
//! addresses and cables become identifiers and relations of theirs. Where something stands is a relation with little
//! confidence: a site that burns explains a lot, but nobody plugs a device into a rack. Must not guess addresses.

use std::collections::BTreeMap;

use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, RelationRecord};
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::draft::{
    BY_PLACE, Draft, identify, identify_address, identify_name, relation, relation_as,
};
use crate::importers::netbox::links::Links;
use crate::importers::netbox::roles;
use crate::importers::netbox::rows::{Rows, choice, custom, reference, type_name};
use crate::importers::value::{Object, at, criticality, field, items, keep, keep_text, object};

pub(super) const DEVICE: &str = "dcim.device";
pub(super) const MACHINE: &str = "virtualization.virtualmachine";
/// Fields that are read, or that say nothing to people.
const PLAIN_FIELDS: [&str; 9] = [
    "description",
    "comments",
    "asset_tag",
    "position",
    "face",
    "airflow",
    "facility",
    "physical_address",
    "time_zone",
];

/// Draws everything.
pub fn draw(rows: &Rows, draft: &mut Draft) {
    let links = Links::new(rows);
    let mut drawing = Drawing { rows, draft };
    drawing.places();
    drawing.devices();
    drawing.machines();
    drawing.circuits();
    drawing.services();
    drawing.addresses();
    drawing.connections(&links);
    drawing.tags();
}

/// The picture in the making.
pub(super) struct Drawing<'a> {
    pub(super) rows: &'a Rows,
    pub(super) draft: &'a mut Draft,
}

/// The id of a row's item.
pub(super) fn id(model: &str, pk: u64) -> SmolStr {
    let (_, kind) = model.rsplit_once('.').unwrap_or(("", model));
    format_smolstr!("netbox:{kind}:{pk}")
}

impl Drawing<'_> {
    /// A record with what all rows have in common.
    fn record(&self, model: &str, pk: u64, row: &Object) -> CiRecord {
        let name = field(row, "name")
            .or_else(|| field(row, "display"))
            .unwrap_or_default();
        let mut record = CiRecord {
            id: id(model, pk),
            name,
            site: self.rows.name(row, "site", "dcim.site"),
            rack: self.rows.name(row, "rack", "dcim.rack"),
            environment: custom(row, "environment").or_else(|| custom(row, "env")),
            criticality: custom(row, "criticality").and_then(|text| criticality(&text)),
            owner: self.owner(row),
            ..CiRecord::default()
        };
        if let Some(status) = choice(row, "status") {
            record.is_retired = matches!(
                status.as_str(),
                "decommissioning"
                    | "decommissioned"
                    | "deprovisioning"
                    | "retired"
                    | "inventory"
                    | "deprecated"
            );
            keep_text(&mut record, "status", &status);
        }
        for key in PLAIN_FIELDS {
            if let Some(value) = row.get(key) {
                keep(&mut record, key, value);
            }
        }
        for place in ["custom_fields", "custom_field_data"] {
            for (key, value) in object(row, place).into_iter().flatten() {
                keep(&mut record, &format!("cf_{key}"), value);
            }
        }
        if let Some(address) = field(row, "url").or_else(|| field(row, "display_url")) {
            keep_text(&mut record, "netbox_url", &address);
        }
        for tag in items(row, "tags").iter().filter_map(|tag| tag.get("name")) {
            if let Some(tag) = crate::importers::value::text(tag) {
                add_tag(&mut record, &tag);
            }
        }
        record
    }

    fn owner(&self, row: &Object) -> Option<SmolStr> {
        custom(row, "owner")
            .or_else(|| at(row, &["owner", "name"]))
            .or_else(|| self.rows.name(row, "tenant", "tenancy.tenant"))
    }

    /// Adds an item of a class and, if it says so, where it stands.
    fn add(&mut self, model: &str, pk: u64, row: &Object, class: &str) {
        let mut record = self.record(model, pk, row);
        record.class = class.into();
        self.take(model, pk, row, record);
    }

    fn take(&mut self, model: &str, pk: u64, row: &Object, record: CiRecord) {
        let (own, place) = (record.id.clone(), format!("{model} {pk}"));
        if !self.draft.ci(&place, record) {
            return;
        }
        let rack = reference(row, "rack").map(|rack| ("dcim.rack", rack));
        let site = reference(row, "site").map(|site| ("dcim.site", site));
        if let Some((model, pk)) = rack.or(site)
            && self.rows.get(model, pk).is_some()
        {
            let stands = relation_as(&own, &id(model, pk), RelationKind::DependsOn, Role::Part);
            self.relate(RelationRecord {
                confidence: Some(BY_PLACE),
                ..stands
            });
        }
    }

    pub(super) fn relate(&mut self, relation: RelationRecord) {
        let place = format!("{} to {}", relation.from, relation.to);
        self.draft.relation(&place, relation);
    }

    /// Sites, racks, panels and feeds.
    fn places(&mut self) {
        for (pk, row) in self.rows.all("dcim.site") {
            self.add("dcim.site", pk, row, "site");
        }
        for (pk, row) in self.rows.all("dcim.rack") {
            self.add("dcim.rack", pk, row, "rack");
        }
        for (pk, row) in self.rows.all("dcim.powerpanel") {
            self.add("dcim.powerpanel", pk, row, "power-panel");
        }
        let mut racks: BTreeMap<u64, Vec<SmolStr>> = BTreeMap::new();
        for (pk, row) in self.rows.all("dcim.powerfeed") {
            let mut record = self.record("dcim.powerfeed", pk, row);
            record.class = "power-feed".into();
            for key in ["type", "supply", "phase", "voltage", "amperage"] {
                keep_text(&mut record, key, &choice(row, key).unwrap_or_default());
            }
            let own = record.id.clone();
            let panel = reference(row, "power_panel");
            let panel_row = panel.and_then(|pk| self.rows.get("dcim.powerpanel", pk));
            if let Some(panel_row) = panel_row {
                record.site = self.rows.name(panel_row, "site", "dcim.site");
            }
            // A feed ends in a rack; it does not depend on it.
            if !self.draft.ci(&format!("dcim.powerfeed {pk}"), record) {
                continue;
            }
            if let (Some(panel), Some(_)) = (panel, panel_row) {
                let to = id("dcim.powerpanel", panel);
                self.relate(relation_as(
                    &own,
                    &to,
                    RelationKind::PoweredBy,
                    Role::Single,
                ));
            }
            if let Some(rack) = reference(row, "rack") {
                racks.entry(rack).or_default().push(own);
            }
        }
        for (rack, feeds) in racks {
            self.powered(&id("dcim.rack", rack), &feeds);
        }
    }

    fn devices(&mut self) {
        for (pk, row) in self.rows.all(DEVICE) {
            let role = self.role(row);
            let mut record = self.record(DEVICE, pk, row);
            record.class = roles::class(&role).into();
            record.name = self.device_name(pk, row);
            identify(
                &mut record,
                IdentifierKind::Serial,
                &field(row, "serial").unwrap_or_default(),
            );
            identify(
                &mut record,
                IdentifierKind::Serial,
                &field(row, "asset_tag").unwrap_or_default(),
            );
            if let Some(display) = field(row, "display")
                && display != record.name
            {
                identify(&mut record, IdentifierKind::Alias, &display);
            }
            keep_text(&mut record, "role", &role);
            self.keep_type(&mut record, row);
            self.keep_platform(&mut record, row);
            primary_addresses(&mut record, row);
            self.take(DEVICE, pk, row, record);
        }
        let mut stacks: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (pk, row) in self.rows.all(DEVICE) {
            if let Some(stack) = reference(row, "virtual_chassis") {
                stacks.entry(stack).or_default().push(pk);
            }
        }
        for (pk, row) in self.rows.all("dcim.virtualchassis") {
            let members = stacks.remove(&pk).unwrap_or_default();
            self.chassis(pk, row, &members);
        }
        for (_, bay) in self.rows.all("dcim.devicebay") {
            if let (Some(blade), Some(chassis)) =
                (reference(bay, "installed_device"), reference(bay, "device"))
            {
                self.relate(relation_as(
                    &id(DEVICE, blade),
                    &id(DEVICE, chassis),
                    RelationKind::HostedOn,
                    Role::Host,
                ));
            }
        }
    }

    /// A stack whose name is the one that monitoring knows; it lives as long as one of its members does.
    fn chassis(&mut self, pk: u64, row: &Object, members: &[u64]) {
        let master = reference(row, "master").and_then(|master| self.rows.get(DEVICE, master));
        let mut record = self.record("dcim.virtualchassis", pk, row);
        record.class = master
            .map_or("switch".to_owned(), |row| roles::class(&self.role(row)))
            .into();
        record.site = master.and_then(|row| self.rows.name(row, "site", "dcim.site"));
        identify_name(&mut record, &field(row, "domain").unwrap_or_default());
        let own = record.id.clone();
        if !self.draft.ci(&format!("dcim.virtualchassis {pk}"), record) {
            return;
        }
        self.members(&own, members);
    }

    fn members(&mut self, whole: &str, devices: &[u64]) {
        for device in devices {
            let member = relation_as(
                whole,
                &id(DEVICE, *device),
                RelationKind::MemberOf,
                Role::Member,
            );
            let group = (devices.len() > 1).then_some(SmolStr::new_static("members"));
            self.relate(RelationRecord { group, ..member });
        }
    }

    /// The role's slug; `device_role` before version 3.6.
    pub(super) fn role(&self, row: &Object) -> SmolStr {
        ["role", "device_role"]
            .iter()
            .find_map(|key| {
                self.rows
                    .referred(row, key, "dcim.devicerole", &["slug", "name", "display"])
            })
            .unwrap_or_else(|| "device".into())
    }

    /// Its name, or as NetBox calls devices without one.
    fn device_name(&self, pk: u64, row: &Object) -> SmolStr {
        if let Some(name) = field(row, "name").or_else(|| field(row, "display")) {
            return name;
        }
        if let Some(chassis) = self
            .rows
            .name(row, "virtual_chassis", "dcim.virtualchassis")
        {
            let position = field(row, "vc_position").unwrap_or_default();
            return format_smolstr!("{chassis}:{position} ({pk})");
        }
        match self.rows.name(row, "device_type", "dcim.devicetype") {
            Some(model) => format_smolstr!("{model} ({pk})"),
            None => id(DEVICE, pk),
        }
    }

    fn keep_type(&self, record: &mut CiRecord, row: &Object) {
        let kind = match row.get("device_type") {
            Some(serde_json::Value::Object(kind)) => Some(kind),
            _ => reference(row, "device_type").and_then(|pk| self.rows.get("dcim.devicetype", pk)),
        };
        if let Some(kind) = kind {
            keep_text(record, "model", &field(kind, "model").unwrap_or_default());
            let maker = self.rows.name(kind, "manufacturer", "dcim.manufacturer");
            keep_text(record, "manufacturer", &maker.unwrap_or_default());
        }
    }

    fn keep_platform(&self, record: &mut CiRecord, row: &Object) {
        let platform = self.rows.name(row, "platform", "dcim.platform");
        keep_text(record, "platform", &platform.unwrap_or_default());
        let location = self.rows.name(row, "location", "dcim.location");
        keep_text(record, "location", &location.unwrap_or_default());
    }

    fn machines(&mut self) {
        let mut hosts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (pk, row) in self.rows.all(DEVICE) {
            if let Some(cluster) = reference(row, "cluster") {
                hosts.entry(cluster).or_default().push(pk);
            }
        }
        for (pk, row) in self.rows.all("virtualization.cluster") {
            let mut record = self.record("virtualization.cluster", pk, row);
            record.class = "cluster".into();
            // Since version 4.2 a cluster has a scope in place of a site.
            record.site = record.site.or_else(|| at(row, &["scope", "name"]));
            let kind = self.rows.name(row, "type", "virtualization.clustertype");
            keep_text(&mut record, "type", &kind.unwrap_or_default());
            let own = record.id.clone();
            self.take("virtualization.cluster", pk, row, record);
            if let Some(devices) = hosts.get(&pk) {
                self.members(&own, devices);
            }
        }
        for (pk, row) in self.rows.all(MACHINE) {
            let mut record = self.record(MACHINE, pk, row);
            record.class = "vm".into();
            identify(
                &mut record,
                IdentifierKind::Serial,
                &field(row, "serial").unwrap_or_default(),
            );
            let role = self
                .rows
                .referred(row, "role", "dcim.devicerole", &["slug", "name"]);
            keep_text(&mut record, "role", &role.unwrap_or_default());
            self.keep_platform(&mut record, row);
            for key in ["vcpus", "memory", "disk"] {
                keep_text(&mut record, key, &field(row, key).unwrap_or_default());
            }
            primary_addresses(&mut record, row);
            let own = record.id.clone();
            if !self.draft.ci(&format!("{MACHINE} {pk}"), record) {
                continue;
            }
            for (key, model) in [("cluster", "virtualization.cluster"), ("device", DEVICE)] {
                if let Some(host) = reference(row, key) {
                    self.relate(relation_as(
                        &own,
                        &id(model, host),
                        RelationKind::HostedOn,
                        Role::Host,
                    ));
                }
            }
        }
    }

    fn circuits(&mut self) {
        for (pk, row) in self.rows.all("circuits.provider") {
            self.add("circuits.provider", pk, row, "provider");
        }
        for (pk, row) in self.rows.all("circuits.providernetwork") {
            self.add("circuits.providernetwork", pk, row, "provider-network");
            if let Some(provider) = reference(row, "provider") {
                let (from, to) = (
                    id("circuits.providernetwork", pk),
                    id("circuits.provider", provider),
                );
                self.relate(relation(&from, &to, RelationKind::DependsOn));
            }
        }
        for (pk, row) in self.rows.all("circuits.circuit") {
            let mut record = self.record("circuits.circuit", pk, row);
            record.class = "circuit".into();
            record.name = field(row, "cid").unwrap_or(record.name);
            let kind = self.rows.name(row, "type", "circuits.circuittype");
            keep_text(&mut record, "type", &kind.unwrap_or_default());
            keep_text(
                &mut record,
                "commit_rate",
                &field(row, "commit_rate").unwrap_or_default(),
            );
            let own = record.id.clone();
            self.draft.ci(&format!("circuits.circuit {pk}"), record);
            if let Some(provider) = reference(row, "provider") {
                self.relate(relation(
                    &own,
                    &id("circuits.provider", provider),
                    RelationKind::DependsOn,
                ));
            }
        }
        for (_, row) in self.rows.all("circuits.circuittermination") {
            let network = reference(row, "provider_network")
                .or_else(|| scoped(row, "termination", "circuits.providernetwork"));
            if let (Some(circuit), Some(network)) = (reference(row, "circuit"), network) {
                let (from, to) = (
                    id("circuits.circuit", circuit),
                    id("circuits.providernetwork", network),
                );
                self.relate(relation_as(&from, &to, RelationKind::ConnectsTo, Role::Net));
            }
        }
    }

    /// A service of NetBox is a program that listens; a business service is something else.
    fn services(&mut self) {
        for (pk, row) in self.rows.all("ipam.service") {
            let host = [("device", DEVICE), ("virtual_machine", MACHINE)]
                .iter()
                .find_map(|(key, model)| Some(id(model, reference(row, key)?)))
                .or_else(|| {
                    let kind = row.get("parent_object_type").and_then(type_name)?;
                    Some(id(&kind, reference(row, "parent_object_id")?))
                });
            let mut record = self.record("ipam.service", pk, row);
            record.class = "application".into();
            if let Some(ports) = row.get("ports") {
                keep(&mut record, "ports", ports);
            }
            keep_text(
                &mut record,
                "protocol",
                &choice(row, "protocol").unwrap_or_default(),
            );
            let own = record.id.clone();
            if let (true, Some(host)) = (self.draft.ci(&format!("ipam.service {pk}"), record), host)
            {
                self.relate(relation_as(&own, &host, RelationKind::RunsOn, Role::Host));
            }
        }
    }
}

/// `termination_type` and `termination_id`, which replaced single fields in version 4.2.
fn scoped(row: &Object, key: &str, model: &str) -> Option<u64> {
    let kind = row.get(&format!("{key}_type")).and_then(type_name)?;
    (kind == model)
        .then(|| reference(row, &format!("{key}_id")))
        .flatten()
}

/// The addresses that the API shows at the device itself.
fn primary_addresses(record: &mut CiRecord, row: &Object) {
    for key in ["primary_ip4", "primary_ip6", "primary_ip", "oob_ip"] {
        if let Some(address) = object(row, key) {
            add_once(record, |record| {
                identify_address(record, &field(address, "address").unwrap_or_default());
                identify_name(record, &field(address, "dns_name").unwrap_or_default());
            });
        }
    }
}

/// Adds identifiers that are not there yet.
pub(super) fn add_once(record: &mut CiRecord, add: impl FnOnce(&mut CiRecord)) {
    let mut fresh = CiRecord::default();
    add(&mut fresh);
    for one in fresh.identifiers {
        if !record.identifiers.contains(&one) {
            record.identifiers.push(one);
        }
    }
}

pub(super) fn add_tag(record: &mut CiRecord, tag: &str) {
    let tags = match record.attributes.get("tags") {
        Some(tags) => format!("{tags}, {tag}"),
        None => tag.to_owned(),
    };
    keep_text(record, "tags", &tags);
}
