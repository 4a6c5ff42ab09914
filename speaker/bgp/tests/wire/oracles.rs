//! Two other codecs: what is written here they read the same, and what they write is accepted here.
//!
//! Prefixes are long here: `netgauze-bgp-pkt` walks every host of a prefix.

use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use daymark_bgp::wire::{
    AfiSafi, Capability, CeaseReason, EncodeContext, ExtendedNextHop, Message, NextHop, Notification, Open,
    PathAttributes, RefreshSubtype, RouteRefresh, encode_announce, encode_end_of_rib, encode_keepalive,
    encode_notification, encode_open, encode_route_refresh, encode_withdraw,
};
use daymark_model::{Family, RouterId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::collection::vec;
use proptest::prelude::*;
use rustbgpd_wire as rustbgpd;

use super::support::{
    any_asn, any_attributes, any_next_hop6, any_v4, any_v6, counterpart, external, frames, read_one,
    read_updates, to_external, written,
};

fn netgauze(frame: &[u8], four_octet_asn: bool) -> BgpMessage {
    let mut context = BgpParsingContext::asn2_default();
    context.set_asn4(four_octet_asn);
    let message = BgpMessage::parse(&mut SliceReader::new(frame), &mut context)
        .unwrap_or_else(|error| panic!("netgauze refuses {frame:02x?}: {error:?}"));
    let mut again = Vec::new();
    message.write(&mut again).unwrap();
    assert_eq!(again, frame, "netgauze writes something else than it read");
    message
}

fn rustbgpd(frame: &[u8]) -> rustbgpd::Message {
    rustbgpd::decode_message(&mut Bytes::copy_from_slice(frame), 65535)
        .unwrap_or_else(|error| panic!("rustbgpd refuses {frame:02x?}: {error}"))
}

fn rustbgpd_update(frame: &[u8], context: &EncodeContext) -> rustbgpd::ParsedUpdate {
    let rustbgpd::Message::Update(update) = rustbgpd(frame) else { panic!("not an UPDATE") };
    let parsed = update.parse_revised(context.four_octet_asn, context.internal, false, &[]).unwrap();
    assert_eq!(parsed.malformed, []);
    parsed.update
}

fn theirs(prefix: &rustbgpd::Prefix) -> IpNet {
    match prefix {
        rustbgpd::Prefix::V4(p) => Ipv4Net::new(p.addr, p.len).unwrap().into(),
        rustbgpd::Prefix::V6(p) => Ipv6Net::new(p.addr, p.len).unwrap().into(),
    }
}

/// Announced prefixes with their next hop as rustbgpd reads them.
fn rustbgpd_announced(update: &rustbgpd::ParsedUpdate) -> (Vec<IpNet>, Vec<IpAddr>) {
    let mut prefixes: Vec<IpNet> =
        update.announced.iter().map(|entry| theirs(&rustbgpd::Prefix::V4(entry.prefix))).collect();
    let mut next_hops = Vec::new();
    for attribute in &update.attributes {
        match attribute {
            rustbgpd::PathAttribute::NextHop(address) => next_hops.push((*address).into()),
            rustbgpd::PathAttribute::MpReachNlri(reach) => {
                next_hops.push(reach.next_hop);
                next_hops.extend(reach.link_local_next_hop.map(IpAddr::from));
                prefixes.extend(reach.announced.iter().map(|entry| theirs(&entry.prefix)));
            }
            _ => {}
        }
    }
    (prefixes, next_hops)
}

/// Everything but the next hop and the prefixes, as rustbgpd reads it.
fn rustbgpd_attributes(update: &rustbgpd::ParsedUpdate, context: &EncodeContext) -> PathAttributes {
    let mut read = PathAttributes::default();
    for attribute in &update.attributes {
        match attribute {
            rustbgpd::PathAttribute::Origin(origin) => assert_eq!(*origin, rustbgpd::Origin::Igp),
            rustbgpd::PathAttribute::AsPath(path) => {
                for segment in &path.segments {
                    let rustbgpd::AsPathSegment::AsSequence(asns) = segment else { panic!("{segment:?}") };
                    read.as_path.extend(asns.iter().map(|asn| super::support::asn(*asn)));
                }
            }
            rustbgpd::PathAttribute::LocalPref(value) => {
                assert!(context.internal);
                read.local_preference = Some(*value);
            }
            rustbgpd::PathAttribute::Med(value) => read.med = Some(*value),
            rustbgpd::PathAttribute::Communities(values) => {
                assert!(values.is_sorted());
                read.communities.extend(values.iter().copied().map(daymark_model::StandardCommunity));
            }
            rustbgpd::PathAttribute::LargeCommunities(values) => {
                read.large_communities.extend(values.iter().map(|v| daymark_model::LargeCommunity {
                    global: v.global_admin,
                    local1: v.local_data1,
                    local2: v.local_data2,
                }));
            }
            rustbgpd::PathAttribute::ExtendedCommunities(values) => {
                read.extended_communities.extend(
                    values.iter().map(|v| daymark_model::ExtendedCommunity(v.as_u64().to_be_bytes())),
                );
            }
            rustbgpd::PathAttribute::NextHop(_) | rustbgpd::PathAttribute::MpReachNlri(_) => {}
            other => panic!("nobody sent {other:?}"),
        }
    }
    read
}

/// What a peer of `context` must understand of `attributes`.
fn understood(attributes: &PathAttributes, context: &EncodeContext) -> PathAttributes {
    let local_preference = context.internal.then(|| attributes.local_preference.unwrap_or(100));
    PathAttributes { local_preference, ..attributes.clone() }
}

fn agree(
    context: &EncodeContext,
    family: Family,
    next_hop: NextHop,
    attributes: &PathAttributes,
    prefixes: &[IpNet],
) {
    let mut out = BytesMut::new();
    let written =
        encode_announce(context, family, next_hop, attributes, &mut prefixes.iter().copied(), &mut out);
    if written.is_err() {
        return;
    }
    let mut read = Vec::new();
    for frame in frames(&out) {
        let update = rustbgpd_update(&frame, context);
        let (announced, next_hops) = rustbgpd_announced(&update);
        read.extend(announced);
        let expected = match next_hop {
            NextHop::V4(address) => vec![address.into()],
            NextHop::V6 { address, link_local } => {
                [Some(address.into()), link_local.map(IpAddr::from)].into_iter().flatten().collect()
            }
        };
        assert_eq!(next_hops, expected);
        assert_eq!(rustbgpd_attributes(&update, context), understood(attributes, context));
        netgauze(&frame, context.four_octet_asn);
    }
    assert_eq!(read, prefixes);
}

prop_compose! {
    fn any_session()(internal: bool, extended_next_hop: bool) -> EncodeContext {
        EncodeContext { internal, extended_next_hop, ..to_external() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ipv4_announcements_are_understood(
        context in any_session(),
        attributes in any_attributes(),
        next_hop in 0x0100_0000_u32..0x7f00_0000,
        prefixes in vec(any_v4(24), 1..900),
    ) {
        agree(&context, Family::V4, NextHop::V4(next_hop.into()), &attributes, &prefixes);
    }

    #[test]
    fn ipv6_announcements_are_understood(
        context in any_session(),
        attributes in any_attributes(),
        next_hop in any_next_hop6(),
        prefixes in vec(any_v6(120), 1..300),
    ) {
        agree(&context, Family::V6, next_hop, &attributes, &prefixes);
    }

    #[test]
    fn ipv4_over_ipv6_is_understood(
        context in any_session(),
        attributes in any_attributes(),
        next_hop in any_next_hop6(),
        prefixes in vec(any_v4(24), 1..300),
    ) {
        let context = EncodeContext { extended_next_hop: true, ..context };
        agree(&context, Family::V4, next_hop, &attributes, &prefixes);
    }

    #[test]
    fn two_octet_paths_are_understood(path in vec(any_asn(), 1..300)) {
        let context = EncodeContext { four_octet_asn: false, ..to_external() };
        let attributes = PathAttributes { as_path: path.clone(), ..PathAttributes::default() };
        let mut out = BytesMut::new();
        let prefix = "192.0.2.9/32".parse().unwrap();
        let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        encode_announce(&context, Family::V4, next_hop, &attributes, &mut std::iter::once(prefix), &mut out).unwrap();
        netgauze(&out, false);
        let update = rustbgpd_update(&out, &context);
        // It puts AS_PATH and AS4_PATH together (RFC 6793 section 4.2.3).
        prop_assert_eq!(rustbgpd_attributes(&update, &context).as_path, path);
    }

    #[test]
    fn withdrawals_are_understood(v4 in vec(any_v4(24), 1..900), v6 in vec(any_v6(120), 1..300)) {
        let mut out = BytesMut::new();
        encode_withdraw(&to_external(), Family::V4, &mut v4.iter().copied(), &mut out).unwrap();
        encode_withdraw(&to_external(), Family::V6, &mut v6.iter().copied(), &mut out).unwrap();
        let mut read = Vec::new();
        for frame in frames(&out) {
            let update = rustbgpd_update(&frame, &to_external());
            read.extend(update.withdrawn.iter().map(|entry| theirs(&rustbgpd::Prefix::V4(entry.prefix))));
            for attribute in &update.attributes {
                let rustbgpd::PathAttribute::MpUnreachNlri(unreach) = attribute else { panic!("{attribute:?}") };
                read.extend(unreach.withdrawn.iter().map(|entry| theirs(&entry.prefix)));
            }
            netgauze(&frame, true);
        }
        prop_assert_eq!(read, [v4, v6].concat());
    }

    #[test]
    fn what_rustbgpd_announces_is_accepted(
        path in vec(any_asn(), 1..8),
        med in any::<Option<u32>>(),
        communities in vec(any::<u32>(), 1..20),
        v4 in vec(any_v4(0), 1..200),
    ) {
        let entry4 = |net: &IpNet| match net {
            IpNet::V4(net) => rustbgpd::Ipv4NlriEntry {
                path_id: 0,
                prefix: rustbgpd::Ipv4Prefix::new(net.addr(), net.prefix_len()),
            },
            IpNet::V6(_) => unreachable!(),
        };
        let segment = rustbgpd::AsPathSegment::AsSequence(path.iter().map(|asn| asn.get()).collect());
        let mut attributes = vec![
            rustbgpd::PathAttribute::Origin(rustbgpd::Origin::Incomplete),
            rustbgpd::PathAttribute::AsPath(rustbgpd::AsPath { segments: vec![segment] }),
            rustbgpd::PathAttribute::NextHop(Ipv4Addr::new(192, 0, 2, 1)),
            rustbgpd::PathAttribute::Communities(communities),
        ];
        attributes.extend(med.map(rustbgpd::PathAttribute::Med));
        let announced: Vec<_> = v4.iter().map(entry4).collect();
        let update = rustbgpd::UpdateMessage::build(
            &announced, &[], &attributes, true, false, rustbgpd::Ipv4UnicastMode::Body,
        );
        let bytes = rustbgpd::encode_message(&rustbgpd::Message::Update(update)).unwrap();
        let updates = read_updates(external(), &bytes);
        prop_assert_eq!(&updates[0].announced, &v4);
        prop_assert_eq!(&updates[0].defects, &[]);

        let withdrawn = rustbgpd::UpdateMessage::build(
            &[], &announced, &[], true, false, rustbgpd::Ipv4UnicastMode::Body,
        );
        let bytes = rustbgpd::encode_message(&rustbgpd::Message::Update(withdrawn)).unwrap();
        prop_assert_eq!(&read_updates(external(), &bytes)[0].withdrawn, &v4);
    }

    #[test]
    fn opens_are_understood(asn in any_asn(), id in 1..0xe000_0000_u32, hold_time in 3..=u16::MAX) {
        let open = Open {
            asn,
            hold_time,
            router_id: RouterId::new(id.into()).unwrap(),
            capabilities: vec![
                Capability::Multiprotocol(AfiSafi::Ipv4Unicast),
                Capability::Multiprotocol(AfiSafi::Ipv6Unicast),
                Capability::RouteRefresh,
                Capability::ExtendedNextHop(vec![ExtendedNextHop::IPV4_OVER_IPV6]),
                Capability::ExtendedMessage,
                Capability::FourOctetAsn(asn.get()),
                Capability::EnhancedRouteRefresh,
            ],
        };
        let bytes = written(|out| encode_open(&open, out).unwrap());
        let rustbgpd::Message::Open(read) = rustbgpd(&bytes) else { panic!("not an OPEN") };
        prop_assert_eq!((read.four_byte_as(), read.hold_time, read.bgp_identifier), (asn.get(), hold_time, id.into()));
        prop_assert_eq!(read.capabilities.len(), open.capabilities.len());
        let unknown = |c: &rustbgpd::Capability| matches!(c, rustbgpd::Capability::Unknown { .. });
        prop_assert!(!read.capabilities.iter().any(unknown));
        let BgpMessage::Open(other) = netgauze(&bytes, true) else { panic!("not an OPEN") };
        prop_assert_eq!((other.my_asn4(), other.hold_time(), other.bgp_id()), (asn.get(), hold_time, id.into()));

        let again = rustbgpd::encode_message(&rustbgpd::Message::Open(read)).unwrap();
        let Message::Open(back) = read_one(None, &again).unwrap() else { panic!("not an OPEN") };
        prop_assert_eq!(back.asn, open.asn);
        for capability in &open.capabilities {
            prop_assert!(back.capabilities.contains(capability), "{:?} got lost", capability);
        }
    }
}

#[test]
fn small_messages_are_understood() {
    let notification = Notification::cease(CeaseReason::AdministrativeShutdown, "drain");
    let bytes = written(|out| encode_notification(&notification, out));
    let rustbgpd::Message::Notification(read) = rustbgpd(&bytes) else { panic!("not a NOTIFICATION") };
    assert_eq!((read.code.as_u8(), read.subcode), (6, 2));
    assert!(matches!(netgauze(&bytes, true), BgpMessage::Notification(_)));

    for subtype in [RefreshSubtype::Request, RefreshSubtype::Begin, RefreshSubtype::End] {
        let refresh = RouteRefresh { family: AfiSafi::Ipv6Unicast, subtype };
        let bytes = written(|out| encode_route_refresh(refresh, out));
        assert!(matches!(rustbgpd(&bytes), rustbgpd::Message::RouteRefresh(_)));
        assert!(matches!(netgauze(&bytes, true), BgpMessage::RouteRefresh(_)));
    }

    let bytes = written(encode_keepalive);
    assert_eq!(rustbgpd(&bytes), rustbgpd::Message::Keepalive);
    assert_eq!(netgauze(&bytes, true), BgpMessage::KeepAlive);

    for family in [Family::V4, Family::V6] {
        let bytes = written(|out| encode_end_of_rib(family, out));
        let BgpMessage::Update(update) = netgauze(&bytes, true) else { panic!("not an UPDATE") };
        assert!(update.end_of_rib().is_some());
        assert_eq!(read_updates(counterpart(&to_external()), &bytes)[0].end_of_rib, Some(family));
    }
}
