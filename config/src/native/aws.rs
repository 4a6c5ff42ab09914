//! What a LoadBalancerProfile says about AWS.

use std::time::Duration;

use daymark_model::AwsProfile;
use daymark_model::aws::{
    AddressForm, CloudMode, Deletion, Drift, Orphans, PublishWhen, Replacement, SubnetPolicy,
};

use super::field::{self, Problems, path};
use crate::crd::schema::MAX_TAGS;
use crate::crd::{
    AddressFormMode, AwsSettings, CloudModeSetting, DeletionMode, DriftMode, OrphansMode, PublishMode,
    ReplacementMode, SubnetPolicyMode,
};
use crate::problem::Fault;

/// The longest cluster name: it stands in tags beside others.
const MAX_CLUSTER_NAME: usize = 100;

/// What all annotations of load balancers begin with.
const ANNOTATION_PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";

/// How many characters AWS permits in the key of a tag.
const MAX_TAG_KEY: usize = 128;

/// How many characters AWS permits in the value of a tag.
const MAX_TAG_VALUE: usize = 256;

/// The day that an old load balancer may stay at most beside its replacement.
const MAX_GRACE: Duration = Duration::from_secs(86_400);

/// The longest value of an annotation's default.
const MAX_DEFAULT: usize = 4096;

/// The profile for AWS that `settings` describe, which stand in the field `spec.aws` of a profile of `class`.
pub(super) fn profile(problems: &mut Problems, class: &str, settings: &AwsSettings) -> AwsProfile {
    let at = |name: &str| path("spec.aws", name);
    let mut text = |name: &str, value: &str, read: fn(&str) -> Result<(), Fault>| {
        problems.take(at(name), read(value));
    };
    text("clusterName", &settings.cluster_name, cluster_name);
    text("vpcId", &settings.vpc_id, vpc_id);
    for (name, value, read) in [
        ("region", &settings.region, region as fn(&str) -> Result<(), Fault>),
        ("roleArn", &settings.role_arn, role_arn),
        ("endpoint", &settings.endpoint, endpoint),
        ("lbcClusterName", &settings.lbc_cluster_name, cluster_name),
    ] {
        if let Some(value) = value {
            text(name, value, read);
        }
    }
    for (i, group) in settings.node_security_groups.iter().enumerate() {
        text(&format!("nodeSecurityGroups[{i}]"), group, security_group);
    }
    for (suffix, value) in &settings.defaults {
        problems.take(at(&format!("defaults[{suffix}]")), default(suffix, value));
    }
    if settings.tags.len() > MAX_TAGS {
        problems.add(at("tags"), Fault::TooMany { count: settings.tags.len(), max: MAX_TAGS });
    }
    for (key, value) in &settings.tags {
        problems.take(at(&format!("tags[{key}]")), tag(key, value));
    }
    if settings.adopt_lbc && class != AwsProfile::LBC_CLASS {
        let other = format!("the loadBalancerClass {class}");
        let remedy = "write loadBalancerClass: service.k8s.aws/nlb, or leave adoptLBC out";
        problems.add(at("adoptLBC"), Fault::Conflict { other, remedy });
    }
    let grace = field::duration_within(&settings.replacement_grace, "0s to 24h", |grace| grace <= MAX_GRACE);
    let grace = problems.take(at("replacementGrace"), grace).unwrap_or_default();
    AwsProfile {
        cluster_name: settings.cluster_name.clone(),
        region: settings.region.clone(),
        vpc_id: settings.vpc_id.clone(),
        role_arn: settings.role_arn.clone(),
        endpoint: settings.endpoint.clone(),
        mode: mode(settings.mode),
        replacement: replacement(settings.replacement),
        drift: drift(settings.drift),
        orphans: orphans(settings.orphans),
        deletion: deletion(settings.deletion_policy),
        subnet_policy: subnet_policy(settings.subnet_policy),
        publish: publish(settings.publish),
        address_form: address_form(settings.address_form),
        adopt_lbc: settings.adopt_lbc,
        lbc_cluster_name: settings.lbc_cluster_name.clone(),
        node_security_groups: settings.node_security_groups.clone(),
        defaults: settings.defaults.clone(),
        tags: settings.tags.clone(),
        replacement_grace: grace,
    }
}

