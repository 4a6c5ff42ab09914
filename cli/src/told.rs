//! What speakers tell, as this tool reads it: whatever is missing or has another shape counts as not told, because the
//! speakers of a cluster need not have the version of this tool.

use std::net::IpAddr;

use daymark_config::crd::{lenient, lenient_list};
use daymark_l2::node::NotAnswering;
use daymark_model::{Interface, MacAddr};
use serde::Deserialize;
use serde_json::Value;

/// Layer 2 of a speaker: `/debug/l2`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L2Snapshot {
    /// `Idle`, `Running`, `Leaving` or `Left`.
    #[serde(deserialize_with = "lenient")]
    pub phase: Option<String>,
    /// What it says of the node; nothing while `Idle`.
    #[serde(deserialize_with = "lenient")]
    pub node: L2Status,
}

impl L2Snapshot {
    /// Whether no Announcement concerns the node, so that it is in no mesh.
    pub fn is_idle(&self) -> bool {
        self.phase.as_deref() == Some("Idle")
    }
}

/// Layer 2 on a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L2Status {
    /// The node's name.
    #[serde(deserialize_with = "lenient")]
    pub node: String,
    /// `Present`, `Rotating`, or why there is no key.
    #[serde(deserialize_with = "lenient")]
    pub key: Option<String>,
    /// How many nodes it reaches over the node network, itself included.
    #[serde(deserialize_with = "lenient")]
    pub nodes_reached: Option<u32>,
    /// The mesh of the node network.
    #[serde(deserialize_with = "lenient")]
    pub network: Mesh,
    /// Its interfaces and what is behind them.
    #[serde(deserialize_with = "lenient_list")]
    pub segments: Vec<Segment>,
}

/// A mesh, as a node sees it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mesh {
    /// It has had the time to hear others.
    #[serde(deserialize_with = "lenient")]
    pub settled: bool,
    /// The others.
    #[serde(deserialize_with = "lenient_list")]
    pub members: Vec<Member>,
}

/// Another member of a mesh.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Member {
    /// The node's name.
    #[serde(deserialize_with = "lenient")]
    pub node: String,
    /// Its Ethernet address, or its IP address and port.
    #[serde(deserialize_with = "lenient")]
    pub address: String,
}

/// An interface and what is behind it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Segment {
    /// Its number.
    #[serde(deserialize_with = "lenient")]
    pub interface: u32,
    /// Its name.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Its Ethernet address.
    #[serde(deserialize_with = "lenient")]
    pub mac: Option<MacAddr>,
    /// Whether it is up with a carrier.
    #[serde(deserialize_with = "lenient")]
    pub carrier: Option<bool>,
    /// It hears nobody, while others live there.
    #[serde(deserialize_with = "lenient")]
    pub membership_broken: bool,
    /// How many addresses it may answer for.
    #[serde(deserialize_with = "lenient")]
    pub offered: u32,
    /// Its mesh.
    #[serde(deserialize_with = "lenient")]
    pub mesh: Mesh,
}

/// An address on an interface, as a node sees it: `/debug/l2/addresses`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L2Address {
    /// The address.
    pub address: IpAddr,
    /// The interface, by number or name.
    #[serde(default, deserialize_with = "lenient")]
    pub interface: Option<InterfaceRef>,
    /// Who answers there, as far as the node has heard.
    #[serde(default, deserialize_with = "lenient")]
    pub owner: Option<Owner>,
    /// The node answers.
    #[serde(default, deserialize_with = "lenient")]
    pub ours: bool,
    /// How many times it has been taken.
    #[serde(default, deserialize_with = "lenient")]
    pub epoch: Option<u32>,
    /// For how many seconds the node has answered.
    #[serde(default, deserialize_with = "lenient")]
    pub held_seconds: Option<u64>,
    /// Something that is no node of the cluster claims it.
    #[serde(default, deserialize_with = "lenient")]
    pub conflict: Option<MacAddr>,
    /// Why the node does not answer.
    #[serde(default, deserialize_with = "lenient")]
    pub not_answering: Option<Value>,
}

impl L2Address {
    /// Why the node does not answer, in a word and in a sentence.
    pub fn reason(&self) -> Option<(String, String)> {
        let told = self.not_answering.as_ref()?;
        let word = told.get("reason")?.as_str()?.to_owned();
        let sentence = match told.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => serde_json::from_value(told.clone())
                .map_or_else(|_| String::new(), |r: NotAnswering| r.to_string()),
        };
        Some((word, sentence))
    }
}

/// An interface, by number or name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum InterfaceRef {
    /// By number.
    Index(u32),
    /// By name.
    Name(String),
}

