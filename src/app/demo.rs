//! `serve --demo`: a small data centre whose day goes wrong, played against the daemon that runs.
//!
//! Its CMDB is imported like any other, and its alerts come in through a door of their own, so that everything behind
//! is what it always is. It begins shortly before the first storm and is a little faster than life. Must not be reached
//! without the option, and must not touch what other sources say.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::core::observation::Claim;
use crate::engine::cmdb::ImportRequest;
use crate::engine::handle::EngineHandle;
use crate::ingest::door::{Credential, Proof, SourceSetup};
use crate::ingest::{Incoming, Ingest};
use crate::lab::event::{AlertSaid, Event, Said};
use crate::lab::sets::{Ground, Set, world};
use crate::runtime::entropy::random_bytes;
use crate::runtime::supervise::Stage;
use crate::sources::decoder;
use crate::sources::mapping::{HintsText, Mapping, MappingText, PairsText, SeverityText};

/// The source of its alerts, and the name of its import.
pub(super) const NAME: &str = "demo";
/// How much faster than life it is.
const SPEED: u32 = 3;
/// The world that is played.
const SEED: u64 = 7;
/// So many alerts within `STORM_MS` are a storm.
const STORM_ALERTS: usize = 12;
const STORM_MS: i64 = 60_000;
/// How long before the storm it begins.
const BEFORE_MS: i64 = 15_000;

/// The door of its alerts.
pub(super) fn source() -> Option<SourceSetup> {
    let field = |text: &str| Some(text.to_owned());
    let text = MappingText {
        key: field("payload.key"),
        status: field("payload.status"),
        severity: Some(SeverityText {
            from: "payload.severity".to_owned(),
            ..SeverityText::default()
        }),
        summary: field("payload.summary"),
        labels: Some(PairsText::Whole("payload.labels".to_owned())),
        ci: Some(HintsText::One("payload.ci".to_owned())),
        ..MappingText::default()
    };
    let mapping = Arc::new(Mapping::compile(&text).ok()?);
    // Nobody knows it: the alerts come from inside only.
    let secret: [u8; 32] = random_bytes().ok()?;
    Some(SourceSetup {
        name: NAME.to_owned(),
        path: format!("/ingest/{NAME}"),
        decoder: decoder("json", Some(&mapping))?,
        credentials: vec![Credential::new("authorization", &hex::encode(secret))],
        keys: Vec::new(),
        is_reconciled: false,
        has_api: false,
        filters: Vec::new(),
        proof: Proof::default(),
    })
}

/// Says at every answer that it is a demonstration; the pages show it.
pub(super) fn mark() -> SetResponseHeaderLayer<HeaderValue> {
    let name = HeaderName::from_static("x-watchbell-demo");
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static("yes"))
}

/// Imports the data centre and plays its day until it is over or the daemon stops.
pub(super) async fn run(
    mut engine: EngineHandle,
    ingest: Ingest,
    stage: Stage,
    stop: CancellationToken,
) {
    if stop.run_until_cancelled(engine.ready()).await.is_none() {
        return;
    }
    let made = tokio::task::spawn_blocking(|| world(Set::S0, Ground::Small, SEED)).await;
    let Ok(made) = made else {
        log::error!("the demonstration could not be made");
        return;
    };
    let request = ImportRequest {
        name: NAME.to_owned(),
        format: NAME.to_owned(),
        picture: made.cmdb,
        is_dry_run: false,
        confirm_deletes: true,
        is_strict: false,
        actor: NAME.to_owned(),
    };
    let work = stage.track(async move { engine.import_cmdb(request).await });
    if let Ok(Some(Err(error))) = work.await {
        log::error!("the data centre of the demonstration was not imported: {error}");
        return;
    }
    log::warn!(
        "this is a demonstration: a made-up data centre and a storm in it, under the source `{NAME}`"
    );
    let mut events = made.story.events;
    events.sort_by_key(|event| event.at);
    play(from_storm(&events), &ingest, &stop).await;
    stop.cancelled().await;
}

/// The events from shortly before the first storm on.
fn from_storm(events: &[Event]) -> &[Event] {
    let storm = events.windows(STORM_ALERTS).find(|some| {
        let all = some.iter().all(|event| match &event.said {
            Said::Alert(alert) => alert.claim == Claim::Firing,
            Said::Change(_) => false,
        });
        let ends = some.first().zip(some.last());
        all && ends.is_some_and(|(first, last)| last.at.since(first.at).as_millis() <= STORM_MS)
    });
    let Some(first) = storm.and_then(|some| some.first()) else {
        return events;
    };
    let start = events.partition_point(|event| first.at.since(event.at).as_millis() > BEFORE_MS);
    events.get(start..).unwrap_or(events)
}

async fn play(events: &[Event], ingest: &Ingest, stop: &CancellationToken) {
    let mut last = events.first().map(|event| event.at);
    for event in events {
        let waited = last.map_or(0, |last| event.at.since(last).as_millis());
        last = Some(event.at);
        let wait = Duration::from_millis(u64::try_from(waited).unwrap_or(0)) / SPEED;
        let pause = tokio::time::sleep(wait);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
        if let (Said::Alert(alert), Some(door)) = (&event.said, ingest.door(NAME)) {
            let message = Incoming::json(message(alert));
            if let Err(error) = ingest.take(&door, message).await {
                log::warn!("an alert of the demonstration was not taken: {error}");
            }
        }
    }
}

fn message(alert: &AlertSaid) -> String {
    let labels: serde_json::Map<_, _> = alert
        .labels
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value)))
        .collect();
    let status = match alert.claim {
        Claim::Firing => "firing",
        Claim::Resolved => "resolved",
    };
    json!({
        "key": format!("{}/{}", alert.source, alert.key),
        "status": status,
        "severity": alert.severity.word(),
        "summary": alert.summary,
        "labels": labels,
        "ci": alert.ci,
    })
    .to_string()
}
