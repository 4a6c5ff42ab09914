//! Who this node is in BGP: its AS and its identifier, as its Speaker and its Node say.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use daymark_config::native::SpeakerSettings;
use daymark_model::{Asn, LocalAsn, Neighbor, NeighborName, NodeName, Reason, RouterId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Neither the neighbor nor the node's Speaker names an AS for our side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no AS for this node: set spec.localAsn of BgpNeighbor {neighbor} or spec.asn of Speaker {node}")]
pub struct NoLocalAsn {
    /// The neighbor.
    pub neighbor: NeighborName,
    /// The node.
    pub node: NodeName,
}

impl Reason for NoLocalAsn {
    fn code(&self) -> &'static str {
        "NoLocalAsn"
    }
}

/// The AS that the node shows to `neighbor`.
///
/// # Errors
/// When nobody names one.
pub fn local_asn(node: &NodeName, word: &SpeakerSettings, neighbor: &Neighbor) -> Result<Asn, NoLocalAsn> {
    match (neighbor.local_asn, word.asn) {
        (LocalAsn::Exact(asn), _) | (LocalAsn::OfNode, Some(asn)) => Ok(asn),
        (LocalAsn::OfNode, None) => Err(NoLocalAsn { neighbor: neighbor.name.clone(), node: node.clone() }),
    }
}

/// The identifier that the node shows to `neighbor`: the neighbor's word, the Speaker's, the node's lowest IPv4
/// InternalIP, else [`hashed`].
pub fn router_id(
    node: &NodeName,
    word: &SpeakerSettings,
    neighbor: &Neighbor,
    internal: &BTreeSet<IpAddr>,
) -> RouterId {
    let of_address = || {
        internal.iter().find_map(|ip| match ip {
            IpAddr::V4(v4) => RouterId::new(*v4),
            IpAddr::V6(_) => None,
        })
    };
    neighbor.router_id.or(word.router_id).or_else(of_address).unwrap_or_else(|| hashed(node))
}

/// The identifier of a node without an IPv4 address: the lower 32 bits of the xxh3 hash of its name, with the first seed
/// from 0 on that does not give 0.0.0.0.
pub fn hashed(node: &NodeName) -> RouterId {
    seeded(node, 0)
}

fn seeded(node: &NodeName, seed: u64) -> RouterId {
    let [a, b, c, d, ..] = xxh3_64_with_seed(node.as_str().as_bytes(), seed).to_le_bytes();
    let id = Ipv4Addr::from(u32::from_le_bytes([a, b, c, d]));
    RouterId::new(id).unwrap_or_else(|| seeded(node, seed.wrapping_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daymark_model::{PeerAsn, PeerPath, Timers};

    fn neighbor() -> Neighbor {
        Neighbor {
            name: "tor".into(),
            labels: Default::default(),
            node_selector: None,
            address: "192.0.2.254".parse().unwrap(),
            port: 179,
            passive: false,
            peer_asn: PeerAsn::External,
            local_asn: LocalAsn::OfNode,
            router_id: None,
            source: None,
            timers: Timers::default(),
            path: PeerPath::Direct,
            families: Default::default(),
        }
    }

    #[test]
    fn without_an_as_the_remedy_is_named() {
        let error = local_asn(&"n1".into(), &SpeakerSettings::default(), &neighbor()).unwrap_err();
        assert_eq!(error.code(), "NoLocalAsn");
        assert!(error.to_string().contains("spec.asn of Speaker n1"), "{error}");
        let word = SpeakerSettings { asn: Asn::new(64_512).ok(), ..SpeakerSettings::default() };
        assert_eq!(local_asn(&"n1".into(), &word, &neighbor()).unwrap().get(), 64_512);
    }

    #[test]
    fn the_router_id_comes_from_the_nearest_word() {
        let word = SpeakerSettings::default();
        let id = |ips: &[&str]| {
            let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
            router_id(&"n1".into(), &word, &neighbor(), &ips).get().to_string()
        };
        assert_eq!(id(&["2001:db8::1", "192.0.2.7", "192.0.2.3"]), "192.0.2.3");
        assert_eq!(id(&["2001:db8::1"]), hashed(&"n1".into()).get().to_string());
        assert_ne!(hashed(&"n1".into()), hashed(&"n2".into()));
    }
}
