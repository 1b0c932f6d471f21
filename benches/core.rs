//! Time per decision and memory per alert of the pure core: `cargo bench --bench core [-- ALERTS]`.
//!
//! Inputs are made in small batches outside the measured time, so that memory is that of the state alone. Must not
//! touch disk or network.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol_str::{SmolStr, format_smolstr};
use watchbell::core::alert::Alert;
use watchbell::core::decide::{World, decide};
use watchbell::core::decision::{Change, Decision};
use watchbell::core::identity::AlertKey;
use watchbell::core::ids::IdFeed;
use watchbell::core::incident::Incident;
use watchbell::core::input::Input;
use watchbell::core::observation::{AlertText, Claim, Observation};
use watchbell::core::rules::Rules;
use watchbell::core::severity::Severity;
use watchbell::core::state::State;
use watchbell::core::time::{Span, Timestamp};

const BATCH: u64 = 1_000;
const START: Timestamp = Timestamp::from_millis(1_777_852_800_000);

struct Run {
    state: State,
    rules: Rules,
    ids: IdFeed,
    now: Timestamp,
    text: Arc<AlertText>,
    alerts: u64,
}

impl Run {
    fn input(&self, number: u64, claim: Claim) -> Input {
        // The source's fingerprints are spread evenly, as real ones are.
        let payload = format_smolstr!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Input::ObservationReceived {
            source: SmolStr::new_static("alertmanager"),
            observation: Observation {
                key: AlertKey::new("alertmanager", &payload),
                claim,
                starts_at: Some(START),
                ends_at: None,
                severity: Severity::High,
                text_hash: number,
                text: self.text.clone(),
                undelivered: 0,
                is_retained: false,
            },
        }
    }

    fn step(&mut self, input: &Input) {
        let world = World {
            state: &self.state,
            rules: &self.rules,
        };
        let decision = decide(world, input, self.now, &mut self.ids);
        self.state.apply(&decision);
        black_box(decision);
    }

    /// Every alert once; `stride` apart, so that neighbours in time are not neighbours in memory.
    fn pass(&mut self, what: &str, claim: Claim, stride: u64) {
        let mut spent = Duration::ZERO;
        for first in (0..self.alerts).step_by(usize::try_from(BATCH).unwrap_or(1)) {
            let numbers = first..self.alerts.min(first + BATCH);
            let batch: Vec<Input> = numbers
                .map(|number| self.input(number.wrapping_mul(stride) % self.alerts, claim))
                .collect();
            self.now = self.now.plus(Span::from_millis(10));
            let begun = now();
            for input in &batch {
                self.step(input);
            }
            spent += begun.elapsed();
        }
        self.print(what, spent, self.alerts);
    }

    fn deadlines(&mut self, what: &str, span: Span) {
        self.now = self.now.plus(span);
        let begun = now();
        let mut decisions = 0;
        while self
            .state
            .next_deadline()
            .is_some_and(|(at, _)| at <= self.now)
        {
            self.step(&Input::DeadlineReached);
            decisions += 1;
        }
        self.print(what, begun.elapsed(), decisions);
    }

    #[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
    fn print(&self, what: &str, spent: Duration, count: u64) {
        let each = spent.as_nanos() / u128::from(count.max(1));
        let held = resident_bytes() / self.alerts;
        println!(
            "{what:<34} {count:>9} decisions, {each:>9} ns each, {held:>4} B resident per alert"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}

/// Memory of this process, from `/proc`; 0 where there is none.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
fn main() {
    let alerts = std::env::args().find_map(|word| word.parse().ok());
    let mut run = Run {
        state: State::default(),
        rules: Rules::default(),
        ids: IdFeed::default(),
        now: START,
        text: Arc::default(),
        alerts: alerts.unwrap_or(1_000_000),
    };
    println!(
        "Alert {} B, Incident {} B, Change {} B, Decision {} B",
        size_of::<Alert>(),
        size_of::<Incident>(),
        size_of::<Change>(),
        size_of::<Decision>(),
    );
    run.print("nothing yet", Duration::ZERO, 0);
    run.pass("new alerts", Claim::Firing, 1);
    run.pass("repeats in order of arrival", Claim::Firing, 1);
    run.pass("repeats in another order", Claim::Firing, 611_953);
    run.pass("resolves", Claim::Resolved, 611_953);
    run.deadlines("recoveries, 1,000 a decision", Span::from_mins(6));
    run.deadlines("closing and forgetting", Span::from_days(30));
}
