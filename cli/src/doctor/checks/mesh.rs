//! Whether the speakers find each other.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::l2_in_use;
use crate::doctor::Chart;
use crate::doctor::facts::{Facts, MeshKey, PortAnswer};
use crate::told::{Mesh, Segment};

/// Reasons in a Speaker's problems with which an address is not answered as it should be.
const SERIOUS: [&str; 10] = [
    "AddressConflict",
    "AddressIsInfrastructure",
    "DuplicateNode",
    "FrameSocket",
    "InvalidMeshKey",
    "MeshSocket",
    "NoMeshKey",
    "SegmentMembershipBroken",
    "Thread",
    "WrongKey",
];

/// The Secret is there, with a key.
pub(super) fn key(facts: &Facts, chart: &mut Chart) {
    let cluster = match &facts.cluster {
        Ok(cluster) => cluster,
        Err(why) => return chart.skipped(why),
    };
    let secret = format!("{}/daymark-mesh", cluster.namespace);
    let make =
        "the leading daymark-controller makes it: see that one runs, and its log; or make one: kubectl -n \
                NAMESPACE create secret generic daymark-mesh --from-file=key=<(head -c 32 /dev/urandom)"
            .replace("NAMESPACE", &cluster.namespace);
    match &cluster.mesh_key {
        MeshKey::Sound => chart.ok("", format!("the Secret {secret} has a key")),
        MeshKey::Missing if l2_in_use(facts) == Some(false) => {
            chart.warning(
                "",
                format!("there is no Secret {secret}; nothing is announced on layer 2 yet"),
                make,
            );
        }
        MeshKey::Missing => {
            chart.problem("", format!("there is no Secret {secret}: no speaker answers"), make)
        }
        MeshKey::Unusable => chart.problem(
            "",
            format!("`key` of the Secret {secret}, or `previous` where it has one, has not 32 bytes: no speaker answers"),
            "correct it, or delete the Secret and the controller makes a new one",
        ),
        MeshKey::Unread(why) => chart.skipped(format!("the Secret {secret} cannot be read: {why}")),
    }
}

/// Every Node has a Speaker, and none has something to complain of.
pub(super) fn speakers(facts: &Facts, chart: &mut Chart) {
    let cluster = match &facts.cluster {
        Ok(cluster) => cluster,
        Err(why) => return chart.skipped(why),
    };
    let known: BTreeSet<&str> = cluster.speakers.iter().map(|s| s.metadata.name.as_str()).collect();
    for node in cluster.nodes.keys().filter(|node| !known.contains(node.as_str())) {
        chart.warning(
            node,
            "no speaker runs there, or none has run yet",
            "see the DaemonSet daymark-speaker, its node selector and its pods",
        );
    }
    for speaker in &cluster.speakers {
        for problem in &speaker.status.problems {
            let what = format!("{} {}: {}", problem.subject, problem.reason, problem.message);
            let remedy = format!(
                "see `kubectl get dmspk {} -o yaml`, and docs/troubleshooting.md",
                speaker.metadata.name
            );
            match SERIOUS.contains(&problem.reason.as_str()) {
                true => chart.problem(&speaker.metadata.name, what, remedy),
                false => chart.warning(&speaker.metadata.name, what, remedy),
            }
        }
    }
    chart.unless_found(format!("{} Speakers, none with a problem", known.len()));
}

