//! A receiver that behaves as it is told, call by call, and remembers what it heard.
//!
//! Must not be kinder than the network: it speaks raw TCP, so that it can cut, drip and keep silent.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How one call is answered.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// A status with headers and a body.
    Say(u16, &'static str, &'static str),
    /// The request is taken and the connection cut.
    Reset,
    /// A status line, then a byte now and then.
    Drip,
    /// Nothing at all, for ever.
    Silence,
    /// Nothing until it is let go, then 200.
    Held(Arc<Notify>),
}

/// What was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Type, incident and state, for comparing.
    pub(crate) fn line(&self) -> String {
        let json = self.json();
        let of = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let (kind, data) = (of(&json["type"]), &json["data"]);
        format!("{kind} {} {}", of(&data["number"]), of(&data["state"]))
    }

    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

#[derive(Default)]
struct Memory {
    manners: VecDeque<Manner>,
    heard: Vec<Heard>,
}

/// A running receiver.
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
    _run: JoinSet<()>,
}

impl Hook {
    /// Answers the first calls in these manners, and 204 from then on.
    pub(crate) async fn start(manners: impl IntoIterator<Item = Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, manners)
    }

    /// At an address that was known before.
    pub(crate) fn start_on(
        listener: TcpListener,
        manners: impl IntoIterator<Item = Manner>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let memory = Arc::new(Mutex::new(Memory {
            manners: manners.into_iter().collect(),
            heard: Vec::new(),
        }));
        let shared = Arc::clone(&memory);
        let mut run = JoinSet::new();
        run.spawn(async move {
            let mut calls = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                calls.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            memory,
            _run: run,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Everything heard so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.memory.lock().unwrap().heard.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().iter().map(Heard::line).collect()
    }
}

async fn serve(mut stream: TcpStream, memory: Arc<Mutex<Memory>>) {
    while let Some(heard) = read(&mut stream).await {
        let manner = {
            let mut memory = memory.lock().unwrap();
            memory.heard.push(heard);
            memory.manners.pop_front()
        };
        match manner.unwrap_or(Manner::Say(204, "", "")) {
            Manner::Say(status, headers, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}"
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Manner::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Manner::Drip => {
                let head = "HTTP/1.1 500 X\r\ncontent-length: 1000\r\n\r\n";
                let mut pause = tokio::time::interval(Duration::from_millis(100));
                let mut is_there = stream.write_all(head.as_bytes()).await.is_ok();
                while is_there {
                    pause.tick().await;
                    is_there = stream.write_all(b"x").await.is_ok();
                }
                return;
            }
            Manner::Silence => std::future::pending().await,
            Manner::Held(gate) => {
                gate.notified().await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    lines.next()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = bytes[head + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Heard {
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
