//! Every annotation once: what is given, and where it shows.

use std::collections::BTreeSet;

use daymark_aws::api::{HealthProtocol, IpAddressType, NlbProtocol, Scheme, TargetType};
use daymark_aws::model::annotations::{KNOWN, SOURCE_RANGES};
use daymark_aws::model::{Nlb, NodeAccessState, Security, check_profile};
use daymark_model::{Protocol, TrafficPolicy};

use crate::support::*;

/// One field of a load balancer, as text.
type Shown = fn(&Nlb) -> String;

fn attribute(nlb: &Nlb, key: &str) -> String {
    nlb.attributes.get(key).cloned().unwrap_or_default()
}

fn health(nlb: &Nlb) -> String {
    let health = &nlb.target_groups["web/tcp-80"].health;
    let port = health.port.map_or("traffic".to_owned(), |port| port.to_string());
    let path = health.path.clone().unwrap_or_default();
    let codes = health.codes.clone().unwrap_or_default();
    format!(
        "{} {port} {path} {codes} {}/{}/{}/{}",
        health.protocol, health.interval, health.timeout, health.healthy, health.unhealthy
    )
}

fn security(nlb: &Nlb) -> String {
    match &nlb.security {
        Security::Managed { sources, prefix_lists, path_mtu } => {
            let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
            let lists: Vec<&str> = prefix_lists.iter().map(String::as_str).collect();
            format!("managed {} {} {path_mtu}", sources.join(","), lists.join(","))
        }
        Security::Given { groups, node_access } => format!("given {} {node_access}", groups.join(",")),
        Security::Off => "off".to_owned(),
    }
}

fn tls(nlb: &Nlb) -> String {
    let line = |listener: &daymark_aws::model::ListenerWish| {
        let tls = listener.tls.as_ref().map(|tls| {
            let more: Vec<&str> = tls.more.iter().map(String::as_str).collect();
            format!(" {} [{}] {} {:?}", tls.certificate, more.join(","), tls.policy, tls.alpn)
        });
        format!("{}:{}{}", listener.protocol, listener.port, tls.unwrap_or_default())
    };
    nlb.listeners.values().map(line).collect::<Vec<_>>().join("; ")
}

