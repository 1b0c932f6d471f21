//! Conversations with servers that have the quirks of the real ones, over real sockets.
//!
//! Whatever goes wrong in the middle, there is no picture: so nothing can be deleted by it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;
use watchbell::core::cmdb::record::Picture;
use watchbell::importers::conversation::Conversation;
use watchbell::importers::{find, glpi, itop, kubernetes, netbox, plain, servicenow};
use watchbell::wire::{Egress, EgressSetup, FetchError};

use crate::support::fake::{Asked, Fake, Told};

const SECRET: &str = "Token abc";

async fn converse(fake: &Fake, mut conversation: impl Conversation) -> Result<Picture, FetchError> {
    let setup = EgressSetup {
        base: base(fake),
        secrets: vec![("authorization", SECRET.to_owned())],
        allow_private: true,
        pause: Duration::from_millis(1),
    };
    Egress::new(setup)
        .unwrap()
        .converse(&mut conversation, &|_| {})
        .await
}

fn base(fake: &Fake) -> Url {
    // The program does this in its first line; only the first one here counts.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    Url::parse(&fake.url()).unwrap()
}

fn netbox(fake: &Fake) -> netbox::fetch::Fetch {
    netbox::fetch::Fetch::new(base(fake), &[], BTreeSet::new())
}

fn servicenow(fake: &Fake) -> servicenow::fetch::Fetch {
    servicenow::fetch::Fetch::new(base(fake), Vec::new(), None, BTreeSet::new())
}

fn ids(picture: &Picture) -> Vec<&str> {
    picture.cis.iter().map(|ci| ci.id.as_str()).collect()
}

/// Five devices in pages of two, one without a name; no other lists.
fn devices(asked: &Asked) -> Told {
    if asked.path != "/api/dcim/devices/" {
        return Told::json(&json!({"count": 0, "next": null, "previous": null, "results": []}));
    }
    let offset = asked.number("offset", 0);
    let rows: Vec<Value> = (offset..(offset + 2).min(5))
        .map(|index| {
            let name = if index == 3 { json!(null) } else { json!(format!("d{index}")) };
            json!({"id": index + 1, "name": name, "display": format!("Device {index}"), "role": {"slug": "router"},
                "status": {"value": "active"}, "primary_ip": {"address": format!("10.0.0.{index}/24")}})
        })
        .collect();
    let next = format!(
        "{}{}?limit=1000&offset={}",
        asked.origin,
        asked.path,
        offset + 2
    );
    let next = if offset + 2 < 5 {
        json!(next)
    } else {
        json!(null)
    };
    Told::json(&json!({"count": 5, "next": next, "previous": null, "results": rows}))
}

