//! Tables: one file of CIs with a column `id`, and optionally one of relations with the columns `from` and `to`.
//!
//! UTF-8 with or without a byte order mark, else Windows-1252; the separator (`,`, `;` or tab) is told from the header.
//! Header names count without case and surrounding spaces; columns without a meaning of their own are attributes; an
//! empty cell is unset. The columns are in `docs/cmdb.md`. Must not turn a text into a number: leading zeros stay.

use std::borrow::Cow;

use csv::{ReaderBuilder, StringRecord};
use hashbrown::HashSet;
use smol_str::SmolStr;

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::importers::native::{
    add_identifier, is_retired_word, note_lifecycle, parse_min, per_ten_thousand, read_criticality,
};
use crate::importers::{Format, ImportError, NamedBytes, note};

/// The table format.
#[derive(Clone, Copy, Debug)]
pub struct Csv;

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Class,
    Name,
    Site,
    Rack,
    Environment,
    Criticality,
    Owner,
    Retired,
    Identifier(IdentifierKind),
    DependsOn,
    From,
    To,
    Type,
    Role,
    Group,
    Min,
    Confidence,
    Attribute,
}

/// The columns by their names.
const COLUMNS: &[(&str, Column)] = &[
    ("id", Column::Id),
    ("class", Column::Class),
    ("name", Column::Name),
    ("site", Column::Site),
    ("rack", Column::Rack),
    ("environment", Column::Environment),
    ("criticality", Column::Criticality),
    ("owner", Column::Owner),
    ("retired", Column::Retired),
    ("aliases", Column::Identifier(IdentifierKind::Alias)),
    ("alias", Column::Identifier(IdentifierKind::Alias)),
    ("fqdn", Column::Identifier(IdentifierKind::Fqdn)),
    ("ip", Column::Identifier(IdentifierKind::Ip)),
    ("addresses", Column::Identifier(IdentifierKind::Ip)),
    ("mac", Column::Identifier(IdentifierKind::Mac)),
    ("serial", Column::Identifier(IdentifierKind::Serial)),
    ("asset_tag", Column::Identifier(IdentifierKind::Serial)),
    ("depends_on", Column::DependsOn),
    ("from", Column::From),
    ("to", Column::To),
    ("type", Column::Type),
    ("role", Column::Role),
    ("group", Column::Group),
    ("min", Column::Min),
    ("confidence", Column::Confidence),
];

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        files.iter().all(|file| {
            let text = decode(file.bytes.get(..4096).unwrap_or(&file.bytes));
            let header = text.lines().next().unwrap_or_default().to_lowercase();
            let mut names = header
                .split([',', ';', '\t'])
                .map(|name| name.trim().trim_matches('"'));
            // A file that says that it is one is told what is wrong with it.
            let is_named = file.name.to_lowercase().ends_with(".csv");
            is_named || names.any(|name| name == "id" || name == "from")
        })
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut picture = Picture::default();
        let mut seen = HashSet::new();
        for file in files {
            read_file(file, &mut picture, &mut seen)?;
        }
        Ok(picture)
    }
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(from_windows_1252).collect()),
    }
}

/// The character of a byte of Windows-1252.
fn from_windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    let high = byte.checked_sub(0x80).map(usize::from);
    high.and_then(|index| HIGH.get(index).copied())
        .unwrap_or(char::from(byte))
}

fn read_file(
    file: &NamedBytes,
    picture: &mut Picture,
    seen: &mut HashSet<SmolStr>,
) -> Result<(), ImportError> {
    let text = decode(&file.bytes);
    let Some(first) = text.lines().find(|line| !line.trim().is_empty()) else {
        return Err(ImportError::Empty(file.name.clone()));
    };
    let count = |separator: char| first.matches(separator).count();
    let separator = [',', ';', '\t']
        .into_iter()
        .rev()
        .max_by_key(|it| count(*it));
    let separator = separator
        .and_then(|it| u8::try_from(it).ok())
        .unwrap_or(b',');
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .from_reader(text.as_bytes());
    let malformed = |problem: String| ImportError::Malformed {
        file: file.name.clone(),
        problem,
    };
    let header = reader
        .headers()
        .map_err(|error| malformed(error.to_string()))?;
    let header = read_header(header).map_err(malformed)?;
    let mut record = StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(malformed(error.to_string())),
        }
        // The position before the record is at its first line, empty lines before it included.
        let line = record.position().map_or(line, csv::Position::line);
        let place = format!("{}:{line}", file.name);
        if record.len() > header.columns.len() {
            let problem = format!(
                "{} cells but {} columns; is a separator not quoted? Left out",
                record.len(),
                header.columns.len()
            );
            note(picture, place, problem);
        } else if header.is_relations {
            header.relation(&record, &place, picture);
        } else {
            header.ci(&record, &place, picture, seen);
        }
    }
}

struct Header {
    columns: Vec<(SmolStr, Column)>,
    is_relations: bool,
}

