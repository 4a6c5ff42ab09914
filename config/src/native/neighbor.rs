//! BgpNeighbor.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{Family, LocalAsn, Neighbor, PeerAsn, PeerPath, SessionSource, Timers};

use super::field::{self, Either, Problems};
use crate::crd::{self, AsnType, BgpNeighborSpec, BgpTimers, IpFamily, SourceSetting};
use crate::problem::{Fault, Problem};

/// The neighbor that a BgpNeighbor describes.
pub fn neighbor(object: &crd::BgpNeighbor) -> Result<Neighbor, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let node_selector = field::selector(&mut problems, "spec.nodeSelector", spec.node_selector.as_ref());
    let address = problems.take("spec.address", router_address(&spec.address));
    let port = problems.take("spec.port", field::number(spec.port, 1, 65535));
    let peer_asn = peer_asn(&mut problems, spec);
    let local_asn = match spec.local_asn {
        None => Some(LocalAsn::OfNode),
        Some(asn) => problems.take("spec.localAsn", field::asn(asn)).map(LocalAsn::Exact),
    };
    let router_id =
        spec.router_id.as_deref().and_then(|id| problems.take("spec.routerId", field::router_id(id)));
    let source = spec.source.as_ref().and_then(|s| source(&mut problems, s, address));
    let timers = timers(&mut problems, &spec.timers);
    let path = match spec.multihop {
        None => Some(PeerPath::Direct),
        Some(hops) => {
            problems.take("spec.multihop", field::number(hops, 1, 255)).map(|ttl| PeerPath::Multihop { ttl })
        }
    };
    let families: BTreeSet<Family> = spec
        .families
        .iter()
        .map(|family| match family {
            IpFamily::IPv4 => Family::V4,
            IpFamily::IPv6 => Family::V6,
        })
        .collect();
    if families.is_empty() {
        problems.add("spec.families", Fault::Empty { remedy: "list IPv4, IPv6 or both" });
    }
    let neighbor = match (address, port, peer_asn, local_asn, timers, path) {
        (Some(address), Some(port), Some(peer_asn), Some(local_asn), Some(timers), Some(path)) => {
            Some(Neighbor {
                name: super::name(&object.metadata).into(),
                labels: object.metadata.labels.clone().unwrap_or_default(),
                node_selector,
                address,
                port,
                passive: spec.passive,
                peer_asn,
                local_asn,
                router_id,
                source,
                timers,
                path,
                families,
            })
        }
        _ => None,
    };
    problems.finish(neighbor)
}

fn router_address(text: &str) -> Result<IpAddr, Fault> {
    let address = field::address(text)?;
    let what = match address {
        IpAddr::V4(a) if a.is_unspecified() => "an unspecified",
        IpAddr::V4(a) if a.is_broadcast() => "a broadcast",
        IpAddr::V6(a) if a.is_unspecified() => "an unspecified",
        IpAddr::V6(a) if a.is_unicast_link_local() => "a link-local",
        _ if address.is_multicast() => "a multicast",
        IpAddr::V4(_) | IpAddr::V6(_) => return Ok(address),
    };
    Err(Fault::NotUnicast { address, what })
}

fn peer_asn(problems: &mut Problems, spec: &BgpNeighborSpec) -> Option<PeerAsn> {
    let one = field::exactly_one("spec.asn and spec.asnType", spec.asn, spec.asn_type);
    match problems.take("spec", one)? {
        Either::First(asn) => problems.take("spec.asn", field::asn(asn)).map(PeerAsn::Exact),
        Either::Second(AsnType::Internal) => Some(PeerAsn::Internal),
        Either::Second(AsnType::External) => Some(PeerAsn::External),
    }
}

fn source(problems: &mut Problems, spec: &SourceSetting, router: Option<IpAddr>) -> Option<SessionSource> {
    let one = field::exactly_one(
        "spec.source.address and spec.source.interface",
        spec.address.as_deref(),
        spec.interface.as_deref(),
    );
    match problems.take("spec.source", one)? {
        Either::First(text) => {
            let address = problems.take("spec.source.address", field::address(text))?;
            if let Some(other) = router.filter(|router| Family::of(*router) != Family::of(address)) {
                problems.add("spec.source.address", Fault::FamilyMismatch { address, other });
            }
            Some(SessionSource::Address(address))
        }
        Either::Second(name) => {
            problems.take("spec.source.interface", interface(name)).map(SessionSource::Interface)
        }
    }
}

/// Linux: at most 15 bytes, neither slash nor white space (`dev_valid_name`).
fn interface(name: &str) -> Result<String, Fault> {
    let allowed = |c: char| c != '/' && c != ':' && !c.is_whitespace() && !c.is_control();
    if (1..=15).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != ".." {
        Ok(name.to_owned())
    } else {
        Err(Fault::Name { text: name.to_owned(), what: "a network interface (at most 15 characters)" })
    }
}

fn timers(problems: &mut Problems, spec: &BgpTimers) -> Option<Timers> {
    let seconds = Duration::from_secs;
    let hold = field::duration_within(&spec.hold, "0s, or whole seconds from 3s to 65535s", |d| {
        d.is_zero() || (d.subsec_nanos() == 0 && (seconds(3)..=seconds(65535)).contains(&d))
    });
    let hold = problems.take("spec.timers.hold", hold);
    let keepalive = spec.keepalive.as_ref().map(|text| {
        let inside = |d| (seconds(1)..=seconds(21845)).contains(&d);
        let shorter = |d| hold.is_none_or(|hold: Duration| hold.is_zero() || d < hold);
        let allowed = "1s to 21845s, and less than spec.timers.hold";
        field::duration_within(text, allowed, |d| inside(d) && shorter(d))
    });
    let keepalive = match keepalive {
        None => hold.map(|hold| hold / 3),
        Some(read) => problems.take("spec.timers.keepalive", read),
    };
    let connect_retry = field::duration_within(&spec.connect_retry, "1s to 1h", |d| {
        (seconds(1)..=seconds(3600)).contains(&d)
    });
    let connect_retry = problems.take("spec.timers.connectRetry", connect_retry);
    Some(Timers { hold: hold?, keepalive: keepalive?, connect_retry: connect_retry? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: serde_json::Value) -> Neighbor {
        let object = json!({
            "metadata": { "name": "tor", "labels": { "rack": "r1" } },
            "spec": spec,
        });
        neighbor(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_schema() {
        let neighbor = read(json!({ "address": "192.0.2.1", "asn": 64512 }));
        assert_eq!((neighbor.port, neighbor.passive), (179, false));
        assert_eq!(neighbor.timers, Timers::default());
        assert_eq!((neighbor.local_asn, neighbor.path), (LocalAsn::OfNode, PeerPath::Direct));
        assert_eq!(neighbor.families, BTreeSet::from([Family::V4, Family::V6]));
        assert_eq!(neighbor.labels["rack"], "r1");
    }

    #[test]
    fn keepalives_follow_the_hold_time() {
        let neighbor =
            read(json!({ "address": "192.0.2.1", "asnType": "Internal", "timers": { "hold": "9s" } }));
        assert_eq!(neighbor.timers.keepalive, Duration::from_secs(3));
        assert_eq!(neighbor.timers.connect_retry, Duration::from_secs(5));
        assert_eq!(neighbor.peer_asn, PeerAsn::Internal);
    }
}
