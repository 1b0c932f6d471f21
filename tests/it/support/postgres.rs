//! A throw-away PostgreSQL server: made, started, stopped hard, started again, and gone with this process.
//!
//! A keeper process holds a pipe from us: however we end, the pipe closes, and it stops the server and deletes its
//! files. The server syncs as in production. Must not touch a server that is there already.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::wait_until;

/// The password of the only user of the server.
const PASSWORD: &str = "throw away";
/// A server that refuses to run as root runs as this user.
const USER: &str = "postgres";
/// Runs the server; a line on the pipe leaves the files, the end of the pipe deletes them.
const KEEPER: &str = r#"
    folder=$1; shift
    "$@" &
    if read -r word; then keep=yes; else keep=no; fi
    kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")" 2> /dev/null
    wait
    if [ $keep = no ]; then rm -rf "$folder"; fi
"#;

/// A server of our own.
pub(crate) struct Cluster {
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
    keeper: Option<Child>,
}

impl Cluster {
    /// Makes a server and starts it; `None` when PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let binaries = find_binaries()?;
        let folder = TempDir::new().expect("folder");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("password file");
        give_away(folder.path());
        give_away(&password);
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("port");
            listener.local_addr().expect("address").port()
        };
        let mut cluster = Self {
            folder,
            binaries,
            port,
            keeper: None,
        };
        let made = cluster
            .command("initdb")
            .arg("--pgdata")
            .arg(cluster.data())
            .args(["--username=watchbell", "--auth=scram-sha-256", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pwfile"])
            .arg(&password)
            .output()
            .expect("initdb runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {said}");
        cluster.start_again();
        Some(cluster)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        let port = self.port;
        format!("postgres://watchbell:{password}@127.0.0.1:{port}/{database}")
    }

    /// The URL of a database without the password, and the password.
    pub(crate) fn url_and_password(&self, database: &str) -> (String, &'static str) {
        let port = self.port;
        (
            format!("postgres://watchbell@127.0.0.1:{port}/{database}"),
            PASSWORD,
        )
    }

    /// Starts the server after a stop.
    pub(crate) fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "it runs already");
        let server = self.command("postgres");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("log");
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(self.folder.path())
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=200"])
            .args(["-c", "shared_buffers=32MB"])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("log"))
            .stderr(log);
        self.keeper = Some(keeper.spawn().expect("sh"));
        wait_until("PostgreSQL to start", Duration::from_secs(60), || {
            self.postmaster().is_some_and(|(_, is_ready)| is_ready)
        });
    }

    /// Stops the server at once, without any farewell to its clients; its files stay.
    pub(crate) fn stop_immediately(&mut self) {
        let (pid, _) = self.postmaster().expect("it runs");
        kill_process(pid, Signal::QUIT).expect("signal");
        let mut keeper = self.keeper.take().expect("it runs");
        let mut pipe = keeper.stdin.take().expect("pipe");
        pipe.write_all(b"keep\n").expect("the keeper listens");
        keeper.wait().expect("the keeper ends");
    }

    /// The server's process, and whether it takes connections: lines 1 and 8 of its pid file.
    fn postmaster(&self) -> Option<(Pid, bool)> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = Pid::from_raw(text.lines().next()?.trim().parse().ok()?)?;
        let is_ready = text
            .lines()
            .nth(7)
            .is_some_and(|line| line.trim() == "ready");
        Some((pid, is_ready))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL, run by somebody it accepts.
    fn command(&self, program: &str) -> Command {
        let path = self.binaries.join(program);
        let mut command;
        if geteuid().is_root() {
            command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(path);
        } else {
            command = Command::new(path);
        }
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().expect("the keeper ends");
        }
    }
}

/// Debian keeps the server out of the path.
fn find_binaries() -> Option<PathBuf> {
    if geteuid().is_root() && user_ids().is_none() {
        return None;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "finds a program, as a shell does"
    )]
    let path = std::env::var_os("PATH")?;
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debian: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    let mut folders = debian.into_iter().rev().chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

fn give_away(path: &Path) {
    if geteuid().is_root() {
        let (user, group) = user_ids().expect("the user was there before");
        chown(path, Some(user), Some(group)).expect("owner");
    }
}

fn user_ids() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut ids = line.split(':').skip(2).map_while(|id| id.parse().ok());
    Some((ids.next()?, ids.next()?))
}
