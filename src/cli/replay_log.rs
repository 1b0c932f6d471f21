//! `watchbell replay`: the stored input log once more, with the rules of now and with others, and what differs.
//!
//! The log is played from the last state that was kept before the time that is asked for, else from its beginning; the
//! difference is told of that time. Must not write anything, and must not ask a daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::out::Out;
use crate::cli::settings::{RULES, attach, load_sections, request};
use crate::cli::text;
use crate::config::{self, Env, Settings, parse_duration};
use crate::core::heartbeat::SOURCE;
use crate::core::ids::{AlertId, IdFeed, IncidentId, Seq};
use crate::core::input::Input;
use crate::core::observation::Observation;
use crate::core::records::RecordOrder;
use crate::core::state::State;
use crate::core::time::Timestamp;
use crate::engine::own::own_input;
use crate::simulate::trial::drive::Drive;
use crate::sources::heartbeat::Heartbeat;
use crate::sources::{Envelope, Message, Source};
use crate::store::inbox::{InputKind, StoredInput, list_after};
use crate::store::load::{load, load_labels};
use crate::store::{Db, snapshot};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell replay --from 24h --rules new.toml
  watchbell replay --from 2026-11-20T08:00:00Z --to 2026-11-20T12:00:00Z --rules new.toml --json
  watchbell replay --from 7d                      # only what the rules of now make of it

The log of the store in the configuration is played from the last state that was kept before --from ([retention]
snapshots), else from its first input; the difference is told of incidents that were opened from --from on. Exit code 0:
played, whatever differs; 1: the log does not go back that far; 3: a file or the store cannot be opened.";

/// Inputs read at once.
const PAGE: i64 = 500;
/// The sections of the configuration that matter here, besides those that hold rules.
const NEEDED: [&str; 3] = ["store", "source", "heartbeat"];

/// From when on, and with which rules.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// A time, or how long ago, like 24h
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until then [default: the end of the log]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// A configuration with other rules; its store is not used
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

/// One side of the comparison.
struct Side {
    drive: Drive,
    decoders: BTreeMap<String, Arc<dyn Source>>,
    unread: u64,
}

/// What became of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    id: IncidentId,
    opened_at: Timestamp,
    priority: &'static str,
    title: String,
    alerts: BTreeSet<String>,
    pages: usize,
}

/// Plays the log and tells what differs.
///
/// # Errors
/// The log does not go back that far, or something cannot be opened.
pub async fn run(
    config: Option<&Path>,
    args: &ReplayArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let needed = [&NEEDED[..], &RULES].concat();
    let settings = load_sections(&request(config, env), &needed)?;
    let from = time(&args.from)?;
    let to = args.to.as_deref().map(time).transpose()?;
    let db = attach(&settings)?;
    let begin = Begin::before(&db, settings.state_dir(), from).await?;
    let mut sides = vec![Side::new(&settings, &begin)];
    if let Some(rules) = &args.rules {
        let other = load_sections(&request(Some(rules), env), &needed)?;
        sides.push(Side::new(&other, &begin));
    }
    let mut after = begin.seq;
    let mut first: Option<(Seq, Timestamp)> = None;
    let mut played = 0_u64;
    'log: loop {
        let mut reader = db.reader().await?;
        let inputs = list_after(reader.lend(), 0, after, PAGE).await?;
        drop(reader);
        let Some(last) = inputs.last() else {
            break;
        };
        after = last.seq;
        for input in &inputs {
            if first.is_none() {
                first = Some((input.seq, input.at));
                if begin.at.is_none() {
                    check_reach(from, input)?;
                }
            }
            if to.is_some_and(|to| input.at > to) {
                break 'log;
            }
            played = played.saturating_add(1);
            play(&mut sides, input);
        }
    }
    db.close().await;
    if first.is_none() && begin.at.is_none() {
        return Err(Failure::failed("the input log is empty"));
    }
    if let Some(to) = to {
        sides.iter_mut().for_each(|side| side.drive.pass(to));
    }
    out.note(&match (begin.at, first) {
        (Some(at), _) => format!(
            "played from the state that was kept at {} (position {}): {played} inputs",
            text::utc(at),
            begin.seq.get()
        ),
        (None, Some((seq, at))) => format!(
            "no state was kept before that, so the log was played from its first input (position {}, {}): {played} inputs",
            seq.get(),
            text::utc(at)
        ),
        (None, None) => "the input log is empty".to_owned(),
    });
    for side in &sides {
        if side.unread > 0 {
            out.note(&format!(
                "{} messages could not be read by these sources",
                side.unread
            ));
        }
    }
    let outcomes: Vec<Vec<Outcome>> = sides.iter().map(|side| side.outcomes(from)).collect();
    tell(&outcomes, &sides, args.json, out)?;
    Ok(Exit::Done)
}

