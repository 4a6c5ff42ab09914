//! Whether the cluster still lives: its controller would make all of it again.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::flags::Common;

/// What is known of the cluster that the kubeconfig leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cares {
    /// It is another cluster, or accounts for nothing.
    No,
    /// It has these CloudLoadBalancers of that name.
    For(Vec<String>),
    /// It was reached, and does not say.
    NotTold(String),
    /// No cluster was reached.
    NotReached(String),
}

/// Asks the cluster that the kubeconfig leads to whether it has CloudLoadBalancers of the name `cluster`.
pub async fn ask(common: &Common, cluster: &str) -> Cares {
    let reached = match Cluster::connect(common.kubeconfig.as_deref(), &common.namespace).await {
        Ok(reached) => reached,
        Err(error) => return Cares::NotReached(error.to_string()),
    };
    match reached.values("/apis/daymark.dev/v1alpha1/cloudloadbalancers").await {
        Ok(objects) => cares(&objects, cluster),
        Err(error) if error.code() == Some(404) => Cares::No,
        Err(error) if error.code().is_some() => Cares::NotTold(error.to_string()),
        Err(error) => Cares::NotReached(error.to_string()),
    }
}

/// Whether some of `objects` are of the name `cluster`.
pub fn cares(objects: &[Value], cluster: &str) -> Cares {
    let text =
        |object: &Value, path| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let own = objects.iter().filter(|object| text(object, "/spec/place/cluster") == cluster);
    let names: Vec<String> =
        own.map(|o| format!("{}/{}", text(o, "/metadata/namespace"), text(o, "/metadata/name"))).collect();
    if names.is_empty() { Cares::No } else { Cares::For(names) }
}

impl Cares {
    /// Why nothing is deleted; `None` where nothing speaks against it.
    pub fn objection(&self, cluster: &str) -> Option<String> {
        match self {
            Self::No | Self::NotReached(_) => None,
            Self::For(names) => Some(format!(
                "nothing is deleted: the cluster of this kubeconfig has {} CloudLoadBalancers of cluster {cluster} ({}), \
                 whose controller would make all of it again: delete their Services, or stop that controller and use \
                 --force",
                names.len(),
                shortened(names),
            )),
            Self::NotTold(error) => Some(format!(
                "nothing is deleted: whether the cluster of this kubeconfig has CloudLoadBalancers of cluster {cluster} is \
                 not known ({error}): use another kubeconfig, or --force"
            )),
        }
    }
}

fn shortened(names: &[String]) -> String {
    let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let more = if names.len() > some.len() { ", …" } else { "" };
    format!("{}{more}", some.join(", "))
}
