//! What a Node object says about its node.

use std::collections::BTreeSet;
use std::net::IpAddr;

use daymark_model::Labels;

use crate::slim::Node;

/// What is kept of a Node object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: Labels,
    /// Whether it has the taint `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
    /// Whether its condition `NetworkUnavailable` is `True`.
    pub network_unavailable: bool,
    /// All its addresses, internal ones first.
    pub addresses: Vec<IpAddr>,
    /// Its internal addresses.
    pub internal: BTreeSet<IpAddr>,
}

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is kept of a Node.
pub fn node(node: &Node) -> NodeFacts {
    let status = node.status.as_ref();
    let listed = || status.and_then(|s| s.addresses.as_ref()).into_iter().flatten();
    let of = |internal: bool| {
        listed()
            .filter(move |a| (a.type_.as_deref() == Some("InternalIP")) == internal)
            .filter_map(|a| a.address.as_ref()?.parse::<IpAddr>().ok())
    };
    let mut taints = node.spec.as_ref().and_then(|s| s.taints.as_ref()).into_iter().flatten();
    let mut conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    NodeFacts {
        uid: node.metadata.uid.clone().unwrap_or_default(),
        labels: node.metadata.labels(),
        out_of_service: taints.any(|t| t.key.as_deref() == Some(OUT_OF_SERVICE)),
        network_unavailable: conditions
            .any(|c| c.type_.as_deref() == Some("NetworkUnavailable") && c.status.as_deref() == Some("True")),
        addresses: of(true).chain(of(false)).collect(),
        internal: of(true).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn taints_conditions_and_addresses() {
        let object = json!({
            "metadata": {"name": "n1", "uid": "0b5e6b1c-0000-4000-8000-000000000001"},
            "spec": {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]},
            "status": {
                "addresses": [
                    {"type": "ExternalIP", "address": "198.51.100.1"},
                    {"type": "InternalIP", "address": "192.0.2.11"},
                    {"type": "Hostname", "address": "n1"},
                ],
                "conditions": [{"type": "NetworkUnavailable", "status": "True"}],
            },
        });
        let facts = node(&serde_json::from_value(object).unwrap());
        assert!(facts.out_of_service && facts.network_unavailable);
        let addresses: Vec<String> = facts.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.11", "198.51.100.1"]);
        assert_eq!(facts.internal.len(), 1);
        assert_eq!(facts.uid, "0b5e6b1c-0000-4000-8000-000000000001");
    }
}
