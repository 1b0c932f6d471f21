//! Addresses, cables and tags: what belongs to items without being one.
//!
//! Must not add items.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::RelationRecord;
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::draft::{BY_RANK, identify, identify_address, identify_name, relation_as};
use crate::importers::netbox::links::Links;
use crate::importers::netbox::picture::{DEVICE, Drawing, MACHINE, add_once, add_tag, id};
use crate::importers::netbox::roles;
use crate::importers::netbox::rows::{Port, choice, reference, type_name};
use crate::importers::value::{Object, field, keep_text, object};

/// Addresses that several devices answer to identify none of them.
const SHARED_ROLES: [&str; 7] = [
    "anycast",
    "vip",
    "vrrp",
    "hsrp",
    "glbp",
    "carp",
    "secondary",
];

impl Drawing<'_> {
    /// Addresses and MAC addresses of interfaces identify the device or machine.
    pub(super) fn addresses(&mut self) {
        for (_, row) in self.rows.all("ipam.ipaddress") {
            let Some(owner) = self.assigned(row) else {
                continue;
            };
            let role = choice(row, "role").unwrap_or_default();
            let status = choice(row, "status").unwrap_or_default();
            let is_shared = SHARED_ROLES.contains(&role.as_str());
            let Some(record) = self.draft.get_mut(&owner) else {
                continue;
            };
            if is_shared || matches!(status.as_str(), "deprecated" | "reserved") {
                let address = field(row, "address").unwrap_or_default();
                keep_text(
                    record,
                    &format!("address {address}"),
                    if is_shared { &role } else { &status },
                );
                continue;
            }
            add_once(record, |record| {
                identify_address(record, &field(row, "address").unwrap_or_default());
                identify_name(record, &field(row, "dns_name").unwrap_or_default());
            });
        }
        for (_, row) in self.rows.all("dcim.macaddress") {
            if let Some(record) = self
                .assigned(row)
                .and_then(|owner| self.draft.get_mut(&owner))
            {
                let text = field(row, "mac_address").unwrap_or_default();
                add_once(record, |record| {
                    identify(record, IdentifierKind::Mac, &text);
                });
            }
        }
        for model in ["dcim.interface", "virtualization.vminterface"] {
            for (pk, row) in self.rows.all(model) {
                let text = field(row, "mac_address").unwrap_or_default();
                let owner = self.port_owner(&(model.into(), pk));
                if let Some(record) = owner.and_then(|owner| self.draft.get_mut(&owner)) {
                    add_once(record, |record| {
                        identify(record, IdentifierKind::Mac, &text);
                    });
                }
            }
        }
    }

    /// The item behind the interface that an address is assigned to.
    fn assigned(&self, row: &Object) -> Option<SmolStr> {
        let port = reference(row, "assigned_object_id")?;
        let kind = row.get("assigned_object_type").and_then(type_name)?;
        if let Some(interface) = object(row, "assigned_object") {
            let owner = [("device", DEVICE), ("virtual_machine", MACHINE)]
                .iter()
                .find_map(|(key, model)| Some(id(model, reference(interface, key)?)));
            if owner.is_some() {
                return owner;
            }
        }
        self.port_owner(&(kind, port))
    }

    /// The item that a port belongs to.
    fn port_owner(&self, port: &Port) -> Option<SmolStr> {
        let row = self.rows.get(&port.0, port.1)?;
        match port.0.as_str() {
            "virtualization.vminterface" => Some(id(MACHINE, reference(row, "virtual_machine")?)),
            "dcim.powerfeed" => Some(id(&port.0, port.1)),
            "circuits.circuittermination" => {
                Some(id("circuits.circuit", reference(row, "circuit")?))
            }
            _ => Some(id(DEVICE, reference(row, "device")?)),
        }
    }

    /// Power cables and network cables.
    pub(super) fn connections(&mut self, links: &Links) {
        let mut power: BTreeMap<SmolStr, BTreeSet<SmolStr>> = BTreeMap::new();
        let mut uplinks: BTreeMap<SmolStr, BTreeSet<SmolStr>> = BTreeMap::new();
        let mut peers: BTreeSet<(SmolStr, SmolStr)> = BTreeSet::new();
        for port in links.ports() {
            let is_power = port.0 == "dcim.powerport";
            if !is_power && port.0 != "dcim.interface" {
                continue;
            }
            let Some(own) = self.port_owner(port) else {
                continue;
            };
            for end in links.ends(port) {
                let Some(other) = self.port_owner(&end).filter(|other| *other != own) else {
                    continue;
                };
                if is_power {
                    power.entry(own.clone()).or_default().insert(other);
                    continue;
                }
                let (lower, higher) = (self.port_rank(port), self.port_rank(&end));
                if higher > lower {
                    uplinks.entry(own.clone()).or_default().insert(other);
                } else if higher == lower {
                    peers.insert((own.clone(), other));
                }
            }
        }
        for (device, feeds) in power {
            let feeds: Vec<SmolStr> = feeds.into_iter().collect();
            self.powered(&device, &feeds);
        }
        for (device, providers) in uplinks {
            let group = (providers.len() > 1).then_some(SmolStr::new_static("uplink"));
            for provider in providers {
                let link = relation_as(&device, &provider, RelationKind::ConnectsTo, Role::Net);
                self.relate(RelationRecord {
                    group: group.clone(),
                    confidence: Some(BY_RANK),
                    ..link
                });
            }
        }
        for (one, other) in peers {
            let link = relation_as(&one, &other, RelationKind::ConnectsTo, Role::Net);
            self.relate(RelationRecord {
                confidence: Some(BY_RANK / 2),
                ..link
            });
        }
    }

    pub(super) fn powered(&mut self, device: &str, feeds: &[SmolStr]) {
        let is_dual = feeds.len() > 1;
        for feed in feeds {
            let role = if is_dual { Role::Dual } else { Role::Single };
            let line = relation_as(device, feed, RelationKind::PoweredBy, role);
            let group = is_dual.then_some(SmolStr::new_static("power"));
            self.relate(RelationRecord { group, ..line });
        }
    }

    fn port_rank(&self, port: &Port) -> u8 {
        if port.0 == "circuits.circuittermination" {
            return 7;
        }
        let device = self
            .rows
            .get(&port.0, port.1)
            .and_then(|row| reference(row, "device"));
        let device = device.and_then(|pk| self.rows.get(DEVICE, pk));
        device.map_or(0, |row| roles::rank(&self.role(row)))
    }

    /// Tags of a dump; in the API they stand at the row.
    pub(super) fn tags(&mut self) {
        for (_, row) in self.rows.all("extras.taggeditem") {
            let kind = row.get("content_type").and_then(type_name);
            let tag = self.rows.name(row, "tag", "extras.tag");
            if let (Some(kind), Some(pk), Some(tag)) = (kind, reference(row, "object_id"), tag)
                && let Some(record) = self.draft.get_mut(&id(&kind, pk))
            {
                add_tag(record, &tag);
            }
        }
    }
}
