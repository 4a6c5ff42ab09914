//! Bytes, contexts and strategies that the tests share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use daymark_bgp::wire::{
    AttributeType, DecodeContext, Decoder, EncodeContext, Message, NextHop, PathAttributes, Update, WireError,
};
use daymark_model::{Asn, ExtendedCommunity, Family, LargeCommunity, StandardCommunity};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// Octets from hex digits; blanks are for the reader.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        digits.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of hex digits");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// A whole message around a body.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 16];
    frame.extend(u16::try_from(body.len() + 19).unwrap().to_be_bytes());
    frame.push(kind);
    frame.extend(body);
    frame
}

/// An UPDATE of withdrawn routes, attributes and NLRI.
pub fn update_frame(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(u16::try_from(withdrawn.len()).unwrap().to_be_bytes());
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    frame(2, &body)
}

/// An external peer with four-octet AS numbers and both families.
pub fn external() -> DecodeContext {
    DecodeContext {
        four_octet_asn: true,
        max_message_len: 4096,
        families: vec![Family::V4, Family::V6],
        internal: false,
        enhanced_route_refresh: true,
    }
}

/// What [`external`] is for sending.
pub fn to_external() -> EncodeContext {
    EncodeContext { four_octet_asn: true, max_message_len: 4096, internal: false, extended_next_hop: false }
}

/// The reader's side of a sender's context.
pub fn counterpart(context: &EncodeContext) -> DecodeContext {
    DecodeContext {
        four_octet_asn: context.four_octet_asn,
        max_message_len: u16::try_from(context.max_message_len).unwrap(),
        internal: context.internal,
        ..external()
    }
}

/// All messages of a stream.
pub fn read(context: Option<DecodeContext>, stream: &[u8]) -> Result<Vec<Message>, WireError> {
    let mut decoder = Decoder::new();
    if let Some(context) = context {
        decoder.set_context(context);
    }
    decoder.feed(stream);
    let mut messages = Vec::new();
    while let Some(message) = decoder.next()? {
        messages.push(message);
    }
    Ok(messages)
}

/// The one message of a stream.
pub fn read_one(context: Option<DecodeContext>, stream: &[u8]) -> Result<Message, WireError> {
    let mut messages = read(context, stream)?;
    assert_eq!(messages.len(), 1, "{messages:?}");
    Ok(messages.remove(0))
}

/// The UPDATEs of a stream.
pub fn read_updates(context: DecodeContext, stream: &[u8]) -> Vec<Update> {
    let update = |message| match message {
        Message::Update(update) => update,
        other => panic!("not an UPDATE: {other:?}"),
    };
    read(Some(context), stream).unwrap().into_iter().map(update).collect()
}

/// The messages of a stream, uncut.
pub fn frames(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let length = usize::from(u16::from_be_bytes([stream[16], stream[17]]));
        let (frame, rest) = stream.split_at(length);
        frames.push(frame.to_vec());
        stream = rest;
    }
    frames
}

/// Flags and value of each attribute by its type.
pub fn by_type(update: &Update) -> BTreeMap<AttributeType, (u8, Vec<u8>)> {
    update.attributes.iter().map(|a| (a.kind, (a.flags, a.value.to_vec()))).collect()
}

/// What `write` puts into an empty buffer.
pub fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

pub fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

pub fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// `count` prefixes of /32 from 10.0.0.0 on.
pub fn hosts(count: u32) -> impl Iterator<Item = IpNet> {
    (0..count).map(|n| Ipv4Net::new(Ipv4Addr::from_bits(0x0a00_0000 + n), 32).unwrap().into())
}

/// `count` prefixes of /128 from 2001:db8:: on.
pub fn hosts6(count: u32) -> impl Iterator<Item = IpNet> {
    let first: Ipv6Addr = "2001:db8::".parse().unwrap();
    (0..count)
        .map(move |n| Ipv6Net::new(Ipv6Addr::from_bits(first.to_bits() + u128::from(n)), 128).unwrap().into())
}

pub fn any_asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1_u32..=65535, 1_u32..=u32::MAX].prop_map(asn)
}

prop_compose! {
    pub fn any_v4(shortest: u8)(address in 0x0100_0000_u32..0xe000_0000, bits in shortest..=32_u8) -> IpNet {
        IpNet::from(Ipv4Net::new(Ipv4Addr::from_bits(address), bits).unwrap()).trunc()
    }
}

prop_compose! {
    pub fn any_v6(shortest: u8)(low in any::<u128>(), bits in shortest..=128_u8) -> IpNet {
        let address = (0x2001_0db8_u128 << 96) | (low >> 32);
        IpNet::from(Ipv6Net::new(Ipv6Addr::from_bits(address), bits).unwrap()).trunc()
    }
}

prop_compose! {
    pub fn any_attributes()(
        as_path in prop_oneof![9 => vec(any_asn(), 1..6), 1 => vec(any_asn(), 250..520)],
        med in any::<Option<u32>>(),
        local_preference in any::<Option<u32>>(),
        communities in btree_set(any::<u32>().prop_map(StandardCommunity), 0..80),
        large_communities in btree_set(
            any::<[u32; 3]>().prop_map(|[global, local1, local2]| LargeCommunity { global, local1, local2 }),
            0..6,
        ),
        extended_communities in btree_set(any_extended(), 0..6),
    ) -> PathAttributes {
        PathAttributes { as_path, med, local_preference, communities, large_communities, extended_communities }
    }
}

fn any_extended() -> impl Strategy<Value = ExtendedCommunity> {
    (prop_oneof![Just(0_u8), Just(2)], prop_oneof![Just(2_u8), Just(3)], any::<[u8; 6]>())
        .prop_map(|(kind, subtype, [a, b, c, d, e, f])| ExtendedCommunity([kind, subtype, a, b, c, d, e, f]))
}

prop_compose! {
    pub fn any_next_hop6()(low in any::<u64>(), link_local in any::<Option<u64>>()) -> NextHop {
        let with = |high: u128, low: u64| Ipv6Addr::from_bits((high << 64) | u128::from(low));
        NextHop::V6 {
            address: with(0x2001_0db8_0000_0000, low),
            link_local: link_local.map(|low| with(0xfe80_0000_0000_0000, low)),
        }
    }
}

prop_compose! {
    pub fn any_context()(
        four_octet_asn: bool,
        internal: bool,
        extended_next_hop: bool,
        max_message_len in prop_oneof![Just(4096_usize), Just(65535)],
    ) -> EncodeContext {
        EncodeContext { four_octet_asn, max_message_len, internal, extended_next_hop }
    }
}

pub fn set<T: Ord, const N: usize>(items: [T; N]) -> BTreeSet<T> {
    items.into()
}
