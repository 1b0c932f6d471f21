//! What a broker is sent, in both revisions of MQTT, over rumqttc's codecs.
//!
//! Must not do I/O, and must not acknowledge anything by itself.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{QoS as V3QoS, v4 as v3};
use rumqttc::v5::mqttbytes::{QoS as V5QoS, v5};

use super::Version;
use super::packets::Malformed;

/// How we introduce ourselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// The revision.
    pub version: Version,
    /// Stable and unique.
    pub client_id: String,
    /// Seconds.
    pub keep_alive: u16,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Seconds that the broker keeps our session (MQTT 5).
    pub session_expiry: u32,
    /// Bytes of a packet that we take.
    pub packet_max: u32,
    /// Messages without an answer that we take (MQTT 5).
    pub receive_max: u16,
}

/// What is subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: String,
    pub(super) qos: u8,
}

/// Writes packets of one revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer(pub(super) Version);

impl Writer {
    /// A CONNECT; a clean one leaves no session behind.
    pub(super) fn connect(
        self,
        hello: &Hello,
        is_clean: bool,
        out: &mut BytesMut,
    ) -> Result<(), Malformed> {
        match self.0 {
            Version::V3 => {
                let mut connect = v3::Connect::new(&hello.client_id);
                connect.clean_session = is_clean;
                connect.keep_alive = hello.keep_alive;
                if let Some((user, password)) = &hello.login {
                    connect.set_login(user, password);
                }
                self.v3(&v3::Packet::Connect(connect), out)
            }
            Version::V5 => {
                let mut properties = v5::ConnectProperties::new();
                properties.session_expiry_interval =
                    Some(if is_clean { 0 } else { hello.session_expiry });
                properties.receive_maximum = Some(hello.receive_max);
                properties.max_packet_size = Some(hello.packet_max);
                let connect = v5::Connect {
                    keep_alive: hello.keep_alive,
                    client_id: hello.client_id.clone(),
                    clean_start: is_clean,
                    properties: Some(properties),
                };
                let login = hello.login.as_ref();
                let login = login.map(|(user, password)| v5::Login::new(user, password));
                self.v5(&v5::Packet::Connect(connect, None, login), out)
            }
        }
    }

    pub(super) fn subscribe(self, wanted: &[Wanted], out: &mut BytesMut) -> Result<(), Malformed> {
        match self.0 {
            Version::V3 => {
                let filters = wanted.iter().map(|wanted| v3::SubscribeFilter {
                    path: wanted.filter.clone(),
                    qos: match wanted.qos {
                        0 => V3QoS::AtMostOnce,
                        1 => V3QoS::AtLeastOnce,
                        _ => V3QoS::ExactlyOnce,
                    },
                });
                let mut subscribe = v3::Subscribe::new_many(filters);
                subscribe.pkid = 1;
                self.v3(&v3::Packet::Subscribe(subscribe), out)
            }
            Version::V5 => {
                let filters = wanted.iter().map(|wanted| {
                    let mut filter = v5::Filter::new(&wanted.filter, qos(wanted.qos));
                    // What the broker kept is only wanted when the subscription is new to it. A shared one never
                    // gets it, and brokers may refuse the option there.
                    if !wanted.filter.starts_with("$share/") {
                        filter.retain_forward_rule = v5::RetainForwardRule::OnNewSubscribe;
                    }
                    filter
                });
                let mut subscribe = v5::Subscribe::new_many(filters, None);
                subscribe.pkid = 1;
                self.v5(&v5::Packet::Subscribe(subscribe), out)
            }
        }
    }

    pub(super) fn unsubscribe(
        self,
        filters: &[String],
        out: &mut BytesMut,
    ) -> Result<(), Malformed> {
        match self.0 {
            Version::V3 => {
                let mut packet = v3::Unsubscribe::new("");
                packet.pkid = 2;
                packet.topics = filters.to_vec();
                self.v3(&v3::Packet::Unsubscribe(packet), out)
            }
            Version::V5 => {
                let packet = v5::Unsubscribe {
                    pkid: 2,
                    filters: filters.to_vec(),
                    properties: None,
                };
                self.v5(&v5::Packet::Unsubscribe(packet), out)
            }
        }
    }

    /// PUBACK for quality 1, PUBREC for quality 2.
    pub(super) fn acknowledge(self, qos: u8, pkid: u16, out: &mut BytesMut) {
        match qos {
            0 => {}
            1 => short(0x40, pkid, out),
            _ => short(0x50, pkid, out),
        }
    }

    /// PUBCOMP.
    pub(super) fn complete(self, pkid: u16, out: &mut BytesMut) {
        short(0x70, pkid, out);
    }

    pub(super) fn ping(self, out: &mut BytesMut) {
        out.extend_from_slice(&[0xc0, 0]);
    }

    pub(super) fn disconnect(self, out: &mut BytesMut) {
        out.extend_from_slice(&[0xe0, 0]);
    }

    /// A message of quality 0.
    pub(super) fn publish(
        self,
        topic: &str,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), Malformed> {
        match self.0 {
            Version::V3 => {
                let packet = v3::Publish::new(topic, V3QoS::AtMostOnce, payload);
                self.v3(&v3::Packet::Publish(packet), out)
            }
            Version::V5 => {
                let payload = Bytes::copy_from_slice(payload);
                let packet = v5::Publish::new(topic, V5QoS::AtMostOnce, payload, None);
                self.v5(&v5::Packet::Publish(packet), out)
            }
        }
    }

    fn v3(self, packet: &v3::Packet, out: &mut BytesMut) -> Result<(), Malformed> {
        packet.write(out, usize::MAX)?;
        Ok(())
    }

    fn v5(self, packet: &v5::Packet, out: &mut BytesMut) -> Result<(), Malformed> {
        packet.write(out, None)?;
        Ok(())
    }
}

/// Two bytes of packet id, success: the same in both revisions (5.0, sections 3.4.2.1, 3.5.2.1 and 3.7.2.1).
fn short(first: u8, pkid: u16, out: &mut BytesMut) {
    let [high, low] = pkid.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

const fn qos(number: u8) -> V5QoS {
    match number {
        0 => V5QoS::AtMostOnce,
        1 => V5QoS::AtLeastOnce,
        _ => V5QoS::ExactlyOnce,
    }
}