/// A time, or how long ago.
fn time(text: &str) -> Result<Timestamp, Failure> {
    let is_day = text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10;
    let whole = if is_day {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    if let Ok(at) = whole.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(at.as_millisecond()));
    }
    let ago = parse_duration(text).map_err(|_| {
        Failure::usage(format!(
            "{text:?} is neither a time like 2026-11-20T08:00:00Z or 2026-11-20 nor a length like 24h"
        ))
    })?;
    Ok(now().minus(ago))
}

/// A log of which the beginning was deleted says nothing about what was open before.
fn check_reach(from: Timestamp, first: &StoredInput) -> Result<(), Failure> {
    if first.seq.get() <= 1 || from >= first.at {
        return Ok(());
    }
    let earliest = text::rfc3339(first.at);
    Err(Failure::failed(format!(
        "the log begins at {earliest}; what came before was deleted after [retention] inputs"
    ))
    .next(format!("use --from {earliest} or later")))
}

/// Where the log is played from.
#[derive(Default)]
struct Begin {
    /// The last input that the state knows.
    seq: Seq,
    /// When it was kept; `None` for the beginning of the log.
    at: Option<Timestamp>,
    state: State,
    ids: IdFeed,
}

impl Begin {
    /// The last state that was kept before a time; the beginning of the log when there is none.
    async fn before(db: &Db, state_dir: &Path, from: Timestamp) -> Result<Self, Failure> {
        let kept = snapshot::list(&snapshot::folder(db, state_dir));
        let last = kept.into_iter().rfind(|it| it.at <= from);
        let Some(last) = last else {
            return Ok(Self::default());
        };
        let store = Db::attach(&format!("sqlite:{}", last.file.display()), 1)?;
        let mut reader = store.snapshot().await?;
        let (mut state, ids) = load(reader.lend(), 0).await?;
        load_labels(reader.lend(), 0, &mut state).await?;
        drop(reader);
        store.close().await;
        Ok(Self {
            seq: last.seq,
            at: Some(last.at),
            state,
            ids,
        })
    }
}

impl Side {
    fn new(settings: &Settings, begin: &Begin) -> Self {
        let named = settings.sources.iter();
        let mut decoders: BTreeMap<String, Arc<dyn Source>> = named
            .filter_map(|source| Some((source.name.clone(), source.decoder()?)))
            .collect();
        decoders.insert(SOURCE.to_string(), Arc::new(Heartbeat));
        Self {
            drive: Drive::at(
                Arc::new(config::rules(settings)),
                begin.state.clone(),
                begin.ids.clone(),
            ),
            decoders,
            unread: 0,
        }
    }

    fn read(&mut self, input: &StoredInput) -> Vec<Observation> {
        let source = input.input.source.as_deref().unwrap_or_default();
        let envelope = input.input.envelope.as_deref();
        let envelope = envelope.and_then(|text| serde_json::from_str::<Envelope>(text).ok());
        let envelope = envelope.unwrap_or_default();
        let read = self.decoders.get(source).and_then(|decoder| {
            let body = input.input.body.open().ok()?;
            let message = Message {
                content_type: input.input.content_type.as_deref(),
                envelope: &envelope,
                ..Message::new(source, &body, input.at)
            };
            decoder.decode(&message).ok()
        });
        let Some(decoded) = read else {
            self.unread = self.unread.saturating_add(1);
            return Vec::new();
        };
        decoded.observations
    }

