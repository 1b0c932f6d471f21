//! Configured imports in the running daemon: they come true, fail without harm, and follow the configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::config;
use crate::support::daemon::{Daemon, Home};
use crate::support::fake::{Asked, Fake, Told};
use crate::support::process::eventually;

/// A NetBox with three devices, which may break in the middle.
async fn netbox(is_broken: Arc<AtomicBool>) -> Fake {
    Fake::start(move |asked: &Asked| {
        if asked.path == "/api/dcim/sites/" && is_broken.load(Ordering::SeqCst) {
            return Told::status(500, "<h1>Server Error</h1>");
        }
        let rows = match asked.path.as_str() {
            "/api/dcim/devices/" => {
                let row = |id: u32| json!({"id": id, "name": format!("sw{id}"), "role": {"slug": "access-switch"}, "status": {"value": "active"}});
                vec![row(1), row(2), row(3)]
            }
            _ => Vec::new(),
        };
        Told::json(&json!({"count": rows.len(), "next": null, "previous": null, "results": rows}))
    })
    .await
}

fn import(url: &str, more: &str) -> String {
    format!(
        "[[cmdb.import]]\nname = \"nb\"\nkind = \"netbox\"\nurl = \"{url}\"\ntoken = \"t0p-secret\"\nevery = \"1s\"\n{more}\n"
    )
}

/// The status of the only import, as soon as it is like this.
async fn status(daemon: &Daemon, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let imports = daemon.list("/api/v1/cmdb/imports/configured").await;
        imports.into_iter().find(|status| is(status))
    })
    .await
}

#[tokio::test]
async fn an_import_comes_true_and_a_later_failure_deletes_nothing() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let fake = netbox(Arc::clone(&is_broken)).await;
    let home = Home::new(&format!("{}{}", config(""), import(&fake.url(), "")));
    let mut daemon = home.start().await;
    let done = status(&daemon, "first import", |status| {
        status["last_success_at"].is_string()
    })
    .await;
    assert_eq!(
        (&done["cis"], &done["last_error"]),
        (&json!(3), &Value::Null)
    );
    assert_eq!(done["kind"], "netbox");
    let ci = daemon.get("/api/v1/cis/netbox:device:2").await.ok();
    assert_eq!(
        (&ci["name"], &ci["class"]),
        (&json!("sw2"), &json!("switch"))
    );
    assert!(
        fake.asked()
            .iter()
            .all(|one| one.headers["authorization"] == "Token t0p-secret")
    );

    is_broken.store(true, Ordering::SeqCst);
    let failed = status(&daemon, "failed import", |status| {
        status["last_error"].is_string()
    })
    .await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(
        error.contains("dcim/sites") && error.contains("500"),
        "{error}"
    );
    assert_eq!(
        failed["last_success_at"].is_string(),
        failed["next_due_at"].is_string()
    );
    assert_eq!(daemon.list("/api/v1/cis").await.len(), 3);

    is_broken.store(false, Ordering::SeqCst);
    status(&daemon, "recovery", |status| status["last_error"].is_null()).await;

    // Without the import in the configuration nobody asks any more, and nothing is deleted.
    home.configure(&config(""));
    daemon.reload().await;
    eventually("no import", async || {
        daemon
            .list("/api/v1/cmdb/imports/configured")
            .await
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(daemon.list("/api/v1/cis").await.len(), 3);
    daemon.stop().await;
}

#[tokio::test]
async fn a_private_address_is_refused_when_the_operator_forbids_it() {
    let fake = netbox(Arc::default()).await;
    let url = fake.url();
    // Without the token, which would be refused over plain HTTP already when the file is checked.
    let config = format!(
        "{}[[cmdb.import]]\nname = \"nb\"\nkind = \"netbox\"\nurl = \"{url}\"\nallow_private = false\n",
        config("")
    );
    let home = Home::new(&config);
    let daemon = home.start().await;
    let failed = status(&daemon, "refused import", |status| {
        status["last_error"].is_string()
    })
    .await;
    assert!(
        failed["last_error"]
            .as_str()
            .unwrap()
            .contains("allow_private is false"),
        "{failed}"
    );
    assert!(fake.asked().is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn files_are_read_again_and_a_missing_one_deletes_nothing() {
    let home = Home::new(&format!(
        "{}[[cmdb.import]]\nname = \"hosts\"\nkind = \"ansible\"\nfile = \"hosts.ini\"\nevery = \"1s\"\n",
        config("")
    ));
    std::fs::write(home.path("hosts.ini"), "[web]\nweb[1:3]\n").unwrap();
    let daemon = home.start().await;
    status(&daemon, "import of a file", |status| status["cis"] == 3).await;
    std::fs::write(home.path("hosts.ini"), "[web]\nweb[1:4]\n").unwrap();
    status(&daemon, "changed file", |status| status["cis"] == 4).await;
    std::fs::remove_file(home.path("hosts.ini")).unwrap();
    let failed = status(&daemon, "missing file", |status| {
        status["last_error"].is_string()
    })
    .await;
    assert!(
        failed["last_error"].as_str().unwrap().contains("hosts.ini"),
        "{failed}"
    );
    assert_eq!(daemon.list("/api/v1/cis").await.len(), 4);
    // Much less than before is held, not believed.
    std::fs::write(home.path("hosts.ini"), "[web]\nweb1\n").unwrap();
    let held = |status: &Value| {
        status["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("delete"))
    };
    status(&daemon, "held import", held).await;
    assert_eq!(daemon.list("/api/v1/cis").await.len(), 4);
    daemon.stop().await;
}
