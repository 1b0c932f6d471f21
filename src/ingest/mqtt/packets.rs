//! What a broker sends, in both revisions of MQTT as one small vocabulary, over rumqttc's codecs.
//!
//! Only the codecs of rumqttc are used: its event loop restarts with the state of the last connection, fails for ever on
//! a release that it does not know (rumqtt#664), ends the connection on a packet that is too large (#924), and writes
//! each acknowledgement by itself. Must not do I/O.

use bytes::{Buf as _, Bytes, BytesMut};
use rumqttc::mqttbytes::{Error as V3Error, QoS as V3QoS, v4 as v3};
use rumqttc::v5::mqttbytes::{Error as V5Error, QoS as V5QoS, v5};
use smol_str::SmolStr;

use super::Version;

/// Bytes of the length of a packet.
const LENGTH_BYTES_MAX: usize = 4;

/// What came.
#[derive(Debug)]
pub(super) enum Packet {
    /// The answer to a connect.
    Connected(Connected),
    /// A message.
    Publish(Publish),
    /// A message that is larger than we take; its payload is passed over.
    TooLarge {
        /// Without its payload.
        publish: Publish,
        /// Bytes of the whole packet.
        size: usize,
    },
    /// The sender of a message of quality 2 lets go of its packet id.
    Release(u16),
    /// What became of each subscription: the quality that was granted, or why it was refused.
    Subscribed(Vec<Result<u8, String>>),
    /// The broker closes the connection.
    Disconnect(String),
    /// Something that needs no answer.
    Other,
}

/// The answer to a connect.
#[derive(Debug)]
pub(super) struct Connected {
    /// Whether the broker still has our session.
    pub(super) is_present: bool,
    /// Why it refused; `None` when it did not.
    pub(super) refusal: Option<String>,
    /// The keep-alive that it wants instead of ours, in seconds.
    pub(super) keep_alive: Option<u16>,
}

/// A message.
#[derive(Debug, Default)]
pub(super) struct Publish {
    pub(super) qos: u8,
    pub(super) pkid: u16,
    pub(super) is_again: bool,
    pub(super) is_retained: bool,
    pub(super) topic: SmolStr,
    pub(super) payload: Bytes,
    pub(super) content_type: Option<String>,
    pub(super) properties: Vec<(SmolStr, SmolStr)>,
}

/// A packet that cannot be read or written; the connection cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(String);

impl From<V3Error> for Malformed {
    fn from(error: V3Error) -> Self {
        Self(format!("a packet cannot be read: {error}"))
    }
}

impl From<V5Error> for Malformed {
    fn from(error: V5Error) -> Self {
        Self(format!("a packet cannot be read: {error}"))
    }
}

/// Cuts a stream into packets.
#[derive(Debug)]
pub(super) struct Frames {
    version: Version,
    packet_max: usize,
    /// What was read and not cut yet.
    pub(super) buffer: BytesMut,
    to_skip: usize,
}

impl Frames {
    /// Of a new connection.
    pub(super) fn new(version: Version, packet_max: usize) -> Self {
        Self {
            version,
            packet_max,
            buffer: BytesMut::with_capacity(64 * 1024),
            to_skip: 0,
        }
    }

