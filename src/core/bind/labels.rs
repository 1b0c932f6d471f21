//! THE list of labels that may name a CI, in the order in which they are tried: the most specific first.
//!
//! Names count without case. What an alert is about comes before what measured it: exporters that speak of others say
//! `pod` or `node` besides their own `instance`. A label that names a service comes last. Must not hold labels that say
//! what is wrong (`alertname`, `job`, `severity`).

use std::sync::LazyLock;

use hashbrown::HashMap;

/// Labels in the order in which they are tried.
pub const LABELS: [&str; 43] = [
    "ci",
    "ci_id",
    "cmdb_ci",
    "configuration_item",
    "instance_id",
    "instanceid",
    "resource_id",
    "resource",
    "vm_id",
    "system_uuid",
    "uuid",
    "serial",
    "mac",
    "pod",
    "pod_name",
    "vm",
    "virtual_machine",
    "vmname",
    "host",
    "hostname",
    "host_name",
    "node",
    "nodename",
    "node_name",
    "device",
    "device_name",
    "instance",
    "server",
    "machine",
    "fqdn",
    "ip",
    "ip_address",
    "address",
    "target",
    "database",
    "deployment",
    "statefulset",
    "daemonset",
    "application",
    "app",
    "cluster",
    "service_name",
    "service",
];

/// From here on labels name services.
const SERVICES_FROM: usize = 41;
/// Labels of a part of a device; tried first, together with the device.
pub const INTERFACES: [&str; 4] = ["interface", "ifname", "if_name", "port_name"];
/// Labels that tell sites apart.
pub const SITES: [&str; 6] = ["site", "datacenter", "dc", "location", "region", "zone"];
/// Labels that tell environments apart.
pub const ENVIRONMENTS: [&str; 3] = ["environment", "env", "stage"];
/// The label that pods and the like are named within.
pub const NAMESPACE: &str = "namespace";

static RANKS: LazyLock<HashMap<&'static str, usize, foldhash::fast::FixedState>> =
    LazyLock::new(|| LABELS.iter().copied().zip(0..).collect());

/// The place of a label in the list.
pub fn rank(name: &str) -> Option<usize> {
    if name.len() > 20 {
        return None;
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return RANKS.get(name.to_ascii_lowercase().as_str()).copied();
    }
    RANKS.get(name).copied()
}

/// Whether the label at that place names services.
pub(super) const fn is_service(rank: usize) -> bool {
    rank >= SERVICES_FROM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_come_last_and_case_does_not_count() {
        assert!(is_service(rank("Service").unwrap()));
        assert!(!is_service(rank("cluster").unwrap()));
        assert!(rank("pod") < rank("instance") && rank("instance") < rank("service"));
        assert_eq!((rank("alertname"), rank("job")), (None, None));
        assert_eq!(RANKS.len(), LABELS.len(), "a label stands there twice");
    }
}
