//! Silences on virtual time: every edge is noticed, nothing is lost, and a restart forgets nothing.

use smol_str::SmolStr;
use watchbell::core::decision::Decision;
use watchbell::core::ids::{AlertId, SilenceId};
use watchbell::core::input::Input;
use watchbell::core::limits::DEADLINES_PER_DECISION;
use watchbell::core::mute::is_held;
use watchbell::core::reason::Reason;
use watchbell::core::silence::given::{SilenceGiven, SilenceOrder, SilenceWanted};
use watchbell::core::silence::{SILENCES_MAX, SilenceState, Sweep, SweepMatch, parse_matchers};
use watchbell::core::time::Span;

use crate::support::claim::{firing, t};
use crate::support::world::Bench;

/// An order for a silence from one time to another.
pub(crate) fn wanted(matchers: &str, from: &str, to: &str) -> SilenceWanted {
    SilenceWanted {
        matchers: parse_matchers(matchers).unwrap(),
        starts_at: t(from),
        ends_at: t(to),
        created_by: "ana".into(),
        comment: "known".into(),
    }
}

impl Bench {
    /// A person orders a silence; it is compared with what fires, as a reader of the store does.
    pub(crate) fn silence(&mut self, matchers: &str, from: &str, to: &str) -> Decision {
        let decision = self.put_silence(wanted(matchers, from, to), None);
        self.sweep();
        decision
    }

    /// A person makes or changes a silence.
    pub(crate) fn put_silence(
        &mut self,
        wanted: SilenceWanted,
        replaces: Option<SilenceId>,
    ) -> Decision {
        self.order_silence(SilenceOrder::Put { wanted, replaces }, None)
    }

    pub(crate) fn order_silence(&mut self, order: SilenceOrder, once: Option<u64>) -> Decision {
        let actor = SmolStr::from("ana");
        let given = SilenceGiven { order, actor, once };
        self.happen(&Input::SilenceGiven(given))
    }

    pub(crate) fn expire_silence(&mut self, id: i64) -> Decision {
        let silence = SilenceId::new(id).unwrap();
        self.order_silence(SilenceOrder::Expire { silence }, None)
    }

    /// What a reader of the store would find out by now.
    pub(crate) fn sweep(&mut self) {
        let sweep = self.found();
        self.happen(&Input::SilencesSwept(sweep));
    }

    fn found(&self) -> Sweep {
        let now = self.now;
        let active = || {
            let all = self.state.silences().iter();
            all.filter(move |it| it.state(now) == SilenceState::Active)
        };
        let mut sweep = Sweep::default();
        for alert in self.state.alerts().filter(|alert| alert.is_firing()) {
            let text = &self.ledger.texts[&alert.id];
            let is_unchecked = self.ledger.unchecked.contains(&alert.id);
            for silence in active().filter(|it| is_unchecked || !it.is_swept) {
                if silence.is_match(|name| text.label(name)) {
                    sweep.matches.push(SweepMatch {
                        silence: silence.id,
                        alert: alert.id,
                        text_hash: alert.text_hash,
                    });
                }
            }
        }
        sweep.swept = active().filter(|it| !it.is_swept).map(|it| it.id).collect();
        sweep.checked = self.ledger.unchecked.iter().copied().collect();
        sweep
    }

    fn silenced(&self, name: &str) -> Vec<i64> {
        let silences = self.state.silences().of(self.alert(name).id);
        silences.map(|silence| silence.id.get()).collect()
    }
}

fn hears(bench: &mut Bench, name: &str, team: &str) -> Reason {
    let labels = [("alertname", name), ("team", team)];
    bench.hear(firing(name).start("10:00").labelled(&labels))
}

#[test]
fn an_alert_is_silenced_on_arrival_and_let_go_of_at_the_end() {
    let mut bench = Bench::new();
    bench.at("10:00");
    assert_eq!(
        bench.silence("alertname=F", "10:00", "11:00").reason,
        Reason::SilenceMade
    );
    hears(&mut bench, "F", "db");
    hears(&mut bench, "G", "db");
    assert_eq!(
        (bench.silenced("F"), bench.silenced("G")),
        (vec![1], vec![])
    );
    assert_eq!(bench.incidents(), (2, 2), "it is recorded all the same");
    let is_told = |bench: &Bench, id: i64| !is_held(&bench.state, bench.incident(id).id);
    assert!(!is_told(&bench, 1) && is_told(&bench, 2));
    bench.at("11:00");
    assert_eq!(bench.silenced("F"), [0; 0]);
    assert!(bench.state.silences().is_empty() && bench.is_firing("F"));
    assert!(is_told(&bench, 1), "what still fires is told now");
    assert_eq!(
        (
            bench.count(Reason::Silenced),
            bench.count(Reason::Unsilenced)
        ),
        (1, 1)
    );
}

