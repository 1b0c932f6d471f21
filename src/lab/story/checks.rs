//! What monitoring says about a CI that does badly: who says it, under which name, and how surely.
//!
//! Names follow the habits of the products that say such things; each has its own way to write down which CI it means.
//! Must not know why a CI does badly.

use crate::core::severity::Severity;
use crate::lab::estate::Class;
use crate::lab::story::fault::Health;

/// What an alert is a sign of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// It does not answer.
    Reach,
    /// A link is gone.
    Link,
    /// Something is used up.
    Resource,
    /// Users feel it.
    Symptom,
    /// Monitoring sees nothing.
    NoData,
    /// Somebody should tidy up.
    Config,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Scrapes machines: `name.site.example.net:9100`.
    Metrics,
    /// Checks hosts: short names, some in capitals.
    Checks,
    /// Receives traps: management addresses.
    Traps,
    /// Watches services from within: service names.
    Traces,
    /// Watches services from without: URLs.
    Probes,
    /// Runs virtual machines.
    Cloud,
    /// Runs the storage.
    Storage,
    /// Runs the building.
    Building,
}

impl System {
    /// Its name as a source.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Checks => "checks",
            Self::Traps => "traps",
            Self::Traces => "traces",
            Self::Probes => "probes",
            Self::Cloud => "cloud",
            Self::Storage => "san",
            Self::Building => "building",
        }
    }
}

/// One thing that monitoring may say.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Who.
    pub system: System,
    /// The name of the alert.
    pub name: &'static str,
    /// What it is a sign of.
    pub family: Family,
    /// How bad.
    pub severity: Severity,
    /// How likely it is said.
    pub probability: f64,
    /// Seconds until it is said, at least and at most.
    pub delay: (f64, f64),
}

const fn check(
    system: System,
    name: &'static str,
    family: Family,
    severity: Severity,
    probability: f64,
    delay: (f64, f64),
) -> Check {
    Check {
        system,
        name,
        family,
        severity,
        probability,
        delay,
    }
}

use Family::{Config, Link, NoData, Reach, Resource, Symptom};
use Severity::{Critical, High, Warning};
use System::{Building, Checks, Cloud, Metrics, Probes, Storage, Traces, Traps};

const fn info(system: System, name: &'static str, family: Family) -> Check {
    check(system, name, family, Severity::Low, 1.0, (5.0, 60.0))
}

static VM_DOWN: [Check; 3] = [
    check(Metrics, "InstanceDown", Reach, Critical, 0.9, (20.0, 90.0)),
    check(Checks, "HostDown", Reach, Critical, 0.6, (20.0, 120.0)),
    check(Cloud, "VmNotResponding", Reach, High, 0.3, (15.0, 60.0)),
];
static VM_BAD: [Check; 2] = [
    check(
        Metrics,
        "HostHighLoad",
        Resource,
        Warning,
        0.5,
        (60.0, 180.0),
    ),
    check(
        Metrics,
        "DiskLatencyHigh",
        Symptom,
        Warning,
        0.4,
        (60.0, 180.0),
    ),
];
static MACHINE_DOWN: [Check; 3] = [
    check(Checks, "HostDown", Reach, Critical, 0.85, (15.0, 90.0)),
    check(
        Cloud,
        "HostConnectionLost",
        Reach,
        Critical,
        0.8,
        (10.0, 60.0),
    ),
    check(Metrics, "InstanceDown", Reach, Critical, 0.6, (20.0, 90.0)),
];
static MACHINE_BAD: [Check; 2] = [
    check(
        Cloud,
        "HostCpuSaturated",
        Resource,
        High,
        0.85,
        (30.0, 150.0),
    ),
    check(
        Metrics,
        "HostHighLoad",
        Resource,
        Warning,
        0.5,
        (60.0, 180.0),
    ),
];
static SWITCH_DOWN: [Check; 2] = [
    check(
        Traps,
        "DeviceUnreachable",
        Reach,
        Critical,
        0.8,
        (10.0, 120.0),
    ),
    check(Traps, "UplinkDown", Link, Critical, 0.5, (5.0, 20.0)),
];
static SWITCH_BAD: [Check; 1] = [check(
    Traps,
    "PortErrors",
    Symptom,
    Warning,
    0.6,
    (60.0, 240.0),
)];
static PDU_DOWN: [Check; 1] = [check(
    Building,
    "PowerStripLost",
    Reach,
    High,
    0.6,
    (10.0, 90.0),
)];
static FEED_DOWN: [Check; 1] = [check(
    Building,
    "FeedLost",
    Reach,
    Critical,
    0.8,
    (5.0, 60.0),
)];
static LESS_REDUNDANT: [Check; 1] = [check(
    Traps,
    "RedundancyLost",
    Link,
    Warning,
    0.9,
    (10.0, 90.0),
)];
static ARRAY_DOWN: [Check; 2] = [
    check(
        Storage,
        "ArrayUnreachable",
        Reach,
        Critical,
        0.9,
        (10.0, 60.0),
    ),
    check(Storage, "PathsLost", Link, High, 0.5, (10.0, 60.0)),
];
static ARRAY_BAD: [Check; 2] = [
    check(
        Storage,
        "ArrayLatencyHigh",
        Symptom,
        High,
        0.8,
        (60.0, 200.0),
    ),
    check(
        Storage,
        "CacheDegraded",
        Resource,
        Warning,
        0.3,
        (20.0, 120.0),
    ),
];
static HELPER_DOWN: [Check; 2] = [
    check(Probes, "ProbeFailed", Reach, Critical, 0.7, (20.0, 120.0)),
    check(Checks, "HostDown", Reach, Critical, 0.5, (20.0, 150.0)),
];
static HELPER_BAD: [Check; 1] = [check(
    Probes,
    "ProbeSlow",
    Symptom,
    High,
    0.6,
    (60.0, 200.0),
)];
static WAN_DOWN: [Check; 1] = [check(Traps, "LinkDown", Link, Critical, 0.9, (5.0, 60.0))];
static WAN_BAD: [Check; 1] = [check(
    Traps,
    "PacketLoss",
    Symptom,
    High,
    0.75,
    (60.0, 200.0),
)];
static DATABASE_DOWN: [Check; 1] = [check(
    Metrics,
    "DatabaseDown",
    Reach,
    Critical,
    0.9,
    (20.0, 90.0),
)];
static DATABASE_BAD: [Check; 2] = [
    check(
        Metrics,
        "ReplicationLag",
        Symptom,
        High,
        0.45,
        (30.0, 120.0),
    ),
    check(Metrics, "SlowQueries", Symptom, Warning, 0.6, (60.0, 180.0)),
];
static SERVICE_DOWN: [Check; 3] = [
    check(Traces, "ServiceDown", Reach, Critical, 0.85, (20.0, 90.0)),
    check(Probes, "ProbeFailed", Reach, Critical, 0.7, (20.0, 120.0)),
    check(Traces, "HighErrorRate", Symptom, High, 0.5, (30.0, 150.0)),
];
static SERVICE_BAD: [Check; 3] = [
    check(Traces, "HighErrorRate", Symptom, High, 0.75, (30.0, 180.0)),
    check(Traces, "HighLatency", Symptom, Warning, 0.6, (60.0, 240.0)),
    check(Probes, "ProbeFailed", Symptom, Critical, 0.4, (30.0, 200.0)),
];
static CERTIFICATE_DOWN: [Check; 1] = [check(
    Probes,
    "CertificateExpired",
    Config,
    Critical,
    0.4,
    (30.0, 600.0),
)];
static BUSINESS_BAD: [Check; 1] = [check(
    Probes,
    "BusinessTransactionsLow",
    Symptom,
    Critical,
    0.6,
    (60.0, 240.0),
)];
static MONITOR_DOWN: [Check; 1] = [check(
    Checks,
    "MonitoringDown",
    Reach,
    Critical,
    0.6,
    (30.0, 150.0),
)];

