//! Stands between us and PostgreSQL and breaks a connection exactly at a COMMIT.
//!
//! Knows just enough of the protocol ("Message Formats" in PostgreSQL's manual) to see the COMMIT go by.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What happens to the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is carried out, its answer gets lost with the connection.
    LoseAnswer,
    /// The client loses its connection; the COMMIT reaches the server when it is let go.
    HoldBack,
}

impl Fault {
    /// As it is held in an atomic; zero is none.
    const fn code(self) -> u8 {
        match self {
            Self::LoseAnswer => 1,
            Self::HoldBack => 2,
        }
    }
}

/// The proxy.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

struct Shared {
    server: String,
    fault: AtomicU8,
    let_go: Semaphore,
    done: Semaphore,
}

impl Proxy {
    /// Starts in front of the server of that URL.
    pub(crate) async fn start(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            fault: AtomicU8::new(0),
            let_go: Semaphore::new(0),
            done: Semaphore::new(0),
        });
        let mut tasks = JoinSet::new();
        let passed = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&passed);
                connections.spawn(async move { drop(serve(client, &shared).await) });
            }
        });
        Self {
            shared,
            address,
            _tasks: tasks,
        }
    }

    /// The URL of a database through this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_ip_host(self.address.ip()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.query_pairs_mut().append_pair("sslmode", "disable");
        url.to_string()
    }

    /// The next COMMIT meets this.
    pub(crate) fn arm(&self, fault: Fault) {
        self.shared.fault.store(fault.code(), Ordering::SeqCst);
    }

    /// Lets a COMMIT go that was held back, and waits until the server has carried it out.
    pub(crate) async fn let_go(&self) {
        self.shared.let_go.add_permits(1);
        self.shared.done.acquire().await.unwrap().forget();
    }
}

async fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(&shared.server).await?.into_split();
    // The first message has no type: its length and what follows.
    let length = from_client.read_u32().await?;
    let mut startup = vec![0; usize::try_from(length).unwrap() - 4];
    from_client.read_exact(&mut startup).await?;
    to_server.write_u32(length).await?;
    to_server.write_all(&startup).await?;

    let commit = Mutex::new(None);
    let requests = async {
        loop {
            let message = read_message(&mut from_client).await?;
            note_commit(&message, &mut commit.lock().unwrap());
            let is_commit = is_bind_of(&message, commit.lock().unwrap().as_deref());
            if is_commit && shared.fault.load(Ordering::SeqCst) != 0 {
                let mut rest = message;
                while !rest.ends_with(b"S\0\0\0\x04") {
                    rest.extend(read_message(&mut from_client).await?);
                }
                return Ok::<_, io::Error>(rest);
            }
            to_server.write_all(&message).await?;
        }
    };
    let answers = async {
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let length = from_server.read(&mut chunk).await?;
            if length == 0 {
                return Err::<(), _>(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            to_client.write_all(&chunk[..length]).await?;
        }
    };
    let commit = tokio::select! {
        rest = requests => rest?,
        gone = answers => return gone,
    };
    let fault = shared.fault.swap(0, Ordering::SeqCst);
    if fault == Fault::HoldBack.code() {
        drop((from_client, to_client));
        shared.let_go.acquire().await.unwrap().forget();
    }
    to_server.write_all(&commit).await?;
    // The answer is only sent when it is carried out.
    from_server.read_u8().await?;
    shared.done.add_permits(1);
    Ok(())
}

/// A whole message: type, length, what follows.
async fn read_message(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut message = vec![kind];
    message.extend(length.to_be_bytes());
    let start = message.len();
    message.resize(start + usize::try_from(length).unwrap() - 4, 0);
    from.read_exact(&mut message[start..]).await?;
    Ok(message)
}

/// Parse: the name of a statement, and its text.
fn note_commit(message: &[u8], commit: &mut Option<Vec<u8>>) {
    let mut texts = message
        .get(5..)
        .unwrap_or_default()
        .split(|byte| *byte == 0);
    if let (Some(b'P'), Some(name), Some(b"COMMIT")) = (message.first(), texts.next(), texts.next())
    {
        *commit = Some(name.to_vec());
    }
}

/// Bind: the name of a portal, and that of a statement.
fn is_bind_of(message: &[u8], statement: Option<&[u8]>) -> bool {
    let mut texts = message
        .get(5..)
        .unwrap_or_default()
        .split(|byte| *byte == 0);
    message.first() == Some(&b'B') && texts.nth(1).is_some_and(|name| Some(name) == statement)
}
