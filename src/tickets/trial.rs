//! What people try out by hand: whether a platform does what its profile says, and a ticket that is made and resolved.
//!
//! Must not touch an incident or the store.

use std::sync::Arc;

use serde_json::json;

use super::ConnectorSetup;
use super::runner::{Conversation, Line};
use crate::connectors::apply::{Apply, Brought};
use crate::connectors::talk::{Create, Findings, Probe};
use crate::connectors::{Brief, Failure};
use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::severity::Priority;
use crate::core::ticket::{Face, Link};
use crate::runtime::clock::Clock;
use crate::wire::itsm::Shown;

/// What came of it, and every request with its answer, secrets masked.
#[derive(Debug)]
pub struct Tried {
    /// What was found out, or what does not work.
    pub findings: Result<Findings, Failure>,
    /// What was said.
    pub shown: Vec<(Shown, String)>,
}

/// Logs in and looks up a key that no ticket has; nothing is changed there.
pub async fn probe(setup: ConnectorSetup, clock: Clock, random_key: &str) -> Tried {
    let (profile, base) = (Arc::clone(&setup.profile), setup.base());
    held(setup, clock, async move |talk: &mut Conversation<'_>| {
        talk.hold(&mut Probe::new(&profile, &base, random_key))
            .await
    })
    .await
}

/// Makes a ticket and resolves it.
pub async fn send_test(setup: ConnectorSetup, clock: Clock, random_key: &str) -> Tried {
    let (profile, base) = (Arc::clone(&setup.profile), setup.base());
    let is_dry_run = setup.is_dry_run;
    let now = clock.now();
    let mut link = Link::new(IncidentId::LAST, now, &setup.name, now);
    link.key = random_key.into();
    link.wanted = Face {
        state: Some(StateWord::New),
        priority: Some(Priority::P5),
        assignee: None,
        title: 1,
    };
    let brief = Brief {
        incident: json!({}),
        title: "Watchbell test, please ignore".to_owned(),
        text: format!("Made by `watchbell send-test`; it is resolved at once.\nKey: {random_key}"),
        resolution: "This was a test.".to_owned(),
        now_ms: now.as_millis(),
        ..Brief::default()
    };
    held(setup, clock, async move |talk: &mut Conversation<'_>| {
        let face = link.wanted.clone();
        let mut create = Create::new(&profile, &base, &link, &brief, &face);
        let made = match talk.hold(&mut create).await {
            Err(Failure::Refused(_)) if is_dry_run => {
                return Ok(vec!["dry run: this would have been sent".to_owned()]);
            }
            made => made?,
        };
        let mut findings = vec![format!("made {} ({})", made.record.number, made.record.url)];
        findings.extend(made.warning);
        link.record = Some(made.record);
        link.sent = Some(face);
        link.wanted.state = Some(StateWord::Resolved);
        let mut apply = Apply::new(&profile, &base, &link, &brief, (Vec::new(), false));
        match talk.hold(&mut apply).await? {
            Brought::Done {
                record,
                stuck: None,
            } => findings.push(format!("resolved; its status is {}", record.status)),
            Brought::Done {
                stuck: Some(why), ..
            } => findings.push(format!("not resolved: {why}")),
            Brought::Moved(_) => findings.push("somebody else changed it meanwhile".to_owned()),
        }
        Ok(findings)
    })
    .await
}

async fn held(
    setup: ConnectorSetup,
    clock: Clock,
    work: impl AsyncFnOnce(&mut Conversation<'_>) -> Result<Findings, Failure>,
) -> Tried {
    let line = match Line::new(setup, clock) {
        Ok(line) => line,
        Err(why) => {
            return Tried {
                findings: Err(Failure::Away(why)),
                shown: Vec::new(),
            };
        }
    };
    let mut talk = line.begin();
    talk.shown = Some(Vec::new());
    let findings = work(&mut talk).await;
    Tried {
        findings,
        shown: talk.shown.take().unwrap_or_default(),
    }
}
