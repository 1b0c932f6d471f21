//! The store: reachable, of this release, durable, whole, writable; and who decides.
//!
//! Must not leave a change behind.

use std::fs;

use super::Finding;
use crate::cli::failure::Failure;
use crate::cli::machine::now;
use crate::cli::settings::{attach, is_missing, newest_schema, shown_store};
use crate::cli::text::{self, relative, span, utc};
use crate::config::Settings;
use crate::core::time::{Span, Timestamp};
use crate::store::{Db, StoreError, inspect, lease};

/// Bytes of a SQLite file that is read as a whole without being asked to.
const CHECKED_BYTES: u64 = 2 << 30;
/// How far the newest record may be ahead of the clock.
const AHEAD_MAX: Span = Span::from_secs(60);
/// The partition of a daemon that has only one.
const PARTITION: i64 = 0;

/// Checks the store.
pub(super) async fn check(settings: &Settings, is_full: bool) -> Vec<Finding> {
    let place = shown_store(&settings.store);
    if is_missing(&settings.store) {
        return vec![Finding::warn(
            "store",
            format!("there is none at {place}"),
            "`watchbell serve` makes one; is this the working directory and configuration of the daemon?",
        )];
    }
    let db = match attach(settings) {
        Ok(db) => db,
        Err(failure) => return vec![unreachable(&failure)],
    };
    let mut findings = Vec::new();
    match look(&db, &place, is_full, &mut findings).await {
        Ok(()) => {}
        Err(StoreError::Corrupt(damage)) => findings.push(broken(&damage)),
        Err(error) => findings.push(unreachable(&error.into())),
    }
    db.close().await;
    findings
}

fn unreachable(failure: &Failure) -> Finding {
    Finding::fail(
        "store",
        failure.to_string(),
        "check [store] url, the password, and that the database server runs",
    )
}

async fn look(
    db: &Db,
    place: &str,
    is_full: bool,
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let mut conn = db.connect().await?;
    let version = inspect::find_version(conn.lend()).await?;
    let schema = inspect::find_schema_version(conn.lend()).await?;
    findings.push(schema_finding(&format!("{place}, {version}"), schema));
    for setting in inspect::list_settings(conn.lend()).await? {
        let found = format!("{} is {}", setting.name, setting.value);
        findings.push(if setting.is_safe {
            Finding::ok("durability", found)
        } else {
            let next = "set it back: an acknowledged alert may be lost with the power";
            Finding::fail("durability", found, next)
        });
    }
    findings.push(integrity(db, is_full, conn.lend()).await?);
    if schema != Some(newest_schema()) {
        return conn.close().await;
    }
    findings.push(match inspect::try_write(db).await {
        Ok(()) => Finding::ok("writing", "works"),
        Err(error @ StoreError::Full) => {
            let next = "make room; the daemon refuses alerts until then and goes on by itself";
            Finding::fail("writing", error.to_string(), next)
        }
        Err(error) => {
            let next = "check who owns the file and its folder, and that no other program locks it";
            Finding::fail("writing", error.to_string(), next)
        }
    });
    let now = now();
    if db.file().is_none() {
        // Of a SQLite file the lock says who decides; its lease is only kept up by commits.
        let holder = lease::find_holder(conn.lend(), PARTITION).await?;
        findings.push(leader(holder, now));
    }
    let newest = inspect::find_newest_input_at(conn.lend(), PARTITION).await?;
    findings.push(clock(newest, now));
    conn.close().await
}

fn schema_finding(place: &str, schema: Option<i64>) -> Finding {
    let newest = newest_schema();
    match schema {
        None => Finding::warn(
            "store",
            format!("{place}, empty"),
            "`watchbell serve` or `watchbell migrate` sets it up",
        ),
        Some(version) if version < newest => Finding::warn(
            "store",
            format!("{place}, schema {version} of an older release, this one uses {newest}"),
            "make a backup, then start this release or run `watchbell migrate`",
        ),
        Some(version) if version > newest => Finding::fail(
            "store",
            format!("{place}, schema {version} of a newer release, this one knows {newest}"),
            "use the newer release",
        ),
        Some(version) => Finding::ok("store", format!("{place}, schema {version}")),
    }
}

async fn integrity(
    db: &Db,
    is_full: bool,
    conn: crate::store::Conn<'_>,
) -> Result<Finding, StoreError> {
    let check = "integrity";
    let Some(file) = db.file() else {
        return Ok(Finding::ok(check, "left to the database server"));
    };
    let bytes = fs::metadata(file).map_or(0, |file| file.len());
    let size = text::bytes(bytes);
    if bytes > CHECKED_BYTES && !is_full {
        let found = format!("not checked: {size} take a while; --full reads them");
        return Ok(Finding::ok(check, found));
    }
    Ok(match inspect::find_damage(conn).await? {
        None => Finding::ok(check, format!("{size}, nothing broken")),
        Some(damage) => broken(&damage),
    })
}

fn broken(damage: &str) -> Finding {
    let next = "stop the daemon, keep a copy of the file, and restore the last backup";
    Finding::fail("integrity", damage, next)
}

fn leader(holder: Option<(String, Timestamp)>, now: Timestamp) -> Finding {
    let check = "lease";
    match holder {
        Some((holder, until)) if until > now => {
            let left = span(until.since(now));
            Finding::ok(check, format!("{holder} decides, for another {left}"))
        }
        Some(_) | None => Finding::ok(check, "free: no daemon decides now"),
    }
}

fn clock(newest: Option<Timestamp>, now: Timestamp) -> Finding {
    let check = "clock";
    let found = format!("{} here", utc(now));
    match newest {
        Some(newest) if newest > now.plus(AHEAD_MAX) => Finding::fail(
            check,
            format!(
                "{found}, but the newest record is of {} ({})",
                utc(newest),
                relative(newest, now)
            ),
            "set the clock of this machine (timedatectl); time stands still for the daemon until it is caught up",
        ),
        Some(newest) => Finding::ok(
            check,
            format!("{found}; newest record {}", relative(newest, now)),
        ),
        None => Finding::ok(check, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_clock_behind_the_records_is_a_failure() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        assert_eq!(clock(None, now).verdict, Verdict::Ok);
        let early = clock(Some(now.plus(Span::from_secs(59))), now);
        assert_eq!(early.verdict, Verdict::Ok);
        let late = clock(Some(now.plus(Span::from_secs(61))), now);
        assert_eq!(late.verdict, Verdict::Fail);
    }

    #[test]
    fn a_schema_of_a_newer_release_is_a_failure_and_an_older_one_is_not() {
        let verdict = |schema| schema_finding("x", schema).verdict;
        assert_eq!(verdict(Some(newest_schema())), Verdict::Ok);
        assert_eq!(verdict(Some(newest_schema() + 1)), Verdict::Fail);
        assert_eq!(verdict(Some(newest_schema() - 1)), Verdict::Warn);
        assert_eq!(verdict(None), Verdict::Warn);
    }

    #[test]
    fn a_lease_that_is_over_holds_nobody() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let held = leader(
            Some(("7-abc".to_owned(), now.plus(Span::from_secs(8)))),
            now,
        );
        assert_eq!(held.found, "7-abc decides, for another 8s");
        let over = leader(Some(("7-abc".to_owned(), now)), now);
        assert_eq!(over.found, "free: no daemon decides now");
    }
}
