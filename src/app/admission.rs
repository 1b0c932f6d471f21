//! Settings of signatures, limits and heartbeats turned into what the doors take.
//!
//! Must not start anything.

use std::sync::Arc;

use crate::api::dead_letters::Replayed;
use crate::api::heartbeats::HeartbeatStatus;
use crate::config::Settings;
use crate::config::settings::{
    HeartbeatSettings, RateSettings, SignatureHash, SignatureKind, SignatureSettings,
    SourceSettings,
};
use crate::core::heartbeat::{self, Feed};
use crate::engine::pulses::Pulse;
use crate::ingest::Ingest;
use crate::ingest::door::{Credential, Proof, SourceSetup};
use crate::ingest::heartbeat::HeartbeatSetup;
use crate::ingest::limits::Rate;
use crate::ingest::replay::ReplayError;
use crate::ingest::signature::{Algorithm, Scheme, Signature};
use crate::ingest::sns::SnsPolicy;
use crate::sources;
use crate::store::dead_letters::DeadLetter;

use super::wiring::duration;

/// What is asked of the messages of a source besides a credential.
pub(super) fn proof(source: &SourceSettings) -> Proof {
    Proof {
        signature: source.signature.as_ref().map(signature),
        sns: SnsPolicy {
            is_verified: source.sns.is_verified,
            confirmed_topics: source.sns.confirmed_topics.clone(),
        },
        rate: source.rate.map(rate),
    }
}

/// The door that pings come through, if any is waited for.
pub(super) fn heartbeat_source(settings: &Settings) -> Option<SourceSetup> {
    settings.heartbeats.first()?;
    let is_open = |heartbeat: &HeartbeatSettings| heartbeat.token.is_none();
    let credentials = if settings.heartbeats.iter().any(is_open) {
        Vec::new()
    } else {
        settings
            .heartbeats
            .iter()
            .filter_map(heartbeat_credential)
            .collect()
    };
    Some(SourceSetup {
        name: heartbeat::SOURCE.to_owned(),
        path: "/heartbeat/{name}".to_owned(),
        decoder: Arc::new(sources::heartbeat::Heartbeat),
        credentials,
        keys: Vec::new(),
        is_reconciled: false,
        has_api: false,
        filters: Vec::new(),
        proof: Proof::default(),
    })
}

pub(super) fn heartbeat_setup(heartbeat: &HeartbeatSettings) -> HeartbeatSetup {
    HeartbeatSetup {
        name: heartbeat.name.clone(),
        credential: heartbeat_credential(heartbeat),
        is_pinged: heartbeat.is_pinged(),
    }
}

fn heartbeat_credential(heartbeat: &HeartbeatSettings) -> Option<Credential> {
    let token = heartbeat.token.as_ref()?;
    Some(Credential::new(
        "authorization",
        &format!("Bearer {}", token.expose()),
    ))
}

fn signature(settings: &SignatureSettings) -> Signature {
    let (header, prefix) = (settings.header.clone(), settings.prefix.clone());
    let scheme = match (settings.kind, &settings.timestamp_header) {
        (SignatureKind::StandardWebhooks, _) => Scheme::StandardWebhooks,
        (_, Some(timestamp_header)) => Scheme::Timed {
            header,
            prefix,
            timestamp_header: timestamp_header.clone(),
        },
        (_, None) => Scheme::Body { header, prefix },
    };
    Signature {
        scheme,
        algorithm: match settings.hash {
            SignatureHash::Sha256 => Algorithm::Sha256,
            SignatureHash::Sha512 => Algorithm::Sha512,
        },
        keys: settings.key_bytes(),
        tolerance: settings.tolerance,
    }
}

/// How much may be sent.
pub(super) fn rate(settings: RateSettings) -> Rate {
    Rate {
        per_second: settings.per_second,
        burst: settings.burst,
    }
}

/// A heartbeat as the API shows it.
pub(super) fn heartbeat_status(pulse: &Pulse) -> HeartbeatStatus {
    let rule = &pulse.rule;
    let watchdog = match &rule.feed {
        Feed::Watchdog { source, .. } => Some(source.to_string()),
        Feed::Pings | Feed::Messages { .. } => None,
    };
    HeartbeatStatus {
        name: pulse.name.to_string(),
        state: pulse.word.word(),
        path: watchdog
            .is_none()
            .then(|| format!("/heartbeat/{}", pulse.name)),
        watchdog,
        every_s: duration(rule.every).as_secs_f64(),
        grace_s: duration(rule.grace).as_secs_f64(),
        max_run_s: duration(rule.max_run).as_secs_f64(),
        severity: rule.severity.word(),
        running_since: pulse.begun_at.map(Into::into),
        last_run_s: pulse.last_run.map(|span| duration(span).as_secs_f64()),
        failure: pulse.failure.as_ref().map(ToString::to_string),
        last_ping_at: pulse.heard_at.map(Into::into),
        due_at: pulse.due_at.map(Into::into),
        key: pulse.key.to_string(),
    }
}

/// Replays a dead letter, in the words of the API.
pub(super) async fn replay(ingest: Ingest, letter: DeadLetter) -> Replayed {
    match ingest.replay(letter).await {
        Ok(done) => Replayed::Done {
            seq: done.seq,
            observations: done.observations,
        },
        Err(error) => {
            let why = error.to_string();
            match error {
                ReplayError::Gone => Replayed::Gone,
                ReplayError::NoSource(_) | ReplayError::Cut { .. } => Replayed::Refused(why),
                ReplayError::NotUnderstood(_) => Replayed::NotUnderstood(why),
                ReplayError::Refused(_) => Replayed::Unavailable(why),
            }
        }
    }
}
