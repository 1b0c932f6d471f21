//! A Mosquitto of our own, and its publisher.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::support::process::{Process, eventually};
use crate::support::tools::{Tool, find_tool};

/// A broker on a port of its own, which keeps what it has over restarts in order.
pub(crate) struct Broker {
    folder: TempDir,
    pub(crate) port: u16,
    server: Tool,
    publisher: Tool,
    process: Option<Process>,
}

impl Broker {
    /// Starts one; `None` when Mosquitto is not installed.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|_| "allow_anonymous true\n".to_owned()).await
    }

    /// Starts one with more configuration, which is made for its folder.
    pub(crate) async fn start_with(more: impl FnOnce(&PathBuf) -> String) -> Option<Self> {
        let server = find_tool("mosquitto", "mosquitto")?;
        let publisher = find_tool("mosquitto_pub", "mosquitto-clients")?;
        let folder = TempDir::new().unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let place = folder.path().to_path_buf();
        let mut config = format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {}/\nmax_queued_messages 0\n",
            place.display()
        );
        // It must reach its folder, which is of the user who runs the tests.
        if rustix::process::geteuid().is_root() {
            config.push_str("user root\n");
        }
        config.push_str(&more(&place));
        fs::write(place.join("mosquitto.conf"), config).unwrap();
        let mut broker = Self {
            folder,
            port,
            server,
            publisher,
            process: None,
        };
        broker.up().await;
        Some(broker)
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let mut command = Command::new(self.server.path());
        command.arg("-c").arg(self.path("mosquitto.conf"));
        self.process = Some(Process::start("mosquitto", &mut command));
        let port = self.port;
        eventually("mosquitto listens", async || {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }

    /// Ends the server.
    pub(crate) async fn down(&mut self, signal: Signal) {
        let mut process = self.process.take().unwrap();
        process.signal(signal);
        process.ended().await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Publishes one message; returns when the broker has it.
    pub(crate) fn publish(&self, topic: &str, qos: u8, payload: impl AsRef<[u8]>) {
        self.publish_by(&[], topic, qos, payload.as_ref());
    }

    pub(crate) fn publish_retained(&self, topic: &str, payload: &str) {
        self.publish_by(&["-r"], topic, 1, payload.as_bytes());
    }

    /// Publishes with more options.
    pub(crate) fn publish_by(&self, options: &[&str], topic: &str, qos: u8, payload: &[u8]) {
        let how = if payload.is_empty() { "-n" } else { "-s" };
        let (qos, port) = (qos.to_string(), self.port.to_string());
        let mut child = Command::new(self.publisher.path())
            .args(["-h", "localhost", "-p", &port, "-q", &qos, "-t", topic, how])
            .args(options)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(payload).unwrap();
        assert!(child.wait().unwrap().success(), "published to {topic}");
    }

    /// Publishes each line as a message; all have their PUBACK, or the publish has failed.
    pub(crate) fn publish_lines(&self, topic: &str, qos: u8, lines: &[String]) -> bool {
        let (qos, port) = (qos.to_string(), self.port.to_string());
        let mut child = Command::new(self.publisher.path())
            .args([
                "-h",
                "localhost",
                "-p",
                &port,
                "-q",
                &qos,
                "-t",
                topic,
                "-l",
            ])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = lines.join("\n") + "\n";
        let written = child.stdin.take().unwrap().write_all(text.as_bytes());
        child.wait().unwrap().success() && written.is_ok()
    }
}
