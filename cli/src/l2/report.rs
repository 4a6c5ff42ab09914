//! What is made of it: each address with those who answer for it, and each node's word.
//!
//! Three sources, in the order of their worth: a speaker that was asked says what it does itself; it says what it has
//! heard of others; a Speaker object says what its speaker did when the object was written, and only so much of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daymark_model::MacAddr;
use serde::Serialize;

use super::Subject;
use crate::cluster::Vips;
use crate::speakers::Testimony;
use crate::told::{InterfaceRef, L2Address, OwnedAddress, ReasonListing, SpeakerObject};

/// What was found out.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The addresses of Services.
    pub vips: Vips,
    /// Whether some Announcement has `l2`; `None` when that is not known.
    pub l2_announced: Option<bool>,
    /// What speakers said that were asked, by node.
    pub testimonies: BTreeMap<String, Testimony>,
    /// The Speaker objects.
    pub objects: Vec<SpeakerObject>,
    /// Those that were asked and did not answer.
    pub silent: Vec<Silent>,
}

/// A speaker that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silent {
    /// Its node, or where it was asked.
    pub node: String,
    /// Why.
    pub message: String,
}

/// The answer of `daymark l2`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Every address, in order.
    pub addresses: Vec<AddressReport>,
    /// Speakers that did not answer.
    pub silent: Vec<Silent>,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AddressReport {
    /// The address.
    pub address: IpAddr,
    /// The Services that have it.
    pub services: Vec<String>,
    /// How it is.
    pub state: State,
    /// Who answers, one for each segment.
    pub owners: Vec<OwnerReport>,
    /// Ethernet addresses that claim it and are no node's.
    pub conflicts: Vec<MacAddr>,
    /// What each node says.
    pub nodes: Vec<NodeReport>,
}

/// How an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// One node answers on each segment.
    Owned,
    /// Two nodes answer on one segment.
    TwoOwners,
    /// Something that is no node claims it.
    Conflict,
    /// Nodes may answer, none does.
    NoOwner,
    /// No node may answer.
    NotOffered,
    /// Not all nodes could be heard, and none of those that were answers.
    Unknown,
}

impl State {
    /// The word for people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owned => "Owned",
            Self::TwoOwners => "TwoOwners",
            Self::Conflict => "Conflict",
            Self::NoOwner => "NoOwner",
            Self::NotOffered => "NotOffered",
            Self::Unknown => "Unknown",
        }
    }
}

/// Who answers for an address on a segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnerReport {
    /// The node.
    pub node: String,
    /// Its interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The Ethernet address that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// For how many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// How many times the address has been taken on the segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Who says so.
    pub source: Source,
}

/// Who says that a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Source {
    /// The node's speaker.
    Speaker,
    /// The speaker of another node on the segment.
    Heard,
    /// The Speaker object.
    Object,
}

impl Source {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Speaker => "speaker",
            Self::Heard => "heard",
            Self::Object => "object",
        }
    }
}

/// What a node says of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// The node.
    pub node: String,
    /// Its interface; absent where the node says no for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Whether it answers; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<bool>,
    /// Why it does not, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it does not, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The report about `subject`, or about all addresses; `now` in seconds since the epoch.
pub fn report(sources: &Sources, subject: Option<&Subject>, now: i64) -> Report {
    let mut addresses: BTreeSet<IpAddr> = sources.vips.keys().copied().collect();
    for testimony in sources.testimonies.values() {
        addresses.extend(testimony.addresses.iter().map(|entry| entry.address));
    }
    for object in &sources.objects {
        addresses.extend(owned(object).iter().map(|entry| entry.address));
    }
    let services = services(sources);
    let wanted = |address: &IpAddr| match subject {
        None => true,
        Some(Subject::Address(one)) => one == address,
        Some(service @ Subject::Service(..)) => {
            let key = service.to_string();
            services.get(address).is_some_and(|found| found.contains(&key))
        }
    };
    let each = addresses.iter().filter(|address| wanted(address));
    let addresses = each.map(|address| {
        let services = services.get(address).map(|s| s.iter().cloned().collect()).unwrap_or_default();
        address_report(sources, *address, services, now)
    });
    Report { addresses: addresses.collect(), silent: sources.silent.clone() }
}

/// The Services of each address, from whoever knows.
fn services(sources: &Sources) -> BTreeMap<IpAddr, BTreeSet<String>> {
    let mut found: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    for (address, services) in &sources.vips {
        found.entry(*address).or_default().extend(services.iter().cloned());
    }
    for listing in sources.testimonies.values().flat_map(|testimony| &testimony.services) {
        for address in &listing.addresses {
            found.entry(address.address).or_default().insert(listing.service.clone());
        }
    }
    found
}

fn address_report(sources: &Sources, address: IpAddr, services: Vec<String>, now: i64) -> AddressReport {
    let owners = owners(sources, address, now);
    let conflicts = conflicts(sources, address);
    let state = if !conflicts.is_empty() {
        State::Conflict
    } else if two_on_one_segment(sources, &owners) {
        State::TwoOwners
    } else if owners.is_empty() {
        unowned(sources, address)
    } else {
        State::Owned
    };
    let nodes = nodes(sources, address, &services, &owners);
    AddressReport { address, services, state, owners, conflicts, nodes }
}

