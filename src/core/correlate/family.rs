//! What kind of condition an alert speaks of, read from its words.
//!
//! One table, first match wins. Families decide what may explain what: a certificate that runs out next week is no
//! part of an outage, however near it lies. Must not look at the CMDB.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::observation::AlertText;
use crate::core::severity::Severity;

/// The kind of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// It cannot be reached: hard evidence.
    Reach,
    /// A link or port of it is down.
    Link,
    /// Something of it runs out or is overloaded.
    Resource,
    /// One of several feeds or links is gone; it works on.
    Redundancy,
    /// It does its work badly or not at all.
    Symptom,
    /// It is not seen; perhaps only the monitoring is broken.
    NoData,
    /// Configuration, certificates, backups, updates: never part of an outage of something else.
    Config,
    /// Nothing alerted here; inferred from what depends on it.
    Silent,
}

impl Family {
    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Link => "link",
            Self::Resource => "resource",
            Self::Redundancy => "redundancy",
            Self::Symptom => "symptom",
            Self::NoData => "nodata",
            Self::Config => "config",
            Self::Silent => "silent",
        }
    }

    /// Whether it is hard evidence that the CI itself is broken.
    pub const fn is_hard(self) -> bool {
        match self {
            Self::Reach | Self::Link => true,
            Self::Resource
            | Self::Redundancy
            | Self::Symptom
            | Self::NoData
            | Self::Config
            | Self::Silent => false,
        }
    }
}

/// Words and what they speak of; the first that occurs decides.
const WORDS: &[(&str, Family)] = &[
    ("certif", Family::Config),
    ("tlsexp", Family::Config),
    ("sslexp", Family::Config),
    ("x509", Family::Config),
    ("expir", Family::Config),
    ("backup", Family::Config),
    ("snapshot", Family::Config),
    ("outdated", Family::Config),
    ("tooold", Family::Config),
    ("too old", Family::Config),
    ("willfill", Family::Config),
    ("will fill", Family::Config),
    ("predict", Family::Config),
    ("config", Family::Config),
    ("drift", Family::Config),
    ("licen", Family::Config),
    ("ntp", Family::Config),
    ("clock", Family::Config),
    ("timedrift", Family::Config),
    ("cronjob", Family::Config),
    ("cron job", Family::Config),
    ("vulnerab", Family::Config),
    ("deprecat", Family::Config),
    ("pending", Family::Config),
    ("updates", Family::Config),
    ("almost full", Family::Config),
    ("almostfull", Family::Config),
    ("nearly full", Family::Config),
    ("nearlyfull", Family::Config),
    ("filling", Family::Config),
    ("spacelow", Family::Config),
    ("space low", Family::Config),
    ("low disk space", Family::Config),
    ("lowdiskspace", Family::Config),
    ("patch", Family::Config),
    ("update available", Family::Config),
    ("updateavailable", Family::Config),
    ("reboot required", Family::Config),
    ("rebootrequired", Family::Config),
    ("firmware", Family::Config),
    ("password", Family::Config),
    ("nodata", Family::NoData),
    ("no data", Family::NoData),
    ("no_data", Family::NoData),
    ("nometrics", Family::NoData),
    ("stale", Family::NoData),
    ("absent", Family::NoData),
    ("missing", Family::NoData),
    ("scrape", Family::NoData),
    ("agentunreach", Family::NoData),
    ("agent is not available", Family::NoData),
    ("agentdown", Family::NoData),
    ("redundan", Family::Redundancy),
    ("failover", Family::Symptom),
    ("replica", Family::Symptom),
    ("latency", Family::Symptom),
    ("error", Family::Symptom),
    ("slow", Family::Symptom),
    ("5xx", Family::Symptom),
    ("http", Family::Symptom),
    ("degraded", Family::Symptom),
    ("interface", Family::Link),
    ("portdown", Family::Link),
    ("port down", Family::Link),
    ("linkdown", Family::Link),
    ("link", Family::Link),
    ("carrier", Family::Link),
    ("bgp", Family::Link),
    ("ospf", Family::Link),
    ("flap", Family::Link),
    ("circuit", Family::Link),
    ("packet loss", Family::Link),
    ("packetloss", Family::Link),
    ("unreach", Family::Reach),
    ("down", Family::Reach),
    ("ping", Family::Reach),
    ("icmp", Family::Reach),
    ("not responding", Family::Reach),
    ("no response", Family::Reach),
    ("notresponding", Family::Reach),
    ("offline", Family::Reach),
    ("notready", Family::Reach),
    ("not ready", Family::Reach),
    ("dead", Family::Reach),
    ("lost", Family::Reach),
    ("poweroff", Family::Reach),
    ("power fail", Family::Reach),
    ("powerfail", Family::Reach),
    ("outage", Family::Reach),
    ("cpu", Family::Resource),
    ("memory", Family::Resource),
    ("disk", Family::Resource),
    ("filesystem", Family::Resource),
    ("swap", Family::Resource),
    ("load", Family::Resource),
    ("inode", Family::Resource),
    ("space", Family::Resource),
    ("oom", Family::Resource),
    ("quota", Family::Resource),
    ("throttl", Family::Resource),
    ("saturat", Family::Resource),
    ("pressure", Family::Resource),
    ("temperature", Family::Resource),
];

/// Labels in which senders put the name of the check.
const NAME_LABELS: [&str; 6] = [
    "alertname",
    "alert_name",
    "check",
    "check_name",
    "trigger",
    "event",
];

/// What an alert is called, without what it is about; empty when nothing says so.
pub fn name_of(text: &AlertText) -> SmolStr {
    let name = NAME_LABELS.iter().find_map(|label| text.label(label));
    SmolStr::new(name.unwrap_or_default())
}

/// Reads the family from name, then summary; what no word tells is a symptom, or a matter of resources when it is
/// not even a warning.
pub fn family_of(text: &AlertText, severity: Severity) -> Family {
    let name = name_of(text);
    family_of_words(&name)
        .or_else(|| family_of_words(&text.summary))
        .unwrap_or(match severity {
            Severity::Critical | Severity::High | Severity::Warning => Family::Symptom,
            Severity::Low | Severity::Info => Family::Resource,
        })
}

fn family_of_words(words: &str) -> Option<Family> {
    if words.is_empty() {
        return None;
    }
    let words = words.to_ascii_lowercase();
    let found = WORDS.iter().find(|(word, _)| words.contains(word));
    found.map(|&(_, family)| family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_usual_checks_are_understood() {
        for (name, family) in [
            ("InstanceDown", Family::Reach),
            ("PortDown", Family::Link),
            ("HighErrorRate", Family::Symptom),
            ("CertificateExpiry", Family::Config),
            ("Backup failed", Family::Config),
            ("HostHighCpuLoad", Family::Resource),
            ("NoData", Family::NoData),
            ("ICMP ping", Family::Reach),
            ("KubeNodeNotReady", Family::Reach),
            ("RedundancyLost", Family::Redundancy),
            ("HttpLatencyHigh", Family::Symptom),
        ] {
            assert_eq!(family_of_words(name), Some(family), "{name}");
        }
        assert_eq!(family_of_words("Frobnication"), None);
    }
}
