//! The native format: one JSON object with `cis` and `relations`, as `watchbell cmdb export` writes it.
//!
//! Keys without a meaning of their own are kept as attributes. Must not refuse a whole file for one bad record.

use std::fmt;
use std::num::NonZeroU8;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::core::cmdb::ci::{Identifier, IdentifierKind};
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::core::cmdb::relation::Relation;
use crate::importers::{Format, ImportError, NamedBytes, note};

/// The native format.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Format for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        files.iter().all(|file| {
            let head = file.bytes.get(..4096).unwrap_or(&file.bytes);
            let head = String::from_utf8_lossy(head);
            head.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t'])
                .starts_with('{')
                && (head.contains("\"cis\"") || head.contains("\"relations\""))
        })
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut reading = Reading::default();
        for file in files {
            reading.file.clone_from(&file.name);
            let bytes = file
                .bytes
                .strip_prefix(b"\xef\xbb\xbf")
                .unwrap_or(&file.bytes);
            if bytes.trim_ascii().is_empty() {
                return Err(ImportError::Empty(file.name.clone()));
            }
            let mut json = serde_json::Deserializer::from_slice(bytes);
            let read = Whole(&mut reading).deserialize(&mut json);
            read.and_then(|()| json.end())
                .map_err(|error| ImportError::Malformed {
                    file: file.name.clone(),
                    problem: format!("{error}; expected {{\"cis\":[...],\"relations\":[...]}}"),
                })?;
        }
        Ok(reading.picture)
    }
}

/// A picture in the making.
#[derive(Default)]
struct Reading {
    picture: Picture,
    seen: hashbrown::HashSet<SmolStr>,
    file: String,
}

/// The object of one file; its lists are read record by record, so that memory holds the picture only.
struct Whole<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the lists cis and relations")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "cis" => map.next_value_seed(List(self.0, Reading::ci))?,
                "relations" => map.next_value_seed(List(self.0, Reading::relation))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct List<'a>(&'a mut Reading, fn(&mut Reading, usize, Value));

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        let mut index = 0_usize;
        while let Some(value) = list.next_element::<Value>()? {
            (self.1)(self.0, index, value);
            index = index.saturating_add(1);
        }
        Ok(())
    }
}

impl Reading {
    fn wrong(&mut self, list: &str, index: usize, problem: &str) {
        let place = format!("{} {list}[{index}]", self.file);
        note(&mut self.picture, place.trim_start(), problem);
    }

    fn ci(&mut self, index: usize, value: Value) {
        let Value::Object(mut object) = value else {
            return self.wrong("cis", index, "not an object; left out");
        };
        let Some(id) = take_text(&mut object, "id") else {
            return self.wrong("cis", index, "the id is missing or empty; left out");
        };
        if !self.seen.insert(id.clone()) {
            let problem = format!("the id {id} was given before; the first one is kept");
            return self.wrong("cis", index, &problem);
        }
        let ci = read_ci(id, object);
        self.picture.cis.push(ci);
    }

    fn relation(&mut self, index: usize, value: Value) {
        let relation = match Link::deserialize(value) {
            Ok(link) => link,
            Err(error) => {
                return self.wrong("relations", index, &format!("{error}; left out"));
            }
        };
        if relation.from.is_empty() || relation.to.is_empty() {
            return self.wrong("relations", index, "from or to is empty; left out");
        }
        if relation.from == relation.to {
            let problem = format!("{} depends on itself; left out", relation.from);
            return self.wrong("relations", index, &problem);
        }
        let min = match relation.min.as_ref().map(read_min) {
            None => None,
            Some(Ok(min)) => min,
            Some(Err(problem)) => {
                self.wrong("relations", index, problem);
                None
            }
        };
        let share = relation.confidence.filter(|share| *share < 1.0);
        self.picture.relations.push(RelationRecord {
            from: relation.from,
            to: relation.to,
            kind: relation.kind.unwrap_or_else(|| "depends_on".into()),
            role: relation.role.filter(|role| !role.is_empty()),
            group: relation.group.filter(|group| !group.is_empty()),
            min,
            confidence: share.map(per_ten_thousand),
        });
    }
}

