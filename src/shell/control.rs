//! The control socket: the surface for people and programs with rights on this box, and the client the command line
//! uses. Reached by file permission alone: the socket is the service user's and its group's.

mod client;

pub use client::ask;

use super::surface::{Door, Surface};
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

/// Connections served at once; more wait in the socket's own queue.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Binds the socket, taking the place of one left behind by a crash: the store is locked by now, so nobody else
/// serves here.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves until the runtime ends.
pub async fn serve(listener: UnixListener, surface: Surface) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others will finish.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let surface = surface.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let surface = surface.clone();
                async move {
                    Ok::<Response<Full<Bytes>>, Infallible>(surface.answer(Door::Control, request).await)
                }
            });
            // A client that goes away in the middle is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}
