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
           communities, interfaces and preferences add up; of two that differ in another attribute the oldest holds.",
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pools"),
    printcolumn(name = "Neighbors", type_ = "string", json_path = ".spec.bgp.neighbors"),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".spec.l2.interfaces"),
    printcolumn(name = "L2 Failback", type_ = "string", json_path = ".spec.l2.failback"),
    printcolumn(name = "Communities", type_ = "string", json_path = ".spec.bgp.communities", priority = 1),
    printcolumn(name = "L2 Profile", type_ = "string", json_path = ".spec.l2.profile", priority = 1),
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
#[x_kube(
    validation = Rule::new("has(self.bgp) != has(self.l2)")
        .message("set exactly one of bgp (routes to routers) and l2 (answers to ARP and NDP)")
)]
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

    /// Announce by BGP: routers learn routes to the addresses. Exactly one of `bgp` and `l2` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp: Option<BgpSettings>,

    /// Announce by ARP (IPv4) and NDP (IPv6): on each network segment one node answers for an address. Needs no router's
    /// help; all traffic for one address goes through that node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l2: Option<L2Settings>,
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

/// Which nodes answer ARP and NDP on which interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct L2Settings {
    /// The interfaces that answer, by name; `*` stands for any characters, `?` for one: `eth0`, `bond*`. A node that has
    /// none of them does not answer. Absent: those with a subnet that contains the address, else those with the default
    /// route of its family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::interface_patterns")]
    pub interfaces: Option<Vec<String>>,

    /// Nodes that should rather answer than others. The weights of all entries that match a node add up, also over
    /// several Announcements; the greatest sum wins. Without entries addresses spread evenly over the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub preferred_nodes: Vec<PreferredNodesSetting>,

    /// How often the node that answers says so unasked (gratuitous ARP, unsolicited neighbor advertisement), so that
    /// switches and routers do not forget where the address is: `0s` (only when it takes an address) or `1s` to `24h`.
    #[serde(default = "default_refresh")]
    #[schemars(schema_with = "schema::refresh_time")]
    pub refresh: String,

    /// When an address goes back to a better node: `Gradual` (once that node has been there for five minutes; a few
    /// addresses at a time), `Never` (not while the one that answers lives) or `Immediate`.
    #[serde(default)]
    pub failback: FailbackMode,

    /// How fast failures are noticed and times run: `Fast` (wired networks; below a second), or `Relaxed` (five times
    /// slower: Wi-Fi, machines that are moved while they run). One `Relaxed` Announcement relaxes the nodes' membership.
    #[serde(default)]
    pub profile: TimingProfileMode,
}

impl Default for L2Settings {
    fn default() -> Self {
        Self {
            interfaces: None,
            preferred_nodes: Vec::new(),
            refresh: default_refresh(),
            failback: FailbackMode::default(),
            profile: TimingProfileMode::default(),
        }
    }
}

fn default_refresh() -> String {
    "60s".to_owned()
}

/// Nodes that should rather answer than others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredNodesSetting {
    /// How much rather.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i64,

    /// Which nodes, by their labels.
    pub selector: LabelSelector,
}

/// When an address goes back to a better node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailbackMode {
    /// Once the better node has been there for five minutes; a few addresses at a time.
    #[default]
    Gradual,
    /// Not while the node that answers lives and may.
    Never,
    /// At once.
    Immediate,
}

/// How fast all timers of layer 2 run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimingProfileMode {
    /// For wired networks.
    #[default]
    Fast,
    /// Five times slower.
    Relaxed,
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