#[derive(Deserialize)]
struct Link {
    #[serde(deserialize_with = "text")]
    from: SmolStr,
    #[serde(deserialize_with = "text")]
    to: SmolStr,
    #[serde(default, rename = "type")]
    kind: Option<SmolStr>,
    #[serde(default)]
    role: Option<SmolStr>,
    #[serde(default)]
    group: Option<SmolStr>,
    #[serde(default)]
    min: Option<Value>,
    #[serde(default)]
    confidence: Option<f64>,
}

/// A text, or a number as a text: ids are numbers in many exports.
fn text<'de, D: serde::Deserializer<'de>>(value: D) -> Result<SmolStr, D::Error> {
    let value = Value::deserialize(value)?;
    as_text(&value).ok_or_else(|| serde::de::Error::custom("from and to must be ids"))
}

fn as_text(value: &Value) -> Option<SmolStr> {
    match value {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads how many of a group must be left; null and nothing mean that nobody says.
fn read_min(value: &Value) -> Result<Option<NonZeroU8>, &'static str> {
    if value.is_null() {
        return Ok(None);
    }
    as_text(value).as_deref().map_or(Err(MIN_WRONG), parse_min)
}

/// What is wrong with a number of members that must be left.
pub(crate) const MIN_WRONG: &str =
    "min is a whole number from 1 to 255: how many of the group must be left; kept as 1";

/// Reads how many of a group must be left.
pub(crate) fn parse_min(text: &str) -> Result<Option<NonZeroU8>, &'static str> {
    text.parse().map(Some).map_err(|_| MIN_WRONG)
}

/// A share from 0 to 1 in 1/10,000.
pub(crate) fn per_ten_thousand(share: f64) -> u16 {
    // Written as a whole number of 1/10,000, so that no conversion of floating point is needed.
    let text = format!("{:.0}", share.clamp(0.0, 1.0) * 10_000.0);
    text.parse().unwrap_or(Relation::SURE)
}

fn take_text(object: &mut Map<String, Value>, key: &str) -> Option<SmolStr> {
    let text = as_text(object.get(key)?)?;
    object.remove(key);
    Some(text).filter(|text| !text.is_empty())
}

fn read_ci(id: SmolStr, mut object: Map<String, Value>) -> CiRecord {
    let mut ci = CiRecord {
        class: take_text(&mut object, "class")
            .unwrap_or_default()
            .to_lowercase()
            .into(),
        name: take_text(&mut object, "name").unwrap_or_else(|| id.clone()),
        site: take_text(&mut object, "site"),
        rack: take_text(&mut object, "rack"),
        environment: take_text(&mut object, "environment"),
        owner: take_text(&mut object, "owner"),
        id,
        ..CiRecord::default()
    };
    let criticality = take_text(&mut object, "criticality");
    ci.criticality = criticality.as_deref().and_then(read_criticality);
    if let (None, Some(text)) = (ci.criticality, criticality) {
        object.insert("criticality".to_owned(), Value::String(text.to_string()));
    }
    ci.is_retired = match object.remove("retired") {
        Some(Value::Bool(is_retired)) => is_retired,
        Some(other) => as_text(&other).is_some_and(|text| {
            is_retired_word(&text) || ["true", "yes", "1"].contains(&text.to_lowercase().as_str())
        }),
        None => false,
    };
    for (key, kind) in IDENTIFIERS {
        identify(&mut ci, *kind, object.remove(*key));
    }
    if let Some(Value::Object(attributes)) = object.remove("attributes") {
        for (key, value) in attributes {
            attribute(&mut ci, &key, value);
        }
    }
    for (key, value) in object {
        attribute(&mut ci, &key, value);
    }
    note_lifecycle(&mut ci);
    ci
}

/// Takes note of a lifecycle status among the attributes that says that the CI is out of use.
pub(crate) fn note_lifecycle(ci: &mut CiRecord) {
    let words = ["status", "lifecycle", "lifecycle_status", "state"];
    let words = words.iter().filter_map(|key| ci.attributes.get(key));
    ci.is_retired |= words.into_iter().any(|word| is_retired_word(word));
}

