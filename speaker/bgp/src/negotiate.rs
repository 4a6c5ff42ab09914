//! What two OPENs agree on (RFC 4271 section 6.2, RFC 4760, 5492, 6286, 6793, 7313, 8654).

use std::time::Duration;

use daymark_model::{Asn, Family, PeerAsn, RouterId};

use crate::config::PeerConfig;
use crate::error::SessionError;
use crate::wire::{
    AfiSafi, Capability, DecodeContext, EncodeContext, MAX_EXTENDED_MESSAGE_LEN, MAX_MESSAGE_LEN,
    Notification, NotificationCode, Open, OpenError,
};

/// What holds on a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The neighbor's AS.
    pub peer_asn: Asn,
    /// Its BGP identifier.
    pub peer_router_id: RouterId,
    /// It is in our AS.
    pub internal: bool,
    /// The lower of the two hold times; zero for none.
    pub hold: Duration,
    /// The families that both offered.
    pub families: Vec<Family>,
    /// AS numbers have four octets.
    pub four_octet_asn: bool,
    /// Both can mark the begin and the end of a refresh (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// The neighbor takes messages of up to 65535 octets (RFC 8654).
    pub extended_message: bool,
}

/// An OPEN that no session can stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: SessionError,
    pub(crate) notification: Notification,
}

/// Our OPEN.
pub(crate) fn open(config: &PeerConfig) -> Open {
    let mut capabilities: Vec<Capability> =
        config.families.iter().map(|family| Capability::Multiprotocol((*family).into())).collect();
    capabilities.extend([
        Capability::RouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAsn(config.local_asn.get()),
        Capability::EnhancedRouteRefresh,
    ]);
    Open {
        asn: config.local_asn,
        hold_time: config.hold_seconds(),
        router_id: config.router_id,
        capabilities,
    }
}

/// What our OPEN and the neighbor's agree on.
pub(crate) fn negotiate(config: &PeerConfig, theirs: &Open) -> Result<Negotiated, Refusal> {
    let fits = match config.peer_asn {
        PeerAsn::Exact(asn) => theirs.asn == asn,
        PeerAsn::Internal => theirs.asn == config.local_asn,
        PeerAsn::External => theirs.asn != config.local_asn,
    };
    if !fits {
        return Err(refuse(
            OpenError::BadPeerAs,
            SessionError::WrongAsn {
                expected: config.peer_asn,
                local: config.local_asn,
                offered: theirs.asn,
            },
        ));
    }
    let internal = config.is_internal();
    // RFC 6286 section 2.2: within an AS identifiers are unique.
    if internal && theirs.router_id == config.router_id {
        return Err(refuse(OpenError::BadBgpIdentifier, SessionError::SameRouterId { id: config.router_id }));
    }
    let has = |capability: &Capability| theirs.capabilities.contains(capability);
    let families = common_families(config, theirs);
    if families.is_empty() {
        let offered: Vec<Family> = config.families.iter().copied().collect();
        let missing: Vec<_> = offered.iter().map(|f| Capability::Multiprotocol((*f).into())).collect();
        let bare = Notification::new(NotificationCode::Open(OpenError::UnsupportedCapability));
        return Err(Refusal {
            error: SessionError::NoCommonFamily { offered },
            notification: Notification::unsupported_capability(&missing).unwrap_or(bare),
        });
    }
    Ok(Negotiated {
        peer_asn: theirs.asn,
        peer_router_id: theirs.router_id,
        internal,
        hold: Duration::from_secs(config.hold_seconds().min(theirs.hold_time).into()),
        families,
        four_octet_asn: theirs.capabilities.iter().any(|c| matches!(c, Capability::FourOctetAsn(_))),
        enhanced_route_refresh: has(&Capability::EnhancedRouteRefresh),
        extended_message: has(&Capability::ExtendedMessage),
    })
}

/// A speaker that names no family at all means IPv4 unicast (RFC 4760 section 8).
fn common_families(config: &PeerConfig, theirs: &Open) -> Vec<Family> {
    let mut offered: Vec<AfiSafi> = Vec::new();
    for capability in &theirs.capabilities {
        if let Capability::Multiprotocol(family) = capability {
            offered.push(*family);
        }
    }
    if offered.is_empty() {
        offered.push(AfiSafi::Ipv4Unicast);
    }
    config.families.iter().copied().filter(|family| offered.contains(&(*family).into())).collect()
}

fn refuse(subcode: OpenError, error: SessionError) -> Refusal {
    Refusal { error, notification: Notification::new(NotificationCode::Open(subcode)) }
}

impl Negotiated {
    /// How messages are read from now on.
    pub(crate) fn decode_context(&self) -> DecodeContext {
        DecodeContext {
            four_octet_asn: self.four_octet_asn,
            // RFC 8654 section 4: what may be sent to us follows from our own offer, which is always made.
            max_message_len: MAX_EXTENDED_MESSAGE_LEN,
            families: self.families.clone(),
            internal: self.internal,
            enhanced_route_refresh: self.enhanced_route_refresh,
        }
    }

    /// How messages are written from now on.
    pub(crate) fn encode_context(&self) -> EncodeContext {
        EncodeContext {
            four_octet_asn: self.four_octet_asn,
            max_message_len: if self.extended_message { MAX_EXTENDED_MESSAGE_LEN } else { MAX_MESSAGE_LEN }
                .into(),
            internal: self.internal,
            extended_next_hop: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> PeerConfig {
        PeerConfig {
            local_asn: Asn::new(65001).unwrap(),
            router_id: RouterId::new([10, 0, 0, 1].into()).unwrap(),
            peer_asn: PeerAsn::External,
            timers: daymark_model::Timers::default(),
            passive: false,
            families: [Family::V4, Family::V6].into(),
        }
    }

    fn theirs(capabilities: Vec<Capability>) -> Open {
        Open {
            asn: Asn::new(65002).unwrap(),
            hold_time: 30,
            router_id: RouterId::new([10, 0, 0, 2].into()).unwrap(),
            capabilities,
        }
    }

    #[test]
    fn without_a_family_ipv4_is_meant() {
        let agreed = negotiate(&config(), &theirs(Vec::new())).unwrap();
        assert_eq!(agreed.families, [Family::V4]);
        assert_eq!(agreed.hold, Duration::from_secs(30));
        assert!(!agreed.four_octet_asn && !agreed.extended_message && !agreed.enhanced_route_refresh);
        assert_eq!(agreed.encode_context().max_message_len, 4096);
    }

    #[test]
    fn without_a_common_family_the_missing_ones_are_listed() {
        let other = Capability::Multiprotocol(AfiSafi::Other { afi: 25, safi: 70 });
        let refusal = negotiate(&config(), &theirs(vec![other])).unwrap_err();
        assert_eq!(refusal.notification.code, NotificationCode::Open(OpenError::UnsupportedCapability));
        assert_eq!(refusal.notification.data[..], [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1]);
        assert!(refusal.error.to_string().contains("none of the families IPv4, IPv6"), "{}", refusal.error);
    }

    #[test]
    fn what_both_offer_is_used() {
        let agreed =
            negotiate(&config(), &open(&PeerConfig { local_asn: Asn::new(65002).unwrap(), ..config() }))
                .unwrap();
        assert!(agreed.four_octet_asn && agreed.extended_message && agreed.enhanced_route_refresh);
        assert_eq!(agreed.families, [Family::V4, Family::V6]);
    }
}
