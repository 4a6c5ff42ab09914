//! What one CloudLoadBalancer is about, by its name: a Service, a group of Services, or the way to the nodes.

use daymark_config::names::annotation::{ALLOW_REPLACEMENT, GROUP};
use daymark_model::ServiceKey;
use daymark_providers::view::ServiceView;

use crate::object::Key;

/// Groups and ways to the nodes have names with a dot, which no Service has.
const GROUP_PREFIX: &str = "group.";
const NODE_ACCESS_PREFIX: &str = "node-access.";

/// The name of the CloudLoadBalancer of a Service.
pub fn of_service(service: &ServiceView) -> Key {
    let group = service.annotations.get(GROUP).map(|name| name.trim()).filter(|name| !name.is_empty());
    let name = match group {
        Some(group) => of_group(group),
        None => service.key.name.as_str().to_owned(),
    };
    Key { namespace: service.key.namespace.as_str().to_owned(), name }
}

/// The Service that a CloudLoadBalancer is for; nonsense for one of a group, whose name no Service has.
pub fn service_key(key: &Key) -> ServiceKey {
    ServiceKey::new(&key.namespace, &key.name)
}

/// The name of the CloudLoadBalancer of a group.
pub fn of_group(group: &str) -> String {
    format!("{GROUP_PREFIX}{group}")
}

/// The group that a CloudLoadBalancer is for.
pub fn group_of(name: &str) -> Option<&str> {
    name.strip_prefix(GROUP_PREFIX)
}

/// The CloudLoadBalancer that keeps what lets load balancers of a profile reach the nodes.
pub fn node_access(namespace: &str, profile: &str) -> Key {
    Key { namespace: namespace.to_owned(), name: format!("{NODE_ACCESS_PREFIX}{profile}") }
}

/// The profile whose way to the nodes a CloudLoadBalancer keeps.
pub fn node_access_of(name: &str) -> Option<&str> {
    name.strip_prefix(NODE_ACCESS_PREFIX)
}

/// The command that consents to a plan; `service` is the first of those that the load balancer serves.
pub fn consent_command(namespace: &str, service: &str, hash: &str) -> String {
    format!("kubectl annotate --overwrite service -n {namespace} {service} {ALLOW_REPLACEMENT}={hash}")
}
