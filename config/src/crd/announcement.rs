//! Announcement: which addresses go out from which nodes, and how.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::selector::LabelSelector;
use super::status::{has_status, lenient, lenient_list};

/// Which addresses go out from which nodes, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "Announcement",
    plural = "announcements",
    shortname = "dmann",
    category = "daymark",
    status = "AnnouncementStatus",
    derive = "PartialEq",
    doc = "Which addresses of Services are announced from which nodes, and how. Where several cover one address, their \
           communities add up; of two that differ in another attribute the oldest holds.",
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pools"),
    printcolumn(name = "Neighbors", type_ = "string", json_path = ".spec.bgp.neighbors"),
    printcolumn(name = "Communities", type_ = "string", json_path = ".spec.bgp.communities", priority = 1),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Resolved",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct AnnouncementSpec {
    /// The pools whose addresses are announced, by name. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_names")]
    pub pools: Option<Vec<String>>,

    /// The pools whose addresses are announced, by their labels. Absent: all. With `pools`, both must name the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_selector: Option<LabelSelector>,

    /// The Services whose addresses are announced, by their labels. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,

    /// The namespaces whose Services' addresses are announced, by their labels. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,

    /// The nodes that announce, by their labels. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,

    /// Announce also from nodes with the label `node.kubernetes.io/exclude-from-external-load-balancers`.
    #[serde(default)]
    pub ignore_exclude_label: bool,

    /// What happens to an address whose Service has no endpoint that can serve: `Withdraw` or `Announce`.
    #[serde(default)]
    pub without_endpoints: WithoutEndpointsMode,

    /// Whether endpoints that terminate but still serve count once no ready one is left: `Serve` or `Ignore`.
    #[serde(default)]
    pub terminating_endpoints: TerminatingEndpointsMode,

    /// Announce by BGP.
    pub bgp: BgpSettings,
}

super::pathed::pathed!(AnnouncementSpec);
has_status!(Announcement);

/// What happens to an address without usable endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WithoutEndpointsMode {
    /// It is withdrawn.
    #[default]
    Withdraw,
    /// It stays announced.
    Announce,
}

/// Whether terminating endpoints that still serve count (KEP-1669).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TerminatingEndpointsMode {
    /// They count when no ready one is left.
    #[default]
    Serve,
    /// They never count.
    Ignore,
}

/// To whom routes go, and with which attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpSettings {
    /// The BgpNeighbors that learn the routes, by name. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_names")]
    pub neighbors: Option<Vec<String>>,

    /// The BgpNeighbors that learn the routes, by their labels. Absent: all. With `neighbors`, both must name the
    /// neighbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor_selector: Option<LabelSelector>,

    /// Communities of the routes: standard (`65000:100`), large (`65000:1:2`), extended (`rt:65000:100`,
    /// `soo:65000:100`), or a well-known name: `graceful-shutdown`, `no-export`, `no-advertise`,
    /// `no-export-subconfed`, `no-peer`, `blackhole`, `no-llgr`, `accept-own`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::communities")]
    pub communities: Vec<String>,

    /// LOCAL_PREF of the routes, which only neighbors of our own AS (iBGP) get to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::unsigned")]
    pub local_preference: Option<i64>,

    /// MULTI_EXIT_DISC of the routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::unsigned")]
    pub med: Option<i64>,

    /// How many more times our AS stands in the path.
    #[serde(default)]
    #[schemars(range(min = 0, max = 32))]
    pub prepend: i64,

    /// Announce networks instead of single addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
}

/// The length of the networks that are announced. The network of an address is announced while one of its addresses
/// is; a router then sends traffic for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aggregate {
    /// The prefix length of IPv4 routes. Absent: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 32))]
    pub ipv4: Option<i64>,

    /// The prefix length of IPv6 routes. Absent: 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 128))]
    pub ipv6: Option<i64>,
}

/// Whether an Announcement is in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncementStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the spec is sound and in use. `ResolvedRefs`: the pools and neighbors that it names exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