/// The keys that identify a CI besides id and name, and as what.
const IDENTIFIERS: &[(&str, IdentifierKind)] = &[
    ("aliases", IdentifierKind::Alias),
    ("external_ids", IdentifierKind::Alias),
    ("fqdn", IdentifierKind::Fqdn),
    ("addresses", IdentifierKind::Ip),
    ("ip", IdentifierKind::Ip),
    ("macs", IdentifierKind::Mac),
    ("mac", IdentifierKind::Mac),
    ("serial", IdentifierKind::Serial),
    ("asset_tag", IdentifierKind::Serial),
];

fn identify(ci: &mut CiRecord, kind: IdentifierKind, value: Option<Value>) {
    let values = match value {
        Some(Value::Array(values)) => values,
        Some(Value::Object(values)) => values.into_values().collect(),
        Some(value) => vec![value],
        None => return,
    };
    let texts = values.iter().filter_map(as_text);
    for text in texts.filter(|text| !text.is_empty()) {
        add_identifier(ci, kind, text);
    }
}

/// Adds an identifier; an address field may hold hardware addresses and names as well.
pub(crate) fn add_identifier(ci: &mut CiRecord, kind: IdentifierKind, text: SmolStr) {
    use crate::core::cmdb::normal;
    let kind = match kind {
        IdentifierKind::Ip if normal::ip(&text).is_some() => IdentifierKind::Ip,
        IdentifierKind::Ip if normal::mac(&text).is_some() => IdentifierKind::Mac,
        IdentifierKind::Ip => IdentifierKind::Alias,
        IdentifierKind::Alias
        | IdentifierKind::Fqdn
        | IdentifierKind::Mac
        | IdentifierKind::Serial => kind,
    };
    let identifier = Identifier { kind, text };
    if !ci.identifiers.contains(&identifier) {
        ci.identifiers.push(identifier);
    }
}

fn attribute(ci: &mut CiRecord, key: &str, value: Value) {
    let text = match value {
        Value::Null => return,
        Value::String(text) => text.into(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            SmolStr::new(other.to_string())
        }
    };
    ci.attributes.insert(key.into(), text);
}

/// Reads a criticality: `1` to `5`, also as `1 - most critical`, or a word.
pub fn read_criticality(text: &str) -> Option<u8> {
    let text = text.trim();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if !digits.is_empty() {
        return digits.parse().ok().filter(|level| (1..=5).contains(level));
    }
    match text.to_ascii_lowercase().as_str() {
        "critical" | "most critical" | "mission critical" | "very high" => Some(1),
        "high" | "business critical" => Some(2),
        "medium" | "moderate" | "normal" => Some(3),
        "low" => Some(4),
        "none" | "very low" | "not critical" => Some(5),
        _ => None,
    }
}

/// Whether a lifecycle word says that the CI is out of use.
pub fn is_retired_word(word: &str) -> bool {
    let word = word.trim().to_ascii_lowercase();
    [
        "retired",
        "decommissioned",
        "decommissioning",
        "obsolete",
        "disposed",
        "absent",
        "end of life",
        "end_of_life",
        "inactive",
    ]
    .contains(&word.as_str())
}

/// Writes a picture in the native format.
pub fn write(picture: &Picture) -> Vec<u8> {
    let mut json = Vec::with_capacity(picture.cis.len().saturating_mul(300));
    let mut add = |value: &Value, is_first: bool| {
        json.extend_from_slice(if is_first { b"\n" } else { b",\n" });
        // Writing into memory cannot fail.
        if serde_json::to_writer(&mut json, value).is_err() {
            json.extend_from_slice(b"null");
        }
    };
    let mut head = b"{\"cis\":[".to_vec();
    for (index, ci) in picture.cis.iter().enumerate() {
        add(&ci_value(ci), index == 0);
    }
    head.append(&mut json);
    head.extend_from_slice(b"],\n\"relations\":[");
    let mut add = |value: &Value, is_first: bool| {
        head.extend_from_slice(if is_first { b"\n" } else { b",\n" });
        if serde_json::to_writer(&mut head, value).is_err() {
            head.extend_from_slice(b"null");
        }
    };
    for (index, relation) in picture.relations.iter().enumerate() {
        add(&relation_value(relation), index == 0);
    }
    head.extend_from_slice(b"]}\n");
    head
}

