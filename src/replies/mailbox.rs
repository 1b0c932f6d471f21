//! A look into a mailbox by IMAP: what is unread is handed on one by one, and marked when it is done with.
//!
//! A mail is marked only after it was handed on, so that a crash between the two hands it on again; whoever takes it
//! knows it by its id. Must not hold a connection between looks: they are seldom, and a kept one would have to be watched.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use async_imap::types::Fetch;
use async_imap::{Client, Session};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::runtime::tls::{ClientTlsPaths, encrypt};
use crate::wire::resolve;

/// Mails of one look; the next look goes on.
const MAILS_MAX: usize = 200;
/// Bytes of a mail that is read; what people answer is short, and what is larger is passed over.
const MAIL_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// How long one exchange may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// TLS of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte.
    Wrapped,
    /// Before anything is said.
    Started,
    /// None.
    Plain,
}

/// A mailbox.
#[derive(Clone, PartialEq, Eq)]
pub struct MailboxSetup {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS.
    pub tls: Tls,
    /// Certificate authorities, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Whose mailbox.
    pub user: String,
    /// The password.
    pub password: String,
    /// The folder.
    pub folder: String,
    /// Whether mails that are done with are deleted.
    pub deletes: bool,
    /// Whether private addresses may be reached.
    pub allow_private: bool,
}

impl std::fmt::Debug for MailboxSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailboxSetup")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Anything that carries bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Stream for S {}

type Boxed = Box<dyn Stream>;

/// Takes a mail.
pub type Take =
    dyn Fn(Vec<u8>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// Hands on what is unread; a mail that is not taken now is left for the next look. Returns how many were done with.
///
/// # Errors
/// In words: what failed.
pub async fn look(setup: &MailboxSetup, take: &Take) -> Result<usize, String> {
    let mut session = open(setup).await?;
    let found = step("SEARCH", session.uid_search("UNSEEN UNDELETED")).await?;
    let mut found: Vec<u32> = found.into_iter().collect();
    found.sort_unstable();
    found.truncate(MAILS_MAX);
    let mut done = 0_usize;
    for uid in found {
        if let Some(mail) = read(&mut session, uid).await? {
            take(mail).await?;
        }
        mark(&mut session, uid, setup.deletes).await?;
        done = done.saturating_add(1);
    }
    if setup.deletes && done > 0 {
        let gone = async { session.expunge().await?.try_collect::<Vec<u32>>().await };
        step("EXPUNGE", gone).await?;
    }
    // What is done is done, however the connection ends.
    drop(timeout(STEP_TIMEOUT, session.logout()).await);
    Ok(done)
}

/// Logs in and looks at the folder; changes nothing. Returns how many mails are unread.
///
/// # Errors
/// In words: what failed.
pub async fn probe(setup: &MailboxSetup) -> Result<usize, String> {
    let mut session = open(setup).await?;
    let found = step("SEARCH", session.uid_search("UNSEEN UNDELETED")).await?;
    drop(timeout(STEP_TIMEOUT, session.logout()).await);
    Ok(found.len())
}

async fn open(setup: &MailboxSetup) -> Result<Session<Boxed>, String> {
    let address = resolve(&setup.host, setup.port, setup.allow_private).await?;
    let tcp = timeout(STEP_TIMEOUT, TcpStream::connect(address)).await;
    let tcp = tcp.map_err(|_| "the server does not answer".to_owned())?;
    let tcp = tcp.map_err(|error| format!("the server cannot be reached: {error}"))?;
    let client = match setup.tls {
        Tls::Wrapped => greeted(Box::new(wrapped(setup, tcp).await?)).await?,
        Tls::Plain => greeted(Box::new(tcp)).await?,
        Tls::Started => {
            let mut plain = Client::new(tcp);
            greeting(&mut plain).await?;
            let started = plain.run_command_and_check_ok("STARTTLS", None);
            step("STARTTLS", started).await?;
            let tls = wrapped(setup, plain.into_inner()).await?;
            // Under TLS the server does not greet again.
            let boxed: Boxed = Box::new(tls);
            Client::new(boxed)
        }
    };
    let login = client.login(&setup.user, &setup.password);
    let login = timeout(STEP_TIMEOUT, login).await;
    let login = login.map_err(|_| late("LOGIN"))?;
    let mut session = login.map_err(|(error, _)| format!("the login is refused: {error}"))?;
    step("SELECT", session.select(&setup.folder)).await?;
    Ok(session)
}

async fn wrapped(
    setup: &MailboxSetup,
    tcp: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let paths = ClientTlsPaths {
        ca: setup.ca.clone(),
        identity: None,
    };
    timeout(STEP_TIMEOUT, encrypt(tcp, &setup.host, paths, "ca"))
        .await
        .map_err(|_| late("TLS"))?
}

async fn greeted(stream: Boxed) -> Result<Client<Boxed>, String> {
    let mut client = Client::new(stream);
    greeting(&mut client).await?;
    Ok(client)
}

async fn greeting<S: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug>(
    client: &mut Client<S>,
) -> Result<(), String> {
    let read = timeout(STEP_TIMEOUT, client.read_response()).await;
    let read = read.map_err(|_| "the server does not greet; is this its IMAP port, and with or without TLS as the url says?".to_owned())?;
    match read {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("the server closes the connection at once".to_owned()),
        Err(error) => Err(format!("the server does not greet: {error}")),
    }
}

/// A mail; nothing when it is gone, or too large to be what people answer.
async fn read(session: &mut Session<Boxed>, uid: u32) -> Result<Option<Vec<u8>>, String> {
    let uid = uid.to_string();
    let size = fetch(session, &uid, "(UID RFC822.SIZE)").await?;
    let size = size.iter().find_map(|fetched| fetched.size);
    if size.is_none_or(|size| size > MAIL_BYTES_MAX) {
        return Ok(None);
    }
    let fetched = fetch(session, &uid, "(UID BODY.PEEK[])").await?;
    let body = fetched.iter().find_map(|fetched| fetched.body());
    Ok(body.map(<[u8]>::to_vec))
}

async fn fetch(session: &mut Session<Boxed>, uid: &str, what: &str) -> Result<Vec<Fetch>, String> {
    let fetched = async { session.uid_fetch(uid, what).await?.try_collect().await };
    step("FETCH", fetched).await
}

async fn mark(session: &mut Session<Boxed>, uid: u32, deletes: bool) -> Result<(), String> {
    let flags = if deletes {
        "+FLAGS (\\Seen \\Deleted)"
    } else {
        "+FLAGS (\\Seen)"
    };
    let uid = uid.to_string();
    let stored = async {
        let stored = session.uid_store(&uid, flags).await?;
        stored.try_collect::<Vec<Fetch>>().await
    };
    step("STORE", stored).await.map(drop)
}

fn late(what: &str) -> String {
    format!("{what}: no answer within {} s", STEP_TIMEOUT.as_secs())
}

async fn step<T>(
    what: &str,
    work: impl Future<Output = Result<T, async_imap::error::Error>>,
) -> Result<T, String> {
    match timeout(STEP_TIMEOUT, work).await {
        Ok(done) => done.map_err(|error| format!("{what}: {error}")),
        Err(_) => Err(late(what)),
    }
}
