//! How the way out stands as a whole: one state for the box out of what is known of its route and of both peers.
//!
//! *Up* means a route and a TLS-verified answer of the right shape from a peer (design §7). Otherwise the state is the
//! trouble nearest to the box, for that is the one to mend first: without a route no name resolves either.

use super::outcome::Trouble;
use super::schedule::PeerState;

/// The state of the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nobody has been asked yet.
    Unknown,
    /// At least one peer answered as itself when it was last asked.
    Up,
    Down(Trouble),
}

/// Troubles from the box outwards.
const OUTWARDS: [Trouble; 10] = [
    Trouble::Route,
    Trouble::Dns,
    Trouble::Portal,
    Trouble::Clock,
    Trouble::Tls,
    Trouble::Timeout,
    Trouble::Server,
    Trouble::Auth,
    Trouble::Throttled,
    Trouble::Shape,
];

impl Line {
    /// Judges by the kernel's word on the route, where there is one, and by how the peers fared.
    pub fn of(route: Option<bool>, peers: [&PeerState; 2]) -> Line {
        let troubles = peers.map(|peer| peer.trouble);
        if peers.iter().any(|peer| peer.asked && peer.trouble.is_none()) {
            return Line::Up;
        }
        if route == Some(false) && troubles.iter().flatten().any(|trouble| trouble.of_the_line()) {
            return Line::Down(Trouble::Route);
        }
        let nearest = OUTWARDS
            .into_iter()
            .find(|trouble| troubles.contains(&Some(*trouble)));
        nearest.map_or(Line::Unknown, Line::Down)
    }

    /// The word for `status`.
    pub fn word(self) -> &'static str {
        match self {
            Line::Unknown => "unknown",
            Line::Up => "up",
            Line::Down(trouble) => trouble.word(),
        }
    }

    /// What a technician should look at, if anything.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Line::Unknown | Line::Up => None,
            Line::Down(trouble) => Some(trouble.advice()),
        }
    }
}

/// Whether the head of an answer on port 80 shows that something else than `host` gave it: a redirect to another
/// host, the status made for portals (RFC 6585 §6), or a page where the peers at most redirect to TLS.
pub fn portal_answers(head: &str, host: &str) -> bool {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
    let status = status.and_then(|line| line.split(' ').nth(1));
    let location = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("location"))
        .and_then(|(_, value)| value.trim().split_once("://"));
    match status {
        Some("511" | "200") => true,
        Some("301" | "302" | "303" | "307" | "308") => location.is_some_and(|(_, rest)| {
            let other = rest.split(['/', '?', ':']).next().unwrap_or_default();
            !other.eq_ignore_ascii_case(host)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(trouble: Option<Trouble>) -> PeerState {
        let mut peer = PeerState::default();
        (peer.trouble, peer.asked) = (trouble, true);
        peer
    }

    #[test]
    fn one_peer_that_answers_is_enough() {
        let (good, bad) = (peer(None), peer(Some(Trouble::Dns)));
        assert_eq!(Line::of(Some(true), [&bad, &good]), Line::Up);
        assert_eq!(
            Line::of(None, [&PeerState::default(), &PeerState::default()]),
            Line::Unknown
        );
    }

    #[test]
    fn a_login_page_is_told_from_the_peers_own_redirect() {
        for (head, portal) in [
            (
                "HTTP/1.1 302 Found\r\nLocation: http://login.cafe.example/?to=x\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 301 Moved\r\nserver: nginx\r\nlocation: https://Primero.example.org/\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 301 Moved\r\nLocation: https://primero.example.org:8443/\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 511 Network Authentication Required\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", true),
            ("HTTP/1.1 404 Not Found\r\n\r\nLocation: http://x.example/", false),
            ("HTTP/1.1 302 Found\r\n\r\nLocation: http://x.example/", false),
            ("SSH-2.0-OpenSSH", false),
            ("", false),
        ] {
            assert_eq!(portal_answers(head, "primero.example.org"), portal, "{head}");
        }
    }

    #[test]
    fn the_trouble_nearest_to_the_box_is_named() {
        for (route, one, other, named) in [
            (Some(false), Trouble::Dns, Trouble::Timeout, Trouble::Route),
            (Some(true), Trouble::Timeout, Trouble::Dns, Trouble::Dns),
            (None, Trouble::Tls, Trouble::Portal, Trouble::Portal),
            // A route the kernel does not know of cannot be missing if somebody answered.
            (Some(false), Trouble::Auth, Trouble::Auth, Trouble::Auth),
            (Some(true), Trouble::Server, Trouble::Timeout, Trouble::Timeout),
        ] {
            let line = Line::of(route, [&peer(Some(one)), &peer(Some(other))]);
            assert_eq!(line, Line::Down(named), "{one:?} {other:?}");
        }
        let all =
            OUTWARDS.map(|trouble| Line::of(None, [&peer(Some(trouble)), &PeerState::default()]).word());
        assert!(!all.contains(&"unknown"), "{all:?}");
    }
}
