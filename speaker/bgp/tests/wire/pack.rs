//! What is announced and withdrawn, octet by octet, and how it is packed.

use bytes::BytesMut;
use daymark_bgp::wire::{
    AttributeType, EncodeContext, EncodeError, NextHop, PathAttributes, encode_announce, encode_end_of_rib,
    encode_withdraw,
};
use daymark_model::{Asn, ExtendedCommunity, Family, LargeCommunity, StandardCommunity};
use ipnet::IpNet;

use super::support::{
    asn, by_type, counterpart, frames, hex, hosts, hosts6, net, read_updates, set, to_external, update_frame,
    written,
};

fn v4() -> NextHop {
    NextHop::V4("192.0.2.1".parse().unwrap())
}

fn v6() -> NextHop {
    NextHop::V6 { address: "2001:db8::1".parse().unwrap(), link_local: None }
}

fn path(numbers: &[u32]) -> PathAttributes {
    PathAttributes { as_path: numbers.iter().copied().map(asn).collect(), ..PathAttributes::default() }
}

fn announce(
    context: &EncodeContext,
    family: Family,
    next_hop: NextHop,
    attributes: &PathAttributes,
    prefixes: impl IntoIterator<Item = IpNet>,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = BytesMut::new();
    encode_announce(context, family, next_hop, attributes, &mut prefixes.into_iter(), &mut out)?;
    Ok(out.to_vec())
}

/// RFC 4271 section 4.3: segment type 2 is AS_SEQUENCE, 1 is AS_SET.
#[test]
fn the_as_path_is_an_as_sequence() {
    let bytes = announce(&to_external(), Family::V4, v4(), &path(&[65000]), [net("192.0.2.9/32")]).unwrap();
    let attributes = hex("40 01 01 00  40 02 06 02 01 0000fde8  40 03 04 c0000201");
    assert_eq!(bytes, update_frame(&[], &attributes, &hex("20 c0000209")));
}

#[test]
fn every_attribute_in_order_with_its_flags() {
    let context = EncodeContext { internal: true, ..to_external() };
    let attributes = PathAttributes {
        as_path: vec![],
        med: Some(7),
        local_preference: Some(200),
        communities: set([StandardCommunity(0xfde8_0002), StandardCommunity(0xfde8_0001)]),
        large_communities: set([LargeCommunity { global: 65000, local1: 1, local2: 2 }]),
        extended_communities: set([
            ExtendedCommunity([0, 3, 0xfd, 0xe8, 0, 0, 0, 1]),
            ExtendedCommunity([0, 2, 0xfd, 0xe8, 0, 0, 0, 1]),
        ]),
    };
    let bytes = announce(&context, Family::V4, v4(), &attributes, [net("192.0.2.9/32")]).unwrap();
    let expected = hex("40 01 01 00 \
         40 02 00 \
         40 03 04 c0000201 \
         80 04 04 00000007 \
         40 05 04 000000c8 \
         c0 08 08 fde80001 fde80002 \
         c0 10 10 0002fde800000001 0003fde800000001 \
         c0 20 0c 0000fde8 00000001 00000002");
    assert_eq!(bytes, update_frame(&[], &expected, &hex("20 c0000209")));
}

#[test]
fn local_preference_goes_to_internal_peers_only() {
    let attributes = PathAttributes { local_preference: Some(200), ..path(&[65000]) };
    let external = announce(&to_external(), Family::V4, v4(), &attributes, [net("192.0.2.9/32")]).unwrap();
    let update = &read_updates(counterpart(&to_external()), &external)[0];
    assert_eq!(by_type(update).get(&AttributeType::LOCAL_PREF), None);
    let internal = EncodeContext { internal: true, ..to_external() };
    let default = announce(&internal, Family::V4, v4(), &path(&[]), [net("192.0.2.9/32")]).unwrap();
    let update = &read_updates(counterpart(&internal), &default)[0];
    assert_eq!(by_type(update)[&AttributeType::LOCAL_PREF], (0x40, hex("00000064")));
}

#[test]
fn ipv6_stands_in_mp_reach_which_comes_first() {
    let bytes =
        announce(&to_external(), Family::V6, v6(), &path(&[65000]), [net("2001:db8::9/128")]).unwrap();
    let attributes =
        hex("80 0e 26 0002 01 10 20010db8000000000000000000000001 00 80 20010db8000000000000000000000009 \
         40 01 01 00 40 02 06 0201 0000fde8");
    assert_eq!(bytes, update_frame(&[], &attributes, &[]));
}

