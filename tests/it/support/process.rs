//! Real processes of this machine: started, watched through their log lines, ended by their id. Must not outlive the
//! test that started them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::support::http::PATIENCE;

/// How often something is looked at that does not announce itself.
const LOOK: Duration = Duration::from_millis(10);

/// Looks again and again until there is something, which must not take long.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{what}: not in {PATIENCE:?}, see what was printed above"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// A process whose stderr is read; it is killed when this is dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a command with its stderr in our hands.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let read = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                // Shown only when the test fails.
                println!("[{name}] {line}");
                read.lock().unwrap().push(line);
            }
        });
        Self { name, child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The first logged line with these words in it.
    pub(crate) async fn line(&mut self, words: &str) -> String {
        self.line_after(0, words).await
    }

    /// The first line with these words after so many lines.
    pub(crate) async fn line_after(&mut self, start: usize, words: &str) -> String {
        let name = self.name;
        eventually(&format!("{name} logs {words:?}"), async || {
            let lines = self.lines();
            let found = lines.iter().skip(start).find(|line| line.contains(words));
            if found.is_none() && self.has_ended() {
                let lines = lines.join("\n");
                panic!("{name} has ended without logging {words:?}:\n{lines}");
            }
            found.cloned()
        })
        .await
    }

    /// Asserts that nothing was logged with these words.
    pub(crate) fn never_said(&self, words: &str) {
        let found = self.lines().into_iter().find(|line| line.contains(words));
        assert_eq!(found, None, "{} says {words:?}", self.name);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let name = self.name;
        eventually(&format!("end of {name}"), async || {
            self.child.try_wait().unwrap()
        })
        .await
    }

    /// The most kibibytes of it that were ever in RAM at a time.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.unwrap().parse().unwrap()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