fn owners(sources: &Sources, address: IpAddr, now: i64) -> Vec<OwnerReport> {
    let mut owners = Vec::new();
    for (node, testimony) in &sources.testimonies {
        for entry in entries(testimony, address).filter(|entry| entry.ours) {
            let segment = segment_of(testimony, entry.interface.as_ref());
            owners.push(OwnerReport {
                node: node.clone(),
                interface: name_of(testimony, entry.interface.as_ref()),
                mac: segment.and_then(|segment| segment.mac),
                seconds: entry.held_seconds,
                epoch: entry.epoch,
                source: Source::Speaker,
            });
        }
    }
    for testimony in sources.testimonies.values() {
        for entry in entries(testimony, address).filter(|entry| !entry.ours) {
            let Some(owner) = entry.owner.as_ref().filter(|owner| !owner.node.is_empty()) else { continue };
            // What a node says of itself is newer than what another has heard.
            if sources.testimonies.contains_key(&owner.node) || owners.iter().any(|o| o.node == owner.node) {
                continue;
            }
            owners.push(OwnerReport {
                node: owner.node.clone(),
                interface: None,
                mac: owner.mac,
                seconds: None,
                epoch: entry.epoch,
                source: Source::Heard,
            });
        }
    }
    for object in &sources.objects {
        let node = &object.metadata.name;
        if sources.testimonies.contains_key(node) || owners.iter().any(|owner| owner.node == *node) {
            continue;
        }
        for entry in owned(object).iter().filter(|entry| entry.address == address) {
            owners.push(from_object(object, entry, now));
        }
    }
    owners
}

fn from_object(object: &SpeakerObject, entry: &OwnedAddress, now: i64) -> OwnerReport {
    let interfaces = &object.status.facts.interfaces;
    let interface = interfaces.iter().find(|interface| match &entry.interface {
        Some(InterfaceRef::Index(index)) => interface.index.0 == *index,
        Some(InterfaceRef::Name(name)) => interface.name == *name,
        None => false,
    });
    let since = entry.since.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    OwnerReport {
        node: object.metadata.name.clone(),
        interface: interface.map(|i| i.name.clone()).or_else(|| entry.interface.as_ref().map(text_of)),
        mac: interface.map(|interface| interface.mac),
        seconds: since.and_then(|since| u64::try_from(now.saturating_sub(since.as_second())).ok()),
        epoch: None,
        source: Source::Object,
    }
}

/// Whether two nodes that were asked, and that hear each other on a segment, both answer there.
fn two_on_one_segment(sources: &Sources, owners: &[OwnerReport]) -> bool {
    owners.iter().any(|owner| {
        let Some(testimony) = sources.testimonies.get(&owner.node) else { return false };
        let segment = testimony.l2.segments.iter().find(|s| Some(&s.name) == owner.interface.as_ref());
        let members = segment.into_iter().flat_map(|segment| &segment.mesh.members);
        members.into_iter().any(|member| {
            owners.iter().any(|other| {
                let here = other.mac.is_none_or(|mac| mac.to_string() == member.address);
                other.source == Source::Speaker && other.node == member.node && here
            })
        })
    })
}

fn conflicts(sources: &Sources, address: IpAddr) -> Vec<MacAddr> {
    let told = sources.testimonies.values().flat_map(|testimony| entries(testimony, address));
    let mut conflicts: BTreeSet<MacAddr> = told.filter_map(|entry| entry.conflict).collect();
    for object in sources.objects.iter().filter(|o| !sources.testimonies.contains_key(&o.metadata.name)) {
        for problem in object.status.problems.iter().filter(|problem| problem.reason == "AddressConflict") {
            let words = || problem.message.split([' ', ',', ';', '(', ')']).map(|w| w.trim_end_matches(':'));
            if words().any(|word| word.parse() == Ok(address)) {
                conflicts.extend(words().filter_map(|word| word.parse::<MacAddr>().ok()));
            }
        }
    }
    conflicts.into_iter().collect()
}

/// Why nobody answers: told by those who would know.
fn unowned(sources: &Sources, address: IpAddr) -> State {
    let offered = sources.testimonies.values().any(|testimony| entries(testimony, address).next().is_some());
    if offered {
        return State::NoOwner;
    }
    let nodes_known = !sources.testimonies.is_empty() || !sources.objects.is_empty();
    let all_told = sources.objects.iter().all(|object| {
        let list = object.status.l2.as_ref();
        let whole = list.is_some_and(|l2| l2.owned_count.is_none_or(|count| count <= l2.owned.len() as u64));
        sources.testimonies.contains_key(&object.metadata.name) || whole
    });
    if sources.l2_announced == Some(false) {
        State::NotOffered
    } else if !nodes_known || !all_told || !sources.silent.is_empty() {
        State::Unknown
    } else if sources.objects.iter().all(|o| sources.testimonies.contains_key(&o.metadata.name)) {
        State::NotOffered
    } else {
        State::NoOwner
    }
}

