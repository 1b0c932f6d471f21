//! Real Request Tracker 5 and real Redmine, as `tests/run --real-itsm` starts them; left out where they are not there.
//!
//! They prove that the method is right, and not only the fakes.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::daemon::{RULES, in_sync, ticket};
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::{say, variable};
use crate::support::process::eventually;

/// One installation, and how a test speaks with it.
struct Real {
    name: &'static str,
    url: String,
    config: String,
    /// Header and value by which the test logs in.
    login: (&'static str, String),
    words: Words,
}

/// What it calls things.
struct Words {
    started: &'static str,
    held: &'static str,
    resolved: &'static str,
}

fn connector(name: &str, url: &str, rest: &str) -> String {
    format!(
        "{LISTEN}{RULES}[[connector]]\nname = \"snow\"\nprofile = \"{name}\"\nurl = \"{url}\"\n{rest}\n\
         allow_private = true\npoll_every = \"2s\"\ntimeout = \"30s\"\n"
    )
}

impl Real {
    fn request_tracker() -> Option<Self> {
        let url = variable("WATCHBELL_TEST_RT")?;
        let rest =
            "auth = { user = \"root\", password = \"password\" }\nset = { key_field = \"Key\" }";
        Some(Self {
            name: "request-tracker",
            config: connector("request-tracker", &url, rest),
            url,
            login: ("Authorization", "Basic cm9vdDpwYXNzd29yZA==".to_owned()),
            words: Words {
                started: "open",
                held: "stalled",
                resolved: "resolved",
            },
        })
    }

    fn redmine() -> Option<Self> {
        let url = variable("WATCHBELL_TEST_REDMINE")?;
        let key = variable("WATCHBELL_TEST_REDMINE_KEY")?;
        let rest = format!(
            "auth = {{ token = \"{key}\" }}\nset = {{ project_id = 1, key_field = 1, tracker_id = 1 }}"
        );
        Some(Self {
            name: "redmine",
            config: connector("redmine", &url, &rest),
            url,
            login: ("X-Redmine-API-Key", key),
            words: Words {
                started: "2",
                held: "4",
                resolved: "3",
            },
        })
    }

    fn is_tracker(&self) -> bool {
        self.name == "request-tracker"
    }

    /// What the installation answers to a person.
    async fn ask(&self, daemon: &Daemon, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.url);
        let mut request = daemon.client.request(method, url);
        request = request.header(self.login.0, &self.login.1);
        if !body.is_null() {
            request = request.json(body);
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn place(&self, number: &str) -> String {
        let id = number.trim_start_matches('#');
        if self.is_tracker() {
            format!("/REST/2.0/ticket/{id}")
        } else {
            format!("/issues/{id}.json?include=journals")
        }
    }

    async fn status(&self, daemon: &Daemon, number: &str) -> String {
        let place = self.place(number);
        let record = self.ask(daemon, Method::GET, &place, &Value::Null).await;
        if self.is_tracker() {
            record["Status"].as_str().unwrap_or_default().to_owned()
        } else {
            record["issue"]["status"]["id"].to_string()
        }
    }

    async fn notes(&self, daemon: &Daemon, number: &str) -> String {
        let place = if self.is_tracker() {
            format!(
                "{}/attachments?fields=Content&per_page=100",
                self.place(number)
            )
        } else {
            self.place(number)
        };
        let notes = self.ask(daemon, Method::GET, &place, &Value::Null).await;
        notes.to_string()
    }

    /// A person changes the status, and says something.
    async fn edit(&self, daemon: &Daemon, number: &str, status: &str, note: &str) {
        let place = self.place(number);
        if self.is_tracker() {
            let body = json!({"Status": status});
            self.ask(daemon, Method::PUT, &place, &body).await;
            let body = json!({"Content": note, "ContentType": "text/plain"});
            let comment = format!("{place}/comment");
            self.ask(daemon, Method::POST, &comment, &body).await;
        } else {
            let status: i64 = status.parse().unwrap();
            let body = json!({"issue": {"status_id": status, "notes": note}});
            self.ask(daemon, Method::PUT, &place, &body).await;
        }
    }

    /// Tickets with this key.
    async fn count(&self, daemon: &Daemon, key: &str) -> i64 {
        let (place, field) = if self.is_tracker() {
            let query = format!("/REST/2.0/tickets?query='CF.%7BKey%7D'='{key}'");
            (query, "count")
        } else {
            (
                format!("/issues.json?status_id=*&cf_1={key}"),
                "total_count",
            )
        };
        let found = self.ask(daemon, Method::GET, &place, &Value::Null).await;
        found[field].as_i64().unwrap()
    }

    /// Made, worked on, answered by a person, resolved; and one whose create was cut off by a kill.
    async fn life(&self) {
        let home = Home::new(&self.config);
        let mut daemon = home.start().await;
        daemon.alert("DiskFull", "firing").await;
        let incident = ticket(&daemon, "ticket", in_sync).await;
        let number = incident["tickets"][0]["id"].as_str().unwrap().to_owned();
        let ours = incident["number"].as_str().unwrap().to_owned();
        let path = |command: &str| format!("/api/v1/incidents/{ours}/{command}");
        daemon.post(&path("start"), &json!({})).await.ok();
        let note = json!({"text": "looking at <it> & more"});
        daemon.post(&path("notes"), &note).await.ok();
        self.reaches(&daemon, &number, self.words.started).await;
        eventually("the note there", async || {
            let notes = self.notes(&daemon, &number).await;
            (notes.matches("looking at").count() == 1).then_some(())
        })
        .await;
        daemon
            .post(&path("hold"), &json!({"reason": "vendor"}))
            .await
            .ok();
        self.reaches(&daemon, &number, self.words.held).await;
        ticket(&daemon, "in step on hold", in_sync).await;

        self.edit(&daemon, &number, self.words.started, "they wrote this")
            .await;
        daemon
            .incident("goes on", |it| it["state"] == "in_progress")
            .await;
        eventually("their note here", async || {
            let entries = daemon.list(&path("timeline?limit=500")).await;
            let theirs = entries.iter().filter(|it| it["note"] == "they wrote this");
            (theirs.count() == 1).then_some(())
        })
        .await;
        daemon.alert("DiskFull", "resolved").await;
        self.reaches(&daemon, &number, self.words.resolved).await;
        ticket(&daemon, "in step at the end", in_sync).await;

        daemon
            .ingest(crate::support::daemon::message("Second", "firing"))
            .await;
        daemon.process.signal(Signal::KILL);
        daemon.process.ended().await;
        let daemon = home.start().await;
        let key = eventually("the second ticket", async || {
            let tickets = daemon.get("/api/v1/incidents/INC-2/tickets").await;
            let one = tickets.ok().get(0)?.clone();
            in_sync(&one).then(|| one["key"].as_str().unwrap().to_owned())
        })
        .await;
        assert_eq!(self.count(&daemon, &key).await, 1, "one ticket of the key");
        daemon.stop().await;
    }

    async fn reaches(&self, daemon: &Daemon, number: &str, status: &str) {
        eventually("the status there", async || {
            (self.status(daemon, number).await == status).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_request_tracker_is_kept_in_step() {
    match Real::request_tracker() {
        Some(real) => real.life().await,
        None => say("skipped: no Request Tracker; tests/run --real-itsm starts one"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_redmine_is_kept_in_step() {
    match Real::redmine() {
        Some(real) => real.life().await,
        None => say("skipped: no Redmine; tests/run --real-itsm starts one"),
    }
}
