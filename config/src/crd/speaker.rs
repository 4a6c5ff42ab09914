//! Speaker: the operator's word on one node, and what the speaker there reports.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bgp_neighbor::IpFamily;
use super::schema;
use super::status::{has_status, lenient, lenient_list};

/// The operator's word on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "Speaker",
    plural = "speakers",
    shortname = "dmspk",
    category = "daymark",
    status = "SpeakerStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The speaker on one node, named as the node. It makes its Speaker itself; the spec is the operator's word to \
           it, the status is what it reports.",
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Drain", type_ = "boolean", json_path = ".spec.drain"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn", priority = 1),
    printcolumn(name = "Router ID", type_ = "string", json_path = ".spec.routerId", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct SpeakerSpec {
    /// Announce nothing from this node; sessions stay up.
    #[serde(default)]
    pub drain: bool,

    /// The node's AS, for neighbors without a `localAsn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn")]
    pub asn: Option<i64>,

    /// The node's BGP identifier, written like an IPv4 address. Absent: its IPv4 address, else a number made from its
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::router_id")]
    pub router_id: Option<String>,
}

super::pathed::pathed!(SpeakerSpec);
has_status!(Speaker);

impl SpeakerSpec {
    /// Whether it says nothing: a Speaker with such a spec is not missed when its node is gone.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the speaker reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// The version of the speaker.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,

    /// The node's BGP sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(
        length(max = SpeakerStatus::MAX_SESSIONS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["neighbor"])
    )]
    pub sessions: Vec<SpeakerSession>,

    /// What the node answers for by ARP and NDP.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub l2: Option<SpeakerL2>,

    /// What only the node knows of itself, for the controller and the command-line tool.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::any_object")]
    pub facts: Option<Map<String, Value>>,

    /// What keeps the node from doing what it was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(length(max = SpeakerStatus::MAX_PROBLEMS), extend("x-kubernetes-list-type" = "atomic"))]
    pub problems: Vec<SpeakerProblem>,

    /// `Accepted`: the spec is sound. `Programmed`: the speaker does what the objects say.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl SpeakerStatus {
    /// How many sessions the server accepts in a status.
    pub const MAX_SESSIONS: usize = 128;

    /// How many problems the server accepts in a status.
    pub const MAX_PROBLEMS: usize = 64;

    /// How many addresses the server accepts in a status.
    pub const MAX_OWNED: usize = 64;

    /// The length in bytes of the longest message that the server accepts surely.
    pub const MAX_MESSAGE: usize = 1024;
}

/// One BGP session of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerSession {
    /// The BgpNeighbor.
    #[schemars(schema_with = "schema::object_name")]
    pub neighbor: String,

    /// The state of the session (RFC 4271): `Idle`, `Connect`, `Active`, `OpenSent`, `OpenConfirm` or `Established`.
    #[schemars(length(min = 1, max = 32))]
    pub state: String,

    /// Since when the session is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub since: Option<Time>,

    /// How many times the session was lost since the speaker started.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub flaps: i64,

    /// The families that both sides agreed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub families: Vec<IpFamily>,

    /// What last ended the session, or kept it from coming up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SpeakerStatus::MAX_MESSAGE))]
    pub last_error: Option<String>,
}

/// What a node answers for by ARP and NDP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerL2 {
    /// How many addresses, counted once per interface.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub owned_count: i64,

    /// The first of them, in the order of the addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SpeakerStatus::MAX_OWNED), extend("x-kubernetes-list-type" = "atomic"))]
    pub owned: Vec<SpeakerAddress>,
}

/// An address that a node answers for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerAddress {
    /// The address.
    #[schemars(length(min = 2, max = 45))]
    pub address: String,

    /// The name of the interface.
    #[schemars(length(min = 1, max = 32))]
    pub interface: String,

    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub since: Option<Time>,
}

/// Something that a speaker could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerProblem {
    /// The object that it concerns, as `Kind/name` or `Kind/namespace/name`.
    #[schemars(length(max = 384))]
    pub subject: String,

    /// Why, in one CamelCase word.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,

    /// Why, in a sentence.
    #[schemars(length(max = SpeakerStatus::MAX_MESSAGE))]
    pub message: String,
}
