//! Reads the feeds of holidays and has the configuration loaded again when one says something new.
//!
//! What was read last is kept in a file beside the store, so a start needs no network. Must not take over a feed that
//! cannot be understood: what was known stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::calendars::HolidayFeed;
use crate::config::{Settings, count_holidays};
use crate::connectors::{Body, Request};
use crate::runtime::signals::ReloadRequest;
use crate::wire::itsm::{Itsm, ItsmSetup};

use super::wiring::duration;

/// How soon a feed that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Works until it is told to stop.
pub(super) async fn run(
    mut settings: watch::Receiver<Arc<Settings>>,
    reload: ReloadRequest,
    stop: CancellationToken,
) {
    let mut due: BTreeMap<PathBuf, Instant> = BTreeMap::new();
    while !stop.is_cancelled() {
        let feeds = settings.borrow_and_update().holiday_feeds.clone();
        due.retain(|file, _| feeds.iter().any(|feed| feed.file == *file));
        let mut is_new = false;
        for feed in &feeds {
            if due.get(&feed.file).is_some_and(|at| *at > Instant::now()) {
                continue;
            }
            let Some(read) = stop.run_until_cancelled(read(feed)).await else {
                return;
            };
            if let Err(why) = &read {
                let url = Url::parse(feed.url.expose()).ok();
                let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
                log::warn!(error = why.as_str(); "holidays of {host} cannot be read, what was known stays: {why}");
            }
            let pause = if read.is_ok() {
                duration(feed.every)
            } else {
                RETRY.min(duration(feed.every))
            };
            due.insert(feed.file.clone(), Instant::now() + pause);
            is_new |= read.unwrap_or(false);
        }
        if is_new {
            reload.raise();
        }
        let next = due.values().min().copied();
        let wait = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = wait => {}
            changed = settings.changed() => {
                if changed.is_err() {
                    stop.cancelled().await;
                }
            }
        }
    }
}

/// Reads one feed; whether it says something else than what is kept.
async fn read(feed: &HolidayFeed) -> Result<bool, String> {
    let base = Url::parse(feed.url.expose()).map_err(|error| format!("url is none: {error}"))?;
    let query = base.query().map(|query| format!("?{query}"));
    let wire = Itsm::new(ItsmSetup {
        base,
        secrets: BTreeMap::new(),
        allow_private: feed.allow_private,
        ca: None,
        timeout: TIMEOUT,
    })?;
    let request = Request {
        step: "holidays".into(),
        method: "GET".into(),
        path: query.unwrap_or_default(),
        query: Vec::new(),
        headers: vec![("Accept".to_owned(), "text/calendar, */*".to_owned())],
        body: Body::Empty,
        is_write: false,
    };
    let answer = wire.send(&request, &[], None).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("HTTP {}", answer.status));
    }
    let text = String::from_utf8(answer.body).map_err(|_| "it is no text".to_owned())?;
    let count = count_holidays(&text)?;
    if tokio::fs::read_to_string(&feed.file)
        .await
        .is_ok_and(|kept| kept == text)
    {
        return Ok(false);
    }
    keep(&feed.file, &text)
        .await
        .map_err(|error| format!("{} cannot be written: {error}", feed.file.display()))?;
    log::info!(days = count; "a feed of holidays has {count} days; the configuration is loaded again with them");
    Ok(true)
}

/// Writes it whole or not at all.
async fn keep(file: &Path, text: &str) -> std::io::Result<()> {
    let draft = file.with_extension("new");
    tokio::fs::write(&draft, text).await?;
    tokio::fs::rename(&draft, file).await
}
