//! Feeds every decoder with changed fixtures for some seconds, by hand: `cargo test --bench fuzz -- --seconds 120`.
//!
//! Under `cargo test` overflow and debug assertions are on; `cargo bench --bench fuzz` is faster and has neither. A case is
//! known by its seed, so a run can be repeated (`--seed N`, `--only NAME`). What makes an answer of a new shape is kept and
//! changed further. Found is: a panic, an answer that differs when it is asked for again, an input that takes longer
//! than [`SLOW`]. Must not need anything but the fixtures.

mod mutate;
mod targets;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mutate::{Dice, changed};
use targets::{Target, all};

/// An input of this harness is at most [`mutate::BYTES_MAX`] long; nothing of that size may take so long.
const SLOW: Duration = Duration::from_secs(2);
/// Inputs that are changed further, per target.
const CORPUS_MAX: usize = 1_000;

struct Options {
    seconds: u64,
    seed: u64,
    only: Option<String>,
}

impl Options {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().collect();
        let after = |name: &str| {
            let place = words.iter().position(|word| word == name)?;
            words.get(place + 1).cloned()
        };
        let number = |name, or| after(name).and_then(|text| text.parse().ok()).unwrap_or(or);
        Self {
            seconds: number("--seconds", 5),
            seed: number("--seed", 1),
            only: after("--only"),
        }
    }
}

/// What came of one target.
struct Outcome {
    cases: u64,
    shapes: usize,
    slowest: Duration,
    bad: Option<(String, Vec<u8>)>,
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn one(target: &Target, input: &[u8]) -> (Result<u64, String>, Duration) {
    let begun = Instant::now();
    let said = catch_unwind(AssertUnwindSafe(|| {
        let first = (target.run)(input);
        let again = (target.run)(input);
        (first, first == again)
    }));
    let took = begun.elapsed();
    let said = match said {
        Ok((_, false)) => Err("answers differently when asked again".to_owned()),
        Ok(_) if took > SLOW => Err(format!("takes {took:?}")),
        Ok((answer, true)) => Ok(answer.shape),
        Err(_) => Err("panics".to_owned()),
    };
    (said, took)
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn fuzz(target: &Target, seed: u64, time: Duration) -> Outcome {
    let mut dice = Dice::new(seed);
    let mut corpus = target.seeds.clone();
    let mut shapes = BTreeSet::new();
    let mut outcome = Outcome {
        cases: 0,
        shapes: 0,
        slowest: Duration::ZERO,
        bad: None,
    };
    let begun = Instant::now();
    let mut first = corpus.clone().into_iter();
    while begun.elapsed() < time {
        let input = first.next().unwrap_or_else(|| changed(&corpus, &mut dice));
        let (said, took) = one(target, &input);
        outcome.cases += 1;
        outcome.slowest = outcome.slowest.max(took);
        match said {
            Ok(shape) => {
                if shapes.insert(shape) && corpus.len() < CORPUS_MAX {
                    corpus.push(input);
                }
            }
            Err(why) => {
                outcome.bad = Some((why, input));
                break;
            }
        }
    }
    outcome.shapes = shapes.len();
    outcome
}

#[expect(clippy::print_stdout, reason = "a report for people")]
fn main() -> ExitCode {
    let options = Options::read();
    let mut targets = all();
    if let Some(only) = &options.only {
        targets.retain(|target| target.name.contains(only.as_str()));
    }
    let count = u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX);
    let time = Duration::from_secs(options.seconds) / count;
    println!("{count} targets, {time:?} each, seed {}", options.seed);
    let mut is_bad = false;
    for target in &targets {
        let outcome = fuzz(target, options.seed, time);
        println!(
            "{:<28} {:>8} cases, {:>4} shapes of answers, slowest {:?}",
            target.name, outcome.cases, outcome.shapes, outcome.slowest
        );
        if let Some((why, input)) = outcome.bad {
            is_bad = true;
            println!("    {why} on: {}", input.escape_ascii());
        }
    }
    if is_bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
