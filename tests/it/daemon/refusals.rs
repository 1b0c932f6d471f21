//! Why it does not start: the exit code, and a text that says what, where and what to do.

use std::net::TcpListener;

use super::{AM, config};
use crate::support::daemon::{Home, LISTEN};

/// Asserts the exit code and the words of the last lines.
async fn refused(config: &str, code: i32, words: &[&str]) {
    let (exit, said) = Home::new(config).refused().await;
    assert_eq!(exit, Some(code), "{said}");
    for words in words {
        assert!(said.contains(words), "no {words:?} in:\n{said}");
    }
}

#[tokio::test]
async fn every_error_of_the_configuration_is_told_at_once_with_place_and_hint() {
    let bad = "[server]\nlisten = \"127.0.0.1:0\"\nbody_maxx = \"1MiB\"\n[incident]\nrecover_after = \"5 parsecs\"\n";
    refused(
        bad,
        1,
        &[
            "the configuration cannot be used",
            "w.toml:3:1: server.body_maxx",
            "hint: did you mean `body_max`?",
            "w.toml:5:17: incident.recover_after",
        ],
    )
    .await;
    refused("[server\n", 1, &["w.toml:1:"]).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_another_matter() {
    let home = Home::new("");
    std::fs::remove_file(home.path("w.toml")).unwrap();
    let (exit, said) = home.refused().await;
    assert_eq!(exit, Some(3), "{said}");
    assert!(said.contains("w.toml"), "{said}");
}

#[tokio::test]
async fn other_machines_are_not_let_in_without_authentication() {
    refused(
        "[server]\nlisten = \"0.0.0.0:0\"\n",
        1,
        &[
            "0.0.0.0:0 is reachable from other machines, but no authentication is on",
            "hint: set required = true under [auth]",
        ],
    )
    .await;
    refused(
        &format!("[server]\nlisten = \"0.0.0.0:0\"\n[auth]\nrequired = true\n{AM}"),
        1,
        &["source \"am\" has no token", "hint: give the source token"],
    )
    .await;
}

#[tokio::test]
async fn a_port_in_use_is_named_and_nothing_is_left_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new(&format!("[server]\nlisten = \"{address}\"\n{AM}"));
    let (exit, said) = home.refused().await;
    assert_eq!(exit, Some(3), "{said}");
    let words = format!("cannot listen on {address}: Address already in use");
    assert!(said.contains(&words), "{said}");
    let next = "; stop the program that listens there, or set [server] listen to another address";
    assert!(said.contains(next), "{said}");
    home.configure(&config(""));
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_store_in_use_or_out_of_reach_is_named() {
    let home = Home::new(&config(""));
    let daemon = home.start().await;
    let (exit, said) = home.refused().await;
    assert_eq!(exit, Some(3), "{said}");
    assert!(
        said.contains("another Watchbell is running on data/watchbell.db; stop it first"),
        "{said}"
    );
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    let store = home.path("data/watchbell.db");
    let (soft, hard) = (
        home.path("elsewhere/soft.db"),
        home.path("elsewhere/hard.db"),
    );
    std::os::unix::fs::symlink(&store, &soft).unwrap();
    std::fs::hard_link(&store, &hard).unwrap();
    for name in [soft, hard] {
        let by_another_name = format!("[store]\nurl = \"sqlite:{}\"", name.display());
        home.configure(&config(&by_another_name));
        let (exit, said) = home.refused().await;
        assert_eq!(exit, Some(3), "{said}");
        assert!(said.contains("another Watchbell is running on"), "{said}");
    }
    daemon.alert("Disk", "firing").await;

    let nowhere = "[store]\nurl = \"sqlite:/proc/nowhere/w.db\"";
    refused(&config(nowhere), 3, &["/proc/nowhere"]).await;
    let nobody =
        "[store]\nurl = \"postgres://watchbell@127.0.0.1:1/w\"\npassword = \"canary-password\"";
    let (exit, said) = Home::new(&config(nobody)).refused().await;
    assert_eq!(exit, Some(3), "{said}");
    let words = "the database of [store] url cannot be reached: ";
    assert!(said.contains(words), "{said}");
    assert!(!said.contains("canary-password"), "{said}");
}

#[tokio::test]
async fn files_of_tls_are_named() {
    let tls = "tls = { cert = \"no.pem\", key = \"no.key\" }";
    refused(&format!("{LISTEN}{tls}\n{AM}"), 1, &["no.pem", "w.toml:3:"]).await;
    let home = Home::new(&format!("{LISTEN}{tls}\n{AM}"));
    for file in ["no.pem", "no.key"] {
        std::fs::write(home.path(file), "nothing").unwrap();
    }
    let (exit, said) = home.refused().await;
    assert_eq!(exit, Some(3), "{said}");
    assert!(
        said.contains("no.pem holds no usable certificate"),
        "{said}"
    );
}
