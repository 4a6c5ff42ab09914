//! What somebody on this host may ask the running speaker, as JSON under `/debug`.
//!
//! | path | answers |
//! |---|---|
//! | `/debug/services` | Services with addresses, routes and reasons, paged by `limit` and `after` |
//! | `/debug/services?namespace=N&name=S` | one Service |
//! | `/debug/sessions` | the BGP sessions |
//! | `/debug/l2` | layer 2: segments, meshes, members, conflicts |
//! | `/debug/l2/addresses` | who answers for which address on which interface, paged by `limit` and `after` |
//! | `/debug/node` | the node as decisions see it, what is missing before the start, problems |

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_kube::admin::Admin;
use daymark_model::ServiceKey;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::watches::Input;

/// The most Services in one answer.
const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 100;

/// Something asked of the owner, with the way back.
#[derive(Debug)]
pub struct Question {
    /// What.
    pub about: About,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Value>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Services in the order of their keys.
    Services {
        /// Only those behind this one.
        after: Option<ServiceKey>,
        /// At most so many.
        limit: usize,
    },
    /// One Service.
    Service(ServiceKey),
    /// The BGP sessions.
    Sessions,
    /// Layer 2 without its addresses.
    L2,
    /// Addresses on segments, in ascending order.
    L2Addresses {
        /// Only those behind this one.
        after: Option<IpAddr>,
        /// At most so many.
        limit: usize,
    },
    /// The node.
    Node,
}

/// Adds the paths to `admin`; questions go to the owner behind `to`.
pub fn serve(admin: Admin, to: &mpsc::Sender<Input>) -> Admin {
    let asking = |read: fn(&BTreeMap<String, String>) -> About| {
        let to = to.clone();
        move |parameters: BTreeMap<String, String>| ask(to.clone(), read(&parameters))
    };
    admin
        .ask("/debug/services", asking(services))
        .ask("/debug/sessions", asking(|_| About::Sessions))
        .ask("/debug/l2", asking(|_| About::L2))
        .ask("/debug/l2/addresses", asking(l2_addresses))
        .ask("/debug/node", asking(|_| About::Node))
}

fn ask(to: mpsc::Sender<Input>, about: About) -> BoxFuture<'static, Value> {
    async move {
        let (answer, answered) = oneshot::channel();
        if to.send(Input::Asked(Question { about, answer })).await.is_err() {
            return json!({"error": "the speaker is stopping"});
        }
        answered.await.unwrap_or_else(|_| json!({"error": "the speaker is stopping"}))
    }
    .boxed()
}

fn services(parameters: &BTreeMap<String, String>) -> About {
    let text = |name: &str| parameters.get(name).map(String::as_str).filter(|text| !text.is_empty());
    if let (Some(namespace), Some(name)) = (text("namespace"), text("name")) {
        return About::Service(ServiceKey::new(namespace, name));
    }
    let after = text("after").and_then(|key| key.split_once('/'));
    About::Services {
        after: after.map(|(namespace, name)| ServiceKey::new(namespace, name)),
        limit: limit(parameters),
    }
}

fn l2_addresses(parameters: &BTreeMap<String, String>) -> About {
    let after = parameters.get("after").and_then(|text| text.parse().ok());
    About::L2Addresses { after, limit: limit(parameters) }
}

fn limit(parameters: &BTreeMap<String, String>) -> usize {
    let asked = parameters.get("limit").and_then(|limit| limit.parse().ok());
    asked.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> About {
        services(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn pages_are_bounded() {
        assert_eq!(read(&[]), About::Services { after: None, limit: DEFAULT_PAGE });
        assert_eq!(read(&[("limit", "99999999")]), About::Services { after: None, limit: MAX_PAGE });
        assert_eq!(read(&[("limit", "0")]), About::Services { after: None, limit: 1 });
        let after = Some(ServiceKey::new("shop", "web"));
        assert_eq!(read(&[("after", "shop/web"), ("limit", "5")]), About::Services { after, limit: 5 });
        assert_eq!(read(&[("namespace", "a"), ("name", "b")]), About::Service(ServiceKey::new("a", "b")));
    }
}
