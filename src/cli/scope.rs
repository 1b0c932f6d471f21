//! Which configuration items a silence or a maintenance window is about, as options and as shown.
//!
//! Must not look anything up; the daemon does.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Which items; everything that is named must hold, of several values one.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ScopeArgs {
    /// Ids or names of configuration items
    #[arg(long, value_name = "CI", value_delimiter = ',')]
    ci: Vec<String>,
    /// Also everything that depends on them
    #[arg(long)]
    downstream: bool,
    /// Classes of configuration items
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    class: Vec<String>,
    /// Sites
    #[arg(long, value_name = "SITE", value_delimiter = ',')]
    site: Vec<String>,
    /// Services: they and what serves nothing else
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    service: Vec<String>,
}

impl ScopeArgs {
    /// Whether nothing is named.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.ci, &self.class, &self.site, &self.service];
        lists.iter().all(|list| list.is_empty())
    }

    /// Adds what is named to the body of a request.
    pub(super) fn add_to(&self, body: &mut Map<String, Value>) {
        for (key, values) in [
            ("ci", &self.ci),
            ("class", &self.class),
            ("site", &self.site),
            ("service", &self.service),
        ] {
            if !values.is_empty() {
                body.insert(key.to_owned(), json!(values));
            }
        }
        if self.downstream {
            body.insert("downstream".to_owned(), true.into());
        }
    }
}

/// Which items, as the API shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scope {
    ci: Vec<String>,
    downstream: bool,
    class: Vec<String>,
    site: Vec<String>,
    service: Vec<String>,
}

impl Scope {
    /// As people write it.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (name, values) in [
            ("ci", &self.ci),
            ("class", &self.class),
            ("site", &self.site),
            ("service", &self.service),
        ] {
            if !values.is_empty() {
                words.push(format!("{name}={}", values.join(",")));
            }
        }
        if self.downstream {
            words.push("downstream".to_owned());
        }
        words
    }
}
