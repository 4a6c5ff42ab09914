//! What one load balancer is about: a Service, a group of Services, or the way to the nodes.

use daymark_kube::Key;
use daymark_model::{ProfileName, ServiceKey};
use daymark_providers::view::ServiceView;

/// The annotation that joins Services of one namespace on one load balancer.
use daymark_config::names::annotation::GROUP;

/// Groups and ways to the nodes have names with a dot, which no Service has.
const GROUP_PREFIX: &str = "group.";
const NODE_ACCESS_PREFIX: &str = "node-access.";

/// The name of the CloudLoadBalancer of a Service.
pub fn of_service(service: &ServiceView) -> Key {
    let name = match group(service) {
        Some(group) => format!("{GROUP_PREFIX}{group}"),
        None => service.key.name.as_str().to_owned(),
    };
    Key { namespace: service.key.namespace.as_str().to_owned(), name }
}

/// The group that a Service wants to be in.
pub fn group(service: &ServiceView) -> Option<&str> {
    service.annotations.get(GROUP).map(|name| name.trim()).filter(|name| !name.is_empty())
}

/// The group that a CloudLoadBalancer is for.
pub fn group_of(key: &Key) -> Option<&str> {
    key.name.strip_prefix(GROUP_PREFIX)
}

/// The name of the CloudLoadBalancer that keeps what lets load balancers of a profile reach the nodes.
pub fn node_access(namespace: &str, profile: &ProfileName) -> Key {
    Key { namespace: namespace.to_owned(), name: format!("{NODE_ACCESS_PREFIX}{profile}") }
}

/// The profile whose way to the nodes a CloudLoadBalancer keeps.
pub fn node_access_of<'a>(namespace: &str, key: &'a Key) -> Option<&'a str> {
    (key.namespace == namespace).then(|| key.name.strip_prefix(NODE_ACCESS_PREFIX)).flatten()
}

/// The Service of that name; nonsense for groups, which have no Service's name.
pub fn service_key(key: &Key) -> ServiceKey {
    ServiceKey::new(&key.namespace, &key.name)
}
