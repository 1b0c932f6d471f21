//! The two ladders: what a source says (severity) and how soon people must act (priority).
//!
//! Must not know any sender's own words; sources translate into [`Severity`].

use serde::{Deserialize, Serialize};

/// How bad a source says an alert is; `critical` is worst and sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Service is lost or about to be.
    Critical,
    /// A serious failure.
    High,
    /// Something that needs a look.
    Warning,
    /// Minor.
    Low,
    /// For the record.
    Info,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 5] = [
        Self::Critical,
        Self::High,
        Self::Warning,
        Self::Low,
        Self::Info,
    ];

    /// The word used in API, config and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Warning => "warning",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    /// Reads a word of the ladder, in any letter case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.word().eq_ignore_ascii_case(word))
    }
}

/// How soon people must act: `P1` is most urgent and sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Act now, whatever the hour.
    P1,
    /// Act within minutes.
    P2,
    /// Act today.
    P3,
    /// Plan it.
    P4,
    /// For the record.
    P5,
}

/// Impact and urgency, each 1 (most) to 3 (least).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grade {
    /// How much of the business is reached.
    pub impact: u8,
    /// How fast it gets worse.
    pub urgency: u8,
}

impl Priority {
    /// Every priority, most urgent first.
    pub const ALL: [Self; 5] = [Self::P1, Self::P2, Self::P3, Self::P4, Self::P5];

    /// The word used in API, config and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
        }
    }

    /// Reads `P1` to `P5`, in any letter case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.word().eq_ignore_ascii_case(word))
    }

    /// The priority of an impact and an urgency: the ITIL 3 × 3 matrix.
    pub const fn of(grade: Grade) -> Self {
        match grade.impact.saturating_add(grade.urgency) {
            0..=2 => Self::P1,
            3 => Self::P2,
            4 => Self::P3,
            5 => Self::P4,
            _ => Self::P5,
        }
    }
}

impl Grade {
    /// The grade of an incident about which nothing but the severity is known: critical P2, high P3,
    /// warning P4, low and info P5. Nothing becomes P1 without knowing what it reaches.
    pub const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self {
                impact: 2,
                urgency: 1,
            },
            Severity::High => Self {
                impact: 2,
                urgency: 2,
            },
            Severity::Warning => Self {
                impact: 2,
                urgency: 3,
            },
            Severity::Low | Severity::Info => Self {
                impact: 3,
                urgency: 3,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_alone_gives_the_documented_priorities() {
        let got = Severity::ALL.map(|severity| Priority::of(Grade::of_severity(severity)).word());
        assert_eq!(got, ["P2", "P3", "P4", "P5", "P5"]);
    }

    #[test]
    fn words_round_trip_in_any_case() {
        for severity in Severity::ALL {
            assert_eq!(
                Severity::from_word(&severity.word().to_uppercase()),
                Some(severity)
            );
        }
        for priority in Priority::ALL {
            assert_eq!(
                Priority::from_word(&priority.word().to_lowercase()),
                Some(priority)
            );
        }
        assert_eq!(Severity::from_word("page"), None);
    }
}
