//! What the API server says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daymark_kube::client::ConnectError;
use daymark_kube::slim::{Node, Service};
use daymark_kube::{ApiServer, CallError, within};
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::told::SpeakerObject;

const DEADLINE: Duration = Duration::from_secs(15);
const PAGE: u32 = 500;
/// More objects than any cluster has: a server that pages for ever is not followed.
const MAX_PAGES: usize = 1000;

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// The namespace of Daymark's own objects.
    pub namespace: String,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct PageMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// The Service that an address belongs to, with all others that share it.
pub type Vips = BTreeMap<IpAddr, Vec<String>>;

impl Cluster {
    /// Connects with `kubeconfig`, else the user's own, else as the pod.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub async fn connect(kubeconfig: Option<&Path>, namespace: &str) -> Result<Self, ConnectError> {
        let file = kubeconfig_of(kubeconfig, std::env::home_dir().as_deref());
        let client = ApiServer::load(file.as_deref()).await?.client()?;
        Ok(Self { client, namespace: namespace.to_owned() })
    }

    /// All Services.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn services(&self) -> Result<Vec<Service>, CallError> {
        self.list("/api/v1/services", None).await
    }

    /// All Nodes.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn nodes(&self) -> Result<Vec<Node>, CallError> {
        self.list("/api/v1/nodes", None).await
    }

    /// All Speakers.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn speakers(&self) -> Result<Vec<SpeakerObject>, CallError> {
        self.list("/apis/daymark.dev/v1alpha1/speakers", None).await
    }

    /// All Announcements.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn announcements(&self) -> Result<Vec<Value>, CallError> {
        self.list("/apis/daymark.dev/v1alpha1/announcements", None).await
    }

    /// All objects of the collection at `path`, as they are.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn values(&self, path: &str) -> Result<Vec<Value>, CallError> {
        self.list(path, None).await
    }

    /// Daymark's pods with the label `app.kubernetes.io/name=NAME`.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn pods(&self, name: &str) -> Result<Vec<Value>, CallError> {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        self.list(&path, Some(&format!("app.kubernetes.io/name={name}"))).await
    }

    /// One object; `None` when it does not exist.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn get(&self, namespace: &str, plural: &str, name: &str) -> Result<Option<Value>, CallError> {
        let path = format!("/api/v1/namespaces/{namespace}/{plural}");
        let request = Request::new(path).get(name, &kube::api::GetParams::default());
        let request = request.map_err(|error| CallError::Kube(kube::Error::BuildRequest(error)))?;
        match within(DEADLINE, self.client.request(request)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a collection; those that do not fit are left out.
    async fn list<T: DeserializeOwned>(&self, path: &str, labels: Option<&str>) -> Result<Vec<T>, CallError> {
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = labels.map(str::to_owned);
        for _ in 0..MAX_PAGES {
            let request = Request::new(path).list(&params);
            let request = request.map_err(|error| CallError::Kube(kube::Error::BuildRequest(error)))?;
            let page: Page = within(DEADLINE, self.client.request(request)).await?;
            all.extend(page.items.into_iter().filter_map(|item| serde_json::from_value(item).ok()));
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => params.continue_token = Some(next),
                None => break,
            }
        }
        Ok(all)
    }
}

/// The file to use: the one that was given (the first that exists of a list as kubectl's KUBECONFIG may be one), else the
/// user's own; `None` where there is neither.
fn kubeconfig_of(given: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    if let Some(given) = given {
        let several: Vec<PathBuf> = std::env::split_paths(given).collect();
        let first = several.iter().find(|file| file.exists()).or(several.first());
        return Some(first.cloned().unwrap_or_else(|| given.to_owned()));
    }
    home.map(|home| home.join(".kube/config")).filter(|file| file.exists())
}

/// The addresses that Services of type LoadBalancer show, with the Services.
pub fn vips(services: &[Service]) -> Vips {
    let mut vips = Vips::new();
    for service in services {
        let is_ours = service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("LoadBalancer");
        if is_ours {
            for address in addresses(service) {
                vips.entry(address).or_default().push(service.metadata.key().to_string());
            }
        }
    }
    vips
}

/// The addresses that a Service shows.
pub fn addresses(service: &Service) -> Vec<IpAddr> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    ingress.filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_given_kubeconfig_comes_before_the_users_own() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(kubeconfig_of(None, Some(home.path())), None);
        let own = home.path().join(".kube/config");
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(&own, "").unwrap();
        assert_eq!(kubeconfig_of(None, Some(home.path())), Some(own.clone()));
        let missing = Path::new("/nowhere/config");
        assert_eq!(kubeconfig_of(Some(missing), Some(home.path())), Some(missing.to_owned()));
        let list = std::env::join_paths([missing, own.as_path()]).unwrap();
        assert_eq!(kubeconfig_of(Some(Path::new(&list)), None), Some(own));
    }

    #[test]
    fn only_load_balancers_have_vips() {
        let service = |name: &str, type_: &str| -> Service {
            serde_json::from_value(json!({
                "metadata": {"namespace": "shop", "name": name},
                "spec": {"type": type_},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "h"}, {"ip": "2001:db8::1"}]}},
            }))
            .unwrap()
        };
        let vips =
            vips(&[service("b", "LoadBalancer"), service("a", "ClusterIP"), service("c", "LoadBalancer")]);
        assert_eq!(vips.len(), 2);
        assert_eq!(vips[&"192.0.2.1".parse::<IpAddr>().unwrap()], ["shop/b", "shop/c"]);
    }
}
