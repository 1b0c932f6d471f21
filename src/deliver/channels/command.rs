//! A program of the operator's: the message on its standard input, success by its exit code.
//!
//! It gets an empty environment, its own process group and a time limit, and is killed with the daemon's interest in it.
//! Must not pass text of an alert as an argument: nothing that a sender writes becomes a part of a command line.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::deliver::text::TextSetup;
use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace, rfc3339};

/// Bytes of what it says that are kept.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// What a command is made of.
#[derive(Clone, Debug)]
pub struct CommandSetup {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Texts.
    pub text: TextSetup,
    /// How long it may take.
    pub timeout: Duration,
}

/// A command.
#[derive(Clone, Debug)]
pub struct Program {
    setup: CommandSetup,
}

impl Program {
    /// A command.
    pub fn new(setup: CommandSetup) -> Self {
        Self { setup }
    }

    pub(in crate::deliver) async fn send(&self, parcel: &Parcel) -> Attempt {
        let words = self.setup.text.words(parcel);
        let body = json!({
            "type": parcel.event.word(),
            "timestamp": rfc3339(parcel.at),
            "id": parcel.id,
            "to": parcel.recipient,
            "headline": words.headline,
            "text": words.details,
            "link": words.link,
            "repeat": parcel.is_repeat,
            "data": words.values.get("incident"),
        });
        let request = format!("{}\n\n{body}", self.setup.command.join(" "));
        let run = self.run(body.to_string());
        let ran = tokio::time::timeout(self.setup.timeout, run).await;
        let (outcome, status, response) = match ran {
            Ok(Ok((0, said))) => (Outcome::Arrived, Some(0), said),
            Ok(Ok((code, said))) => {
                let error = format!("it ended with {code}: {said}");
                (failed(error.clone(), false), Some(code), error)
            }
            Ok(Err(error)) => (failed(error.clone(), false), None, error),
            Err(_) => {
                let error = format!("it did not end within {} s", self.setup.timeout.as_secs());
                (failed(error.clone(), true), None, error)
            }
        };
        Attempt {
            outcome,
            status,
            trace: Trace { request, response },
        }
    }

    async fn run(&self, input: String) -> Result<(i64, String), String> {
        let (program, arguments) = self
            .setup
            .command
            .split_first()
            .ok_or("there is no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("it cannot be started: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever does not read its input may still do its work.
            drop(stdin.write_all(input.as_bytes()).await);
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(|error| error.to_string())?;
        let mut said = output.stderr;
        said.extend_from_slice(&output.stdout);
        said.truncate(OUTPUT_BYTES_MAX);
        let code = output.status.code().map_or(-1, i64::from);
        Ok((code, String::from_utf8_lossy(&said).trim().to_owned()))
    }
}

fn failed(error: String, may_have_arrived: bool) -> Outcome {
    Outcome::Failed(Failure {
        error,
        may_have_arrived,
        is_own_fault: true,
        ..Failure::default()
    })
}
