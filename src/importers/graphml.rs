//! GraphML: nodes become items, edges relations. Made for the Internet Topology Zoo and for drawings of networks.
//!
//! An edge of a directed graph points at the provider. In an undirected one nobody says who depends on whom, so each
//! end depends on the other, with half the confidence. Source: the GraphML primer. Must not expand entities or
//! follow references to other files.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::documents::{heads_hold, malformed, text};
use crate::importers::draft::{Draft, cut, relation_as};
use crate::importers::value::keep_text;
use crate::importers::{Format, ImportError, NamedBytes};

/// Levels of nested elements; graphs within nodes are rare and shallow.
const DEPTH_MAX: usize = 64;
/// How sure each direction of an undirected edge is, in 1/10,000.
const UNDIRECTED: u16 = 5_000;

/// The format.
pub struct GraphMl;

impl Format for GraphMl {
    fn name(&self) -> &'static str {
        "graphml"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        heads_hold(files, &["<graphml"])
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        for file in files {
            let mut reading = Reading::new(&mut draft, file);
            reading.read(text(file)?)?;
        }
        Ok(draft.finish())
    }
}

#[derive(Default)]
struct Element {
    source: String,
    target: String,
    is_edge: bool,
    is_directed: Option<bool>,
    record: CiRecord,
}

struct Reading<'a> {
    draft: &'a mut Draft,
    file: &'a NamedBytes,
    prefix: String,
    /// Names of the data keys, by their ids.
    keys: BTreeMap<String, String>,
    is_directed: bool,
    open: Vec<Element>,
    /// The key of the data that is being read, and its text.
    data: Option<(String, String)>,
    has_graph: bool,
}

impl<'a> Reading<'a> {
    fn new(draft: &'a mut Draft, file: &'a NamedBytes) -> Self {
        let name = file.name.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        Self {
            draft,
            file,
            prefix: stem.to_owned(),
            keys: BTreeMap::new(),
            is_directed: false,
            open: Vec::new(),
            data: None,
            has_graph: false,
        }
    }

    fn read(&mut self, text: &str) -> Result<(), ImportError> {
        let mut reader = Reader::from_str(text);
        let mut depth = 0_usize;
        loop {
            let position = reader.buffer_position();
            let event = reader
                .read_event()
                .map_err(|error| self.broken(position, &error.to_string()))?;
            match event {
                Event::Start(element) => {
                    depth = depth.saturating_add(1);
                    if depth > DEPTH_MAX {
                        return Err(self.broken(position, "more than 64 nested elements"));
                    }
                    self.start(&element);
                }
                Event::Empty(element) => {
                    self.start(&element);
                    self.end(element.local_name().as_ref(), position);
                }
                Event::End(element) => {
                    depth = depth.saturating_sub(1);
                    self.end(element.local_name().as_ref(), position);
                }
                Event::Text(piece) => self.piece(&piece),
                Event::CData(piece) => self.piece(&piece),
                Event::GeneralRef(reference) => {
                    self.reference(&reference);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        if depth > 0 {
            return Err(self.broken(reader.buffer_position(), "the file ends in the middle"));
        }
        if self.has_graph {
            Ok(())
        } else {
            Err(malformed(
                self.file,
                "there is no <graph> in it; is it GraphML?",
            ))
        }
    }

    fn broken(&self, position: u64, what: &str) -> ImportError {
        malformed(self.file, format!("not XML at byte {position}: {what}"))
    }

    fn start(&mut self, element: &BytesStart<'_>) {
        match element.local_name().as_ref() {
            "graph" => {
                self.has_graph = true;
                self.is_directed =
                    attribute(element, "edgedefault").is_some_and(|word| word == "directed");
            }
            "key" => {
                let name =
                    attribute(element, "attr.name").or_else(|| attribute(element, "yfiles.type"));
                if let (Some(id), Some(name)) = (attribute(element, "id"), name) {
                    self.keys.insert(id, name);
                }
            }
            "node" => {
                let id = attribute(element, "id").unwrap_or_default();
                let record = CiRecord {
                    id: self.id(&id),
                    class: "node".into(),
                    ..CiRecord::default()
                };
                self.open.push(Element {
                    record,
                    ..Element::default()
                });
            }
            "edge" => self.open.push(Element {
                source: attribute(element, "source").unwrap_or_default(),
                target: attribute(element, "target").unwrap_or_default(),
                is_edge: true,
                is_directed: attribute(element, "directed").map(|word| word == "true"),
                ..Element::default()
            }),
            "data" => {
                let key = attribute(element, "key").unwrap_or_default();
                self.data = Some((key, String::new()));
            }
            _ => {}
        }
    }

    fn id(&self, id: &str) -> smol_str::SmolStr {
        if id.is_empty() {
            return smol_str::SmolStr::default();
        }
        smol_str::format_smolstr!("{}:{id}", self.prefix)
    }

    fn piece(&mut self, piece: &str) {
        if let Some((_, text)) = &mut self.data {
            text.push_str(piece);
        }
    }

    fn reference(&mut self, name: &str) {
        let known = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => name.strip_prefix('#').and_then(|number| {
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)
            }),
        };
        if let Some(known) = known {
            self.piece(known.encode_utf8(&mut [0; 4]));
        }
    }

    fn end(&mut self, name: &str, position: u64) {
        match name {
            "data" => {
                let Some((key, text)) = self.data.take() else {
                    return;
                };
                let text = text.trim();
                if let (Some(element), false) = (self.open.last_mut(), text.is_empty()) {
                    let name = self.keys.get(&key).map_or(key.as_str(), String::as_str);
                    set(&mut element.record, name, text);
                }
            }
            "node" | "edge" => {
                let Some(element) = self.open.pop() else {
                    return;
                };
                let place = format!("{}: byte {position}", self.file.name);
                if element.is_edge {
                    self.edge(&place, &element);
                } else {
                    self.draft.ci(&place, element.record);
                }
            }
            _ => {}
        }
    }

    fn edge(&mut self, place: &str, element: &Element) {
        let (from, to) = (self.id(&element.source), self.id(&element.target));
        let is_directed = element.is_directed.unwrap_or(self.is_directed);
        let link = |from: &str, to: &str| RelationRecord {
            confidence: (!is_directed).then_some(UNDIRECTED),
            ..relation_as(from, to, RelationKind::ConnectsTo, Role::Net)
        };
        self.draft.relation(place, link(&from, &to));
        if !is_directed && from != to {
            self.draft.relation(place, link(&to, &from));
        }
    }
}

fn set(record: &mut CiRecord, name: &str, text: &str) {
    let word = name.to_ascii_lowercase();
    match word.as_str() {
        "label" | "name" if record.name.is_empty() => record.name = cut(text, 512),
        "class" => record.class = cut(text, 512),
        // The Topology Zoo repeats the node's number here.
        "id" => {}
        _ => keep_text(record, name, text),
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|one| one.key.as_ref() == name)?;
    let text = &found.value;
    Some(quick_xml::escape::unescape(text).map_or_else(|_| text.to_string(), Into::into))
}
