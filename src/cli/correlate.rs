//! `watchbell bench correlate`: how good correlation is, against the usual methods on the same input.
//!
//! Must not measure anything but time; worlds, methods and metrics are those of `crate::lab`.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, ValueEnum};
use tokio::time::Instant;

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::out::Out;
use crate::cli::replay;
use crate::core::rules::Rules;
use crate::lab::baseline::Method;
use crate::lab::contest::{Contestant, View, judge, play};
use crate::lab::report::{Entry, Report, entry, world_report};
use crate::lab::sets::{Ground, Set, World, world};
use crate::simulate::export;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell bench correlate --set S1 --seeds 1..5
  watchbell bench correlate --set S1 --ground dense --seeds 1..3 --methods engine
  watchbell bench correlate --set S0 --set S2 --seeds 1000..1019 --json
  watchbell bench correlate --set S1 --seeds 1..1 --write worlds   # as files for watchbell simulate
  watchbell bench correlate --set S1 --seeds 1..3 --methods search # other settings of the other methods
  watchbell bench correlate --replay alerts.csv --edges onlineboutique_dependency.csv
  watchbell bench correlate --alarms alarms.csv --links topology_edges.csv --causes cause_edges.csv

Seeds 1 to 99 are for development; those from 1000 on are for reports.";

/// What to compare.
#[derive(Args, Clone, Debug)]
pub struct CorrelateArgs {
    /// A set of the benchmark, S0 to S6; may be given several times [default: S1]
    #[arg(long, value_name = "SET")]
    set: Vec<Set>,
    /// Only this estate of a set: 1k, dense, 100k or shops
    #[arg(long, value_name = "NAME")]
    ground: Option<String>,
    /// The first seed and the last, both included
    #[arg(long, value_name = "A..B", default_value = "1..5")]
    seeds: Seeds,
    /// Who competes: Watchbell alone, the usual methods too, or these with many settings
    #[arg(long, value_enum, default_value_t = Methods::Usual)]
    methods: Methods,
    /// Write the worlds as files for `watchbell simulate` into this folder, and compare nothing
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Play recorded faults instead: a table of alert episodes with `fault_root_ci`, not packed
    #[arg(long, value_name = "FILE.csv", requires = "edges")]
    replay: Option<PathBuf>,
    /// The dependencies of the recorded faults: a table of `Source` and `Target`
    #[arg(long, value_name = "FILE.csv", requires = "replay")]
    edges: Option<PathBuf>,
    /// Play recorded alarms of a telecom network instead: a table of `alarm_id`, `device_id` and times, not packed
    #[arg(long, value_name = "FILE.csv", requires = "causes")]
    alarms: Option<PathBuf>,
    /// Which types of alarms cause which: a table of `cause_alarm_id` and `effect_alarm_id`
    #[arg(long, value_name = "FILE.csv", requires = "alarms")]
    causes: Option<PathBuf>,
    /// The links of the network, if they are known: a table of `device_a` and `device_b`
    #[arg(long, value_name = "FILE.csv", requires = "alarms")]
    links: Option<PathBuf>,
    /// Tell about every outage that was not grouped or explained as it should be
    #[arg(long)]
    outages: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Who competes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Watchbell alone.
    Engine,
    /// The usual methods, as shipped and with their best settings.
    Usual,
    /// The usual methods with many settings.
    Search,
}

/// A range of seeds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds(u64, u64);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.trim_start_matches('=').parse::<u64>();
        match (number(first), number(last)) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self(first, last)),
            _ => Err("give two numbers, like 1..5".to_owned()),
        }
    }
}

