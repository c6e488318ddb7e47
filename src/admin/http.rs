//! The read-only HTTP port: `/metrics`, `/healthz`, `/readyz`.
//!
//! Why hyper and not fifty lines of ours: requests are outside bytes, and its parser has met them all.
//! Holds: everything has a bound: connections, the size and the time of a request's head, the age of a connection and
//! the time that its last answer may take; nothing that a client sends changes anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::gauges;
use super::readiness::{Readiness, readiness};
use super::sources::Sources;

/// Bounds of the port; tests choose shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpBounds {
    /// connections at once
    pub connections_max: usize,
    /// bytes of a request line and its headers together
    pub head_bytes_max: usize,
    /// a client that takes longer to send a head, or to send the next one, is hung up on
    pub head_timeout: Duration,
    /// an older connection is closed after its answer
    pub age_max: Duration,
    /// how long a last answer may take to be read
    pub grace: Duration,
}

impl HttpBounds {
    /// For scrapers and probes, which are few and quick.
    pub const DEFAULT: HttpBounds = HttpBounds {
        connections_max: 64,
        head_bytes_max: 16 * 1024,
        head_timeout: Duration::from_secs(10),
        age_max: Duration::from_secs(300),
        grace: Duration::from_secs(10),
    };
}

/// After an accept that failed (as a rule: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Serves `/metrics`, `/healthz` and `/readyz` until `shutdown` completes; then answers under way may finish.
pub async fn serve_http(
    listener: TcpListener,
    sources: Arc<dyn Sources>,
    bounds: HttpBounds,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = shutdown.as_mut() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < bounds.connections_max => {
                    connections.spawn(serve_connection(stream, Arc::clone(&sources), bounds, stopped.clone()));
                }
                Ok((_, peer)) => warn!(%peer, connections_max = bounds.connections_max, "http connection turned away"),
                Err(error) => {
                    warn!(%error, "http connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(stop);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(
    stream: TcpStream,
    sources: Arc<dyn Sources>,
    bounds: HttpBounds,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(move |request| {
        let response = answer(&request, sources.as_ref());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_header_size(bounds.head_bytes_max)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The sender is only ever dropped.
        _ = tokio::time::timeout(bounds.age_max, stopped.changed()) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(bounds.grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "http connection broke");
    }
}

fn answer(request: &Request<Incoming>, sources: &dyn Sources) -> Response<Full<Bytes>> {
    let page: fn(&dyn Sources) -> (StatusCode, &'static str, String) = match request.uri().path() {
        "/metrics" => metrics,
        "/healthz" => |_| (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => ready,
        _ => |_| {
            (
                StatusCode::NOT_FOUND,
                TEXT,
                "not found: there are /metrics, /healthz and /readyz\n".to_owned(),
            )
        },
    };
    let is_readable = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, body) = if is_readable {
        page(sources)
    } else {
        (
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "this port is read-only: GET or HEAD\n".to_owned(),
        )
    };
    // hyper leaves the body out of an answer to HEAD and keeps its length.
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn metrics(sources: &dyn Sources) -> (StatusCode, &'static str, String) {
    gauges::refresh(sources);
    match sources.telemetry().render() {
        Ok(text) => (StatusCode::OK, METRICS, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn ready(sources: &dyn Sources) -> (StatusCode, &'static str, String) {
    let (status, body) = match readiness(sources) {
        Readiness::Ready(body) => (StatusCode::OK, body),
        Readiness::NotReady(body) => (StatusCode::SERVICE_UNAVAILABLE, body),
    };
    (status, JSON, format!("{body:#}\n"))
}
