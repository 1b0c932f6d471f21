//! Reads `preset` and `[source.map]` into a compiled mapping.
//!
//! The fields of the map stand on top of those of the preset. Must not evaluate anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::error::Complaint;
use crate::config::presets::{self, Preset};
use crate::config::reader::{Spot, TableReader, expected, nearest};
use crate::config::settings::SourceKind;
use crate::config::tree::{Node, Table, Value};
use crate::config::values;
use crate::sources::mapping::{
    HintsText, Mapping, MappingError, MappingText, PairsText, SeverityText,
};

const EXPRESSION_HINT: &str = "write an expression in quotes, like \"item.host\"; a fixed text needs quotes inside, like \"'db1'\"";

/// Reads both keys of a source; the mapping is `None` for kinds without one, and (with an error) when it is wrong.
pub(super) fn read(
    table: &mut TableReader<'_>,
    kind: SourceKind,
) -> (Option<String>, Option<Arc<Mapping>>) {
    let named = table.optional("preset", values::text);
    let map = table.table("map");
    if !kind.is_mapped() {
        for key in ["preset", "map"].into_iter().filter(|key| table.has(key)) {
            let message = format!(
                "kind {:?} has a fixed meaning and takes no mapping",
                kind.word()
            );
            let complaint = Complaint::new(message);
            table.refuse(
                Some(key),
                complaint.hint("remove it, or write kind = \"json\""),
            );
        }
        return (None, None);
    }
    let has_map = map.is_some();
    let name = named.or_else(|| {
        // A map of one's own says all there is to say about a topic; a product's format is only changed by it.
        let is_whole = has_map && kind == SourceKind::Mqtt;
        let usual = kind
            .usual_preset()
            .filter(|_| !table.has("preset") && !is_whole);
        usual.map(str::to_owned)
    });
    if name.is_none() && !has_map && !table.has("preset") && !table.has("map") {
        if kind.is_mapping_optional() {
            return (None, None);
        }
        let message = format!("kind {:?} needs a preset or a [source.map]", kind.word());
        table.refuse(None, Complaint::new(message).hint(preset_hint("")));
        return (None, None);
    }
    let preset = match name.as_deref().map(|name| find(table, name)) {
        None => None,
        Some(Some(preset)) => Some(preset),
        Some(None) => return (name, None),
    };
    let mapping = match map {
        Some(map) => with_map(map, preset.as_ref(), kind),
        None => preset.and_then(|preset| preset.mapping().map(Arc::new)),
    };
    (name, mapping)
}

/// Finds a preset, or says at the key what is wrong with it.
fn find(table: &TableReader<'_>, name: &str) -> Option<Preset> {
    match presets::find(name, table.reading().files) {
        Ok(Some(preset)) => Some(preset),
        Ok(None) => {
            let complaint = Complaint::new(format!("there is no preset {name:?}"));
            table.refuse(Some("preset"), complaint.hint(preset_hint(name)));
            None
        }
        Err(errors) => {
            table.adopt("preset", errors);
            None
        }
    }
}

fn preset_hint(name: &str) -> String {
    let names: BTreeSet<&str> = presets::names().collect();
    match nearest(name, &names).filter(|_| !name.is_empty()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let names: Vec<&str> = names.into_iter().collect();
            format!(
                "presets: {}; one of your own is the file sources/NAME.toml beside the main file",
                names.join(", ")
            )
        }
    }
}

fn with_map(
    mut table: TableReader<'_>,
    preset: Option<&Preset>,
    kind: SourceKind,
) -> Option<Arc<Mapping>> {
    let own = fields(&mut table);
    let base = preset.map(|preset| preset.text.clone()).unwrap_or_default();
    let mut text = base.with(own);
    if kind == SourceKind::Sparkplug && text.alerts.is_none() {
        text.alerts = Some("payload.metrics".to_owned());
    }
    let mapping = compile(&table, &text);
    table.finish();
    let example = preset.map(Preset::example).unwrap_or_default();
    let wrapping = preset.map_or("", |preset| preset.kind.word());
    mapping.map(|mapping| Arc::new(mapping.with_example(example).with_wrapping(wrapping)))
}

/// Compiles and reports at the fields of the table.
pub(super) fn compile(table: &TableReader<'_>, text: &MappingText) -> Option<Mapping> {
    match Mapping::compile(text) {
        Ok(mapping) => Some(mapping),
        Err(errors) => {
            for MappingError {
                path,
                message,
                hint,
            } in errors
            {
                // A field that is no expression at all has its own error.
                let is_told = path.first().is_some_and(|field| field == "key")
                    && text.key.is_none()
                    && table.has("key");
                if !is_told {
                    table.refuse_below(&path, Complaint::new(message).hint(hint));
                }
            }
            None
        }
    }
}