/// What is said about a CI that has lost its monitoring.
pub static UNSEEN: [Check; 2] = [
    check(
        Metrics,
        "TargetMissing",
        NoData,
        Warning,
        0.6,
        (30.0, 150.0),
    ),
    check(
        Checks,
        "NoDataReceived",
        NoData,
        Warning,
        0.4,
        (60.0, 240.0),
    ),
];

/// What is said for no reason that matters.
pub static NOISE: [Check; 8] = [
    info(Metrics, "DiskWillFill", Config),
    check(Metrics, "HostHighLoad", Resource, Warning, 1.0, (5.0, 60.0)),
    check(Metrics, "ClockDrift", Config, Warning, 1.0, (5.0, 60.0)),
    info(Checks, "PackagesOutdated", Config),
    check(Metrics, "InstanceDown", Reach, Critical, 1.0, (5.0, 60.0)),
    check(Traces, "HighLatency", Symptom, Warning, 1.0, (5.0, 60.0)),
    check(Traps, "PortErrors", Symptom, Warning, 1.0, (5.0, 60.0)),
    info(Cloud, "SnapshotTooOld", Config),
];

/// What may be said about a CI of a class that does so badly.
pub fn checks(class: Class, health: Health) -> &'static [Check] {
    match (class, health) {
        (_, Health::LessRedundant) => &LESS_REDUNDANT,
        (Class::Vm, Health::Down) => &VM_DOWN,
        (Class::Vm, Health::Degraded) => &VM_BAD,
        (Class::Hypervisor, Health::Down) => &MACHINE_DOWN,
        (Class::Hypervisor, Health::Degraded) => &MACHINE_BAD,
        (Class::Tor | Class::Core, Health::Down) => &SWITCH_DOWN,
        (Class::Tor | Class::Core, Health::Degraded) => &SWITCH_BAD,
        (Class::Pdu, _) => &PDU_DOWN,
        (Class::Feed, _) => &FEED_DOWN,
        (Class::Array, Health::Down) => &ARRAY_DOWN,
        (Class::Array, Health::Degraded) => &ARRAY_BAD,
        (Class::Balancer | Class::Dns | Class::Directory | Class::Ntp, Health::Down) => {
            &HELPER_DOWN
        }
        (Class::Balancer | Class::Dns | Class::Directory | Class::Ntp, Health::Degraded) => {
            &HELPER_BAD
        }
        (Class::Wan, Health::Down) => &WAN_DOWN,
        (Class::Wan, Health::Degraded) => &WAN_BAD,
        (Class::Database, Health::Down) => &DATABASE_DOWN,
        (Class::Database, Health::Degraded) => &DATABASE_BAD,
        (Class::Application, Health::Down) => &SERVICE_DOWN,
        (Class::Application, Health::Degraded) => &SERVICE_BAD,
        (Class::Certificate, _) => &CERTIFICATE_DOWN,
        (Class::Business, _) => &BUSINESS_BAD,
        (Class::Monitor, _) => &MONITOR_DOWN,
        (Class::Site, _) => &[],
    }
}
