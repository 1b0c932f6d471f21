//! From the text of a mapping to expressions, with everything that is wrong at once.
//!
//! Must not evaluate anything.

use smol_str::SmolStr;

use crate::core::severity::Severity;
use crate::sources::mapping::change::{self, ChangeMap};
use crate::sources::mapping::engine::{Expr, ExprError, Missing, VARIABLES};
use crate::sources::mapping::text::{HintsText, MappingText, PairsText, SeverityText};
use crate::sources::mapping::{Fields, Hint, Pairs, SeverityMap};

/// Entries of one table, or list, of a mapping.
const ENTRIES_MAX: usize = 200;
/// The name of an entry that gives many pairs.
pub(super) const SPREAD: &str = "*";

/// One thing that is wrong with a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// The field, and below it the entry, if it is one: `labels`, `host`.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl MappingError {
    /// The path as one text, like `labels.host`.
    pub fn field(&self) -> String {
        self.path.join(".")
    }
}

/// Compiles every field.
pub(super) fn compile(text: &MappingText) -> Result<Fields, Vec<MappingError>> {
    let mut compiler = Compiler::default();
    let set = compiler.set(&text.set);
    let key = match &text.key {
        Some(key) => compiler.expr(&["key"], key, Missing::Failure),
        None => compiler.refuse(
            &["key"],
            "is required",
            "say what tells one alert from another, like key = \"item.host ~ '/' ~ item.check\"",
        ),
    };
    let mut field = |name, source: &Option<String>| {
        let source = source.as_ref()?;
        compiler.expr(&[name], source, Missing::Empty)
    };
    let alerts = field("alerts", &text.alerts);
    let status = field("status", &text.status);
    let summary = field("summary", &text.summary);
    let starts_at = field("starts_at", &text.starts_at);
    let ends_at = field("ends_at", &text.ends_at);
    let acknowledge = field("acknowledge", &text.acknowledge);
    let url = field("url", &text.url);
    let when = field("when", &text.when);
    let test = field("test", &text.test);
    let severity = text
        .severity
        .as_ref()
        .and_then(|text| compiler.severity(text));
    let labels = compiler.pairs("labels", text.labels.as_ref());
    let annotations = compiler.pairs("annotations", text.annotations.as_ref());
    let ci = compiler.hints(text.ci.as_ref());
    let change = text.change.as_ref().map(|text| compiler.change(text));
    match key {
        Some(key) if compiler.errors.is_empty() => Ok(Fields {
            set,
            alerts,
            key,
            status,
            severity,
            summary,
            labels,
            annotations,
            starts_at,
            ends_at,
            ci,
            acknowledge,
            url,
            when,
            test,
            change,
        }),
        Some(_) | None => Err(compiler.errors),
    }
}

#[derive(Default)]
struct Compiler {
    /// The variables of the mapping's own that an expression may read.
    own: Vec<String>,
    errors: Vec<MappingError>,
}

impl Compiler {
    fn refuse<T>(&mut self, path: &[&str], message: &str, hint: &str) -> Option<T> {
        self.errors.push(MappingError {
            path: path.iter().map(|&part| part.to_owned()).collect(),
            message: message.to_owned(),
            hint: hint.to_owned(),
        });
        None
    }

    fn expr(&mut self, path: &[&str], source: &str, missing: Missing) -> Option<Expr> {
        match Expr::compile(source, missing, &self.own) {
            Ok(expr) => Some(expr),
            Err(ExprError { message, hint }) => self.refuse(path, &message, &hint),
        }
    }

    /// The mapping's own variables; while they are compiled none of them is known.
    fn set(&mut self, text: &[(String, String)]) -> Vec<(SmolStr, Expr)> {
        self.count("set", text.len());
        let mut set = Vec::with_capacity(text.len());
        for (name, source) in text {
            if VARIABLES.contains(&name.as_str()) || !is_name(name) {
                self.refuse::<()>(
                    &["set", name],
                    "cannot be the name of a variable",
                    "use letters, digits and `_`, and none of the names that messages have themselves",
                );
            } else if let Some(expr) = self.expr(&["set", name], source, Missing::Empty) {
                set.push((SmolStr::new(name), expr));
            }
        }
        self.own = text.iter().map(|(name, _)| name.clone()).collect();
        set
    }

