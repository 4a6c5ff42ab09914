//! Received UPDATEs: prefixes, End-of-RIB, and the answer to each defect (RFC 7606).

use daymark_bgp::wire::{AttributeType, DecodeContext, DefectKind, Disposition, Message, Update, WireError};
use daymark_model::Family;

use super::support::{external, hex, net, read_one, update_frame};

const ORIGIN: &str = "400101 00";
const AS_PATH: &str = "400206 0201 0000fde8";
const NEXT_HOP: &str = "400304 c0000201";
const LOCAL_PREF: &str = "400504 00000064";
const NLRI: &str = "18 cb0071";

fn try_read(
    context: DecodeContext,
    withdrawn: &str,
    attributes: &[&str],
    nlri: &str,
) -> Result<Update, WireError> {
    let stream = update_frame(&hex(withdrawn), &hex(&attributes.concat()), &hex(nlri));
    match read_one(Some(context), &stream)? {
        Message::Update(update) => Ok(update),
        other => panic!("{other:?}"),
    }
}

fn read(context: DecodeContext, attributes: &[&str], nlri: &str) -> Update {
    try_read(context, "", attributes, nlri).unwrap()
}

fn internal() -> DecodeContext {
    DecodeContext { internal: true, ..external() }
}

fn two_octet() -> DecodeContext {
    DecodeContext { four_octet_asn: false, ..external() }
}

#[track_caller]
fn resets(withdrawn: &str, attributes: &[&str], nlri: &str, subcode: u8, data: &str) {
    let error = try_read(external(), withdrawn, attributes, nlri).expect_err("accepted");
    let notification = error.notification();
    let got = (notification.code.code(), notification.code.subcode(), notification.data.to_vec());
    assert_eq!(got, (3, subcode, hex(data)), "{error}");
}

#[test]
fn prefixes_of_both_families_are_read() {
    let reach = "800e 1d 0002 01 10 20010db8000000000000000000000001 00 20 20010db8 00 05 f8";
    let unreach = "800f 08 0002 01 20 20010db9";
    let update =
        try_read(external(), "10 0a01 00", &[reach, ORIGIN, AS_PATH, NEXT_HOP, unreach], NLRI).unwrap();
    assert_eq!(update.announced, [net("2001:db8::/32"), net("::/0"), net("f800::/5"), net("203.0.113.0/24")]);
    assert_eq!(update.withdrawn, [net("2001:db9::/32"), net("10.1.0.0/16"), net("0.0.0.0/0")]);
    assert_eq!((update.defects, update.end_of_rib), (vec![], None));
    assert_eq!(update.attributes.len(), 5);
}

#[test]
fn bits_beyond_a_prefix_are_cleared() {
    let update = read(external(), &[ORIGIN, AS_PATH, NEXT_HOP], "14 0a01ff");
    assert_eq!(update.announced, [net("10.1.240.0/20")]);
}

#[test]
fn ends_of_rib() {
    let end = |attributes: &[&str]| read(external(), attributes, "").end_of_rib;
    assert_eq!(end(&[]), Some(Family::V4));
    assert_eq!(end(&["800f03 000201"]), Some(Family::V6));
    assert_eq!(end(&["900f0003 000201"]), Some(Family::V6));
    assert_eq!(end(&["800f03 000101"]), Some(Family::V4));
    assert_eq!(end(&["800f03 001946"]), None);
    assert_eq!(end(&["800f04 000201 00"]), None);
    let v6_only = DecodeContext { families: vec![Family::V6], ..external() };
    assert_eq!(read(v6_only, &[], "").end_of_rib, None);
}

#[test]
fn a_family_that_was_not_negotiated_is_ignored() {
    let v4_only = DecodeContext { families: vec![Family::V4], ..external() };
    let reach = "800e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
    let update = read(v4_only, &[reach, ORIGIN, AS_PATH, NEXT_HOP], NLRI);
    assert_eq!(update.announced, [net("203.0.113.0/24")]);
    assert_eq!(
        update.defects[0].to_string(),
        "MP_REACH_NLRI is of a family that was not negotiated: ignored"
    );
    let v6_only = DecodeContext { families: vec![Family::V6], ..external() };
    let update = read(v6_only, &[ORIGIN, AS_PATH, NEXT_HOP], NLRI);
    assert_eq!((update.announced, update.withdrawn), (vec![], vec![]));
    let evpn = "800e 0c 0019 46 04 c0000201 00 ffffff";
    assert_eq!(read(external(), &[evpn, ORIGIN, AS_PATH], "").announced, []);
}

