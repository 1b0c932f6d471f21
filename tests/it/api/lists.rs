//! Paging and filters.

use std::collections::BTreeSet;

use serde_json::Value;
use watchbell::core::observation::Claim;
use watchbell::core::severity::Severity;

use super::{World, claim};

const PATHS: [&str; 2] = ["/api/v1/incidents", "/api/v1/alerts"];

async fn walk(world: &World, path: &str, key: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("{path}{cursor}")).await.ok();
        for item in page["items"].as_array().unwrap() {
            seen.push(item[key].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else {
            return seen;
        };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_have_neither_gaps_nor_doubles_while_rows_arrive() {
    let world = World::open().await;
    let now = world.clock.now();
    let many = |from: u32, to: u32| {
        let names = (from..to).map(|n| format!("Host{n}"));
        names
            .map(|name| claim(&name, Claim::Firing, Severity::High, now))
            .collect::<Vec<_>>()
    };
    world.receive(many(0, 120)).await;
    for (path, key, prefix) in [(PATHS[0], "number", "INC-"), (PATHS[1], "id", "A-")] {
        let first = world.get(&format!("{path}?limit=7")).await.ok();
        let newest = first["items"][0][key].as_str().unwrap();
        let newest: u32 = newest.strip_prefix(prefix).unwrap().parse().unwrap();
        // A row that arrives between two pages is not on a later one.
        world.receive(many(newest + 1000, newest + 1001)).await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let mut seen: Vec<String> = first["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item[key].as_str().unwrap().to_owned())
            .collect();
        let mut cursor = Some(cursor.to_owned());
        while let Some(next) = cursor {
            let page = world
                .get(&format!("{path}?limit=7&cursor={next}"))
                .await
                .ok();
            for item in page["items"].as_array().unwrap() {
                seen.push(item[key].as_str().unwrap().to_owned());
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
        }
        let expected: Vec<String> = (1..=newest).rev().map(|n| format!("{prefix}{n}")).collect();
        assert_eq!(seen, expected);
        let mut oldest_first = walk(&world, &format!("{path}?limit=50&sort=id"), key).await;
        oldest_first.truncate(expected.len());
        oldest_first.reverse();
        assert_eq!(oldest_first, expected);
    }
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last() {
    let world = World::open().await;
    for n in 0..4 {
        world.fire(&format!("Host{n}"), Severity::High).await;
    }
    let all = world.get("/api/v1/incidents?limit=4").await.ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    assert_eq!(all["next_cursor"], Value::Null);
    let half = world.get("/api/v1/incidents?limit=2").await.ok();
    let cursor = half["next_cursor"].as_str().unwrap();
    let rest = world
        .get(&format!("/api/v1/incidents?limit=2&cursor={cursor}"))
        .await
        .ok();
    assert_eq!(rest["next_cursor"], Value::Null);
    let other = world.get(&format!("/api/v1/alerts?cursor={cursor}")).await;
    other.problem(400, "bad-request");
}

#[tokio::test]
async fn alerts_can_be_sorted_by_last_message() {
    let world = World::open().await;
    for n in 0..5 {
        world.fire(&format!("Host{n}"), Severity::High).await;
    }
    world.pass(60);
    world.fire("Host1", Severity::High).await;
    let by_last = walk(&world, "/api/v1/alerts?limit=2&sort=-last_seen_at", "id").await;
    assert_eq!(by_last, ["A-2", "A-5", "A-4", "A-3", "A-1"]);
    let by_first = walk(&world, "/api/v1/alerts?limit=2&sort=last_seen_at", "id").await;
    assert_eq!(by_first, ["A-1", "A-3", "A-4", "A-5", "A-2"]);
}

/// Six incidents of all sorts: 1 new, 2 acknowledged, 3 in progress, 4 on hold, 5 resolved, 6 closed.
async fn sorts() -> World {
    let world = World::open().await;
    for (name, severity) in [
        ("Alpha", Severity::Critical),
        ("Beta", Severity::High),
        ("Gamma", Severity::Warning),
        ("Delta", Severity::Low),
        ("Epsilon_50%", Severity::Info),
        ("Zeta", Severity::Critical),
    ] {
        world.fire(name, severity).await;
    }
    let hold = r#"{"reason": "waits for a part"}"#;
    for (path, body) in [
        ("2/acknowledge", ""),
        ("3/start", ""),
        ("4/hold", hold),
        ("5/resolve", ""),
        ("6/close", ""),
        ("1/assign", r#"{"team": "network", "assignee": "ana"}"#),
        ("2/assign", r#"{"team": "storage"}"#),
    ] {
        world
            .post(&format!("/api/v1/incidents/{path}"), body)
            .await
            .ok();
    }
    world
}

async fn check(world: &World, path: &str, key: &str, expected: &[&str]) {
    let got: BTreeSet<String> = walk(world, path, key).await.into_iter().collect();
    let expected: BTreeSet<String> = expected.iter().map(|&text| text.to_owned()).collect();
    assert_eq!(got, expected, "{path}");
}

#[tokio::test]
async fn incidents_are_filtered() {
    let world = sorts().await;
    for (query, expected) in [
        (
            "",
            &["INC-1", "INC-2", "INC-3", "INC-4", "INC-5", "INC-6"][..],
        ),
        ("state=new", &["INC-1"]),
        ("state=on_hold", &["INC-4"]),
        (
            "state=new,acknowledged&state=closed",
            &["INC-1", "INC-2", "INC-6"],
        ),
        ("state=open", &["INC-1", "INC-2", "INC-3", "INC-4"]),
        ("state=resolved", &["INC-5"]),
        (
            "state=",
            &["INC-1", "INC-2", "INC-3", "INC-4", "INC-5", "INC-6"],
        ),
        ("priority=P2", &["INC-1", "INC-6"]),
        ("priority=p3,P4", &["INC-2", "INC-3"]),
        ("severity=info", &["INC-5"]),
        ("team=network", &["INC-1"]),
        ("team=network,storage", &["INC-1", "INC-2"]),
        ("assignee=ana", &["INC-1"]),
        ("source=am&state=new", &["INC-1"]),
        ("source=other", &[]),
        ("q=GAMMA", &["INC-3"]),
        (
            "q=in%20trouble",
            &["INC-1", "INC-2", "INC-3", "INC-4", "INC-5", "INC-6"],
        ),
        ("q=inc-4", &["INC-4"]),
        ("q=4", &["INC-4"]),
        ("q=%25", &["INC-5"]),
        ("q=_", &["INC-5"]),
        ("q=%27", &[]),
        ("ci=sw1", &[]),
        ("service=checkout", &[]),
        ("priority=P2&state=new", &["INC-1"]),
    ] {
        check(
            &world,
            &format!("/api/v1/incidents?limit=2&{query}"),
            "number",
            expected,
        )
        .await;
    }
}

#[tokio::test]
async fn alerts_are_filtered() {
    let world = sorts().await;
    world.end("Beta").await;
    for (query, expected) in [
        ("status=firing", &["A-1", "A-3", "A-4"][..]),
        ("status=resolved", &["A-2", "A-5", "A-6"]),
        (
            "status=firing,resolved",
            &["A-1", "A-2", "A-3", "A-4", "A-5", "A-6"],
        ),
        ("severity=critical", &["A-1", "A-6"]),
        ("source=am,pd", &["A-1", "A-2", "A-3", "A-4", "A-5", "A-6"]),
        ("source=pd", &[]),
        ("incident=INC-2", &["A-2"]),
        ("incident=2,inc-3", &["A-2", "A-3"]),
        ("q=alpha", &["A-1"]),
        ("q=v1:beta", &["A-2"]),
        ("ci=sw1", &[]),
    ] {
        check(
            &world,
            &format!("/api/v1/alerts?limit=2&{query}"),
            "id",
            expected,
        )
        .await;
    }
    check(&world, "/api/v1/incidents/2/alerts?limit=2", "id", &["A-2"]).await;
}

#[tokio::test]
async fn what_a_list_does_not_have_is_refused() {
    let world = World::open().await;
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1.5",
        "limit=-1",
        "cursor=x",
        "cursor=MXwxfDA",
        "sort=title",
        "stat=new",
        "state=broken",
        "priority=P9",
        "severity=page",
        "status=firing",
        "unknown=1",
        "q=%00",
    ] {
        let answer = world.get(&format!("/api/v1/incidents?{query}")).await;
        answer.problem(400, "bad-request");
    }
    let long = "x".repeat(300);
    world
        .get(&format!("/api/v1/incidents?q={long}"))
        .await
        .problem(400, "bad-request");
    let hint = world.get("/api/v1/incidents?stat=new").await.json();
    assert!(
        hint["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean state?"),
        "{hint}"
    );
    for query in ["status=open", "incident=x", "state=new"] {
        world
            .get(&format!("/api/v1/alerts?{query}"))
            .await
            .problem(400, "bad-request");
    }
}
