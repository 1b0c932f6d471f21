//! Answers that do not come by a page: published at a broker, and replied to a mail.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::hook::Hook;
use super::servers::{header, mails};
use crate::mqtt::broker::Broker;
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::process::{Process, eventually};
use crate::support::tools::find_tool;

const AT_ONCE: &str = "[incident]\nrecover_after = \"0s\"\nacknowledge_for = \"3h\"\n[settle]\nP1 = \"0s\"\nP2 = \"0s\"\nP3 = \"0s\"\n\
    [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";

async fn in_state(daemon: &Daemon, number: &str, state: &str) -> Value {
    eventually(state, async || {
        let list = daemon
            .list(&format!("/api/v1/incidents?state={state}"))
            .await;
        list.into_iter().find(|it| it["number"] == number)
    })
    .await
}

async fn notes(daemon: &Daemon, number: &str, text: &str) -> usize {
    let path = format!("/api/v1/incidents/{number}/timeline?limit=500");
    let timeline = daemon.list(&path).await;
    let has = |entry: &&Value| entry.to_string().contains(text);
    timeline.iter().filter(has).count()
}

async fn letters(daemon: &Daemon, source: &str, reason: &str) {
    eventually(reason, async || {
        let letters = daemon.list("/api/v1/dead-letters").await;
        letters
            .iter()
            .any(|it| it["source"] == source && it["reason"] == reason)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_done_once_by_who_may() {
    let (Some(broker), hook) = (Broker::start().await, Hook::start([]).await) else {
        return;
    };
    let home = Home::new(&format!(
        "{LISTEN}{AT_ONCE}[[target]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\nallow_private = true\n\
         [[person]]\nname = \"ben\"\n\
         [[answers.mqtt]]\nname = \"signed\"\nurl = \"{url}\"\nsubscribe = [\"signed/#\"]\n\
         [[answers.mqtt]]\nname = \"panel\"\nurl = \"{url}\"\ntopic = \"panel/+person/+incident\"\nopen = true\n",
        hook.url(),
        url = broker.url(),
    ));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    daemon.alert("B", "firing").await;
    let url = |heard: &super::hook::Heard| heard.headers["watchbell-answer-url"].clone();
    let links = eventually("both are told", async || {
        let heard = hook.heard();
        (heard.len() == 2).then(|| heard.iter().map(url).collect::<Vec<_>>())
    })
    .await;
    // What a broker keeps for a client that is away comes too, so there is no need to wait for the connection.
    eventually("both are subscribed", async || {
        let log = daemon.process.lines();
        let connected = log.iter().filter(|line| line.contains("is connected to"));
        (connected.count() == 2).then_some(())
    })
    .await;
    let token = links[0].rsplit('/').next().unwrap();
    let said = json!({"token": token, "do": "ack", "note": "on it"}).to_string();
    broker.publish("signed/x", 1, &said);
    let first = eventually("one is acknowledged", async || {
        let list = daemon.list("/api/v1/incidents?state=acknowledged").await;
        list.first().cloned()
    })
    .await;
    let number = first["number"].as_str().unwrap().to_owned();
    assert!(notes(&daemon, &number, "on it").await > 0);
    assert!(
        notes(&daemon, &number, "ops (answer)").await > 0,
        "in the name of who was told"
    );
    // A link for one incident is none for another, and what cannot be read is kept.
    let other = if number == "INC-1" { "INC-2" } else { "INC-1" };
    let forged = json!({"token": token, "incident": other, "do": "ack"}).to_string();
    broker.publish("signed/x", 1, &forged);
    letters(&daemon, "answers:signed", "not_allowed").await;
    broker.publish("signed/x", 1, "{ack");
    letters(&daemon, "answers:signed", "not_understood").await;
    broker.publish(
        "signed/x",
        1,
        format!(r#"{{"token":"{token}A","do":"ack"}}"#),
    );
    letters(&daemon, "answers:signed", "bad_link").await;
    // Where the broker decides, a known person names the incident; the same note twice is one.
    broker.publish("panel/eve/INC-1", 1, "resolve");
    letters(&daemon, "answers:panel", "not_allowed").await;
    for _ in 0..2 {
        broker.publish(&format!("panel/ben/{other}"), 1, "the pump is hot");
    }
    broker.publish(&format!("panel/ben/{other}"), 1, "resolve replaced");
    in_state(&daemon, other, "resolved").await;
    assert_eq!(notes(&daemon, other, "the pump is hot").await, 1);
    assert_eq!(notes(&daemon, "INC-1", "eve").await, 0);
    let ways = daemon.list("/api/v1/answers?sort=name").await;
    let shown = |way: &Value| [&way["name"], &way["kind"], &way["health"]].map(Value::clone);
    assert_eq!(shown(&ways[0]), ["panel", "mqtt", "up"].map(Value::from));
    assert_eq!(ways[0]["server"], broker.url());
    assert_eq!(ways[0]["listens_to"], json!(["panel/+person/+incident"]));
    let counts = |way: &Value| (way["answered"].clone(), way["refused"].clone());
    assert_eq!(counts(&ways[0]), (json!(3), json!(1)));
    assert_eq!(counts(&ways[1]), (json!(1), json!(3)));
    daemon.stop().await;
}

/// A mailbox of an IMAP server that knows as much as is asked of it.
struct Mailbox {
    port: u16,
    mails: Arc<Mutex<Vec<(String, bool)>>>,
    _tasks: JoinSet<()>,
}

impl Mailbox {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
        let inside = Arc::clone(&mails);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, Arc::clone(&inside)).await;
            }
        });
        Self {
            port,
            mails,
            _tasks: tasks,
        }
    }

    fn put(&self, mail: &str) {
        let mail = mail.replace('\n', "\r\n");
        self.mails.lock().unwrap().push((mail, false));
    }

    async fn is_read(&self) {
        eventually("all is read", async || {
            let mails = self.mails.lock().unwrap();
            mails.iter().all(|(_, is_seen)| *is_seen).then_some(())
        })
        .await;
    }
}

