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

    /// Services of a namespace with the same group are served by one load balancer in the cloud.
    pub const GROUP: &str = "daymark.dev/group";
    /// The consent to the disruptive changes of a plan: what `status.plan.consent` of the CloudLoadBalancer says.
    pub const ALLOW_REPLACEMENT: &str = "daymark.dev/allow-replacement";
    /// What is done with a plan, instead of what the profile says: `apply`, `observe` or `plan`.
    pub const MODE: &str = "daymark.dev/mode";
    /// What becomes of the load balancer of the deleted Service, instead of what the profile says: `Delete` or `Retain`.
    pub const DELETION_POLICY: &str = "daymark.dev/deletion-policy";
    /// The ARN of the load balancer in the cloud that is used instead of one of our own.
    pub const ADOPT: &str = "daymark.dev/adopt";
    /// When the address is published, instead of what the profile says: `address`, `active` or
    /// `healthy`.
    pub const WAIT_FOR: &str = "daymark.dev/wait-for";

    /// Who serves a Service without a class in AWS: `nlb` the in-tree controller, `nlb-ip` and `external` the AWS Load
    /// Balancer Controller.
    pub const AWS_LOAD_BALANCER_TYPE: &str = "service.beta.kubernetes.io/aws-load-balancer-type";
}

/// Finalizers that Daymark writes or looks for.
pub mod finalizer {
    /// On a Service: something exists for it in a cloud (Kubernetes `service/helpers.LoadBalancerCleanupFinalizer`).
    pub const LOAD_BALANCER_CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";
    /// On a CloudLoadBalancer: its inventory is not empty.
    pub const INVENTORY: &str = "daymark.dev/inventory";
    /// On a Service: the AWS Load Balancer Controller's.
    pub const LBC_RESOURCES: &str = "service.k8s.aws/resources";
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
    /// On a Service and its CloudLoadBalancer: the load balancer in the cloud is as the Service asks.
    pub const PROVISIONED: &str = "daymark.dev/Provisioned";
    /// On a CloudLoadBalancer: changes wait for consent.
    pub const PLAN_PENDING: &str = "PlanPending";
    /// The spec of the object is sound and in use.
    pub const ACCEPTED: &str = "Accepted";
    /// The objects that the spec names exist.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// The speaker does what the objects say.
    pub const PROGRAMMED: &str = "Programmed";
    /// On an AddressPool: another pool has some of its addresses too.
    pub const OVERLAP: &str = "Overlap";
}
