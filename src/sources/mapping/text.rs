//! A mapping as an operator writes it: expressions as text.
//!
//! Must not check anything; that is the compiler's work.

/// `[source.map]`, or `[map]` of a preset. Every field is an expression unless its type says more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingText {
    /// Names for what several fields use; each is a variable of the fields, not of the others here.
    pub set: Vec<(String, String)>,
    /// The list of alerts in the message; without it the message is one alert.
    pub alerts: Option<String>,
    /// What tells one alert from another. Must not be missing.
    pub key: Option<String>,
    /// A status word, or true for firing; without it everything fires.
    pub status: Option<String>,
    /// How bad.
    pub severity: Option<SeverityText>,
    /// One line for people.
    pub summary: Option<String>,
    /// Labels.
    pub labels: Option<PairsText>,
    /// Annotations.
    pub annotations: Option<PairsText>,
    /// When the alert began.
    pub starts_at: Option<String>,
    /// When it ended, or until when it is valid.
    pub ends_at: Option<String>,
    /// What tells which configuration item it is about.
    pub ci: Option<HintsText>,
    /// Whether the message says that somebody took notice.
    pub acknowledge: Option<String>,
    /// A link for people.
    pub url: Option<String>,
    /// Whether the item is an alert at all; others are left out and counted.
    pub when: Option<String>,
    /// Whether the item is a test message of the product.
    pub test: Option<String>,
    /// What only a change has; an item of such a mapping is a change, not an alert, where its `when` says so.
    pub change: Option<Vec<(String, String)>>,
}

/// `severity`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeverityText {
    /// Gives the word.
    pub from: String,
    /// The sender's words, and words of the ladder for them.
    pub table: Vec<(String, String)>,
    /// A word of the ladder for what is in no table.
    pub default: Option<String>,
}

/// `labels` and `annotations`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairsText {
    /// An expression that gives an object, or a list of pairs.
    Whole(String),
    /// An expression for each name; that of the name `*` gives an object or a list of pairs.
    Each(Vec<(String, String)>),
}

/// `ci`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HintsText {
    /// One expression.
    One(String),
    /// Expressions, the best first.
    Each(Vec<String>),
    /// Expressions by what they are: a name, an address, an id.
    Named(Vec<(String, String)>),
}

impl MappingText {
    /// This mapping with the fields of `over` in place of its own.
    #[must_use]
    pub fn with(self, over: Self) -> Self {
        let mut set = self.set;
        set.retain(|(name, _)| over.set.iter().all(|(other, _)| other != name));
        set.extend(over.set);
        Self {
            set,
            alerts: over.alerts.or(self.alerts),
            key: over.key.or(self.key),
            status: over.status.or(self.status),
            severity: over.severity.or(self.severity),
            summary: over.summary.or(self.summary),
            labels: over.labels.or(self.labels),
            annotations: over.annotations.or(self.annotations),
            starts_at: over.starts_at.or(self.starts_at),
            ends_at: over.ends_at.or(self.ends_at),
            ci: over.ci.or(self.ci),
            acknowledge: over.acknowledge.or(self.acknowledge),
            url: over.url.or(self.url),
            when: over.when.or(self.when),
            test: over.test.or(self.test),
            change: over.change.or(self.change),
        }
    }
}
