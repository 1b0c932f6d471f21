//! The real binary with a folder of its own, and a client that speaks to it as senders and people do.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use reqwest::{Client, RequestBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::Answer;
use crate::support::http::PATIENCE;
use crate::support::process::{Process, eventually};

/// The beginning of every configuration here: a port that the system chooses.
pub(crate) const LISTEN: &str = "[server]\nlisten = \"127.0.0.1:0\"\n";

/// A folder with a configuration and a store, which outlives the daemons that are started in it.
pub(crate) struct Home {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Home {
    /// With a configuration.
    pub(crate) fn new(config: &str) -> Self {
        let home = Self {
            folder: TempDir::new().unwrap(),
            variables: Vec::new(),
        };
        home.configure(config);
        home
    }

    /// With a variable in the environment of everything that is run here.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.path("w.toml"), config).unwrap();
    }

    /// A command in this folder, with nothing else from this process.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of ours to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_watchbell"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Makes a token by the command line.
    pub(crate) fn token(&self, role: &str) -> String {
        let made = self.run(&[
            "token", "create", "--role", role, "--name", role, "--config", "w.toml",
        ]);
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) async fn start(&self) -> Daemon {
        let mut command = self.command(env!("CARGO_BIN_EXE_watchbell"));
        command.args(["serve", "--config", "w.toml"]);
        Daemon::start(&mut command).await
    }

    /// Runs the daemon, which must not start; its exit code and what it says.
    pub(crate) async fn refused(&self) -> (Option<i32>, String) {
        let mut command = self.command(env!("CARGO_BIN_EXE_watchbell"));
        command.args(["serve", "--config", "w.toml"]);
        let mut process = Process::start("watchbell", &mut command);
        let code = process.ended().await.code();
        let said = eventually("last words", async || {
            let said = process.lines().join("\n");
            (!said.is_empty()).then_some(said)
        });
        (code, said.await)
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    token: Option<String>,
    scheme: &'static str,
}

impl Daemon {
    /// Starts it by any command and waits until it is ready.
    pub(crate) async fn start(command: &mut Command) -> Self {
        let mut process = Process::start("watchbell", command);
        let line = process.line("listening on http").await;
        let scheme = if line.contains("https://") {
            "https"
        } else {
            "http"
        };
        let (_, rest) = line.split_once("://").unwrap();
        let end = rest.find(|c: char| c == '"' || c.is_whitespace());
        let address = rest.get(..end.unwrap_or(rest.len())).unwrap();
        let address = address.parse().unwrap();
        process.line(" serves").await;
        Self {
            process,
            address,
            client: client(None),
            token: None,
            scheme,
        }
    }

    /// From now on every request carries this token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        match self.scheme {
            "http" => format!("http://{}{path}", self.address),
            scheme => format!("{scheme}://localhost:{}{path}", self.address.port()),
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.expect("a whole answer");
        Answer {
            status,
            headers,
            text,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path))).await
    }

    /// Gives a command.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.client.post(self.url(path)).json(body)).await
    }

    /// Sends any body to the source `am`.
    pub(crate) async fn ingest(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.client.post(self.url("/ingest/am")).body(body))
            .await
    }

    /// Sends an alert of this name; the answer must be that it is stored.
    pub(crate) async fn alert(&self, name: &str, status: &str) -> Value {
        let answer = self.ingest(message(name, status)).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
        answer.json()
    }

    /// The items of a list, which must fit a page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.ok();
        assert_eq!(list["next_cursor"], Value::Null);
        list["items"].as_array().unwrap().clone()
    }

    /// The only incident, as soon as it is like this.
    pub(crate) async fn incident(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let incidents = self.list("/api/v1/incidents").await;
            assert!(incidents.len() < 2, "one incident, not {incidents:?}");
            incidents.into_iter().find(|incident| is(incident))
        })
        .await
    }

    /// The reasons in the timeline of an incident, oldest first.
    pub(crate) async fn reasons(&self, number: &str) -> Vec<String> {
        let path = format!("/api/v1/incidents/{number}/timeline?sort=id&limit=500");
        let entries = self.list(&path).await;
        entries
            .iter()
            .map(|entry| entry["reason"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until a reason stands in the timeline of an incident.
    pub(crate) async fn says(&self, number: &str, reason: &str) {
        eventually("word of it in the timeline", async || {
            let reasons = self.reasons(number).await;
            reasons.iter().any(|said| said == reason).then_some(())
        })
        .await;
    }

    /// Messages of the source `am` by outcome, from the metrics.
    pub(crate) async fn messages(&self, outcome: &str) -> u64 {
        let name = format!("watchbell_messages_total{{source=\"am\",outcome=\"{outcome}\"}} ");
        let metrics = self.get("/metrics").await.text;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// Has the configuration read again and waits until that is over; says how it went.
    pub(crate) async fn reload(&mut self) -> String {
        let before = self.process.lines().len();
        self.process.signal(Signal::HUP);
        self.process.line_after(before, "configuration").await
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let ended = self.process.ended().await;
        assert_eq!(ended.code(), Some(0));
    }
}

/// A client with no memory of proxies, and a fresh connection for each request: an idle one may just be closed by
/// the short limits of a test. `ca` is the PEM of an authority to trust.
pub(crate) fn client(ca: Option<&str>) -> Client {
    // Whoever comes first installs it.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut builder = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .pool_max_idle_per_host(0);
    if let Some(ca) = ca {
        let ca = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
        builder = builder.tls_certs_only([ca]);
    }
    builder.build().unwrap()
}

/// A webhook message about one alert.
pub(crate) fn message(name: &str, status: &str) -> String {
    let alert = json!({
        "status": status,
        "labels": {"alertname": name, "severity": "critical"},
        "annotations": {"summary": format!("{name} is in trouble")},
        "startsAt": "2026-01-01T00:00:00Z",
    });
    json!({"version": "4", "alerts": [alert]}).to_string()
}
