//! Debian's Prometheus and Alertmanager in front of the real binary: a rule fires, an incident opens, both
//! Alertmanagers of a pair tell of it, and it resolves with its reasons.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::process::{Process, eventually};
use crate::support::tools::{Tool, find_tool};

/// The programs of the monitoring side.
pub(crate) struct Programs {
    pub(crate) prometheus: Tool,
    pub(crate) alertmanager: Tool,
    pub(crate) amtool: Tool,
}

impl Programs {
    /// Every one, or nothing when one is missing.
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            prometheus: find_tool("prometheus", "prometheus")?,
            alertmanager: find_tool("prometheus-alertmanager", "prometheus-alertmanager")?,
            amtool: find_tool("amtool", "prometheus-alertmanager")?,
        })
    }
}

/// A started program of the monitoring side and the address it listens on.
pub(crate) struct Remote {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Remote {
    async fn start(name: &'static str, command: &mut Command) -> Self {
        let mut process = Process::start(name, command);
        let line = process.line("msg=\"Listening on\" address=").await;
        let (_, address) = line.split_once("address=").unwrap();
        let address = address.trim().to_owned();
        Self { process, address }
    }
}

/// One Alertmanager that knows nothing of its twin, as a pair does whose network is cut.
pub(crate) async fn alertmanager(
    program: &Tool,
    home: &Home,
    name: &'static str,
    daemon: &Daemon,
) -> Remote {
    let config = format!(
        "route:\n  receiver: watchbell\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  \
         repeat_interval: 1h\nreceivers:\n- name: watchbell\n  webhook_configs:\n  - url: {}\n    \
         send_resolved: true\n",
        daemon.url("/ingest/am")
    );
    std::fs::write(home.path(&format!("{name}.yml")), config).unwrap();
    let mut command = home.command(program.path());
    command.args([
        format!("--config.file={name}.yml"),
        format!("--storage.path={name}"),
        "--web.listen-address=127.0.0.1:0".to_owned(),
        "--cluster.listen-address=".to_owned(),
    ]);
    Remote::start(name, &mut command).await
}

/// Writes rules of which these fire; the others are there and quiet.
pub(crate) fn set_rules(home: &Home, firing: &[&str]) {
    let mut text = "groups:\n- name: e2e\n  interval: 1s\n  rules:\n".to_owned();
    for name in ["HostDown", "DiskFull"] {
        let value = i32::from(firing.contains(&name));
        text.push_str(&format!(
            "  - alert: {name}\n    expr: vector({value}) > 0\n    for: 0s\n    labels: {{ severity: critical }}\n    \
             annotations: {{ summary: '{name} on a' }}\n"
        ));
    }
    std::fs::write(home.path("rules.yml"), text).unwrap();
}

async fn prometheus(program: &Tool, home: &Home, alertmanagers: &[&Remote]) -> Remote {
    let targets = alertmanagers.iter().map(|remote| remote.address.as_str());
    prometheus_to(program, home, &targets.collect::<Vec<_>>()).await
}

/// One that sends to these addresses.
pub(crate) async fn prometheus_to(program: &Tool, home: &Home, targets: &[&str]) -> Remote {
    let config = format!(
        "global: {{ evaluation_interval: 1s, scrape_interval: 1s }}\nrule_files: [rules.yml]\nalerting:\n  \
         alertmanagers:\n  - static_configs:\n    - targets: {targets:?}\n"
    );
    std::fs::write(home.path("prometheus.yml"), config).unwrap();
    let mut command = home.command(program.path());
    command.args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        "--web.listen-address=127.0.0.1:0",
        "--rules.alert.resend-delay=1s",
    ]);
    Remote::start("prometheus", &mut command).await
}

/// The alert of that name, as soon as it is like this.
async fn alert(daemon: &Daemon, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{name} {what}"), async || {
        let mut of_name = daemon.list("/api/v1/alerts").await;
        of_name.retain(|alert| alert["labels"]["alertname"] == name);
        assert!(of_name.len() < 2, "one alert, not {of_name:?}");
        of_name.into_iter().find(|alert| is(alert))
    })
    .await
}

async fn incident(daemon: &Daemon, number: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{number} {what}"), async || {
        let incident = daemon
            .get(&format!("/api/v1/incidents/{number}"))
            .await
            .ok();
        is(&incident).then_some(incident)
    })
    .await
}

