//! A ticket platform's HTTP API over a real socket, which can also break in the ways that real ones do.
//!
//! Plain sockets, so that an answer can be lost after the work was done.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    /// A value of the query.
    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A field of a form.
    pub(crate) fn field(&self, name: &str) -> String {
        let found = url::form_urlencoded::parse(&self.body).find(|(key, _)| key == name);
        found.map_or_else(String::new, |(_, value)| value.into_owned())
    }

    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Tell {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Tell {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: body.to_string(),
        }
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The work is done and the answer lost.
    LoseAnswer,
    /// Nothing is done and the connection dropped.
    DropBefore,
    /// Nothing is done; this status.
    Status(u16),
    /// The work is done; this status all the same.
    StatusAfter(u16),
    /// Too much was asked; this many seconds.
    Limit(u64),
    /// A page for people, with 200.
    Page,
    /// The login has run out.
    Expired,
    /// No answer, ever, before the work was done or after it.
    Hang { is_after: bool },
    /// An answer of so many mebibytes.
    Flood(usize),
}

/// What becomes of one request.
enum Heard {
    Told(Tell),
    Broken,
    Hangs,
}

/// A platform as a function with a memory.
pub(crate) trait Platform: Send + 'static {
    fn answer(&mut self, ask: &Ask) -> Tell;
}

struct Inner<P> {
    platform: P,
    asked: Vec<Ask>,
    /// Faults of the next writes.
    faults: VecDeque<Fault>,
    /// What goes wrong with everything.
    always: Option<Fault>,
    /// Requests that never got an answer.
    hanging: usize,
}

/// A running platform.
pub(crate) struct Server<P> {
    pub(crate) address: SocketAddr,
    inner: Arc<Mutex<Inner<P>>>,
    _run: JoinSet<()>,
}

impl<P: Platform> Server<P> {
    pub(crate) async fn start(platform: P) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), platform)
    }

    /// At an address that was known before.
    pub(crate) fn start_on(listener: TcpListener, platform: P) -> Self {
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner {
            platform,
            asked: Vec::new(),
            faults: VecDeque::new(),
            always: None,
            hanging: 0,
        }));
        let (mut run, held) = (JoinSet::new(), Arc::clone(&inner));
        run.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let held = Arc::clone(&held);
                open.spawn(async move {
                    drop(serve(socket, held).await);
                });
                while open.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            inner,
            _run: run,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks into the platform, or does what a person does there.
    pub(crate) fn inside<T>(&self, look: impl FnOnce(&mut P) -> T) -> T {
        look(&mut self.inner.lock().unwrap().platform)
    }

    /// The next write goes wrong so.
    pub(crate) fn fault(&self, fault: Fault) {
        self.inner.lock().unwrap().faults.push_back(fault);
    }

    /// Everything goes wrong so until it is mended.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        self.inner.lock().unwrap().always = fault;
    }

    /// How many requests never got an answer.
    pub(crate) fn hanging(&self) -> usize {
        self.inner.lock().unwrap().hanging
    }

    /// How often something was asked for by this method under this path.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let inner = self.inner.lock().unwrap();
        let asked = inner.asked.iter();
        asked
            .filter(|ask| ask.method == method && ask.path.starts_with(path))
            .count()
    }
}

async fn serve<P: Platform>(
    mut socket: TcpStream,
    inner: Arc<Mutex<Inner<P>>>,
) -> std::io::Result<()> {
    let mut rest = Vec::new();
    while let Some(ask) = read(&mut socket, &mut rest).await? {
        let judged = inner.lock().unwrap().judge(&ask);
        let told = match judged {
            Heard::Told(told) => told,
            Heard::Broken => return Ok(()),
            Heard::Hangs => std::future::pending().await,
        };
        let mut head = format!("HTTP/1.1 {} Told\r\n", told.status);
        for (name, value) in &told.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", told.body.len()));
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(told.body.as_bytes()).await?;
    }
    Ok(())
}

impl<P: Platform> Inner<P> {
    /// The answer; none when the connection breaks.
    fn judge(&mut self, ask: &Ask) -> Heard {
        self.asked.push(ask.clone());
        // The look-up after a lost answer can be cut off like the write itself.
        let hangs = matches!(self.faults.front(), Some(Fault::Hang { .. }));
        let is_look_up = ask.param("sysparm_query").starts_with("correlation_id=");
        let fault = if ask.is_write() || (hangs && is_look_up) {
            self.faults.pop_front()
        } else {
            None
        };
        let fault = fault.or_else(|| self.always.clone());
        if let Some(Fault::Hang { is_after }) = fault {
            self.hanging += 1;
            if is_after {
                self.platform.answer(ask);
            }
            return Heard::Hangs;
        }
        self.told(ask, fault.as_ref())
            .map_or(Heard::Broken, Heard::Told)
    }

    fn told(&mut self, ask: &Ask, fault: Option<&Fault>) -> Option<Tell> {
        match fault {
            None => Some(self.platform.answer(ask)),
            Some(Fault::LoseAnswer) => {
                self.platform.answer(ask);
                None
            }
            Some(Fault::DropBefore) => None,
            Some(Fault::Status(status)) => Some(Tell::text(*status, "<html>busy</html>")),
            Some(Fault::StatusAfter(status)) => {
                self.platform.answer(ask);
                Some(Tell::text(*status, "<html>bad gateway</html>"))
            }
            Some(Fault::Limit(seconds)) => {
                Some(Tell::empty(429).with("Retry-After", seconds.to_string()))
            }
            Some(Fault::Page) => Some(Tell::text(200, "<html><body>Log in</body></html>")),
            Some(Fault::Expired) => Some(Tell::json(401, &serde_json::json!({"error": "expired"}))),
            Some(Fault::Flood(mib)) => Some(Tell::text(200, " ".repeat(*mib << 20))),
            Some(Fault::Hang { .. }) => None,
        }
    }
}

/// Reads one request; nothing when the connection was closed.
async fn read(socket: &mut TcpStream, rest: &mut Vec<u8>) -> std::io::Result<Option<Ask>> {
    let mut chunk = vec![0_u8; 16 * 1024];
    let head_end = loop {
        if let Some(at) = rest.windows(4).position(|part| part == b"\r\n\r\n") {
            break at;
        }
        let count = socket.read(&mut chunk).await?;
        if count == 0 {
            return Ok(None);
        }
        rest.extend_from_slice(&chunk[..count]);
    };
    let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let mut first = first.split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let whole = head_end + 4 + length;
    while rest.len() < whole {
        let count = socket.read(&mut chunk).await?;
        if count == 0 {
            return Ok(None);
        }
        rest.extend_from_slice(&chunk[..count]);
    }
    let body = rest[head_end + 4..whole].to_vec();
    rest.drain(..whole);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = url::form_urlencoded::parse(query.as_bytes());
    let path = percent_encoding::percent_decode_str(path);
    Ok(Some(Ask {
        method: method.to_owned(),
        path: path.decode_utf8_lossy().into_owned(),
        query: query.into_owned().collect(),
        headers,
        body,
    }))
}
