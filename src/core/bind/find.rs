//! One text after the other: in which forms it is looked up, and what to do when it fits several CIs.
//!
//! Forms from the exact one to those with the least left of them; a form that fits anything ends the text. Must not
//! prefer one of several that fit equally well.

use smol_str::{SmolStr, format_smolstr};

use super::{Binding, BindingOutcome, CANDIDATES_MAX, Subject, bound, labels};
use crate::core::cmdb::ci::{Ci, CiNumber, IdentifierKind};
use crate::core::cmdb::graph::Graph;
use crate::core::cmdb::index::By;
use crate::core::cmdb::normal;

/// Classes of parts, which are more specific than what they are a part of.
const PARTS: [&str; 5] = ["interface", "port", "nic", "disk", "partition"];
/// Bytes of a value that are shown in a reason.
const SHOWN_BYTES: usize = 80;

/// A CI that a text fits, alone.
pub(super) struct Found {
    pub(super) ci: CiNumber,
    by: By,
    how: &'static str,
}

/// What a text came to.
enum Fit {
    None,
    One(Found),
    Many(Vec<CiNumber>),
}

/// A search through several texts.
pub(super) struct Finder<'a, 't> {
    graph: &'a Graph,
    pub(super) subject: &'a Subject<'a>,
    steps: Option<&'t mut Vec<String>>,
    /// The first text that fitted several.
    ambiguous: Option<(SmolStr, Vec<CiNumber>)>,
    retired: Option<CiNumber>,
    tried: Option<SmolStr>,
}

impl<'a, 't> Finder<'a, 't> {
    pub(super) fn new(
        graph: &'a Graph,
        subject: &'a Subject<'a>,
        steps: Option<&'t mut Vec<String>>,
    ) -> Self {
        Self {
            graph,
            subject,
            steps,
            ambiguous: None,
            retired: None,
            tried: None,
        }
    }

