//! Whether somebody else has the addresses of Services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daymark_model::MacAddr;

use crate::doctor::Chart;
use crate::doctor::facts::{Facts, Freshness, HostInterface};
use crate::told::InterfaceRef;

/// Interfaces to which service proxies and DNS caches bind addresses that are not the node's.
const SERVICE_INTERFACES: [&str; 2] = ["kube-ipvs0", "nodelocaldns"];

/// No address of a Service is one of a node.
pub(super) fn of_nodes(facts: &Facts, chart: &mut Chart) {
    let vips = facts.vips();
    if facts.cluster.is_err() && facts.speaker.is_err() {
        return chart.skipped("the addresses of Services are not known");
    }
    let mut owners: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    let mut own = |address: IpAddr, owner: String| {
        if vips.contains(&address) {
            owners.entry(address).or_default().insert(owner);
        }
    };
    if let Ok(cluster) = &facts.cluster {
        for (node, addresses) in &cluster.nodes {
            addresses.iter().for_each(|address| own(*address, format!("node {node}")));
        }
        for speaker in &cluster.speakers {
            let addresses = &speaker.status.facts.addresses;
            addresses.iter().for_each(|address| own(*address, format!("node {}", speaker.metadata.name)));
        }
    }
    if let Ok(host) = &facts.host {
        let real = |interface: &&HostInterface| !SERVICE_INTERFACES.contains(&interface.name.as_str());
        for interface in host.interfaces.iter().filter(real) {
            interface.networks.iter().for_each(|n| own(n.addr(), format!("{} of this host", interface.name)));
        }
    }
    for (address, owners) in owners {
        let owners: Vec<String> = owners.into_iter().collect();
        chart.problem(
            &address.to_string(),
            format!("is an address of {} as well as of a Service", owners.join(", ")),
            "take it out of the pool with spec.exclude, or off the interface; Daymark does not announce it meanwhile",
        );
    }
    chart.unless_found(format!("none of {} addresses of Services is one of a node", vips.len()));
}

/// Nobody but the speakers answers for the addresses of Services.
pub(super) fn other_answerer(facts: &Facts, chart: &mut Chart) {
    let told = conflicts(facts);
    for (address, mac) in &told {
        stranger(chart, *address, *mac);
    }
    let host = match &facts.host {
        Ok(host) => host,
        Err(why) if told.is_empty() => return chart.skipped(why),
        Err(_) => return,
    };
    let neighbors = match &host.neighbors {
        Ok(neighbors) => neighbors,
        Err(why) => return chart.skipped(why),
    };
    let vips = facts.vips();
    let members = members(facts);
    let confirmed = neighbors.iter().filter(|entry| entry.freshness == Freshness::Confirmed);
    let entries = confirmed.filter(|entry| vips.contains(&entry.address));
    let mut unjudged = None;
    for entry in entries.filter(|entry| !told.contains(&(entry.address, entry.mac))) {
        match members.get(&entry.mac) {
            Some(node) if answers_itself(facts, entry.address, entry.interface) => chart.problem(
                &entry.address.to_string(),
                format!("this node answers for it, and so does node {node} ({})", entry.mac),
                "see `daymark l2` for the address on both nodes, and the check mesh-members",
            ),
            Some(_) => {}
            None if members.values().all(|node| node == "this node") => unjudged = Some(entry),
            None => stranger(chart, entry.address, entry.mac),
        }
    }
    if let Some(entry) = unjudged {
        let (mac, address) = (entry.mac, entry.address);
        chart.skipped(format!(
            "{mac} answers for {address}; whether it is a node's is not known: no Speaker tells its own"
        ));
    }
    let own = vips.iter().filter(|vip| host.interfaces.iter().any(|interface| interface.has(**vip))).count();
    if own > 0 {
        chart.skipped(format!(
            "this node has {own} addresses of Services itself (IPVS mode), so it cannot ask who else has them: see \
             `arping` from a client"
        ));
    }
    chart.unless_found(match host.probed.len() {
        0 => "no address of a Service is on a subnet of this node, and no speaker tells of a conflict"
            .to_owned(),
        probed => format!("nothing but nodes answers for the {probed} addresses on this node's subnets"),
    });
}

fn stranger(chart: &mut Chart, address: IpAddr, mac: MacAddr) {
    chart.problem(
        &address.to_string(),
        format!("{mac}, which is no node of the cluster, answers for it"),
        "find the device by its Ethernet address and take the address off it, or take it out of the pool with \
         spec.exclude",
    );
}

/// What the speaker of this node has met.
fn conflicts(facts: &Facts) -> BTreeSet<(IpAddr, MacAddr)> {
    let entries = facts.speaker.as_ref().ok().into_iter().flat_map(|speaker| &speaker.addresses);
    entries.filter_map(|entry| Some((entry.address, entry.conflict?))).collect()
}

/// The Ethernet addresses that are nodes'.
fn members(facts: &Facts) -> BTreeMap<MacAddr, String> {
    let mut members = BTreeMap::new();
    if let Ok(cluster) = &facts.cluster {
        for speaker in &cluster.speakers {
            for interface in &speaker.status.facts.interfaces {
                members.insert(interface.mac, speaker.metadata.name.clone());
            }
        }
    }
    if let Ok(speaker) = &facts.speaker {
        for member in speaker.l2.segments.iter().flat_map(|segment| &segment.mesh.members) {
            if let Ok(mac) = member.address.parse() {
                members.insert(mac, member.node.clone());
            }
        }
    }
    if let Ok(host) = &facts.host {
        for mac in host.interfaces.iter().filter_map(|interface| interface.mac) {
            members.insert(mac, "this node".to_owned());
        }
    }
    members
}

fn answers_itself(facts: &Facts, address: IpAddr, interface: u32) -> bool {
    let Ok(speaker) = &facts.speaker else { return false };
    let name = speaker.l2.segments.iter().find(|s| s.interface == interface).map(|s| s.name.as_str());
    speaker.addresses.iter().filter(|entry| entry.address == address && entry.ours).any(|entry| match &entry
        .interface
    {
        Some(InterfaceRef::Index(index)) => *index == interface,
        Some(InterfaceRef::Name(text)) => Some(text.as_str()) == name,
        None => false,
    })
}
