//! Who may ask, and how often.
//!
//! An address may ask [`ADDRESS_RATE`], a station [`STATION_RATE`]: 200 stations that send an event every four seconds
//! come nowhere near. Wrong tokens are counted by address, [`WRONG_RATE`]: beyond it they are answered 429 like too
//! many requests. A right token from the same address still counts, because an office's telephones may share one
//! address, and one of them with an old token must not keep the others from sending; a token has 122 random bits, and
//! the address's own rate bounds the guesses.

use super::page;
use crate::core::station::StationId;
use crate::core::throttle::{Gauges, Rate};
use crate::core::time::Mono;
use crate::shell::log;
use crate::shell::office::Answer;
use crate::shell::stations::Holder;
use crate::shell::surface::{Door, Surface, response};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, Version};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

pub const ADDRESS_RATE: Rate = Rate {
    burst: 200,
    interval: Duration::from_millis(50),
};
pub const STATION_RATE: Rate = Rate {
    burst: 50,
    interval: Duration::from_millis(200),
};
pub const WRONG_RATE: Rate = Rate {
    burst: 10,
    interval: Duration::from_secs(10),
};
/// Addresses remembered; more than a building has.
const ADDRESSES_MAX: usize = 1024;

const NO_PANIC: &str = "nobody panics with the door's books in hand";

/// An address as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl Client {
    pub fn of(address: IpAddr) -> Client {
        Client(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }
}

/// Why a connection gets no better answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// Too many from this address.
    Address,
    /// Too many altogether.
    Office,
}

/// A connection's place in the books. To be given back with [`Doorway::leave`].
pub struct Place(Option<Crowded>);

impl Place {
    pub fn crowded(&self) -> Option<Crowded> {
        self.0
    }
}

struct Books {
    addresses: Gauges<Client>,
    wrong: Gauges<Client>,
    stations: Gauges<StationId>,
    connections: HashMap<Client, usize>,
    served: usize,
    waiting: usize,
}

/// The door and its books.
pub struct Doorway {
    surface: Surface,
    books: Mutex<Books>,
}

/// An answer before anybody was asked.
struct Turned {
    answer: Answer,
    retry_after: Option<Duration>,
}

impl Turned {
    fn away(status: u16, code: &str, reason: &str) -> Turned {
        Turned {
            answer: Answer::refusal(status, code, reason),
            retry_after: None,
        }
    }

    fn later(wait: Duration) -> Turned {
        Turned {
            answer: Answer::refusal(429, "too_many", "too many requests; wait a little"),
            retry_after: Some(wait),
        }
    }
}

impl Doorway {
    pub fn new(surface: Surface) -> Doorway {
        Doorway {
            surface,
            books: Mutex::new(Books {
                addresses: Gauges::new(ADDRESS_RATE, ADDRESSES_MAX),
                wrong: Gauges::new(WRONG_RATE, ADDRESSES_MAX),
                stations: Gauges::new(STATION_RATE, crate::core::station::STATIONS_MAX),
                connections: HashMap::new(),
                served: 0,
                waiting: 0,
            }),
        }
    }

    pub fn stations(&self) -> usize {
        self.surface.stations.count()
    }

    pub fn connections(&self) -> usize {
        self.books.lock().expect(NO_PANIC).served
    }

    /// Enters a connection into the books; nothing if not even a refusal can be afforded.
    pub fn enter(&self, client: Client) -> Option<Place> {
        let mut books = self.books.lock().expect(NO_PANIC);
        let each = books.connections.get(&client).copied().unwrap_or(0);
        let crowded = if each >= super::CONNECTIONS_EACH_MAX {
            Some(Crowded::Address)
        } else if books.served >= super::CONNECTIONS_MAX {
            Some(Crowded::Office)
        } else {
            None
        };
        if crowded.is_none() {
            books.served += 1;
            books.connections.insert(client, each + 1);
        } else if books.waiting < super::WAITING_MAX {
            books.waiting += 1;
        } else {
            return None;
        }
        Some(Place(crowded))
    }

    /// Strikes a connection out again.
    pub fn leave(&self, client: Client, place: Place) {
        let mut books = self.books.lock().expect(NO_PANIC);
        if place.0.is_some() {
            books.waiting -= 1;
            return;
        }
        books.served -= 1;
        match books.connections.get_mut(&client) {
            Some(each) if *each > 1 => *each -= 1,
            _ => drop(books.connections.remove(&client)),
        }
    }

    /// Answers one request, and says whether another may follow on the same line.
    pub async fn answer(
        &self,
        client: Client,
        crowded: Option<Crowded>,
        now: Mono,
        request: Request<Incoming>,
    ) -> (Response<Full<Bytes>>, bool) {
        let without_body = request.body().is_end_stream();
        let asked_to_close = closes(&request);
        let mut response = match self.admit(client, crowded, now, &request) {
            Ok(Some(station)) => self.surface.answer(Door::Station(station), request).await,
            Ok(None) => page::serve(request.uri().path()),
            Err(turned) => turned_away(&turned),
        };
        // These are given once the whole body has been read; behind any other answer there may be some of it left.
        let read = without_body || matches!(response.status().as_u16(), 200 | 201 | 409 | 422);
        let more = read && !asked_to_close && crowded.is_none();
        let headers = response.headers_mut();
        if !more {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        page::guard(headers);
        (response, more)
    }

    /// The station that asks; nobody in particular for the page, which shows nothing without a token.
    fn admit(
        &self,
        client: Client,
        crowded: Option<Crowded>,
        now: Mono,
        request: &Request<Incoming>,
    ) -> Result<Option<StationId>, Turned> {
        match crowded {
            Some(Crowded::Address) => {
                let reason = "too many connections from this address";
                return Err(Turned::away(429, "too_many", reason));
            }
            Some(Crowded::Office) => {
                let reason = "too many connections; try again in a minute";
                return Err(Turned::away(503, "busy", reason));
            }
            None => {}
        }
        let mut books = self.books.lock().expect(NO_PANIC);
        books.addresses.take(client, now).map_err(Turned::later)?;
        if request.method() == Method::GET && page::has(request.uri().path()) {
            return Ok(None);
        }
        let refusal = match token(request).map(|token| self.surface.stations.holder(token)) {
            Some(Holder::Station(station)) => {
                books.stations.take(station, now).map_err(Turned::later)?;
                return Ok(Some(station));
            }
            Some(Holder::Revoked) => Turned::away(403, "revoked", "this station's token has been revoked"),
            Some(Holder::Nobody) => Turned::away(401, "unauthorized", "no station has this token"),
            None => {
                return Err(Turned::away(
                    401,
                    "unauthorized",
                    "send the station's token as a bearer token",
                ));
            }
        };
        books.wrong.take(client, now).map_err(Turned::later)?;
        log::warn(format_args!(
            "lan: {} from {}",
            refusal.answer.body["error"], client.0
        ));
        Err(refusal)
    }
}

fn closes(request: &Request<Incoming>) -> bool {
    let named = request.headers().get(header::CONNECTION);
    let close = named.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    close || request.version() == Version::HTTP_10
}

fn token(request: &Request<Incoming>) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn turned_away(turned: &Turned) -> Response<Full<Bytes>> {
    let mut response = response(&turned.answer);
    let headers = response.headers_mut();
    if let Some(wait) = turned.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    if turned.answer.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
