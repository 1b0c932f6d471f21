//! `watchbell token`: what it prints, keeps and refuses.

use watchbell::api_token::{Role, hash, public_id};
use watchbell::token_key;

use super::Shell;

#[test]
fn only_the_token_is_on_stdout_and_only_its_hash_is_kept() {
    let shell = Shell::new();
    let create = ["token", "create", "--role", "responder", "--name", "ana"];
    let ran = shell.run(&create);
    assert_eq!(ran.code, 0, "{ran:?}");
    let token = ran.stdout.trim_end();
    assert!(token.starts_with("wbt_") && token.len() == 47, "{token:?}");
    assert!(!token.contains(char::is_whitespace));

    let key = token_key::load(&shell.path("data"))
        .expect("readable")
        .expect("made");
    let id = public_id(&hash(&key, token));
    let said = format!(
        "{id} responder \"ana\", valid until it is revoked, kept in data/watchbell.db. \
         The token is shown only now:\n"
    );
    assert_eq!(ran.stderr, said);
    let listed = shell.good(&["token", "list"]);
    let row = listed.lines().find(|line| line.starts_with(&id));
    let row: Vec<&str> = row.expect("listed").split_whitespace().collect();
    assert_eq!(
        row[..4],
        [id.as_str(), "ana", Role::Responder.as_str(), "valid"]
    );
    assert_eq!(row.last(), Some(&"never"));
    assert!(!listed.contains("wbt_"), "{listed}");
}

#[test]
fn a_revoked_token_is_void_and_cannot_be_revoked_again() {
    let shell = Shell::new();
    shell.good(&["token", "create", "--role", "viewer", "--expires", "90d"]);
    shell.good(&["token", "create", "--role", "admin"]);
    let listed = shell.good(&["token", "list", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let first = &listed["items"][0];
    assert_eq!(first["role"], "viewer");
    assert!(first["expires_at"].is_string());
    let id = first["id"].as_str().expect("id");
    assert_eq!(
        shell.good(&["token", "revoke", id]),
        format!("{id} is void; a running daemon refuses it within a second\n")
    );
    let again = shell.bad(1, &["token", "revoke", id]);
    assert!(
        again.contains("`watchbell token list` shows the ids"),
        "{again}"
    );
    let states: Vec<String> = shell
        .good(&["token", "list"])
        .lines()
        .skip(1)
        .map(|line| {
            line.split_whitespace()
                .nth(3)
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(states, ["revoked", "valid"]);
}

#[test]
fn secrets_that_only_systemd_has_are_not_needed_to_make_a_token() {
    let shell = Shell::new();
    shell.configure(
        "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\ntoken = { credential = \"am\" }\n",
    );
    shell.bad(1, &["check", "--config", "w.toml"]);
    shell.good(&["token", "create", "--role", "viewer", "--config", "w.toml"]);
    shell.configure("[store]\nurl = \"mysql://x\"\n");
    let said = shell.bad(
        1,
        &["token", "create", "--role", "viewer", "--config", "w.toml"],
    );
    assert!(said.contains("store.url"), "{said}");
}
