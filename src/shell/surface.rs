//! The HTTP surface: what can be asked of the gateway over a connection, whatever the connection is.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/events` | 201 `{"event_key","seq","state"}` once on disk; 200 for the same event again; 4xx/503 with the error object |
//! | `GET /v1/events/{key}` | state and history, no personal data |
//! | `GET /v1/status` | the status document; on the control socket `?cases` adds the ids of the cases Primero fails on |
//! | `GET /v1/events`, `GET /v1/form` | stations only: the newest events of its own; what a referral may name |
//! | `POST /v1/orders`, `/v1/stations`, `/v1/sync`, `/v1/shadow` | control socket only: see [`Order`], [`StationOrder`] |
//! | `POST /v1/reconcile`, `GET /v1/reconcile` | control socket only: looks at the open referrals; the last report |
//! | `GET /v1/diagnosis` | control socket only: see [`diagnosis`] |
//!
//! A listener decides who may connect and at which [`Door`] they stand; this module only answers. A station sees the
//! events it sent itself and nobody else's.
//!
//! A body must be whole within [`BODY_WITHIN`]; all bodies together take at most [`ROOM_BYTES`].

use super::clock::Clock;
use super::desk::Obeyed;
use super::diagnosis;
use super::driver::Aside;
use super::office::{Answer, Doorkeeper, Order, Refusal, checked_json, newest_of, show};
use super::parts::Parts;
use super::reconcile;
use super::session::SessionReport;
use super::standing;
use super::stations::{StationOrder, Stations};
use crate::core::intake::BODY_BYTES_MAX;
use crate::core::record::Peer;
use crate::core::station::StationId;
use crate::store::{Store, StoreError};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// 256 KiB over the worst of the office's wireless.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Eight of the largest bodies, or a thousand usual ones.
pub const ROOM_BYTES: usize = 8 * BODY_BYTES_MAX;
/// How much of a body that is too large is read to its end, so that the answer finds its sender.
const OVER_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// The query with which `status` asks for the ids of cases, too.
const CASES: &str = "cases";

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Somebody with rights on this box.
    Control,
    /// A station of the office.
    Station(StationId),
}

/// What only the driver knows or can do.
#[derive(Debug)]
pub enum Ask {
    EventAccepted,
    Status(oneshot::Sender<Value>),
    Sync(oneshot::Sender<Answer>),
    Desk(Obeyed),
    Aside(Aside, oneshot::Sender<Answer>),
}

/// What every connection shares.
#[derive(Clone)]
pub struct Surface {
    store: Store,
    doorkeeper: Arc<Doorkeeper>,
    clock: Clock,
    driver: mpsc::Sender<Ask>,
    pub stations: Stations,
    /// Room for bodies, in bytes.
    room: Arc<Semaphore>,
}

impl Surface {
    /// The surface of an opened gateway; `driver` hears what only it can answer.
    pub fn open(parts: &Parts, driver: mpsc::Sender<Ask>) -> Result<Surface, StoreError> {
        Ok(Surface {
            store: parts.store.clone(),
            doorkeeper: Arc::clone(&parts.doorkeeper),
            clock: parts.clock.clone(),
            driver,
            stations: Stations::open(&parts.store)?,
            room: Arc::new(Semaphore::new(ROOM_BYTES)),
        })
    }

    /// Answers one request.
    pub async fn answer(&self, door: Door, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let answer = match (method, path.as_str(), door) {
            (Method::POST, "/v1/events", _) => self.take_event(door, request).await,
            (Method::GET, "/v1/events", Door::Station(station)) => {
                self.beside(move |store| newest_of(store, station)).await
            }
            (Method::GET, "/v1/form", Door::Station(_)) => Answer::ok(self.doorkeeper.form(self.clock.now())),
            (Method::GET, "/v1/status", Door::Control) if request.uri().query() == Some(CASES) => {
                self.status_with_cases().await
            }
            (Method::GET, "/v1/status", _) => self.status().await,
            (Method::GET, "/v1/diagnosis", Door::Control) => {
                self.beside(|store| Answer::ok(diagnosis::of(store))).await
            }
            (Method::POST, "/v1/sync", Door::Control) => self.sync().await,
            (Method::POST, "/v1/shadow", Door::Control) => {
                let reveal = request.uri().query() == Some("reveal");
                self.aside(Aside::Shadow { reveal }).await
            }
            (Method::POST, "/v1/reconcile", Door::Control) => self.aside(Aside::Reconcile).await,
            (Method::GET, "/v1/reconcile", Door::Control) => self.beside(reconcile::last).await,
            (Method::POST, "/v1/orders", Door::Control) => self.order(request).await,
            (Method::POST, "/v1/stations", Door::Control) => self.station_order(request).await,
            (Method::GET, path, _) if path.starts_with("/v1/events/") => {
                let key = path["/v1/events/".len()..].to_owned();
                let sender = match door {
                    Door::Control => None,
                    Door::Station(station) => Some(station),
                };
                self.beside(move |store| show(store, &key, sender)).await
            }
            (_, "/v1/events" | "/v1/status", _)
            | (_, "/v1/form", Door::Station(_))
            | (
                _,
                "/v1/diagnosis" | "/v1/sync" | "/v1/shadow" | "/v1/reconcile" | "/v1/orders" | "/v1/stations",
                Door::Control,
            ) => not_this_method(),
            (_, path, _) if path.starts_with("/v1/events/") => not_this_method(),
            _ => Answer::refusal(404, "not_found", "nothing is at this address"),
        };
        response(&answer)
    }

