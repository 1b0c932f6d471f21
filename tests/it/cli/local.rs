//! Commands that need no daemon: check, migrate, backup, completions, man; and the exit codes.

use std::fs;
use std::io::pipe;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use watchbell::cli::settings::newest_schema;
use watchbell::store::Db;

use super::Shell;

#[test]
fn check_tells_what_a_valid_configuration_amounts_to() {
    let shell = Shell::new();
    shell.configure(
        "[server]\nlisten = [\"127.0.0.1:8081\", \"[::1]:8081\"]\n\
         [store]\nurl = \"sqlite:here/w.db\"\n\
         [[source]]\nname = \"am\"\nkind = \"alertmanager\"\ntoken = \"long enough\"\n\
         reconcile = { url = \"http://127.0.0.1:9093\" }\n",
    );
    let expected = "\
The configuration is valid.
files         w.toml
listens on    http://127.0.0.1:8081
listens on    http://[::1]:8081
API           open; only this machine can reach it
store         here/w.db
state folder  here
source        am (alertmanager): POST http://127.0.0.1:8081/ingest/am, with a secret, reconciled
              with http://127.0.0.1:9093
target        none: nobody is told
";
    assert_eq!(shell.good(&["check", "--config", "w.toml"]), expected);
}

#[test]
fn check_shows_every_error_at_once() {
    let shell = Shell::new();
    shell.configure("[server]\nlisten = \"nowhere\"\n[limits]\ninbox_row = 7\n");
    let said = shell.bad(1, &["--config", "w.toml", "check"]);
    assert!(said.contains("w.toml:2:10: server.listen: "), "{said}");
    assert!(said.contains("hint: did you mean `inbox_rows`?"), "{said}");
    assert_eq!(said.matches("w.toml:").count(), 2, "{said}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_another_exit_code() {
    let shell = Shell::new();
    for command in [
        &["check"][..],
        &["serve"],
        &["incidents"],
        &["token", "list"],
    ] {
        let arguments = [command, &["--config", "gone.toml"]].concat();
        let said = shell.bad(3, &arguments);
        assert!(said.contains("gone.toml: cannot read this file"), "{said}");
    }
    shell.configure("[server]\nlisten = 7\n");
    let said = shell.bad(1, &["serve", "--config", "w.toml"]);
    assert!(said.contains("server.listen"), "{said}");
}

#[test]
fn migrate_makes_a_store_once_and_refuses_a_newer_one() {
    let shell = Shell::new();
    let newest = newest_schema();
    assert_eq!(
        shell.good(&["migrate"]),
        format!("made data/watchbell.db with schema {newest}\n")
    );
    let mode = fs::metadata(shell.path("data"))
        .expect("folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "others must not look inside");
    assert_eq!(
        shell.good(&["migrate"]),
        format!("data/watchbell.db has schema {newest} already; nothing to do\n")
    );
    age(&shell, 99);
    for command in [
        &["migrate"][..],
        &["backup", "copy.db"],
        &["token", "create", "--role", "viewer"],
    ] {
        let said = shell.bad(3, command);
        let expected = "watchbell: the store's schema is newer than this release understands; \
                        start the newer release again\n";
        assert_eq!(said, expected, "{command:?}");
    }
}

/// Makes the store look like one of another release.
fn age(shell: &Shell, schema: i64) {
    let url = format!("sqlite:{}", shell.path("data/watchbell.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let db = Db::attach(&url, 1).expect("store");
        let mut conn = db.connect().await.expect("connection");
        let watchbell::store::Conn::Sqlite(conn) = conn.lend() else {
            panic!("not SQLite");
        };
        let done = sqlx::query("UPDATE _sqlx_migrations SET version = $1 WHERE version = $2")
            .bind(schema)
            .bind(newest_schema())
            .execute(conn)
            .await;
        assert_eq!(done.expect("written").rows_affected(), 1);
    });
}

#[test]
fn an_older_store_is_only_changed_when_asked_to() {
    let shell = Shell::new();
    shell.good(&["migrate"]);
    age(&shell, 0);
    let said = shell.bad(3, &["token", "create", "--role", "viewer"]);
    assert!(said.contains("run `watchbell migrate`"), "{said}");
}

#[test]
fn backup_writes_a_store_and_never_over_a_file() {
    let shell = Shell::new();
    let said = shell.bad(3, &["backup", "copy.db"]);
    assert!(said.contains("there is no store at"), "{said}");
    assert!(!shell.path("data").exists(), "a look must not make a store");

    shell.good(&["token", "create", "--role", "viewer", "--name", "kept"]);
    let said = shell.good(&["backup", "copy.db"]);
    assert!(
        said.starts_with("wrote copy.db, ") && said.ends_with(" KiB\n"),
        "{said}"
    );
    assert_eq!(
        shell.bad(3, &["backup", "copy.db"]),
        "watchbell: copy.db exists already; name a new file\n"
    );
    let said = shell.bad(3, &["backup", "nowhere/copy.db"]);
    assert!(said.contains("the folder nowhere does not exist"), "{said}");

    shell.configure("[store]\nurl = \"sqlite:copy.db\"\n");
    let tokens = shell.good(&["token", "list", "--config", "w.toml"]);
    assert!(tokens.contains("kept"), "{tokens}");
}

#[test]
fn completions_and_manual_know_every_command() {
    let shell = Shell::new();
    for kind in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shell.good(&["completions", kind]);
        assert!(script.contains("dead-letters"), "{kind}");
    }
    let page = shell.good(&["man"]);
    for chapter in ["SERVE", "INCIDENT ACK", "TOKEN CREATE", "BENCH INGEST"] {
        let heading = format!(".SH \"WATCHBELL {chapter}\"\n");
        assert!(page.contains(&heading), "{chapter}");
    }
    assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{page}");
    shell.good(&["man", "--dir", "pages"]);
    assert!(shell.path("pages/watchbell.1").exists());
    assert!(shell.path("pages/watchbell-token-create.1").exists());
}

#[test]
fn help_is_no_error_and_nonsense_is_one() {
    let shell = Shell::new();
    let help = shell.good(&["--help"]);
    assert!(
        help.contains("Two minutes to the first incident:"),
        "{help}"
    );
    assert!(shell.good(&["incident", "--help"]).contains("Examples:\n"));
    assert!(shell.good(&["--version"]).starts_with("watchbell "));
    for nonsense in [
        &[][..],
        &["frobnicate"],
        &["incident", "forty-two"],
        &["incident", "42", "assign"],
        &["incidents", "--state", "odd"],
        &["incidents", "--limit", "0"],
        &["incidents", "--all", "--limit", "7"],
        &["explain", "42"],
        &["token", "create", "--role", "root"],
        &["token", "create", "--role", "admin", "--expires", "0s"],
        &["incidents", "--url", "ftp://127.0.0.1"],
        &["incidents", "--url", "http://user:pass@127.0.0.1"],
    ] {
        let said = shell.bad(2, nonsense);
        assert!(!said.is_empty(), "{nonsense:?}");
    }
    let secret = Shell::new().set("WATCHBELL_TOKEN", "canary");
    assert!(!secret.good(&["incidents", "--help"]).contains("canary"));
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let shell = Shell::new();
    for arguments in [
        &["man"][..],
        &["--help"],
        &["completions", "bash"],
        &["check"],
    ] {
        let (reader, writer) = pipe().expect("pipe");
        drop(reader);
        let output = shell
            .command(arguments)
            .stdout(Stdio::from(writer))
            .output()
            .expect("the binary runs");
        let ran = shell.finish(output);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}
