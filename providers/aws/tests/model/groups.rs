//! Several Services on one load balancer.

use daymark_aws::api::Scheme;
use daymark_aws::model::annotations::SOURCE_RANGES;
use daymark_aws::model::{Adopt, Built, Security};
use daymark_model::Protocol;
use daymark_model::aws::{Deletion, PublishWhen};
use daymark_providers::view::ServiceView;

use crate::support::*;

fn on(name: &str, number: u16) -> ServiceView {
    service(name, &[port("p", Protocol::Tcp, number)])
}

/// What a group of these gives, the oldest first.
fn group(members: &[ServiceView]) -> Built {
    let names: Vec<&str> = members.iter().map(|member| member.key.name.as_str()).collect();
    built(&profile(), &world(members), &names)
}

fn ports(built: &Built) -> Vec<u16> {
    built.nlb.as_ref().map(|nlb| nlb.listeners.keys().copied().collect()).unwrap_or_default()
}

#[test]
fn the_oldest_says_what_the_load_balancer_is_like() {
    let built = group(&[
        on("a", 80).with(&[
            ("scheme", "internet-facing"),
            ("healthcheck-interval", "20"),
            ("daymark.dev/wait-for", "active"),
        ]),
        on("b", 81).with(&[("healthcheck-interval", "30")]),
    ]);
    assert!(built.refused.is_empty(), "{:?}", built.refused);
    assert_eq!(ports(&built), [80, 81]);
    let nlb = built.nlb.unwrap();
    assert_eq!((nlb.scheme, nlb.policy.publish), (Some(Scheme::InternetFacing), PublishWhen::Active));
    assert_eq!(nlb.target_groups["a/tcp-80"].health.interval, 20);
    assert_eq!(nlb.target_groups["b/tcp-81"].health.interval, 30);
    assert_eq!(nlb.listeners[&81].serves[0].0.to_string(), "shop/b");
}

