//! A tour through everything that can happen: every reason of the core is met.
//!
//! Must not list exceptions; a reason that cannot be met is no reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use watchbell::core::alert_facts::ALERT_VARIABLES;
use watchbell::core::cmdb::reconcile::first_difference;
use watchbell::core::cmdb::record::{CiRecord, Picture};
use watchbell::core::condition::{Condition, Section};
use watchbell::core::decision::Decision;
use watchbell::core::ids::{AlertId, IncidentId, SilenceId, WindowId};
use watchbell::core::incident::Incident;
use watchbell::core::input::{
    ChangeRecord, CmdbImported, Command, CommandGiven, IdempotencyKey, Input, Rebound,
};
use watchbell::core::mute::plan::WindowOrder;
use watchbell::core::mute::window::WINDOWS_MAX;
use watchbell::core::reason::Reason;
use watchbell::core::records::change::ChangeWanted;
use watchbell::core::records::known::KnownErrorWanted;
use watchbell::core::records::major::{ActionWanted, MajorWanted};
use watchbell::core::records::problem::ProblemWanted;
use watchbell::core::records::rating::RatingWanted;
use watchbell::core::records::{Kind, RecordId, RecordOrder, RequestRule, Role};
use watchbell::core::rules::Rules;
use watchbell::core::severity::Severity;
use watchbell::core::silence::SILENCES_MAX;
use watchbell::core::time::Span;

use crate::scenarios::s07_maintenance::window;
use crate::silences::wanted;
use crate::support::claim::{firing, resolved};
use crate::support::estate::Estate;
use crate::support::world::Bench;

#[test]
fn every_reason_is_met() {
    let mut met = BTreeSet::new();
    for tour in [
        episodes,
        late_messages,
        correlation,
        changes,
        records,
        cmdb,
        stragglers,
        time_alone,
        polls,
        people,
        people_and_sources,
        silences,
        maintenance,
        crate::scenarios::s03_flap::tour,
        variants,
        crate::inhibition::tour,
        crate::scenarios::s08_label_churn::tour,
        refusals,
        crate::sla::tour,
        crate::heartbeats::tour,
        crate::on_call::tour,
        crate::on_call::ladders::tour,
        crate::itsm::core::tour,
        crate::telling::core::tour,
    ] {
        met.append(&mut tour().ledger.reasons);
    }
    let missed: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !met.contains(reason))
        .collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

fn episodes() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    bench.firing("F", "10:00");
    bench.hear(firing("F").start("10:00").text(2));
    bench.hear(firing("F").start("10:00").severity(Severity::Critical));
    bench.at("10:05").firing("F", "10:05");
    bench.resolved("F", "10:00", "10:01");
    bench.resolved("F", "10:05", "10:06");
    bench.resolved("F", "10:05", "10:06");
    bench.at("10:07").firing("F", "10:07");
    bench.at("10:08").resolved("F", "10:07", "10:08");
    bench.at("10:14").firing("F", "10:14");
    bench.at("10:15").resolved("F", "10:14", "10:15");
    bench.at("10:40").firing("F", "10:40");
    bench.resolved("G", "10:00", "10:01");
    bench
}

fn cmdb() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    let picture = Picture {
        cis: vec![CiRecord {
            id: "vm1".into(),
            ..CiRecord::default()
        }],
        ..Picture::default()
    };
    let mut difference = first_difference(&picture);
    difference.version = 1;
    let difference = Arc::new(difference);
    let import = |base| {
        let difference = Arc::clone(&difference);
        Input::CmdbImported(CmdbImported {
            base,
            difference,
            name: "manual".into(),
            actor: "ana".into(),
        })
    };
    bench.happen(&import(0));
    bench.happen(&import(0));
    bench.happen(&Input::AlertsRebound(vec![Rebound {
        alert: bench.alert("F").id,
        source: "am".into(),
        labels: vec![("host".into(), "vm1".into())],
        annotations: Vec::new(),
        hint: None,
        reason: None,
    }]));
    bench
}