/// Compares, and prints the report.
///
/// # Errors
/// An option makes no sense, or a file cannot be written.
pub fn run(args: &CorrelateArgs, out: &Out) -> Result<Exit, Failure> {
    if let (Some(alerts), Some(edges)) = (&args.replay, &args.edges) {
        return replay::run(alerts, edges, args.json, out);
    }
    if let (Some(alarms), Some(causes)) = (&args.alarms, &args.causes) {
        return replay::run_alarms(alarms, args.links.as_deref(), causes, args.json, out);
    }
    let sets = if args.set.is_empty() {
        vec![Set::S1]
    } else {
        args.set.clone()
    };
    let mut worlds = Vec::new();
    for set in sets {
        let grounds = set.grounds().iter().copied();
        let wanted = |ground: &Ground| {
            args.ground
                .as_ref()
                .is_none_or(|name| name == ground.word())
        };
        let grounds: Vec<Ground> = grounds.filter(wanted).collect();
        if grounds.is_empty() {
            let names: Vec<&str> = set.grounds().iter().map(|ground| ground.word()).collect();
            return Err(Failure::usage(format!(
                "{} plays on {}",
                set.word(),
                names.join(", ")
            )));
        }
        worlds.extend(grounds.into_iter().map(|ground| (set, ground)));
    }
    let Seeds(first, last) = args.seeds;
    if let Some(folder) = &args.write {
        for (set, ground) in worlds {
            for seed in first..=last {
                write_world(folder, &world(set, ground, seed))?;
            }
        }
        return Ok(Exit::Done);
    }
    let mut report = Report {
        seeds: (first, last),
        worlds: Vec::new(),
    };
    for (set, ground) in worlds {
        let (cis, entries) = seeds(args, (set, ground), out);
        report.worlds.push(world_report(set, ground, cis, &entries));
        if out.is_terminal {
            out.note(&format!("{} {} is done", set.word(), ground.word()));
        }
    }
    if args.json {
        let text = serde_json::to_string(&report).map_err(|error| {
            Failure::unreachable(format!("the report cannot be written: {error}"))
        })?;
        json::print(&text, out)?;
    } else {
        out.print(&report.to_string())?;
    }
    Ok(Exit::Done)
}

/// Every seed of one kind of world, on as many cores as there are; entries in order of seeds.
fn seeds(
    args: &CorrelateArgs,
    (set, ground): (Set, Ground),
    out: &Out,
) -> (usize, Vec<Vec<Entry>>) {
    let Seeds(first, last) = args.seeds;
    let next = AtomicU64::new(first);
    let done: Mutex<Vec<(u64, usize, Vec<Entry>)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A world of 100,000 CIs takes hundreds of megabytes, and its times are to be compared.
    let threads = if ground == Ground::Large { 1 } else { threads };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        break;
                    }
                    let world = world(set, ground, seed);
                    let entries = contest(args, &world, out);
                    let mut done = done
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push((seed, world.estate.cis.len(), entries));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(seed, _, _)| *seed);
    let cis = done.last().map_or(0, |(_, cis, _)| *cis);
    (
        cis,
        done.into_iter().map(|(_, _, entries)| entries).collect(),
    )
}

/// All contestants on one world.
fn contest(args: &CorrelateArgs, world: &World, out: &Out) -> Vec<Entry> {
    let rules = Rules::default();
    let since = Instant::now();
    let clock = || since.elapsed();
    let own = play(world, &rules, false, Some(&clock));
    let verdict = judge(world, &own);
    let mut entries = vec![entry(world, Contestant::Engine, &own, &verdict)];
    if args.outages {
        out.note(&crate::lab::diagnosis::tell(world, &own, &verdict));
    }
    if args.methods == Methods::Engine {
        return entries;
    }
    let ceiling = play(world, &rules, true, None);
    let verdict = judge(world, &ceiling);
    entries.push(entry(world, Contestant::Ceiling, &ceiling, &verdict));
    let view = View::new(world, &world.cmdb, &own.bound);
    let methods = if args.methods == Methods::Search {
        Method::grid()
    } else {
        [&Method::TUNED[..], &Method::SHIPPED[..]].concat()
    };
    for method in methods {
        let judged = view.answers(method).map(|answer| {
            let verdict = judge(world, &answer);
            entry(world, Contestant::Baseline(method), &answer, &verdict)
        });
        let top1 = |entry: &Entry| entry.metrics.get("top1").copied().unwrap_or_default();
        let [by_time, by_severity] = judged;
        let is_better = top1(&by_severity) > top1(&by_time);
        entries.push(if is_better { by_severity } else { by_time });
    }
    entries
}

fn write_world(folder: &Path, world: &World) -> Result<(), Failure> {
    let name = format!(
        "{}-{}-{}",
        world.set.word(),
        world.ground.word(),
        world.seed
    );
    let folder = folder.join(name);
    let unwritable = |error: std::io::Error| {
        Failure::unreachable(format!("{} cannot be written: {error}", folder.display()))
    };
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let file = |name: &str| fs::File::create(folder.join(name)).map(BufWriter::new);
    let write = || {
        let mut cmdb = file("cmdb.json")?;
        export::cmdb(&world.cmdb, &mut cmdb)?;
        cmdb.flush()?;
        let mut events = file("events.jsonl")?;
        export::events(&world.story.events, &mut events)?;
        events.flush()?;
        let mut truth = file("truth.jsonl")?;
        export::truth(world, &mut truth)?;
        truth.flush()
    };
    write().map_err(unwritable)
}
