//! After the CMDB changed: firing alerts that may be bound otherwise now are compared with it again, page by page.
//!
//! Only alerts that are not bound, and those bound to CIs that changed, are read; each page is an input of its own, so
//! that messages are decided in between. What was not finished before a restart is done after it. Must not bind; the
//! core does.

use std::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;

use crate::core::ids::AlertId;
use crate::core::input::Rebound;
use crate::store::cmdb::read;
use crate::store::cmdb::stage::Stage;
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::query::bindings::{ReboundView, to_rebind};
use crate::store::writer::WriteError;

use super::cmdb::marked;
use super::handle::{EngineHandle, SubmitError};

/// Marks the input that names alerts to compare again.
pub(super) const REBIND: &str = "application/x-watchbell-rebind+json";
/// Alerts of one input: some milliseconds of deciding.
const PAGE: i64 = 500;
/// How long a failed store is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// Compares after every change until it is told to stop.
pub async fn run(mut engine: EngineHandle, stop: CancellationToken) {
    if stop.run_until_cancelled(engine.ready()).await.is_none() {
        return;
    }
    while !stop.is_cancelled() {
        match catch_up(&engine, &stop).await {
            Ok(()) => {
                stop.run_until_cancelled(engine.changed()).await;
            }
            Err(error) => {
                log::warn!(error:% = error; "alerts cannot be compared with the CMDB yet: {error}");
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
    }
}

/// Compares what may have changed since the last version that was compared in full.
async fn catch_up(engine: &EngineHandle, stop: &CancellationToken) -> Result<(), SubmitError> {
    engine
        .until_decided(engine.writer().progress.appended())
        .await?;
    let db = &engine.imports.db;
    let mut reader = db.reader().await.map_err(SubmitError::Store)?;
    let (active, _) = read::versions(reader.lend())
        .await
        .map_err(SubmitError::Store)?;
    let compared = read::rebound(reader.lend())
        .await
        .map_err(SubmitError::Store)?;
    drop(reader);
    if active == compared {
        return Ok(());
    }
    let since = i64::try_from(compared).unwrap_or(i64::MAX);
    let mut after = 0;
    while !stop.is_cancelled() {
        let mut reader = db.reader().await.map_err(SubmitError::Store)?;
        let page = to_rebind(reader.lend(), since, after, PAGE).await;
        drop(reader);
        let page = page.map_err(SubmitError::Store)?;
        let Some(last) = page.last() else {
            return done(engine, active).await;
        };
        after = last.alert;
        let alerts: Vec<Rebound> = page.into_iter().filter_map(rebound).collect();
        let body = serde_json::to_vec(&alerts).map_err(|_| SubmitError::Unknown)?;
        let input = NewInput {
            body: StoredBody::new(Bytes::from(body)),
            ..marked(InputKind::Poll, REBIND)
        };
        let receipt = engine.writer().append_own(input).await?;
        engine.until_decided(receipt.seq()).await?;
    }
    Ok(())
}

async fn done(engine: &EngineHandle, version: u64) -> Result<(), SubmitError> {
    let noted: Result<(), WriteError> = engine.writer().stage(Stage::Rebound(version)).await;
    Ok(noted?)
}

fn rebound(view: ReboundView) -> Option<Rebound> {
    let pairs = |pairs: std::collections::BTreeMap<String, String>| {
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, value)| (SmolStr::from(name), SmolStr::from(value)))
            .collect()
    };
    Some(Rebound {
        alert: AlertId::new(view.alert)?,
        source: view.source.into(),
        labels: pairs(view.labels),
        annotations: pairs(view.annotations),
        hint: view.hint.map(SmolStr::from),
        reason: view.reason.map(SmolStr::from),
    })
}
