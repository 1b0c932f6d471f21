//! Settings to the core's policy value.
//!
//! Must not decide anything: every field is copied, so that what is configured is what is obeyed.

use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::connectors::ConnectorSettings;
use crate::config::feeds::{FeedTexts, NoTexts};
use crate::config::ladders;
use crate::config::settings::{HeartbeatSettings, Settings, SourceSettings};
use crate::config::units::show_duration;
use crate::core::heartbeat::{self, Feed, HeartbeatRule};
use crate::core::limits;
use crate::core::mute::window::WINDOWS_MAX;
use crate::core::observation::{AlertText, clean_pairs};
use crate::core::oncall::{OnCallRules, Person};
use crate::core::rules::{Rules, SourceRules};
use crate::core::severity::Severity;
use crate::core::tell::TellRules;
use crate::core::ticket::rules::ConnectorRule;
use crate::core::time::{Span, Timestamp};

/// The policy that these settings ask for, as long as no calendar behind an address was read.
pub fn rules(settings: &Settings) -> Rules {
    rules_with(settings, &NoTexts, Timestamp::from_millis(0))
}

/// The same with what the calendars say.
pub fn rules_with(settings: &Settings, texts: &impl FeedTexts, now: Timestamp) -> Rules {
    let mut windows = settings.maintenance.clone();
    for feed in &settings.window_feeds {
        let text = texts.text(&feed.name());
        windows.extend(text.into_iter().flat_map(|text| feed.windows(&text, now)));
    }
    windows.truncate(WINDOWS_MAX);
    let mut sla = settings.practice.sla.clone();
    for feed in &settings.holiday_feeds {
        let text = texts.text(&feed.name());
        if let (Some(text), Some(calendar)) = (text, sla.calendars.get_mut(&feed.calendar)) {
            Arc::make_mut(calendar).holidays.extend(feed.days(&text));
        }
    }
    let on_call = with_rotas(settings, texts);
    let named = |source: &SourceSettings| (SmolStr::from(&source.name), source_rules(source));
    let heartbeats = settings.heartbeats.iter().map(heartbeat_rule);
    let silences = settings.sources.iter().filter_map(silence_rule);
    let rules = Rules {
        inhibit: settings.inhibit.as_slice().into(),
        fold_after: settings.limits.variants,
        fold_labels: settings
            .limits
            .volatile_labels
            .iter()
            .map(SmolStr::from)
            .collect(),
        digest: 0,
        correlation: settings.correlation.clone(),
        sources: settings.sources.iter().map(named).collect(),
        incident: settings.incident,
        heartbeats: heartbeats.chain(silences).collect(),
        settle: settings.settle,
        flapping: settings.flapping,
        maintenance: windows.into_iter().collect(),
        priority: settings.practice.priority.clone(),
        cost: settings.practice.cost.clone(),
        sla,
        cmdb: settings.cmdb.clone(),
        on_call,
        ladders: ladders::in_force(settings),
        connectors: settings.connectors.iter().map(connector_rule).collect(),
        tell: tell(settings),
        records: settings.records.clone(),
    };
    // Another version may judge otherwise by the same rules. Never the digest of no rules at all.
    let text = format!("{} {rules:?}", env!("CARGO_PKG_VERSION"));
    let digest = xxh3_64(text.as_bytes()).max(1);
    Rules { digest, ..rules }
}

/// Who is on call, with what the calendars say above all layers.
fn with_rotas(settings: &Settings, texts: &impl FeedTexts) -> OnCallRules {
    let mut on_call = settings.on_call.clone();
    for feed in &settings.rota_feeds {
        let layer = texts.text(&feed.name()).and_then(|text| feed.layer(&text));
        let schedule = on_call.schedules.get_mut(&feed.schedule);
        let (Some(layer), Some(schedule)) = (layer, schedule) else {
            continue;
        };
        schedule.layers.push(layer);
        let named: Vec<SmolStr> = schedule.people();
        for name in named {
            let person = Person::named(name.clone());
            on_call.people.entry(name).or_insert(person);
        }
    }
    on_call
}

fn connector_rule(connector: &ConnectorSettings) -> ConnectorRule {
    ConnectorRule {
        name: SmolStr::new(&connector.name),
        when: connector.when.clone(),
        owners: connector.owners,
        reopen: connector.reopen,
        reopenable: connector.profile.profile.caps.reopenable(),
        extras: connector.extras,
    }
}

fn tell(settings: &Settings) -> TellRules {
    let targets = settings.targets.iter();
    TellRules {
        targets: targets
            .map(|target| (SmolStr::new(&target.name), target.events))
            .collect(),
        routes: settings
            .routes
            .iter()
            .map(|route| ladders::route_in_force(settings, route))
            .collect(),
    }
}

fn source_rules(source: &SourceSettings) -> SourceRules {
    SourceRules {
        expire_after: source.expire_after,
        reorder_window: source.reorder_window,
        is_reconciled: source.reconcile.is_some(),
    }
}

fn heartbeat_rule(heartbeat: &HeartbeatSettings) -> HeartbeatRule {
    let name = &heartbeat.name;
    let every = show_duration(heartbeat.every);
    let summary = match &heartbeat.summary {
        Some(summary) => SmolStr::new(summary),
        None => format_smolstr!("Heartbeat {name} was not heard in time (every {every})"),
    };
    let mut labels = vec![
        ("alertname".into(), heartbeat::MISSING.into()),
        ("heartbeat".into(), SmolStr::new(name)),
    ];
    labels.extend(heartbeat.labels.iter().map(pair));
    HeartbeatRule {
        name: SmolStr::new(name),
        every: heartbeat.every,
        grace: heartbeat.grace,
        max_run: heartbeat.max_run,
        severity: heartbeat.severity,
        text: text(summary, labels, &heartbeat.ci),
        feed: match &heartbeat.watchdog {
            Some(watchdog) => Feed::Watchdog {
                source: SmolStr::new(&watchdog.source),
                labels: watchdog.labels.iter().map(pair).collect(),
            },
            None => Feed::Pings,
        },
    }
}

/// How bad it is when a source falls silent: nothing of it is known any more.
const SILENCE: Severity = Severity::High;

fn silence_rule(source: &SourceSettings) -> Option<HeartbeatRule> {
    let (name, every) = (&source.name, source.silent_after?);
    let shown = show_duration(every);
    let labels = vec![
        ("alertname".into(), "SourceSilent".into()),
        ("source".into(), SmolStr::new(name)),
    ];
    let summary = format_smolstr!("Source {name} has sent nothing for {shown}");
    Some(HeartbeatRule {
        name: HeartbeatRule::silence_name(name),
        every,
        grace: Span::ZERO,
        max_run: every,
        severity: SILENCE,
        text: text(summary, labels, &[]),
        feed: Feed::Messages {
            source: SmolStr::new(name),
        },
    })
}

fn pair((name, value): &(String, String)) -> (SmolStr, SmolStr) {
    (SmolStr::new(name), SmolStr::new(value))
}

fn text(summary: SmolStr, mut labels: Vec<(SmolStr, SmolStr)>, hints: &[String]) -> Arc<AlertText> {
    let is_cut = clean_pairs(&mut labels, limits::LABEL_BYTES_MAX);
    let mut text = AlertText {
        summary,
        labels,
        is_cut,
        ..AlertText::default()
    };
    text.hint(hints.iter().map(SmolStr::new));
    Arc::new(text)
}