    fn outcomes(&self, from: Timestamp) -> Vec<Outcome> {
        let told = self.drive.told();
        let outcomes = told.incidents.values().filter(|it| it.opened_at >= from);
        outcomes
            .map(|incident| {
                let members = told.members.get(&incident.id).into_iter().flatten();
                let key = |alert: &AlertId| told.keys.get(alert).map(|key| key.text().to_string());
                let first = members.clone().next();
                let title = told.titles.get(&incident.id);
                let title = title.or_else(|| told.summaries.get(first?));
                Outcome {
                    id: incident.id,
                    opened_at: incident.opened_at,
                    priority: incident.priority.word(),
                    title: title.map(ToString::to_string).unwrap_or_default(),
                    alerts: members.filter_map(key).collect(),
                    pages: told
                        .pages
                        .iter()
                        .filter(|page| page.incident == incident.id)
                        .count(),
                }
            })
            .filter(|outcome| !outcome.alerts.is_empty())
            .collect()
    }

    /// The incident here that holds the alerts of an incident there.
    fn twin(&self, other: &Drive, incident: IncidentId) -> IncidentId {
        let members = other.told().members.get(&incident).into_iter().flatten();
        let mut found = members.filter_map(|alert| self.drive.state().alert(*alert)?.incident);
        found.next().unwrap_or(incident)
    }
}

/// Plays one input on every side; deadlines are reached by the rules of each, not when they were.
fn play(sides: &mut [Side], input: &StoredInput) {
    let (at, source) = (input.at, input.input.source.as_deref().unwrap_or_default());
    match input.input.kind {
        InputKind::Message => {
            for side in sides {
                let observations = side.read(input);
                if side.drive.rules().heartbeats.listens_to(source) {
                    let source = SmolStr::new(source);
                    side.drive.happen(at, &Input::SourceHeard { source });
                }
                for observation in observations {
                    let source = SmolStr::new(source);
                    side.drive.happen(
                        at,
                        &Input::ObservationReceived {
                            source,
                            observation,
                        },
                    );
                }
            }
        }
        InputKind::Poll | InputKind::Command => {
            let Some(own) = own_input(input.seq, &input.input) else {
                return;
            };
            let translated: Vec<Input> = match sides {
                [first, others @ ..] => {
                    let first = &first.drive;
                    let mut all = vec![own.clone()];
                    all.extend(others.iter().map(|side| translate(&own, side, first)));
                    all
                }
                [] => Vec::new(),
            };
            for (side, own) in sides.iter_mut().zip(translated) {
                side.drive.happen(at, &own);
            }
        }
        InputKind::Deadline => sides.iter_mut().for_each(|side| side.drive.pass(at)),
        InputKind::Started => {
            for side in sides {
                side.drive.happen(at, &Input::Started);
            }
        }
    }
}

/// An order that names an incident, with the number that the incident of the same alerts has on another side.
fn translate(own: &Input, side: &Side, first: &Drive) -> Input {
    let mut own = own.clone();
    if let Input::CommandGiven(given) = &mut own {
        given.incident = side.twin(first, given.incident);
        given.expected_version = None;
    }
    if let Input::RecordGiven(given) = &mut own {
        match &mut given.order {
            RecordOrder::JudgeChange { incident, .. }
            | RecordOrder::Major { incident, .. }
            | RecordOrder::Rate { incident, .. } => {
                *incident = side.twin(first, *incident);
            }
            RecordOrder::PutChange { .. }
            | RecordOrder::PutRequest { .. }
            | RecordOrder::PutProblem { .. }
            | RecordOrder::PutKnownError { .. }
            | RecordOrder::PutAction { .. }
            | RecordOrder::Bind { .. } => {}
        }
    }
    own
}