    /// The next packet; `None` when more has to be read first.
    ///
    /// # Errors
    /// The stream makes no sense any more.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, Malformed> {
        let skipped = self.to_skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.to_skip = self.to_skip.saturating_sub(skipped);
        let Some((first, head, rest)) = header(&self.buffer)? else {
            return Ok(None);
        };
        let size = head.saturating_add(rest);
        if size > self.packet_max {
            return self.too_large(first, head, size);
        }
        if self.buffer.len() < size {
            let missing = size.saturating_sub(self.buffer.len());
            self.buffer.reserve(missing);
            return Ok(None);
        }
        match self.version {
            // A close without a reason has no body, which the codec takes for a mistake.
            Version::V5 if first >> 4 == 14 && rest == 0 => {
                self.buffer.advance(size);
                Ok(Some(Packet::Disconnect("without a reason".to_owned())))
            }
            Version::V5 => v5::Packet::read(&mut self.buffer, None)
                .map_err(Malformed::from)
                .and_then(from_v5)
                .map(Some),
            Version::V3 => Ok(Some(from_v3(v3::Packet::read(
                &mut self.buffer,
                usize::MAX,
            )?))),
        }
    }

    /// Reads what comes before the payload, and passes over the rest.
    fn too_large(
        &mut self,
        first: u8,
        head: usize,
        size: usize,
    ) -> Result<Option<Packet>, Malformed> {
        if first >> 4 != 3 {
            return Err(Malformed(format!("a packet of {size} bytes is no message")));
        }
        let qos = (first >> 1) & 3;
        let byte = |at: usize| self.buffer.get(at).copied().map(usize::from);
        let two = |at: usize| Some(byte(at)? * 256 + byte(at.saturating_add(1))?);
        let Some(topic_len) = two(head) else {
            return Ok(None);
        };
        let topic_at = head.saturating_add(2);
        let topic_end = topic_at.saturating_add(topic_len);
        let end = topic_end.saturating_add(if qos == 0 { 0 } else { 2 });
        if end > size {
            return Err(Malformed("a topic is longer than its packet".to_owned()));
        }
        if self.buffer.len() < end {
            return Ok(None);
        }
        let pkid = if qos == 0 { None } else { two(topic_end) };
        let topic = self.buffer.get(topic_at..topic_end).unwrap_or_default();
        let publish = Publish {
            qos,
            pkid: pkid
                .and_then(|id| u16::try_from(id).ok())
                .unwrap_or_default(),
            is_again: first & 8 != 0,
            is_retained: first & 1 != 0,
            topic: SmolStr::new(String::from_utf8_lossy(topic)),
            ..Publish::default()
        };
        self.buffer.advance(end);
        self.to_skip = size.saturating_sub(end);
        Ok(Some(Packet::TooLarge { publish, size }))
    }
}

/// First byte, bytes of the fixed header, bytes after it.
fn header(buffer: &[u8]) -> Result<Option<(u8, usize, usize)>, Malformed> {
    let Some((&first, lengths)) = buffer.split_first() else {
        return Ok(None);
    };
    let (mut rest, mut shift) = (0_usize, 0_u32);
    for (at, &byte) in lengths.iter().take(LENGTH_BYTES_MAX).enumerate() {
        rest |= usize::from(byte & 0x7f) << shift;
        shift = shift.saturating_add(7);
        if byte & 0x80 == 0 {
            return Ok(Some((first, at.saturating_add(2), rest)));
        }
    }
    if lengths.len() < LENGTH_BYTES_MAX {
        return Ok(None);
    }
    Err(Malformed(
        "a packet has no length; is this an MQTT broker?".to_owned(),
    ))
}