/// One attribute put in the place of a good one, or beside the good ones.
struct Case {
    bytes: &'static str,
    context: fn() -> DecodeContext,
    attribute: AttributeType,
    kind: DefectKind,
    disposition: Disposition,
}

fn case(
    bytes: &'static str,
    context: fn() -> DecodeContext,
    attribute: AttributeType,
    kind: DefectKind,
    disposition: Disposition,
) -> Case {
    Case { bytes, context, attribute, kind, disposition }
}

#[test]
fn defects_and_their_dispositions() {
    use AttributeType as A;
    use DefectKind::{Flags, Length, Unexpected, Value};
    use Disposition::{Discard, Withdraw};
    let cases = [
        case("400101 03", external, A::ORIGIN, Value, Withdraw),
        case("400100", external, A::ORIGIN, Length, Withdraw),
        case("400102 0000", external, A::ORIGIN, Length, Withdraw),
        case("c00101 00", external, A::ORIGIN, Flags, Withdraw),
        case("000101 00", external, A::ORIGIN, Flags, Withdraw),
        case("400200", external, A::AS_PATH, Value, Withdraw),
        case("400206 0202 0000fde8", external, A::AS_PATH, Value, Withdraw),
        case("400202 0200", external, A::AS_PATH, Value, Withdraw),
        case("400207 0201 0000fde8 00", external, A::AS_PATH, Value, Withdraw),
        case("400207 0201 0000fde8 02", external, A::AS_PATH, Value, Withdraw),
        case("400206 0901 0000fde8", external, A::AS_PATH, Value, Withdraw),
        case("400206 0101 0000fde8", external, A::AS_PATH, Value, Withdraw),
        case("400206 0301 0000fde8", external, A::AS_PATH, Value, Withdraw),
        case("400206 0201 00000000", external, A::AS_PATH, Value, Withdraw),
        case("400206 0201 0000fde8", two_octet, A::AS_PATH, Value, Withdraw),
        case("400303 c00002", external, A::NEXT_HOP, Length, Withdraw),
        case("400304 00000000", external, A::NEXT_HOP, Value, Withdraw),
        case("400304 7f000001", external, A::NEXT_HOP, Value, Withdraw),
        case("400304 e0000001", external, A::NEXT_HOP, Value, Withdraw),
        case("400304 f0000001", external, A::NEXT_HOP, Value, Withdraw),
        case("800403 000000", external, A::MULTI_EXIT_DISC, Length, Withdraw),
        case("c00404 00000000", external, A::MULTI_EXIT_DISC, Flags, Withdraw),
        case("400504 00000064", external, A::LOCAL_PREF, Unexpected, Discard),
        case("400505 0000006400", internal, A::LOCAL_PREF, Length, Withdraw),
        case("400601 00", external, A::ATOMIC_AGGREGATE, Length, Discard),
        case("c00600", external, A::ATOMIC_AGGREGATE, Flags, Withdraw),
        case("c00706 fde8 c0000201", external, A::AGGREGATOR, Length, Discard),
        case("c00708 0000fde8 c0000201", two_octet, A::AGGREGATOR, Length, Discard),
        case("c00803 fde800", external, A::COMMUNITIES, Length, Withdraw),
        case("c00800", external, A::COMMUNITIES, Length, Withdraw),
        case("400804 fde80001", external, A::COMMUNITIES, Flags, Withdraw),
        case("800904 c0000201", external, A::ORIGINATOR_ID, Unexpected, Discard),
        case("800903 c00002", internal, A::ORIGINATOR_ID, Length, Withdraw),
        case("800a04 c0000201", external, A::CLUSTER_LIST, Unexpected, Discard),
        case("800a05 c000020100", internal, A::CLUSTER_LIST, Length, Withdraw),
        case("c01007 0002fde8000000", external, A::EXTENDED_COMMUNITIES, Length, Withdraw),
        case("c01106 0201 0000fde8", external, A::AS4_PATH, Unexpected, Discard),
        case("c01105 0201 0000fd", two_octet, A::AS4_PATH, Value, Discard),
        case("c01207 0000fde8c00002", two_octet, A::AS4_AGGREGATOR, Length, Discard),
        case(
            "c01913 00000000000000000000000000000000000000",
            external,
            A::IPV6_EXTENDED_COMMUNITIES,
            Length,
            Withdraw,
        ),
        case("c0200b 0000fde800000001000000", external, A::LARGE_COMMUNITIES, Length, Withdraw),
        case("c02303 00fde8", external, A::ONLY_TO_CUSTOMER, Length, Withdraw),
    ];
    for Case { bytes, context, attribute, kind, disposition } in cases {
        let octets = hex(bytes);
        assert_eq!(usize::from(octets[2]), octets.len() - 3, "{bytes} is no attribute at all");
        let context = context();
        let path = if context.four_octet_asn { AS_PATH } else { "400204 0201 fde8" };
        let mut attributes = vec![ORIGIN, path, NEXT_HOP];
        if context.internal {
            attributes.push(LOCAL_PREF);
        }
        let good = read(context.clone(), &attributes, NLRI);
        assert_eq!((good.announced.len(), good.defects.len()), (1, 0));
        attributes.retain(|good| hex(good)[1] != attribute.0);
        attributes.insert(0, bytes);
        let update = read(context, &attributes, NLRI);
        let defects: Vec<_> = update.defects.iter().map(|d| (d.attribute, d.kind, d.disposition)).collect();
        assert_eq!(defects, [(Some(attribute), kind, disposition)], "{bytes}");
        let (announced, withdrawn) = (update.announced.len(), update.withdrawn.len());
        match disposition {
            Disposition::Withdraw => assert_eq!((announced, withdrawn), (0, 1), "{bytes}"),
            Disposition::Discard => {
                assert_eq!((announced, withdrawn), (1, 0), "{bytes}");
                assert!(update.attributes.iter().all(|a| a.kind != attribute), "{bytes}");
            }
        }
    }
}