#[test]
fn what_fires_already_is_found_when_the_silence_begins() {
    let mut bench = Bench::new();
    bench.at("10:00");
    hears(&mut bench, "F", "db");
    hears(&mut bench, "G", "net");
    bench.silence("team=~\"d.*\"", "10:30", "11:00");
    assert_eq!(bench.silenced("F"), [0; 0], "not before its begin");
    bench.at("10:30").sweep();
    assert_eq!(
        (bench.silenced("F"), bench.silenced("G")),
        (vec![1], vec![])
    );
    bench.restart(Span::from_mins(5));
    assert_eq!(bench.silenced("F"), [1], "a restart forgets nothing");
    bench.restart(Span::from_hours(1));
    assert_eq!(
        bench.silenced("F"),
        [0; 0],
        "an end that passed meanwhile is noticed"
    );
    assert_eq!(bench.count(Reason::Unsilenced), 1);
}

#[test]
fn a_proposal_about_what_has_changed_since_is_left_alone() {
    let mut bench = Bench::new();
    bench.at("10:00");
    hears(&mut bench, "F", "db");
    bench.put_silence(wanted("team=db", "10:00", "11:00"), None);
    let sweep = bench.found();
    let labels = [("alertname", "F"), ("team", "net")];
    bench.hear(firing("F").start("10:00").labelled(&labels).text(7));
    bench.happen(&Input::SilencesSwept(sweep));
    assert_eq!(bench.silenced("F"), [0; 0], "it is another team's by now");
    hears(&mut bench, "F", "db");
    assert_eq!(
        bench.silenced("F"),
        [1],
        "and was compared when its labels came"
    );
    let labels = [("alertname", "F"), ("team", "net")];
    bench.hear(firing("F").start("10:00").labelled(&labels).text(7));
    assert_eq!(bench.silenced("F"), [0; 0]);
}

#[test]
fn the_end_of_an_alert_is_no_edge_for_anybody() {
    let mut bench = Bench::new();
    bench.at("10:00").silence("alertname=F", "10:00", "12:00");
    hears(&mut bench, "F", "db");
    bench.at("10:05").resolved("F", "10:00", "10:05");
    assert_eq!(bench.silenced("F"), [0; 0]);
    bench.at("10:10");
    let labels = [("alertname", "F")];
    bench.hear(firing("F").start("10:10").labelled(&labels));
    assert_eq!(bench.silenced("F"), [1], "it returned into the silence");
    bench.at("10:20").resolved("F", "10:10", "10:20");
    bench.at("12:30");
    assert_eq!(
        (
            bench.count(Reason::Silenced),
            bench.count(Reason::Unsilenced)
        ),
        (2, 0)
    );
}

#[test]
fn of_two_silences_the_second_goes_on() {
    let mut bench = Bench::new();
    bench.at("10:00").silence("alertname=F", "10:00", "11:00");
    bench.silence("team=db", "10:00", "12:00");
    hears(&mut bench, "F", "db");
    assert_eq!(bench.silenced("F"), [1, 2]);
    bench.at("11:00");
    assert_eq!(
        (bench.silenced("F"), bench.count(Reason::Unsilenced)),
        (vec![2], 0)
    );
    assert_eq!(bench.expire_silence(2).reason, Reason::SilenceExpired);
    bench.after(Span::from_secs(1));
    assert_eq!(
        (bench.silenced("F"), bench.count(Reason::Unsilenced)),
        (vec![], 1)
    );
    assert_eq!(bench.expire_silence(2).reason, Reason::UnknownSilence);
}

#[test]
fn a_change_keeps_the_id_only_while_matchers_and_begin_stay() {
    let mut bench = Bench::new();
    bench.at("10:00").silence("alertname=F", "10:00", "11:00");
    hears(&mut bench, "F", "db");
    let first = SilenceId::new(1);
    let longer = bench.put_silence(wanted("alertname=F", "10:00", "13:00"), first);
    assert_eq!(
        (longer.reason, longer.silence),
        (Reason::SilenceChanged, first)
    );
    bench.at("12:00");
    assert_eq!(bench.silenced("F"), [1], "extended");
    let other = bench.put_silence(wanted("team=db", "10:00", "13:00"), first);
    assert_eq!(
        (other.reason, other.silence),
        (Reason::SilenceMade, SilenceId::new(2))
    );
    bench.sweep();
    bench.after(Span::from_secs(1));
    assert_eq!(
        bench.silenced("F"),
        [2],
        "the old one ended, the new one holds"
    );
    bench.at("13:00");
    let again = bench.put_silence(wanted("team=db", "13:00", "14:00"), SilenceId::new(2));
    assert_eq!(
        (again.reason, again.silence),
        (Reason::SilenceMade, SilenceId::new(3))
    );
    let future = bench
        .put_silence(wanted("team=db", "15:00", "16:00"), None)
        .silence;
    let moved = bench.put_silence(wanted("team=db", "15:30", "17:00"), future);
    assert_eq!(
        (moved.reason, moved.silence),
        (Reason::SilenceChanged, future)
    );
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let mut bench = Bench::new();
    bench.at("10:00");
    for (matchers, from, to, reason) in [
        ("a=b", "11:00", "10:30", Reason::SilenceEndsTooEarly),
        ("a=b", "08:00", "09:00", Reason::SilenceEndsTooEarly),
        ("a=b", "11:00", "11:00", Reason::SilenceEndsTooEarly),
        (
            "a=~\".*\",b!=c",
            "10:00",
            "11:00",
            Reason::SilenceMatchesAll,
        ),
        ("a=\"\"", "10:00", "11:00", Reason::SilenceMatchesAll),
    ] {
        let decision = bench.put_silence(wanted(matchers, from, to), None);
        assert!(
            decision.is_refused && decision.reason == reason,
            "{matchers}: {decision:?}"
        );
    }
    for _ in 0..SILENCES_MAX {
        bench.put_silence(wanted("a=b", "10:00", "11:00"), None);
    }
    let decision = bench.put_silence(wanted("a=b", "10:00", "11:00"), None);
    assert_eq!(decision.reason, Reason::TooManySilences);
    bench.at("11:00").after(Span::from_secs(1));
    assert!(bench.state.silences().is_empty());
}