#[test]
fn a_link_local_next_hop_follows_the_global_one() {
    let next_hop =
        NextHop::V6 { address: "2001:db8::1".parse().unwrap(), link_local: Some("fe80::1".parse().unwrap()) };
    let bytes =
        announce(&to_external(), Family::V6, next_hop, &path(&[65000]), [net("2001:db8::/32")]).unwrap();
    let attributes = hex(
        "80 0e 2a 0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00 20 20010db8 \
         40 01 01 00 40 02 06 0201 0000fde8",
    );
    assert_eq!(bytes, update_frame(&[], &attributes, &[]));
}

#[test]
fn ipv4_over_an_ipv6_next_hop_only_where_negotiated() {
    let prefix = [net("192.0.2.9/32")];
    let error = announce(&to_external(), Family::V4, v6(), &path(&[65000]), prefix).unwrap_err();
    assert_eq!(error, EncodeError::NextHopFamily { family: Family::V4 });
    let context = EncodeContext { extended_next_hop: true, ..to_external() };
    let bytes = announce(&context, Family::V4, v6(), &path(&[65000]), prefix).unwrap();
    let attributes = hex("80 0e 1a 0001 01 10 20010db8000000000000000000000001 00 20 c0000209 \
         40 01 01 00 40 02 06 0201 0000fde8");
    assert_eq!(bytes, update_frame(&[], &attributes, &[]));
    let error = announce(&context, Family::V6, v4(), &path(&[65000]), [net("::/0")]).unwrap_err();
    assert_eq!(error, EncodeError::NextHopFamily { family: Family::V6 });
}

#[test]
fn a_two_octet_peer_gets_as_trans_and_as4_path() {
    let context = EncodeContext { four_octet_asn: false, ..to_external() };
    let attributes = path(&[4_200_000_000, 65000]);
    let bytes = announce(&context, Family::V4, v4(), &attributes, [net("192.0.2.9/32")]).unwrap();
    let expected =
        hex("40 01 01 00 40 02 06 0202 5ba0 fde8 40 03 04 c0000201 c0 11 0a 0202 fa56ea00 0000fde8");
    assert_eq!(bytes, update_frame(&[], &expected, &hex("20 c0000209")));
    let bytes = announce(&context, Family::V4, v4(), &path(&[65000]), [net("192.0.2.9/32")]).unwrap();
    let expected = hex("40 01 01 00 40 02 04 0201 fde8 40 03 04 c0000201");
    assert_eq!(bytes, update_frame(&[], &expected, &hex("20 c0000209")), "no AS4_PATH without need");
}

#[test]
fn a_segment_holds_255_and_a_long_attribute_has_the_extended_length() {
    let attributes = path(&[65000; 300]);
    let bytes = announce(&to_external(), Family::V4, v4(), &attributes, [net("192.0.2.9/32")]).unwrap();
    let value = [hex("02ff"), hex("0000fde8").repeat(255), hex("022d"), hex("0000fde8").repeat(45)].concat();
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let expected = [&hex("40010100 5002")[..], &length, &value, &hex("400304 c0000201")].concat();
    assert_eq!(bytes, update_frame(&[], &expected, &hex("20 c0000209")));
}

#[test]
fn attributes_of_255_octets_have_a_short_length_and_of_256_an_extended_one() {
    // 252 and 256 octets of communities; an MP_REACH_NLRI of 248 and 265.
    for (count, head) in [(63, hex("c0 08 fc")), (64, hex("d0 08 0100"))] {
        let communities = (0..count).map(StandardCommunity).collect();
        let attributes = PathAttributes { communities, ..path(&[65000]) };
        let bytes = announce(&to_external(), Family::V4, v4(), &attributes, [net("192.0.2.9/32")]).unwrap();
        let at = 23 + 4 + 9 + 7;
        assert_eq!(bytes[at..at + head.len()], head);
    }
    for (count, head) in [(13, hex("80 0e f2")), (14, hex("90 0e 0103"))] {
        let bytes = announce(&to_external(), Family::V6, v6(), &path(&[65000]), hosts6(count)).unwrap();
        assert_eq!(bytes[23..23 + head.len()], head);
        let update = &read_updates(counterpart(&to_external()), &bytes)[0];
        assert_eq!(update.announced, hosts6(count).collect::<Vec<_>>());
    }
}

