//! The case worker's page: four files compiled in, packed by `build.rs`. They hold no data; what the page shows it asks
//! for with the station's token. Every text of it stands in `page/texts.json`, in English and in Khmer.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Path, kind, and the file packed with gzip, which every browser takes.
const FILES: [(&str, &str, &[u8]); 4] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_bytes!(concat!(env!("OUT_DIR"), "/index.html.gz")),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_bytes!(concat!(env!("OUT_DIR"), "/page.css.gz")),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_bytes!(concat!(env!("OUT_DIR"), "/page.js.gz")),
    ),
    (
        "/texts.json",
        "application/json",
        include_bytes!(concat!(env!("OUT_DIR"), "/texts.json.gz")),
    ),
];

/// Nothing but the page's own files; nobody may frame it, and no form leaves it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn has(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}

/// The file at a path that [`has`] one.
pub fn serve(path: &str) -> Response<Full<Bytes>> {
    let found = FILES.iter().find(|(known, ..)| *known == path);
    let (_, kind, bytes) = found.expect("the caller has looked");
    let mut response = Response::new(Full::new(Bytes::from_static(bytes)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// What every answer of this listener tells browsers: keep nothing, guess nothing, load nothing from elsewhere.
pub fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        let name: HeaderName = name;
        headers.insert(name, HeaderValue::from_static(value));
    }
}
