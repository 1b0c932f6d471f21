//! What suppression costs per decision: `cargo bench --bench mute [-- INCIDENTS [WINDOWS]]`.
//!
//! So many open incidents, one per item, and so many maintenance windows of which half hold one item each and half one
//! alert name; then the same without any window. Must not touch disk or network.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol_str::{SmolStr, format_smolstr};
use watchbell::core::cmdb::ci::{Ci, CiNumber};
use watchbell::core::cmdb::graph::Difference;
use watchbell::core::decide::{World, decide};
use watchbell::core::identity::AlertKey;
use watchbell::core::ids::{AlertId, IdFeed, SilenceId};
use watchbell::core::input::Input;
use watchbell::core::mute::Scope;
use watchbell::core::mute::parts::WindowParts;
use watchbell::core::mute::plan::{WindowGiven, WindowOrder};
use watchbell::core::mute::window::Origin;
use watchbell::core::observation::{AlertText, Claim, Observation};
use watchbell::core::rules::Rules;
use watchbell::core::severity::Severity;
use watchbell::core::silence::{Sweep, SweepMatch, parse_matchers};
use watchbell::core::state::State;
use watchbell::core::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_777_852_800_000);
/// Inputs of one measurement.
const INPUTS: u32 = 10_000;

struct Run {
    state: State,
    rules: Rules,
    ids: IdFeed,
    now: Timestamp,
    spent: Duration,
    longest: Duration,
    count: u32,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}

fn heard(number: u32, claim: Claim, text_hash: u64) -> Input {
    let item = format_smolstr!("item{number}");
    let labels = vec![
        ("alertname".into(), format_smolstr!("Rule{}", number % 500)),
        ("ci".into(), item.clone()),
    ];
    let text = AlertText {
        summary: format_smolstr!("{item} is broken"),
        labels,
        ..AlertText::default()
    };
    Input::ObservationReceived {
        source: SmolStr::new_static("alertmanager"),
        observation: Observation {
            key: AlertKey::new("alertmanager", &item),
            claim,
            starts_at: Some(START),
            ends_at: None,
            severity: Severity::High,
            text_hash,
            text: Arc::new(text),
            undelivered: 0,
            is_retained: false,
        },
    }
}

fn item(number: u32) -> Option<Ci> {
    Some(Ci {
        number: CiNumber::new(number + 1)?,
        id: format_smolstr!("item{number}"),
        name: format_smolstr!("item{number}"),
        class: "server".into(),
        site: None,
        rack: None,
        environment: None,
        criticality: None,
        owner: None,
        is_retired: false,
        identifiers: Vec::new(),
    })
}

/// One window about one item, or about one alert name.
fn window(number: u32, duration: Span) -> Option<Input> {
    let is_scoped = number.is_multiple_of(2);
    let matchers = format!("alertname=Rule{number}");
    let parts = WindowParts {
        reason: Some(format!("work {number}")),
        created_by: "bench".to_owned(),
        duration: Some(duration),
        matchers: if is_scoped {
            Vec::new()
        } else {
            parse_matchers(&matchers).ok()?
        },
        scope: Scope {
            ci: is_scoped
                .then(|| format_smolstr!("item{number}"))
                .into_iter()
                .collect(),
            ..Scope::default()
        },
        ..WindowParts::default()
    };
    let wanted = parts.into_wanted(Some(START)).ok()?;
    let origin = Origin::Api;
    let order = WindowOrder::Make { wanted, origin };
    let actor = "bench".into();
    Some(Input::WindowGiven(Box::new(WindowGiven { order, actor })))
}

impl Run {
    fn step(&mut self, input: &Input) {
        let world = World {
            state: &self.state,
            rules: &self.rules,
        };
        let begun = now();
        let decision = decide(world, input, self.now, &mut self.ids);
        self.state.apply(&decision);
        let took = begun.elapsed();
        black_box(decision);
        self.spent += took;
        self.longest = self.longest.max(took);
        self.count += 1;
    }

    #[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
    fn print(&mut self, what: &str) {
        let each = self.spent / self.count.max(1);
        let (count, longest) = (self.count, self.longest);
        println!("  {what:<44} {count:>6} decisions, {each:>10.1?} each, longest {longest:>10.1?}");
        (self.spent, self.longest, self.count) = (Duration::ZERO, Duration::ZERO, 0);
    }

    fn deadlines(&mut self) {
        for _ in 0..1_000 {
            let next = self.state.next_deadline();
            if next.is_none_or(|(at, _)| at > self.now) {
                return;
            }
            self.step(&Input::DeadlineReached);
        }
    }

    /// What the reader of the store would find.
    fn sweep(&mut self, incidents: u32) {
        let silences: Vec<SilenceId> = self.state.silences().iter().map(|it| it.id).collect();
        let mut matches = Vec::new();
        for (index, silence) in silences.iter().enumerate() {
            let number = i64::try_from(index).unwrap_or_default() + 1;
            if number > i64::from(incidents) {
                break;
            }
            if let Some(alert) = AlertId::new(number) {
                let text_hash = self.state.alert(alert).map_or(0, |alert| alert.text_hash);
                let silence = *silence;
                matches.push(SweepMatch {
                    silence,
                    alert,
                    text_hash,
                });
            }
        }
        let swept = silences;
        self.step(&Input::SilencesSwept(Sweep {
            matches,
            swept,
            ..Sweep::default()
        }));
    }
}

#[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
fn measure(incidents: u32, windows: u32) {
    println!("{incidents} open incidents, {windows} windows");
    let mut run = Run {
        state: State::default(),
        rules: Rules::default(),
        ids: IdFeed::default(),
        now: START,
        spent: Duration::ZERO,
        longest: Duration::ZERO,
        count: 0,
    };
    run.state.change_graph(&Difference {
        put: (0..incidents).filter_map(item).map(Arc::new).collect(),
        ..Difference::default()
    });
    for number in 0..incidents {
        run.step(&heard(number, Claim::Firing, 1));
    }
    run.now = START.plus(Span::from_mins(20));
    run.deadlines();
    run.print("opened before any window");
    for number in 0..windows {
        if let Some(order) = window(number, Span::from_hours(2)) {
            run.step(&order);
        }
    }
    run.deadlines();
    run.print("windows made and planned");
    run.sweep(incidents);
    run.print("what fires is held by them");
    for number in 0..INPUTS {
        run.step(&heard(number % incidents, Claim::Firing, 1));
    }
    run.print("repeats");
    for number in 0..INPUTS {
        run.step(&heard(number % incidents, Claim::Firing, 2));
    }
    run.print("repeats with other labels, compared again");
    for _ in 0..INPUTS {
        run.now = run.now.plus(Span::from_millis(1));
        run.step(&Input::DeadlineReached);
    }
    run.print("ticks with nothing due");
    run.rules.digest = 1;
    while run.state.review().digest != 1 || run.state.review().next.is_some() {
        run.step(&Input::DeadlineReached);
    }
    run.print("other rules reach what is open, 200 at a time");
    run.now = START.plus(Span::from_hours(2));
    run.deadlines();
    run.print("windows end, what fires is told");
}

fn main() {
    let mut words = std::env::args().filter_map(|word| word.parse().ok());
    let (incidents, windows) = (words.next(), words.next());
    let (incidents, windows) = (incidents.unwrap_or(10_000), windows.unwrap_or(200));
    measure(incidents, 0);
    measure(incidents, windows);
}
