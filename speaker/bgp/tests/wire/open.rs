//! OPEN: what is accepted, and what is refused with which NOTIFICATION (RFC 4271 section 6.2, 5492, 6793, 9072).

use bytes::{Bytes, BytesMut};
use daymark_bgp::wire::{
    AfiSafi, Capability, EncodeError, ExtendedNextHop, Message, Open, WireError, encode_open,
};
use daymark_model::RouterId;

use super::support::{asn, frame, hex, read_one};

fn read_open(body: &str) -> Result<Open, WireError> {
    match read_one(None, &frame(1, &hex(body)))? {
        Message::Open(open) => Ok(open),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(body: &str, subcode: u8, data: &str) {
    let notification = read_open(body).expect_err("accepted").notification();
    let got = (notification.code.code(), notification.code.subcode(), notification.data.to_vec());
    assert_eq!(got, (2, subcode, hex(data)), "{body}");
}

#[test]
fn another_version_is_refused_with_ours() {
    refused("03 fde8 005a c0000201 00", 1, "0004");
    refused("05 fde8 005a c0000201 00", 1, "0004");
}

#[test]
fn hold_times_of_one_and_two_seconds_are_refused_with_the_value() {
    refused("04 fde8 0001 c0000201 00", 6, "0001");
    refused("04 fde8 0002 c0000201 00", 6, "0002");
    assert_eq!(read_open("04 fde8 0000 c0000201 00").unwrap().hold_time, 0);
    assert_eq!(read_open("04 fde8 0003 c0000201 00").unwrap().hold_time, 3);
}

#[test]
fn identifier_zero_is_refused_any_other_is_not() {
    refused("04 fde8 005a 00000000 00", 3, "");
    assert_eq!(read_open("04 fde8 005a e0000001 00").unwrap().router_id.to_string(), "224.0.0.1");
}

#[test]
fn an_as_that_cannot_be_is_refused() {
    refused("04 0000 005a c0000201 00", 2, "");
    refused("04 0000 005a c0000201 08 02064104 0000fde8", 2, "");
    refused("04 5ba0 005a c0000201 08 02064104 00000000", 2, "");
    refused("04 5ba0 005a c0000201 00", 2, "");
    refused("04 fde8 005a c0000201 08 02064104 0000fde9", 2, "");
    refused("04 5ba0 005a c0000201 0e 020c 4104fa56ea00 4104fa56ea01", 2, "");
}

#[test]
fn as_trans_stands_for_the_capability() {
    assert_eq!(read_open("04 5ba0 005a c0000201 08 02064104 fa56ea00").unwrap().asn, asn(4_200_000_000));
    assert_eq!(read_open("04 5ba0 005a c0000201 08 02064104 0000fde8").unwrap().asn, asn(65000));
}

#[test]
fn other_optional_parameters_are_refused() {
    refused("04 fde8 005a c0000201 03 01 01 00", 4, "");
    refused("04 fde8 005a c0000201 04 4d 02 0000", 4, "");
}

#[test]
fn parameters_and_capabilities_that_do_not_fit_are_refused() {
    for body in [
        "04 fde8 005a c0000201 02",
        "04 fde8 005a c0000201 00 00",
        "04 fde8 005a c0000201 01 02",
        "04 fde8 005a c0000201 02 02 04",
        "04 fde8 005a c0000201 04 02 02 02 01",
        "04 fde8 005a c0000201 03 02 01 02",
        "04 fde8 005a c0000201 03 02 02 02 00",
        "04 fde8 005a c0000201 07 02 05 01 03 000100",
        "04 fde8 005a c0000201 06 02 04 41 02 fde8",
        "04 fde8 005a c0000201 ff ff 00",
        "04 fde8 005a c0000201 ff ff 0004 02 0002 02",
        "04 fde8 005a c0000201 ff ff 0003 02 0100",
    ] {
        refused(body, 0, "");
    }
}

#[test]
fn capabilities_in_one_parameter_or_one_each_are_the_same() {
    let together = read_open("04 fde8 005a c0000201 0c 02 0a 0104 00010001 0200 4600").unwrap();
    let apart = read_open("04 fde8 005a c0000201 10 0206 0104 00010001 0202 0200 0202 4600").unwrap();
    assert_eq!(together, apart);
}

#[test]
fn the_extended_form_is_read_even_when_short() {
    let body = "04 fde8 005a c0000201 ff ff 0011 02 0006 0104 00010001 02 0002 0200 02 0000";
    let classic = "04 fde8 005a c0000201 0a 02 08 0104 00010001 0200";
    assert_eq!(read_open(body).unwrap(), read_open(classic).unwrap());
    // RFC 9072 section 2: the one-octet length before it is not looked at.
    assert_eq!(read_open(&body.replace("ff ff", "07 ff")).unwrap(), read_open(classic).unwrap());
}

#[test]
fn repeated_capabilities_are_merged() {
    let open = read_open(
        "04 fde8 005a c0000201 2e 02 2c \
         0200 0104 00010001 0200 0506 0001 0001 0002 0104 00010001 0506 0001 0080 0002 4002 0078 4006 0078 000101 00",
    )
    .unwrap();
    let over_ipv6 = |safi| ExtendedNextHop { afi: 1, safi, next_hop_afi: 2 };
    assert_eq!(open.capabilities.len(), 4, "{:?}", open.capabilities);
    assert_eq!(open.capabilities[0], Capability::RouteRefresh);
    assert_eq!(open.capabilities[1], Capability::Multiprotocol(AfiSafi::Ipv4Unicast));
    assert_eq!(open.capabilities[2], Capability::ExtendedNextHop(vec![over_ipv6(1), over_ipv6(128)]));
    let Capability::GracefulRestart(restart) = &open.capabilities[3] else { panic!("{open:?}") };
    assert_eq!(restart.families.len(), 1, "the last one counts");
}

#[test]
fn a_value_without_its_form_is_kept_but_means_nothing() {
    let open = read_open("04 fde8 005a c0000201 0a 02 08 0201 ff 4003 007800").unwrap();
    let unknown = |code, value: &str| Capability::Unknown { code, value: hex(value).into() };
    assert_eq!(open.capabilities, [unknown(2, "ff"), unknown(64, "007800")]);
}

#[test]
fn capabilities_take_the_extended_form_only_when_they_need_it() {
    let open = |octets: usize| {
        let filler = |n: usize| Capability::Unknown { code: 200, value: Bytes::from(vec![7; n]) };
        let second = Capability::Unknown { code: 201, value: Bytes::from(vec![7; octets - 104]) };
        Open {
            asn: asn(65000),
            hold_time: 90,
            router_id: RouterId::new("192.0.2.1".parse().unwrap()).unwrap(),
            capabilities: vec![filler(100), second],
        }
    };
    // 252 octets of capabilities give 254 of parameters; 255 would announce the extended form.
    for (octets, extended) in [(252, false), (253, true), (254, true), (300, true)] {
        let mut out = BytesMut::new();
        encode_open(&open(octets), &mut out).unwrap();
        assert_eq!(out[28] == 255 && out[29] == 255, extended, "{octets}");
        assert_eq!(read_one(None, &out).unwrap(), Message::Open(open(octets)), "{octets}");
    }
}

#[test]
fn an_open_beyond_its_limit_is_not_written() {
    let router_id = RouterId::new("192.0.2.1".parse().unwrap()).unwrap();
    let open = |capabilities| Open { asn: asn(65000), hold_time: 90, router_id, capabilities };
    let large = |code| Capability::Unknown { code, value: Bytes::from(vec![0; 255]) };
    let mut out = BytesMut::from(&b"before"[..]);
    let error = encode_open(&open((100..120).map(large).collect()), &mut out).unwrap_err();
    assert!(matches!(error, EncodeError::OpenTooLong { .. }), "{error}");
    let too_long = Capability::Unknown { code: 100, value: Bytes::from(vec![0; 256]) };
    assert_eq!(
        encode_open(&open(vec![too_long]), &mut out),
        Err(EncodeError::CapabilityTooLong { code: 100 })
    );
    assert_eq!(&out[..], b"before");
}
