//! Which HTTP a cleartext client speaks, by its first bytes.
//!
//! An HTTP/2 client with prior knowledge begins with a fixed preface (RFC 9113, section 3.4). Reading stops at the
//! first byte that differs; what was read is handed on. Must be called under a deadline.

use std::io::{self, Cursor};

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, Chain, Join, ReadHalf, WriteHalf, join, split,
};

/// The first bytes of every HTTP/2 connection.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes were read and are given again.
pub(super) type Replayed<S> = Join<Chain<Cursor<Vec<u8>>, ReadHalf<S>>, WriteHalf<S>>;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Reads until the protocol is certain; `None` when the client closed without a byte.
pub(super) async fn sniff<S>(mut stream: S) -> io::Result<Option<(Version, Replayed<S>)>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut first = Vec::with_capacity(PREFACE.len());
    let version = loop {
        let left = u64::try_from(PREFACE.len().saturating_sub(first.len())).unwrap_or(0);
        if left == 0 {
            break Version::Http2;
        }
        let read = (&mut stream).take(left).read_buf(&mut first).await?;
        if read == 0 && first.is_empty() {
            return Ok(None);
        }
        if read == 0 || !PREFACE.starts_with(&first) {
            break Version::Http1;
        }
    };
    let (reader, writer) = split(stream);
    Ok(Some((
        version,
        join(Cursor::new(first).chain(reader), writer),
    )))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    async fn of(pieces: &[&str]) -> Option<(Version, String)> {
        let (mut client, server) = duplex(1024);
        let send = async {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let ((), sniffed) = tokio::join!(send, sniff(server));
        let (version, mut stream) = sniffed.unwrap()?;
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        Some((version, all))
    }

    #[tokio::test]
    async fn first_bytes_decide_and_none_is_lost() {
        let cases: [(&[&str], Version); 5] = [
            (&["GET / HTTP/1.1\r\n\r\n"], Version::Http1),
            (&["P", "OST / HTTP/1.1\r\n\r\n"], Version::Http1),
            (&["PRI * HTTP/1.1\r\n\r\n"], Version::Http1),
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest"], Version::Http2),
            (
                &["PRI * HT", "TP/2.0\r\n\r\nSM\r", "\n\r\nrest"],
                Version::Http2,
            ),
        ];
        for (pieces, version) in cases {
            assert_eq!(of(pieces).await, Some((version, pieces.concat())));
        }
        assert_eq!(of(&[]).await, None);
        assert_eq!(of(&["PRI"]).await, Some((Version::Http1, "PRI".into())));
    }
}