fn from_v3(packet: v3::Packet) -> Packet {
    match packet {
        v3::Packet::ConnAck(ack) => Packet::Connected(Connected {
            is_present: ack.session_present,
            refusal: (ack.code != v3::ConnectReturnCode::Success)
                .then(|| advised(&format!("{:?}", ack.code))),
            keep_alive: None,
        }),
        v3::Packet::Publish(publish) => Packet::Publish(Publish {
            qos: match publish.qos {
                V3QoS::AtMostOnce => 0,
                V3QoS::AtLeastOnce => 1,
                V3QoS::ExactlyOnce => 2,
            },
            pkid: publish.pkid,
            is_again: publish.dup,
            is_retained: publish.retain,
            topic: SmolStr::from(publish.topic),
            payload: publish.payload,
            ..Publish::default()
        }),
        v3::Packet::PubRel(release) => Packet::Release(release.pkid),
        v3::Packet::SubAck(ack) => {
            let each = ack.return_codes.into_iter().map(|code| match code {
                v3::SubscribeReasonCode::Success(V3QoS::AtMostOnce) => Ok(0),
                v3::SubscribeReasonCode::Success(V3QoS::AtLeastOnce) => Ok(1),
                v3::SubscribeReasonCode::Success(V3QoS::ExactlyOnce) => Ok(2),
                v3::SubscribeReasonCode::Failure => Err("refused".to_owned()),
            });
            Packet::Subscribed(each.collect())
        }
        v3::Packet::Disconnect => Packet::Disconnect("without a reason".to_owned()),
        v3::Packet::Connect(_)
        | v3::Packet::PubAck(_)
        | v3::Packet::PubRec(_)
        | v3::Packet::PubComp(_)
        | v3::Packet::Subscribe(_)
        | v3::Packet::Unsubscribe(_)
        | v3::Packet::UnsubAck(_)
        | v3::Packet::PingReq
        | v3::Packet::PingResp => Packet::Other,
    }
}

fn from_v5(packet: v5::Packet) -> Result<Packet, Malformed> {
    Ok(match packet {
        v5::Packet::ConnAck(ack) => Packet::Connected(Connected {
            is_present: ack.session_present,
            refusal: (ack.code != v5::ConnectReturnCode::Success)
                .then(|| advised(&format!("{:?}", ack.code))),
            keep_alive: ack
                .properties
                .and_then(|properties| properties.server_keep_alive),
        }),
        v5::Packet::Publish(publish) => Packet::Publish(publish_of(publish)?),
        v5::Packet::PubRel(release) => Packet::Release(release.pkid),
        v5::Packet::SubAck(ack) => {
            let each = ack.return_codes.into_iter().map(|code| match code {
                v5::SubscribeReasonCode::Success(qos) => Ok(number(qos)),
                v5::SubscribeReasonCode::Failure
                | v5::SubscribeReasonCode::Unspecified
                | v5::SubscribeReasonCode::ImplementationSpecific
                | v5::SubscribeReasonCode::NotAuthorized
                | v5::SubscribeReasonCode::TopicFilterInvalid
                | v5::SubscribeReasonCode::PkidInUse
                | v5::SubscribeReasonCode::QuotaExceeded
                | v5::SubscribeReasonCode::SharedSubscriptionsNotSupported
                | v5::SubscribeReasonCode::SubscriptionIdNotSupported
                | v5::SubscribeReasonCode::WildcardSubscriptionsNotSupported => {
                    Err(spaced(&format!("{code:?}")))
                }
            });
            Packet::Subscribed(each.collect())
        }
        v5::Packet::Disconnect(disconnect) => {
            Packet::Disconnect(spaced(&format!("{:?}", disconnect.reason_code)))
        }
        v5::Packet::Auth(_)
        | v5::Packet::Connect(..)
        | v5::Packet::PubAck(_)
        | v5::Packet::PubRec(_)
        | v5::Packet::PubComp(_)
        | v5::Packet::Subscribe(_)
        | v5::Packet::Unsubscribe(_)
        | v5::Packet::UnsubAck(_)
        | v5::Packet::PingReq(_)
        | v5::Packet::PingResp(_) => Packet::Other,
    })
}

fn publish_of(publish: v5::Publish) -> Result<Publish, Malformed> {
    let topic =
        str::from_utf8(&publish.topic).map_err(|_| Malformed("a topic is not UTF-8".to_owned()))?;
    let (mut content_type, mut properties) = (None, Vec::new());
    if let Some(given) = publish.properties {
        content_type = given.content_type;
        let pairs = given.user_properties.into_iter();
        properties = pairs
            .map(|(name, text)| (SmolStr::new(name.to_lowercase()), SmolStr::from(text)))
            .collect();
    }
    Ok(Publish {
        qos: number(publish.qos),
        pkid: publish.pkid,
        is_again: publish.dup,
        is_retained: publish.retain,
        topic: SmolStr::new(topic),
        payload: publish.payload,
        content_type,
        properties,
    })
}

