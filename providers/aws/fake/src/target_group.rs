//! Target groups. Their targets are in [`crate::target`].

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::api::{
    Attributes, CreateTargetGroup, HealthCheck, HealthProtocol, NlbProtocol, Tags, Target, TargetGroup,
    TargetType, Which,
};
use daymark_model::Family;
use tokio::time::Instant;

use crate::attributes;
use crate::clock::{Birth, Lagged};
use crate::load_balancer::{check_count, check_name};
use crate::quota::within;
use crate::refusal::{Answer, refuse, require};
use crate::state::State;
use crate::tags::{self, missing};
use crate::target::Registered;

/// A target group.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) protocol: NlbProtocol,
    pub(crate) port: u16,
    pub(crate) target_type: TargetType,
    pub(crate) family: Family,
    pub(crate) vpc: String,
    pub(crate) health: HealthCheck,
    pub(crate) attributes: Lagged<Attributes>,
    pub(crate) tags: Lagged<Tags>,
    pub(crate) targets: BTreeMap<Target, Registered>,
    /// Since when a listener forwards to it.
    pub(crate) used_since: Option<Instant>,
    /// The load balancer that used it is gone, and AWS does not know it yet.
    pub(crate) released: Option<Released>,
    pub(crate) birth: Birth,
}

/// The use by a load balancer that is gone.
#[derive(Debug, Clone)]
pub(crate) struct Released {
    pub(crate) by: String,
    pub(crate) until: Instant,
}

impl State {
    pub(crate) fn pool(&self, arn: &str) -> Answer<&Pool> {
        self.pools.get(arn).ok_or_else(|| missing(arn))
    }

    pub(crate) fn pool_mut(&mut self, arn: &str) -> Answer<&mut Pool> {
        self.pools.get_mut(arn).ok_or_else(|| missing(arn))
    }

    /// The load balancers whose listeners forward to a target group.
    pub(crate) fn users(&self, pool: &str) -> BTreeSet<&str> {
        let forwards = |listening: &&crate::listener::Listening| {
            listening.listener.forward.iter().any(|forward| forward.target_group == pool)
        };
        self.listeners.values().filter(forwards).map(|listening| &*listening.listener.load_balancer).collect()
    }

    /// The load balancers that AWS believes to use a target group.
    pub(crate) fn believed_users(&self, pool: &Pool) -> BTreeSet<String> {
        let users = self.users(&pool.arn).into_iter().map(str::to_owned);
        users.chain(pool.released.as_ref().map(|released| released.by.clone())).collect()
    }

    /// Notes which of these target groups are used, after listeners have changed.
    pub(crate) fn refresh_use(&mut self, pools: &BTreeSet<String>) {
        for arn in pools {
            let is_used = !self.users(arn).is_empty();
            let now = self.now;
            if let Some(pool) = self.pools.get_mut(arn) {
                pool.used_since = is_used.then(|| pool.used_since.unwrap_or(now));
            }
        }
    }

    pub(crate) fn describe_target_groups(&self, which: &Which) -> Answer<Vec<TargetGroup>> {
        let is_seen = |pool: &&Pool, lag| pool.birth.is_seen(self.now, lag);
        let identities = self.consistency.identities;
        let found: Vec<&Pool> = match which {
            Which::Arns(arns) if !arns.is_empty() => {
                check_count(arns)?;
                let one = |arn: &String| {
                    self.pools.get(arn).filter(|pool| is_seen(pool, identities)).ok_or_else(|| missing(arn))
                };
                arns.iter().map(one).collect::<Answer<_>>()?
            }
            Which::Names(names) if !names.is_empty() => {
                check_count(names)?;
                let mut found = Vec::new();
                for name in names {
                    match self.pools.values().find(|pool| pool.name == *name) {
                        Some(pool) if is_seen(&pool, identities) => found.push(pool),
                        Some(_) | None => {
                            return refuse(
                                "TargetGroupNotFound",
                                format!("Target groups '[{name}]' not found"),
                            );
                        }
                    }
                }
                found
            }
            // AWS reads an empty list as none at all.
            Which::Arns(_) | Which::Names(_) | Which::All => {
                let lag = self.consistency.lists;
                self.pools.values().filter(|pool| is_seen(pool, lag)).collect()
            }
        };
        Ok(found.into_iter().map(|pool| self.shown_pool(pool)).collect())
    }

    pub(crate) fn shown_pool(&self, pool: &Pool) -> TargetGroup {
        TargetGroup {
            arn: pool.arn.clone(),
            name: pool.name.clone(),
            protocol: pool.protocol,
            port: pool.port,
            target_type: pool.target_type,
            family: pool.family,
            vpc: pool.vpc.clone(),
            health: pool.health.clone(),
            load_balancers: self.believed_users(pool).into_iter().collect(),
        }
    }