    pub(super) fn say(&mut self, step: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    /// Tries one text; a binding when it settles the matter.
    pub(super) fn attempt(&mut self, name: &str, value: &str, is_service: bool) -> Option<Binding> {
        let value = value.trim();
        if value.is_empty() {
            return None;
        }
        match self.fit(value, is_service) {
            Fit::None => {
                self.say(|| format!("{name} = {:?}: no CI fits", shown(value)));
                if self.tried.is_none() {
                    self.tried = Some(format_smolstr!("{name} = {:?}", shown(value)));
                }
                None
            }
            Fit::One(found) => {
                let id = self
                    .graph
                    .ci(found.ci)
                    .map(|ci| ci.id.clone())
                    .unwrap_or_default();
                let of = found.by.word();
                let reason = format!(
                    "{name} = {:?} is the {of} of {id}{}",
                    shown(value),
                    found.how
                );
                if let Some((_, candidates)) = &self.ambiguous
                    && !candidates.contains(&found.ci)
                {
                    self.say(|| format!("{reason}, which is none of the candidates so far"));
                    return None;
                }
                self.say(|| reason.clone());
                Some(bound(&found, format!("{reason}.")))
            }
            Fit::Many(candidates) => {
                let text = format_smolstr!("{name} = {:?}", shown(value));
                self.say(|| format!("{text} fits {} CIs", candidates.len()));
                if self.ambiguous.is_none() {
                    self.ambiguous = Some((text, candidates));
                }
                None
            }
        }
    }

    /// Tries a device together with one of its interfaces.
    pub(super) fn attempt_interface(&mut self, ranked: &[Option<(&str, &str)>]) -> Option<Binding> {
        let part = self.label(&labels::INTERFACES)?;
        for (name, value) in ranked.iter().flatten() {
            let value = normal::without_port(value).unwrap_or(value);
            for joint in [':', '/', ' '] {
                let whole = format_smolstr!("{value}{joint}{part}");
                if let Fit::One(found) = self.exact(&whole, false) {
                    let id = self
                        .graph
                        .ci(found.ci)
                        .map(|ci| ci.id.clone())
                        .unwrap_or_default();
                    let reason = format!(
                        "{name} and interface together are the {} of {id}.",
                        found.by.word()
                    );
                    self.say(|| reason.clone());
                    return Some(bound(&found, reason));
                }
            }
        }
        None
    }

    /// What is said when nothing was bound.
    pub(super) fn nothing(self) -> Binding {
        if let Some((text, mut candidates)) = self.ambiguous {
            let names = candidates
                .iter()
                .take(3)
                .filter_map(|ci| self.graph.ci(*ci));
            let names: Vec<&str> = names.map(|ci| ci.id.as_str()).collect();
            let more = if candidates.len() > names.len() {
                ", ..."
            } else {
                ""
            };
            let reason = format!("{text} fits several CIs: {}{more}.", names.join(", "));
            candidates.truncate(CANDIDATES_MAX);
            return Binding {
                ci: None,
                outcome: BindingOutcome::Ambiguous,
                reason: reason.into(),
                candidates,
            };
        }
        let retired = self.retired.and_then(|ci| self.graph.ci(ci));
        let reason = match (retired, &self.tried) {
            (Some(ci), _) => format!("No CI fits: only {} does, which is retired.", ci.id),
            (None, Some(tried)) => format!("No CI fits: {tried} is not known."),
            (None, None) => "No CI fits: the alert has no label that could name one.".to_owned(),
        };
        Binding {
            ci: None,
            outcome: BindingOutcome::Unbound,
            reason: reason.into(),
            candidates: Vec::new(),
        }
    }

    /// The value of the first of these labels.
    fn label(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| {
            let mut labels = self.subject.labels.iter();
            let found = labels.find(|(label, _)| label.eq_ignore_ascii_case(name));
            found
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())
        })
    }

    fn fit(&mut self, value: &str, is_service: bool) -> Fit {
        if let Some(namespace) = self.label(&[labels::NAMESPACE]) {
            let owner = normal::pod_owner(value);
            for name in [Some(value), owner].into_iter().flatten() {
                let fit = self.exact(&format_smolstr!("{namespace}/{name}"), is_service);
                if let Fit::One(mut found) = fit {
                    found.how = " within its namespace";
                    return Fit::One(found);
                }
            }
        }
        let whole = self.exact(value, is_service);
        if !matches!(whole, Fit::None) {
            return whole;
        }
        let mut rest = value;
        if let Some(host) = normal::url_host(rest) {
            rest = host;
            let fit = self.reduced(rest, is_service, " without the rest of the address");
            if !matches!(fit, Fit::None) {
                return fit;
            }
        }
        if let Some(host) = normal::without_port(rest) {
            rest = host;
            let fit = self.reduced(rest, is_service, " without the port");
            if !matches!(fit, Fit::None) {
                return fit;
            }
        }
        if let Some(host) = normal::short(rest.trim_end_matches('.')) {
            let fit = self.without_domain(rest, host, is_service);
            if !matches!(fit, Fit::None) {
                return fit;
            }
        }
        if let Some(last) = resource_name(value) {
            let fit = self.reduced(last, is_service, " as the last part of a resource's path");
            if !matches!(fit, Fit::None) {
                return fit;
            }
        }
        match normal::pod_owner(rest) {
            Some(owner) => self.reduced(owner, is_service, " without the suffix of a pod"),
            None => Fit::None,
        }
    }

    fn reduced(&mut self, text: &str, is_service: bool, how: &'static str) -> Fit {
        match self.exact(text, is_service) {
            Fit::One(mut found) => {
                found.how = how;
                Fit::One(found)
            }
            fit @ (Fit::None | Fit::Many(_)) => fit,
        }
    }

    /// Only CIs that are not known under another domain.
    fn without_domain(&mut self, whole: &str, short: &str, is_service: bool) -> Fit {
        let Some(whole) = normal::name(whole) else {
            return Fit::None;
        };
        let fit = self.reduced(short, is_service, " without the domain");
        let is_elsewhere = |ci: &CiNumber| {
            let ci = self.graph.ci(*ci);
            ci.is_some_and(|ci| has_other_domain(ci, &whole))
        };
        match fit {
            Fit::One(found) if is_elsewhere(&found.ci) => Fit::None,
            Fit::Many(mut candidates) => {
                candidates.retain(|ci| !is_elsewhere(ci));
                self.choose(candidates, By::Short, is_service)
            }
            fit @ (Fit::None | Fit::One(_)) => fit,
        }
    }

    /// What fits a text as it is, up to case and spelling of addresses.
    fn exact(&mut self, text: &str, is_service: bool) -> Fit {
        let graph = self.graph;
        let Some(name) = normal::name(text) else {
            return Fit::None;
        };
        let mut meanings = graph.meanings(&name);
        if meanings.is_empty() {
            let address = normal::ip(text).or_else(|| normal::mac(text));
            if let Some(address) = address {
                meanings = graph.meanings(&address);
            }
        }
        if let [one] = meanings {
            return match graph.ci(one.ci) {
                Some(ci) if ci.is_retired => {
                    self.retired = self.retired.or(Some(one.ci));
                    Fit::None
                }
                Some(_) => Fit::One(Found {
                    ci: one.ci,
                    by: one.by,
                    how: "",
                }),
                None => Fit::None,
            };
        }
        let is_of_kind = |ci: &Ci| !ci.is_retired && ci.is_service() == is_service;
        let mut known = meanings.iter().filter_map(|meaning| graph.ci(meaning.ci));
        let has_kind = known.any(is_of_kind);
        // An id comes before everything else, a name without its domain after everything else.
        for tier in [0_u8, 1, 2] {
            let of_tier = |by: By| match by {
                By::Id => tier == 0,
                By::Name | By::Identifier(_) => tier == 1,
                By::Short => tier == 2,
            };
            let mut candidates = Vec::new();
            let mut first = By::Short;
            for meaning in meanings.iter().filter(|meaning| of_tier(meaning.by)) {
                let Some(ci) = graph.ci(meaning.ci) else {
                    continue;
                };
                if ci.is_retired {
                    self.retired = self.retired.or(Some(meaning.ci));
                } else if has_kind && !is_of_kind(ci) {
                    // A label that names services means the service, and any other label does not.
                } else if !candidates.contains(&meaning.ci) {
                    first = first.min(meaning.by);
                    candidates.push(meaning.ci);
                }
            }
            let fit = self.choose(candidates, first, is_service);
            if !matches!(fit, Fit::None) {
                return fit;
            }
        }
        Fit::None
    }

    /// Of several: those of the kind that the label names, then those of the scope that the alert names, then the
    /// part before the whole.
    fn choose(&self, mut candidates: Vec<CiNumber>, by: By, is_service: bool) -> Fit {
        let found = |ci, how| Fit::One(Found { ci, by, how });
        match *candidates.as_slice() {
            [] => return Fit::None,
            [one] => return found(one, ""),
            _ => {}
        }
        let ci = |number: &CiNumber| self.graph.ci(*number);
        let is_of_kind =
            |number: &CiNumber| ci(number).is_some_and(|ci| ci.is_service() == is_service);
        if candidates.iter().any(is_of_kind) {
            candidates.retain(is_of_kind);
        }
        if let [one] = *candidates.as_slice() {
            return found(one, "");
        }
        let site = self.label(&labels::SITES).and_then(normal::name);
        let environment = self.label(&labels::ENVIRONMENTS).and_then(normal::name);
        let is = |wanted: &Option<SmolStr>, has: Option<&SmolStr>| {
            wanted.is_none() || has.and_then(|has| normal::name(has)) == *wanted
        };
        let is_in_scope = |number: &CiNumber| {
            ci(number).is_some_and(|ci| {
                is(&site, ci.site.as_ref()) && is(&environment, ci.environment.as_ref())
            })
        };
        let mut scoped = candidates.iter().filter(|number| is_in_scope(number));
        if let (Some(&one), None) = (scoped.next(), scoped.next()) {
            return found(one, " within its site and environment");
        }
        let is_part_of_all = |part: &CiNumber| {
            ci(part).is_some_and(|ci| PARTS.contains(&ci.class.as_str()))
                && candidates
                    .iter()
                    .filter(|other| *other != part)
                    .all(|other| {
                        let mut providers = self.graph.providers(*part).iter();
                        providers.any(|edge| edge.ci == *other)
                    })
        };
        let mut parts = candidates.iter().filter(|part| is_part_of_all(part));
        if let (Some(&one), None) = (parts.next(), parts.next()) {
            return found(one, ", more specific than what it is a part of");
        }
        Fit::Many(candidates)
    }
}