fn config(reconcile: &str) -> String {
    format!(
        "{LISTEN}[incident]\nrecover_after = \"1s\"\n\
         [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{reconcile}"
    )
}

fn silence(program: &Tool, home: &Home, remote: &Remote, name: &str) {
    let made = home
        .command(program.path())
        .arg(format!("--alertmanager.url=http://{}", remote.address))
        .args([
            "silence",
            "add",
            "--author=e2e",
            "--comment=e2e",
            "--duration=1h",
        ])
        .arg(format!("alertname={name}"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn is_resolved(of: &Value) -> bool {
    of["state"] == "resolved"
}

fn has_ended(alert: &Value) -> bool {
    alert["status"] == "resolved"
}

/// Asserts that the timeline of an incident has these reasons, in this order, among others.
async fn explains(daemon: &Daemon, number: &str, expected: &[&str]) {
    let reasons = daemon.reasons(number).await;
    let mut rest = reasons.iter();
    for reason in expected {
        let is_there = rest.any(|known| known == reason);
        assert!(is_there, "no {reason} in its place in {reasons:?}");
    }
}

#[tokio::test]
async fn an_alert_of_prometheus_becomes_one_incident_that_resolves() {
    let Some(programs) = Programs::find() else {
        return;
    };
    let home = Home::new(&config(""));
    let mut daemon = home.start().await;
    let (first, second) = tokio::join!(
        alertmanager(&programs.alertmanager, &home, "am1", &daemon),
        alertmanager(&programs.alertmanager, &home, "am2", &daemon)
    );
    set_rules(&home, &["HostDown", "DiskFull"]);
    let prometheus = prometheus(&programs.prometheus, &home, &[&first, &second]).await;
    for name in ["HostDown", "DiskFull"] {
        let twice = |alert: &Value| alert["count"].as_u64() > Some(1);
        let alert = alert(&daemon, name, "is told by both", twice).await;
        assert_eq!(alert["status"], "firing");
    }
    assert_eq!(daemon.list("/api/v1/incidents").await.len(), 2, "one each");

    set_rules(&home, &["DiskFull"]);
    prometheus.process.signal(Signal::HUP);
    let host = alert(&daemon, "HostDown", "ends", has_ended).await;
    assert_eq!(host["ended_by"], "resolved");
    let number = host["incident"].as_str().unwrap();
    let resolved = incident(&daemon, number, "resolves", is_resolved).await;
    assert_eq!(resolved["title"], "HostDown on a");
    let whole = [
        "incident_opened",
        "alert_resolved",
        "recovery_started",
        "recovery_sustained",
    ];
    explains(&daemon, number, &whole).await;

    for remote in [&first, &second] {
        silence(&programs.amtool, &home, remote, "DiskFull");
    }
    let url = &first.address;
    home.configure(&config(&format!(
        "reconcile = {{ url = \"http://{url}\", every = \"1s\" }}\n"
    )));
    assert!(daemon.reload().await.contains("was reloaded"));
    let number = is_reconciled(&home, &daemon, &prometheus).await;
    let whole = ["incident_opened", "muted_upstream", "alert_reconciled"];
    explains(&daemon, &number, &whole).await;
    assert_eq!(daemon.list("/api/v1/incidents").await.len(), 2, "none more");
    daemon.stop().await;
}

/// `DiskFull` is silenced now: that is shown, and its end is found by asking. Gives its incident.
async fn is_reconciled(home: &Home, daemon: &Daemon, prometheus: &Remote) -> String {
    let is_muted = |of: &Value| of["suppressed_by"] == json!(["upstream"]);
    let disk = alert(daemon, "DiskFull", "is muted upstream", is_muted).await;
    let number = disk["incident"].as_str().unwrap();
    incident(daemon, number, "is muted upstream", is_muted).await;
    set_rules(home, &[]);
    prometheus.process.signal(Signal::HUP);
    let disk = alert(daemon, "DiskFull", "ends", has_ended).await;
    assert_eq!(
        disk["ended_by"], "reconciled",
        "nobody sent its end: {disk}"
    );
    incident(daemon, number, "resolves", is_resolved).await;
    number.to_owned()
}