fn read_header(names: &StringRecord) -> Result<Header, String> {
    let mut columns: Vec<(SmolStr, Column)> = Vec::new();
    for name in names {
        let name = SmolStr::new(name.trim().to_lowercase());
        if columns.iter().any(|(other, _)| *other == name) && !name.is_empty() {
            return Err(format!("line 1: the column {name} is there twice"));
        }
        let known = COLUMNS.iter().find(|(known, _)| *known == name);
        columns.push((name, known.map_or(Column::Attribute, |(_, column)| *column)));
    }
    let has = |wanted: Column| columns.iter().any(|(_, column)| *column == wanted);
    let is_relations = has(Column::From) && has(Column::To) && !has(Column::Id);
    if !is_relations && !has(Column::Id) {
        return Err(
            "line 1: no column id (a table of CIs), and not both from and to (a table of relations)"
                .to_owned(),
        );
    }
    if !is_relations {
        // In a table of CIs these words are attributes like any other.
        for (_, column) in &mut columns {
            if matches!(
                column,
                Column::From
                    | Column::To
                    | Column::Type
                    | Column::Role
                    | Column::Group
                    | Column::Min
                    | Column::Confidence
            ) {
                *column = Column::Attribute;
            }
        }
    }
    Ok(Header {
        columns,
        is_relations,
    })
}

impl Header {
    fn cells<'a>(
        &'a self,
        record: &'a StringRecord,
    ) -> impl Iterator<Item = (&'a SmolStr, Column, SmolStr)> {
        let pairs = self.columns.iter().zip(record);
        pairs
            .map(|((name, column), cell)| (name, *column, SmolStr::new(cell.trim())))
            .filter(|(_, _, cell)| !cell.is_empty())
    }

    fn ci(
        &self,
        record: &StringRecord,
        place: &str,
        picture: &mut Picture,
        seen: &mut HashSet<SmolStr>,
    ) {
        let mut ci = CiRecord::default();
        let mut providers = Vec::new();
        for (name, column, cell) in self.cells(record) {
            match column {
                Column::Id => ci.id = cell,
                Column::Class => ci.class = cell.to_lowercase().into(),
                Column::Name => ci.name = cell,
                Column::Site => ci.site = Some(cell),
                Column::Rack => ci.rack = Some(cell),
                Column::Environment => ci.environment = Some(cell),
                Column::Criticality => {
                    ci.criticality = read_criticality(&cell);
                    if ci.criticality.is_none() {
                        let problem = format!("criticality {cell:?} is not 1 to 5; kept as text");
                        note(picture, place, problem);
                        ci.attributes.insert(name.clone(), cell);
                    }
                }
                Column::Owner => ci.owner = Some(cell),
                Column::Retired => {
                    let word = cell.to_lowercase();
                    ci.is_retired |=
                        is_retired_word(&word) || ["true", "yes", "1"].contains(&word.as_str());
                }
                Column::Identifier(kind) => {
                    split(&cell).for_each(|text| add_identifier(&mut ci, kind, text));
                }
                Column::DependsOn => providers.extend(split(&cell)),
                Column::From
                | Column::To
                | Column::Type
                | Column::Role
                | Column::Group
                | Column::Min
                | Column::Confidence
                | Column::Attribute => {
                    if !name.is_empty() {
                        ci.attributes.insert(name.clone(), cell);
                    }
                }
            }
        }
        if ci.id.is_empty() {
            if record.iter().any(|cell| !cell.trim().is_empty()) {
                note(picture, place, "the id is empty; left out");
            }
            return;
        }
        if !seen.insert(ci.id.clone()) {
            let problem = format!("the id {} was given before; the first one is kept", ci.id);
            return note(picture, place, problem);
        }
        if ci.name.is_empty() {
            ci.name = ci.id.clone();
        }
        note_lifecycle(&mut ci);
        for to in providers {
            link(
                picture,
                place,
                RelationRecord {
                    from: ci.id.clone(),
                    to,
                    kind: "depends_on".into(),
                    ..RelationRecord::default()
                },
            );
        }
        picture.cis.push(ci);
    }

    fn relation(&self, record: &StringRecord, place: &str, picture: &mut Picture) {
        let mut relation = RelationRecord::default();
        for (_, column, cell) in self.cells(record) {
            match column {
                Column::From => relation.from = cell,
                Column::To => relation.to = cell,
                Column::Type => relation.kind = cell,
                Column::Role => relation.role = Some(cell),
                Column::Group => relation.group = Some(cell),
                Column::Min => match parse_min(&cell) {
                    Ok(min) => relation.min = min,
                    Err(problem) => note(picture, place, problem),
                },
                Column::Confidence => {
                    relation.confidence = cell.parse().ok().map(per_ten_thousand);
                }
                Column::Id
                | Column::Class
                | Column::Name
                | Column::Site
                | Column::Rack
                | Column::Environment
                | Column::Criticality
                | Column::Owner
                | Column::Retired
                | Column::Identifier(_)
                | Column::DependsOn
                | Column::Attribute => {}
            }
        }
        if relation.kind.is_empty() {
            relation.kind = "depends_on".into();
        }
        if relation.from.is_empty() || relation.to.is_empty() {
            if record.iter().any(|cell| !cell.trim().is_empty()) {
                note(picture, place, "from or to is empty; left out");
            }
            return;
        }
        link(picture, place, relation);
    }
}

fn link(picture: &mut Picture, place: &str, relation: RelationRecord) {
    if relation.from == relation.to {
        let problem = format!("{} depends on itself; left out", relation.from);
        return note(picture, place, problem);
    }
    picture.relations.push(relation);
}

/// The parts of a cell that holds several.
fn split(cell: &str) -> impl Iterator<Item = SmolStr> + '_ {
    let parts = cell.split('|').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(SmolStr::new)
}