/// The speaker of this node hears those of all other nodes: on the node network, and on each segment they share.
pub(super) fn members(facts: &Facts, chart: &mut Chart) {
    let (speaker, cluster) = match (&facts.speaker, &facts.cluster) {
        (Ok(speaker), Ok(cluster)) => (speaker, cluster),
        (Err(why), _) | (_, Err(why)) => return chart.skipped(why),
    };
    let others: Vec<_> = cluster
        .speakers
        .iter()
        .filter(|other| other.metadata.name != speaker.node && other.status.version.is_some())
        .collect();
    if l2_in_use(facts) == Some(false) {
        return chart.skipped("no Announcement has l2");
    }
    if speaker.idle {
        return chart.skipped("no Announcement with l2 concerns this node");
    }
    if !speaker.l2.network.settled {
        return chart.skipped("the speaker of this node has just started, or has no mesh key");
    }
    for other in &others {
        let name = &other.metadata.name;
        if !hears(&speaker.l2.network, name) {
            chart.problem(
                name,
                "its speaker is not heard on the node network",
                "let UDP 7947 (--mesh-port) pass between the InternalIPs of all nodes, and see that its speaker runs and \
                 reads the same Secret daymark-mesh",
            );
        }
    }
    for segment in &speaker.l2.segments {
        let here = networks(facts, segment);
        for other in &others {
            let shares = |interface: &daymark_model::Interface| {
                interface.up && interface.subnets.iter().any(|net| here.contains(&net.trunc()))
            };
            let lives_here = other.status.facts.interfaces.iter().any(shares);
            if lives_here && !hears(&segment.mesh, &other.metadata.name) {
                chart.problem(
                    &format!("{} {}", segment.name, other.metadata.name),
                    "has a subnet of this segment, but its speaker is not heard there",
                    "let EtherType 0x88B5 pass wherever ARP passes: port isolation, VLANs, filters of switches, \
                     hypervisors and access points",
                );
            }
        }
        if segment.membership_broken {
            chart.problem(
                &segment.name,
                "hears nobody, while others live there (SegmentMembershipBroken)",
                "see cable, VLAN and switch; EtherType 0x88B5 must pass wherever ARP passes",
            );
        }
    }
    chart.unless_found(format!("the speaker of this node hears all {} others", others.len()));
}

fn hears(mesh: &Mesh, node: &str) -> bool {
    mesh.members.iter().any(|member| member.node == node)
}

/// The networks of a segment's interface.
fn networks(facts: &Facts, segment: &Segment) -> BTreeSet<IpNet> {
    let host = facts.host.as_ref().ok();
    let interfaces = host.into_iter().flat_map(|host| &host.interfaces);
    let same = interfaces.filter(|interface| interface.index == segment.interface);
    same.flat_map(|i| &i.networks).filter(|n| n.prefix_len() < n.max_prefix_len()).map(IpNet::trunc).collect()
}

/// The mesh port is open, here and on the other nodes.
pub(super) fn port(facts: &Facts, chart: &mut Chart) {
    let host = match &facts.host {
        Ok(host) => host,
        Err(why) => return chart.skipped(why),
    };
    if l2_in_use(facts) == Some(false) {
        return chart.skipped("no Announcement has l2");
    }
    if facts.speaker.as_ref().is_ok_and(|speaker| speaker.idle) {
        return chart.skipped("no Announcement with l2 concerns this node");
    }
    let port = host.mesh_port;
    match &host.udp_ports {
        Ok(ports) if !ports.contains(&port) => chart.problem(
            "",
            format!("nothing listens on UDP {port} of this node"),
            "see that the speaker runs here, has a mesh key, and has this --mesh-port",
        ),
        Ok(_) => {}
        Err(why) => chart.skipped(why),
    }
    for peer in &host.peers {
        let subject = format!("{} {}", peer.node, peer.address);
        match &peer.answer {
            PortAnswer::Silence => {}
            PortAnswer::Refused => chart.problem(
                &subject,
                format!("UDP {port} is refused"),
                "see that the speaker runs there, has a mesh key, and has the same --mesh-port",
            ),
            PortAnswer::Unreachable(why) => chart.problem(
                &subject,
                format!("UDP {port} cannot be reached: {why}"),
                "see routes and firewalls between the nodes' InternalIPs",
            ),
        }
    }
    chart.unless_found(format!("UDP {port} is open here and refused by none of {} others", host.peers.len()));
}
