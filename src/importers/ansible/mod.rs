//! Ansible: inventories in INI or YAML, and the answer of `ansible-inventory --list`.
//!
//! Hosts are items; groups say what they are for and where. Variables may be secrets, so those of Ansible itself and
//! those that sound secret are left out, and vault texts always. Source: Ansible's inventory guide. Must not run
//! anything, and must not keep a variable only because it is there.

pub mod ini;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use smol_str::SmolStr;

use crate::core::cmdb::record::{CiRecord, Picture};
use crate::importers::documents::{documents, head, malformed, text as text_of};
use crate::importers::draft::{Draft, identify_address};
use crate::importers::value::{Object, criticality, keep, keep_text, object, text};
use crate::importers::{Format, ImportError, NamedBytes};

/// Levels of groups in groups.
const DEPTH_MAX: usize = 32;
/// Words in the name of a variable that is none of our business.
const SECRET_WORDS: [&str; 10] = [
    "pass",
    "secret",
    "token",
    "key",
    "vault",
    "credential",
    "private",
    "auth",
    "cert",
    "license",
];
/// Words for environments that groups are called by.
const ENVIRONMENTS: [&str; 12] = [
    "prod",
    "production",
    "stage",
    "staging",
    "test",
    "testing",
    "dev",
    "development",
    "qa",
    "uat",
    "integration",
    "preprod",
];

/// The format.
pub struct Ansible;

impl Format for Ansible {
    fn name(&self) -> &'static str {
        "ansible"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        files.iter().all(|file| {
            let head = head(file);
            let is_ini = file.name.ends_with(".ini")
                || (head.trim_start().starts_with('[')
                    && !head.trim_start().starts_with(['{'])
                    && head.contains("ansible_"));
            is_ini || head.contains("\"_meta\"") || head.contains("hosts:")
        })
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut inventory = Inventory::default();
        for file in files {
            let text = text_of(file)?;
            if is_ini(text) {
                ini::read(&mut inventory, &file.name, text);
                continue;
            }
            for document in documents(file)? {
                let place = format!("{}:{}", file.name, document.line);
                match document.value.map_err(|error| malformed(file, error))? {
                    Value::Object(groups) => inventory.read_groups(&place, &groups),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_) => {
                        return Err(malformed(file, "expected groups with hosts and children"));
                    }
                }
            }
        }
        Ok(inventory.draw())
    }
}

/// Whether the first line with content is one of the INI form.
fn is_ini(text: &str) -> bool {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .unwrap_or_default();
    let is_section =
        line.starts_with('[') && line.ends_with(']') && !line.contains(['{', '"', ',']);
    is_section
        || (!line.starts_with(['{', '[', '-']) && !line.ends_with(':') && !line.contains(": "))
}

/// One group.
#[derive(Debug, Default)]
pub struct Group {
    /// Hosts that stand in it.
    pub hosts: BTreeSet<SmolStr>,
    /// Groups in it.
    pub children: BTreeSet<SmolStr>,
    /// Variables of all its hosts.
    pub vars: Object,
}

/// Groups and the variables of hosts.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Groups by name.
    pub groups: BTreeMap<SmolStr, Group>,
    /// Variables of single hosts.
    pub hosts: BTreeMap<SmolStr, Object>,
    /// The picture in the making.
    pub draft: Draft,
}

impl Inventory {
    /// Takes a host, its variables after those that are known.
    pub fn host(&mut self, group: &str, name: &str, vars: Object) {
        self.groups
            .entry(group.into())
            .or_default()
            .hosts
            .insert(name.into());
        self.hosts.entry(name.into()).or_default().extend(vars);
    }

    fn read_groups(&mut self, place: &str, groups: &Object) {
        for (name, group) in groups {
            if name == "_meta" {
                let vars = group.as_object().and_then(|meta| object(meta, "hostvars"));
                for (host, vars) in vars.into_iter().flatten() {
                    let vars = vars.as_object().cloned().unwrap_or_default();
                    self.hosts
                        .entry(host.as_str().into())
                        .or_default()
                        .extend(vars);
                }
            } else {
                self.read_group(place, name, group, 0);
            }
        }
    }