#[test]
fn the_same_order_with_the_same_key_makes_one_silence() {
    let mut bench = Bench::new();
    bench.at("10:00");
    let order = || SilenceOrder::Put {
        wanted: wanted("a=b", "10:00", "11:00"),
        replaces: None,
    };
    let first = bench.order_silence(order(), Some(7));
    let again = bench.order_silence(order(), Some(7));
    assert_eq!(first.silence, again.silence);
    assert_eq!(bench.state.silences().len(), 1);
}

#[test]
fn thousands_are_let_go_of_in_bounded_steps() {
    let mut bench = Bench::new();
    bench.at("10:00").silence("team=db", "10:00", "11:00");
    let count = 2 * DEADLINES_PER_DECISION + 500;
    for number in 0..count {
        hears(&mut bench, &format!("F{number}"), "db");
    }
    bench.recorded.clear();
    bench.at("11:00");
    let most = bench.recorded.iter().map(|(_, it)| it.entries.len()).max();
    assert!(most.unwrap() <= 2 * DEADLINES_PER_DECISION, "{most:?}");
    assert_eq!(bench.count(Reason::Unsilenced), count);
    assert!(bench.state.silences().is_empty());
}

#[test]
fn alerts_that_return_without_labels_are_compared_later() {
    let mut bench = Bench::polled();
    bench.at("10:00");
    hears(&mut bench, "F", "db");
    bench.at("20:00");
    assert!(!bench.is_firing("F"), "expired");
    bench.silence("team=db", "20:00", "23:00");
    bench.poll(&[("F", false)]);
    assert!(bench.is_firing("F") && bench.silenced("F").is_empty());
    let id: AlertId = bench.alert("F").id;
    assert!(bench.ledger.unchecked.contains(&id));
    bench.sweep();
    assert_eq!(
        (bench.silenced("F"), bench.ledger.unchecked.len()),
        (vec![1], 0)
    );
}

#[test]
fn what_is_silenced_is_announced_once_when_the_last_hold_ends_and_it_still_fires() {
    let mut bench = Bench::new();
    bench.at("09:50");
    hears(&mut bench, "told", "db");
    bench.at("10:00").silence("team=db", "10:00", "11:00");
    bench.silence("alertname=long", "10:00", "12:00");
    hears(&mut bench, "goes", "db");
    hears(&mut bench, "stays", "db");
    hears(&mut bench, "long", "db");
    let announced =
        |bench: &Bench| [1, 2, 3, 4].map(|id| bench.incident(id).announced_at.is_some());
    bench.at("10:30").resolved("goes", "10:00", "10:30");
    bench.resolved("told", "10:00", "10:30");
    assert_eq!(announced(&bench), [true, false, false, false]);
    assert_eq!(bench.count(Reason::AnnouncementHeld), 3);
    bench.at("11:00");
    assert_eq!(announced(&bench), [true, false, true, false]);
    assert_eq!(bench.incident(3).announced_at, Some(t("11:00")));
    assert_eq!(bench.incident(3).opened_at, t("10:00"), "its true start");
    assert!(is_held(&bench.state, bench.incident(4).id));
    bench.restart(Span::from_mins(1));
    assert!(
        is_held(&bench.state, bench.incident(4).id),
        "after a restart"
    );
    bench.at("12:00");
    assert_eq!(announced(&bench), [true, false, true, true]);
    let notes = bench
        .entries
        .iter()
        .filter(|(_, entry)| entry.reason == Reason::IncidentAnnounced);
    let notes: Vec<_> = notes
        .filter_map(|(_, entry)| entry.note.as_deref())
        .collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes
            .iter()
            .all(|note| note.starts_with("held by silence ")),
        "{notes:?}"
    );
}
