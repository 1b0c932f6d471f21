//! The bytes of one connection: read into packets, written together.
//!
//! Must not know what a packet means.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::packets::{Connected, Frames, Packet};
use super::session::Ended;
use super::write::{Hello, Writer};

/// Time for the answer to a CONNECT, and for each write.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of room that each read is given.
const READ_BYTES: usize = 16 * 1024;

/// Anything that carries bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    pub(super) frames: Frames,
    pub(super) writer: Writer,
    /// What is to be written.
    pub(super) out: BytesMut,
    /// When something was read last.
    pub(super) read_at: Instant,
}

impl Line {
    /// Introduces us; returns the broker's answer, if it is no refusal.
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        hello: &Hello,
        is_clean: bool,
    ) -> Result<(Self, Connected), Ended> {
        let packet_max = usize::try_from(hello.packet_max).unwrap_or(usize::MAX);
        let mut line = Self {
            stream,
            frames: Frames::new(hello.version, packet_max),
            writer: Writer(hello.version),
            out: BytesMut::new(),
            read_at: Instant::now(),
        };
        line.writer.connect(hello, is_clean, &mut line.out)?;
        line.flush().await?;
        let Ok(answer) = timeout(ANSWER_TIMEOUT, line.answer()).await else {
            let text = "the broker does not answer; is this its MQTT port, and with or without TLS as the url says?";
            return Err(Ended::Lost(text.to_owned()));
        };
        let connected = answer?;
        match connected.refusal {
            Some(refusal) => Err(Ended::Lost(refusal)),
            None => Ok((line, connected)),
        }
    }

    async fn answer(&mut self) -> Result<Connected, Ended> {
        loop {
            match self.frames.next()? {
                Some(Packet::Connected(connected)) => return Ok(connected),
                Some(_) => {
                    let text = "the broker answers a connect with something else";
                    return Err(Ended::Lost(text.to_owned()));
                }
                None => self.read().await?,
            }
        }
    }

    /// Waits for bytes; may be dropped while waiting.
    pub(super) async fn read(&mut self) -> Result<(), Ended> {
        self.frames.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.frames.buffer).await;
        self.read_at = Instant::now();
        match read {
            Ok(0) => Err(Ended::Lost(
                "the broker has closed the connection".to_owned(),
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(Ended::Lost(format!("the connection broke: {error}"))),
        }
    }

    /// Writes what is to be written.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = timeout(ANSWER_TIMEOUT, async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => {
                self.out.clear();
                Ok(())
            }
            Ok(Err(error)) => Err(Ended::Lost(format!("the connection broke: {error}"))),
            Err(_) => Err(Ended::Lost("the broker takes nothing any more".to_owned())),
        }
    }

    /// Says goodbye; how the connection ends does not matter any more.
    pub(super) async fn close(&mut self) {
        self.writer.disconnect(&mut self.out);
        drop(self.flush().await);
    }
}
