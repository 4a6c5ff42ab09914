//! Messages and their octets, checked both ways.

use bytes::{Bytes, BytesMut};
use daymark_bgp::wire::{
    AddPathFamily, AfiSafi, Capability, CeaseReason, ExtendedNextHop, GracefulRestart, GracefulRestartFamily,
    LongLivedGracefulRestartFamily, Message, Notification, NotificationCode, Open, OpenError, RefreshSubtype,
    RouteRefresh, encode_keepalive, encode_notification, encode_open, encode_route_refresh,
};
use daymark_model::RouterId;

use super::support::{asn, external, frame, hex, read_one};

fn encode(message: &Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    match message {
        Message::Open(open) => encode_open(open, &mut out).unwrap(),
        Message::Notification(notification) => encode_notification(notification, &mut out),
        Message::Keepalive => encode_keepalive(&mut out),
        Message::RouteRefresh(refresh) => encode_route_refresh(*refresh, &mut out),
        Message::Update(_) => panic!("an UPDATE is not written from what is read"),
    }
    out.to_vec()
}

#[track_caller]
fn pair(kind: u8, body: &str, message: Message) {
    let bytes = frame(kind, &hex(body));
    assert_eq!(read_one(Some(external()), &bytes).unwrap(), message);
    assert_eq!(message.kind(), kind);
    assert_eq!(encode(&message), bytes);
}

fn open(number: u32, hold_time: u16, capabilities: Vec<Capability>) -> Message {
    let router_id = RouterId::new("192.0.2.1".parse().unwrap()).unwrap();
    Message::Open(Open { asn: asn(number), hold_time, router_id, capabilities })
}

#[test]
fn keepalive() {
    pair(4, "", Message::Keepalive);
}

#[test]
fn open_without_capabilities() {
    pair(1, "04 fde8 005a c0000201 00", open(65000, 90, vec![]));
}

#[test]
fn open_as_a_speaker_sends_it() {
    pair(
        1,
        "04 fde8 005a c0000201 1a 02 18 0104 00010001 0104 00020001 0200 0600 4104 0000fde8 4600",
        open(
            65000,
            90,
            vec![
                Capability::Multiprotocol(AfiSafi::Ipv4Unicast),
                Capability::Multiprotocol(AfiSafi::Ipv6Unicast),
                Capability::RouteRefresh,
                Capability::ExtendedMessage,
                Capability::FourOctetAsn(65000),
                Capability::EnhancedRouteRefresh,
            ],
        ),
    );
}

#[test]
fn open_of_a_four_octet_as_says_as_trans() {
    pair(
        1,
        "04 5ba0 0000 c0000201 08 02 06 4104 fa56ea00",
        open(4_200_000_000, 0, vec![Capability::FourOctetAsn(4_200_000_000)]),
    );
}

#[test]
fn open_with_every_capability_in_order() {
    pair(
        1,
        "04 fde8 0003 c0000201 37 02 35 \
         4906 026672 02 6464 \
         4707 000101 80 000e10 \
         4504 000201 01 \
         4006 c078 000101 80 \
         0506 0001 0001 0002 \
         0901 03 \
         0104 0019 00 46 \
         4b03 616263",
        open(
            65000,
            3,
            vec![
                Capability::Fqdn { host: Bytes::from_static(b"fr"), domain: Bytes::from_static(b"dd") },
                Capability::LongLivedGracefulRestart(vec![LongLivedGracefulRestartFamily {
                    family: AfiSafi::Ipv4Unicast,
                    flags: 0x80,
                    stale_seconds: 3600,
                }]),
                Capability::AddPath(vec![AddPathFamily { family: AfiSafi::Ipv6Unicast, direction: 1 }]),
                Capability::GracefulRestart(GracefulRestart {
                    restarted: true,
                    notification: true,
                    restart_seconds: 120,
                    families: vec![GracefulRestartFamily { family: AfiSafi::Ipv4Unicast, flags: 0x80 }],
                }),
                Capability::ExtendedNextHop(vec![ExtendedNextHop::IPV4_OVER_IPV6]),
                Capability::Role(3),
                Capability::Multiprotocol(AfiSafi::Other { afi: 25, safi: 70 }),
                Capability::Unknown { code: 75, value: Bytes::from_static(b"abc") },
            ],
        ),
    );
}

#[test]
fn notifications() {
    let with_data = |code, data: &str| Message::Notification(Notification::with_data(code, hex(data)));
    pair(3, "06 02", Message::Notification(Notification::cease(CeaseReason::AdministrativeShutdown, "")));
    pair(
        3,
        "06 02 05 6472 61696e",
        Message::Notification(Notification::cease(CeaseReason::AdministrativeShutdown, "drain")),
    );
    pair(3, "02 06 0001", with_data(NotificationCode::Open(OpenError::UnacceptableHoldTime), "0001"));
    pair(3, "04 00", Message::Notification(Notification::new(NotificationCode::HoldTimerExpired)));
    pair(3, "08 00", Message::Notification(Notification::new(NotificationCode::SendHoldTimerExpired)));
    pair(3, "c8 07 abcd", with_data(NotificationCode::Unknown { code: 200, subcode: 7 }, "abcd"));
    pair(
        3,
        "04 09",
        Message::Notification(Notification::new(NotificationCode::Unknown { code: 4, subcode: 9 })),
    );
    pair(3, "06 63", Message::Notification(Notification::cease(CeaseReason::Other(99), "")));
}

#[test]
fn route_refreshes() {
    let refresh = |family, subtype| Message::RouteRefresh(RouteRefresh { family, subtype });
    pair(5, "0001 00 01", refresh(AfiSafi::Ipv4Unicast, RefreshSubtype::Request));
    pair(5, "0002 01 01", refresh(AfiSafi::Ipv6Unicast, RefreshSubtype::Begin));
    pair(5, "0002 02 01", refresh(AfiSafi::Ipv6Unicast, RefreshSubtype::End));
    pair(5, "0019 09 46", refresh(AfiSafi::Other { afi: 25, safi: 70 }, RefreshSubtype::Other(9)));
}
