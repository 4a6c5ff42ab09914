//! The admin endpoint: `/metrics`, `/healthz`, `/readyz`, and introspection for this host alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// Answers a question, given as the query's parameters, about what the daemon knows.
pub type Introspection =
    Arc<dyn Fn(BTreeMap<String, String>) -> BoxFuture<'static, serde_json::Value> + Send + Sync>;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The endpoint, not yet listening.
pub struct Admin {
    health: Health,
    registry: Registry,
    introspection: Vec<(String, Introspection)>,
}

impl Admin {
    /// An endpoint that shows `health` and `registry`.
    pub fn new(health: Health, registry: Registry) -> Self {
        Self { health, registry, introspection: Vec::new() }
    }

    /// Answers `GET path?a=b` with what `answer` gives, as JSON, to clients on this host only.
    pub fn ask(
        mut self,
        path: &str,
        answer: impl Fn(BTreeMap<String, String>) -> BoxFuture<'static, serde_json::Value> + Send + Sync + 'static,
    ) -> Self {
        self.introspection.push((path.to_owned(), Arc::new(answer)));
        self
    }

    /// Binds `address`; returns what is bound (its port may have been 0) and what serves until `stop`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        self,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> std::io::Result<(SocketAddr, impl Future<Output = std::io::Result<()>> + Send + 'static)> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let mut router = Router::new()
            .route("/metrics", get(metrics).with_state(Arc::new(self.registry)))
            .route("/healthz", get(healthz).with_state(self.health.clone()))
            .route("/readyz", get(readyz).with_state(self.health));
        for (path, answer) in self.introspection {
            router = router.route(&path, get(introspect).with_state(answer));
        }
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serve = async move {
            axum::serve(listener, service).with_graceful_shutdown(async move { stop.cancelled().await }).await
        };
        Ok((bound, serve))
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthz(State(health): State<Health>) -> Response {
    let silent = health.silent();
    if silent.is_empty() {
        return "ok\n".into_response();
    }
    let mut text = String::new();
    for (name, since) in silent {
        let _ = writeln!(text, "{name} has not moved for {} s", since.as_secs());
    }
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

async fn readyz(State(health): State<Health>) -> Response {
    let mut text = String::new();
    for (name, check) in health.checks().iter() {
        let _ = writeln!(text, "{name} {check}");
    }
    let code = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, text).into_response()
}

async fn introspect(
    State(answer): State<Introspection>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    uri: Uri,
) -> Response {
    if !client.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "ask from this host\n").into_response();
    }
    match tokio::time::timeout(ANSWER_LIMIT, answer(parameters(uri.query().unwrap_or_default()))).await {
        Ok(value) => Json(value).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer in time\n").into_response(),
    }
}

/// The parameters of a query, as `a=b&c=d`. Names and addresses need no escapes, so none are undone.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (k.into(), v.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_taken_apart() {
        let found = parameters("namespace=shop&limit=5&all");
        assert_eq!(found.get("namespace").map(String::as_str), Some("shop"));
        assert_eq!(found.get("all").map(String::as_str), Some(""));
        assert!(parameters("").is_empty());
    }
}
