//! The listener's certificate in DER: one fixed form, an X.509 v3 certificate signed with its own P-256 key (RFC 5280).
//!
//! Written here because the one crate that makes certificates would bring six others for these hundred lines. Read
//! back only as far as its dates, as is the certificate for the broker: whoever connects judges the rest.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{EcdsaKeyPair, KeyPair};
use std::net::IpAddr;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SERVER_AUTHENTICATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// From when to when a certificate is good, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub not_before: i64,
    pub not_after: i64,
}

/// Writes and signs a certificate for `names` (host names and addresses), known to people as `title`. Nothing if the
/// system gives no random numbers.
pub fn certificate(key: &EcdsaKeyPair, title: &str, names: &[String], dates: Dates) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let mut serial = [0; 16];
    random.fill(&mut serial).ok()?;
    // Positive, and without a leading zero.
    serial[0] = serial[0] & 0x3f | 0x40;
    let algorithm = tlv(SEQUENCE, &tlv(OID, ECDSA_WITH_SHA256));
    let name = [tlv(OID, COMMON_NAME), tlv(UTF8, title.as_bytes())].concat();
    let name = tlv(SEQUENCE, &tlv(SET, &tlv(SEQUENCE, &name)));
    let validity = [time(dates.not_before)?, time(dates.not_after)?].concat();
    let curve = [tlv(OID, EC_PUBLIC_KEY), tlv(OID, P_256)].concat();
    let public = [tlv(SEQUENCE, &curve), bits(0, key.public_key().as_ref())].concat();
    let extensions = [
        extension(KEY_USAGE, &bits(7, &[0x80])),
        extension(
            EXTENDED_KEY_USAGE,
            &tlv(SEQUENCE, &tlv(OID, SERVER_AUTHENTICATION)),
        ),
        alternative_names(names),
    ];
    let body = [
        tlv(VERSION, &tlv(INTEGER, &[2])),
        tlv(INTEGER, &serial),
        algorithm.clone(),
        name.clone(),
        tlv(SEQUENCE, &validity),
        name,
        tlv(SEQUENCE, &public),
        tlv(EXTENSIONS, &tlv(SEQUENCE, &extensions.concat())),
    ];
    let body = tlv(SEQUENCE, &body.concat());
    let signature = key.sign(&random, &body).ok()?;
    Some(tlv(
        SEQUENCE,
        &[body, algorithm, bits(0, signature.as_ref())].concat(),
    ))
}

/// The extension that holds the names: found byte for byte in a certificate, they are what it is good for.
pub fn alternative_names(names: &[String]) -> Vec<u8> {
    let name = |name: &String| match name.parse() {
        Ok(IpAddr::V4(address)) => tlv(IP_ADDRESS, &address.octets()),
        Ok(IpAddr::V6(address)) => tlv(IP_ADDRESS, &address.octets()),
        Err(_) => tlv(DNS_NAME, name.as_bytes()),
    };
    let names: Vec<u8> = names.iter().flat_map(name).collect();
    extension(ALTERNATIVE_NAMES, &tlv(SEQUENCE, &names))
}

/// The dates of a certificate; nothing if it is none.
pub fn dates(certificate: &[u8]) -> Option<Dates> {
    let mut body = open(SEQUENCE, &mut open(SEQUENCE, &mut &*certificate)?)?;
    let body = &mut body;
    // Old forms have no version.
    let _ = open(VERSION, body);
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        open(tag, body)?;
    }
    let mut validity = open(SEQUENCE, body)?;
    Some(Dates {
        not_before: read_time(&mut validity)?,
        not_after: read_time(&mut validity)?,
    })
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[tlv(OID, oid), tlv(OCTET_STRING, value)].concat())
}

fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[unused], bytes].concat())
}

/// Tag, length, value.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("names are few and short");
    let [high, low] = length.to_be_bytes();
    let head: &[u8] = match length {
        0..=0x7f => &[tag, low],
        0x80..=0xff => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, value].concat()
}

/// Takes one value off the front.
fn open<'a>(tag: u8, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, value) = match **rest {
        [found, length @ 0..=0x7f, ref value @ ..] if found == tag => (usize::from(length), value),
        [found, 0x81, length, ref value @ ..] if found == tag => (usize::from(length), value),
        [found, 0x82, high, low, ref value @ ..] if found == tag => {
            (usize::from(u16::from_be_bytes([high, low])), value)
        }
        _ => return None,
    };
    let (value, after) = value.split_at_checked(length)?;
    *rest = after;
    Some(value)
}

/// Two digits of the year up to 2049, four from then on (RFC 5280 §4.1.2.5).
fn time(unix: i64) -> Option<Vec<u8>> {
    let moment = DateTime::from_timestamp(unix, 0)?;
    let text = moment.format("%Y%m%d%H%M%SZ").to_string();
    Some(if moment.year() < 2050 {
        tlv(UTC_TIME, &text.as_bytes()[2..])
    } else {
        tlv(GENERALIZED_TIME, text.as_bytes())
    })
}

fn read_time(rest: &mut &[u8]) -> Option<i64> {
    let (century, text) = match open(UTC_TIME, rest) {
        Some(text) => (None, text),
        None => open(GENERALIZED_TIME, rest)?
            .split_at_checked(2)
            .map(|(c, text)| (Some(c), text))?,
    };
    let pair = |at: usize| {
        let digits = text.get(at..at + 2)?;
        std::str::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    let year = pair(0)?;
    let year = match century {
        Some(century) => std::str::from_utf8(century).ok()?.parse::<u32>().ok()? * 100 + year,
        None => year + if year < 50 { 2000 } else { 1900 },
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, pair(2)?, pair(4)?)?;
    let time = NaiveTime::from_hms_opt(pair(6)?, pair(8)?, pair(10)?)?;
    Some(NaiveDateTime::new(date, time).and_utc().timestamp())
}