#[test]
fn another_value_is_refused_and_the_same_is_not() {
    let leader = || {
        on("a", 80).with(&[
            ("scheme", "internal"),
            ("subnets", "s1,s2"),
            (SOURCE_RANGES, "10.0.0.0/8"),
            ("attributes", "zonal_shift.config.enabled=true"),
        ])
    };
    let same: &[&[(&str, &str)]] = &[
        &[],
        &[("scheme", "internal")],
        &[("internal", "true")],
        &[("subnets", " s1 , s2 ")],
        &[(SOURCE_RANGES, "10.1.2.3/8")],
        &[("daymark.dev/allow-replacement", "abc"), ("daymark.dev/group", "front")],
    ];
    for annotations in same {
        let built = group(&[leader(), on("b", 81).with(annotations)]);
        assert!(built.refused.is_empty(), "{annotations:?}: {:?}", built.refused);
    }
    let other: &[(&str, &str)] = &[
        ("scheme", "internet-facing"),
        ("internal", "false"),
        ("subnets", "s2,s1"),
        ("security-groups", "sg-1"),
        ("attributes", "deletion_protection.enabled=true"),
        ("additional-resource-tags", "a=b"),
        ("name", "mine"),
        ("ip-address-type", "dualstack"),
        (SOURCE_RANGES, "0.0.0.0/0"),
        ("daymark.dev/deletion-policy", "Retain"),
        ("daymark.dev/adopt", "arn:aws:elasticloadbalancing:r:1:loadbalancer/net/x/1"),
        ("daymark.dev/wait-for", "healthy"),
        ("daymark.dev/mode", "plan"),
    ];
    for (key, value) in other {
        let built = group(&[leader(), on("b", 81).with(&[(key, value)])]);
        assert_eq!(ports(&built), [80], "{key}");
        let (reason, text) = only(&built.refused["b"]);
        assert_eq!(reason, "GroupConflict");
        assert!([*key, "shop/a", "shop/b"].iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn source_ranges_of_the_spec_are_settings_of_the_group_too() {
    let ranged = |name: &str, number, range: &str| {
        let mut service = on(name, number);
        service.source_ranges = vec![range.to_owned()];
        service
    };
    let built =
        group(&[ranged("a", 80, "10.0.0.0/8"), ranged("b", 81, "10.0.0.0/8"), ranged("c", 82, "0.0.0.0/0")]);
    assert_eq!(ports(&built), [80, 81]);
    let (reason, text) = only(&built.refused["c"]);
    assert!(reason == "GroupConflict" && text.contains("spec.loadBalancerSourceRanges"), "{text}");
    let built = group(&[ranged("a", 80, "10.0.0.0/8"), on("b", 81).with(&[(SOURCE_RANGES, "0.0.0.0/0")])]);
    assert_eq!(only(&built.refused["b"]).0, "GroupConflict", "the leader's spec does not hide what b says");
}

#[test]
fn of_two_that_want_one_port_the_older_has_it() {
    let built = group(&[on("a", 80), on("b", 80), on("c", 81)]);
    assert_eq!(ports(&built), [80, 81]);
    let (reason, text) = only(&built.refused["b"]);
    assert!(reason == "PortConflict" && text.contains("shop/a") && text.contains("port 80"), "{text}");
    assert_eq!(built.nlb.unwrap().listeners[&80].serves[0].0.to_string(), "shop/a");
}

#[test]
fn a_refused_member_harms_nobody_and_takes_no_port() {
    let built = group(&[
        on("a", 80).with(&[("scheme", "internet-facing"), ("healthcheck-interval", "1")]),
        on("b", 80),
        on("c", 81).with(&[("shceme", "internal")]),
        on("d", 82).with(&[("daymark.dev/mode", "dry")]),
    ]);
    assert_eq!(ports(&built), [80]);
    let nlb = built.nlb.as_ref().unwrap();
    assert_eq!(nlb.listeners[&80].serves[0].0.to_string(), "shop/b");
    assert_eq!(nlb.scheme, Some(Scheme::InternetFacing), "the oldest still says what the whole is like");
    assert_eq!(built.refused.keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(only(&built.refused["c"]).0, "UnknownAnnotation");
    assert_eq!(only(&built.refused["d"]).0, "InvalidAnnotation");
}

#[test]
fn nobody_is_let_in_by_a_slip_of_the_oldest() {
    let built = group(&[on("a", 80).with(&[(SOURCE_RANGES, "10.0.0.0-8")]), on("b", 81)]);
    assert_eq!(built.nlb, None);
    assert_eq!(only(&built.refused["a"]).0, "InvalidAnnotation");
    let (reason, text) = only(&built.refused["b"]);
    assert!(reason == "GroupWaits" && text.contains("shop/a"), "{text}");
}

#[test]
fn those_that_go_or_are_gone_do_not_count() {
    let mut leaving = on("a", 80).with(&[("scheme", "internal")]);
    leaving.deleting = true;
    let mut changed = on("b", 81);
    changed.is_load_balancer = false;
    let members = [leaving, changed, on("c", 82).with(&[("scheme", "internet-facing")])];
    let built = built(&profile(), &world(&members), &["gone", "a", "b", "c"]);
    assert!(built.refused.is_empty(), "{:?}", built.refused);
    assert_eq!(ports(&built), [82]);
    assert_eq!(built.nlb.unwrap().scheme, Some(Scheme::InternetFacing));
    assert_eq!(group(&[]), Built::default());
}

#[test]
fn listeners_are_counted_over_the_group() {
    let many = |name: &str, range: std::ops::RangeInclusive<u16>| {
        service(name, &range.map(|n| port(&format!("p{n}"), Protocol::Tcp, n)).collect::<Vec<_>>())
    };
    let built = group(&[many("a", 1..=30), many("b", 31..=51), many("c", 60..=79)]);
    assert_eq!(ports(&built).len(), 50);
    assert_eq!(only(&built.refused["b"]).0, "TooManyListeners");
}

#[test]
fn adoption() {
    let arn = "arn:aws:elasticloadbalancing:r:1:loadbalancer/net/x/1";
    let adopting = [("daymark.dev/adopt", arn), ("daymark.dev/deletion-policy", "Retain")];
    let built_group = group(&[on("a", 80).with(&adopting), on("b", 81)]);
    let nlb = built_group.nlb.unwrap();
    assert_eq!(nlb.adopt, Some(Adopt::Arn(arn.to_owned())));
    assert_eq!(nlb.policy.deletion, Deletion::Retain);

    let mut profile = profile();
    profile.adopt_lbc = true;
    let lbc = |cluster: &str| Some(Adopt::Lbc { cluster: cluster.to_owned(), stack: "shop/a".to_owned() });
    let of = |profile: &_, members: &[ServiceView], names: &[&str]| {
        built(profile, &world(members), names).nlb.unwrap().adopt
    };
    assert_eq!(of(&profile, &[on("a", 80)], &["a"]), lbc("prod"));
    assert_eq!(of(&profile, &[on("a", 80), on("b", 81)], &["a", "b"]), None);
    assert_eq!(of(&profile, &[on("a", 80).with(&adopting)], &["a"]), Some(Adopt::Arn(arn.to_owned())));
    profile.lbc_cluster_name = Some("old".to_owned());
    assert_eq!(of(&profile, &[on("a", 80)], &["a"]), lbc("old"));
}

#[test]
fn two_members_may_share_a_further_backend_only_on_the_same_terms() {
    let action =
        r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"c","servicePort":8080}]}}"#;
    let with = |name: &str, number: u16, annotations: &[(&str, &str)]| {
        let key = format!("service.beta.kubernetes.io/actions.TCP-{number}");
        on(name, number).with(&[(&key, action)]).with(annotations)
    };
    let backend = on("c", 8080);
    let of =
        |b: ServiceView| built(&profile(), &world(&[with("a", 80, &[]), b, backend.clone()]), &["a", "b"]);
    assert_eq!(ports(&of(with("b", 81, &[]))), [80, 81]);
    let built = of(with("b", 81, &[("healthcheck-interval", "30")]));
    assert_eq!(ports(&built), [80]);
    let (reason, text) = only(&built.refused["b"]);
    assert!(reason == "GroupConflict" && text.contains("c/tcp-8080"), "{text}");
}

#[test]
fn the_group_is_open_to_whom_the_oldest_lets_in() {
    let built = group(&[on("a", 80).with(&[(SOURCE_RANGES, "10.0.0.0/8")]), on("b", 81)]);
    let nlb = built.nlb.unwrap();
    let Security::Managed { sources, .. } = nlb.security else { panic!("{:?}", nlb.security) };
    assert_eq!(sources.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8"]);
}
