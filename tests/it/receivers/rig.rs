//! The real daemon in a folder of its own, on a port that the system chose. Must not outlive its test.

use std::fs::write;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than anything here should take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon; it is killed when this is dropped.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    process: Process,
}

/// A process that is killed when this is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Daemon {
    /// Starts it with these sources.
    pub(crate) fn start(sources: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[incident]\nrecover_after = \"1s\"\n{sources}"
        );
        write(dir.path().join("w.toml"), text).unwrap();
        let (process, address) = run(&dir);
        Self {
            address,
            dir,
            process,
        }
    }

    /// Kills it without notice and starts it again on the same data.
    pub(crate) fn crash_and_restart(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        (self.process, self.address) = run(&self.dir);
    }

    /// One request; a body is sent as JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, "", "");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// Asks until the answer fits.
    pub(crate) fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let answer = self.get(path);
            if fits(&answer) {
                return answer;
            }
            assert!(started.elapsed() < PATIENCE, "never came: {answer:#}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

fn run(dir: &TempDir) -> (Process, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_watchbell"))
        .args(["serve", "--config", "w.toml"])
        .current_dir(dir.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = child.stderr.take().unwrap();
    let process = Process(child);
    let mut lines = BufReader::new(log).lines();
    let mut seen = Vec::new();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let address = line
                .split("listening on http://")
                .nth(1)
                .map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap());
            seen.push(line);
            address
        })
        .unwrap_or_else(|| panic!("it did not start:\n{}", seen.join("\n")));
    // A full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (process, address)
}
