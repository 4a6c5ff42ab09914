//! BgpNeighbor: a router that nodes hold BGP sessions with.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::selector::LabelSelector;
use super::status::{has_status, lenient, lenient_list};

/// A router, and how sessions with it are held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "BgpNeighbor",
    plural = "bgpneighbors",
    shortname = "dmnbr",
    category = "daymark",
    status = "BgpNeighborStatus",
    derive = "PartialEq",
    doc = "A router that nodes hold BGP sessions with. The sessions are shown in the nodes' Speakers.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.asnType"),
    printcolumn(name = "Local ASN", type_ = "integer", json_path = ".spec.localAsn"),
    printcolumn(name = "Port", type_ = "integer", json_path = ".spec.port", priority = 1),
    printcolumn(name = "Passive", type_ = "boolean", json_path = ".spec.passive", priority = 1),
    printcolumn(name = "Hold", type_ = "string", json_path = ".spec.timers.hold", priority = 1),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[x_kube(
    validation = Rule::new("has(self.asn) != has(self.asnType)")
        .message("set exactly one of asn (the router's AS) and asnType (Internal or External)"),
    validation = Rule::new(
        "!has(self.source) || !has(self.source.address) || !isIP(self.source.address) || !isIP(self.address) \
         || ip(self.source.address).family() == ip(self.address).family()"
    ).message("source.address must be of the same family as address")
)]
pub struct BgpNeighborSpec {
    /// The nodes that hold a session with the router, by their labels. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,

    /// The router's address.
    #[schemars(schema_with = "schema::neighbor_address")]
    pub address: String,

    /// The router's TCP port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,

    /// Do not connect to the router; wait until it connects.
    #[serde(default)]
    pub passive: bool,

    /// The router's AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn")]
    pub asn: Option<i64>,

    /// The router's AS when its number does not matter: `Internal` (ours: iBGP) or `External` (any but ours: eBGP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn_type: Option<AsnType>,

    /// Our AS toward this router. Absent: `spec.asn` of the node's Speaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn")]
    pub local_asn: Option<i64>,

    /// Our BGP identifier toward this router, written like an IPv4 address; it must differ from node to node, so this
    /// fits a neighbor of one node only. Absent: `spec.routerId` of the node's Speaker, else the node's IPv4 address,
    /// else a number made from the node's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::router_id")]
    pub router_id: Option<String>,

    /// Our end of the session. Absent: what the node's routes give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSetting>,

    /// Timers of the session.
    #[serde(default)]
    pub timers: BgpTimers,

    /// How many hops away the router may be. Absent: a router of another AS must be on a link of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub multihop: Option<i64>,

    /// The families that are announced to the router.
    #[serde(default = "both_families")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub families: Vec<IpFamily>,
}

super::pathed::pathed!(BgpNeighborSpec);
has_status!(BgpNeighbor);

fn default_port() -> i64 {
    179
}

fn both_families() -> Vec<IpFamily> {
    vec![IpFamily::IPv4, IpFamily::IPv6]
}

/// The AS of a router, relative to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AsnType {
    /// Ours (iBGP).
    Internal,
    /// Any but ours (eBGP).
    External,
}

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamily {
    /// IPv4.
    IPv4,
    /// IPv6.
    IPv6,
}

/// Our end of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.address) != has(self.interface)")
    .message("set exactly one of source.address and source.interface"))]
pub struct SourceSetting {
    /// The session starts from this address of the node; nodes that do not have it hold no session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::source_address")]
    pub address: Option<String>,

    /// The session starts from the address of this interface, such as `eth0` or `lo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::interface")]
    pub interface: Option<String>,
}

/// Timers of a session, as durations such as `90s` or `1m30s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(schema::KEEPALIVE_BELOW_HOLD)
        .message("timers.keepalive must be shorter than timers.hold; a third of it is usual")
)]
pub struct BgpTimers {
    /// How long the router's silence is borne, in whole seconds; the shorter of ours and the router's holds. `0s`: for
    /// ever.
    #[serde(default = "default_hold")]
    #[schemars(schema_with = "schema::hold_time")]
    pub hold: String,

    /// How often we say that we live. Absent: a third of the hold time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::keepalive_time")]
    pub keepalive: Option<String>,

    /// The time between two attempts to connect. It grows while attempts fail.
    #[serde(default = "default_connect_retry")]
    #[schemars(schema_with = "schema::connect_retry_time")]
    pub connect_retry: String,
}

impl Default for BgpTimers {
    fn default() -> Self {
        Self { hold: default_hold(), keepalive: None, connect_retry: default_connect_retry() }
    }
}

fn default_hold() -> String {
    "90s".to_owned()
}

fn default_connect_retry() -> String {
    "5s".to_owned()
}

/// Whether a BgpNeighbor is in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpNeighborStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the spec is sound and in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