/// `text`, if `holds`; else the fault that says what it should be.
fn form(text: &str, holds: bool, what: &'static str, like: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Form { text: text.to_owned(), what, like }) }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// The name of a cluster in tags.
pub(super) fn cluster_name(text: &str) -> Result<(), Fault> {
    let sound = text.len() <= MAX_CLUSTER_NAME
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(is_word);
    form(text, sound, "name of a cluster of up to 100 letters, digits, '.', '_' and '-'", "production-1")
}

fn hexadecimal(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    (1..=40).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The id of a VPC.
pub(super) fn vpc_id(text: &str) -> Result<(), Fault> {
    form(text, hexadecimal(text, "vpc-"), "id of a VPC", "vpc-0a1b2c3d4e5f60718")
}

fn security_group(text: &str) -> Result<(), Fault> {
    form(text, hexadecimal(text, "sg-"), "id of a security group", "sg-0a1b2c3d4e5f60718")
}

/// The name of a region.
pub(super) fn region(text: &str) -> Result<(), Fault> {
    let mut parts = text.split('-');
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let others = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let sound =
        text.len() <= 64 && text.contains('-') && parts.next().is_some_and(letters) && parts.all(others);
    form(text, sound, "region of AWS", "eu-central-1")
}

/// The ARN of a role.
pub(super) fn role_arn(text: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let sound = matches!(parts.as_slice(), ["arn", partition, "iam", "", account, resource]
        if partition.starts_with("aws")
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
            && resource.bytes().all(|byte| byte.is_ascii_graphic()));
    form(text, sound && text.len() <= 2048, "ARN of an IAM role", "arn:aws:iam::123456789012:role/daymark")
}

/// The URL of an API.
pub(super) fn endpoint(text: &str) -> Result<(), Fault> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let (host, tail) = rest.split_once('/').unwrap_or((rest, ""));
    let sound = text.len() <= 512
        && !host.is_empty()
        && host.bytes().all(|byte| is_word(byte) || matches!(byte, b':' | b'[' | b']'))
        && tail.bytes().all(|byte| is_word(byte) || matches!(byte, b'~' | b'/'));
    form(
        text,
        sound,
        "URL of an API",
        "https://vpce-0a1b2c3d.elasticloadbalancing.eu-central-1.vpce.amazonaws.com",
    )
}

fn default(suffix: &str, value: &str) -> Result<(), Fault> {
    let shaped = !suffix.is_empty() && suffix.len() <= 253 && suffix.bytes().all(is_word);
    let what = "suffix of an annotation: leave service.beta.kubernetes.io/aws-load-balancer- out";
    form(suffix, shaped && !suffix.starts_with(ANNOTATION_PREFIX), what, "scheme")?;
    within(value, MAX_DEFAULT)
}

fn tag(key: &str, value: &str) -> Result<(), Fault> {
    let reserved = key.starts_with("aws:") || key.starts_with("daymark.dev/");
    let what = "key of a tag: it must not be empty, and aws: and daymark.dev/ are reserved";
    form(key, !key.is_empty() && !reserved, what, "team")?;
    within(key, MAX_TAG_KEY)?;
    within(value, MAX_TAG_VALUE)
}

fn within(text: &str, max: usize) -> Result<(), Fault> {
    match text.chars().count() {
        length if length > max => Err(Fault::TooLong { length, max }),
        _ => Ok(()),
    }
}

fn mode(mode: CloudModeSetting) -> CloudMode {
    match mode {
        CloudModeSetting::Apply => CloudMode::Apply,
        CloudModeSetting::Observe => CloudMode::Observe,
        CloudModeSetting::Plan => CloudMode::Plan,
    }
}

fn replacement(mode: ReplacementMode) -> Replacement {
    match mode {
        ReplacementMode::OnConsent => Replacement::OnConsent,
        ReplacementMode::CreateBeforeDestroy => Replacement::CreateBeforeDestroy,
    }
}

fn drift(mode: DriftMode) -> Drift {
    match mode {
        DriftMode::Repair => Drift::Repair,
        DriftMode::Report => Drift::Report,
    }
}

fn orphans(mode: OrphansMode) -> Orphans {
    match mode {
        OrphansMode::Report => Orphans::Report,
        OrphansMode::Delete => Orphans::Delete,
    }
}

pub(super) fn deletion(mode: DeletionMode) -> Deletion {
    match mode {
        DeletionMode::Delete => Deletion::Delete,
        DeletionMode::Retain => Deletion::Retain,
    }
}

fn subnet_policy(mode: SubnetPolicyMode) -> SubnetPolicy {
    match mode {
        SubnetPolicyMode::Sticky => SubnetPolicy::Sticky,
        SubnetPolicyMode::AddOnly => SubnetPolicy::AddOnly,
        SubnetPolicyMode::Exact => SubnetPolicy::Exact,
    }
}

fn publish(mode: PublishMode) -> PublishWhen {
    match mode {
        PublishMode::Created => PublishWhen::Created,
        PublishMode::Active => PublishWhen::Active,
        PublishMode::Healthy => PublishWhen::Healthy,
    }
}

fn address_form(mode: AddressFormMode) -> AddressForm {
    match mode {
        AddressFormMode::Hostname => AddressForm::Hostname,
        AddressFormMode::StaticAddresses => AddressForm::StaticAddresses,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(class: &str, settings: Value) -> Result<AwsProfile, Vec<String>> {
        let settings: AwsSettings = serde_json::from_value(settings).unwrap();
        let mut problems = Problems::default();
        let profile = profile(&mut problems, class, &settings);
        problems.finish(Some(profile)).map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_model() {
        let read = read(AwsProfile::CLASS, json!({"clusterName": "c", "vpcId": "vpc-0a"}));
        assert_eq!(read, Ok(AwsProfile::new("c", "vpc-0a")));
        let settings =
            AwsSettings { cluster_name: "c".into(), vpc_id: "vpc-0a".into(), ..AwsSettings::default() };
        assert_eq!(
            serde_json::from_value::<AwsSettings>(json!({"clusterName": "c", "vpcId": "vpc-0a"})).unwrap(),
            settings
        );
    }

    #[test]
    fn everything_that_is_said_is_kept() {
        let said = read(
            AwsProfile::LBC_CLASS,
            json!({
                "clusterName": "production-1", "vpcId": "vpc-0a1b", "region": "us-gov-west-1",
                "roleArn": "arn:aws-us-gov:iam::123456789012:role/a/daymark", "endpoint": "https://[::1]:4566/aws",
                "mode": "Plan", "replacement": "CreateBeforeDestroy", "replacementGrace": "1h30m",
                "drift": "Report", "orphans": "Delete", "deletionPolicy": "Retain", "subnetPolicy": "Exact",
                "publish": "Healthy", "addressForm": "StaticAddresses", "adoptLBC": true,
                "lbcClusterName": "old.example", "nodeSecurityGroups": ["sg-0a"],
                "defaults": {"scheme": "internal", "target-group-attributes.443": "a=b"}, "tags": {"team": ""},
            }),
        );
        let expected = AwsProfile {
            region: Some("us-gov-west-1".into()),
            role_arn: Some("arn:aws-us-gov:iam::123456789012:role/a/daymark".into()),
            endpoint: Some("https://[::1]:4566/aws".into()),
            mode: CloudMode::Plan,
            replacement: Replacement::CreateBeforeDestroy,
            drift: Drift::Report,
            orphans: Orphans::Delete,
            deletion: Deletion::Retain,
            subnet_policy: SubnetPolicy::Exact,
            publish: PublishWhen::Healthy,
            address_form: AddressForm::StaticAddresses,
            adopt_lbc: true,
            lbc_cluster_name: Some("old.example".into()),
            node_security_groups: vec!["sg-0a".into()],
            defaults: [("scheme", "internal"), ("target-group-attributes.443", "a=b")]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            tags: [("team".into(), String::new())].into(),
            replacement_grace: Duration::from_secs(5400),
            ..AwsProfile::new("production-1", "vpc-0a1b")
        };
        assert_eq!(said, Ok(expected));
    }

    #[test]
    fn bad_values_are_named_each() {
        let of = |name: &str, value: Value| {
            let mut settings = json!({"clusterName": "c", "vpcId": "vpc-0a"});
            settings[name] = value;
            read(AwsProfile::CLASS, settings).unwrap_err()
        };
        for (name, value) in [
            ("clusterName", json!("")),
            ("clusterName", json!("-c")),
            ("vpcId", json!("vpc-")),
            ("vpcId", json!("vpc-0A")),
            ("vpcId", json!(format!("vpc-{}", "0".repeat(41)))),
            ("region", json!("eu")),
            ("region", json!("eu--1")),
            ("region", json!("eu-central-1/../x")),
            ("roleArn", json!("arn:aws:iam::12345678901:role/a")),
            ("roleArn", json!("arn:aws:iam::123456789012:user/a")),
            ("roleArn", json!("arn:aws:iam::123456789012:role/")),
            ("endpoint", json!("https://")),
            ("endpoint", json!("https://user@host/")),
            ("endpoint", json!("ftp://host")),
            ("endpoint", json!("http://host/?x=y")),
            ("lbcClusterName", json!("a b")),
            ("nodeSecurityGroups", json!(["sg-0a", "web"])),
            ("defaults", json!({"": "x"})),
            ("defaults", json!({"a b": "x"})),
            ("tags", json!({"": "x"})),
            ("tags", json!({"aws:x": "x"})),
            ("tags", json!({"k".repeat(129): "x"})),
            ("tags", json!({"k": "é".repeat(257)})),
            ("replacementGrace", json!("25h")),
            ("replacementGrace", json!("-1s")),
            ("adoptLBC", json!(true)),
        ] {
            let said = of(name, value.clone());
            assert_eq!(said.len(), 1, "{name} {value}: {said:?}");
            assert!(said[0].starts_with(&format!("spec.aws.{name}")), "{said:?}");
        }
        let many: std::collections::BTreeMap<String, &str> = (0..41).map(|i| (format!("k{i}"), "")).collect();
        assert_eq!(of("tags", json!(many)), ["spec.aws.tags: has 41 entries: use at most 40"]);
        assert_eq!(of("tags", json!({"k": "é".repeat(256), "aws:k": ""})).len(), 1);
    }
}