const fn number(qos: V5QoS) -> u8 {
    match qos {
        V5QoS::AtMostOnce => 0,
        V5QoS::AtLeastOnce => 1,
        V5QoS::ExactlyOnce => 2,
    }
}

/// A name of the standard in words.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn advised(code: &str) -> String {
    let next = match code {
        "BadUserNamePassword" | "NotAuthorized" => {
            "check user and password, and the broker's access list"
        }
        "RefusedProtocolVersion" | "UnsupportedProtocolVersion" => "set version = 3 in the source",
        "BadClientId" | "ClientIdentifierNotValid" => "set a client_id that the broker takes",
        _ => "the broker's log says more",
    };
    format!(
        "the broker refuses the connection ({}); {next}",
        spaced(code)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    /// A packet PUBLISH of quality 1.
    fn publish(topic: &str, pkid: u16, payload: &[u8], version: Version) -> BytesMut {
        let mut body = BytesMut::new();
        body.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&pkid.to_be_bytes());
        if version == Version::V5 {
            body.extend_from_slice(&[0]);
        }
        body.extend_from_slice(payload);
        let mut packet = BytesMut::from(&[0x32][..]);
        let mut rest = body.len();
        loop {
            let [low, ..] = (rest % 128).to_le_bytes();
            rest /= 128;
            packet.extend_from_slice(&[if rest > 0 { low | 0x80 } else { low }]);
            if rest == 0 {
                break;
            }
        }
        packet.extend_from_slice(&body);
        packet
    }

    #[test]
    fn what_is_too_large_is_passed_over_in_any_pieces() {
        for (version, piece) in [(Version::V3, 1), (Version::V5, 7), (Version::V3, 100_000)] {
            let mut stream = publish("a/large", 7, &[b'x'; 5_000], version);
            stream.extend_from_slice(&publish("a/small", 8, b"ON", version));
            let mut frames = Frames::new(version, 1_000);
            let mut got = Vec::new();
            for piece in stream.chunks(piece) {
                frames.buffer.extend_from_slice(piece);
                while let Some(packet) = frames.next().unwrap() {
                    got.push(packet);
                }
            }
            let [
                Packet::TooLarge {
                    publish: large,
                    size,
                },
                Packet::Publish(small),
            ] = &got[..]
            else {
                panic!("{got:?}");
            };
            assert_eq!(
                (large.topic.as_str(), large.pkid, large.qos),
                ("a/large", 7, 1)
            );
            assert!(*size > 5_000);
            assert_eq!(
                (small.topic.as_str(), small.pkid, &small.payload[..]),
                ("a/small", 8, &b"ON"[..])
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), is_five in any::<bool>()) {
            let version = if is_five { Version::V5 } else { Version::V3 };
            let mut frames = Frames::new(version, 64);
            frames.buffer.extend_from_slice(&bytes);
            let mut count = 0;
            while let Ok(Some(_)) = frames.next() {
                count += 1;
                prop_assert!(count <= bytes.len(), "each packet takes bytes");
            }
        }

        #[test]
        fn what_is_written_is_read(topic in "[a-zä/]{1,20}", pkid in 1..=u16::MAX, payload in prop::collection::vec(any::<u8>(), 0..50)) {
            for version in [Version::V3, Version::V5] {
                let mut frames = Frames::new(version, 1_000);
                frames.buffer = publish(&topic, pkid, &payload, version);
                let Ok(Some(Packet::Publish(got))) = frames.next() else {
                    return Err(proptest::test_runner::TestCaseError::fail("no publish"));
                };
                prop_assert_eq!((got.topic.as_str(), got.pkid, &got.payload[..]), (topic.as_str(), pkid, &payload[..]));
            }
        }
    }
}