#[tokio::test(flavor = "multi_thread")]
async fn netbox_is_read_page_by_page_with_its_token() {
    let fake = Fake::start(devices).await;
    let picture = converse(&fake, netbox(&fake)).await.unwrap();
    assert_eq!(picture.cis.len(), 5);
    assert_eq!(
        picture.cis[3].name, "Device 3",
        "a device without a name has one to show"
    );
    let asked = fake.asked();
    assert!(
        asked
            .iter()
            .all(|one| one.headers["authorization"] == SECRET)
    );
    let first = &asked[0];
    assert_eq!(
        (first.path.as_str(), first.query["ordering"].as_str()),
        ("/api/dcim/devices/", "id")
    );
    let api = base(&fake).join("api/").unwrap();
    let below = netbox::fetch::Fetch::new(api, &[], BTreeSet::new());
    assert_eq!(converse(&fake, below).await.unwrap().cis.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_page_on_another_host_gets_neither_a_request_nor_the_token() {
    let stranger = Fake::start(devices).await;
    let elsewhere = stranger.url();
    let fake = Fake::start(move |asked| {
        let mut told = devices(asked);
        told.body = told.body.replace(&asked.origin, &elsewhere);
        told
    })
    .await;
    let error = converse(&fake, netbox(&fake))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("not asked") && error.contains("dcim/devices"),
        "{error}"
    );
    assert_eq!(stranger.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_gives_no_picture() {
    for status in [500, 403, 302, 200] {
        let fake = Fake::start(move |asked| match asked.number("offset", 0) {
            0 => devices(asked),
            _ => {
                Told::status(status, "<html>oops</html>").with("location", "https://login.example/")
            }
        })
        .await;
        let error = converse(&fake, netbox(&fake))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("dcim/devices"), "{status}: {error}");
    }
    // Also when it is a later list.
    let fake = Fake::start(|asked| match asked.path.as_str() {
        "/api/ipam/services/" => Told::status(500, "oops"),
        _ => devices(asked),
    })
    .await;
    assert!(converse(&fake, netbox(&fake)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_moved_between_pages_are_noticed() {
    // One device was added in front while we read, so that the second page begins with what the first one ended with.
    let moved = |asked: &Asked| {
        let mut told = devices(asked);
        if asked.path == "/api/dcim/devices/" && asked.number("offset", 0) == 2 {
            told.body = told.body.replace("\"id\":3", "\"id\":2");
        }
        told
    };
    let fake = Fake::start(moved).await;
    let error = converse(&fake, netbox(&fake))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("changed while it was read"), "{error}");
    // The same page twice would go on for ever.
    let fake = Fake::start(|asked| {
        let mut told = devices(asked);
        told.body = told.body.replace("offset=4", "offset=2");
        told
    })
    .await;
    let error = converse(&fake, netbox(&fake))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("twice"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_there_before_does_not_just_disappear() {
    let without_racks = |asked: &Asked| match asked.path.as_str() {
        "/api/dcim/racks/" => Told::status(404, "{\"detail\": \"Not found.\"}"),
        _ => devices(asked),
    };
    let fake = Fake::start(without_racks).await;
    assert_eq!(
        converse(&fake, netbox(&fake)).await.unwrap().cis.len(),
        5,
        "an older version has fewer lists"
    );
    let known = BTreeSet::from(["dcim/racks".to_owned()]);
    let again = netbox::fetch::Fetch::new(base(&fake), &[], known);
    let error = converse(&fake, again).await.unwrap_err().to_string();
    assert!(error.contains("dcim/racks"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_and_a_refusing_one_is_not() {
    let tries = AtomicUsize::new(0);
    let fake = Fake::start(move |asked| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Told::status(429, "slow down").with("retry-after", "0"),
        1 => Told::status(503, "restarting"),
        _ => devices(asked),
    })
    .await;
    assert_eq!(converse(&fake, netbox(&fake)).await.unwrap().cis.len(), 5);
    let fake = Fake::start(|_| Told::status(429, "no").with("retry-after", "86400")).await;
    let error = converse(&fake, netbox(&fake))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("429") && fake.asked().len() == 1, "{error}");
    let fake = Fake::start(|_| Told::status(503, "down")).await;
    assert!(converse(&fake, netbox(&fake)).await.is_err());
    assert_eq!(fake.asked().len(), 4, "once and three times again");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_need_the_operators_word() {
    let fake = Fake::start(devices).await;
    base(&fake);
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let url = Url::parse(&format!("http://{host}:{}", fake.address.port())).unwrap();
        let setup = EgressSetup {
            base: url.clone(),
            secrets: Vec::new(),
            allow_private: false,
            pause: Duration::from_millis(1),
        };
        let mut conversation = netbox::fetch::Fetch::new(url, &[], BTreeSet::new());
        let egress = Egress::new(setup).unwrap();
        let error = egress
            .converse(&mut conversation, &|_| {})
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("allow_private is false"), "{host}: {error}");
    }
    assert_eq!(fake.asked().len(), 0);
}

/// Five items in pages of `size`, then two relations, one of which lacks its parent.
fn table(asked: &Asked, size: usize) -> Told {
    let rows: Vec<Value> = match asked.path.as_str() {
        "/api/now/table/cmdb_ci" => (0..5)
            .map(|index| json!({"sys_id": format!("{index:032x}"), "name": format!("ci{index}"), "sys_class_name": "cmdb_ci_server", "location": ""}))
            .collect(),
        "/api/now/table/cmdb_ci_service" => vec![
            json!({"sys_id": format!("{:032x}", 4), "sys_class_name": "cmdb_ci_service", "busines_criticality": "1 - most critical"}),
        ],
        "/api/now/table/cmdb_rel_ci" => vec![
            json!({"sys_id": "r1", "parent": {"value": format!("{:032x}", 4)}, "child": {"value": format!("{:032x}", 0)}, "type": {"display_value": "Depends on::Used by", "value": "t"}}),
            json!({"sys_id": "r2", "parent": "", "child": {"value": format!("{:032x}", 0)}, "type": ""}),
        ],
        _ => return Told::status(404, "{\"error\":{\"message\":\"Invalid table\"},\"status\":\"failure\"}"),
    };
    let offset = asked.number("sysparm_offset", 0);
    let page: Vec<&Value> = rows.iter().skip(offset).take(size).collect();
    Told::json(&json!({"result": page})).with("x-total-count", rows.len().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_is_read_in_pages_of_any_size() {
    for size in [1, 2, 3, 1_000] {
        let fake = Fake::start(move |asked| table(asked, size)).await;
        let picture = converse(&fake, servicenow(&fake)).await.unwrap();
        assert_eq!(picture.cis.len(), 5, "{size}");
        let service = &picture.cis[4];
        assert_eq!(
            (service.class.as_str(), service.criticality),
            ("service", Some(1))
        );
        assert_eq!(
            service.name, "ci4",
            "the special table adds to what the general one says"
        );
        assert_eq!((picture.relations.len(), picture.problems.len()), (1, 1));
        let asked = fake.asked();
        assert!(
            asked
                .iter()
                .all(|one| one.query["sysparm_query"].ends_with("ORDERBYsys_id"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_without_a_total_ends_with_an_empty_page() {
    let fake = Fake::start(|asked| {
        let mut told = table(asked, 2);
        told.headers.clear();
        told
    })
    .await;
    assert_eq!(
        converse(&fake, servicenow(&fake)).await.unwrap().cis.len(),
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_pages_that_overlap_are_merged_or_refused() {
    // Each page begins with the last row of the one before, and no row is missing in the end.
    let overlapping = |asked: &Asked| {
        let rows: Vec<Value> = (0..5)
            .map(|index| json!({"sys_id": format!("{index}"), "name": "x"}))
            .collect();
        if asked.path != "/api/now/table/cmdb_ci" {
            return Told::json(&json!({"result": []})).with("x-total-count", "0");
        }
        let offset = asked.number("sysparm_offset", 0);
        let start = offset.saturating_sub(usize::from(offset > 0));
        let page: Vec<&Value> = rows.iter().skip(start).take(3).collect();
        Told::json(&json!({"result": page})).with("x-total-count", "5")
    };
    let fake = Fake::start(overlapping).await;
    assert_eq!(
        ids(&converse(&fake, servicenow(&fake)).await.unwrap()),
        ["0", "1", "2", "3", "4"]
    );
    // The same, but the last row is never shown.
    let fake = Fake::start(move |asked| {
        let mut told = overlapping(asked);
        told.body = told.body.replace("\"sys_id\":\"4\"", "\"sys_id\":\"3\"");
        told
    })
    .await;
    let error = converse(&fake, servicenow(&fake))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("changed while it was read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_failing_in_the_middle_gives_no_picture() {
    for place in ["/api/now/table/cmdb_ci", "/api/now/table/cmdb_rel_ci"] {
        let fake = Fake::start(move |asked| {
            if asked.path == place && asked.number("sysparm_offset", 0) > 0 {
                return Told::status(
                    500,
                    "{\"error\":{\"message\":\"Transaction cancelled\"},\"status\":\"failure\"}",
                );
            }
            table(asked, 1)
        })
        .await;
        let error = converse(&fake, servicenow(&fake))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("500") && error.contains("cmdb_"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn itop_errors_come_with_status_200_and_are_seen() {
    let fake = Fake::start(|asked| {
        assert_eq!(asked.path, "/webservices/rest.php");
        let form: Vec<_> = url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
        let data: Value = serde_json::from_str(&form[0].1).unwrap();
        if data["operation"] == "core/get" {
            let objects = json!({"Server::1": {"class": "Server", "key": "1", "fields": {"name": "a"}},
                "ApplicationSolution::2": {"class": "ApplicationSolution", "key": 2, "fields": {"name": "b"}}});
            Told::json(&json!({"code": 0, "message": "Found: 2", "objects": objects}))
        } else {
            Told::json(&json!({"code": 0, "relations": {"Server::1": [{"key": "ApplicationSolution::2"}]}}))
        }
    })
    .await;
    let picture = converse(&fake, itop::fetch::Fetch::new(base(&fake), None))
        .await
        .unwrap();
    assert_eq!(ids(&picture), ["ApplicationSolution::2", "Server::1"]);
    assert_eq!(
        (
            picture.relations[0].from.as_str(),
            picture.relations[0].to.as_str()
        ),
        ("ApplicationSolution::2", "Server::1")
    );
    let fake =
        Fake::start(|_| Told::json(&json!({"code": 1, "message": "Error: Invalid login"}))).await;
    let error = converse(&fake, itop::fetch::Fetch::new(base(&fake), None))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Invalid login"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn glpi_opens_a_session_reads_ranges_and_closes_it() {
    let fake = Fake::start(|asked| {
        let path = asked.path.strip_prefix("/apirest.php/").unwrap();
        if path != "initSession" {
            assert_eq!(asked.headers["session-token"], "s1");
            assert!(!asked.headers.contains_key("authorization"));
        }
        let start: usize = asked
            .query
            .get("range")
            .map_or(0, |range| range.split('-').next().unwrap().parse().unwrap());
        match path {
            "initSession" => Told::json(&json!({"session_token": "s1"})),
            "Computer" if start < 3 => {
                let rows = json!([{"id": start + 1, "name": format!("pc{start}")}]);
                let status = if start < 2 { 206 } else { 200 };
                Told {
                    status,
                    ..Told::json(&rows).with("content-range", format!("{start}-{start}/3"))
                }
            }
            "killSession" => Told::status(200, ""),
            "PDU" => Told::status(
                400,
                "[\"ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM\", \"no such type\"]",
            ),
            "Enclosure" => Told::status(400, "[\"ERROR_RANGE_EXCEED_TOTAL\", \"x\"]"),
            _ => Told::json(&json!([])),
        }
    })
    .await;
    let picture = converse(
        &fake,
        glpi::fetch::Fetch::new(base(&fake), Vec::new(), None),
    )
    .await
    .unwrap();
    assert_eq!(ids(&picture), ["Computer:1", "Computer:2", "Computer:3"]);
    assert_eq!(
        fake.asked().last().unwrap().path,
        "/apirest.php/killSession"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_kubernetes_that_expired_starts_again() {
    let expired = AtomicUsize::new(0);
    let fake = Fake::start(move |asked| {
        let pod = |name: &str| json!({"metadata": {"name": name, "namespace": "n", "uid": name}});
        match (asked.path.as_str(), asked.query.get("continue")) {
            ("/api/v1/pods", None) => {
                Told::json(&json!({"kind": "PodList", "metadata": {"continue": "c1"}, "items": [pod("a"), pod("b")]}))
            }
            ("/api/v1/pods", Some(_)) if expired.fetch_add(1, Ordering::SeqCst) == 0 => Told::status(410, "{\"code\": 410}"),
            ("/api/v1/pods", Some(_)) => Told::json(&json!({"kind": "PodList", "metadata": {}, "items": [pod("c")]})),
            (path, _) => Told::json(&json!({"kind": format!("{path}List"), "metadata": {}, "items": []})),
        }
    })
    .await;
    let picture = converse(&fake, kubernetes::fetch::Fetch::new(base(&fake)))
        .await
        .unwrap();
    assert_eq!(ids(&picture), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_of_prometheus_are_one_document() {
    let fake = Fake::start(|asked| {
        assert_eq!(asked.path, "/api/v1/targets");
        Told::json(&json!({"status": "success", "data": {"activeTargets": [{"labels": {"job": "n", "instance": "h:1"}}]}}))
    })
    .await;
    let format = find("prometheus").unwrap();
    let url = base(&fake).join("/api/v1/targets").unwrap();
    let picture = converse(&fake, plain::Fetch::new(format, url.clone()))
        .await
        .unwrap();
    assert_eq!(ids(&picture), ["n/h:1", "host:h"]);
    let fake = Fake::start(|_| Told::status(200, "")).await;
    let empty = plain::Fetch::new(format, base(&fake));
    assert!(
        converse(&fake, empty).await.is_err(),
        "an empty answer is no empty inventory"
    );
}
