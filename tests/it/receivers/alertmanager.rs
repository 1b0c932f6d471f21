//! Debian's Alertmanager with its PagerDuty and Opsgenie receivers pointed here: a client that nobody wrote for us.

use std::fs::write;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::rig::{Daemon, Process};
use crate::support::tools::find_tool;

const SOURCES: &str = "[[source]]\nname = \"pd\"\nkind = \"pagerduty\"\n\
    routing_keys = [\"0123456789abcdef0123456789abcdef\", \"fedcba9876543210fedcba9876543210\"]\n\
    [[source]]\nname = \"og\"\nkind = \"opsgenie\"\napi_keys = [\"genie-key\"]\n";

fn config(daemon: &Daemon) -> String {
    let url = format!("http://{}", daemon.address);
    format!(
        "route:\n  receiver: all\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 1h\n  group_by: [alertname]\n\
         receivers:\n  - name: all\n    pagerduty_configs:\n\
         \x20     - routing_key: 0123456789abcdef0123456789abcdef\n        url: {url}/pagerduty/v2/enqueue\n\
         \x20       severity: warning\n\
         \x20     - service_key: fedcba9876543210fedcba9876543210\n\
         \x20       url: {url}/pagerduty/generic/2010-04-15/create_event.json\n\
         \x20   opsgenie_configs:\n      - api_key: genie-key\n        api_url: {url}/opsgenie/\n\
         \x20       priority: P2\n        update_alerts: true\n"
    )
}

/// Starts it on a port that the system chose, and returns where its API is.
fn start(folder: &TempDir) -> (Process, String) {
    let mut child = Command::new("prometheus-alertmanager")
        .args([
            "--config.file=am.yml",
            "--storage.path=data",
            "--web.listen-address=127.0.0.1:0",
        ])
        .args(["--cluster.listen-address=", "--log.level=debug"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = child.stderr.take().unwrap();
    let process = Process(child);
    let mut lines = BufReader::new(log).lines();
    let mut seen = Vec::new();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("address=127.0.0.1:")?;
        let address = format!("127.0.0.1:{}", rest.split_whitespace().next()?);
        seen.push(line);
        Some(address)
    });
    std::thread::spawn(move || lines.for_each(drop));
    (
        process,
        address.unwrap_or_else(|| panic!("it did not start:\n{}", seen.join("\n"))),
    )
}

fn by_key<'a>(list: &'a Value, start: &str) -> Vec<&'a Value> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .filter(|alert| alert["key"].as_str().unwrap().starts_with(start))
        .collect()
}

#[test]
fn a_real_alertmanager_delivers_and_resolves_by_both_protocols() {
    let (Some(_), Some(amtool)) = (
        find_tool("prometheus-alertmanager", "prometheus-alertmanager"),
        find_tool("amtool", "prometheus-alertmanager"),
    ) else {
        return;
    };
    let daemon = Daemon::start(SOURCES);
    let folder = TempDir::new().unwrap();
    write(folder.path().join("am.yml"), config(&daemon)).unwrap();
    let (_alertmanager, address) = start(&folder);
    let url = format!("--alertmanager.url=http://{address}");
    let add = [
        "alert",
        "add",
        "DiskFull",
        "instance=db1",
        "--annotation=summary=full",
        &url,
    ];
    amtool.run(folder.path(), &add);
    let list = daemon.until("/api/v1/alerts", |list| {
        list["items"].as_array().unwrap().len() == 2
    });
    // Versions 1 and 2 of the Events API name the group alike, so they are one alert.
    let (pagerduty, opsgenie) = (by_key(&list, "pd:v1:"), by_key(&list, "og:v1:"));
    let titles = [pagerduty[0], opsgenie[0]].map(|alert| alert["summary"].as_str().unwrap());
    assert!(
        titles
            .iter()
            .all(|title| title.starts_with("[FIRING:1] DiskFull")),
        "{titles:?}"
    );
    assert_eq!(opsgenie[0]["severity"], "high");
    assert_eq!(opsgenie[0]["labels"]["instance"], "db1");
    assert!(
        pagerduty[0]["annotations"]["firing"]
            .as_str()
            .unwrap()
            .contains("instance = db1")
    );
    let ended = [
        "alert",
        "add",
        "DiskFull",
        "instance=db1",
        "--end=2020-01-01T00:00:00Z",
        "--start=2019-01-01T00:00:00Z",
        &url,
    ];
    amtool.run(folder.path(), &ended);
    let is_over = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        items.iter().all(|alert| alert["status"] == "resolved")
    };
    let list = daemon.until("/api/v1/alerts", is_over);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let sources = daemon.get("/api/v1/sources");
    for source in sources["items"].as_array().unwrap() {
        assert_eq!(source["messages"]["rejected"], json!(0), "{source}");
    }
}
