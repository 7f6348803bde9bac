//! A name server at the far end, as good or as bad as a test wants it.

use crate::net::{OSCAR, PRIMERO, STRANGER, inside};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// The truth about `primero.test`, `oscar.test` and `broker.test`.
    Honest,
    /// One address for everything, as a captive network does.
    Hijacked(Ipv4Addr),
    /// Not a word.
    Silent,
}

pub struct Names {
    mood: Arc<Mutex<Mood>>,
    stop: Arc<AtomicBool>,
}

impl Names {
    pub fn start(namespace: &str) -> Names {
        let socket = inside(namespace, || UdpSocket::bind((PRIMERO, 53)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let names = Names {
            mood: Arc::new(Mutex::new(Mood::Honest)),
            stop: Arc::default(),
        };
        let (mood, stop) = (names.mood.clone(), names.stop.clone());
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while !stop.load(Relaxed) {
                let Ok((amount, asker)) = socket.recv_from(&mut question) else {
                    continue;
                };
                let mood = *mood.lock().unwrap();
                if let Some(answer) = answer(&question[..amount], mood) {
                    let _ = socket.send_to(&answer, asker);
                }
            }
        });
        names
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// The answer of RFC 1035 with one A record or none.
fn answer(question: &[u8], mood: Mood) -> Option<Vec<u8>> {
    let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let name = question.get(12..end)?;
    let address = match mood {
        Mood::Silent => return None,
        Mood::Hijacked(address) => address,
        Mood::Honest if name.starts_with(b"\x07primero") => PRIMERO,
        Mood::Honest if name.starts_with(b"\x06broker") => STRANGER,
        Mood::Honest => OSCAR,
    };
    let wants_a = name[name.len() - 4..] == [0, 1, 0, 1];
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80, 0, 1, 0, u8::from(wants_a), 0, 0, 0, 0]);
    out.extend(name);
    if wants_a {
        // The name of the question, type A, class IN, no caching, four bytes.
        out.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        out.extend(address.octets());
    }
    Some(out)
}
