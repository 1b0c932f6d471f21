//! `watchbell bench correlate --replay`: recorded faults from tables.
//!
//! Must not judge; `crate::lab::replay` does.

use std::path::Path;

use csv::{Reader, StringRecord};
use serde::Serialize;
use smol_str::SmolStr;

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::out::Out;
use crate::core::rules::Rules;
use crate::lab::replay::{Replay, Row, replay};
use crate::lab::telecom::{self, Alarm, Telecom};

/// Columns of telecom alarms.
const ALARM_COLUMNS: [&str; 4] = ["alarm_id", "device_id", "start_timestamp", "end_timestamp"];
/// Columns of the alerts.
const COLUMNS: [&str; 8] = [
    "start_ts",
    "end_ts",
    "ci",
    "metric",
    "alert_class",
    "peak_robust_z",
    "fault_window_id",
    "fault_root_ci",
];

/// Plays the tables and prints how often the root is named.
///
/// # Errors
/// A table cannot be read, or lacks a column.
pub fn run(alerts: &Path, edges: &Path, as_json: bool, out: &Out) -> Result<Exit, Failure> {
    let rows = table(alerts, &COLUMNS, |fields| {
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        let text = |index: usize| fields.get(index).map(SmolStr::new);
        Some(Row {
            start: number(0)?,
            end: number(1)?,
            ci: text(2)?,
            metric: text(3)?,
            class: text(4)?,
            peak: fields.get(5)?.parse().ok()?,
            fault: text(6)?,
            root: text(7)?,
        })
    })?;
    let edges = table(edges, &["Source", "Target"], |fields| {
        Some((SmolStr::new(fields.first()?), SmolStr::new(fields.get(1)?)))
    })?;
    let result = replay(&rows, &edges, &Rules::default());
    print(&result, as_json, shown, out)
}

/// Plays the alarms of a telecom network and prints how they were grouped.
///
/// # Errors
/// A table cannot be read, or lacks a column.
pub fn run_alarms(
    alarms: &Path,
    links: Option<&Path>,
    causes: &Path,
    as_json: bool,
    out: &Out,
) -> Result<Exit, Failure> {
    let alarms = table(alarms, &ALARM_COLUMNS, |fields| {
        let seconds = |index: usize| {
            let text: &str = fields.get(index)?;
            let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
            whole.parse::<i64>().ok()
        };
        Some(Alarm {
            kind: SmolStr::new(fields.first()?),
            device: SmolStr::new(fields.get(1)?),
            start: seconds(2)?,
            end: seconds(3)?,
        })
    })?;
    let pair = |fields: &[&str]| {
        let (one, other) = (fields.first()?, fields.get(1)?);
        Some((SmolStr::new(one), SmolStr::new(other)))
    };
    let causes = table(causes, &["cause_alarm_id", "effect_alarm_id"], pair)?;
    let links = match links {
        Some(links) => table(links, &["device_a", "device_b"], pair)?,
        None => Vec::new(),
    };
    let (links, causes) = (links.into_iter().collect(), causes.into_iter().collect());
    let result = telecom::replay(&alarms, &links, &causes, &Rules::default());
    print(&result, as_json, shown_alarms, out)
}

fn print<T: Serialize>(
    result: &T,
    as_json: bool,
    shown: impl Fn(&T) -> String,
    out: &Out,
) -> Result<Exit, Failure> {
    if as_json {
        let text = serde_json::to_string(result).map_err(|error| {
            Failure::unreachable(format!("the report cannot be written: {error}"))
        })?;
        json::print(&text, out)?;
    } else {
        out.print(&shown(result))?;
    }
    Ok(Exit::Done)
}

fn shown_alarms(telecom: &Telecom) -> String {
    let mut text = format!(
        "{} alarms, {} incidents, {:.3} of all alarms in the largest\n{:24} {:>8} {:>8}\n",
        telecom.alarms,
        telecom.incidents,
        telecom.largest,
        "pairs within a minute",
        "pairs",
        "related"
    );
    for it in &telecom.pairs {
        text.push_str(&format!(
            "{:24} {:>8} {:>8.2}\n",
            it.name, it.pairs, it.related
        ));
    }
    text.push_str(&format!(
        "{} incidents hold a cause and what it causes\n{:24} {:>8} {:>8}\n",
        telecom.judged, "", "top1", "top3"
    ));
    for it in &telecom.rankings {
        text.push_str(&format!(
            "{:24} {:>8.2} {:>8.2}\n",
            it.name, it.top1, it.top3
        ));
    }
    text
}

fn shown(replay: &Replay) -> String {
    let mut text = format!(
        "{} faults, {} of them with an alert at the root\n{:20} {:>6} {:>6}\n",
        replay.faults, replay.observable, "", "top1", "top3"
    );
    for it in &replay.rankings {
        text.push_str(&format!(
            "{:20} {:>6.2} {:>6.2}\n",
            it.name, it.top1, it.top3
        ));
    }
    text
}

/// Reads the named columns of a table.
fn table<T>(
    path: &Path,
    columns: &[&str],
    read: impl Fn(&[&str]) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let shown = path.display();
    let wrong = |text: String| Failure::failed(format!("{shown}: {text}"));
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::unreachable(format!("{shown} cannot be read: {error}")))?;
    let mut reader = Reader::from_reader(bytes.as_slice());
    let heads = reader
        .headers()
        .map_err(|error| wrong(error.to_string()))?
        .clone();
    let place = |column: &&str| {
        let found = heads.iter().position(|head| head == *column);
        found.ok_or_else(|| wrong(format!("no column {column}; is it packed? unpack it first")))
    };
    let places: Vec<usize> = columns.iter().map(place).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    for line in 2.. {
        let is_there = reader
            .read_record(&mut record)
            .map_err(|error| wrong(error.to_string()))?;
        if !is_there {
            break;
        }
        let fields: Vec<&str> = places
            .iter()
            .map(|&place| record.get(place).unwrap_or_default())
            .collect();
        let row = read(&fields);
        rows.push(row.ok_or_else(|| wrong(format!("line {line}: a number is not one")))?);
    }
    Ok(rows)
}
