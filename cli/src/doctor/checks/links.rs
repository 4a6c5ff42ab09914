//! The interfaces that answer.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::doctor::Chart;
use crate::doctor::facts::{Facts, HostFacts, HostInterface};

/// The interfaces of this host that may come to answer.
fn concerned<'a>(facts: &'a Facts, host: &'a HostFacts) -> Vec<&'a HostInterface> {
    let vips = facts.vips();
    host.interfaces.iter().filter(|interface| interface.concerns(&vips)).collect()
}

/// They are up, with a carrier.
pub(super) fn carrier(facts: &Facts, chart: &mut Chart) {
    let remedy = "plug it in, switch it on, or leave it out with l2.interfaces of the Announcement";
    let mut looked_at = 0;
    let here = facts.host.as_ref().ok().and_then(|host| host.node.as_deref());
    if let Ok(host) = &facts.host {
        for interface in concerned(facts, host) {
            looked_at += 1;
            match (interface.enabled, interface.carrier) {
                (true, true) => {}
                (true, false) => {
                    chart.problem(&interface.name, "has no carrier: the node does not answer there", remedy)
                }
                (false, _) => {
                    chart.problem(&interface.name, "is down: the node does not answer there", remedy)
                }
            }
        }
    }
    if let Ok(cluster) = &facts.cluster {
        let vips = facts.vips();
        for speaker in cluster.speakers.iter().filter(|s| Some(s.metadata.name.as_str()) != here) {
            for interface in &speaker.status.facts.interfaces {
                let concerns = vips
                    .iter()
                    .any(|vip| interface.has_subnet_of(*vip) || interface.has_default_route_for(*vip));
                looked_at += usize::from(concerns);
                if concerns && !interface.up {
                    let subject = format!("{} {}", speaker.metadata.name, interface.name);
                    chart.problem(
                        &subject,
                        "is down or has no carrier: the node does not answer there",
                        remedy,
                    );
                }
            }
        }
    }
    match (&facts.host, looked_at) {
        (Err(why), 0) => chart.skipped(why),
        _ => chart.unless_found(format!("{looked_at} interfaces that may answer are up")),
    }
}

/// Packets of clients come in even when the way back leaves through another interface.
pub(super) fn rp_filter(facts: &Facts, chart: &mut Chart) {
    let host = match &facts.host {
        Ok(host) => host,
        Err(why) => return chart.skipped(why),
    };
    let uplinks =
        host.interfaces.iter().filter(|i| i.can_answer && i.enabled && !i.networks.is_empty()).count();
    for interface in concerned(facts, host) {
        match interface.rp_filter {
            None => chart.skipped(format!("net.ipv4.conf.{}.rp_filter cannot be read", interface.name)),
            Some(1) if uplinks > 1 => chart.warning(
                &interface.name,
                format!(
                    "rp_filter is 1 (strict) and the node has {uplinks} uplinks: packets of clients whose way back \
                     leaves through another one are dropped"
                ),
                format!("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{}.rp_filter=2", interface.name),
            ),
            Some(_) => {}
        }
    }
    chart.unless_found("no strict filter is in the way");
}

/// Wi-Fi loses group frames.
pub(super) fn wifi(facts: &Facts, chart: &mut Chart) {
    let host = match &facts.host {
        Ok(host) => host,
        Err(why) => return chart.skipped(why),
    };
    for interface in concerned(facts, host).into_iter().filter(|interface| interface.wireless) {
        chart.warning(
            &interface.name,
            "is Wi-Fi: access points lose, delay or filter the group frames of ARP, NDP and the speakers",
            format!(
                "set l2.profile: Relaxed, switch client isolation and ARP proxying off at the access point, and where \
                 clients still lose the address: ip link set {} allmulticast on",
                interface.name
            ),
        );
    }
    chart.unless_found("no interface that may answer is Wi-Fi");
}

/// The interfaces of one segment have one MTU: an address that moves must not change the size of its packets.
pub(super) fn mtu(facts: &Facts, chart: &mut Chart) {
    let cluster = match &facts.cluster {
        Ok(cluster) => cluster,
        Err(why) => return chart.skipped(why),
    };
    let vips = facts.vips();
    let mut seen: BTreeMap<IpNet, BTreeMap<u32, Vec<String>>> = BTreeMap::new();
    for speaker in &cluster.speakers {
        for interface in &speaker.status.facts.interfaces {
            let concerns =
                vips.iter().any(|vip| interface.has_subnet_of(*vip)) || !interface.default_routes.is_empty();
            if concerns {
                let name = format!("{} {}", speaker.metadata.name, interface.name);
                for network in interface.subnets.iter().map(IpNet::trunc).collect::<BTreeSet<_>>() {
                    seen.entry(network).or_default().entry(interface.mtu).or_default().push(name.clone());
                }
            }
        }
    }
    for (network, sizes) in seen.iter().filter(|(_, sizes)| sizes.len() > 1) {
        let told: Vec<String> = sizes.iter().map(|(mtu, who)| format!("{mtu} on {}", some(who))).collect();
        chart.warning(
            &network.to_string(),
            format!("interfaces differ in MTU: {}", told.join("; ")),
            "give all nodes of the segment the same MTU",
        );
    }
    match seen.is_empty() {
        true => chart.skipped("no Speaker tells its interfaces"),
        false => chart.unless_found(format!("one MTU on each of {} subnets", seen.len())),
    }
}

/// A few of many.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len() > SHOWN {
        true => format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN),
        false => names.join(", "),
    }
}
