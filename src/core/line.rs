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

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(trouble: Option<Trouble>) -> PeerState {
        PeerState {
            trouble,
            asked: true,
            ..PeerState::default()
        }
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