    async fn take_event(&self, door: Door, request: Request<Incoming>) -> Answer {
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(refusal) => return refuse(&refusal),
        };
        let event = match checked_json(&body) {
            Ok(event) => event,
            Err(refusal) => return refuse(&refusal),
        };
        let station = match door {
            Door::Control => None,
            Door::Station(station) => Some(station),
        };
        match self
            .doorkeeper
            .accept_async(&event, self.clock.now(), station)
            .await
        {
            Ok(accepted) => {
                let body = json!({"event_key": accepted.event_key, "seq": accepted.seq, "state": accepted.state.word()});
                if accepted.repeated {
                    return Answer::ok(body);
                }
                // A full channel means the driver has news waiting already.
                let _ = self.driver.try_send(Ask::EventAccepted);
                Answer { status: 201, body }
            }
            Err(refusal) => refuse(&refusal),
        }
    }

    async fn status(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        if self.driver.send(Ask::Status(sender)).await.is_err() {
            return stopping();
        }
        receiver.await.map_or_else(|_| stopping(), Answer::ok)
    }

    async fn status_with_cases(&self) -> Answer {
        let mut answer = self.status().await;
        if answer.status != 200 {
            return answer;
        }
        self.beside(move |store| {
            // A store that does not read shows in `store`.
            let _ = standing::name_cases(&mut answer.body, store);
            answer
        })
        .await
    }

    async fn sync(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        if self.driver.send(Ask::Sync(sender)).await.is_err() {
            return stopping();
        }
        receiver.await.unwrap_or_else(|_| stopping())
    }

    async fn aside(&self, aside: Aside) -> Answer {
        let (sender, receiver) = oneshot::channel();
        if self.driver.send(Ask::Aside(aside, sender)).await.is_err() {
            return stopping();
        }
        receiver.await.unwrap_or_else(|_| stopping())
    }

    async fn order(&self, request: Request<Incoming>) -> Answer {
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(refusal) => return refuse(&refusal),
        };
        match serde_json::from_slice::<Order>(&body) {
            Ok(order) => {
                let moves = !matches!(order, Order::List { .. } | Order::Show { .. });
                let answer = self.carry_out(order).await;
                if moves && answer.status == 200 {
                    let _ = self.driver.try_send(Ask::EventAccepted);
                }
                answer
            }
            Err(_) => Answer::refusal(400, "order", "not an order this version knows"),
        }
    }

    async fn station_order(&self, request: Request<Incoming>) -> Answer {
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(refusal) => return refuse(&refusal),
        };
        let Ok(order) = serde_json::from_slice::<StationOrder>(&body) else {
            return Answer::refusal(400, "order", "not an order this version knows");
        };
        let stations = self.stations.clone();
        let unix = self.clock.now().wall.known();
        self.beside(move |store| stations.carry_out(store, order, unix))
            .await
    }

    async fn carry_out(&self, order: Order) -> Answer {
        let unix = self.clock.now().wall.known();
        self.beside(move |store| order.carry_out(store, unix)).await
    }

    /// What touches the disk runs beside the runtime.
    async fn beside(&self, work: impl FnOnce(&Store) -> Answer + Send + 'static) -> Answer {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| Answer::refusal(500, "failed", "the order could not be carried out"))
    }

    /// The whole body, within the bound of an event.
    async fn body(&self, request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
        let read = self.read(request.into_body());
        let read = tokio::time::timeout(BODY_WITHIN, read).await;
        read.unwrap_or(Err(Refusal::TooSlow))
    }

    async fn read(&self, mut body: Incoming) -> Result<Vec<u8>, Refusal> {
        let mut whole = Vec::new();
        let mut room = self.room.try_acquire_many(0).map_err(|_| Refusal::Busy)?;
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::NotJson("the body broke off".to_owned()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            bytes += data.len();
            if bytes > OVER_BYTES_MAX {
                break;
            }
            if bytes > BODY_BYTES_MAX {
                whole = Vec::new();
                continue;
            }
            let more = u32::try_from(data.len()).unwrap_or(u32::MAX);
            room.merge(self.room.try_acquire_many(more).map_err(|_| Refusal::Busy)?);
            whole.extend_from_slice(&data);
        }
        if bytes > BODY_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        Ok(whole)
    }
}

fn not_this_method() -> Answer {
    Answer::refusal(405, "method", "not this method here")
}

fn stopping() -> Answer {
    Answer::refusal(503, "stopping", "the gateway is stopping; try again in a minute")
}

fn refuse(refusal: &Refusal) -> Answer {
    Answer {
        status: refusal.status(),
        body: refusal.json(),
    }
}

/// An answer as HTTP.
pub(super) fn response(answer: &Answer) -> Response<Full<Bytes>> {
    let mut text = answer.body.to_string();
    text.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

/// What `sync` prints: what was done, or that nobody could be reached.
pub fn sync_answer(report: &SessionReport) -> Answer {
    let peer = |peer: Peer| {
        let pass = report.of(peer);
        json!({ "reached": pass.reached, "error": pass.trouble.map(|trouble| trouble.word()),
            "advice": pass.trouble.map(|trouble| trouble.advice()), "pulled": pass.pulled,
            "pushed": pass.pushed, "confirmed": pass.confirmed, "parked": pass.parked,
            "in_doubt": pass.in_doubt })
    };
    let reached = report.primero.reached || report.oscar.reached;
    let body = json!({ "primero": peer(Peer::Primero), "oscar": peer(Peer::Oscar) });
    Answer {
        status: if reached { 200 } else { 503 },
        body,
    }
}