fn nodes(sources: &Sources, address: IpAddr, services: &[String], owners: &[OwnerReport]) -> Vec<NodeReport> {
    let mut nodes = Vec::new();
    for (node, testimony) in &sources.testimonies {
        let said: Vec<NodeReport> =
            entries(testimony, address).map(|e| of_entry(node, testimony, e)).collect();
        match said.is_empty() {
            true => nodes.extend(refusals(node, testimony, address, services)),
            false => nodes.extend(said),
        }
    }
    for silent in &sources.silent {
        nodes.push(refusal(&silent.node, "SpeakerSilent", &silent.message));
    }
    for object in &sources.objects {
        let node = &object.metadata.name;
        let known = sources.testimonies.contains_key(node) || sources.silent.iter().any(|s| s.node == *node);
        if !known && !owners.iter().any(|owner| owner.source == Source::Heard && owner.node == *node) {
            nodes.extend(of_object(object, address, services));
        }
    }
    let heard = owners.iter().filter(|owner| owner.source == Source::Heard);
    nodes.extend(heard.map(|owner| NodeReport {
        node: owner.node.clone(),
        interface: None,
        answers: Some(true),
        reason: None,
        message: "as another node hears".to_owned(),
    }));
    nodes.sort_by(|a, b| (&a.node, &a.interface).cmp(&(&b.node, &b.interface)));
    nodes
}

fn of_entry(node: &str, testimony: &Testimony, entry: &L2Address) -> NodeReport {
    let (reason, message) = entry.reason().filter(|_| !entry.ours).unzip();
    NodeReport {
        node: node.to_owned(),
        interface: name_of(testimony, entry.interface.as_ref()),
        answers: Some(entry.ours),
        reason,
        message: message.unwrap_or_default(),
    }
}

/// Why a node that was asked does not offer the address at all.
fn refusals(node: &str, testimony: &Testimony, address: IpAddr, services: &[String]) -> Vec<NodeReport> {
    let mut reasons: Vec<&ReasonListing> = Vec::new();
    for listing in testimony.services.iter().filter(|listing| services.contains(&listing.service)) {
        let of_address = listing.addresses.iter().filter(|a| a.address == address).flat_map(|a| &a.reasons);
        for reason in of_address.chain(&listing.reasons) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    if reasons.is_empty() {
        let text = "no Announcement with l2 covers the address on this node";
        return vec![refusal(node, "NotOffered", text)];
    }
    reasons.into_iter().map(|reason| refusal(node, &reason.reason, &reason.message)).collect()
}

fn of_object(object: &SpeakerObject, address: IpAddr, services: &[String]) -> Vec<NodeReport> {
    let node = &object.metadata.name;
    let answers: Vec<NodeReport> = owned(object)
        .iter()
        .filter(|entry| entry.address == address)
        .map(|entry| NodeReport {
            node: node.clone(),
            interface: from_object(object, entry, 0).interface,
            answers: Some(true),
            reason: None,
            message: String::new(),
        })
        .collect();
    if !answers.is_empty() {
        return answers;
    }
    let concerns =
        |subject: &str| subject.strip_prefix("Service/").is_some_and(|key| services.iter().any(|s| s == key));
    let problems = object.status.problems.iter().filter(|problem| concerns(&problem.subject));
    let told: Vec<NodeReport> = problems.map(|p| refusal(node, &p.reason, &p.message)).collect();
    if told.is_empty() {
        let text = "the Speaker object does not say why: ask the speaker, with --local or --port-forward";
        return vec![refusal(node, "NotTold", text)];
    }
    told
}

fn refusal(node: &str, reason: &str, message: &str) -> NodeReport {
    // Who is in conflict may well answer, and who said nothing too.
    let unclear = ["AddressConflict", "NotTold", "SpeakerSilent"].contains(&reason);
    NodeReport {
        node: node.to_owned(),
        interface: None,
        answers: (!unclear).then_some(false),
        reason: Some(reason.to_owned()),
        message: message.to_owned(),
    }
}

fn entries(testimony: &Testimony, address: IpAddr) -> impl Iterator<Item = &L2Address> {
    testimony.addresses.iter().filter(move |entry| entry.address == address)
}

fn owned(object: &SpeakerObject) -> &[OwnedAddress] {
    object.status.l2.as_ref().map_or(&[], |l2| &l2.owned)
}

fn segment_of<'a>(
    testimony: &'a Testimony,
    interface: Option<&InterfaceRef>,
) -> Option<&'a crate::told::Segment> {
    testimony.l2.segments.iter().find(|segment| match interface {
        Some(InterfaceRef::Index(index)) => segment.interface == *index,
        Some(InterfaceRef::Name(name)) => segment.name == *name,
        None => false,
    })
}

fn name_of(testimony: &Testimony, interface: Option<&InterfaceRef>) -> Option<String> {
    segment_of(testimony, interface).map(|segment| segment.name.clone()).or_else(|| interface.map(text_of))
}

fn text_of(interface: &InterfaceRef) -> String {
    match interface {
        InterfaceRef::Index(index) => index.to_string(),
        InterfaceRef::Name(name) => name.clone(),
    }
}
