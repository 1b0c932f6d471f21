//! Ansible's INI form: sections, hosts with variables, and ranges like `web[01:20]`.
//!
//! Must not stop at a line that makes no sense.

use serde_json::Value;
use smol_str::SmolStr;

use crate::importers::ansible::Inventory;
use crate::importers::value::Object;

/// Hosts that one pattern may stand for.
const HOSTS_MAX: usize = 10_000;

enum Section {
    Hosts(SmolStr),
    Children(SmolStr),
    Vars(SmolStr),
    Unknown,
}

/// Reads a file.
pub fn read(inventory: &mut Inventory, file: &str, text: &str) {
    let mut section = Section::Hosts("ungrouped".into());
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let place = format!("{file}:{number}");
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            section = open(name);
            match &section {
                Section::Hosts(group) | Section::Children(group) | Section::Vars(group) => {
                    inventory.groups.entry(group.clone()).or_default();
                }
                Section::Unknown => inventory
                    .draft
                    .problem(&place, "expected [group], [group:children] or [group:vars]"),
            }
            continue;
        }
        match &section {
            Section::Hosts(group) => host(inventory, &place, group, line),
            Section::Children(group) => {
                let child = line.split_whitespace().next().unwrap_or_default();
                inventory.groups.entry(child.into()).or_default();
                inventory
                    .groups
                    .entry(group.clone())
                    .or_default()
                    .children
                    .insert(child.into());
            }
            Section::Vars(group) => match line.split_once('=') {
                Some((key, value)) => {
                    let vars = &mut inventory.groups.entry(group.clone()).or_default().vars;
                    vars.insert(key.trim().to_owned(), Value::from(unquoted(value.trim())));
                }
                None => inventory.draft.problem(&place, "expected name = value"),
            },
            Section::Unknown => {}
        }
    }
}

fn open(name: &str) -> Section {
    match name.split_once(':') {
        None => Section::Hosts(name.trim().into()),
        Some((group, "children")) => Section::Children(group.trim().into()),
        Some((group, "vars")) => Section::Vars(group.trim().into()),
        Some((group, "hosts")) => Section::Hosts(group.trim().into()),
        Some(_) => Section::Unknown,
    }
}

fn host(inventory: &mut Inventory, place: &str, group: &str, line: &str) {
    let mut words = words(line).into_iter();
    let pattern = words.next().unwrap_or_default();
    let mut vars = Object::new();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => {
                vars.insert(key.to_owned(), Value::from(value));
            }
            None => inventory.draft.problem(
                place,
                &format!("{word:?} is not name=value; it is left out"),
            ),
        }
    }
    match expand(&pattern) {
        Ok(names) => names
            .iter()
            .for_each(|name| inventory.host(group, name, vars.clone())),
        Err(problem) => inventory.draft.problem(place, &problem),
    }
}

/// Words of a line; quotes hold one together, and `#` after a space starts a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            None if c == '#' && word.is_empty() => break,
            Some(_) | None => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

/// The hosts that a pattern stands for: `web[01:03]`, `db-[a:c]`, `x[0:10:5]`, `[2001:db8::1]:22`.
///
/// # Errors
/// It stands for too many.
pub fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((range, behind)) = after.split_once(']') else {
            break;
        };
        let Some(values) = values(range) else {
            // An IPv6 address.
            names
                .iter_mut()
                .for_each(|name| *name = format!("{name}{before}{range}"));
            rest = behind;
            continue;
        };
        if names.len().saturating_mul(values.len()) > HOSTS_MAX {
            return Err(format!(
                "{pattern} stands for more than {HOSTS_MAX} hosts; split it"
            ));
        }
        names = names
            .iter()
            .flat_map(|name| {
                values
                    .iter()
                    .map(move |value| format!("{name}{before}{value}"))
            })
            .collect();
        rest = behind;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    for name in &mut names {
        strip_port(name);
    }
    names.retain(|name| !name.is_empty());
    Ok(names)
}

/// `host:22` as `host`; an address with more colons is left as it is.
fn strip_port(name: &mut String) {
    if let Some((host, port)) = name.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && !host.contains(':')
    {
        *name = host.to_owned();
    }
}

/// The values of `01:20`, `a:f` or `0:10:5`; `None` when it is no range.
fn values(range: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = range.split(':').collect();
    let (start, end, step) = match parts.as_slice() {
        [start, end] => (*start, *end, 1),
        [start, end, step] => (
            *start,
            *end,
            step.parse::<usize>().ok().filter(|step| *step > 0)?,
        ),
        _ => return None,
    };
    if let (Ok(first), Ok(last)) = (start.parse::<u32>(), end.parse::<u32>()) {
        let width = start.len();
        return Some(
            (first..=last)
                .step_by(step)
                .take(HOSTS_MAX.saturating_add(1))
                .map(|number| format!("{number:0width$}"))
                .collect(),
        );
    }
    let letter = |text: &str| {
        let mut chars = text.chars();
        let first = chars.next().filter(char::is_ascii_alphabetic)?;
        chars.next().is_none().then_some(first)
    };
    let (first, last) = (letter(start)?, letter(end)?);
    Some((first..=last).step_by(step).map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_expanded_and_bounded() {
        let cases = [
            ("web[08:10].x", "web08.x web09.x web10.x"),
            ("db-[a:c]", "db-a db-b db-c"),
            ("x[0:10:5]", "x0 x5 x10"),
            ("r[1:2]n[1:2]", "r1n1 r1n2 r2n1 r2n2"),
            ("host:2222", "host"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("broken[1:", "broken[1:"),
        ];
        for (pattern, wanted) in cases {
            assert_eq!(expand(pattern).unwrap().join(" "), wanted, "{pattern}");
        }
        assert!(expand("x[0:99999999]").is_err());
        assert!(expand("x[0:999]y[0:999]").is_err());
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("web a=1 b='x y' # c=2"), ["web", "a=1", "b=x y"]);
    }
}
