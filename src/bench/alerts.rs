//! What alert `n` of pass `p` is: its labels, its fingerprint, its episode.
//!
//! Everything is a pure function of the seed, `n` and `p`, so that two runs with one seed send the same bytes and a
//! test can compute afterwards what the store has to hold. Must not read a clock or keep state.

use std::hash::Hasher;
use std::time::Duration;

use super::numbers::{Digits, hex};

/// How many labels an alert has.
pub(super) const LABEL_COUNT: usize = 8;
/// The separator of names and values under the fingerprint; it cannot occur in UTF-8.
const SEPARATOR: [u8; 1] = [0xFF];
/// One share of 1 in the fixed point of [`Population`].
const WHOLE: u64 = 1_000_000_000;
/// Alerts start within this many seconds after the epoch of the population.
const START_SPREAD_S: u64 = 3600;
/// Seconds from one episode of an alert to its next.
const EPISODE_S: u64 = 2;

const ALERT_NAMES: [&str; 10] = [
    "NodeDiskWillFill",
    "NodeMemoryPressure",
    "NodeClockSkewed",
    "NodeNetworkErrors",
    "NodeLoadTooHigh",
    "NodeServiceFailed",
    "NodeRaidDegraded",
    "NodeTimeOutOfSync",
    "NodeFileTableFull",
    "NodeBackupMissing",
];
const CLUSTERS: [&str; 4] = ["dc-east", "dc-west", "dc-north", "dc-south"];
const SEVERITIES: [&str; 4] = ["critical", "warning", "warning", "info"];
const TEAMS: [&str; 5] = ["storage", "network", "compute", "database", "platform"];

/// A label value in up to three pieces, so that it needs no buffer of its own.
pub(super) type Pieces<'a> = [&'a [u8]; 3];

/// All alerts of one seed.
#[derive(Debug, Clone)]
pub(super) struct Population {
    seed: u64,
    run: String,
    epoch_s: u64,
    resolve_share: u64,
}

/// The identity of one alert.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    number: Digits,
    host: Digits,
    variant: Digits,
    name: &'static str,
    cluster: &'static str,
    severity: &'static str,
    team: &'static str,
    run: &'a str,
}

/// One label of an alert.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) name: &'static str,
    /// The JSON from the end of the label before to the begin of the value.
    pub(super) json: &'static str,
    pub(super) value: Pieces<'a>,
}

/// What one pass says about one alert; times in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Whether this pass sends the alert as resolved.
    pub(super) is_resolved: bool,
    /// When the episode began; constant until a resolve was sent.
    pub(super) starts_s: u64,
    /// When the episode ended; has a meaning only if resolved.
    pub(super) ends_s: u64,
}

/// The value of the label `n` of alert `n`: the decimal number, which also stands in the ledger.
pub fn alert_label(n: u64) -> String {
    n.to_string()
}

/// The fingerprint of alert `n` of a seed as Alertmanager prints it: 16 lower-case hex digits.
pub fn fingerprint(seed: u64, n: u64) -> String {
    let population = Population::new(seed, 0, Duration::ZERO);
    format!("{:016x}", population.subject(n).fingerprint())
}

/// The fingerprint of any label set: FNV-1a 64 over name, 0xFF, value, 0xFF in order of the names, which the caller
/// has sorted by bytes (prometheus/common, `model/fnv.go` and `model/signature.go`).
pub fn label_fingerprint<'a>(sorted: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    for (name, value) in sorted {
        add_label(&mut hasher, name, [value.as_bytes(), b"", b""]);
    }
    hasher.finish()
}

impl Population {
    /// Makes the alerts of `seed`; they start at `epoch_s` (seconds since 1970) or within the hour after it, and
    /// each pass after the first resolves `resolve_share` of them (seconds of the duration = share, 0 to 1).
    pub(super) fn new(seed: u64, epoch_s: u64, resolve_share: Duration) -> Self {
        let share = u64::try_from(resolve_share.as_nanos()).unwrap_or(WHOLE);
        Self {
            seed,
            run: format!("s{seed}"),
            epoch_s,
            resolve_share: share.min(WHOLE),
        }
    }

    /// The name of this population: the value of the label `run`, equal in all its alerts.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Whether later passes resolve anything.
    pub(super) fn has_resolves(&self) -> bool {
        self.resolve_share > 0
    }

    /// Who alert `n` is.
    pub(super) fn subject(&self, n: u64) -> Subject<'_> {
        let dice = mix(self.seed, n);
        Subject {
            number: Digits::of(n),
            host: Digits::padded(n / 10, 7),
            variant: Digits::of(n / 10 % 5),
            name: pick(&ALERT_NAMES, n),
            cluster: pick(&CLUSTERS, n / 1000),
            severity: pick(&SEVERITIES, dice),
            team: pick(&TEAMS, dice >> 8),
            run: &self.run,
        }
    }

    /// What pass `pass` says about alert `n`.
    ///
    /// Resolves are spread evenly: each pass resolves the share of all alerts, and each alert is resolved in the
    /// share of all passes. Pass 0 fires everything. The pass after a resolve begins a new episode; with a share
    /// above one half an alert can be resolved twice in a row.
    pub(super) fn moment(&self, n: u64, pass: u64) -> Moment {
        let dice = mix(self.seed, n);
        let phase = (dice >> 16) % WHOLE;
        let resolves_until =
            |pass: u64| pass.wrapping_mul(self.resolve_share).wrapping_add(phase) / WHOLE;
        let before = resolves_until(pass.saturating_sub(1));
        let starts_s = self.epoch_s + (dice >> 24) % START_SPREAD_S + before * EPISODE_S;
        Moment {
            is_resolved: resolves_until(pass) != before,
            starts_s,
            ends_s: starts_s + EPISODE_S / 2,
        }
    }
}

