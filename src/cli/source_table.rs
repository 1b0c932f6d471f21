//! Sources, and what one made of a message, for people.
//!
//! Must not print.

use crate::cli::failure::Failure;
use crate::cli::out::Out;
use crate::cli::pages::Page;
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::cli::text::span;
use crate::cli::views::{Source, filled, severity_paint, time};
use crate::core::time::Timestamp;
use crate::sources::tried::{Tried, TriedHint, TriedInput, TriedItem};

const NOTHING: &str = "nothing";

/// What was made of a message.
pub fn tried(tried: &Tried, out: &Out) -> String {
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    let source = format!("{} ({})", tried.source, tried.kind);
    table.row(["source".into(), source.into()]);
    let (word, paint) = match (tried.understood, tried.rejected < items(tried)) {
        (true, _) => ("understood", Paint::Green),
        (false, true) => ("understood in part", Paint::Yellow),
        (false, false) => ("not understood", Paint::Red),
    };
    let counts = [
        (tried.observed, "observed"),
        (tried.rejected, "rejected"),
        (tried.skipped, "left out"),
        (tried.tests, "test messages"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let result = [vec![word.to_owned()], counts].concat().join(", ");
    table.row(["result".into(), Cell::painted(&result, paint)]);
    if let Some(error) = &tried.error {
        table.row(["error".into(), Cell::painted(error, Paint::Red)]);
    }
    for (head, lines) in [("note", &tried.notes), ("advice", &tried.advice)] {
        for line in lines {
            table.row([head.into(), line.as_str().into()]);
        }
    }
    let mut text = table.render(out);
    for one in &tried.items {
        text.push('\n');
        text.push_str(&item(one, out));
    }
    if items(tried) > tried.items.len() {
        let left = items(tried).saturating_sub(tried.items.len());
        text.push_str(&format!("\n{left} more items are not shown.\n"));
    }
    text
}

fn items(tried: &Tried) -> usize {
    [tried.observed, tried.rejected, tried.skipped, tried.tests]
        .into_iter()
        .fold(0, usize::saturating_add)
}

fn item(item: &TriedItem, out: &Out) -> String {
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    let paint = match item.outcome {
        "rejected" => Paint::Red,
        "resolved" => Paint::Green,
        "firing" => severity_paint(item.severity.unwrap_or_default()),
        _ => Paint::Dim,
    };
    table.row([
        format!("item {}", item.index).into(),
        Cell::painted(item.outcome, paint),
    ]);
    if let Some(problem) = &item.problem {
        table.row(["problem".into(), Cell::painted(problem, Paint::Red)]);
    }
    for (head, value) in [
        ("key", item.key.as_deref()),
        ("severity", item.severity),
        ("summary", item.summary.as_deref()),
        ("starts at", item.starts_at.as_deref()),
        ("ends at", item.ends_at.as_deref()),
        ("link", item.url.as_deref()),
    ] {
        if let Some(value) = value {
            table.row([head.into(), value.into()]);
        }
        if head == "key" {
            for input in &item.key_inputs {
                table.row(["  from".into(), input_line(input).into()]);
            }
        }
    }
    for (head, pairs) in [("label", &item.labels), ("annotation", &item.annotations)] {
        for (name, value) in pairs {
            table.row([head.into(), format!("{name} = {value}").into()]);
        }
    }
    for hint in &item.ci_hints {
        table.row(["CI hint".into(), hint_line(hint).into()]);
    }
    for missing in &item.missing {
        let line = format!("{} (looked for by {})", missing.path, missing.field);
        table.row(["missing".into(), line.into()]);
    }
    if item.is_cut {
        let line = "something was too long or too many and has been cut";
        table.row(["cut".into(), line.into()]);
    }
    table.render(out)
}

fn input_line(input: &TriedInput) -> String {
    let value = input.value.as_deref().unwrap_or(NOTHING);
    format!("{} = {value}", input.path)
}

fn hint_line(hint: &TriedHint) -> String {
    let value = hint.value.as_deref().unwrap_or(NOTHING);
    match (&hint.name, hint.expression.as_str()) {
        (Some(name), expression) => format!("{name} = {value} ({expression})"),
        (None, "") => value.to_owned(),
        (None, expression) => format!("{value} ({expression})"),
    }
}

const COLUMNS: &[(&str, Fit)] = &[
    ("SOURCE", Fit::Fixed),
    ("KIND", Fit::Fixed),
    ("LAST", Fit::Right),
    ("RATE/S", Fit::Right),
    ("TEST", Fit::Right),
    ("SKEW", Fit::Right),
    ("ERRORS", Fit::Right),
    ("REMARK", Fit::Cut),
];

/// The sources of a daemon.
///
/// # Errors
/// An item has another shape than this release knows.
pub fn sources(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let mut table = Table::new(COLUMNS);
    for source in page.values::<Source>()? {
        let ago = |at: Option<jiff::Timestamp>| {
            at.map_or_else(|| "never".to_owned(), |at| span(now.since(time(at))))
        };
        let skew = source.skew_s.map(|skew| format!("{skew:+.0}s"));
        let reason = filled(source.errors.last_reason.as_ref());
        let remark = source.warnings.first().or(reason);
        table.row([
            source.name.as_str().into(),
            source.kind.as_str().into(),
            ago(source.last_message_at).into(),
            format!("{:.2}", source.rate).into(),
            ago(source.last_test_at).into(),
            skew.unwrap_or_default().into(),
            source.errors.count.to_string().into(),
            remark.map_or("", String::as_str).into(),
        ]);
    }
    Ok(table.render(out))
}
