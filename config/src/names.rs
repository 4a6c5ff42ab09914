//! Names of annotations, labels and conditions that Daymark reads or writes.

/// Annotations of Services that Daymark reads.
pub mod annotation {
    /// Pools to take the addresses from, comma-separated, in order.
    pub const POOL: &str = "daymark.dev/pool";
    /// Addresses to give, comma-separated, at most one per family.
    pub const ADDRESSES: &str = "daymark.dev/addresses";
    /// Services with the same key may share an address.
    pub const SHARING_KEY: &str = "daymark.dev/sharing-key";

    /// What [`POOL`] is called elsewhere, the first that is set holds.
    pub const POOL_ALIASES: [&str; 2] = ["metallb.io/address-pool", "metallb.universe.tf/address-pool"];
    /// What [`ADDRESSES`] is called elsewhere, the first that is set holds; `spec.loadBalancerIP` comes after them.
    pub const ADDRESSES_ALIASES: [&str; 5] = [
        "metallb.io/loadBalancerIPs",
        "metallb.universe.tf/loadBalancerIPs",
        "lbipam.cilium.io/ips",
        "kube-vip.io/loadbalancerIPs",
        "purelb.io/addresses",
    ];
    /// What [`SHARING_KEY`] is called elsewhere, the first that is set holds.
    pub const SHARING_KEY_ALIASES: [&str; 3] =
        ["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip", "lbipam.cilium.io/sharing-key"];
}

/// Labels that Daymark reads.
pub mod label {
    /// A node with this label announces nothing, whatever its value (Kubernetes `core/v1.LabelNodeExcludeBalancers`).
    pub const EXCLUDE_FROM_LOAD_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
    /// The name of the Service that an EndpointSlice belongs to (`discovery/v1.LabelServiceName`).
    pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
}

/// Types of conditions that Daymark writes.
pub mod condition {
    /// On a Service: it has the addresses that it asks for.
    pub const ADDRESS_ASSIGNED: &str = "daymark.dev/AddressAssigned";
    /// The spec of the object is sound and in use.
    pub const ACCEPTED: &str = "Accepted";
    /// The objects that the spec names exist.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// The speaker does what the objects say.
    pub const PROGRAMMED: &str = "Programmed";
    /// On an AddressPool: another pool has some of its addresses too.
    pub const OVERLAP: &str = "Overlap";
}