    fn read_group(&mut self, place: &str, name: &str, group: &Value, depth: usize) {
        self.groups.entry(name.into()).or_default();
        if depth > DEPTH_MAX {
            self.draft
                .problem(place, &format!("group {name} is nested too deep"));
            return;
        }
        let group = match group {
            Value::Object(group) => group,
            // Old scripts give the bare list of hosts.
            Value::Array(hosts) => {
                self.read_hosts(place, name, &Value::Array(hosts.clone()));
                return;
            }
            Value::Null => return,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.draft.problem(
                    place,
                    &format!("group {name}: expected hosts, children or vars"),
                );
                return;
            }
        };
        if let Some(hosts) = group.get("hosts") {
            self.read_hosts(place, name, hosts);
        }
        if let Some(vars) = object(group, "vars") {
            self.groups
                .entry(name.into())
                .or_default()
                .vars
                .extend(vars.clone());
        }
        match group.get("children") {
            Some(Value::Array(children)) => {
                let children = children.iter().filter_map(text);
                self.groups
                    .entry(name.into())
                    .or_default()
                    .children
                    .extend(children);
            }
            Some(Value::Object(children)) => {
                for (child, inner) in children {
                    self.groups
                        .entry(name.into())
                        .or_default()
                        .children
                        .insert(child.as_str().into());
                    self.read_group(place, child, inner, depth.saturating_add(1));
                }
            }
            _ => {}
        }
    }

    fn read_hosts(&mut self, place: &str, group: &str, hosts: &Value) {
        match hosts {
            Value::Object(hosts) => {
                for (pattern, vars) in hosts {
                    let vars = vars.as_object().cloned().unwrap_or_default();
                    self.read_pattern(place, group, pattern, &vars);
                }
            }
            Value::Array(hosts) => {
                for host in hosts.iter().filter_map(text) {
                    self.read_pattern(place, group, &host, &Object::new());
                }
            }
            Value::String(pattern) => self.read_pattern(place, group, pattern, &Object::new()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn read_pattern(&mut self, place: &str, group: &str, pattern: &str, vars: &Object) {
        match ini::expand(pattern) {
            Ok(names) => names
                .iter()
                .for_each(|name| self.host(group, name, vars.clone())),
            Err(problem) => self.draft.problem(place, &problem),
        }
    }

    /// The picture.
    pub fn draw(mut self) -> Picture {
        let mut draft = std::mem::take(&mut self.draft);
        let parents = self.parents();
        let mut of_host: BTreeMap<&SmolStr, BTreeSet<&SmolStr>> = BTreeMap::new();
        for (name, group) in &self.groups {
            for host in &group.hosts {
                of_host.entry(host).or_default().insert(name);
            }
        }
        for (name, own) in &self.hosts {
            let mut groups = BTreeSet::new();
            let mut open: Vec<&SmolStr> =
                of_host.get(name).into_iter().flatten().copied().collect();
            while let Some(group) = open.pop() {
                if groups.insert(group) {
                    open.extend(parents.get(group).into_iter().flatten());
                }
            }
            let mut vars = Object::new();
            for group in &groups {
                if let Some(group) = self.groups.get(*group) {
                    vars.extend(group.vars.clone());
                }
            }
            vars.extend(own.clone());
            let record = record(name, &groups, &vars);
            draft.ci(name, record);
        }
        draft.finish()
    }

    fn parents(&self) -> BTreeMap<&SmolStr, Vec<&SmolStr>> {
        let mut parents: BTreeMap<&SmolStr, Vec<&SmolStr>> = BTreeMap::new();
        for (name, group) in &self.groups {
            for child in &group.children {
                parents.entry(child).or_default().push(name);
            }
        }
        parents
    }
}

fn record(name: &str, groups: &BTreeSet<&SmolStr>, vars: &Object) -> CiRecord {
    let var = |words: &[&str]| {
        words
            .iter()
            .find_map(|word| vars.get(*word).and_then(plain))
    };
    let mut record = CiRecord {
        id: name.into(),
        name: name.into(),
        class: var(&["ci_class", "class"]).unwrap_or_else(|| "host".into()),
        site: var(&["site", "datacenter", "dc", "location"]),
        rack: var(&["rack"]),
        owner: var(&["owner", "team"]),
        criticality: var(&["criticality", "tier"]).and_then(|text| criticality(&text)),
        environment: var(&["environment", "env", "stage"]).or_else(|| {
            let known = groups
                .iter()
                .find(|group| ENVIRONMENTS.contains(&group.to_lowercase().as_str()));
            known.map(|group| (*group).clone())
        }),
        ..CiRecord::default()
    };
    identify_address(&mut record, name);
    for key in [
        "ansible_host",
        "ansible_ssh_host",
        "ansible_fqdn",
        "fqdn",
        "ip",
    ] {
        identify_address(
            &mut record,
            &vars.get(key).and_then(plain).unwrap_or_default(),
        );
    }
    let own = record.name.clone();
    record.identifiers.retain(|one| one.text != own);
    for (key, value) in vars {
        let word = key.to_ascii_lowercase();
        let is_ours = !word.starts_with("ansible_")
            && !SECRET_WORDS.iter().any(|secret| word.contains(secret));
        if is_ours && plain(value).is_some() {
            keep(&mut record, key, value);
        }
    }
    let shown: Vec<&str> = groups
        .iter()
        .map(|group| group.as_str())
        .filter(|group| *group != "all" && *group != "ungrouped")
        .collect();
    keep_text(&mut record, "groups", &shown.join(", "));
    record
}

/// The text of a variable unless it is a vault text or a template.
fn plain(value: &Value) -> Option<SmolStr> {
    text(value).filter(|text| !text.starts_with("$ANSIBLE_VAULT") && !text.contains("{{"))
}