impl Subject<'_> {
    /// The labels, sorted by name.
    pub(super) fn labels(&self) -> [Label<'_>; LABEL_COUNT] {
        let name = [self.name.as_bytes(), self.variant.as_bytes(), b""];
        [
            Label::new("alertname", r#"{"alertname":""#, name),
            Label::new("cluster", r#"","cluster":""#, one(self.cluster)),
            Label::new(
                "instance",
                r#"","instance":""#,
                [b"node-", self.host.as_bytes(), b":9100"],
            ),
            Label::new("job", r#"","job":""#, one("node")),
            Label::new("n", r#"","n":""#, [self.number.as_bytes(), b"", b""]),
            Label::new("run", r#"","run":""#, one(self.run)),
            Label::new("severity", r#"","severity":""#, one(self.severity)),
            Label::new("team", r#"","team":""#, one(self.team)),
        ]
    }

    /// Alertmanager's fingerprint of the labels.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = fnv::FnvHasher::default();
        for label in self.labels() {
            add_label(&mut hasher, label.name, label.value);
        }
        hasher.finish()
    }

    /// The fingerprint as 16 hex digits.
    pub(super) fn fingerprint_hex(&self) -> [u8; 16] {
        hex(self.fingerprint())
    }

    /// The alert name in its pieces.
    pub(super) fn name(&self) -> [&[u8]; 2] {
        [self.name.as_bytes(), self.variant.as_bytes()]
    }

    /// The number of the alert as digits.
    pub(super) fn number(&self) -> &[u8] {
        self.number.as_bytes()
    }

    /// How bad it is, in Prometheus' usual words.
    pub(super) fn severity(&self) -> &'static str {
        self.severity
    }

    /// The host number as digits.
    pub(super) fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }
}

impl<'a> Label<'a> {
    fn new(name: &'static str, json: &'static str, value: Pieces<'a>) -> Self {
        Self { name, json, value }
    }
}

fn one(value: &str) -> Pieces<'_> {
    [value.as_bytes(), b"", b""]
}

fn add_label(hasher: &mut fnv::FnvHasher, name: &str, value: Pieces<'_>) {
    hasher.write(name.as_bytes());
    hasher.write(&SEPARATOR);
    for piece in value {
        hasher.write(piece);
    }
    hasher.write(&SEPARATOR);
}

/// One draw per alert: `SplitMix64` at position `n` of the stream `seed`.
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xD134_2543_DE82_EF95)
        .wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn pick<const N: usize>(choices: &[&'static str; N], dice: u64) -> &'static str {
    let at = usize::try_from(dice).unwrap_or(usize::MAX) % N;
    choices.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(percent: u64) -> Duration {
        Duration::from_millis(percent * 10)
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        let vectors: [(&[(&str, &str)], u64); 4] = [
            (&[], 0xcbf2_9ce4_8422_2325),
            (
                &[
                    ("alertname", "DiskFull"),
                    ("instance", "db1:9100"),
                    ("severity", "critical"),
                ],
                0xefb0_c6c4_88e0_07da,
            ),
            (
                &[("alertname", "Watchdog"), ("severity", "none")],
                0x4488_81ef_475b_9b26,
            ),
            (
                &[("a.b", "x y"), ("alertname", "Ünïcode")],
                0x9efb_e6d8_c186_e9da,
            ),
        ];
        for (labels, expected) in vectors {
            assert_eq!(label_fingerprint(labels.iter().copied()), expected);
        }
    }

    #[test]
    fn labels_are_sorted_and_numbers_are_distinct() {
        let population = Population::new(7, 0, share(0));
        let subject = population.subject(12_345);
        let labels = subject.labels();
        assert!(labels.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(labels[4].value.concat(), alert_label(12_345).into_bytes());
        assert_ne!(fingerprint(7, 1), fingerprint(7, 2));
        assert_ne!(fingerprint(7, 1), fingerprint(8, 1));
    }

    #[test]
    fn every_pass_resolves_the_share_and_the_next_starts_anew() {
        let population = Population::new(1, 1000, share(10));
        for pass in 0..30 {
            let resolved = (0..10_000)
                .filter(|&n| population.moment(n, pass).is_resolved)
                .count();
            let expected = if pass == 0 { 0..=0 } else { 900..=1100 };
            assert!(
                expected.contains(&resolved),
                "pass {pass} resolved {resolved}"
            );
        }
        for n in 0..100 {
            for pass in 1..40 {
                let (before, now) = (population.moment(n, pass - 1), population.moment(n, pass));
                if before.is_resolved {
                    assert!(now.starts_s > before.ends_s, "a re-fire is a new episode");
                } else {
                    assert_eq!(now.starts_s, before.starts_s, "an episode keeps its start");
                }
            }
        }
    }

    #[test]
    fn without_resolves_nothing_changes_from_pass_to_pass() {
        let population = Population::new(1, 1000, share(0));
        assert_eq!(population.moment(5, 0), population.moment(5, 99));
    }
}