/// Who answers for an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The node's name.
    #[serde(deserialize_with = "lenient")]
    pub node: String,
    /// Its Ethernet address.
    #[serde(deserialize_with = "lenient")]
    pub mac: Option<MacAddr>,
}

/// A Service, as a node announces it: `/debug/services`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServiceListing {
    /// `namespace/name`.
    #[serde(deserialize_with = "lenient")]
    pub service: String,
    /// Its addresses.
    #[serde(deserialize_with = "lenient_list")]
    pub addresses: Vec<AddressListing>,
    /// What keeps all of it from going out.
    #[serde(deserialize_with = "lenient_list")]
    pub reasons: Vec<ReasonListing>,
}

/// An address, as a node announces it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AddressListing {
    /// The address.
    pub address: IpAddr,
    /// What keeps it from going out.
    #[serde(default, deserialize_with = "lenient_list")]
    pub reasons: Vec<ReasonListing>,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReasonListing {
    /// The CamelCase word.
    pub reason: String,
    /// The sentence.
    #[serde(default, deserialize_with = "lenient")]
    pub message: String,
}

/// A Speaker object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SpeakerObject {
    /// Its metadata.
    #[serde(deserialize_with = "lenient")]
    pub metadata: Named,
    /// What the speaker reports.
    #[serde(deserialize_with = "lenient")]
    pub status: SpeakerStatus,
}

/// Metadata, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// What a speaker reports in its object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpeakerStatus {
    /// The version of the speaker.
    #[serde(deserialize_with = "lenient")]
    pub version: Option<String>,
    /// What only the node knows.
    #[serde(deserialize_with = "lenient")]
    pub facts: NodeFacts,
    /// What keeps the node from doing what it was told.
    #[serde(deserialize_with = "lenient_list")]
    pub problems: Vec<SpeakerProblem>,
    /// Layer 2.
    #[serde(deserialize_with = "lenient")]
    pub l2: Option<SpeakerL2>,
}

/// What a node knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeFacts {
    /// What its service proxy says of itself: `Unknown`, `Healthy` or `Demoted`.
    #[serde(deserialize_with = "lenient")]
    pub proxy: Option<String>,
    /// The addresses that the host and its Node object have.
    #[serde(deserialize_with = "lenient_list")]
    pub addresses: Vec<IpAddr>,
    /// Its interfaces.
    #[serde(deserialize_with = "lenient_list")]
    pub interfaces: Vec<Interface>,
}

/// Something that a speaker could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SpeakerProblem {
    /// The object that it concerns.
    pub subject: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Layer 2 in a Speaker's status.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpeakerL2 {
    /// What the node answers for; cut off where there is too much.
    #[serde(deserialize_with = "lenient_list")]
    pub owned: Vec<OwnedAddress>,
    /// How many addresses it answers for.
    #[serde(deserialize_with = "lenient")]
    pub owned_count: Option<u64>,
}

/// An address that a node answers for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedAddress {
    /// The address.
    pub address: IpAddr,
    /// The interface, by number or name.
    #[serde(default, deserialize_with = "lenient")]
    pub interface: Option<InterfaceRef>,
    /// Since when (RFC 3339).
    #[serde(default, deserialize_with = "lenient")]
    pub since: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_has_a_word_and_a_sentence() {
        let reason = |not_answering: Value| {
            let entry = json!({"address": "192.0.2.1", "notAnswering": not_answering});
            serde_json::from_value::<L2Address>(entry).unwrap().reason()
        };
        let own = serde_json::to_value(NotAnswering::OwnedByOther { node: "n2".into() }).unwrap();
        assert_eq!(reason(own), Some(("OwnedByOther".into(), "node n2 answers".into())));
        let newer = json!({"reason": "NotYetInvented", "x": 1});
        assert_eq!(reason(newer), Some(("NotYetInvented".into(), String::new())));
        assert_eq!(reason(Value::Null), None);
    }

    #[test]
    fn what_has_another_shape_counts_as_not_told() {
        let snapshot: L2Snapshot = serde_json::from_value(json!({"phase": "Running", "node": {
            "node": "n1", "key": 5, "network": [], "unknown": {},
            "segments": [{"interface": 3, "name": "eth1", "mac": "garbage", "mesh": null}, "garbage"],
        }}))
        .unwrap();
        let status = snapshot.node;
        assert_eq!((status.node.as_str(), status.key), ("n1", None));
        assert_eq!(status.segments.len(), 1);
        assert_eq!((status.segments[0].name.as_str(), status.segments[0].mac), ("eth1", None));
        let speaker: SpeakerObject =
            serde_json::from_value(json!({"metadata": {"name": "n1"}, "status": {"facts": 1, "l2": "x"}}))
                .unwrap();
        assert_eq!(speaker.status.l2, None);
    }
}
