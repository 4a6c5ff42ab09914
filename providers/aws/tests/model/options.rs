//! Daymark's own annotations, and whose a Service is.

use daymark_aws::model::{Claimant, ELSEWHERE, ServiceOptions, claimant, service_options, wanted_class};
use daymark_model::AwsProfile;
use daymark_model::aws::{CloudMode, Deletion, PublishWhen};

use crate::support::*;

#[test]
fn all_options_are_read() {
    let arn = "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/x/1";
    let service = web().with(&[
        ("daymark.dev/group", "front"),
        ("daymark.dev/allow-replacement", "0a1b2c3d4e"),
        ("daymark.dev/mode", "observe"),
        ("daymark.dev/deletion-policy", "Retain"),
        ("daymark.dev/adopt", arn),
        ("daymark.dev/wait-for", "healthy"),
        ("daymark.dev/sharing-key", "x"),
        ("example.com/other", "x"),
    ]);
    let expected = ServiceOptions {
        group: Some("front".to_owned()),
        allow_replacement: Some("0a1b2c3d4e".to_owned()),
        mode: Some(CloudMode::Observe),
        deletion: Some(Deletion::Retain),
        adopt: Some(arn.to_owned()),
        wait_for: Some(PublishWhen::Healthy),
    };
    assert_eq!(service_options(&service), Ok(expected));
    assert_eq!(service_options(&web()), Ok(ServiceOptions::default()));
}

#[test]
fn bad_options_are_refused_by_name() {
    for (key, value, words) in [
        ("daymark.dev/group", "Front", "small letters"),
        ("daymark.dev/group", "-a", "small letters"),
        ("daymark.dev/allow-replacement", " ", "empty"),
        ("daymark.dev/mode", "aply", "did you mean apply?"),
        ("daymark.dev/deletion-policy", "retain", "did you mean Retain?"),
        ("daymark.dev/adopt", "my-nlb", "ARN of a load balancer"),
        ("daymark.dev/wait-for", "ready", "address or active or healthy"),
        ("daymark.dev/pools", "x", "did you mean daymark.dev/pool?"),
    ] {
        let (_, text) = only(&service_options(&web().with(&[(key, value)])).unwrap_err());
        assert!(text.contains(key) && text.contains(words), "{key}: {text}");
    }
    let two = web().with(&[("daymark.dev/mode", "x"), ("daymark.dev/wait-for", "x")]);
    assert_eq!(service_options(&two).unwrap_err().len(), 2);
}

#[test]
fn a_service_is_whose_class_or_type_says() {
    let classless = |annotations: &[(&str, &str)]| {
        let mut service = web().with(annotations);
        service.class = None;
        service
    };
    assert_eq!(claimant(&classless(&[])), Claimant::Default);
    assert_eq!(wanted_class(&classless(&[])), None);
    let lbc = Some(AwsProfile::LBC_CLASS);
    assert_eq!(wanted_class(&classless(&[("type", "nlb-ip")])), lbc);
    assert_eq!(wanted_class(&classless(&[("type", "external"), ("nlb-target-type", "ip")])), lbc);
    assert_eq!(wanted_class(&classless(&[("type", "external")])), Some(ELSEWHERE));
    assert_eq!(wanted_class(&classless(&[("type", "nlb")])), Some(ELSEWHERE));
    assert_eq!(claimant(&classless(&[("type", "nlb")])), Claimant::Elsewhere);
    let mut classed = web().with(&[("type", "nlb")]);
    classed.class = Some("example.com/x".to_owned());
    assert_eq!(wanted_class(&classed), Some("example.com/x"));
}