async fn serve(stream: TcpStream, mails: Arc<Mutex<Vec<(String, bool)>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"* OK ready\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        let at = |uid: &str| uid.parse::<usize>().unwrap() - 1;
        let said = {
            let mut mails = mails.lock().unwrap();
            match words.as_slice() {
                ["LOGIN", _, password] if *password != "\"right\"" => {
                    format!("{tag} NO wrong password\r\n")
                }
                ["SELECT", ..] => format!("* {} EXISTS\r\n{tag} OK done\r\n", mails.len()),
                ["UID", "SEARCH", ..] => {
                    let found = mails.iter().enumerate().filter(|(_, it)| !it.1);
                    let found: String = found.map(|(at, _)| format!(" {}", at + 1)).collect();
                    format!("* SEARCH{found}\r\n{tag} OK done\r\n")
                }
                ["UID", "FETCH", uid, .., "RFC822.SIZE)"] => {
                    let size = mails[at(uid)].0.len();
                    format!("* {uid} FETCH (UID {uid} RFC822.SIZE {size})\r\n{tag} OK done\r\n")
                }
                ["UID", "FETCH", uid, ..] => {
                    let body = &mails[at(uid)].0;
                    let size = body.len();
                    format!(
                        "* {uid} FETCH (UID {uid} BODY[] {{{size}}}\r\n{body})\r\n{tag} OK done\r\n"
                    )
                }
                ["UID", "STORE", uid, ..] => {
                    mails[at(uid)].1 = true;
                    format!("* {uid} FETCH (UID {uid} FLAGS (\\Seen))\r\n{tag} OK done\r\n")
                }
                _ => format!("{tag} OK done\r\n"),
            }
        };
        if write.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A mail server that keeps what it is given in a folder; its address.
async fn mail_server(folder: &TempDir) -> Option<(Process, String)> {
    let server = find_tool("aiosmtpd", "python3-aiosmtpd")?;
    let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(server.path());
    command
        .current_dir(folder.path())
        .args(["-n", "-l", &address]);
    command.args(["-c", "aiosmtpd.handlers.Mailbox", "mail"]);
    let running = Process::start("aiosmtpd", &mut command);
    eventually("the mail server listens", async || {
        TcpStream::connect(&address).await.ok()
    })
    .await;
    Some((running, address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_a_mail_answers_in_the_name_of_its_sender() {
    let folder = TempDir::new().unwrap();
    let Some((_running, address)) = mail_server(&folder).await else {
        return;
    };
    let mailbox = Mailbox::start().await;
    let home = Home::new(&format!(
        "{LISTEN}{AT_ONCE}[[target]]\nname = \"mail\"\nkind = \"email\"\nurl = \"smtp://{address}\"\n\
         from = \"Watchbell <wb@x.example>\"\nto = [\"ops@x.example\"]\nallow_private = true\n\
         [[person]]\nname = \"ana\"\nemail = \"Ana@x.example\"\n\
         [[answers.mailbox]]\nurl = \"imap://127.0.0.1:{}\"\nuser = \"wb\"\npassword = {{ file = \"pw\" }}\n\
         every = \"1s\"\nallow_private = true\n",
        mailbox.port
    ));
    fs::write(home.path("pw"), "right").unwrap();
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    let place = folder.path();
    let told = eventually("a mail", async || mails(place).first().cloned()).await;
    assert_eq!(header(&told, "Auto-Submitted"), "auto-generated");
    let thread = header(&told, "Message-ID");
    let reply = |from: &str, id: &str, more: &str, text: &str| {
        format!(
            "From: {from}\nMessage-ID: <{id}@mua>\nIn-Reply-To: {thread}\n{more}\n{text}\n> resolve\n"
        )
    };
    // Nobody answers by these.
    mailbox.put(&reply("Eve <eve@x.example>", "1", "", "resolve"));
    mailbox.put(&reply(
        "ana@x.example",
        "2",
        "Auto-Submitted: auto-replied\n",
        "resolve",
    ));
    mailbox.put(&reply("wb@x.example", "3", "", "resolve"));
    mailbox.put("From: ana@x.example\nMessage-ID: <4@mua>\n\nresolve INC-1\n");
    mailbox.put(&reply("Ana <ana@x.example>", "5", "", "Ack 2h, looking"));
    let taken = in_state(&daemon, "INC-1", "acknowledged").await;
    assert_eq!(
        taken["acknowledged_by"].as_str().unwrap_or("ana (answer)"),
        "ana (answer)"
    );
    letters(&daemon, "answers:mailbox", "not_allowed").await;
    // The same mail once more, as after a crash before it was marked, and the end.
    mailbox.put(&reply("Ana <ana@x.example>", "6", "", "the fan is broken"));
    mailbox.put(&reply("Ana <ana@x.example>", "6", "", "the fan is broken"));
    mailbox.put(&reply("ops@x.example", "7", "", "Resolved. New fan."));
    in_state(&daemon, "INC-1", "resolved").await;
    mailbox.is_read().await;
    assert_eq!(notes(&daemon, "INC-1", "the fan is broken").await, 1);
    let timeline = daemon
        .list("/api/v1/incidents/INC-1/timeline?limit=500")
        .await;
    let timeline = Value::from(timeline).to_string();
    assert!(
        timeline.contains("ana (answer)") && timeline.contains("ops@x.example (answer)"),
        "{timeline}"
    );
    is_shown(&daemon, &mailbox).await;
    daemon.stop().await;
    doctor_looks(home).await;
}

/// The mailbox stands among the ways of answers, without its password.
async fn is_shown(daemon: &Daemon, mailbox: &Mailbox) {
    let ways = daemon.list("/api/v1/answers").await;
    let shown = [&ways[0]["kind"], &ways[0]["health"], &ways[0]["server"]];
    let server = format!("imap://127.0.0.1:{}", mailbox.port);
    assert_eq!(shown, [&json!("mailbox"), &json!("up"), &json!(server)]);
    assert_eq!(ways[0]["refused"], 1);
    assert!(!ways[0].to_string().contains("right"), "no password");
}

/// `doctor` logs in to the mailbox, and says so when it is refused.
async fn doctor_looks(home: Home) {
    let doctor = |home: &Home| home.run(&["doctor", "--config", "w.toml", "--output", "json"]);
    let found = |ran: &std::process::Output| String::from_utf8(ran.stdout.clone()).unwrap();
    let (running, told) = (home, "lets us in; 0 unread in INBOX");
    let ran = tokio::task::spawn_blocking(move || (doctor(&running), running)).await;
    let (ran, home) = ran.unwrap();
    assert!(found(&ran).contains(told), "{}", found(&ran));
    fs::write(home.path("pw"), "wrong").unwrap();
    let ran = tokio::task::spawn_blocking(move || doctor(&home))
        .await
        .unwrap();
    assert!(
        found(&ran).contains("the login is refused"),
        "{}",
        found(&ran)
    );
}