/// A switch with four machines: symptoms first, the cause later, and what people make of it.
fn correlation() -> Bench {
    let mut estate = Estate::new().ci("sw1", "switch").ci("nas9", "storage");
    for vm in 1..=4 {
        let id = format!("vm{vm}");
        estate = estate.ci(&id, "vm").on(&id, "sw1");
    }
    let mut bench = Bench::new();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench
        .at("10:00")
        .happen(&Input::ChangeRecorded(ChangeRecord {
            id: "CHG-1".into(),
            ci: "sw1".into(),
            summary: "New firmware".into(),
        }));
    let down = |name: &str| {
        firing(name)
            .labelled(&[("alertname", "InstanceDown"), ("ci", name)])
            .severity(Severity::Critical)
    };
    bench.hear(down("vm1"));
    bench.hear(down("vm2"));
    bench.hear(down("sw1"));
    bench.hear(down("vm3"));
    bench.hear(down("vm4"));
    bench.hear(down("nas9"));
    bench.hear(down("lost").start("10:00"));
    bench.after(Span::from_hours(1));
    bench.hear(down("lost").start("11:00"));
    let id = |bench: &Bench, name: &str| bench.alert(name).id;
    let incident = bench.alert("vm1").incident.unwrap().get();
    let nas = bench.alert("nas9").incident.unwrap().get();
    let into = bench.alert("vm1").incident.unwrap();
    bench.command(incident, Command::Merge { into });
    let all = ["vm1", "vm2", "vm3", "vm4", "sw1"].map(|name| id(&bench, name));
    bench.command(
        incident,
        Command::Split {
            alerts: all.to_vec(),
        },
    );
    bench.command(
        nas,
        Command::Split {
            alerts: all.to_vec(),
        },
    );
    let alerts = vec![id(&bench, "vm4")];
    bench.command(incident, Command::Split { alerts });
    let alerts = vec![id(&bench, "vm3")];
    bench.command(incident, Command::Unlink { alerts });
    let alerts = vec![id(&bench, "vm1")];
    bench.command(incident, Command::Pin { alerts });
    let root = |ci: &str| Command::Root {
        ci: ci.into(),
        reason: "seen on site".into(),
    };
    bench.command(incident, root("ghost"));
    bench.command(incident, root("vm2"));
    let into = bench.alert("vm1").incident.unwrap();
    bench.command(nas, Command::Merge { into });
    bench.command(nas, Command::Reopen { reason: None });
    let is_merged = |it: &&Incident| it.merged_into.is_some();
    let into = bench.state.incidents().find(is_merged).unwrap().id;
    bench.command(incident, Command::Merge { into });
    bench
}

/// A crowd that is over but for one.
fn stragglers() -> Bench {
    let mut estate = Estate::new().ci("sw1", "switch");
    let names: Vec<String> = (1..=30).map(|vm| format!("vm{vm}")).collect();
    for name in &names {
        estate = estate.ci(name, "vm").on(name, "sw1");
    }
    let mut bench = Bench::new();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench.at("10:00");
    let down = |name: &str| firing(name).labelled(&[("alertname", "InstanceDown"), ("ci", name)]);
    for name in names.iter().map(String::as_str).chain(["sw1"]) {
        bench.hear(down(name));
    }
    for name in names.iter().map(String::as_str).skip(1).chain(["sw1"]) {
        bench.hear(resolved(name));
    }
    bench.at("10:20");
    // Late messages of one machine move it from where it was to where it belongs.
    bench
}

fn late_messages() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").resolved("F", "09:00", "09:59");
    bench.firing("F", "09:00");
    bench.firing("F", "09:00");
    bench.at("10:01").firing("F", "09:00");
    bench.at("20:00").firing("F", "09:00");
    bench.at("20:10").resolved("F", "09:00", "20:10");
    bench.hear(firing("F").start("09:00").retained());
    bench
}

fn time_alone() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    let until = Some(bench.now.plus(Span::from_mins(5)));
    bench.command(1, Command::Acknowledge { until });
    bench.at("10:10");
    let until = Some(bench.now.plus(Span::from_mins(5)));
    let reason = "a part is on its way".into();
    bench.command(1, Command::Hold { reason, until });
    bench.restart(Span::from_hours(12));
    bench.after(Span::from_days(20));
    assert_eq!((bench.state.alert_count(), bench.incidents()), (0, (0, 0)));
    bench
}

fn polls() -> Bench {
    let mut bench = Bench::polled();
    bench.at("10:00").firing("F", "10:00");
    bench.poll(&[("F", true)]);
    bench.poll(&[("F", false)]);
    bench.poll(&[]);
    bench
}

fn people() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    bench.command(1, Command::Acknowledge { until: None });
    let assignee = Some("bo".into());
    bench.command(
        1,
        Command::Assign {
            assignee,
            team: None,
        },
    );
    bench.command(1, Command::Start);
    let reason = "a part is on its way".into();
    bench.command(
        1,
        Command::Hold {
            reason,
            until: None,
        },
    );
    bench.command(1, Command::Resume);
    let text = "it smells".into();
    bench.command(1, Command::Note { text });
    bench.command(1, Command::Resolve { note: None });
    bench.command(1, Command::Reopen { reason: None });
    bench.command(1, Command::Resolve { note: None });
    bench.at("10:15");
    bench.command(1, Command::Reopen { reason: None });
    assert_eq!(
        bench.command(1, Command::Reopen { reason: None }),
        Reason::AlreadyContinued,
        "a second click opens no second incident"
    );
    bench.command(1, Command::Close);
    bench
}

