//! What is shipped for Prometheus, Alertmanager and Grafana, judged by their own tools.
//!
//! That only metrics are used that exist is checked in `docs`. Must not need a running server.

use std::fs::write;

use serde_json::Value;
use tempfile::TempDir;

use crate::docs::{Block, blocks};
use crate::support::tools::find_tool;
use crate::support::tree::{file, top};

#[test]
fn receiver_is_a_valid_alertmanager_configuration() {
    let Some(amtool) = find_tool("amtool", "prometheus-alertmanager") else {
        return;
    };
    let folder = top().join("deploy/alertmanager");
    let said = amtool.run(&folder, &["check-config", "receiver.yml"]);
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn receiver_with_its_token_is_valid_too() {
    let Some(amtool) = find_tool("amtool", "prometheus-alertmanager") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let text = file("deploy/alertmanager/receiver.yml").text;
    let with_token = text.replace("        #http_config:", "        http_config:");
    let with_token = with_token.replace("        #  ", "          ");
    assert!(
        with_token.contains("\n            credentials_file:"),
        "{with_token}"
    );
    write(folder.path().join("alertmanager.yml"), with_token).unwrap();
    amtool.run(folder.path(), &["check-config", "alertmanager.yml"]);
}

#[test]
fn rules_are_valid() {
    let Some(promtool) = find_tool("promtool", "prometheus") else {
        return;
    };
    let folder = top().join("deploy/prometheus");
    let said = promtool.run(&folder, &["check", "rules", "watchbell-rules.yml"]);
    assert!(said.contains("9 rules found"), "{said}");
}

/// Which file a block of YAML is for: its first line says so, or its sections do.
fn file_of(block: &Block) -> &str {
    let said = block
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# "));
    let has = |section: &str| block.text.lines().any(|line| line == section);
    match said {
        Some(name) => name,
        None if has("receivers:") => "alertmanager.yml",
        None if has("scrape_configs:") => "prometheus.yml",
        None => panic!("{}: write in its first line which file it is for", block.at),
    }
}

#[test]
fn configurations_in_documents_are_valid() {
    let tools = (
        find_tool("amtool", "prometheus-alertmanager"),
        find_tool("promtool", "prometheus"),
    );
    let (Some(amtool), Some(promtool)) = tools else {
        return;
    };
    let rules = file("deploy/prometheus/watchbell-rules.yml").text;
    for block in blocks("yaml") {
        let folder = TempDir::new().unwrap();
        let name = file_of(&block);
        write(folder.path().join("watchbell-rules.yml"), &rules).unwrap();
        // The files of the machine that it would run on.
        write(folder.path().join("watchbell-token"), "token").unwrap();
        let mut text = block.text.replace("/etc/prometheus/", "");
        if name == "alertmanager.yml" && !text.contains("route:") {
            text.push_str("route:\n  receiver: watchbell\n");
        }
        write(folder.path().join(name), text).unwrap();
        match name {
            "alertmanager.yml" => drop(amtool.run(folder.path(), &["check-config", name])),
            "prometheus.yml" => drop(promtool.run(folder.path(), &["check", "config", name])),
            other => panic!("{}: nobody checks {other}", block.at),
        }
    }
}

#[test]
fn dashboard_has_panels_whose_queries_are_valid() {
    let dashboard: Value =
        serde_json::from_str(&file("deploy/grafana/watchbell.json").text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    let mut ids = Vec::new();
    for panel in panels {
        ids.push(panel["id"].as_u64().unwrap());
        assert!(!panel["title"].as_str().unwrap().is_empty());
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "5m")
                .replace("$instance", ".*");
            assert!(!query.contains('$'), "an unknown variable: {query}");
            let number = rules.lines().count();
            rules.push_str(&format!(
                "      - record: query:{number}\n        expr: '{query}'\n"
            ));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "two panels with one id");
    let Some(promtool) = find_tool("promtool", "prometheus") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    write(folder.path().join("dashboard.yml"), rules).unwrap();
    promtool.run(folder.path(), &["check", "rules", "dashboard.yml"]);
}
