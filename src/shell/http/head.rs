//! What the codecs may see of an answer's head.

use crate::core::exchange::{AnswerHead, SessionHeaders};
use ureq::http::HeaderMap;

/// Reads the few headers that matter; one that makes no sense counts as absent.
pub fn read(status: u16, headers: &HeaderMap) -> AnswerHead {
    AnswerHead {
        status,
        json: text(headers, "content-type").is_some_and(is_json),
        date: text(headers, "date").and_then(unix_seconds),
        retry_after_s: text(headers, "retry-after").and_then(|seconds| seconds.parse().ok()),
        etag: text(headers, "etag").map(str::to_owned),
        session: session(headers),
    }
}

/// Answers without a body by definition. Asking for it all the same would fail where a proxy left
/// `Content-Encoding: gzip` on them: nothing is no gzip.
pub fn bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

fn is_json(content_type: &str) -> bool {
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

/// The one date form servers send since HTTP/1.1; the two antique ones count as absent.
fn unix_seconds(date: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc2822(date)
        .ok()
        .map(|moment| moment.timestamp())
}

/// All four or none: a session with a hole in it is no session. OSCaR sends a blank token when an earlier request
/// of the same moment already carried the new one.
fn session(headers: &HeaderMap) -> Option<SessionHeaders> {
    Some(SessionHeaders {
        access_token: text(headers, "access-token")?.to_owned(),
        client: text(headers, "client")?.to_owned(),
        uid: text(headers, "uid")?.to_owned(),
        expiry: text(headers, "expiry")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::{HeaderName, HeaderValue};

    fn head(headers: &[(&'static str, &'static str)]) -> AnswerHead {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        read(200, &pairs.collect())
    }

    #[test]
    fn dates_and_delays_are_read_and_nonsense_is_absent() {
        let full = head(&[
            ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
            ("retry-after", "120"),
            ("etag", "W/\"5a\""),
        ]);
        assert_eq!(full.date, Some(784_887_151));
        assert_eq!(full.retry_after_s, Some(120));
        assert_eq!(full.etag.as_deref(), Some("W/\"5a\""));
        let odd = head(&[
            ("date", "yesterday"),
            ("retry-after", "Tue, 15 Nov 1994 08:12:31 GMT"),
            ("etag", ""),
        ]);
        assert_eq!(
            odd,
            AnswerHead {
                status: 200,
                ..AnswerHead::default()
            }
        );
    }

    #[test]
    fn json_is_told_by_its_media_type_alone() {
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
        ] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in ["text/html", "text/json-ish", "application/jsonp", ""] {
            assert!(!is_json(kind), "{kind}");
        }
    }

    #[test]
    fn a_session_is_whole_or_absent() {
        let whole = [
            ("access-token", "t"),
            ("client", "c"),
            ("uid", "u"),
            ("expiry", "1793491200"),
        ];
        assert_eq!(
            head(&whole).session.map(|session| session.expiry),
            Some(1_793_491_200)
        );
        for missing in 0..whole.len() {
            let mut partial = whole.to_vec();
            partial.remove(missing);
            assert_eq!(head(&partial).session, None);
        }
        assert_eq!(
            head(&[("access-token", " "), whole[1], whole[2], whole[3]]).session,
            None
        );
    }
}
