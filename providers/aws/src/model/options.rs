//! Daymark's own annotations for clouds.

use daymark_model::aws::{CloudMode, Deletion, PublishWhen};
use daymark_providers::CloudError;
use daymark_providers::view::ServiceView;

use super::annotations::{OWN_PREFIX, refuse_own};
use super::value::{Bad, arn, bad, text, word};

/// What a Service says about how its load balancer is treated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceOptions {
    /// `daymark.dev/group`: it shares a load balancer with the Services of its namespace that say the same.
    pub group: Option<String>,
    /// `daymark.dev/allow-replacement`: the consent to one plan.
    pub allow_replacement: Option<String>,
    /// `daymark.dev/mode`: what is done with a plan.
    pub mode: Option<CloudMode>,
    /// `daymark.dev/deletion-policy`: what becomes of the load balancer in the end.
    pub deletion: Option<Deletion>,
    /// `daymark.dev/adopt`: the ARN of an NLB to be used instead of one of our own.
    pub adopt: Option<String>,
    /// `daymark.dev/wait-for`: when the address is published.
    pub wait_for: Option<PublishWhen>,
}

/// Reads what a Service says about how its load balancer is treated.
///
/// # Errors
/// Everything that is wrong with its annotations under `daymark.dev/`, an unknown one among them.
pub fn service_options(service: &ServiceView) -> Result<ServiceOptions, Vec<CloudError>> {
    let mut errors: Vec<CloudError> = service.annotations.keys().filter_map(|key| refuse_own(key)).collect();
    let mut options = ServiceOptions::default();
    read(service, "group", group_name, &mut options.group, &mut errors);
    read(service, "allow-replacement", text, &mut options.allow_replacement, &mut errors);
    read(service, "mode", |value| word(value, MODES), &mut options.mode, &mut errors);
    read(service, "deletion-policy", |value| word(value, DELETIONS), &mut options.deletion, &mut errors);
    // Not more of the ARN is looked at: what stands behind the colon differs between AWS and its stand-ins.
    let load_balancer = |value: &str| arn(value, ":loadbalancer/", "a load balancer");
    read(service, "adopt", load_balancer, &mut options.adopt, &mut errors);
    read(service, "wait-for", |value| word(value, WAITS), &mut options.wait_for, &mut errors);
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

const MODES: &[(&str, CloudMode)] =
    &[("plan", CloudMode::Plan), ("observe", CloudMode::Observe), ("apply", CloudMode::Apply)];
const DELETIONS: &[(&str, Deletion)] = &[("Delete", Deletion::Delete), ("Retain", Deletion::Retain)];
const WAITS: &[(&str, PublishWhen)] =
    &[("address", PublishWhen::Created), ("active", PublishWhen::Active), ("healthy", PublishWhen::Healthy)];

fn read<T>(
    service: &ServiceView,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, Bad>,
    into: &mut Option<T>,
    errors: &mut Vec<CloudError>,
) {
    let key = format!("{OWN_PREFIX}{name}");
    let Some(value) = service.annotations.get(&key) else { return };
    match parse(value) {
        Ok(value) => *into = Some(value),
        Err(Bad { what, remedy }) => {
            errors.push(CloudError::user("InvalidAnnotation", format!("{key}: {what}")).remedy(remedy));
        }
    }
}

/// A group names an object, so it is a DNS label (RFC 1123).
fn group_name(value: &str) -> Result<String, Bad> {
    let value = value.trim();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=63).contains(&value.len()) && value.chars().all(inner);
    if fits && !value.starts_with('-') && !value.ends_with('-') {
        return Ok(value.to_owned());
    }
    bad(
        format!("{value:?} is no name of a group"),
        "write small letters, digits and inner hyphens, at most 63 of them",
    )
}