fn people_and_sources() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    bench.command(1, Command::Resolve { note: None });
    bench.at("10:10").firing("F", "10:00");
    bench.at("10:15").firing("F", "10:00");
    bench
}

/// Requests, problems, known errors, major incidents, actions, and what people bind.
#[expect(
    clippy::too_many_lines,
    reason = "one bench for every reason of records"
)]
fn records() -> Bench {
    let mut rules = Rules::default();
    rules.records.problem.after = 2;
    rules.records.requests = vec![RequestRule {
        name: "certificate".into(),
        condition: Some(
            Condition::compile_with(
                Section::Other,
                "request[0]",
                "labels.alertname == 'Certificate'",
                &ALERT_VARIABLES,
            )
            .unwrap(),
        ),
        title: None,
        priority: "P4".into(),
        target: Some(Span::from_mins(5)),
        team: None,
        then: Vec::new(),
        ends_with_alert: true,
    }];
    let estate = Estate::new().ci("vm1", "vm").ci("vm2", "vm");
    let mut bench = Bench::with(rules);
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench.at("10:00");
    let certificate = || firing("C").labelled(&[("alertname", "Certificate")]);
    bench.hear(certificate());
    bench.after(Span::from_mins(6));
    bench.resolved("C", "10:00", "10:06");
    bench.record(RecordOrder::PutRequest {
        wanted: Box::default(),
    });
    bench.record(RecordOrder::PutKnownError {
        wanted: Box::new(KnownErrorWanted {
            text: Some("in trouble".into()),
            ..KnownErrorWanted::default()
        }),
    });
    bench.record(RecordOrder::PutProblem {
        wanted: Box::default(),
    });
    let down = || {
        firing("vm1")
            .labelled(&[("alertname", "InstanceDown"), ("ci", "vm1")])
            .severity(Severity::Critical)
    };
    for number in 0..3 {
        bench.hear(down());
        let incident = bench.alert("vm1").incident.unwrap();
        if number == 0 {
            let major = |wanted| RecordOrder::Major {
                incident,
                wanted: Box::new(wanted),
            };
            bench.record(major(MajorWanted::default()));
            let rate = || RecordOrder::Rate {
                incident,
                wanted: Box::new(RatingWanted {
                    who: "carol".into(),
                    score: 4,
                    comment: "".into(),
                    priority: "P2".into(),
                    team: "".into(),
                    is_rated: false,
                }),
            };
            bench.record(rate());
            bench.record(rate());
            bench.record(major(MajorWanted {
                commander: Some("ana".into()),
                update: Some("we look".into()),
                review: Some(Default::default()),
                ..MajorWanted::default()
            }));
            bench.record(RecordOrder::PutAction {
                wanted: Box::new(ActionWanted {
                    incident: Some(incident),
                    due_at: Some(bench.now.plus(Span::from_mins(1))),
                    ..ActionWanted::default()
                }),
            });
            bench.after(Span::from_mins(40));
            let counted = bench.state.records().occurrences();
            let signature = counted.signature_of(incident).cloned();
            bench.record(RecordOrder::PutKnownError {
                wanted: Box::new(KnownErrorWanted {
                    signature,
                    ..KnownErrorWanted::default()
                }),
            });
            bench.record(RecordOrder::PutProblem {
                wanted: Box::new(ProblemWanted {
                    incidents: vec![incident],
                    ..ProblemWanted::default()
                }),
            });
            let bind = |alert, ci: Option<&str>| RecordOrder::Bind {
                alert: Box::new(Rebound {
                    alert,
                    source: "prom".into(),
                    labels: Vec::new(),
                    annotations: Vec::new(),
                    hint: None,
                    reason: None,
                }),
                ci: ci.map(Into::into),
                reason: "the label is wrong".into(),
            };
            let alert = bench.alert("vm1").id;
            bench.record(bind(alert, Some("vm2")));
            bench.record(bind(alert, None));
            bench.record(bind(AlertId::new(99).unwrap(), None));
        }
        bench.command(incident.get(), Command::Close);
        bench.after(Span::from_days(1));
    }
    bench
}

