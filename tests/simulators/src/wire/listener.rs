//! Accept, hand each connection to a thread of its own, cut connections at will, stop all of it promptly.
//!
//! Shared by the HTTPS server and the MQTT broker, so that "link down" and "stopped" mean the same for both.
//! Dropping the [`Listener`] returns only when no thread of it runs any more.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A bound port with its accept thread.
pub(crate) struct Listener {
    gate: Arc<Gate>,
    address: SocketAddr,
    accept: Option<JoinHandle<()>>,
}

/// What the listener and the threads of its connections have in common.
#[derive(Default)]
pub(crate) struct Gate {
    connections: AtomicU64,
    down: AtomicBool,
    open: Mutex<HashMap<u64, TcpStream>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

impl Listener {
    /// Listen, and let `serve` have each connection until it returns.
    ///
    /// # Panics
    /// If the address cannot be bound: a test has no use for a simulator that does not listen.
    pub(crate) fn start(
        listen: &str,
        gate: Arc<Gate>,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Listener {
        let listener = TcpListener::bind(listen).expect("the simulator's listen address is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let for_accept = gate.clone();
        let accept = std::thread::spawn(move || accept_loop(&listener, &for_accept, &Arc::new(serve)));
        Listener {
            gate,
            address,
            accept: Some(accept),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.gate.stop();
        // A connection of our own wakes the blocking accept, which then sees the flag.
        let mut own = self.address;
        if own.ip().is_unspecified() {
            own.set_ip(match own {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        let _ = TcpStream::connect_timeout(&own, Duration::from_secs(1));
        if let Some(accept) = self.accept.take() {
            // A panic in there was already printed; dropping must not add a second one.
            let _ = accept.join();
        }
    }
}

impl Gate {
    /// Link down: open connections are cut and new ones are closed at accept, until set up again.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Relaxed);
        if down {
            self.close_connections();
        }
    }

    /// Cut every open connection.
    pub(crate) fn close_connections(&self) {
        for stream in self.open().values() {
            // Already gone is as good as closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Take no more on any open connection: each ends once what it is doing is done.
    pub(crate) fn end_connections(&self) {
        for stream in self.open().values() {
            // Already gone is as good as ended.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// The listener is being dropped: nothing may happen any more.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.lock().expect("stop flag lock is never poisoned")
    }

    /// Sleep, but wake at once when the listener is dropped: `Break` says that it was, and that whatever
    /// waited must not happen any more.
    pub(crate) fn pause(&self, time: Duration) -> ControlFlow<()> {
        let end = Instant::now() + time;
        let mut stopping = self.stopping.lock().expect("stop flag lock is never poisoned");
        while !*stopping {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            stopping = self
                .stopped
                .wait_timeout(stopping, left)
                .expect("stop flag lock is never poisoned")
                .0;
        }
        ControlFlow::Break(())
    }

    fn stop(&self) {
        *self.stopping.lock().expect("stop flag lock is never poisoned") = true;
        self.stopped.notify_all();
        self.close_connections();
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().expect("open connections lock is never poisoned")
    }
}

fn accept_loop<F>(listener: &TcpListener, gate: &Arc<Gate>, serve: &Arc<F>)
where
    F: Fn(TcpStream) + Send + Sync + 'static,
{
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of file descriptors or an aborted handshake: neither ends the server.
            if gate.pause(Duration::from_millis(10)).is_break() {
                break;
            }
            continue;
        };
        if gate.is_stopping() {
            break;
        }
        if gate.down.load(Relaxed) {
            continue;
        }
        let number = gate.connections.fetch_add(1, Relaxed);
        let Ok(for_closing) = stream.try_clone() else {
            continue;
        };
        gate.open().insert(number, for_closing);
        // The link may have gone down, or the server been dropped, between the checks above and the insert.
        if gate.down.load(Relaxed) || gate.is_stopping() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let (gate, serve) = (gate.clone(), serve.clone());
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            serve(stream);
            gate.open().remove(&number);
        }));
    }
    for thread in threads {
        // A handler's panic was already printed and cost only its own connection.
        let _ = thread.join();
    }
}
