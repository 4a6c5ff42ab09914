//! Every refusal once: its reason, and the annotation that it names.

use daymark_aws::model::annotations::SOURCE_RANGES;
use daymark_model::{Family, Protocol};

use crate::support::*;

/// Annotations, the reason of the refusal, and words that its sentence has.
const CASES: &[(Written, &str, &[&str])] = &[
    (&[("schme", "internal")], "UnknownAnnotation", &["aws-load-balancer-schme", "did you mean scheme?"]),
    (&[("wholly-unknown-thing", "1")], "UnknownAnnotation", &["wholly-unknown-thing", "remove it"]),
    (
        &[("daymark.dev/grup", "a")],
        "UnknownAnnotation",
        &["daymark.dev/grup", "did you mean daymark.dev/group?"],
    ),
    (&[("quic-enabled-ports", "443")], "UnsupportedAnnotation", &["quic-enabled-ports"]),
    (&[("multi-cluster-target-group", "true")], "UnsupportedAnnotation", &["multi-cluster-target-group"]),
    (&[("connection-idle-timeout", "60")], "UnsupportedAnnotation", &["tcp.idle_timeout.seconds"]),
    (&[("type", "classic")], "UnsupportedAnnotation", &["aws-load-balancer-type", "classic"]),
    (&[("scheme", "internet_facing")], "InvalidAnnotation", &["scheme", "did you mean internet-facing?"]),
    (&[("internal", "0.0.0.0/0")], "InvalidAnnotation", &["internal"]),
    (&[("nlb-target-type", "pod")], "InvalidAnnotation", &["nlb-target-type", "instance"]),
    (&[("name", "internal-web")], "InvalidAnnotation", &["aws-load-balancer-name"]),
    (&[("name", "-web")], "InvalidAnnotation", &["aws-load-balancer-name"]),
    (&[("name", "a23456789012345678901234567890123")], "InvalidAnnotation", &["longer than 32"]),
    (
        &[("ip-address-type", "dualstack-without-public-ipv4")],
        "InvalidAnnotation",
        &["ip-address-type", "dualstack"],
    ),
    (&[("subnets", " , ")], "InvalidAnnotation", &["subnets", "empty"]),
    (&[("subnets", "a,a")], "InvalidAnnotation", &["subnets", "twice"]),
    (
        &[("scheme", "internal"), ("eip-allocations", "eipalloc-1")],
        "ConflictingAnnotations",
        &["eip-allocations", "internet-facing"],
    ),
    (&[("eip-allocations", "eip-1")], "InvalidAnnotation", &["eip-allocations"]),
    (
        &[("scheme", "internet-facing"), ("private-ipv4-addresses", "10.0.0.1")],
        "ConflictingAnnotations",
        &["private-ipv4-addresses"],
    ),
    (
        &[("subnets", "a,b"), ("scheme", "internet-facing"), ("eip-allocations", "eipalloc-1")],
        "ConflictingAnnotations",
        &["eip-allocations", "1 items for 2 subnets"],
    ),
    (
        &[("subnets", "a,b"), ("private-ipv4-addresses", "10.0.0.1")],
        "ConflictingAnnotations",
        &["private-ipv4-addresses", "1 items for 2 subnets"],
    ),
    (
        &[("subnets", "a,b"), ("ip-address-type", "dualstack"), ("ipv6-addresses", "::1")],
        "ConflictingAnnotations",
        &["ipv6-addresses", "1 items for 2 subnets"],
    ),
    (&[("ipv6-addresses", "2001:db8::1")], "ConflictingAnnotations", &["ipv6-addresses", "dualstack"]),
    (&[("enable-prefix-for-ipv6-source-nat", "on")], "ConflictingAnnotations", &["source-nat", "dualstack"]),
    (
        &[("ip-address-type", "dualstack"), ("source-nat-ipv6-prefixes", "auto_assigned")],
        "ConflictingAnnotations",
        &["source-nat-ipv6-prefixes"],
    ),
    (&[("source-nat-ipv6-prefixes", "2001:db8::/64")], "InvalidAnnotation", &["80"]),
    (
        &[("attributes", "deletion_protection.enabled=yes")],
        "InvalidAnnotation",
        &["attributes", "deletion_protection"],
    ),
    (&[("attributes", "deletion_protection.enabled")], "InvalidAnnotation", &["attributes", "no ="]),
    (
        &[("attributes", "dns_record.client_routing_policy=any")],
        "InvalidAnnotation",
        &["client_routing_policy", "any_availability_zone"],
    ),
    (&[("access-log-enabled", "true")], "ConflictingAnnotations", &["access-log-enabled", "bucket"]),
    (&[("cross-zone-load-balancing-enabled", "on")], "InvalidAnnotation", &["cross-zone"]),
    (&[("minimum-load-balancer-capacity", "Units=1")], "InvalidAnnotation", &["CapacityUnits"]),
    (&[("additional-resource-tags", "aws:x=1")], "InvalidAnnotation", &["additional-resource-tags", "aws:x"]),
    (&[("additional-resource-tags", "daymark.dev/owner=me")], "InvalidAnnotation", &["daymark.dev/owner"]),
    (
        &[("disable-nlb-sg", "true"), ("security-groups", "sg-1")],
        "ConflictingAnnotations",
        &["security-groups", "disable-nlb-sg"],
    ),
    (
        &[("disable-nlb-sg", "true"), ("inbound-sg-rules-on-private-link-traffic", "on")],
        "ConflictingAnnotations",
        &["private-link"],
    ),
    (&[("security-group-prefix-lists", "sg-1")], "InvalidAnnotation", &["prefix-lists", "pl-"]),
    (&[("enable-icmp-for-path-mtu-discovery", "true")], "InvalidAnnotation", &["path-mtu"]),
    (&[(SOURCE_RANGES, "10.0.0.0/33")], "InvalidAnnotation", &[SOURCE_RANGES, "no CIDR"]),
    (&[(SOURCE_RANGES, "2001:db8::/32")], "InvalidAnnotation", &[SOURCE_RANGES, "dualstack"]),
    (&[("ssl-ports", "443")], "CertificateMissing", &["ssl-ports", "ssl-cert"]),
    (&[("ssl-cert", "my-cert")], "InvalidAnnotation", &["ssl-cert", "ARN"]),
    (&[("ssl-cert", CERTIFICATE), ("ssl-ports", "8443")], "UnknownPort", &["ssl-ports", "443 (https)"]),
    (&[("ssl-cert", CERTIFICATE), ("ssl-ports", "*")], "UnknownPort", &["ssl-ports", "leave it out"]),
    (&[("backend-protocol", "http")], "InvalidAnnotation", &["backend-protocol", "ssl"]),
    (&[("ssl-cert", CERTIFICATE), ("alpn-policy", "http2only")], "InvalidAnnotation", &["alpn-policy"]),
    (&[("proxy-protocol", "true")], "InvalidAnnotation", &["proxy-protocol", "*"]),
    (&[("proxy-protocol-per-target-group", "81")], "UnknownPort", &["proxy-protocol-per-target-group"]),
    (
        &[("target-group-attributes.81", "stickiness.enabled=true")],
        "UnknownPort",
        &["target-group-attributes.81"],
    ),
    (
        &[("target-group-attributes", "deregistration_delay.timeout_seconds=3601")],
        "InvalidAnnotation",
        &["target-group-attributes", "3600"],
    ),
    (
        &[
            ("ssl-cert", CERTIFICATE),
            ("target-group-attributes", "stickiness.enabled=true"),
            ("ssl-ports", "https"),
        ],
        "ConflictingAnnotations",
        &["target-group-attributes", "TLS"],
    ),
    (
        &[("listener-attributes.TCP-80", "tcp.idle_timeout.seconds=59")],
        "InvalidAnnotation",
        &["listener-attributes.TCP-80", "from 60 to 6000"],
    ),
    (
        &[("listener-attributes.TCP-81", "a=b")],
        "InvalidAnnotation",
        &["listener-attributes.TCP-81", "443 (https)"],
    ),
    (&[("listener-attributes.UDP-80", "a=b")], "InvalidAnnotation", &["write TCP-80"]),
    (&[("listener-attributes.80", "a=b")], "InvalidAnnotation", &["write it like TCP-80"]),
    (
        &[
            ("ssl-cert", CERTIFICATE),
            ("ssl-ports", "443"),
            ("listener-attributes.TLS-443", "tcp.idle_timeout.seconds=400"),
        ],
        "ConflictingAnnotations",
        &["listener-attributes.TLS-443"],
    ),
    (&[("healthcheck-protocol", "udp")], "InvalidAnnotation", &["healthcheck-protocol"]),
    (&[("healthcheck-port", "metrics")], "InvalidAnnotation", &["healthcheck-port", "metrics"]),
    (&[("healthcheck-port", "0")], "InvalidAnnotation", &["healthcheck-port"]),
    (&[("healthcheck-path", "up")], "InvalidAnnotation", &["healthcheck-path"]),
    (&[("healthcheck-success-codes", "399-200")], "InvalidAnnotation", &["healthcheck-success-codes"]),
    (&[("healthcheck-interval", "301")], "InvalidAnnotation", &["healthcheck-interval", "from 5 to 300"]),
    (&[("healthcheck-timeout", "121")], "InvalidAnnotation", &["healthcheck-timeout", "from 2 to 120"]),
    (
        &[("healthcheck-timeout", "30")],
        "ConflictingAnnotations",
        &["healthcheck-timeout", "healthcheck-interval"],
    ),
    (&[("healthcheck-healthy-threshold", "1")], "InvalidAnnotation", &["healthy-threshold", "from 2 to 10"]),
    (&[("healthcheck-unhealthy-threshold", "11")], "InvalidAnnotation", &["unhealthy-threshold"]),
    (&[("target-node-labels", "gpu")], "InvalidAnnotation", &["target-node-labels"]),
];

