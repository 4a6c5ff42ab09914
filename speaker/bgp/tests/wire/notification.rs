//! NOTIFICATION: names, texts, unknown codes (RFC 4271 section 4.5, 4486, 6608, 8538, 9003, 9384, 9687).

use std::collections::BTreeSet;

use daymark_bgp::wire::{
    AfiSafi, Capability, CeaseReason, Message, Notification, NotificationCode, encode_notification,
};

use super::support::{frame, hex, read_one, written};

fn read(body: &[u8]) -> Notification {
    match read_one(None, &frame(3, body)).unwrap() {
        Message::Notification(notification) => notification,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_code_survives_and_every_name_is_said_once() {
    let mut names = BTreeSet::new();
    for code in 0..=255 {
        for subcode in 0..=255 {
            let notification = read(&[code, subcode, 1, 2, 3]);
            assert_eq!((notification.code.code(), notification.code.subcode()), (code, subcode));
            assert_eq!(NotificationCode::new(code, subcode), notification.code);
            assert!(names.insert(notification.code.to_string()));
            let out = written(|out| encode_notification(&notification, out));
            assert_eq!(out[19..], [code, subcode, 1, 2, 3]);
        }
    }
}

#[test]
fn cease_reasons_have_the_registered_numbers() {
    let named: Vec<_> =
        CeaseReason::NAMED.iter().map(|(octet, reason)| format!("{octet} {reason}")).collect();
    assert_eq!(
        named,
        [
            "0 unspecific",
            "1 maximum number of prefixes reached",
            "2 administrative shutdown",
            "3 peer de-configured",
            "4 administrative reset",
            "5 connection rejected",
            "6 other configuration change",
            "7 connection collision resolution",
            "8 out of resources",
            "9 hard reset",
            "10 BFD down",
        ]
    );
}

#[test]
fn a_shutdown_text_is_said_and_read() {
    let notification = Notification::cease(CeaseReason::AdministrativeShutdown, "drain of node näch 1");
    assert_eq!(notification.data[0], 21);
    assert_eq!(notification.shutdown_communication().unwrap(), "drain of node näch 1");
    assert_eq!(notification.to_string(), "cease: administrative shutdown (6/2): \"drain of node näch 1\"");
}

#[test]
fn a_shutdown_text_ends_at_a_character_within_255_octets() {
    let text = format!("{}ääää", "x".repeat(252));
    let notification = Notification::cease(CeaseReason::AdministrativeReset, &text);
    assert_eq!(notification.data.len(), 255);
    assert_eq!(notification.shutdown_communication().unwrap(), format!("{}ä", "x".repeat(252)));
}

#[test]
fn only_shutdown_and_reset_carry_a_text() {
    assert!(Notification::cease(CeaseReason::PeerDeconfigured, "gone").data.is_empty());
    assert_eq!(read(&hex("06 03 04 676f6e65")).shutdown_communication(), None);
}

#[test]
fn a_bad_shutdown_text_does_no_harm() {
    for body in ["0602", "0602 00", "0602 05 61", "0602 ff", "0604 80 616263"] {
        assert_eq!(read(&hex(body)).shutdown_communication(), None, "{body}");
    }
    assert_eq!(read(&hex("0602 02 ff61")).shutdown_communication().unwrap(), "\u{fffd}a");
    assert_eq!(read(&hex("0602 03 610a1b")).shutdown_communication().unwrap(), "a\\n\\u{1b}");
    assert_eq!(read(&hex("0602 01 61 6262")).shutdown_communication().unwrap(), "a");
}

#[test]
fn data_is_shown_as_hex_and_cut() {
    assert_eq!(
        read(&hex("0206 0001")).to_string(),
        "OPEN message error: unacceptable hold time (2/6), data 0001"
    );
    let long = read(&[&[3, 1][..], &[0xab; 40]].concat()).to_string();
    assert!(long.ends_with(&format!("data {}...", "ab".repeat(32))), "{long}");
}

#[test]
fn data_beyond_the_message_is_cut() {
    let notification = Notification::with_data(NotificationCode::new(3, 5), vec![1; 9000]);
    let out = written(|out| encode_notification(&notification, out));
    assert_eq!(out.len(), 4096);
    assert!(read_one(None, &out).is_ok());
}

#[test]
fn missing_capabilities_are_listed() {
    let missing = [Capability::Multiprotocol(AfiSafi::Ipv6Unicast), Capability::RouteRefresh];
    let notification = Notification::unsupported_capability(&missing).unwrap();
    assert_eq!((notification.code.code(), notification.code.subcode()), (2, 7));
    assert_eq!(notification.data.to_vec(), hex("0104 00020001 0200"));
}
