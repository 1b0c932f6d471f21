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

#[tokio::test(flavor = "multi_thread")]
async fn command_gains_privileges_only_where_the_operator_says_so() {
    // A program with more rights than its caller would have them only with 0.
    let command = |flag: u8| {
        format!(
            "command = [\"/bin/grep\", \"-q\", \"NoNewPrivs:.{flag}\", \"/proc/self/status\"]\n"
        )
    };
    let home = Home::new(&format!(
        "{LISTEN}[[target]]\nname = \"tight\"\nkind = \"command\"\n{}\
         [[target]]\nname = \"loose\"\nkind = \"command\"\nnew_privileges = true\n{}",
        command(1),
        command(0),
    ));
    for name in ["tight", "loose"] {
        let ran = home.run(&["send-test", name, "--config", "w.toml"]);
        assert!(ran.status.success(), "{name}: {ran:?}");
    }
}

const ROUTES: &str = "[[target]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"https://chat.example/x\"\n\
    [[target]]\nname = \"lonely\"\nkind = \"slack\"\nurl = \"https://chat.example/y\"\n\
    [[person]]\nname = \"ana\"\ntargets = [\"chat\"]\n[[schedule]]\nname = \"rota\"\nmembers = [\"ana\"]\n\
    [[team]]\nname = \"net\"\nschedule = \"rota\"\n\
    [[route]]\nname = \"switches\"\nwhen = \"incident.root_cause.ci.class == 'switch' and labels.site == 'berlin'\"\nteam = \"net\"\n\
    [[route]]\nwhen = \"incident.priority == 'P1'\"\ntargets = [\"chat\"]\n";

#[test]
fn routes_are_tried_without_a_daemon_and_say_whom_they_reach() {
    let home = Home::new(&format!("{LISTEN}{ROUTES}").replace(":0\"", ":9\""));
    let tried = |arguments: &[&str], input: &str| {
        let mut command = home.command(env!("CARGO_BIN_EXE_watchbell"));
        let file = home.path("input.json");
        std::fs::write(&file, input).unwrap();
        command.args(["route", "try", "--config", "w.toml"]);
        command
            .args(arguments)
            .stdin(std::fs::File::open(&file).unwrap());
        let ran = command.output().unwrap();
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        (ran.status.code(), said)
    };
    let (code, said) = tried(&["priority=P1"], "");
    assert_eq!(code, Some(1), "a label is no priority: {said}");
    let (code, said) = tried(&["--priority", "P1"], "");
    assert!(
        code == Some(0) && said.contains("tells      chat"),
        "{said}"
    );
    assert!(said.contains("no daemon answers"), "{said}");
    let incident = r#"{"number": "INC-7", "priority": "P3", "labels": {"site": "berlin"},
        "root_cause": {"ci": {"id": "sw1", "name": "sw1", "class": "switch"}}}"#;
    for (arguments, input) in [
        (&["--offline"][..], incident),
        (
            &["-"],
            r#"{"ci": {"id": "sw1", "class": "switch"}, "labels": {"site": "berlin"}}"#,
        ),
        (
            &[],
            r#"{"alerts": [{"labels": {"site": "berlin"}, "ci": {"id": "sw1", "class": "switch"}}]}"#,
        ),
    ] {
        let (code, said) = tried(arguments, input);
        assert_eq!(code, Some(0), "{input}: {said}");
        for part in ["switches", "team net", "ana"] {
            assert!(said.contains(part), "no {part} of {input}: {said}");
        }
    }
    let (code, said) = tried(&["INC-7"], "");
    assert_eq!(code, Some(3), "{said}");
}

#[test]
fn check_names_who_is_told_and_who_never_is() {
    let home = Home::new(&format!("{LISTEN}{ROUTES}"));
    let ran = home.run(&["check", "--config", "w.toml"]);
    let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
    assert!(ran.status.success(), "{said}");
    let one_line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "chat (slack)",
        "-> team net",
        "rota: ana",
        "leads to target lonely: it is never told",
    ] {
        assert!(one_line.contains(part), "no {part:?}: {said}");
    }
}

/// What a command starts ends with it, and what it says is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn command_is_confined_and_takes_its_children_with_it() {
    let home = Home::new("");
    let script = home.path("page.sh");
    let text =
        "#!/bin/sh\nsleep 600 &\necho $! > child\nenv > seen\nyes | head -c 50000000\nsleep 600\n";
    std::fs::write(&script, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    home.configure(&format!(
        "{LISTEN}[store]\nurl = \"sqlite:state/w.db\"\n[[target]]\nname = \"page\"\nkind = \"command\"\ncommand = [\"{}\"]\ntimeout = \"2s\"\n",
        script.display()
    ));
    let ran = home.run(&["send-test", "page", "--config", "w.toml"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stdout.len() < 100_000, "{}", ran.stdout.len());
    let folder = home.path("state/commands/page");
    let child = std::fs::read_to_string(folder.join("child")).unwrap();
    let child = format!("/proc/{}/cmdline", child.trim());
    crate::support::process::eventually("the end of what it started", async || {
        let left = std::fs::read_to_string(&child).unwrap_or_default();
        left.is_empty().then_some(())
    })
    .await;
    let seen = std::fs::read_to_string(folder.join("seen")).unwrap();
    assert!(seen.contains("WATCHBELL_EVENT=watchbell.test"), "{seen}");
    assert!(!seen.contains("CARGO"), "{seen}");
}
