//! The API server as the measurements use it: ready-made writes side by side, and watches that keep only what is timed.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use daymark_tests::{Context, Error, Result, bail};
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request};
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many writes are under way at any time.
pub const WRITERS: usize = 32;

/// Metadata, as far as a write needs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The UID.
    #[serde(default)]
    pub uid: String,
    /// The resource version.
    #[serde(default)]
    pub resource_version: String,
}

/// Any object, its metadata only.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    /// Its metadata.
    pub metadata: Meta,
}

/// A list whose items are of type `T`.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// The list's own metadata.
    pub metadata: Meta,
    /// What is in it.
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

/// A Service, as far as it is timed.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// Its metadata.
    pub metadata: Meta,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceStatus {
    #[serde(default)]
    load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct LoadBalancer {
    #[serde(default)]
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Deserialize)]
struct Ingress {
    ip: Option<IpAddr>,
}

impl Service {
    /// The first address in its status.
    pub fn address(&self) -> Option<IpAddr> {
        self.status.load_balancer.ingress.first().and_then(|ingress| ingress.ip)
    }
}

/// A GET.
pub async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T> {
    let request = Request::builder().method(Method::GET).uri(path).body(Vec::new())?;
    client.request(request).await.with_context(|| format!("GET {path}"))
}

/// A POST.
pub async fn post<T: DeserializeOwned>(client: &Client, path: &str, body: Vec<u8>) -> Result<T> {
    send(client, Method::POST, path, "application/json", body).await
}

/// A strategic-merge patch.
pub async fn patch<T: DeserializeOwned>(client: &Client, path: &str, body: Vec<u8>) -> Result<T> {
    send(client, Method::PATCH, path, "application/strategic-merge-patch+json", body).await
}

/// A JSON merge patch.
pub async fn merge<T: DeserializeOwned>(client: &Client, path: &str, body: &Value) -> Result<T> {
    send(client, Method::PATCH, path, "application/merge-patch+json", serde_json::to_vec(body)?).await
}

/// A DELETE.
pub async fn delete(client: &Client, path: &str) -> Result<()> {
    send::<Value>(client, Method::DELETE, path, "application/json", Vec::new()).await.map(drop)
}

async fn send<T: DeserializeOwned>(
    client: &Client,
    method: Method,
    path: &str,
    content: &str,
    body: Vec<u8>,
) -> Result<T> {
    let shown = format!("{method} {path}");
    let request = Request::builder().method(method).uri(path).header("content-type", content).body(body)?;
    client.request(request).await.context(shown)
}

/// Does `work` for each item, [`WRITERS`] at a time, and shows how far it is.
pub async fn side_by_side<T, R, F>(what: &str, items: Vec<T>, work: impl Fn(T) -> F) -> Result<Vec<R>>
where
    F: Future<Output = Result<R>>,
{
    let (count, done, begin) = (items.len(), AtomicUsize::new(0), Instant::now());
    let step = (count / 4).max(1000);
    let work = |item| {
        let future = work(item);
        async {
            let result = future.await?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(step) || done == count {
                let rate = done as f64 / begin.elapsed().as_secs_f64();
                crate::progress(format_args!("  {what}: {done} of {count}, {rate:.0}/s"));
            }
            Ok::<R, Error>(result)
        }
    };
    futures::stream::iter(items).map(work).buffer_unordered(WRITERS).try_collect().await
}

/// A watch that runs from now on; dropped, it ends.
#[derive(Debug)]
pub struct Watch<T> {
    events: mpsc::UnboundedReceiver<(SystemTime, T)>,
    task: JoinHandle<()>,
}

impl<T> Watch<T>
where
    T: Clone + DeserializeOwned + Send + 'static,
{
    /// Of the collection `path`; only what changes after this call.
    pub async fn start(client: &Client, path: &str) -> Result<Self> {
        let list: List<Value> = get(client, &format!("{path}?limit=1")).await?;
        let version = list.metadata.resource_version;
        let uri = format!("{path}?watch=1&resourceVersion={version}");
        let request = Request::builder().uri(uri).body(Vec::new())?;
        let stream = client.request_events::<T>(request).await?;
        let (sender, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(Ok(event)) = stream.next().await {
                let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
                if sender.send((SystemTime::now(), object)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { events, task })
    }

    /// The next object that was made or changed, and when it was seen.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<(SystemTime, T)> {
        match tokio::time::timeout(limit, self.events.recv()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => bail!("the watch has ended"),
            Err(_) => bail!("the watch shows nothing new for {limit:?}"),
        }
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All requests that changed something, as the API server counts them, without Leases.
pub async fn writes(client: &Client) -> Result<u64> {
    let request = Request::builder().uri("/metrics").body(Vec::new())?;
    let text = client.request_text(request).await?;
    let counted = text.lines().filter(|line| {
        let writes = ["POST", "PUT", "PATCH", "DELETE", "APPLY"];
        line.starts_with("apiserver_request_total{")
            && writes.iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            && !line.contains("resource=\"leases\"")
    });
    let numbers = counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Ok(numbers.sum::<f64>() as u64)
}
