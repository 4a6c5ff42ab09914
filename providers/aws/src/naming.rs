//! Names and tags of what is made, and the words of the inventory.
//!
//! A name is a function of its owner and generation, so that what a lost answer left behind is found by it. AWS allows 32
//! letters, digits and hyphens for load balancers and target groups.

use daymark_model::{Family, ResourceKey};
use daymark_providers::text::{alphanumeric, short_hash};

use crate::api::Tags;

/// Kinds of resources in the inventory.
pub mod kind {
    /// A network load balancer; role [`super::LOAD_BALANCER_ROLE`].
    pub const LOAD_BALANCER: &str = "LoadBalancer";
    /// A listener; the role is its port. Its generation is its load balancer's.
    pub const LISTENER: &str = "Listener";
    /// A target group; the role is `SERVICE/PROTOCOL-PORT`, in small letters.
    pub const TARGET_GROUP: &str = "TargetGroup";
    /// A security group; role [`super::FRONTEND_ROLE`] or [`super::BACKEND_ROLE`].
    pub const SECURITY_GROUP: &str = "SecurityGroup";
    /// Our rules in a security group of the nodes; the role is that group's id.
    pub const NODE_RULES: &str = "NodeRules";
}

/// Facts in the inventory.
pub mod fact {
    /// Its DNS name, in small letters.
    pub const DNS: &str = "dns";
    /// The hosted zone of its DNS name.
    pub const HOSTED_ZONE: &str = "hosted-zone";
    /// What becomes of it when its Service goes: `Delete` or `Retain`.
    pub const DELETION: &str = "deletion";
    /// What the user last asked of its deletion protection: `true` or `false`.
    pub const PROTECTION: &str = "protection";
    /// Whether AWS has said once that it is active.
    pub const ACTIVE: &str = "active";
    /// Whether every port had a healthy target once.
    pub const READY: &str = "ready";
    /// Its static addresses, separated by commas.
    pub const ADDRESSES: &str = "addresses";
    /// Which attributes were last set, and when: `MILLISECONDS HASH`.
    pub const ATTRIBUTES_SET: &str = "attributes-set";
    /// Which attributes were last seen as wished, and when: `MILLISECONDS HASH`.
    pub const ATTRIBUTES_SEEN: &str = "attributes-seen";
    /// Which tags were last set, and when: `MILLISECONDS HASH`.
    pub const TAGS_SET: &str = "tags-set";
    /// What the targets of a target group are.
    pub const TARGET_TYPE: &str = "target-type";
    /// The family of the targets of a target group.
    pub const FAMILY: &str = "family";
    /// The load balancer that forwards to a target group.
    pub const USED_BY: &str = "used-by";
    /// The hash of the wish that was last carried out (kept where drift is only reported).
    pub const SETTLED: &str = "settled";
    /// What was last asked for in a subnet: `static/subnet-…` = Elastic IP, private and IPv6 address.
    pub const STATIC_PREFIX: &str = "static/";
}

/// Names of recorded settings.
pub mod record {
    /// An attribute: `attribute/KEY`.
    pub const ATTRIBUTE_PREFIX: &str = "attribute/";
    /// A tag of the user's: `tag/KEY`.
    pub const TAG_PREFIX: &str = "tag/";
    /// Reserved capacity units.
    pub const CAPACITY: &str = "capacity";
    /// The ALPN policy of a listener.
    pub const ALPN: &str = "alpn";
    /// Whether security groups hold for PrivateLink.
    pub const PRIVATE_LINK: &str = "private-link";
    /// Whether there are prefixes for IPv6 source NAT.
    pub const SOURCE_NAT: &str = "source-nat";
}

/// A family as facts of target groups say it.
pub fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// The description of each rule that Daymark makes, for the cluster of that name.
pub fn rule_description(cluster: &str) -> String {
    format!("daymark.dev/{cluster}")
}

/// The one role of load balancers.
pub const LOAD_BALANCER_ROLE: &str = "nlb";
/// The security group that says which clients may come.
pub const FRONTEND_ROLE: &str = "frontend";
/// The security group that nodes let in: one for all load balancers of a profile.
pub const BACKEND_ROLE: &str = "backend";

/// Keys of tags.
pub mod tag {
    /// The cluster: its name.
    pub const CLUSTER: &str = "daymark.dev/cluster";
    /// The CloudLoadBalancer: `NAMESPACE/NAME`.
    pub const OWNER: &str = "daymark.dev/owner";
    /// The CloudLoadBalancer's identity.
    pub const UID: &str = "daymark.dev/uid";
    /// What the resource is for.
    pub const ROLE: &str = "daymark.dev/role";
    /// All of them.
    pub const OURS: [&str; 4] = [CLUSTER, OWNER, UID, ROLE];

    /// Whether Daymark itself sets the tag with this key.
    pub fn is_ours(key: &str) -> bool {
        OURS.contains(&key)
    }
}

/// On whose behalf resources are made: one CloudLoadBalancer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// The CloudLoadBalancer's namespace.
    pub namespace: String,
    /// The CloudLoadBalancer's name.
    pub name: String,
    /// What tells it from a later one of that name: the Service's UID, or the group's first.
    pub uid: String,
}

impl Owner {
    /// The tags of what is made for it.
    pub fn tags(&self, role: &str) -> Tags {
        let tags = [
            (tag::CLUSTER, self.cluster.clone()),
            (tag::OWNER, format!("{}/{}", self.namespace, self.name)),
            (tag::UID, self.uid.clone()),
            (tag::ROLE, role.to_owned()),
        ];
        tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Whether `tags` say that a resource is its own.
    pub fn owns(&self, tags: &Tags) -> bool {
        let says = |key, value: &str| tags.get(key).is_some_and(|tag| tag == value);
        says(tag::CLUSTER, &self.cluster) && says(tag::UID, &self.uid)
    }

    /// The name of the load balancer, target group or security group with this key.
    pub fn resource_name(&self, key: &ResourceKey) -> String {
        let generation = key.generation.to_string();
        let parts =
            [&*self.cluster, &self.namespace, &self.name, &self.uid, &key.kind, &key.role, &generation];
        let (namespace, name) = (alphanumeric(&self.namespace, 8), alphanumeric(&self.name, 8));
        format!("dm-{namespace}-{name}-{}", short_hash(parts, 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_tell_apart() {
        let owner = |name: &str| Owner {
            cluster: "c".into(),
            namespace: "a-very-long-namespace".into(),
            name: name.into(),
            uid: "u".into(),
        };
        let key = |generation| ResourceKey::new(kind::TARGET_GROUP, "web/tcp-80", generation);
        let name = owner("a-long-service").resource_name(&key(1));
        assert_eq!(&name[..21], "dm-averylon-alongser-");
        assert_eq!(name.len(), 31);
        assert_ne!(name, owner("a-long-service").resource_name(&key(2)));
        assert_ne!(name, owner("a-long-servicf").resource_name(&key(1)));
        assert!(owner("a").owns(&owner("a").tags("x")));
    }
}
