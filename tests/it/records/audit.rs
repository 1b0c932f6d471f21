//! The audit: everything that people and programs do is in it, and nobody changes it unnoticed.

use serde_json::{Value, json};

use super::{done, fire, home, shop};
use crate::support::database::{TestStore, execute, on_both_engines};

on_both_engines!(what_is_done_is_told_and_cannot_be_changed_unseen);

#[expect(clippy::too_many_lines, reason = "a timeline reads best in one piece")]
async fn what_is_done_is_told_and_cannot_be_changed_unseen(store: TestStore) {
    let home = home(&store, "");
    let mut daemon = home.start().await;
    shop(&daemon).await;
    fire(&daemon, "HostDown", "web1").await;
    daemon.incident("the incident", |_| true).await;
    let path = "/api/v1/incidents/INC-1";
    done(&daemon, &format!("{path}/acknowledge"), json!({})).await;
    done(
        &daemon,
        &format!("{path}/hold"),
        json!({"reason": "a part is on its way"}),
    )
    .await;
    let refused = daemon
        .post(&format!("{path}/hold"), &json!({"reason": "again"}))
        .await;
    assert_eq!(refused.status.as_u16(), 409);
    done(
        &daemon,
        "/api/v1/changes",
        json!({"summary": "New firmware", "ci": "sw1"}),
    )
    .await;
    done(
        &daemon,
        "/api/v1/silences",
        json!({"matchers": ["a=b"], "duration_s": 60, "comment": "disks are swapped"}),
    )
    .await;
    done(
        &daemon,
        "/api/v1/tokens",
        json!({"name": "ci", "role": "viewer"}),
    )
    .await;
    home.configure(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"{}\"\n[incident]\nrecover_after = \"7m\"\n",
        store.url
    ));
    daemon.reload().await;
    home.token("viewer");

    let rows = crate::support::process::eventually("the rows", async || {
        let rows = daemon.list("/api/v1/audit?sort=id").await;
        (rows.len() == 9).then_some(rows)
    })
    .await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["subject"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        &told[..5],
        [
            ("cmdb.import", "test"),
            ("incident.acknowledge", "INC-1"),
            ("incident.hold", "INC-1"),
            ("incident.hold", "INC-1"),
            ("change.put", "CHG-1"),
        ]
    );
    let actions: Vec<_> = told[5..].iter().map(|(action, _)| *action).collect();
    assert_eq!(
        actions,
        [
            "silence.make",
            "token.create",
            "configuration.reload",
            "token.create"
        ]
    );
    let hold = &rows[2];
    assert_eq!(hold["before"], json!({"state": "acknowledged"}), "{hold}");
    assert_eq!(hold["after"], json!({"state": "on_hold"}));
    assert_eq!(
        (&hold["why"], &hold["actor"]),
        (&json!("a part is on its way"), &json!("local"))
    );
    assert_eq!(rows[3]["after"], json!({"refused": "already_on_hold"}));
    let reload = rows[7].to_string();
    assert!(reload.contains("recover_after: 420000ms"), "{reload}");
    assert_eq!(
        daemon
            .list("/api/v1/audit?subject=INC-1&actor=local")
            .await
            .len(),
        3
    );
    let state = daemon.get("/api/v1/audit/verify").await.ok();
    assert_eq!(
        (&state["intact"], &state["rows"]),
        (&json!(true), &json!(9))
    );

    let verify = || {
        let output = home.run(&["audit", "verify", "--config", "w.toml"]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, said) = verify();
    assert_eq!(code, Some(0), "{said}");
    let head = format!("9:{}", state["hash"].as_str().unwrap());
    let output = home.run(&["audit", "verify", "--head", &head, "--config", "w.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed = home.run(&[
        "audit",
        "list",
        "--subject",
        "INC-1",
        "--output",
        "json",
        "--config",
        "w.toml",
    ]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    daemon.stop().await;

    let db = store.open().await;
    let mut conn = db.connect().await.unwrap();
    execute(conn.lend(), "UPDATE audit SET actor = 'eve' WHERE id = 3").await;
    let (code, said) = verify();
    assert_eq!(code, Some(1));
    assert!(said.contains("broken at row 3"), "{said}");
    execute(conn.lend(), "UPDATE audit SET actor = 'local' WHERE id = 3").await;
    assert_eq!(verify().0, Some(0));
    execute(conn.lend(), "DELETE FROM audit WHERE id = 9").await;
    let (code, said) = verify();
    assert_eq!(code, Some(1));
    assert!(said.contains("broken at row 9"), "{said}");
    let output = home.run(&["audit", "verify", "--head", "4:00", "--config", "w.toml"]);
    assert_eq!(output.status.code(), Some(1));
}