#[test]
fn attributes_of_any_defect_need_not_be_the_last() {
    let update = read(external(), &["c00803 fde800", ORIGIN, AS_PATH, NEXT_HOP], NLRI);
    assert_eq!(update.withdrawn, [net("203.0.113.0/24")]);
    assert_eq!(update.attributes.len(), 4);
    assert_eq!(update.defects[0].to_string(), "COMMUNITIES has a wrong length: treated as withdraw");
}

#[test]
fn a_missing_mandatory_attribute_withdraws() {
    for missing in 0..3 {
        let mut attributes = vec![ORIGIN, AS_PATH, NEXT_HOP];
        attributes.remove(missing);
        let update = read(external(), &attributes, NLRI);
        assert_eq!(update.defects[0].kind, DefectKind::Missing);
        assert_eq!(update.withdrawn, [net("203.0.113.0/24")]);
    }
    let update = read(internal(), &[ORIGIN, AS_PATH, NEXT_HOP], NLRI);
    assert_eq!(update.defects[0].to_string(), "LOCAL_PREF is missing: treated as withdraw");
    let reach = "800e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
    assert_eq!(
        read(external(), &[reach, ORIGIN, AS_PATH], "").defects,
        [],
        "no NEXT_HOP beside MP_REACH_NLRI"
    );
}

/// RFC 4760 section 3: beside MP_REACH_NLRI alone NEXT_HOP is ignored, whatever it says.
#[test]
fn a_next_hop_without_its_prefixes_means_nothing() {
    let reach = "800e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
    let update = read(external(), &[reach, ORIGIN, AS_PATH, "400304 00000000"], "");
    assert_eq!((update.announced, update.defects), (vec![net("2001:db8::/32")], vec![]));
}

#[test]
fn an_overrun_withdraws() {
    for overrun in ["4008ff 00", "40", "4008", "5008 00", "c00804 fde8"] {
        let update = read(external(), &[ORIGIN, AS_PATH, NEXT_HOP, overrun], NLRI);
        assert_eq!(update.defects[0].kind, DefectKind::Overrun, "{overrun}");
        assert_eq!(update.withdrawn, [net("203.0.113.0/24")], "{overrun}");
    }
}