    pub(crate) fn create_target_group(&mut self, call: &CreateTargetGroup) -> Answer<TargetGroup> {
        check_name("Target group", &call.name)?;
        let health = checked_health(&call.health)?;
        if let Some(existing) = self.pools.values().find(|pool| pool.name == call.name) {
            if !is_same(existing, call, &health) {
                let message = format!(
                    "A target group with the same name '{}' exists, but with different settings",
                    call.name
                );
                return refuse("DuplicateTargetGroupName", message);
            }
            return Ok(self.shown_pool(existing));
        }
        require(call.port > 0, "ValidationError", "The port must be between 1 and 65535")?;
        self.require_vpc(&call.vpc)?;
        let message = "The maximum number of target groups has been reached";
        require(within(self.pools.len() + 1, self.quotas.target_groups), "TooManyTargetGroups", message)?;
        tags::check(&call.tags, self.quotas.tags, "TooManyTags")?;
        let number = self.number();
        let pool = Pool {
            arn: self.arn(&format!("targetgroup/{}/{number:016x}", call.name)),
            name: call.name.clone(),
            protocol: call.protocol,
            port: call.port,
            target_type: call.target_type,
            family: call.family,
            vpc: call.vpc.clone(),
            health,
            attributes: Lagged::settled(
                attributes::of_target_group(call.protocol, call.target_type),
                self.now,
            ),
            tags: self.fresh(call.tags.clone(), Tags::new()),
            targets: BTreeMap::new(),
            used_since: None,
            released: None,
            birth: self.birth(),
        };
        let shown = self.shown_pool(&pool);
        self.pools.insert(pool.arn.clone(), pool);
        Ok(shown)
    }

    fn require_vpc(&self, vpc: &str) -> Answer<()> {
        let message = format!("The VPC ID '{vpc}' is not found");
        require(self.vpcs.contains_key(vpc), "ValidationError", message)
    }

    pub(crate) fn modify_target_group(&mut self, arn: &str, health: &HealthCheck) -> Answer<()> {
        let pool = self.pool_mut(arn)?;
        pool.health = checked_health(health)?;
        Ok(())
    }

    pub(crate) fn delete_target_group(&mut self, arn: &str) -> Answer<()> {
        let Some(pool) = self.pools.get(arn) else {
            return match missing(arn).code {
                "TargetGroupNotFound" => Ok(()),
                _ => Err(missing(arn)),
            };
        };
        let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
        require(self.believed_users(pool).is_empty(), "ResourceInUse", message)?;
        self.pools.remove(arn);
        Ok(())
    }

    pub(crate) fn target_group_attributes(&self, arn: &str) -> Answer<Attributes> {
        Ok(self.pool(arn)?.attributes.seen(self.now, self.consistency.attributes).clone())
    }

    pub(crate) fn modify_target_group_attributes(&mut self, arn: &str, changes: &Attributes) -> Answer<()> {
        let (now, lag) = (self.now, self.consistency.attributes);
        let pool = self.pool_mut(arn)?;
        let all = attributes::change_target_group(pool.protocol, pool.attributes.truth(), changes)?;
        pool.attributes.change(now, lag, |attributes| *attributes = all);
        Ok(())
    }
}

/// Whether a target group is what a creation asks for; tags are not a setting.
fn is_same(existing: &Pool, call: &CreateTargetGroup, health: &HealthCheck) -> bool {
    existing.protocol == call.protocol
        && existing.port == call.port
        && existing.target_type == call.target_type
        && existing.family == call.family
        && existing.vpc == call.vpc
        && existing.health == *health
}

/// A health check with AWS's defaults where it says nothing.
fn checked_health(health: &HealthCheck) -> Answer<HealthCheck> {
    let invalid = |holds, message: &str| require(holds, "ValidationError", message);
    invalid((5..=300).contains(&health.interval), "Health check interval must be between 5 and 300 seconds")?;
    invalid((2..=120).contains(&health.timeout), "Health check timeout must be between 2 and 120 seconds")?;
    invalid(health.timeout <= health.interval, "Health check timeout must not be longer than the interval")?;
    invalid((2..=10).contains(&health.healthy), "Healthy threshold count must be between 2 and 10")?;
    invalid((2..=10).contains(&health.unhealthy), "Unhealthy threshold count must be between 2 and 10")?;
    invalid(health.port != Some(0), "Health check port must be between 1 and 65535")?;
    match health.protocol {
        HealthProtocol::Tcp => {
            let has_http = health.path.is_some() || health.codes.is_some();
            invalid(!has_http, "Health check path and matcher are supported for HTTP and HTTPS only")?;
            Ok(health.clone())
        }
        HealthProtocol::Http | HealthProtocol::Https => {
            let path = health.path.clone().unwrap_or_else(|| "/".to_owned());
            invalid(path.starts_with('/') && path.len() <= 1024, "Health check path must begin with a '/'")?;
            let codes = health.codes.clone().unwrap_or_else(|| "200-399".to_owned());
            invalid(are_codes(&codes), "Health check matcher HTTP code must be within 200 to 599")?;
            Ok(HealthCheck { path: Some(path), codes: Some(codes), ..health.clone() })
        }
    }
}

fn are_codes(codes: &str) -> bool {
    let is_code = |code: &str| code.parse::<u16>().is_ok_and(|code| (200..=599).contains(&code));
    let is_part = |part: &str| match part.split_once('-') {
        Some((from, to)) => is_code(from) && is_code(to) && from <= to,
        None => is_code(part),
    };
    codes.split(',').all(is_part)
}
