//! Several Services on one load balancer: the oldest says what it is like, and nobody else says otherwise.

use std::collections::BTreeMap;

use daymark_model::AwsProfile;
use daymark_providers::CloudError;
use daymark_providers::view::ServiceView;

use super::annotations::{AWS_PREFIX, OWN_LOAD_BALANCER, OWN_PREFIX, SOURCE_RANGES, Scope, key, scope};
use super::parts::Parts;
use super::settings::LoadBalancerSettings;
use super::{ListenerWish, TargetGroupWish};

/// AWS: listeners of one load balancer.
const MOST_LISTENERS: usize = 50;

/// What `member` says about the load balancer and `leader`, which decides, does not.
pub(super) fn conflicts(
    profile: &AwsProfile,
    leader: &ServiceView,
    settings: &LoadBalancerSettings,
    member: &ServiceView,
) -> Vec<CloudError> {
    let stated = member.annotations.iter().filter(|(key, _)| is_about_load_balancer(key));
    let mut conflicts: Vec<CloudError> = stated
        .filter(|(key, value)| {
            let mut as_said = leader.clone();
            as_said.annotations.insert((*key).clone(), (*value).clone());
            for stronger in stronger_than(key) {
                as_said.annotations.remove(&stronger);
            }
            if key.as_str() == SOURCE_RANGES {
                as_said.source_ranges.clear();
            }
            differs(profile, &as_said, settings)
        })
        .map(|(key, _)| conflict(leader, member, key))
        .collect();
    if !member.source_ranges.is_empty() {
        let as_said = ServiceView { source_ranges: member.source_ranges.clone(), ..leader.clone() };
        if differs(profile, &as_said, settings) {
            conflicts.push(conflict(leader, member, "spec.loadBalancerSourceRanges"));
        }
    }
    conflicts
}

/// Whether the load balancer would be another one.
fn differs(profile: &AwsProfile, as_said: &ServiceView, settings: &LoadBalancerSettings) -> bool {
    match LoadBalancerSettings::read(profile, as_said) {
        Ok((other, _)) => other != *settings,
        Err(_) => true,
    }
}

fn is_about_load_balancer(key: &str) -> bool {
    let is_aws =
        key.strip_prefix(AWS_PREFIX).is_some_and(|suffix| scope(suffix) == Some(Scope::LoadBalancer));
    let is_own = key.strip_prefix(OWN_PREFIX).is_some_and(|name| OWN_LOAD_BALANCER.contains(&name));
    is_aws || is_own || key == SOURCE_RANGES
}

/// The annotations of the leader that would hide what the one with `key` says.
fn stronger_than(annotation: &str) -> Vec<String> {
    if annotation == key("internal") {
        return vec![key("scheme")];
    }
    if annotation == key("attributes") {
        let older = [
            "cross-zone-load-balancing-enabled",
            "access-log-enabled",
            "access-log-s3-bucket-name",
            "access-log-s3-bucket-prefix",
        ];
        return older.map(key).into();
    }
    Vec::new()
}

fn conflict(leader: &ServiceView, member: &ServiceView, key: &str) -> CloudError {
    let what = format!(
        "{key}: {} says another value than {}, which is the oldest of the group and decides",
        member.key, leader.key
    );
    CloudError::user("GroupConflict", what)
        .remedy(format!("remove it from {}, or write the value of {}", member.key, leader.key))
}

/// The listeners and target groups of those members that found room.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) listeners: BTreeMap<u16, ListenerWish>,
    pub(super) target_groups: BTreeMap<String, TargetGroupWish>,
}

impl Merged {
    /// Adds all that a member brings, or nothing and says why.
    pub(super) fn add(&mut self, member: &ServiceView, parts: Parts) -> Result<(), Vec<CloudError>> {
        let mut errors = Vec::new();
        for listener in &parts.listeners {
            if let Some((holder, _)) =
                self.listeners.get(&listener.port).and_then(|holder| holder.serves.first())
            {
                let what = format!("port {} of {} is taken by the older {holder}", listener.port, member.key);
                errors.push(
                    CloudError::user("PortConflict", what).remedy("use another port, or leave the group"),
                );
            }
        }
        for (role, group) in &parts.target_groups {
            if self.target_groups.get(role).is_some_and(|before| before != group) {
                let what = format!(
                    "{} wants other settings for the targets {role} than an older member of the group",
                    member.key
                );
                errors
                    .push(CloudError::user("GroupConflict", what).remedy("write the same settings for both"));
            }
        }
        let count = self.listeners.len().saturating_add(parts.listeners.len());
        if count > MOST_LISTENERS {
            let what =
                format!("with {} there are {count} listeners, and AWS allows {MOST_LISTENERS}", member.key);
            errors
                .push(CloudError::user("TooManyListeners", what).remedy("use fewer ports, or another group"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.listeners.extend(parts.listeners.into_iter().map(|listener| (listener.port, listener)));
        self.target_groups.extend(parts.target_groups);
        Ok(())
    }
}
