//! Obeying the central desk: from the bytes on `cmd` to what has become of them. `core::command` decides; here the
//! signature is checked, the memory kept and what touches the store done, in one commit with the memory of it.

use super::clock::Clock;
use super::surface::Ask;
use crate::core::command::{self, Command, DOCUMENT, DOMAIN, Memory, Order, Refusal};
use crate::core::outbox;
use crate::core::reason::Reason;
use crate::core::record::{Moment, Seq, State};
use crate::core::time::Mono;
use crate::store::{Store, StoreError, Tx, View};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

/// A public key of the desk.
pub type PublicKey = [u8; 32];

/// An unsigned or wrongly signed command is answered this often at most: whoever sends it has no business here.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// Most parked events one command sends round again; the desk may ask again.
const REQUEUED_MAX: usize = 500;

/// What became of a command.
#[derive(Debug)]
pub struct Obeyed {
    /// Nothing where the signature is not good: what stands there then is anybody's.
    pub command: Option<Command>,
    /// How many events it moved.
    pub done: Result<u64, Refusal>,
}

/// The gateway's ear for commands.
pub struct Obedience {
    keys: Vec<PublicKey>,
    /// `<fleet>/<gateway>`
    gateway: String,
    store: Store,
    clock: Clock,
    driver: mpsc::Sender<Ask>,
    /// Milliseconds of the last complaint about a signature.
    complained: AtomicU64,
}

/// Why the transaction was taken back.
enum No {
    Refused(Refusal),
    Store,
}

impl From<StoreError> for No {
    fn from(_: StoreError) -> No {
        No::Store
    }
}

impl Obedience {
    pub fn new(
        keys: Vec<PublicKey>,
        gateway: String,
        store: Store,
        clock: Clock,
        driver: mpsc::Sender<Ask>,
    ) -> Obedience {
        Obedience {
            keys,
            gateway,
            store,
            clock,
            driver,
            complained: AtomicU64::new(0),
        }
    }

    /// Hears a payload. Returns at once; the driver is told what became of it.
    pub fn hear(self: &Arc<Obedience>, payload: &[u8]) {
        let command = verified(&self.keys, payload).and_then(|text| Command::read(&text));
        match command {
            Ok(command) => {
                let this = Arc::clone(self);
                tokio::spawn(async move {
                    let done = this.obey(&command).await;
                    this.report(Some(command), done);
                });
            }
            Err(refusal) => {
                let now = self.clock.now().mono;
                let last = Mono(self.complained.load(Relaxed));
                if last == Mono(0) || now.since(last) >= COMPLAIN_EVERY {
                    self.complained.store(now.0, Relaxed);
                    self.report(None, Err(refusal));
                }
            }
        }
    }

    /// A driver with a full channel has other worries; the desk asks again when no answer comes.
    fn report(&self, command: Option<Command>, done: Result<u64, Refusal>) {
        let _ = self.driver.try_send(Ask::Desk(Obeyed { command, done }));
    }

    async fn obey(&self, command: &Command) -> Result<u64, Refusal> {
        let (command, gateway) = (command.clone(), self.gateway.clone());
        let wall = self.clock.now().wall;
        let done = self.store.write_async(move |tx| {
            let mut memory = memory(tx)?;
            memory.admit(&command, &gateway, wall).map_err(No::Refused)?;
            let moved = match command.order {
                Order::Sync if memory.locked => return Err(No::Refused(Refusal::Locked)),
                Order::Sync | Order::Reannounce => 0,
                Order::Requeue(seq) => requeue(tx, seq, wall.unix)?,
                Order::Lock | Order::Unlock => {
                    memory.locked = command.order == Order::Lock;
                    0
                }
            };
            tx.meta_put(DOCUMENT, &memory);
            Ok(moved)
        });
        done.await.map_err(|no| match no {
            No::Refused(refusal) => refusal,
            No::Store => Refusal::Store,
        })
    }
}

fn memory(view: &View) -> Result<Memory, StoreError> {
    Ok(view.meta_get(DOCUMENT)?.unwrap_or_default())
}

/// Whether the desk has locked this gateway.
pub fn locked(view: &View) -> Result<bool, StoreError> {
    Ok(memory(view)?.locked)
}

/// Tries each key we know.
fn verified(keys: &[PublicKey], payload: &[u8]) -> Result<String, Refusal> {
    let (text, sig) = command::open(payload).ok_or(Refusal::Signature)?;
    let sig = STANDARD.decode(sig).map_err(|_| Refusal::Signature)?;
    let message = [DOMAIN, text.as_bytes()].concat();
    let signed_by = |key: &PublicKey| {
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&message, &sig)
            .is_ok()
    };
    if keys.iter().any(signed_by) {
        Ok(text)
    } else {
        Err(Refusal::Signature)
    }
}

fn requeue(tx: &mut Tx<'_>, seq: Option<u64>, unix: i64) -> Result<u64, No> {
    let parked: Vec<Seq> = match seq {
        Some(seq) => vec![Seq(seq)],
        None => {
            let parked = tx.queue().iter().filter(|entry| entry.state == State::Parked);
            parked.map(|entry| entry.seq).take(REQUEUED_MAX).collect()
        }
    };
    let at = Moment {
        boot: tx.boot(),
        unix: Some(unix),
    };
    let (all, mut passed_over) = (seq.is_none(), 0);
    for seq in &parked {
        let mut head = tx.head(*seq)?.ok_or(No::Refused(Refusal::NotParked))?;
        // Such an event takes somebody who means this very one.
        if all && head.reason.is_some_and(Reason::wants_judgement) {
            passed_over += 1;
            continue;
        }
        outbox::requeue(&mut head, at, "the desk").map_err(|_| No::Refused(Refusal::NotParked))?;
        tx.update(&head)?;
        tx.handoff(&head, head.state.word())?;
    }
    Ok(parked.len() as u64 - passed_over)
}
