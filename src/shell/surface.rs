//! The HTTP surface: what can be asked of the gateway over a connection, whatever the connection is.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/events` | 201 `{"event_key","seq","state"}` once on disk; 200 for the same event again; 4xx/503 with the error object |
//! | `GET /v1/events/{key}` | state and history, no personal data |
//! | `GET /v1/status` | the status document |
//! | `POST /v1/orders`, `POST /v1/sync` | control socket only: see [`super::office::Order`] |
//!
//! A listener decides who may connect and whether it is a [`Door::Control`] one; this module only answers.

use super::clock::Clock;
use super::office::{Answer, Doorkeeper, Order, Refusal, checked_json};
use super::session::SessionReport;
use crate::core::intake::BODY_BYTES_MAX;
use crate::core::record::Peer;
use crate::store::Store;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Somebody with rights on this box.
    Control,
    /// A station of the office.
    Lan,
}

/// What only the driver knows or can do.
#[derive(Debug)]
pub enum Ask {
    EventAccepted,
    Status(oneshot::Sender<Value>),
    Sync(oneshot::Sender<Answer>),
}

/// What every connection shares.
#[derive(Clone)]
pub struct Surface {
    pub store: Store,
    pub doorkeeper: Arc<Doorkeeper>,
    pub clock: Clock,
    pub driver: mpsc::Sender<Ask>,
}

impl Surface {
    /// Answers one request.
    pub async fn answer(&self, door: Door, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let answer = match (method, path.as_str()) {
            (Method::POST, "/v1/events") => self.take_event(request).await,
            (Method::GET, "/v1/status") => self.status().await,
            (Method::POST, "/v1/sync") if door == Door::Control => self.sync().await,
            (Method::POST, "/v1/orders") if door == Door::Control => self.order(request).await,
            (Method::GET, path) if path.starts_with("/v1/events/") => {
                let key = path["/v1/events/".len()..].to_owned();
                self.carry_out(Order::Show { key, reveal: false }).await
            }
            (_, "/v1/events" | "/v1/status") => Answer::refusal(405, "method", "not this method here"),
            (_, "/v1/sync" | "/v1/orders") if door == Door::Control => {
                Answer::refusal(405, "method", "not this method here")
            }
            (_, path) if path.starts_with("/v1/events/") => {
                Answer::refusal(405, "method", "not this method here")
            }
            _ => Answer::refusal(404, "not_found", "nothing is at this address"),
        };
        response(&answer)
    }

    async fn take_event(&self, request: Request<Incoming>) -> Answer {
        let body = match body(request).await {
            Ok(body) => body,
            Err(refusal) => return refuse(&refusal),
        };
        let event = match checked_json(&body) {
            Ok(event) => event,
            Err(refusal) => return refuse(&refusal),
        };
        match self.doorkeeper.accept_async(&event, self.clock.now()).await {
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

    async fn sync(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        if self.driver.send(Ask::Sync(sender)).await.is_err() {
            return stopping();
        }
        receiver.await.unwrap_or_else(|_| stopping())
    }

    async fn order(&self, request: Request<Incoming>) -> Answer {
        let body = match body(request).await {
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

    /// Orders touch the disk: they run beside the runtime.
    async fn carry_out(&self, order: Order) -> Answer {
        let store = self.store.clone();
        let unix = self.clock.now().wall.known();
        let done = tokio::task::spawn_blocking(move || order.carry_out(&store, unix)).await;
        done.unwrap_or_else(|_| Answer::refusal(500, "failed", "the order could not be carried out"))
    }
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

/// The whole body, within the bound of an event.
async fn body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::NotJson("the body broke off".to_owned())),
    }
}

fn response(answer: &Answer) -> Response<Full<Bytes>> {
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