/// Reads the fields of a map as text.
pub(super) fn fields(table: &mut TableReader<'_>) -> MappingText {
    let set = table.optional("set", named).unwrap_or_default();
    let mut field = |key| table.optional(key, expression);
    MappingText {
        set,
        alerts: field("alerts"),
        key: field("key"),
        status: field("status"),
        summary: field("summary"),
        starts_at: field("starts_at"),
        ends_at: field("ends_at"),
        acknowledge: field("acknowledge"),
        url: field("url"),
        when: field("when"),
        test: field("test"),
        severity: table.optional("severity", severity),
        labels: table.optional("labels", pairs),
        annotations: table.optional("annotations", pairs),
        ci: table.optional("ci", hints),
        change: table.optional("change", change),
    }
}

fn expression(spot: &Spot<'_>) -> Result<String, Complaint> {
    let text = spot.text("an expression");
    let text = text.map_err(|complaint| complaint.hint(EXPRESSION_HINT))?;
    Ok(text.to_owned())
}

fn text_of(node: &Node, name: &str) -> Result<String, Complaint> {
    if let Value::Text(text) = &node.value {
        return Ok(text.to_string());
    }
    let Complaint { message, .. } = expected("an expression", &node.value);
    Err(Complaint::new(format!("`{name}`: {message}")).hint(EXPRESSION_HINT))
}

fn entries(table: &Table) -> Result<Vec<(String, String)>, Complaint> {
    let entries = table.iter();
    entries
        .map(|(name, (_, node))| Ok((name.clone(), text_of(node, name)?)))
        .collect()
}

fn named(spot: &Spot<'_>) -> Result<Vec<(String, String)>, Complaint> {
    if let Value::Table(table) = &spot.node.value {
        return entries(table);
    }
    let hint = "write a table, like { host = \"payload.host or payload.hostname\" }";
    Err(expected("a table of expressions", &spot.node.value).hint(hint))
}

fn pairs(spot: &Spot<'_>) -> Result<PairsText, Complaint> {
    match &spot.node.value {
        Value::Table(table) => entries(table).map(PairsText::Each),
        Value::Text(text) => Ok(PairsText::Whole(text.to_string())),
        other @ (Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)) => {
            let hint =
                "write one that gives an object, or a table of them, like { host = \"item.host\" }";
            Err(expected("an expression, or a table of expressions", other).hint(hint))
        }
    }
}

fn hints(spot: &Spot<'_>) -> Result<HintsText, Complaint> {
    match &spot.node.value {
        Value::Table(table) => entries(table).map(HintsText::Named),
        Value::Text(text) => Ok(HintsText::One(text.to_string())),
        Value::List(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, node)| text_of(node, &index.to_string()))
                .collect::<Result<_, _>>()
                .map(HintsText::Each)
        }
        other @ (Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date) => {
            let hint =
                "write one, a list with the best first, or a table, like { name = \"item.host\" }";
            Err(expected("an expression, or a list or table of them", other).hint(hint))
        }
    }
}

fn change(spot: &Spot<'_>) -> Result<Vec<(String, String)>, Complaint> {
    let hint = "write a table of expressions, like { state = \"payload.status\", type = \"'deployment'\" }";
    match &spot.node.value {
        Value::Table(table) => entries(table),
        other @ (Value::Text(_)
        | Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)) => Err(expected("a table of expressions", other).hint(hint)),
    }
}

fn severity(spot: &Spot<'_>) -> Result<SeverityText, Complaint> {
    let hint = "write an expression, or { from = \"item.level\", table = { fatal = \"critical\" }, default = \"warning\" }";
    if let Value::Text(text) = &spot.node.value {
        return Ok(SeverityText {
            from: text.to_string(),
            ..SeverityText::default()
        });
    }
    let Value::Table(table) = &spot.node.value else {
        return Err(expected("an expression or a table", &spot.node.value).hint(hint));
    };
    let mut read = SeverityText::default();
    for (name, (_, node)) in table {
        match (name.as_str(), &node.value) {
            ("from", _) => read.from = text_of(node, name)?,
            ("default", _) => read.default = Some(text_of(node, name)?),
            ("table", Value::Table(words)) => read.table = entries(words)?,
            ("table", other) => return Err(expected("a table of words", other).hint(hint)),
            _ => return Err(Complaint::new(format!("unknown key `{name}`")).hint(hint)),
        }
    }
    if read.from.is_empty() {
        return Err(Complaint::new("`from` is required here").hint(hint));
    }
    Ok(read)
}
