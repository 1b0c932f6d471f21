//! The shipped units, judged by systemd's own tools: nothing to complain about, and a tight sandbox.
//!
//! Must not be needed to run on a machine without systemd: there it says so and passes, unless everything is required.

use std::fs::write;

use tempfile::TempDir;

use crate::support::tools::{Tool, find_tool};
use crate::support::tree::file;

/// Ten times the exposure level; 1.1 as shipped.
const EXPOSURE_MAX: &str = "15";

/// The units in a folder of their own, with a program that exists on this machine.
fn units() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["watchbell.service", "watchbell.socket"] {
        let unit = file(&format!("deploy/systemd/{name}")).text;
        let unit = unit.replace("/usr/local/bin/watchbell", env!("CARGO_BIN_EXE_watchbell"));
        write(folder.path().join(name), unit).unwrap();
    }
    folder
}

fn systemd_analyze() -> Option<Tool> {
    find_tool("systemd-analyze", "systemd")
}

#[test]
fn units_are_verified_without_a_word() {
    let Some(tool) = systemd_analyze() else {
        return;
    };
    let folder = units();
    let said = tool.run(
        folder.path(),
        &["verify", "./watchbell.service", "./watchbell.socket"],
    );
    // It also loads and judges what else the machine has installed, which is none of our business.
    let ours: Vec<&str> = said.lines().filter(|it| it.contains("watchbell")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
fn sandbox_is_as_tight_as_promised() {
    let Some(tool) = systemd_analyze() else {
        return;
    };
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let folder = units();
    let said = tool.run(
        folder.path(),
        &[
            "security",
            "--offline=true",
            "--no-pager",
            &threshold,
            "./watchbell.service",
        ],
    );
    assert!(said.contains("Overall exposure level"), "{said}");
}

/// A stop that takes longer than systemd waits ends in a kill.
#[test]
fn stop_timeout_is_above_the_deadlines_of_the_stages() {
    let unit = file("deploy/systemd/watchbell.service").text;
    let timeout_s: u64 = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="))
        .unwrap()
        .parse()
        .unwrap();
    let app = file("src/app/mod.rs").text;
    let deadline = app
        .split_once("STAGE_DEADLINE: Duration = Duration::from_secs(")
        .unwrap()
        .1;
    let deadline_s: u64 = deadline.split_once(')').unwrap().0.parse().unwrap();
    let stages = u64::try_from(app.matches(".stage(\"").count()).unwrap();
    let drain_s = 5;
    let config = file("config/watchbell.toml").text;
    assert!(config.contains(&format!("drain_timeout = \"{drain_s}s\"")));
    let sum_s = stages * deadline_s + drain_s;
    assert!(
        sum_s < timeout_s,
        "the stages may take {sum_s} s, systemd waits {timeout_s} s"
    );
}