/// A change is suspected, judged, and refused.
fn changes() -> Bench {
    let estate = Estate::new()
        .ci("sw1", "switch")
        .ci("vm1", "vm")
        .on("vm1", "sw1");
    let mut bench = Bench::new();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench.at("10:00");
    let change = |wanted: ChangeWanted| RecordOrder::PutChange {
        wanted: Box::new(wanted),
    };
    let made = bench.record(change(ChangeWanted {
        key: Some("CR-1".into()),
        cis: Some(vec!["sw1".into()]),
        ..ChangeWanted::default()
    }));
    bench.hear(
        firing("vm1")
            .labelled(&[("alertname", "InstanceDown"), ("ci", "vm1")])
            .severity(Severity::Critical),
    );
    let judge = |number: i64, incident: i64| RecordOrder::JudgeChange {
        incident: IncidentId::new(incident).unwrap(),
        change: RecordId {
            kind: Kind::Change,
            number,
        },
        role: Role::Confirmed,
        reason: "rolled back".into(),
    };
    let incident = bench.alert("vm1").incident.unwrap().get();
    assert_eq!(made.record.map(|id| id.number), Some(1));
    bench.record(judge(1, incident));
    bench.record(judge(7, incident));
    let now = bench.now;
    bench.record(change(ChangeWanted {
        starts_at: Some(now),
        ends_at: Some(now.minus(Span::from_secs(1))),
        ..ChangeWanted::default()
    }));
    bench
}

fn silences() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").silence("alertname=F", "10:00", "11:00");
    bench.hear(firing("F").labelled(&[("alertname", "F")]));
    bench.at("10:20");
    let longer = wanted("alertname=F", "10:00", "12:00");
    bench.put_silence(longer, SilenceId::new(1));
    bench.expire_silence(1);
    bench.expire_silence(1);
    bench.put_silence(wanted("a=b", "11:00", "10:00"), None);
    bench.put_silence(wanted("a!=b", "10:00", "11:00"), None);
    for _ in 0..=SILENCES_MAX {
        bench.put_silence(wanted("a=b", "10:00", "11:00"), None);
    }
    bench
}

fn variants() -> Bench {
    let mut bench = Bench::new();
    for number in 0..2 {
        let pod = format!("web-{number}");
        let labels = [("alertname", "Down"), ("pod", pod.as_str())];
        bench.hear(firing(&pod).labelled(&labels));
        bench.hear(resolved(&pod).labelled(&labels));
    }
    bench
}

fn maintenance() -> Bench {
    let mut bench = Bench::new();
    let wanted = || window("first", "team=net", "01:00", "02:00");
    bench.plan(wanted());
    let change = |wanted| WindowOrder::Change {
        window: WindowId::new(1).unwrap(),
        wanted,
    };
    bench.order_window(change(window("first", "team=net", "01:00", "03:00")));
    bench.cancel(1);
    bench.cancel(1);
    bench.at("04:00").plan(wanted());
    bench.rules.maintenance = [window("written", "team=db", "05:00", "06:00")]
        .into_iter()
        .collect();
    bench.leap(Span::ZERO).order_window(WindowOrder::Cancel {
        window: WindowId::new(2).unwrap(),
    });
    for _ in 0..WINDOWS_MAX {
        bench.plan(window("many", "team=net", "05:00", "06:00"));
    }
    bench
}

fn refusals() -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    let until = Some(bench.now);
    let hold = || Command::Hold {
        reason: "a part is on its way".into(),
        until: None,
    };
    bench.command(9, Command::Start);
    bench.command(1, Command::Resume);
    bench.command(1, Command::Reopen { reason: None });
    bench.command(1, Command::Acknowledge { until });
    bench.command(1, Command::Acknowledge { until: None });
    bench.command(1, Command::Acknowledge { until: None });
    bench.command(1, Command::Start);
    bench.command(1, Command::Start);
    bench.command(1, hold());
    bench.command(1, hold());
    let mut given = CommandGiven {
        incident: IncidentId::new(1).unwrap(),
        command: Command::Resolve { note: None },
        actor: "ana".into(),
        expected_version: Some(1),
        idempotency: None,
        past: None,
    };
    bench.give(given.clone());
    given.expected_version = None;
    given.idempotency = Some(IdempotencyKey { key: 7, command: 1 });
    let first = bench.give(given.clone());
    let before = bench.state.clone();
    let again = bench.give(given.clone());
    assert_eq!(
        answer(&first),
        answer(&again),
        "the same key, the same answer"
    );
    assert!(bench.state == before, "and it is done once");
    given.idempotency = Some(IdempotencyKey { key: 7, command: 2 });
    bench.give(given);
    bench.command(1, Command::Resolve { note: None });
    bench.command(1, Command::Close);
    bench.command(1, Command::Close);
    bench
}

fn answer(decision: &Decision) -> (Reason, bool, Option<IncidentId>) {
    (decision.reason, decision.is_refused, decision.incident)
}
