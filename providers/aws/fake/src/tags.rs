//! Tags of resources of both services.

use std::collections::BTreeMap;

use daymark_aws::api::{MAX_DESCRIBED, Tags};

use crate::clock::Lagged;
use crate::quota::within;
use crate::refusal::{Answer, Refusal, refuse, require};
use crate::state::State;

/// Whether tags may be set: length, prefix and number.
pub(crate) fn check(tags: &Tags, quota: u32, too_many: &'static str) -> Answer<()> {
    for (key, value) in tags {
        let length = key.chars().count();
        require((1..=128).contains(&length), "ValidationError", "a tag's key has 1 to 128 characters")?;
        require(
            value.chars().count() <= 256,
            "ValidationError",
            format!("the value of tag {key} is longer than 256"),
        )?;
        let message = format!("aws: prefixed tag key names are not allowed for external use: {key}");
        require(!key.to_ascii_lowercase().starts_with("aws:"), "ValidationError", message)?;
    }
    require(within(tags.len(), quota), too_many, format!("a resource may have {quota} tags"))
}

impl State {
    pub(crate) fn describe_tags(&self, arns: &[String]) -> Answer<BTreeMap<String, Tags>> {
        require(
            !arns.is_empty(),
            "ValidationError",
            "resourceArns must have length greater than or equal to 1",
        )?;
        let message = format!("Cannot have more than {MAX_DESCRIBED} resources described");
        require(arns.len() <= MAX_DESCRIBED, "ValidationError", message)?;
        let lag = self.consistency.tags;
        let tags = |arn: &String| Ok((arn.clone(), self.tags(arn)?.seen(self.now, lag).clone()));
        arns.iter().map(tags).collect()
    }

    pub(crate) fn add_tags(&mut self, arn: &str, added: &Tags) -> Answer<()> {
        let (now, lag, quota) = (self.now, self.consistency.tags, self.quotas.tags);
        let tags = self.tags_mut(arn)?;
        let mut all = tags.truth().clone();
        all.extend(added.clone());
        check(&all, quota, "TooManyTags")?;
        tags.change(now, lag, |tags| *tags = all);
        Ok(())
    }

    pub(crate) fn remove_tags(&mut self, arn: &str, keys: &[String]) -> Answer<()> {
        let (now, lag) = (self.now, self.consistency.tags);
        self.tags_mut(arn)?.change(now, lag, |tags| tags.retain(|key, _| !keys.contains(key)));
        Ok(())
    }

    fn tags(&self, arn: &str) -> Answer<&Lagged<Tags>> {
        let tags = match kind(arn) {
            Some(Kind::LoadBalancer) => self.balancers.get(arn).map(|balancer| &balancer.tags),
            Some(Kind::TargetGroup) => self.pools.get(arn).map(|pool| &pool.tags),
            Some(Kind::Listener) => self.listeners.get(arn).map(|listening| &listening.tags),
            None => None,
        };
        tags.ok_or_else(|| missing(arn))
    }

    fn tags_mut(&mut self, arn: &str) -> Answer<&mut Lagged<Tags>> {
        let tags = match kind(arn) {
            Some(Kind::LoadBalancer) => self.balancers.get_mut(arn).map(|balancer| &mut balancer.tags),
            Some(Kind::TargetGroup) => self.pools.get_mut(arn).map(|pool| &mut pool.tags),
            Some(Kind::Listener) => self.listeners.get_mut(arn).map(|listening| &mut listening.tags),
            None => None,
        };
        tags.ok_or_else(|| missing(arn))
    }

    pub(crate) fn create_ec2_tags(&mut self, id: &str, added: &Tags) -> Answer<()> {
        let quota = self.quotas.tags;
        self.change_ec2_tags(id, |tags| {
            let mut all = tags.clone();
            all.extend(added.clone());
            let checked = check(&all, quota, "TagLimitExceeded");
            if checked.is_ok() {
                *tags = all;
            }
            checked.map_err(|refusal| match refusal.code {
                "ValidationError" => Refusal { code: "InvalidParameterValue", ..refusal },
                _ => refusal,
            })
        })
    }

    pub(crate) fn delete_ec2_tags(&mut self, id: &str, keys: &[String]) -> Answer<()> {
        self.change_ec2_tags(id, |tags| {
            tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
    }

    fn change_ec2_tags(&mut self, id: &str, change: impl FnOnce(&mut Tags) -> Answer<()>) -> Answer<()> {
        let (now, lag) = (self.now, self.consistency.tags);
        if let Some(group) = self.groups.get_mut(id) {
            let mut tags = group.tags.truth().clone();
            change(&mut tags)?;
            group.tags.change(now, lag, |current| *current = tags);
            return Ok(());
        }
        if let Some(subnetwork) = self.subnets.get_mut(id) {
            return change(&mut subnetwork.subnet.tags);
        }
        let code = match id.split('-').next() {
            Some("sg") => "InvalidGroup.NotFound",
            Some("subnet") => "InvalidSubnetID.NotFound",
            Some(_) | None => "InvalidID",
        };
        refuse(code, format!("The ID '{id}' does not exist"))
    }
}

/// What an ARN names.
enum Kind {
    LoadBalancer,
    TargetGroup,
    Listener,
}

fn kind(arn: &str) -> Option<Kind> {
    let resource = arn.strip_prefix("arn:aws:elasticloadbalancing:")?.splitn(3, ':').nth(2)?;
    match resource.split('/').next()? {
        "loadbalancer" => Some(Kind::LoadBalancer),
        "targetgroup" => Some(Kind::TargetGroup),
        "listener" => Some(Kind::Listener),
        _ => None,
    }
}

/// The refusal of a call about something that is not there.
pub(crate) fn missing(arn: &str) -> Refusal {
    let (code, what) = match kind(arn) {
        Some(Kind::LoadBalancer) => ("LoadBalancerNotFound", "load balancers"),
        Some(Kind::TargetGroup) => ("TargetGroupNotFound", "target groups"),
        Some(Kind::Listener) => ("ListenerNotFound", "listeners"),
        None => return Refusal { code: "ValidationError", message: format!("'{arn}' is not a valid ARN") },
    };
    Refusal { code, message: format!("One or more {what} not found: {arn}") }
}
