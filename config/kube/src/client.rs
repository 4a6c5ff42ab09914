//! Connections to the API server.
//!
//! kube's ready-made client retries 429 and 5xx up to 15 times without a word and notices a server that has gone silent only
//! when a watch times out after 295 s. This one never retries by itself, and its sockets find out: an idle connection is
//! probed by TCP after 10 s and given up 9 s later, unanswered data after 15 s.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::ServiceExt as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;
const UNANSWERED_LIMIT: Duration = Duration::from_secs(15);
const POOL_IDLE: Duration = Duration::from_secs(60);

/// Why there is no connection to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {path} cannot be used: {source}")]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<kube::config::KubeconfigError>,
    },
    /// No kubeconfig was given and this is no pod.
    #[error("no API server is known: give --kubeconfig or KUBECONFIG, or run in a pod ({0})")]
    NotInCluster(kube::config::InClusterError),
    /// The client cannot be made of it.
    #[error("no client can be made for {url}: {source}")]
    Client {
        /// The API server.
        url: String,
        /// Why.
        source: Box<kube::Error>,
    },
}

/// Where the API server is and who we are to it. Each [`ApiServer::client`] has connections of its own.
#[derive(Clone, Debug)]
pub struct ApiServer {
    config: Config,
}

impl ApiServer {
    /// From `kubeconfig`, else `KUBECONFIG` (which clap reads into the flag), else the pod's own ServiceAccount.
    ///
    /// # Errors
    /// When the file cannot be used, or when there is none and this is no pod.
    pub async fn load(kubeconfig: Option<&Path>) -> Result<Self, ConnectError> {
        let config = match kubeconfig {
            Some(path) => {
                let failed = |source: kube::config::KubeconfigError| ConnectError::Kubeconfig {
                    path: path.to_owned(),
                    source: Box::new(source),
                };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
            }
            None => Config::incluster().map_err(ConnectError::NotInCluster)?,
        };
        Ok(Self { config })
    }

    /// The namespace that the kubeconfig or the pod names.
    pub fn default_namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// The URL.
    pub fn url(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// A new client with connections of its own.
    ///
    /// # Errors
    /// When the credentials or certificates cannot be used.
    pub fn client(&self) -> Result<Client, ConnectError> {
        self.build().map_err(|source| ConnectError::Client { url: self.url(), source: Box::new(source) })
    }

    fn build(&self) -> Result<Client, kube::Error> {
        install_crypto_provider();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE_IDLE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        tcp.set_tcp_user_timeout(Some(UNANSWERED_LIMIT));
        let https = self.config.rustls_https_connector_with_connector(tcp)?;
        let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(https);
        let namespace = self.config.default_namespace.clone();
        let http = http.map_err(tower::BoxError::from);
        let builder = ClientBuilder::new(http, namespace)
            .with_layer(&self.config.base_uri_layer())
            .with_layer(&self.config.extra_headers_layer()?);
        Ok(match self.config.auth_layer()? {
            Some(auth) => builder.with_layer(&auth).build(),
            None => builder.build(),
        })
    }
}

/// Makes `ring` the process's TLS provider, once.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, with the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Why a call gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing came back in time; the server may have done it all the same.
    #[error("the API server did not answer within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// The server refused, or the connection broke.
    #[error("{}", told(.0))]
    Kube(#[from] kube::Error),
}

/// What the server said, without the rest of the object that it said it in.
fn told(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("the API server answers {}: {}", status.code, status.message.trim());
    }
    if let kube::Error::Service(source) = error {
        return format!("the API server is not reached: {}", with_causes(&**source));
    }
    if let kube::Error::ReadEvents(source) = error {
        return format!("the connection broke: {}", with_causes(source));
    }
    error.to_string()
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut sentences: Vec<String> = causes.map(ToString::to_string).collect();
    // Many an error quotes its cause itself.
    sentences.dedup_by(|cause, error| error.contains(cause.as_str()));
    sentences.join(": ")
}

impl CallError {
    /// The HTTP code of the server's refusal; `None` when it did not answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status.code),
            Self::Kube(_) | Self::Deadline(_) => None,
        }
    }

    /// The machine-readable reason of the server's refusal, as `AlreadyExists`.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(&status.reason),
            Self::Kube(_) | Self::Deadline(_) => None,
        }
    }
}

/// Runs one call with a deadline.
///
/// # Errors
/// The call's own, or [`CallError::Deadline`].
pub async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Deadline(deadline)),
    }
}
