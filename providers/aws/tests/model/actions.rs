//! Weighted forwarding.

use daymark_aws::api::NlbProtocol;
use daymark_aws::model::{Backend, Built, Nlb};
use daymark_model::{Family, Protocol};
use daymark_providers::view::{EndpointState, ServiceView};

use crate::support::*;

const KEY: &str = "service.beta.kubernetes.io/actions.TCP-80";

fn canary() -> ServiceView {
    let mut canary = service("canary", &[port("http", Protocol::Tcp, 8080), port("dns", Protocol::Udp, 53)]);
    canary.is_load_balancer = false;
    canary
}

/// `web`, with `action` on its port 80 and `annotations`.
fn with_action(action: &str, annotations: &[(&str, &str)]) -> Built {
    let web = web().with(annotations).with(&[(KEY, action)]);
    built(&profile(), &world(&[web, canary()]), &["web"])
}

fn served(built: Built) -> Nlb {
    assert!(built.refused.is_empty(), "{:?}", built.refused);
    built.nlb.unwrap()
}

fn forward(nlb: &Nlb, port: u16) -> Vec<String> {
    let line = |wish: &daymark_aws::model::ForwardWish| match &wish.to {
        Backend::Role(role) => format!("{role} {}", wish.weight),
        Backend::Arn(arn) => format!("{arn} {}", wish.weight),
    };
    nlb.listeners[&port].forward.iter().map(line).collect()
}

#[test]
fn traffic_is_shared_with_other_services_and_target_groups() {
    let nlb = served(with_action(
        r#"{"type":"forward","forwardConfig":{"baseServiceWeight":80,"targetGroups":[
            {"serviceName":"canary","servicePort":8080,"weight":15},
            {"targetGroupARN":"arn:aws:elasticloadbalancing:r:1:targetgroup/x/1","weight":5}]}}"#,
        &[("healthcheck-interval", "30"), ("target-group-attributes.80", "stickiness.enabled=true")],
    ));
    assert_eq!(
        forward(&nlb, 80),
        ["web/tcp-80 80", "canary/tcp-8080 15", "arn:aws:elasticloadbalancing:r:1:targetgroup/x/1 5"]
    );
    assert_eq!(forward(&nlb, 443), ["web/tcp-443 1"]);
    let group = &nlb.target_groups["canary/tcp-8080"];
    assert_eq!((group.service.to_string(), group.port), ("shop/canary".to_owned(), 38_080));
    assert_eq!((group.health.interval, group.protocol), (30, NlbProtocol::Tcp));
    assert_eq!(group.attributes["stickiness.enabled"], "true");
}

#[test]
fn keys_are_read_in_capitals_too_and_ports_by_name() {
    let nlb = served(with_action(
        r#"{"Type":"forward","ForwardConfig":{"BaseServiceWeight":0,"TargetGroups":[{"ServiceName":"canary","ServicePort":"http"}]}}"#,
        &[],
    ));
    assert_eq!(forward(&nlb, 80), ["web/tcp-80 0", "canary/tcp-8080 1"]);
    let number_as_text = r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"canary","servicePort":"8080"}]}}"#;
    assert_eq!(forward(&served(with_action(number_as_text, &[])), 80), ["web/tcp-80 1", "canary/tcp-8080 1"]);
}

#[test]
fn other_services_bring_their_own_endpoints() {
    let action = r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"canary","servicePort":8080}]}}"#;
    let web = web().with(&[("nlb-target-type", "ip"), (KEY, action)]);
    let mut world = world(&[web, canary()]);
    world.endpoints.insert("canary".into(), vec![endpoint("10.0.0.9", &[("http", 9)], EndpointState::Ready)]);
    let nlb = served(built(&profile(), &world, &["web"]));
    let ids: Vec<_> = nlb.target_groups["canary/tcp-8080"].targets.iter().map(|t| t.id.as_str()).collect();
    assert_eq!(ids, ["10.0.0.9"]);
    assert!(nlb.target_groups["web/tcp-80"].targets.is_empty());
}

