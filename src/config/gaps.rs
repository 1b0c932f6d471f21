//! What is allowed but probably not meant: who is never told, and what tells nobody.
//!
//! Must not refuse anything; what depends on the clock takes the time.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::config::ladders;
use crate::config::people;
use crate::config::settings::Settings;
use crate::core::escalate::Notify;
use crate::core::oncall::Team;
use crate::core::tell::route::Route;
use crate::core::time::Timestamp;

/// Bytes of the shortest secret that nobody is warned about.
const SECRET_BYTES_MIN: usize = 8;

/// All of it, one sentence each.
pub fn warnings(settings: &Settings, now: Timestamp) -> Vec<String> {
    let mut warnings = people::warnings(settings, now);
    warnings.extend(routes(settings));
    warnings.extend(teams(settings));
    warnings.extend(unreached(settings));
    warnings.extend(short_secrets(settings));
    warnings
}

/// Secrets of senders, and of our own messages, that can be guessed.
fn short_secrets(settings: &Settings) -> Vec<String> {
    let sources = settings.sources.iter().flat_map(|source| {
        let name = &source.name;
        let basic = source.basic.as_ref().map(|basic| &basic.password);
        let header = source.header.as_ref().map(|header| &header.value);
        [
            (format!("the token of source {name}"), source.token.as_ref()),
            (format!("the password of source {name}"), basic),
            (format!("the header of source {name}"), header),
        ]
    });
    let heartbeats = settings.heartbeats.iter().map(|heartbeat| {
        let what = format!("the token of heartbeat {}", heartbeat.name);
        (what, heartbeat.token.as_ref())
    });
    let targets = settings.targets.iter().map(|target| {
        let what = format!("the secret of target {}", target.name);
        (what, target.secret.as_ref())
    });
    let connectors = settings.connectors.iter().map(|connector| {
        let what = format!("the hook secret of connector {}", connector.name);
        (what, connector.hook_secret.as_ref())
    });
    let all = sources.chain(heartbeats).chain(targets).chain(connectors);
    let short = all.filter_map(|(what, secret)| Some((what, secret?)));
    let short = short.filter(|(_, secret)| secret.expose().len() < SECRET_BYTES_MIN);
    short
        .map(|(what, _)| {
            format!("{what} is shorter than {SECRET_BYTES_MIN} bytes, which can be guessed; make a long random one, for example with `openssl rand -hex 24`")
        })
        .collect()
}

/// Routes that tell nobody, and those that are never tried.
fn routes(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut ends: Option<&str> = None;
    for route in &settings.routes {
        let name = route.when.rule();
        if let Some(before) = ends {
            warnings.push(format!(
                "{name} is never tried: {before} matches everything before it"
            ));
            continue;
        }
        if let Some(team) = &route.team
            && !settings.on_call.teams.contains_key(team)
        {
            warnings.push(format!(
                "{name} names team {team:?}, and there is no such [[team]]"
            ));
        }
        if !route.goes_on && tells_nobody(settings, route) {
            warnings.push(format!(
                "{name} tells nobody: add targets or escalation, or a schedule, targets or members that can be told to its team"
            ));
        }
        if !route.goes_on && route.when.source().is_none() {
            ends = Some(name.as_str());
        }
    }
    warnings
}

fn tells_nobody(settings: &Settings, route: &Route) -> bool {
    let team = route.team.as_ref();
    let team = team.and_then(|team| settings.on_call.teams.get(team));
    let has_team =
        team.is_some_and(|team| team.escalation.is_some() || ladders::is_reached(settings, team));
    route.targets.is_empty() && route.escalation.is_none() && !has_team
}

/// Teams that cannot be told although something names them.
fn teams(settings: &Settings) -> Vec<String> {
    let named = |team: &&Team| {
        let by_route = settings.routes.iter();
        let mut by_route = by_route.filter_map(|route| route.team.as_ref());
        let ladders = settings.ladders.values();
        let mut notify =
            ladders.flat_map(|ladder| ladder.steps.iter().flat_map(|step| &step.notify));
        let by_ladder = Notify::Team(team.name.clone());
        by_route.any(|name| *name == team.name) || notify.any(|it| *it == by_ladder)
    };
    let teams = settings.on_call.teams.values().filter(named);
    let silent =
        teams.filter(|team| team.escalation.is_none() && !ladders::is_reached(settings, team));
    silent
        .map(|team| {
            let name = &team.name;
            format!("team {name} has no schedule, no targets and no members that can be told")
        })
        .collect()
}

/// Targets that nothing leads to.
fn unreached(settings: &Settings) -> Vec<String> {
    if settings.routes.is_empty() {
        return Vec::new();
    }
    let mut reached: BTreeSet<SmolStr> = BTreeSet::new();
    reached.extend(settings.routes.iter().flat_map(|it| it.targets.clone()));
    for team in settings.on_call.teams.values() {
        reached.extend(team.targets.iter().cloned());
    }
    for person in settings.on_call.people.values() {
        reached.extend(person.contacts.iter().map(|it| it.way.target.clone()));
    }
    for ladder in ladders::in_force(settings).values() {
        let notify = ladder.steps.iter().flat_map(|step| &step.notify);
        for it in notify.chain(&ladder.fallback) {
            if let Notify::Target(name) = it {
                reached.insert(name.clone());
            }
        }
    }
    reached.extend(settings.watcher.target.as_ref().map(SmolStr::new));
    let names = settings.targets.iter().map(|target| &target.name);
    names
        .filter(|name| !reached.contains(name.as_str()))
        .map(|name| {
            format!("no route, team, person or ladder leads to target {name}: it is never told")
        })
        .collect()
}
