//! What holds for all messages: what is written is read back the same.

use bytes::{Bytes, BytesMut};
use daymark_bgp::wire::{
    AddPathFamily, AfiSafi, AttributeType, Capability, EncodeContext, EncodeError, ExtendedNextHop,
    GracefulRestart, GracefulRestartFamily, LongLivedGracefulRestartFamily, Message, NextHop, Open,
    PathAttributes, Update, encode_announce, encode_open, encode_withdraw,
};
use daymark_model::{Family, RouterId};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{
    any_asn, any_attributes, any_context, any_next_hop6, any_v4, any_v6, by_type, counterpart, frames,
    read_one, read_updates,
};

fn any_family() -> impl Strategy<Value = AfiSafi> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| AfiSafi::new(afi % 4, safi % 4))
}

fn any_capability() -> impl Strategy<Value = Capability> {
    let bytes = |max| vec(any::<u8>(), 0..max).prop_map(Bytes::from);
    prop_oneof![
        any_family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        Just(Capability::EnhancedRouteRefresh),
        any::<u8>().prop_map(Capability::Role),
        vec(any::<[u16; 3]>(), 0..5).prop_map(|entries| {
            let entry = |[afi, safi, next_hop_afi]: [u16; 3]| ExtendedNextHop { afi, safi, next_hop_afi };
            Capability::ExtendedNextHop(entries.into_iter().map(entry).collect())
        }),
        (any::<[bool; 2]>(), 0..4096_u16, vec((any_family(), any::<u8>()), 0..5)).prop_map(
            |([restarted, notification], restart_seconds, families)| {
                let entry = |(family, flags)| GracefulRestartFamily { family, flags };
                let families = families.into_iter().map(entry).collect();
                Capability::GracefulRestart(GracefulRestart {
                    restarted,
                    notification,
                    restart_seconds,
                    families,
                })
            }
        ),
        vec((any_family(), any::<u8>()), 0..5).prop_map(|entries| {
            let entry = |(family, direction)| AddPathFamily { family, direction };
            Capability::AddPath(entries.into_iter().map(entry).collect())
        }),
        vec((any_family(), any::<u8>(), 0..1_u32 << 24), 0..5).prop_map(|entries| {
            let entry = |(family, flags, stale_seconds)| LongLivedGracefulRestartFamily {
                family,
                flags,
                stale_seconds,
            };
            Capability::LongLivedGracefulRestart(entries.into_iter().map(entry).collect())
        }),
        (bytes(100), bytes(100)).prop_map(|(host, domain)| Capability::Fqdn { host, domain }),
        (100..=255_u8, bytes(256)).prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

prop_compose! {
    fn any_open()(
        asn in any_asn(),
        hold_time in prop_oneof![Just(0), 3..=u16::MAX],
        id in 1..=u32::MAX,
        others in vec(any_capability(), 0..15),
    ) -> Open {
        let mut capabilities = vec![Capability::FourOctetAsn(asn.get())];
        for capability in others {
            if !capabilities.iter().any(|known| known.code() == capability.code()) {
                capabilities.push(capability);
            }
        }
        Open { asn, hold_time, router_id: RouterId::new(id.into()).unwrap(), capabilities }
    }
}

fn announced(
    context: &EncodeContext,
    family: Family,
    next_hop: NextHop,
    attributes: &PathAttributes,
    prefixes: &[IpNet],
) -> Option<(Vec<u8>, Vec<Update>)> {
    let mut out = BytesMut::new();
    match encode_announce(context, family, next_hop, attributes, &mut prefixes.iter().copied(), &mut out) {
        Ok(written) => assert_eq!(written, prefixes.len()),
        Err(EncodeError::AttributesTooLong { .. }) => return None,
        Err(error) => panic!("{error}"),
    }
    for frame in frames(&out) {
        assert!(frame.len() <= context.max_message_len);
    }
    let updates = read_updates(counterpart(context), &out);
    Some((out.to_vec(), updates))
}

fn check(context: &EncodeContext, attributes: &PathAttributes, prefixes: &[IpNet], updates: &[Update]) {
    let read: Vec<IpNet> = updates.iter().flat_map(|update| update.announced.clone()).collect();
    assert_eq!(read, prefixes);
    for update in updates {
        assert_eq!((update.defects.as_slice(), update.withdrawn.as_slice()), (&[][..], &[][..]));
        let sent = by_type(update);
        let value = |kind| sent.get(&kind).map(|(_, value): &(u8, Vec<u8>)| value.clone());
        assert_eq!(value(AttributeType::ORIGIN), Some(vec![0]));
        assert_eq!(
            value(AttributeType::MULTI_EXIT_DISC),
            attributes.med.map(|med| med.to_be_bytes().to_vec())
        );
        assert_eq!(value(AttributeType::LOCAL_PREF).is_some(), context.internal);
        let octets = value(AttributeType::COMMUNITIES).map_or(0, |value| value.len());
        assert_eq!(octets, 4 * attributes.communities.len());
        let octets = value(AttributeType::LARGE_COMMUNITIES).map_or(0, |value| value.len());
        assert_eq!(octets, 12 * attributes.large_communities.len());
        let octets = value(AttributeType::EXTENDED_COMMUNITIES).map_or(0, |value| value.len());
        assert_eq!(octets, 8 * attributes.extended_communities.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_open_survives(open in any_open()) {
        let mut out = BytesMut::new();
        encode_open(&open, &mut out).unwrap();
        prop_assert_eq!(read_one(None, &out).unwrap(), Message::Open(open));
    }

    #[test]
    fn announced_ipv4_is_read_back(
        context in any_context(),
        attributes in any_attributes(),
        next_hop in 0x0100_0000_u32..0x7f00_0000,
        prefixes in vec(any_v4(0), 0..1500),
    ) {
        let next_hop = NextHop::V4(next_hop.into());
        if let Some((_, updates)) = announced(&context, Family::V4, next_hop, &attributes, &prefixes) {
            check(&context, &attributes, &prefixes, &updates);
        }
    }

    #[test]
    fn announced_ipv6_is_read_back(
        context in any_context(),
        attributes in any_attributes(),
        next_hop in any_next_hop6(),
        prefixes in vec(any_v6(0), 0..600),
    ) {
        if let Some((_, updates)) = announced(&context, Family::V6, next_hop, &attributes, &prefixes) {
            check(&context, &attributes, &prefixes, &updates);
        }
    }

    #[test]
    fn ipv4_over_ipv6_is_read_back(
        context in any_context(),
        attributes in any_attributes(),
        next_hop in any_next_hop6(),
        prefixes in vec(any_v4(0), 0..600),
    ) {
        let context = EncodeContext { extended_next_hop: true, ..context };
        if let Some((_, updates)) = announced(&context, Family::V4, next_hop, &attributes, &prefixes) {
            check(&context, &attributes, &prefixes, &updates);
        }
    }

    #[test]
    fn withdrawn_prefixes_are_read_back(
        context in any_context(),
        v4 in vec(any_v4(0), 0..1500),
        v6 in vec(any_v6(0), 0..600),
    ) {
        let mut out = BytesMut::new();
        encode_withdraw(&context, Family::V4, &mut v4.iter().copied(), &mut out).unwrap();
        encode_withdraw(&context, Family::V6, &mut v6.iter().copied(), &mut out).unwrap();
        let updates = read_updates(counterpart(&context), &out);
        let read: Vec<IpNet> = updates.iter().flat_map(|update| update.withdrawn.clone()).collect();
        prop_assert_eq!(read, [v4, v6].concat());
        prop_assert!(updates.iter().all(|update| update.defects.is_empty() && update.announced.is_empty()));
    }
}