fn ci_value(ci: &CiRecord) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("id", ci.id.as_str().into());
    put("class", ci.class.as_str().into());
    put("name", ci.name.as_str().into());
    let fields = [
        ("site", &ci.site),
        ("rack", &ci.rack),
        ("environment", &ci.environment),
        ("owner", &ci.owner),
    ];
    for (key, value) in fields {
        if let Some(value) = value {
            put(key, value.as_str().into());
        }
    }
    if let Some(level) = ci.criticality {
        put("criticality", level.into());
    }
    if ci.is_retired {
        put("retired", true.into());
    }
    let lists = [
        ("aliases", IdentifierKind::Alias),
        ("fqdn", IdentifierKind::Fqdn),
        ("addresses", IdentifierKind::Ip),
        ("macs", IdentifierKind::Mac),
        ("serial", IdentifierKind::Serial),
    ];
    for (key, kind) in lists {
        let texts = ci.identifiers.iter().filter(|it| it.kind == kind);
        let texts: Vec<Value> = texts.map(|it| it.text.as_str().into()).collect();
        if !texts.is_empty() {
            put(key, texts.into());
        }
    }
    if !ci.attributes.is_empty() {
        let attributes = ci.attributes.iter();
        let attributes = attributes.map(|(key, value)| (key.to_string(), value.as_str().into()));
        put("attributes", Value::Object(attributes.collect()));
    }
    Value::Object(object)
}

fn relation_value(relation: &RelationRecord) -> Value {
    let mut object = Map::new();
    let fields = [
        ("from", Some(&relation.from)),
        ("to", Some(&relation.to)),
        ("type", Some(&relation.kind)),
        ("role", relation.role.as_ref()),
        ("group", relation.group.as_ref()),
    ];
    for (key, value) in fields {
        if let Some(value) = value {
            object.insert(key.to_owned(), value.as_str().into());
        }
    }
    if let Some(min) = relation.min {
        object.insert("min".to_owned(), min.get().into());
    }
    if let Some(share) = relation.confidence {
        let share = f64::from(share) / f64::from(Relation::SURE);
        object.insert("confidence".to_owned(), share.into());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Picture {
        let file = NamedBytes {
            name: "cmdb.json".to_owned(),
            bytes: text.to_owned().into(),
        };
        Native.read(&[file]).unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let picture = read(
            r#"{"cis":[{"id":"a","class":"Host","aliases":["b"],"addresses":["10.0.0.1"],"serial":7,"criticality":"1 - most critical",
            "attributes":{"status":"retired","n":{"x":1}},"colour":"red"}],
            "relations":[{"from":"a","to":"c","type":"runs_on","role":"host","group":"g","confidence":0.5}]}"#,
        );
        let ci = &picture.cis[0];
        assert_eq!(
            (ci.class.as_str(), ci.criticality, ci.is_retired),
            ("host", Some(1), true)
        );
        assert_eq!(ci.attributes.get("colour").unwrap(), "red");
        assert_eq!(picture.relations[0].confidence, Some(5_000));
        let again = read(&String::from_utf8(write(&picture)).unwrap());
        assert_eq!(again, picture);
    }

    #[test]
    fn bad_rows_are_left_out_and_named() {
        let picture = read(
            r#"{"cis":[{"name":"x"},{"id":"a"},{"id":"a"},7],"relations":[{"from":"a","to":"a"},{"from":"a"},{"from":"a","to":"b"}]}"#,
        );
        assert_eq!((picture.cis.len(), picture.relations.len()), (1, 1));
        let places: Vec<_> = picture
            .problems
            .iter()
            .map(|it| it.place.as_str())
            .collect();
        assert_eq!(
            places,
            [
                "cmdb.json cis[0]",
                "cmdb.json cis[2]",
                "cmdb.json cis[3]",
                "cmdb.json relations[0]",
                "cmdb.json relations[1]"
            ]
        );
    }
}