#[test]
fn every_refusal_has_its_reason_and_names_its_annotation() {
    for (annotations, reason, words) in CASES {
        let errors = refused(web().with(annotations));
        let (said, text) = only(&errors);
        assert_eq!(said, *reason, "{annotations:?}: {text}");
        for word in *words {
            assert!(text.contains(word), "{annotations:?}: {word:?} is not in {text:?}");
        }
        assert!(errors[0].remedy.is_some(), "{text}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let errors = refused(web().with(&[("schem", "internal"), ("name", "-"), ("daymark.dev/mode", "dry")]));
    assert_eq!(errors.len(), 3, "{errors:?}");
    let errors = refused(web().with(&[("healthcheck-interval", "1"), ("backend-protocol", "x")]));
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn ports_that_no_listener_can_serve_are_refused() {
    let of = |port| only(&refused(service("web", &[port])));
    assert_eq!(of(port("a", Protocol::Sctp, 80)).0, "UnsupportedProtocol");
    let mut unallocated = port("a", Protocol::Tcp, 80);
    unallocated.node_port = None;
    let (reason, text) = of(unallocated.clone());
    assert!(reason == "NodePortMissing" && text.contains("nlb-target-type: ip"), "{text}");
    nlb(service("web", &[unallocated]).with(&[("nlb-target-type", "ip")]));
    assert_eq!(only(&refused(service("web", &[]))).0, "NoPorts");

    let many = |count| (1..=count).map(|n| port(&format!("p{n}"), Protocol::Tcp, n)).collect::<Vec<_>>();
    assert_eq!(nlb(service("web", &many(50))).listeners.len(), 50);
    assert_eq!(only(&refused(service("web", &many(51)))).0, "TooManyListeners");
}

#[test]
fn families_must_be_those_of_the_load_balancer() {
    let mut v6 = web();
    v6.families = vec![Family::V6, Family::V4];
    let (reason, text) = only(&refused(v6.clone()).into_iter().take(1).collect::<Vec<_>>());
    assert!(reason == "FamilyMismatch" && text.contains("dualstack"), "{text}");
    let served = nlb(v6.with(&[("ip-address-type", "dualstack")]));
    assert_eq!(served.target_groups["web/tcp-80"].family, Family::V6);
}

#[test]
fn bad_ranges_in_the_spec_are_refused() {
    let mut service = web();
    service.source_ranges = vec!["everywhere".to_owned()];
    let (reason, text) = only(&refused(service));
    assert!(reason == "InvalidAnnotation" && text.contains("spec.loadBalancerSourceRanges"), "{text}");
}