fn group_attributes(nlb: &Nlb) -> String {
    let line = |(role, group): (&String, &daymark_aws::model::TargetGroupWish)| {
        let pairs: Vec<String> = group.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{role} {}", pairs.join(","))
    };
    nlb.target_groups.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// Annotations, where they show, and what shows there.
const CASES: &[(Written, Shown, &str)] = &[
    (&[("name", "front-1")], |nlb| format!("{:?}", nlb.name), "Some(\"front-1\")"),
    (&[("scheme", "internet-facing")], |nlb| format!("{:?}", nlb.scheme), "Some(InternetFacing)"),
    (&[("internal", "true")], |nlb| format!("{:?}", nlb.scheme), "Some(Internal)"),
    (&[("internal", "false")], |nlb| format!("{:?}", nlb.scheme), "Some(InternetFacing)"),
    (
        &[("internal", "true"), ("scheme", "internet-facing")],
        |nlb| format!("{:?}", nlb.scheme),
        "Some(InternetFacing)",
    ),
    (&[("type", "external")], |nlb| nlb.target_groups["web/tcp-80"].target_type.to_string(), "instance"),
    (&[("type", "nlb-ip")], |nlb| nlb.target_groups["web/tcp-80"].target_type.to_string(), "ip"),
    (&[("nlb-target-type", "ip")], |nlb| nlb.target_groups["web/tcp-80"].target_type.to_string(), "ip"),
    (&[("subnets", "subnet-1, blue")], |nlb| nlb.subnets.named.join(" "), "subnet-1 blue"),
    (
        &[("subnets", "a,b"), ("scheme", "internet-facing"), ("eip-allocations", "eipalloc-2,eipalloc-1")],
        |nlb| nlb.subnets.allocations.join(" "),
        "eipalloc-2 eipalloc-1",
    ),
    (
        &[("subnets", "a"), ("scheme", "internal"), ("private-ipv4-addresses", "10.0.0.7")],
        |nlb| format!("{:?}", nlb.subnets.private),
        "[10.0.0.7]",
    ),
    (
        &[("ip-address-type", "dualstack"), ("ipv6-addresses", "2001:db8::7")],
        |nlb| format!("{} {:?}", nlb.ip_address_type, nlb.subnets.ipv6),
        "dualstack [2001:db8::7]",
    ),
    (
        &[
            ("ip-address-type", "dualstack"),
            ("enable-prefix-for-ipv6-source-nat", "on"),
            ("source-nat-ipv6-prefixes", "auto_assigned,2001:db8:0:0:1::/80"),
        ],
        |nlb| format!("{:?} {}", nlb.source_nat, nlb.subnets.source_nat_prefixes.join(" ")),
        "Some(true) auto_assigned 2001:db8:0:0:1::/80",
    ),
    (
        &[(
            "attributes",
            r"deletion_protection.enabled=true, dns_record.client_routing_policy=availability_zone_affinity",
        )],
        |nlb| {
            format!(
                "{} {}",
                attribute(nlb, "deletion_protection.enabled"),
                attribute(nlb, "dns_record.client_routing_policy")
            )
        },
        "true availability_zone_affinity",
    ),
    (
        &[
            ("cross-zone-load-balancing-enabled", "true"),
            ("attributes", "load_balancing.cross_zone.enabled=false"),
        ],
        |nlb| attribute(nlb, "load_balancing.cross_zone.enabled"),
        "true",
    ),
    (
        &[
            ("access-log-enabled", "true"),
            ("access-log-s3-bucket-name", "logs"),
            ("access-log-s3-bucket-prefix", "web"),
        ],
        |nlb| {
            ["enabled", "bucket", "prefix"].map(|k| attribute(nlb, &format!("access_logs.s3.{k}"))).join(" ")
        },
        "true logs web",
    ),
    (&[("access-log-enabled", "false")], |nlb| attribute(nlb, "access_logs.s3.enabled"), "false"),
    (
        &[("minimum-load-balancer-capacity", "CapacityUnits=500")],
        |nlb| format!("{:?}", nlb.capacity),
        "Some(500)",
    ),
    (
        &[("additional-resource-tags", r"team=a\,b,env=prod")],
        |nlb| format!("{:?}", nlb.tags),
        r#"{"env": "prod", "team": "a,b"}"#,
    ),
    (&[], security, "managed 0.0.0.0/0  false"),
    (&[("ip-address-type", "dualstack")], security, "managed 0.0.0.0/0,::/0  false"),
    (&[(SOURCE_RANGES, "10.0.0.0/8, 192.0.2.1/24")], security, "managed 10.0.0.0/8,192.0.2.0/24  false"),
    (&[("security-group-prefix-lists", "pl-2,pl-1")], security, "managed  pl-1,pl-2 false"),
    (&[("enable-icmp-for-path-mtu-discovery", "on")], security, "managed 0.0.0.0/0  true"),
    (&[("security-groups", "sg-1, front")], security, "given sg-1,front false"),
    (
        &[("security-groups", "sg-1"), ("manage-backend-security-group-rules", "true")],
        security,
        "given sg-1 true",
    ),
    (&[("disable-nlb-sg", "true")], security, "off"),
    (
        &[("inbound-sg-rules-on-private-link-traffic", "off")],
        |nlb| format!("{:?}", nlb.private_link_rules),
        "Some(false)",
    ),
    (
        &[
            ("ssl-cert", "arn:aws:acm:r:1:certificate/b, arn:aws:acm:r:1:certificate/a"),
            ("ssl-ports", "https"),
        ],
        tls,
        "TCP:80; TLS:443 arn:aws:acm:r:1:certificate/b [arn:aws:acm:r:1:certificate/a] ELBSecurityPolicy-2016-08 None",
    ),
    (
        &[("ssl-cert", "arn:a:b"), ("ssl-ports", "80")],
        tls,
        "TLS:80 arn:a:b [] ELBSecurityPolicy-2016-08 None; TCP:443",
    ),
    (
        &[("ssl-cert", "arn:a:b"), ("ssl-negotiation-policy", "P"), ("alpn-policy", "HTTP2Preferred")],
        tls,
        "TLS:80 arn:a:b [] P Some(\"HTTP2Preferred\"); TLS:443 arn:a:b [] P Some(\"HTTP2Preferred\")",
    ),
    (
        &[("ssl-cert", "arn:a:b"), ("ssl-ports", "443"), ("backend-protocol", "ssl")],
        |nlb| {
            nlb.target_groups.values().map(|group| group.protocol.to_string()).collect::<Vec<_>>().join(" ")
        },
        "TLS TCP",
    ),
    (
        &[("proxy-protocol", "*"), ("target-group-attributes", "proxy_protocol_v2.enabled=false")],
        group_attributes,
        "web/tcp-443 proxy_protocol_v2.enabled=true; web/tcp-80 proxy_protocol_v2.enabled=true",
    ),
    (
        &[("proxy-protocol-per-target-group", "443")],
        group_attributes,
        "web/tcp-443 proxy_protocol_v2.enabled=true; web/tcp-80 proxy_protocol_v2.enabled=false",
    ),
    (
        &[
            ("target-group-attributes", "preserve_client_ip.enabled=true,stickiness.enabled=true"),
            ("target-group-attributes.80", "preserve_client_ip.enabled=false,stickiness.enabled="),
        ],
        group_attributes,
        "web/tcp-443 preserve_client_ip.enabled=true,proxy_protocol_v2.enabled=false,stickiness.enabled=true; \
         web/tcp-80 preserve_client_ip.enabled=false,proxy_protocol_v2.enabled=false,stickiness.enabled=true",
    ),
    (
        &[("listener-attributes.TCP-80", "tcp.idle_timeout.seconds=400")],
        |nlb| format!("{:?} {:?}", nlb.listeners[&80].attributes, nlb.listeners[&443].attributes),
        r#"{"tcp.idle_timeout.seconds": "400"} {}"#,
    ),
    (&[], health, "HTTP 10256 /healthz 200-399 10/10/3/3"),
    (&[("nlb-target-type", "ip")], health, "TCP traffic   10/10/3/3"),
    (&[("healthcheck-protocol", "tcp")], health, "TCP traffic   10/10/3/3"),
    (&[("healthcheck-protocol", "HTTP")], health, "HTTP traffic / 200-399 10/10/3/3"),
    (&[("healthcheck-port", "traffic-port")], health, "TCP traffic   10/10/3/3"),
    (&[("healthcheck-port", "9000")], health, "TCP 9000   10/10/3/3"),
    (&[("healthcheck-port", "https")], health, "TCP 30443   10/10/3/3"),
    (&[("healthcheck-port", "https"), ("nlb-target-type", "ip")], health, "TCP 8443   10/10/3/3"),
    (
        &[
            ("healthcheck-protocol", "https"),
            ("healthcheck-path", "/up"),
            ("healthcheck-success-codes", "200,204-299"),
        ],
        health,
        "HTTPS traffic /up 200,204-299 10/10/3/3",
    ),
    (
        &[
            ("healthcheck-interval", "30"),
            ("healthcheck-timeout", "20"),
            ("healthcheck-healthy-threshold", "4"),
            ("healthcheck-unhealthy-threshold", "2"),
        ],
        health,
        "HTTP 10256 /healthz 200-399 30/20/4/2",
    ),
    (&[("healthcheck-interval", "5")], health, "HTTP 10256 /healthz 200-399 5/5/3/3"),
    (&[("multi-cluster-target-group", "false")], |nlb| nlb.listeners.len().to_string(), "2"),
];

#[test]
fn every_annotation_shows_where_it_should() {
    for (annotations, shown, expected) in CASES {
        assert_eq!(shown(&web_nlb(annotations)), *expected, "{annotations:?}");
    }
}

#[test]
fn no_annotation_is_left_out_of_the_table() {
    let elsewhere = ["target-node-labels", "enable-tcp-udp-listener"];
    let in_table = CASES.iter().flat_map(|(annotations, ..)| annotations.iter().map(|(key, _)| *key));
    let tested: BTreeSet<&str> =
        in_table.map(|key| key.split('.').next().unwrap_or(key)).chain(elsewhere).collect();
    let missing: Vec<_> = KNOWN.iter().map(|(key, _)| *key).filter(|key| !tested.contains(key)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn a_local_service_is_checked_where_its_nodes_tell_of_their_endpoints() {
    let mut service = web();
    service.traffic_policy = TrafficPolicy::Local;
    service.health_check_node_port = Some(31_000);
    assert_eq!(health(&nlb(service.clone())), "HTTP 31000 /healthz 200-399 10/6/2/2");
    let other = service.clone().with(&[("healthcheck-protocol", "tcp"), ("healthcheck-timeout", "3")]);
    assert_eq!(health(&nlb(other)), "TCP 31000   10/3/2/2");
    assert_eq!(health(&nlb(service.with(&[("nlb-target-type", "ip")]))), "TCP traffic   10/10/3/3");
}

#[test]
fn the_ranges_of_the_spec_win() {
    let mut service = web().with(&[(SOURCE_RANGES, "10.0.0.0/8")]);
    service.source_ranges = vec!["192.0.2.0/24".to_owned()];
    assert_eq!(security(&nlb(service)), "managed 192.0.2.0/24  false");
}

#[test]
fn nodes_are_opened_only_where_a_security_group_of_ours_is_to_reach_them() {
    let state = |annotations: &[(&str, &str)]| web_nlb(annotations).node_access;
    let ours = NodeAccessState::Group("sg-nodes".to_owned());
    assert_eq!(state(&[]), ours);
    assert_eq!(state(&[("manage-backend-security-group-rules", "false")]), NodeAccessState::NotManaged);
    assert_eq!(state(&[("security-groups", "sg-1")]), NodeAccessState::NotManaged);
    assert_eq!(state(&[("security-groups", "sg-1"), ("manage-backend-security-group-rules", "true")]), ours);
    assert_eq!(state(&[("disable-nlb-sg", "true")]), NodeAccessState::NotManaged);
}

#[test]
fn a_plain_service_gets_what_a_profile_without_defaults_says() {
    let nlb = web_nlb(&[]);
    assert_eq!(nlb.owner.namespace, "shop");
    assert_eq!((nlb.scheme, nlb.ip_address_type, nlb.source_nat), (None, IpAddressType::Ipv4, None));
    assert!(nlb.attributes.is_empty() && nlb.tags.is_empty() && nlb.adopt.is_none());
    assert_eq!(nlb.vpc, "vpc-1");
    let http = &nlb.target_groups["web/tcp-80"];
    assert_eq!(
        (http.protocol, http.target_type, http.port),
        (NlbProtocol::Tcp, TargetType::Instance, 30_080)
    );
    assert_eq!(http.health.protocol, HealthProtocol::Http);
    assert_eq!(http.service_port.to_string(), "TCP/80");
}

#[test]
fn defaults_of_the_profile_lie_below_annotations() {
    let mut profile = profile();
    let mut defaults = |pairs: &[(&str, &str)]| {
        profile.defaults = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        profile.tags = [("team".to_owned(), "platform".to_owned())].into();
        profile.clone()
    };
    let of = |profile: &_, annotations: &[(&str, &str)]| {
        let built = built(profile, &world(&[web().with(annotations)]), &["web"]);
        assert!(built.refused.is_empty(), "{:?}", built.refused);
        built.nlb.unwrap()
    };

    let facing = defaults(&[("scheme", "internet-facing"), ("healthcheck-port", "traffic-port")]);
    assert_eq!(of(&facing, &[]).scheme, Some(Scheme::InternetFacing));
    assert_eq!(of(&facing, &[("internal", "true")]).scheme, Some(Scheme::Internal));
    assert_eq!(health(&of(&facing, &[])), "TCP traffic   10/10/3/3");

    let maps = defaults(&[
        ("attributes", "deletion_protection.enabled=true,zonal_shift.config.enabled=true"),
        ("additional-resource-tags", "env=prod,team=x"),
        ("cross-zone-load-balancing-enabled", "true"),
        ("target-group-attributes.80", "stickiness.enabled=true"),
        ("listener-attributes.TCP-9999", "tcp.idle_timeout.seconds=400"),
        ("ssl-ports", "443,8443"),
    ]);
    let said = [
        ("attributes", "deletion_protection.enabled=false,load_balancing.cross_zone.enabled=false"),
        ("additional-resource-tags", "team=mine,app=web"),
        ("target-group-attributes", "stickiness.enabled=false"),
    ];
    let nlb = of(&maps, &said);
    assert_eq!(attribute(&nlb, "deletion_protection.enabled"), "false");
    assert_eq!(attribute(&nlb, "zonal_shift.config.enabled"), "true");
    assert_eq!(attribute(&nlb, "load_balancing.cross_zone.enabled"), "false");
    assert_eq!(format!("{:?}", nlb.tags), r#"{"app": "web", "env": "prod", "team": "platform"}"#);
    assert_eq!(nlb.target_groups["web/tcp-80"].attributes["stickiness.enabled"], "false");
    assert_eq!(tls(&of(&maps, &[])), "TCP:80; TCP:443");
    assert!(tls(&of(&maps, &[("ssl-cert", CERTIFICATE)])).contains("TLS:443"));
    assert!(tls(&of(&maps, &[("ssl-cert", CERTIFICATE)])).starts_with("TCP:80"));
}

#[test]
fn of_two_annotations_about_one_thing_the_service_s_wins() {
    let with = |defaults: &[(&str, &str)], annotations: &[(&str, &str)]| {
        let mut profile = profile();
        profile.defaults = defaults.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let built = built(&profile, &world(&[web().with(annotations)]), &["web"]);
        assert!(built.refused.is_empty(), "{:?}", built.refused);
        built.nlb.unwrap().target_groups["web/tcp-80"].clone()
    };
    let proxy = |defaults: &[(&str, &str)], annotations: &[(&str, &str)]| {
        with(defaults, annotations).attributes["proxy_protocol_v2.enabled"].clone()
    };
    let all = [("proxy-protocol", "*")];
    assert_eq!(proxy(&all, &[]), "true");
    assert_eq!(proxy(&all, &[("proxy-protocol-per-target-group", "443")]), "false");
    assert_eq!(proxy(&all, &[("target-group-attributes", "proxy_protocol_v2.enabled=false")]), "false");
    assert_eq!(with(&[("type", "nlb-ip")], &[]).target_type, TargetType::Ip);
    assert_eq!(
        with(&[("type", "nlb-ip")], &[("nlb-target-type", "instance")]).target_type,
        TargetType::Instance
    );
    let slow = [("healthcheck-timeout", "30"), ("healthcheck-interval", "60")];
    assert_eq!(with(&slow, &[("healthcheck-interval", "20")]).health.timeout, 20);
}

#[test]
fn a_profile_is_checked_by_itself() {
    let with = |suffix: &str, value: &str| {
        let mut profile = profile();
        profile.defaults.insert(suffix.to_owned(), value.to_owned());
        profile
    };
    assert_eq!(check_profile(&profile()), Vec::new());
    assert_eq!(check_profile(&with("listener-attributes.UDP-53", "a=b")), Vec::new());
    let (reason, text) = only(&check_profile(&with("schem", "internal")));
    assert_eq!(reason, "UnknownAnnotation");
    assert!(text.contains("profile of cluster \"prod\"") && text.ends_with("did you mean scheme?"), "{text}");
    assert_eq!(check_profile(&with("target-group-attributes.53", "stickiness.enabled=true")), Vec::new());
    assert_eq!(only(&check_profile(&with("target-group-attributes.http", "a=b"))).0, "UnknownPort");
    assert_eq!(only(&check_profile(&with("listener-attributes.80", "a=b"))).0, "UnknownPort");
    let (reason, text) = only(&check_profile(&with("healthcheck-interval", "4")));
    assert_eq!(reason, "InvalidAnnotation");
    assert!(text.contains("profile of cluster \"prod\""), "{text}");
    let built = built(&with("schem", "internal"), &world(&[web()]), &["web"]);
    assert_eq!(only(&built.refused["web"]).0, "UnknownAnnotation");
}

#[test]
fn what_holds_otherwise_than_it_reads_is_warned_of() {
    let cases: &[(Written, &str, &str)] = &[
        (
            &[("scheme", "internal"), ("internal", "false")],
            "ConflictingAnnotations",
            "aws-load-balancer-internal",
        ),
        (
            &[("type", "nlb-ip"), ("nlb-target-type", "instance")],
            "ConflictingAnnotations",
            "aws-load-balancer-type",
        ),
        (
            &[("attributes", "deletion_protectoin.enabled=true")],
            "UnknownAttribute",
            "did you mean deletion_protection.enabled?",
        ),
        (&[("target-group-attributes", "new.thing=1")], "UnknownAttribute", "new.thing"),
        (&[("alpn-policy", "None")], "IgnoredAnnotation", "alpn-policy"),
        (
            &[("security-groups", "sg-1"), (SOURCE_RANGES, "10.0.0.0/8")],
            "SourceRangesNotEnforced",
            SOURCE_RANGES,
        ),
        (
            &[("disable-nlb-sg", "true"), ("security-group-prefix-lists", "pl-1")],
            "SourceRangesNotEnforced",
            "prefix-lists",
        ),
        (&[("daymark.dev/pool", "gold")], "IgnoredAnnotation", "daymark.dev/pool"),
    ];
    for (annotations, reason, text) in cases {
        let said = warnings(web().with(annotations));
        assert_eq!(said.len(), 1, "{annotations:?}: {said:?}");
        assert!(said[0].0 == *reason && said[0].1.contains(text), "{annotations:?}: {said:?}");
    }
    let udp = service("dns", &[port("dns", Protocol::Udp, 53)]);
    let udp = udp
        .with(&[("nlb-target-type", "ip"), ("target-group-attributes", "preserve_client_ip.enabled=false")]);
    let reasons: Vec<_> = warnings(udp).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["IgnoredAnnotation", "HealthCheckDoubtful"]);
}
