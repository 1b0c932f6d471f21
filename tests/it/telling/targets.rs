//! Every kind of target is sent a test by the real program: what is sent can be read, and no secret is shown.

use super::hook::{Hook, Manner};
use crate::support::daemon::{Home, LISTEN};

/// Kinds that are only HTTP, with what each needs besides the address.
const KINDS: [(&str, &str); 13] = [
    ("slack", ""),
    ("teams", ""),
    ("mattermost", ""),
    ("rocketchat", ""),
    ("discord", ""),
    ("telegram", "token = \"s3cr3t-t0ken\"\nto = \"42\"\n"),
    ("ntfy", "to = \"ops\"\n"),
    ("gotify", "token = \"s3cr3t-t0ken\"\n"),
    ("pushover", "token = \"s3cr3t-t0ken\"\nto = \"group\"\n"),
    (
        "matrix",
        "token = \"s3cr3t-t0ken\"\nto = \"!room:example\"\n",
    ),
    ("pagerduty", "token = \"s3cr3t-t0ken\"\n"),
    ("opsgenie", "token = \"s3cr3t-t0ken\"\n"),
    ("alertmanager", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_http_kind_sends_what_can_be_read_and_shows_no_secret() {
    let hook = Hook::start([]).await;
    let mut config = LISTEN.to_owned();
    for (kind, more) in KINDS {
        let url = format!("http://{}", hook.address);
        config.push_str(&format!(
            "[[target]]\nname = \"{kind}\"\nkind = \"{kind}\"\nurl = \"{url}\"\nallow_private = true\n{more}"
        ));
    }
    let home = Home::new(&config);
    for (index, (kind, _)) in KINDS.into_iter().enumerate() {
        let ran = home.run(&["send-test", kind, "--config", "w.toml"]);
        let said = String::from_utf8(ran.stdout).unwrap();
        assert!(
            ran.status.success(),
            "{kind}: {said}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        assert!(!said.contains("s3cr3t-t0ken"), "{kind}: {said}");
        let heard = hook.heard();
        assert_eq!(heard.len(), index + 1, "{kind}");
        let body = heard.last().unwrap().json();
        assert!(body.to_string().contains("Watchbell"), "{kind}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn success_with_an_error_inside_is_a_failure() {
    let refusal = "{\"ok\": false, \"error\": \"channel_not_found\"}";
    let hook = Hook::start([Manner::Say(200, "", refusal)]).await;
    let home = Home::new(&format!(
        "{LISTEN}[[target]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"http://{}\"\nallow_private = true\n",
        hook.address
    ));
    let ran = home.run(&["send-test", "chat", "--config", "w.toml"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("channel_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn command_gets_the_message_and_answers_by_its_exit_code() {
    let home = Home::new(&format!(
        "{LISTEN}[[target]]\nname = \"yes\"\nkind = \"command\"\ncommand = [\"/bin/cat\"]\n\
         [[target]]\nname = \"no\"\nkind = \"command\"\ncommand = [\"/bin/false\"]\n"
    ));
    let ran = home.run(&["send-test", "yes", "--config", "w.toml"]);
    assert!(ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stdout).contains("watchbell.test"));
    let ran = home.run(&["send-test", "no", "--config", "w.toml"]);
    assert_eq!(ran.status.code(), Some(1));
}
