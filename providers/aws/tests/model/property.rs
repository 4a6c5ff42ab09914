//! Whatever is written: nothing panics, every refusal names an annotation that is there and says what to do.

use std::collections::BTreeMap;

use daymark_aws::model::annotations::{ACTIONS, AWS_PREFIX, KNOWN, OWN_KNOWN, OWN_PREFIX, SOURCE_RANGES};
use daymark_model::{Protocol, TrafficPolicy};
use proptest::prelude::*;

use crate::support::*;

fn key() -> impl Strategy<Value = String> {
    let known: Vec<String> = KNOWN.iter().map(|(suffix, _)| format!("{AWS_PREFIX}{suffix}")).collect();
    let own: Vec<String> = OWN_KNOWN.iter().map(|name| format!("{OWN_PREFIX}{name}")).collect();
    let tail = prop::sample::select(vec![
        "TCP-80",
        "TLS-443",
        "UDP-53",
        "TCP_UDP-53",
        "TCP-53",
        "80",
        "53",
        "x",
        "",
    ]);
    let stem = prop::sample::select(vec![
        format!("{AWS_PREFIX}listener-attributes."),
        format!("{AWS_PREFIX}target-group-attributes."),
        ACTIONS.to_owned(),
    ]);
    prop_oneof![
        6 => prop::sample::select(known),
        2 => prop::sample::select(own),
        1 => Just(SOURCE_RANGES.to_owned()),
        2 => (stem, tail).prop_map(|(stem, tail)| format!("{stem}{tail}")),
        1 => "[a-z.-]{0,12}".prop_map(|suffix| format!("{AWS_PREFIX}{suffix}")),
        1 => "[a-z.-]{0,12}".prop_map(|name| format!("{OWN_PREFIX}{name}")),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let words = [
        "",
        "true",
        "false",
        "on",
        "off",
        "ip",
        "instance",
        "nlb-ip",
        "external",
        "internal",
        "internet-facing",
        "dualstack",
        "ipv4",
        "tcp",
        "http",
        "ssl",
        "*",
        "80",
        "443",
        "https",
        "dns",
        "5",
        "30",
        "10.0.0.1",
        "10.0.0.0/8",
        "2001:db8::/32",
        "2001:db8::1",
        "auto_assigned",
        "eipalloc-1,eipalloc-2",
        "subnet-1",
        "sg-1",
        "pl-1",
        "a=b",
        "stickiness.enabled=true",
        "tcp.idle_timeout.seconds=400",
        "CapacityUnits=5",
        "access_logs.s3.enabled=true",
        "preserve_client_ip.enabled=false",
        "HTTP2Only",
        "arn:aws:acm:r:1:certificate/a",
        "arn:aws:elasticloadbalancing:r:1:loadbalancer/net/x/1",
        "apply",
        "Retain",
        "healthy",
        "traffic-port",
        r#"{"type":"forward"}"#,
        r#"{"type":"forward","forwardConfig":{}}"#,
        r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"other","servicePort":80,"weight":1}]}}"#,
        r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"dns","servicePort":53,"weight":1}]}}"#,
    ];
    prop_oneof![4 => prop::sample::select(words.map(str::to_owned).to_vec()), 1 => any::<String>(), 1 => "[{}\\[\\]\",:=a-z0-9\\\\]{0,30}"]
}

fn annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(key(), value(), 0..8)
}

fn all_protocols(name: &str) -> daymark_providers::view::ServiceView {
    service(
        name,
        &[
            port("http", Protocol::Tcp, 80),
            port("https", Protocol::Tcp, 443),
            port("dns", Protocol::Udp, 53),
            port("dns-tcp", Protocol::Tcp, 53),
        ],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_panics_and_every_refusal_names_its_annotation(written in annotations(), local: bool) {
        let mut dns = all_protocols("dns");
        dns.annotations = written.clone();
        if local {
            dns.traffic_policy = TrafficPolicy::Local;
            dns.health_check_node_port = Some(32_000);
        }
        let built = built(&profile(), &world(&[dns, all_protocols("other")]), &["dns"]);
        let errors = built.refused.get("dns").cloned().unwrap_or_default();
        prop_assert_eq!(built.nlb.is_some(), errors.is_empty());
        for error in &errors {
            let text = error.to_string();
            prop_assert!(written.keys().any(|key| text.contains(key.as_str())), "{}", text);
            prop_assert!(error.remedy.is_some(), "{}", text);
        }
        if let Some(nlb) = built.nlb {
            prop_assert_eq!(nlb.listeners.len(), 3);
            for listener in nlb.listeners.values() {
                prop_assert!(!listener.forward.is_empty());
                prop_assert_eq!(listener.tls.is_some(), listener.protocol.as_str() == "TLS");
                for wish in &listener.forward {
                    if let daymark_aws::model::Backend::Role(role) = &wish.to {
                        prop_assert!(nlb.target_groups.contains_key(role), "{}", role);
                    }
                }
            }
        }
    }

    #[test]
    fn a_member_is_served_or_told_why_and_never_changes_the_oldest(written in annotations()) {
        let mut second = service("b", &[port("p", Protocol::Tcp, 81)]);
        second.annotations = written;
        let first = service("a", &[port("p", Protocol::Tcp, 80)]);
        let whole = |members: &[&str]| built(&profile(), &world(&[first.clone(), second.clone()]), members);
        let (alone, both) = (whole(&["a"]).nlb.unwrap(), whole(&["a", "b"]));
        let nlb = both.nlb.unwrap();
        prop_assert_eq!(nlb.listeners.contains_key(&81), !both.refused.contains_key("b"));
        prop_assert_eq!(&nlb.listeners[&80], &alone.listeners[&80]);
        prop_assert_eq!(
            (&nlb.scheme, &nlb.security, &nlb.subnets, &nlb.attributes, &nlb.policy, &nlb.adopt),
            (&alone.scheme, &alone.security, &alone.subnets, &alone.attributes, &alone.policy, &alone.adopt)
        );
    }
}
