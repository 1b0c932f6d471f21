//! A program of the operator's: the message on its standard input, success by its exit code.
//!
//! It gets an environment and a folder of its own, no privileges that we do not have, bounds on time, output, memory and
//! files, and a process group that is killed with whatever it has started when it is over. Must not pass text of an alert as an argument or in the
//! environment: nothing that a sender writes becomes a part of a command line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::deliver::text::TextSetup;
use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace, rfc3339};
use crate::runtime::thread::without_new_privileges;

/// Bytes of what it says that are kept, of each of its two outputs; the rest is read and thrown away.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024;
/// What it may use: bytes of memory, bytes of a file, open files, seconds of computing; and no core dumps. What speaks to
/// a gateway needs far less.
const LIMITS: [(Resource, u64); 5] = [
    (Resource::Data, 1 << 30),
    (Resource::Fsize, 256 << 20),
    (Resource::Nofile, 256),
    (Resource::Cpu, 120),
    (Resource::Core, 0),
];

/// What a command is made of.
#[derive(Clone, Debug)]
pub struct CommandSetup {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Texts.
    pub text: TextSetup,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether it may gain privileges that we do not have, as by `sudo`.
    pub new_privileges: bool,
    /// The folder that it runs in, made when it is missing.
    pub folder: PathBuf,
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
        let run = self.run(parcel, body.to_string());
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

    async fn run(&self, parcel: &Parcel, input: String) -> Result<(i64, String), String> {
        let (program, arguments) = self
            .setup
            .command
            .split_first()
            .ok_or("there is no command")?;
        let folder = own_folder(&self.setup.folder).await;
        let incident = parcel.incident.map(|id| id.to_string());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", folder)
            .env("WATCHBELL_EVENT", parcel.event.word())
            .env("WATCHBELL_INCIDENT", incident.unwrap_or_default())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let spawned = if self.setup.new_privileges {
            command.spawn()
        } else {
            let started = without_new_privileges(move || command.spawn()).await;
            started.unwrap_or_else(Err)
        };
        let child = spawned.map_err(|error| format!("it cannot be started: {error}"))?;
        let mut group = Group::of(child);
        group.limit();
        let stdin = group.child.stdin.take();
        let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
        let give = async {
            if let Some(mut stdin) = stdin {
                // Whoever does not read its input may still do its work.
                drop(stdin.write_all(input.as_bytes()).await);
            }
        };
        let ((), out, err) = tokio::join!(give, said(out), said(err));
        let status = group.child.wait().await;
        let status = status.map_err(|error| error.to_string())?;
        let mut said = err;
        said.extend_from_slice(&out);
        let code = status.code().map_or(-1, i64::from);
        Ok((code, String::from_utf8_lossy(&said).trim().to_owned()))
    }
}

/// Its folder, or where there is none to be had, the root, where it can write nothing.
async fn own_folder(folder: &Path) -> &Path {
    match tokio::fs::create_dir_all(folder).await {
        Ok(()) => folder,
        Err(error) => {
            log::debug!(error:% = error; "the folder of a command cannot be made: {error}");
            Path::new("/")
        }
    }
}

/// What it says, read to the end and kept in part.
async fn said(output: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let Some(mut output) = output else {
        return Vec::new();
    };
    let mut kept = Vec::new();
    let read = async {
        (&mut output)
            .take(OUTPUT_BYTES_MAX)
            .read_to_end(&mut kept)
            .await?;
        tokio::io::copy(&mut output, &mut tokio::io::sink()).await
    };
    let read: io::Result<u64> = read.await;
    if let Err(error) = read {
        log::debug!(error:% = error; "the output of a command cannot be read: {error}");
    }
    kept
}

/// A child with all that it starts; they end with the interest in them.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            id: id.and_then(Pid::from_raw),
            child,
        }
    }

    /// Sets its bounds; what is started later inherits them.
    fn limit(&self) {
        // Without a number the bounds would be our own.
        let Some(id) = self.id else {
            return;
        };
        for (resource, most) in LIMITS {
            let bound = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            if let Err(error) = prlimit(Some(id), resource, bound)
                && error != rustix::io::Errno::SRCH
            {
                log::debug!(error:% = error; "a bound of a command cannot be set: {error}");
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What the child left behind must not go on; where nothing is left, that is as well.
        if let Some(id) = self.id {
            match kill_process_group(id, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => {
                    log::debug!(error:% = error; "what a command left behind cannot be ended: {error}");
                }
            }
        }
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
