//! MQTT quality 1 through a real Mosquitto: Watchbell, which acknowledges after the commit, beside a bare subscriber.
//!
//! Starts a broker and a daemon of its own on free ports of loopback, publishes the same messages for each in turn, and
//! prints messages per second and their ratio. Without Mosquitto it says so and does nothing.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a stopwatch for people, which stops at the first surprise"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::{QoS, v4};
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Messages of one round.
const MESSAGES: usize = 60_000;
/// Different alerts among them.
const ACTIVE: usize = 1_000;
const ROUNDS: usize = 3;
/// Messages that the publisher has under way.
const UNDER_WAY: usize = 1_000;
/// The bare subscriber acknowledges so many at once, as after a group commit.
const ACKS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn main() {
    // The HTTP client asks for one, although it only speaks plain text here.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (broker, http) = (free_port(), free_port());
    let Some(_mosquitto) = mosquitto(folder.path(), broker) else {
        println!("mosquitto is not installed: nothing is measured");
        return;
    };
    reachable(broker).await;
    let _daemon = daemon(folder.path(), broker, http);
    reachable(http).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let url = format!("http://127.0.0.1:{http}");
    while !text(&client, &format!("{url}/api/v1/sources"))
        .await
        .contains("\"connected\":true")
    {
        sleep(Duration::from_millis(20)).await;
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(bare_round(broker, round).await);
        ours.push(our_round(broker, &client, &url).await);
        println!(
            "round {}: bare subscriber {:.0} messages/s, Watchbell {:.0}, ratio {:.2}",
            round + 1,
            bare[round],
            ours[round],
            ours[round] / bare[round],
        );
    }
    let ratio = median(&mut ours) / median(&mut bare);
    println!("median ratio {ratio:.2}");
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn mosquitto(folder: &Path, port: u16) -> Option<Running> {
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\nuser root\n"
    );
    std::fs::write(&config, text).expect("its configuration");
    let places = [
        "/usr/sbin/mosquitto",
        "/usr/local/sbin/mosquitto",
        "/usr/bin/mosquitto",
    ];
    let program: PathBuf = places
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())?;
    let child = Command::new(program)
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.ok().map(Running)
}

fn daemon(folder: &Path, broker: u16, http: u16) -> Running {
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{http}\"\n[[source]]\nname = \"plant\"\nkind = \"mqtt\"\nurl = \"mqtt://127.0.0.1:{broker}\"\n\
         subscribe = [{{ filter = \"ours/+device\", qos = 1 }}]\n[source.map]\nkey = \"topic\"\nstatus = \"payload.status\"\n\
         severity = \"payload.severity\"\nsummary = \"payload.summary\"\nlabels = \"payload.labels\"\nci = \"labels.device\"\n"
    );
    std::fs::write(folder.join("w.toml"), config).expect("its configuration");
    let child = Command::new(env!("CARGO_BIN_EXE_watchbell"))
        .args(["serve", "--config", "w.toml"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn();
    Running(child.expect("the daemon"))
}

async fn reachable(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn text(client: &reqwest::Client, url: &str) -> String {
    match client.get(url).send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Publishes and waits until Watchbell has stored everything.
async fn our_round(broker: u16, client: &reqwest::Client, url: &str) -> f64 {
    let metrics = format!("{url}/metrics");
    let before = taken(&text(client, &metrics).await);
    let began = Instant::now();
    let publisher = tokio::task::spawn(publish(broker, "ours"));
    let all = async {
        while taken(&text(client, &metrics).await) < before + MESSAGES {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("everything is stored");
    publisher.await.expect("the publisher ends");
    MESSAGES as f64 / began.elapsed().as_secs_f64()
}

/// Messages that are stored, the same again or not.
fn taken(metrics: &str) -> usize {
    let of = |outcome: &str| {
        let name = format!("watchbell_messages_total{{source=\"plant\",outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|count| count.parse::<usize>().ok())
            .unwrap_or(0)
    };
    of("stored") + of("duplicate")
}

/// Publishes and waits until rumqttc's own client has received and acknowledged everything.
async fn bare_round(broker: u16, round: usize) -> f64 {
    let mut options = MqttOptions::new(format!("bare-{round}"), "127.0.0.1", broker);
    options.set_manual_acks(true);
    options.set_connection_timeout(10);
    let (client, mut events) = AsyncClient::new(options, MESSAGES);
    client
        .subscribe("bare/+", QoS5::AtLeastOnce)
        .await
        .expect("a subscription");
    loop {
        if let Event::Incoming(Incoming::SubAck(_)) = events.poll().await.expect("a connection") {
            break;
        }
    }
    let began = Instant::now();
    let publisher = tokio::task::spawn(publish(broker, "bare"));
    let (mut count, mut waiting) = (0, Vec::with_capacity(ACKS));
    while count < MESSAGES {
        let event = timeout(PATIENCE, events.poll()).await.expect("messages");
        if let Event::Incoming(Incoming::Publish(publish)) = event.expect("the connection stays") {
            count += 1;
            waiting.push(publish);
            if waiting.len() >= ACKS || count == MESSAGES {
                for publish in waiting.drain(..) {
                    client
                        .try_ack(&publish)
                        .expect("room for an acknowledgement");
                }
            }
        }
    }
    let rate = MESSAGES as f64 / began.elapsed().as_secs_f64();
    publisher.await.expect("the publisher ends");
    rate
}

/// Publishes all messages of a round with quality 1, many under way at a time.
async fn publish(broker: u16, prefix: &'static str) {
    let mut stream = TcpStream::connect(("127.0.0.1", broker))
        .await
        .expect("the broker");
    let (mut out, mut buffer) = (BytesMut::new(), BytesMut::new());
    let connect = v4::Connect::new(format!("publisher-{prefix}"));
    v4::Packet::Connect(connect)
        .write(&mut out, usize::MAX)
        .expect("a packet");
    let (mut sent, mut answered) = (0, 0);
    let mut is_connected = false;
    while answered < MESSAGES {
        while is_connected && sent < MESSAGES && sent - answered < UNDER_WAY {
            let device = sent % ACTIVE;
            let payload = format!(
                "{{\"status\":\"firing\",\"severity\":\"critical\",\"summary\":\"motor {device} is hot\",\"labels\":{{\"line\":\"7\",\"n\":\"{}\",\"pad\":\"{:0>300}\"}}}}",
                device % 7,
                device,
            );
            let mut publish =
                v4::Publish::new(format!("{prefix}/{device}"), QoS::AtLeastOnce, payload);
            publish.pkid = u16::try_from(sent % 60_000 + 1).expect("a packet id");
            v4::Packet::Publish(publish)
                .write(&mut out, usize::MAX)
                .expect("a packet");
            sent += 1;
        }
        stream.write_all(&out).await.expect("the broker takes them");
        out.clear();
        stream
            .read_buf(&mut buffer)
            .await
            .expect("the broker answers");
        while let Ok(packet) = v4::Packet::read(&mut buffer, usize::MAX) {
            match packet {
                v4::Packet::ConnAck(_) => is_connected = true,
                v4::Packet::PubAck(_) => answered += 1,
                _ => {}
            }
        }
    }
}
