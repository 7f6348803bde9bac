//! The control socket: the surface for people and programs with rights on this box, and the client the command line
//! uses. Reached by file permission alone: the socket is the service user's and its group's.

use super::surface::{Door, Surface};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
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

/// One request to a running service; `Ok(None)` if none runs here.
pub fn ask(path: &Path, method: &str, target: &str, body: Vec<u8>) -> io::Result<Option<(u16, Value)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "gateway")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(io::Error::other)?;
        let response: Response<Incoming> = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?
            .to_bytes();
        let value = serde_json::from_slice(&body).map_err(io::Error::other)?;
        Ok(Some((status, value)))
    })
}