fn tell(
    outcomes: &[Vec<Outcome>],
    sides: &[Side],
    as_json: bool,
    out: &Out,
) -> Result<(), Failure> {
    let now = outcomes.first().map(Vec::as_slice).unwrap_or_default();
    let Some(other) = outcomes.get(1) else {
        if as_json {
            let incidents: Vec<Value> = now.iter().map(shape).collect();
            return json::print(&json!({"incidents": incidents}).to_string(), out);
        }
        for outcome in now {
            out.print(&line(outcome))?;
        }
        out.note(&counts("with these rules", now));
        return Ok(());
    };
    let pairs = pair(now, other);
    let lost: Vec<&Outcome> = now
        .iter()
        .filter(|it| !pairs.contains_key(&it.id))
        .collect();
    let twins: BTreeSet<IncidentId> = pairs.values().copied().collect();
    let new: Vec<&Outcome> = other.iter().filter(|it| !twins.contains(&it.id)).collect();
    let changed: Vec<(&Outcome, &Outcome)> = now
        .iter()
        .filter_map(|before| {
            let twin = pairs.get(&before.id)?;
            let after = other.iter().find(|it| it.id == *twin)?;
            let is_same = (before.priority, before.pages, &before.alerts)
                == (after.priority, after.pages, &after.alerts);
            (!is_same).then_some((before, after))
        })
        .collect();
    if as_json {
        let sum = |outcomes: &[Outcome]| outcomes.iter().map(|it| it.pages).sum::<usize>();
        let requests = |side: Option<&Side>| {
            let records = side.map(|side| side.drive.told().records.keys());
            let requests = records.into_iter().flatten();
            requests
                .filter(|id| id.kind == crate::core::records::Kind::Request)
                .count()
        };
        let value = json!({
            "now": {"incidents": now.len(), "pages": sum(now), "requests": requests(sides.first())},
            "then": {"incidents": other.len(), "pages": sum(other), "requests": requests(sides.get(1))},
            "only_now": lost.iter().map(|it| shape(it)).collect::<Vec<_>>(),
            "only_then": new.iter().map(|it| shape(it)).collect::<Vec<_>>(),
            "changed": changed.iter().map(|(before, after)| json!({"now": shape(before), "then": shape(after)})).collect::<Vec<_>>(),
        });
        return json::print(&value.to_string(), out);
    }
    for outcome in &lost {
        out.print(&format!("- {}", line(outcome)))?;
    }
    for outcome in &new {
        out.print(&format!("+ {}", line(outcome)))?;
    }
    for (before, after) in &changed {
        out.print(&format!("~ {}\n  {}", line(before), line(after)))?;
    }
    if lost.is_empty() && new.is_empty() && changed.is_empty() {
        out.print("no difference in incidents and pages")?;
    }
    out.note(&counts("with the rules of now", now));
    out.note(&counts("with the other rules", other));
    Ok(())
}

fn counts(what: &str, outcomes: &[Outcome]) -> String {
    let pages: usize = outcomes.iter().map(|it| it.pages).sum();
    format!("{what}: {} incidents, {pages} pages", outcomes.len())
}

fn line(outcome: &Outcome) -> String {
    format!(
        "{} {} {}: {} alerts, {} pages, {}",
        text::utc(outcome.opened_at),
        outcome.id,
        outcome.priority,
        outcome.alerts.len(),
        outcome.pages,
        text::clean(&outcome.title)
    )
}

fn shape(outcome: &Outcome) -> Value {
    json!({
        "number": outcome.id.to_string(), "opened_at": text::rfc3339(outcome.opened_at), "priority": outcome.priority,
        "title": outcome.title, "alerts": outcome.alerts, "pages": outcome.pages,
    })
}

/// Which incident of the one side is which of the other: that with the most alerts in common, each once.
fn pair(one: &[Outcome], other: &[Outcome]) -> BTreeMap<IncidentId, IncidentId> {
    let mut by_alert: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, outcome) in other.iter().enumerate() {
        for alert in &outcome.alerts {
            by_alert.entry(alert).or_default().push(index);
        }
    }
    let mut taken = BTreeSet::new();
    let mut pairs = BTreeMap::new();
    for outcome in one {
        let mut common: BTreeMap<usize, usize> = BTreeMap::new();
        for alert in &outcome.alerts {
            for &index in by_alert.get(alert.as_str()).into_iter().flatten() {
                let count = common.entry(index).or_default();
                *count = count.saturating_add(1);
            }
        }
        let away = |index: usize| {
            let opened_at = other
                .get(index)
                .map_or(outcome.opened_at, |it| it.opened_at);
            opened_at.since(outcome.opened_at).abs()
        };
        let best = common
            .into_iter()
            .filter(|(index, _)| !taken.contains(index))
            .max_by_key(|&(index, count)| (count, std::cmp::Reverse(away(index))));
        if let Some((index, _)) = best
            && let Some(twin) = other.get(index)
        {
            taken.insert(index);
            pairs.insert(outcome.id, twin.id);
        }
    }
    pairs
}
