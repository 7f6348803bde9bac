//! Packets as they stand on the wire (MQTT 3.1.1, 2 and 3): what clients send is read, what a broker sends is
//! written. Reading is strict: reserved bits, lengths and texts that are not as the standard says end the
//! connection, as it demands.

use super::{Message, topic};

/// What a client may send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connect(Connect),
    /// A CONNECT of MQTT 3.1 or 5; the rest of it was not read.
    ForeignConnect,
    /// With the packet id to acknowledge, at QoS 1.
    Publish(Message, Option<u16>),
    PubAck(u16),
    /// Filters with the QoS asked for.
    Subscribe(u16, Vec<(String, u8)>),
    Unsubscribe(u16, Vec<String>),
    PingReq,
    Disconnect,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) client_id: String,
    pub(super) clean_session: bool,
    /// Seconds; 0 is for ever.
    pub(super) keep_alive: u16,
    pub(super) will: Option<Message>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Vec<u8>>,
}

/// Not a packet that this broker takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// CONNACK codes (3.2.2.3).
pub(super) const ACCEPTED: u8 = 0;
pub(super) const WRONG_VERSION: u8 = 1;
pub(super) const BAD_CLIENT_ID: u8 = 2;
pub(super) const NOT_AUTHORISED: u8 = 5;

/// SUBACK: this filter was not granted.
pub(super) const NOT_GRANTED: u8 = 0x80;

pub(super) const PINGRESP: [u8; 2] = [0xd0, 0];

/// Take the first packet off `buffer`, or `None` while there is not all of it.
pub(super) fn take(buffer: &mut Vec<u8>, bytes_max: usize) -> Result<Option<Packet>, Malformed> {
    let Some((&head, rest)) = buffer.split_first() else {
        return Ok(None);
    };
    let (mut length, mut used) = (0, 0);
    loop {
        let Some(&byte) = rest.get(used) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * used);
        used += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if used == 4 {
            return Err(Malformed);
        }
    }
    if length > bytes_max {
        return Err(Malformed);
    }
    let Some(body) = rest.get(used..used + length) else {
        return Ok(None);
    };
    let packet = read(head, Fields(body))?;
    buffer.drain(..1 + used + length);
    Ok(Some(packet))
}

fn read(head: u8, mut fields: Fields<'_>) -> Result<Packet, Malformed> {
    let packet = match (head >> 4, head & 0x0f) {
        (1, 0) => return read_connect(fields),
        (3, flags) => return read_publish(flags, fields),
        (4, 0) => Packet::PubAck(fields.id()?),
        (8, 2) => {
            let (id, mut filters) = (fields.id()?, Vec::new());
            while !fields.0.is_empty() {
                let filter = fields.filter()?;
                match fields.byte()? {
                    qos @ 0..=2 => filters.push((filter, qos)),
                    _ => return Err(Malformed),
                }
            }
            if filters.is_empty() {
                return Err(Malformed);
            }
            Packet::Subscribe(id, filters)
        }
        (10, 2) => {
            let (id, mut filters) = (fields.id()?, Vec::new());
            while !fields.0.is_empty() {
                filters.push(fields.filter()?);
            }
            if filters.is_empty() {
                return Err(Malformed);
            }
            Packet::Unsubscribe(id, filters)
        }
        (12, 0) => Packet::PingReq,
        (14, 0) => Packet::Disconnect,
        _ => return Err(Malformed),
    };
    fields.end().map(|()| packet)
}

fn read_connect(mut fields: Fields<'_>) -> Result<Packet, Malformed> {
    let protocol = fields.text()?;
    if (protocol.as_str(), fields.byte()?) != ("MQTT", 4) {
        return Ok(Packet::ForeignConnect);
    }
    let flags = fields.byte()?;
    let has = |bit: u8| flags & bit != 0;
    let (user, password, will_retained, will) = (has(0x80), has(0x40), has(0x20), has(0x04));
    let will_qos = (flags >> 3) & 3;
    let stray = has(0x01) || (password && !user) || (!will && (will_retained || will_qos > 0));
    if stray || will_qos > 1 {
        return Err(Malformed);
    }
    let keep_alive = fields.number()?;
    let client_id = fields.text()?;
    let will = if will {
        let topic = fields.name()?;
        Some(Message {
            topic,
            payload: fields.binary()?.to_vec(),
            retained: will_retained,
            qos: will_qos,
        })
    } else {
        None
    };
    let connect = Connect {
        client_id,
        clean_session: has(0x02),
        keep_alive,
        will,
        user: user.then(|| fields.text()).transpose()?,
        password: password
            .then(|| fields.binary().map(<[u8]>::to_vec))
            .transpose()?,
    };
    fields.end().map(|()| Packet::Connect(connect))
}

fn read_publish(flags: u8, mut fields: Fields<'_>) -> Result<Packet, Malformed> {
    let qos = (flags >> 1) & 3;
    let again = flags & 0x08 != 0;
    if qos > 1 || (qos == 0 && again) {
        return Err(Malformed);
    }
    let topic = fields.name()?;
    let id = if qos == 1 { Some(fields.id()?) } else { None };
    let message = Message {
        topic,
        payload: fields.0.to_vec(),
        retained: flags & 1 != 0,
        qos,
    };
    Ok(Packet::Publish(message, id))
}

/// The fields of a packet not yet read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        self.bytes(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A packet id, which is never 0.
    fn id(&mut self) -> Result<u16, Malformed> {
        self.number()
            .and_then(|id| if id == 0 { Err(Malformed) } else { Ok(id) })
    }

    fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.bytes(length.into())
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Malformed)?;
        if text.contains('\0') {
            return Err(Malformed);
        }
        Ok(text.to_owned())
    }

    fn name(&mut self) -> Result<String, Malformed> {
        self.text().and_then(|text| {
            if topic::is_name(&text) {
                Ok(text)
            } else {
                Err(Malformed)
            }
        })
    }

    fn filter(&mut self) -> Result<String, Malformed> {
        self.text().and_then(|text| {
            if topic::is_filter(&text) {
                Ok(text)
            } else {
                Err(Malformed)
            }
        })
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// The answer to CONNECT; never with a session present.
pub(super) fn connack(code: u8) -> Vec<u8> {
    vec![0x20, 2, 0, code]
}

/// A message for a subscriber; `id` at QoS 1 and only then.
pub(super) fn publish(message: &Message, retained: bool, id: Option<u16>) -> Vec<u8> {
    let topic = message.topic.as_bytes();
    let topic_length = u16::try_from(topic.len()).expect("a topic name fits a two-byte length");
    let mut body = topic_length.to_be_bytes().to_vec();
    body.extend_from_slice(topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend_from_slice(&message.payload);
    framed(0x30 | u8::from(id.is_some()) << 1 | u8::from(retained), &body)
}

/// The broker has it.
pub(super) fn puback(id: u16) -> Vec<u8> {
    framed(0x40, &id.to_be_bytes())
}

/// What was granted, one byte for each filter asked for.
pub(super) fn suback(id: u16, granted: &[u8]) -> Vec<u8> {
    framed(0x90, &[&id.to_be_bytes(), granted].concat())
}

/// Unsubscribed.
pub(super) fn unsuback(id: u16) -> Vec<u8> {
    framed(0xb0, &id.to_be_bytes())
}

fn framed(head: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![head];
    let mut left = body.len();
    loop {
        let seven = (left & 0x7f) as u8;
        left >>= 7;
        packet.push(if left > 0 { seven | 0x80 } else { seven });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}