/// Whether a CI is known under a domain name that begins alike and ends otherwise.
fn has_other_domain(ci: &Ci, whole: &str) -> bool {
    let of_kind = ci.identifiers.iter().filter(|identifier| {
        matches!(
            identifier.kind,
            IdentifierKind::Fqdn | IdentifierKind::Alias
        )
    });
    let names = of_kind.map(|identifier| &identifier.text);
    let names = names
        .chain([&ci.id, &ci.name])
        .filter_map(|name| normal::name(name));
    let mut dotted = names
        .filter(|name| normal::short(name).is_some())
        .peekable();
    // A name that is a part of the other is the same one, written shorter.
    dotted.peek().is_some() && dotted.all(|name| !is_same_name(&name, whole))
}

fn is_same_name(left: &str, right: &str) -> bool {
    let (short, long) = if left.len() < right.len() {
        (left, right)
    } else {
        (right, left)
    };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The last part of a cloud resource's path: `i-0abc` of `arn:aws:ec2:eu:1:instance/i-0abc`.
fn resource_name(text: &str) -> Option<&str> {
    let is_path = text.starts_with("arn:")
        || text.starts_with("/subscriptions/")
        || text.starts_with("projects/")
        || text.starts_with("//");
    let last = text.rsplit(['/', ':']).next()?;
    (is_path && !last.is_empty()).then_some(last)
}

fn shown(value: &str) -> &str {
    value
        .get(..value.floor_char_boundary(SHOWN_BYTES))
        .unwrap_or(value)
}
