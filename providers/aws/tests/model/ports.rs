//! TCP and UDP on one port.

use daymark_aws::api::NlbProtocol;
use daymark_model::Protocol;
use daymark_providers::view::{EndpointState, ServiceView, TargetPort};

use crate::support::*;

/// The Service `dns` with port 53 of both protocols on one node port.
fn dns() -> ServiceView {
    service("dns", &[port("dns-udp", Protocol::Udp, 53), port("dns-tcp", Protocol::Tcp, 53)])
}

#[test]
fn tcp_and_udp_of_one_port_share_a_listener() {
    let nlb = nlb(dns().with(&[("listener-attributes.TCP-53", "tcp.idle_timeout.seconds=60")]));
    let listener = &nlb.listeners[&53];
    assert_eq!((nlb.listeners.len(), listener.protocol), (1, NlbProtocol::TcpUdp));
    let serves: Vec<String> = listener.serves.iter().map(|(_, port)| port.to_string()).collect();
    assert_eq!(serves, ["TCP/53", "UDP/53"]);
    assert_eq!(listener.attributes["tcp.idle_timeout.seconds"], "60");
    let group = &nlb.target_groups["dns/tcp_udp-53"];
    assert_eq!((group.protocol, group.port), (NlbProtocol::TcpUdp, 30_053));
    assert_eq!(group.service_port.to_string(), "TCP/53");
}

#[test]
fn tcp_and_udp_that_lead_to_two_ports_are_refused() {
    let mut split = dns();
    split.ports[0].node_port = Some(31_000);
    let (reason, text) = only(&refused(split.clone()));
    assert!(reason == "TcpUdpMismatch" && text.contains("nodePort"), "{text}");
    nlb(split.clone().with(&[("nlb-target-type", "ip")]));

    split.ports[0].target_port = TargetPort::Number(5353);
    let (reason, text) = only(&refused(split.with(&[("nlb-target-type", "ip")])));
    assert!(reason == "TcpUdpMismatch" && text.contains("targetPort"), "{text}");
}

#[test]
fn named_target_ports_are_compared_where_they_lead() {
    let mut named = dns().with(&[("nlb-target-type", "ip")]);
    named.ports[0].target_port = TargetPort::Name("udp".to_owned());
    named.ports[1].target_port = TargetPort::Name("tcp".to_owned());
    let of = |udp: u16| {
        let mut world = world(&[named.clone()]);
        let ports = [("dns-udp", udp), ("dns-tcp", 5353)];
        world.endpoints.insert("dns".into(), vec![endpoint("10.0.0.1", &ports, EndpointState::Ready)]);
        built(&profile(), &world, &["dns"])
    };
    assert_eq!(of(5353).nlb.unwrap().target_groups["dns/tcp_udp-53"].port, 5353);
    let (reason, text) = only(&of(5354).refused["dns"]);
    assert!(reason == "TcpUdpMismatch" && text.contains("10.0.0.1"), "{text}");
}

#[test]
fn what_contradicts_a_shared_listener_is_refused() {
    let of = |annotations: &[(&str, &str)]| only(&refused(dns().with(annotations)));
    let (reason, text) = of(&[("enable-tcp-udp-listener", "false")]);
    assert!(reason == "ConflictingAnnotations" && text.contains("enable-tcp-udp-listener"), "{text}");
    let (reason, text) = of(&[("ssl-cert", CERTIFICATE)]);
    assert!(reason == "ConflictingAnnotations" && text.contains("ssl-cert"), "{text}");
    let both = [
        ("listener-attributes.TCP-53", "tcp.idle_timeout.seconds=60"),
        ("listener-attributes.TCP_UDP-53", "tcp.idle_timeout.seconds=70"),
    ];
    let (reason, text) = of(&both);
    assert!(reason == "ConflictingAnnotations" && text.contains("two values"), "{text}");
    nlb(dns().with(&[("enable-tcp-udp-listener", "true")]));
}

#[test]
fn udp_on_a_dualstack_load_balancer_needs_source_nat() {
    let dualstack = ("ip-address-type", "dualstack");
    let (reason, text) = only(&refused(dns().with(&[dualstack])));
    assert!(
        reason == "ConflictingAnnotations" && text.contains("enable-prefix-for-ipv6-source-nat"),
        "{text}"
    );
    nlb(dns().with(&[dualstack, ("enable-prefix-for-ipv6-source-nat", "on")]));
}

#[test]
fn one_bad_port_does_not_hide_behind_a_good_one() {
    let mixed = service("mix", &[port("a", Protocol::Tcp, 80), port("b", Protocol::Sctp, 81)]);
    assert_eq!(only(&refused(mixed)).0, "UnsupportedProtocol");
}