#[test]
fn messages_are_filled_to_the_last_prefix_that_fits() {
    for max_message_len in [4096, 65535] {
        let context = EncodeContext { max_message_len, ..to_external() };
        let cases = [
            (announce(&context, Family::V4, v4(), &path(&[65000]), hosts(30_000)).unwrap(), 5),
            (announce(&context, Family::V6, v6(), &path(&[65000]), hosts6(30_000)).unwrap(), 17),
            (written(|out| drop(encode_withdraw(&context, Family::V4, &mut hosts(30_000), out))), 5),
            (written(|out| drop(encode_withdraw(&context, Family::V6, &mut hosts6(30_000), out))), 17),
        ];
        for (bytes, prefix_len) in cases {
            let mut frames = frames(&bytes);
            let last = frames.pop().unwrap();
            assert!(last.len() <= max_message_len);
            assert!(!frames.is_empty());
            for frame in frames {
                let room = max_message_len - frame.len();
                assert!(room < prefix_len, "{room} octets left for prefixes of {prefix_len}");
            }
            let updates = read_updates(counterpart(&context), &bytes);
            let read: usize = updates.iter().map(|u| u.announced.len() + u.withdrawn.len()).sum();
            assert_eq!(read, 30_000);
        }
    }
}

#[test]
fn what_is_written_follows_what_was_there() {
    let mut out = BytesMut::from(&b"before"[..]);
    let context = to_external();
    let attributes = path(&[65000]);
    let written =
        encode_announce(&context, Family::V6, v6(), &attributes, &mut hosts6(5000), &mut out).unwrap();
    assert_eq!(written, 5000);
    assert_eq!(&out[..6], b"before");
    assert_eq!(&out[6..], announce(&context, Family::V6, v6(), &attributes, hosts6(5000)).unwrap());
}

#[test]
fn nothing_to_say_is_no_message() {
    assert_eq!(announce(&to_external(), Family::V4, v4(), &path(&[65000]), []), Ok(vec![]));
    let withdrawn = written(|out| {
        assert_eq!(encode_withdraw(&to_external(), Family::V6, &mut std::iter::empty(), out), Ok(0));
    });
    assert_eq!(withdrawn, []);
}

#[test]
fn withdrawals() {
    let withdraw = |family, prefixes: Vec<IpNet>| {
        written(|out| drop(encode_withdraw(&to_external(), family, &mut prefixes.into_iter(), out)))
    };
    assert_eq!(
        withdraw(Family::V4, vec![net("192.0.2.9/32"), net("10.0.0.0/8"), net("0.0.0.0/0")]),
        update_frame(&hex("20 c0000209 08 0a 00"), &[], &[])
    );
    assert_eq!(
        withdraw(Family::V6, vec![net("2001:db8::/32"), net("::/0")]),
        update_frame(&[], &hex("80 0f 09 0002 01 20 20010db8 00"), &[])
    );
}

#[test]
fn ends_of_rib() {
    assert_eq!(written(|out| encode_end_of_rib(Family::V4, out)), update_frame(&[], &[], &[]));
    assert_eq!(
        written(|out| encode_end_of_rib(Family::V6, out)),
        update_frame(&[], &hex("80 0f 03 0002 01"), &[])
    );
}

#[test]
fn bits_beyond_a_prefix_are_not_sent() {
    let bytes =
        announce(&to_external(), Family::V4, v4(), &path(&[65000]), [net("10.1.255.255/20")]).unwrap();
    assert_eq!(bytes[bytes.len() - 4..], hex("14 0a01f0"));
}

#[test]
fn a_prefix_of_the_other_family_leaves_nothing_behind() {
    let mut out = BytesMut::from(&b"before"[..]);
    let mut prefixes = hosts(2000).chain([net("2001:db8::/32")]);
    let error = encode_announce(&to_external(), Family::V4, v4(), &path(&[65000]), &mut prefixes, &mut out)
        .unwrap_err();
    assert_eq!(error, EncodeError::WrongFamily { prefix: net("2001:db8::/32"), family: Family::V4 });
    assert_eq!(&out[..], b"before");
}

#[test]
fn attributes_that_leave_no_room_are_refused() {
    let attributes =
        PathAttributes { communities: (0..1020).map(StandardCommunity).collect(), ..path(&[65000]) };
    let error = announce(&to_external(), Family::V4, v4(), &attributes, hosts(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the attributes take 4127 octets and leave no room for a prefix in a message of 4096: remove communities"
    );
    let large = EncodeContext { max_message_len: 65535, ..to_external() };
    assert!(announce(&large, Family::V4, v4(), &attributes, hosts(1)).is_ok());
}

#[test]
fn equal_attributes_compare_equal() {
    let mut one = path(&[65000]);
    let other = PathAttributes { as_path: vec![Asn::TRANS], ..one.clone() };
    assert!(one < PathAttributes { med: Some(0), ..one.clone() } && one > other);
    one.communities.insert(StandardCommunity::GRACEFUL_SHUTDOWN);
    assert_ne!(one, path(&[65000]));
}