#[test]
fn behind_tls_all_groups_speak_one_protocol() {
    let action = |decrypt: &str| {
        format!(
            r#"{{"type":"forward","forwardConfig":{{"targetGroups":[{{"serviceName":"canary","servicePort":8080{decrypt}}}]}}}}"#
        )
    };
    let tls = [("ssl-cert", CERTIFICATE)];
    let protocol = |nlb: Nlb| nlb.target_groups["canary/tcp-8080"].protocol;
    assert_eq!(protocol(served(with_action(&action(""), &tls))), NlbProtocol::Tcp);
    assert_eq!(protocol(served(with_action(&action(r#","decrypt":true"#), &tls))), NlbProtocol::Tcp);
    let ssl = [("ssl-cert", CERTIFICATE), ("backend-protocol", "ssl")];
    assert_eq!(protocol(served(with_action(&action(""), &ssl))), NlbProtocol::Tls);
    let built = with_action(&action(r#","decrypt":true"#), &ssl);
    assert!(only(&built.refused["web"]).1.contains("decrypt"));
}

#[test]
fn bad_actions_are_refused_and_nothing_panics() {
    let group =
        |fields: &str| format!(r#"{{"type":"forward","forwardConfig":{{"targetGroups":[{{{fields}}}]}}}}"#);
    let five = r#"{"serviceName":"canary","servicePort":8080,"weight":1},"#.repeat(5);
    let five = format!(
        r#"{{"type":"forward","forwardConfig":{{"targetGroups":[{}]}}}}"#,
        five.trim_end_matches(',')
    );
    let own = r#""serviceName":"web","servicePort":80"#;
    let cases = [
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ("{}", "no type"),
        (r#"{"type":"forward"}"#, "no forwardConfig"),
        (r#"{"type":"forward","forwardConfig":null}"#, "no forwardConfig"),
        (r#"{"type":"forward","forwardConfig":[]}"#, "no JSON object"),
        (r#"{"type":"redirect","forwardConfig":{}}"#, "redirect"),
        (r#"{"type":"forward","forwardConfig":{"targetGroups":{}}}"#, "no list"),
        (r#"{"type":"forward","forwardConfig":{"targetGroups":[null]}}"#, "no JSON object"),
        (r#"{"type":"forward","forwardConfig":{"baseServiceWeight":1000}}"#, "0 to 999"),
        (r#"{"type":"forward","forwardConfig":{"baseServiceWeight":-1}}"#, "0 to 999"),
        (
            r#"{"type":"forward","forwardConfig":{"targetGroupStickinessConfig":{"enabled":true}}}"#,
            "stickiness between target groups",
        ),
        (&group(""), "exactly one"),
        (&group(r#""serviceName":"canary""#), "servicePort"),
        (&group(r#""serviceName":7,"servicePort":80"#), "texts"),
        (&group(r#""serviceName":"canary","servicePort":8080,"weight":1.5"#), "0 to 999"),
        (&group(r#""serviceName":"canary","servicePort":8080,"weigth":1"#), "weigth"),
        (&group(r#""serviceName":"canary","servicePort":8080,"decrypt":"no""#), "decrypt"),
        (
            &group(r#""serviceName":"canary","servicePort":8080,"targetGroupARN":"arn:aws:x:targetgroup/a""#),
            "exactly one",
        ),
        (&group(r#""targetGroupARN":"arn:aws:x:loadbalancer/a""#), "ARN of a target group"),
        (&group(r#""serviceName":"gone","servicePort":80"#), "no Service \"gone\""),
        (&group(r#""serviceName":"canary","servicePort":81"#), "no port \"81\""),
        (&group(r#""serviceName":"canary","servicePort":"dns""#), "for TCP"),
        (&group(own), "Service itself"),
        (&five, "AWS allows 5"),
    ];
    for (action, words) in cases {
        let built = with_action(action, &[]);
        assert_eq!(built.nlb, None, "{action}");
        let (_, text) = only(&built.refused["web"]);
        assert!(text.contains(KEY) && text.contains(words), "{action}: {text}");
    }
    let two = r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"canary","servicePort":8080},{"targetGroupARN":"arn:a:targetgroup/x"}]}}"#;
    assert!(only(&with_action(two, &[]).refused["web"]).1.contains("has no weight"));
}

#[test]
fn an_action_for_no_listener_is_refused() {
    let action = r#"{"type":"forward","forwardConfig":{}}"#;
    for (key, words) in [
        ("service.beta.kubernetes.io/actions.TCP-81", "no port 81"),
        ("service.beta.kubernetes.io/actions.UDP-80", "write TCP-80"),
        ("service.beta.kubernetes.io/actions.x", "PROTOCOL-PORT"),
    ] {
        let (_, text) = only(&refused(web().with(&[(key, action)])));
        assert!(text.contains(key) && text.contains(words), "{text}");
    }
}

#[test]
fn backends_of_another_family_are_refused() {
    let action = r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"canary","servicePort":8080}]}}"#;
    let mut other = canary();
    other.families = vec![Family::V6];
    let web = web().with(&[("ip-address-type", "dualstack"), (KEY, action)]);
    let built = built(&profile(), &world(&[web, other]), &["web"]);
    assert!(only(&built.refused["web"]).1.contains("IPv6, and the others are IPv4"));
}

#[test]
fn a_port_of_the_service_itself_keeps_its_own_settings() {
    let action =
        r#"{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"web","servicePort":443}]}}"#;
    assert_eq!(forward(&served(with_action(action, &[])), 80), ["web/tcp-80 1", "web/tcp-443 1"]);
    let built = with_action(action, &[("target-group-attributes.443", "stickiness.enabled=true")]);
    let (_, text) = only(&built.refused["web"]);
    assert!(text.contains(KEY) && text.contains("other settings"), "{text}");
}
