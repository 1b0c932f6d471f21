//! What a release must reach, frozen before anything was tuned.
//!
//! Must not be changed to fit a result. Gates are for the standard set; the dense estate has its own for macro F1.

use crate::lab::sets::{Ground, Set};

/// A bound on a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Gate {
    /// Whether a mean passes.
    pub fn is_passed(self, mean: f64) -> bool {
        match self {
            Self::AtLeast(least) => mean >= least,
            Self::AtMost(most) => mean <= most,
        }
    }

    /// As people write it.
    pub fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

/// The gates by metric: release, then the aim beyond it.
pub const GATES: [(&str, Gate, Gate); 15] = [
    ("macro_f1", Gate::AtLeast(0.88), Gate::AtLeast(0.93)),
    ("merged_outages", Gate::AtMost(0.08), Gate::AtMost(0.03)),
    ("noise_absorbed", Gate::AtMost(0.02), Gate::AtMost(0.005)),
    ("top1", Gate::AtLeast(0.78), Gate::AtLeast(0.90)),
    ("top1_observable", Gate::AtLeast(0.85), Gate::AtLeast(0.92)),
    ("top3_observable", Gate::AtLeast(0.95), Gate::AtLeast(0.98)),
    ("merged_pairs", Gate::AtMost(0.03), Gate::AtMost(0.01)),
    ("split_outages", Gate::AtMost(0.15), Gate::AtMost(0.05)),
    ("pair_f1", Gate::AtLeast(0.90), Gate::AtLeast(0.95)),
    ("ari", Gate::AtLeast(0.88), Gate::AtLeast(0.95)),
    ("b3_f1", Gate::AtLeast(0.90), Gate::AtLeast(0.95)),
    (
        "storm_compression",
        Gate::AtLeast(0.97),
        Gate::AtLeast(0.99),
    ),
    ("false_incidents", Gate::AtMost(5.0), Gate::AtMost(1.0)),
    ("services_f1", Gate::AtLeast(0.85), Gate::AtLeast(0.95)),
    ("cost_p99_us", Gate::AtMost(5_000.0), Gate::AtMost(500.0)),
];

/// The release gate of a metric in a world; `None` where there is none.
pub fn gate(metric: &str, set: Set, ground: Ground) -> Option<Gate> {
    let only = match set {
        Set::S1 => !matches!(
            metric,
            "storm_compression" | "false_incidents" | "cost_p99_us"
        ),
        Set::S3 => matches!(metric, "storm_compression" | "cost_p99_us"),
        Set::S4 => metric == "false_incidents",
        Set::S0 | Set::S2 | Set::S5 | Set::S6 => false,
    };
    if metric == "macro_f1" && ground == Ground::Dense {
        return only.then_some(Gate::AtLeast(0.85));
    }
    let found = GATES.iter().find(|(name, _, _)| *name == metric);
    found.filter(|_| only).map(|(_, release, _)| *release)
}