    fn count(&mut self, field: &str, count: usize) {
        if count > ENTRIES_MAX {
            let message = format!("has {count} entries, at most {ENTRIES_MAX} are taken");
            self.refuse::<()>(&[field], &message, "leave the least useful ones out");
        }
    }

    fn severity(&mut self, text: &SeverityText) -> Option<SeverityMap> {
        self.count("severity", text.table.len());
        let from = self.expr(&["severity"], &text.from, Missing::Empty);
        let mut table = Vec::with_capacity(text.table.len());
        for (word, to) in &text.table {
            let path = ["severity", "table", word];
            if let Some(severity) = self.ladder(&path, to) {
                table.push((SmolStr::new(word.trim()), severity));
            }
        }
        let default = text.default.as_ref();
        let default = default.and_then(|word| self.ladder(&["severity", "default"], word));
        Some(SeverityMap {
            from: from?,
            table,
            default,
        })
    }

    fn ladder(&mut self, path: &[&str], word: &str) -> Option<Severity> {
        Severity::from_word(word).or_else(|| {
            let words = Severity::ALL.map(Severity::word).join(", ");
            self.refuse(
                path,
                &format!("{word:?} is no severity"),
                &format!("write one of {words}"),
            )
        })
    }

    fn pairs(&mut self, field: &str, text: Option<&PairsText>) -> Pairs {
        let mut pairs = Pairs::default();
        match text {
            None => {}
            Some(PairsText::Whole(source)) => {
                pairs.spread = self.expr(&[field], source, Missing::Empty);
            }
            Some(PairsText::Each(entries)) => {
                self.count(field, entries.len());
                for (name, source) in entries {
                    let expr = self.expr(&[field, name], source, Missing::Empty);
                    if name == SPREAD {
                        pairs.spread = expr;
                    } else if let Some(expr) = expr {
                        pairs.each.push((SmolStr::new(name), expr));
                    }
                }
            }
        }
        pairs
    }

    fn change(&mut self, text: &[(String, String)]) -> ChangeMap {
        let mut map = Vec::with_capacity(text.len());
        for (name, source) in text {
            if !change::NAMES.contains(&name.as_str()) {
                let hint = format!("write one of {}", change::NAMES.join(", "));
                self.refuse::<()>(&["change", name], "is nothing that a change has", &hint);
            } else if let Some(expr) = self.expr(&["change", name], source, Missing::Empty) {
                map.push((name.clone(), expr));
            }
        }
        ChangeMap(map)
    }

    fn hints(&mut self, text: Option<&HintsText>) -> Vec<Hint> {
        let entries: Vec<(Option<String>, &String)> = match text {
            None => Vec::new(),
            Some(HintsText::One(source)) => {
                let expr = self.expr(&["ci"], source, Missing::Empty);
                return expr
                    .map(|expr| Hint { name: None, expr })
                    .into_iter()
                    .collect();
            }
            Some(HintsText::Each(sources)) => sources.iter().map(|source| (None, source)).collect(),
            Some(HintsText::Named(entries)) => entries
                .iter()
                .map(|(name, source)| (Some(name.clone()), source))
                .collect(),
        };
        self.count("ci", entries.len());
        let mut hints = Vec::with_capacity(entries.len());
        for (index, (name, source)) in entries.into_iter().enumerate() {
            let entry = name.clone().unwrap_or_else(|| index.to_string());
            if let Some(expr) = self.expr(&["ci", &entry], source, Missing::Empty) {
                hints.push(Hint {
                    name: name.map(SmolStr::from),
                    expr,
                });
            }
        }
        // A table has no order of its own; names of a list have none to give.
        hints.sort_by_key(|hint| hint.name.as_deref().map_or(0, rank));
        hints
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// How well a kind of hint tells which CI is meant: an id is exact, an address may have belonged to another.
fn rank(name: &str) -> u8 {
    match name {
        "id" => 0,
        "name" | "host" | "fqdn" => 1,
        "alias" | "display" => 3,
        "address" | "ip" => 4,
        _ => 2,
    }
}