/// RFC 7606 section 3 (j): what cannot be read cannot be withdrawn.
#[test]
fn an_overrun_of_the_prefixes_themselves_resets() {
    for overrun in ["800eff 0002", "800e", "900f00", "800f04 000201"] {
        resets("", &[ORIGIN, AS_PATH, NEXT_HOP, overrun], NLRI, 9, "");
    }
}

#[test]
fn of_a_repeated_attribute_the_first_counts() {
    let update = read(external(), &[ORIGIN, AS_PATH, NEXT_HOP, "400101 02"], NLRI);
    assert_eq!(update.announced, [net("203.0.113.0/24")]);
    assert_eq!(update.defects[0].kind, DefectKind::Duplicate);
    assert_eq!(update.attributes.iter().filter(|a| a.kind == AttributeType::ORIGIN).count(), 1);
}

#[test]
fn an_unknown_optional_attribute_is_kept() {
    let update = read(external(), &[ORIGIN, AS_PATH, NEXT_HOP, "c0c803 010203", "80c900"], NLRI);
    assert_eq!((update.attributes.len(), update.defects.len()), (5, 0));
}

#[test]
fn an_unknown_well_known_attribute_resets_with_the_attribute() {
    resets("", &[ORIGIN, AS_PATH, NEXT_HOP, "40c803 010203"], NLRI, 2, "40c803 010203");
}

#[test]
fn lengths_beyond_the_message_reset() {
    for body in ["0001 0000", "ffff 0000", "0000 0001", "0000 ffff", "0000 0004 4001"] {
        let stream = super::support::frame(2, &hex(body));
        let notification = read_one(Some(external()), &stream).unwrap_err().notification();
        assert_eq!((notification.code.code(), notification.code.subcode()), (3, 1), "{body}");
    }
}

#[test]
fn prefixes_that_cannot_be_read_reset() {
    let good = &[ORIGIN, AS_PATH, NEXT_HOP];
    for list in ["21 0a00000000", "ff", "20 0a0000", "18 cb0071 01"] {
        resets("", good, list, 10, "");
        resets(list, &[], "", 10, "");
    }
}

#[test]
fn multiprotocol_attributes_that_cannot_be_read_reset() {
    for attribute in [
        "800e02 0002",
        "800e04 0002 01 10",
        "800e05 0002 01 00 00",
        "800e09 0002 01 04 c0000201 00",
        "800e16 0002 01 10 20010db8000000000000000000000001 00 81",
        "800e16 0002 01 10 20010db8000000000000000000000001 00 08",
        "800e06 0001 01 01 c0 00",
        "800f02 0002",
        "800f04 0002 01 81",
        "800f05 0002 01 20 20",
    ] {
        let attribute = with_length(attribute);
        resets("", &[&attribute, ORIGIN, AS_PATH], "", 9, &attribute);
    }
}

/// Sets the length octet to what follows.
fn with_length(attribute: &str) -> String {
    let octets = hex(attribute);
    let value: String = octets[3..].iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{:02x}{:02x}{:02x}{value}", octets[0], octets[1], octets.len() - 3)
}

#[test]
fn multiprotocol_attributes_must_not_repeat() {
    let unreach = "800f03 000201";
    resets("", &[unreach, unreach], "", 1, unreach);
    let reach = "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
    resets("", &[reach, reach, ORIGIN, AS_PATH], "", 1, reach);
}

#[test]
fn a_defect_without_a_reachable_prefix_resets() {
    resets("", &["400101 03", AS_PATH, NEXT_HOP], "", 1, "");
    resets("18 cb0071", &["c00803 fde800"], "", 1, "");
    resets("", &["800f03 000201", "40"], "", 1, "");
    // RFC 7606 section 5.2: a discarded attribute alone is no reason.
    assert!(try_read(external(), "", &["400504 00000064"], "").is_ok());
}

#[test]
fn ipv4_prefixes_may_have_an_ipv6_next_hop() {
    for next_hop in ["10 20010db8000000000000000000000001", "04 c0000201"] {
        let reach = with_length(&format!("800e00 0001 01 {next_hop} 00 18cb0071"));
        let update = read(external(), &[&reach, ORIGIN, AS_PATH], "");
        assert_eq!(update.announced, [net("203.0.113.0/24")]);
    }
}
