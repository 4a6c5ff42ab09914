//! Targets: who may be one, what becomes of it, and how many there may be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use daymark_aws::api::{LoadBalancerState, Target, TargetHealth, TargetState, TargetType};
use daymark_model::Family;
use tokio::time::Instant;

use crate::attributes::{self, DEREGISTRATION_DELAY};
use crate::network::InstanceState;
use crate::quota::within;
use crate::refusal::{Answer, refusal, refuse, require};
use crate::state::State;
use crate::target_group::Pool;

/// The zone of targets outside the VPC.
const ALL_ZONES: &str = "all";

/// A target that is registered, or was a moment ago.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) since: Instant,
    /// It was deregistered, and goes then.
    pub(crate) gone_at: Option<Instant>,
}

impl State {
    /// A target as AWS keeps it: with its zone, where that is known.
    fn checked_target(&self, pool: &Pool, target: &Target) -> Answer<Target> {
        require(
            target.port > 0,
            "ValidationError",
            format!("The port of target '{}' must be between 1 and 65535", target.id),
        )?;
        match pool.target_type {
            TargetType::Instance => {
                let message = "You cannot specify an Availability Zone for a target of type instance";
                require(target.zone.is_none(), "ValidationError", message)?;
                self.require_instance(&pool.vpc, &target.id)?;
                Ok(target.clone())
            }
            TargetType::Ip => self.checked_address(pool, target),
        }
    }

    fn checked_address(&self, pool: &Pool, target: &Target) -> Answer<Target> {
        let id = &target.id;
        let message = format!("The IP address '{id}' is not a valid IP address");
        let address: IpAddr = id.parse().map_err(|_| refusal("ValidationError", message))?;
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let message = format!("The IP address '{id}' is not of the IP address type of the target group");
        require(family == pool.family, "ValidationError", message)?;
        let is_inside = self.vpc(&pool.vpc)?.cidrs.iter().any(|cidr| cidr.contains(&address));
        let id = address.to_string();
        if is_inside {
            let own = self.zone_of(&pool.vpc, address).map(str::to_owned);
            let message = format!("The IP address '{id}' is not in the Availability Zone that was specified");
            require(target.zone.is_none() || target.zone == own, "ValidationError", message)?;
            return Ok(Target { id, port: target.port, zone: own });
        }
        require(
            is_private(address),
            "ValidationError",
            format!("The IP address '{id}' must be a private address"),
        )?;
        let message = format!(
            "The IP address '{id}' is outside the VPC '{}': the Availability Zone must be specified as '{ALL_ZONES}'",
            pool.vpc
        );
        require(target.zone.as_deref() == Some(ALL_ZONES), "ValidationError", message)?;
        Ok(Target { id, port: target.port, zone: target.zone.clone() })
    }

    pub(crate) fn register_targets(&mut self, arn: &str, targets: &[Target]) -> Answer<()> {
        let pool = self.pool(arn)?;
        require(!targets.is_empty(), "ValidationError", "At least one target must be specified")?;
        let mut after = pool.targets.clone();
        for target in targets {
            let target = self.checked_target(pool, target)?;
            if after.get(&target).is_none_or(|registered| registered.gone_at.is_some()) {
                after.insert(target, Registered { since: self.now, gone_at: None });
            }
        }
        let message = format!("The maximum number of targets of target group '{arn}' has been reached");
        require(within(after.len(), self.quotas.targets_per_group), "TooManyTargets", message)?;
        for balancer in self.users(arn) {
            self.require_target_quota(balancer, &[(arn, &after)])?;
        }
        self.pool_mut(arn)?.targets = after;
        Ok(())
    }

    /// Whether a load balancer may have the targets of its target groups, some of which are about to be others.
    pub(crate) fn require_target_quota(
        &self,
        balancer: &str,
        changed: &[(&str, &BTreeMap<Target, Registered>)],
    ) -> Answer<()> {
        let own = self.listeners.values().filter(|listening| listening.listener.load_balancer == balancer);
        let forwards = own.flat_map(|listening| &listening.listener.forward);
        let mut pools: Vec<&str> = forwards.map(|forward| &*forward.target_group).collect();
        pools.extend(changed.iter().map(|(arn, _)| *arn));
        pools.sort_unstable();
        pools.dedup();
        let (mut all, mut by_zone) = (0, BTreeMap::<&str, usize>::new());
        for arn in pools {
            let Some(pool) = self.pools.get(arn) else { continue };
            let targets =
                changed.iter().find(|(changed, _)| *changed == arn).map_or(&pool.targets, |(_, to)| to);
            all += targets.len();
            for target in targets.keys() {
                *by_zone.entry(self.target_zone(pool, target).unwrap_or(ALL_ZONES)).or_default() += 1;
            }
        }
        let is_cross_zone =
            attributes::is_on(self.balancer(balancer)?.attributes.truth(), attributes::CROSS_ZONE);
        let most = if is_cross_zone { all } else { by_zone.values().copied().max().unwrap_or_default() };
        let message = format!("The maximum number of targets of load balancer '{balancer}' has been reached");
        let fits =
            within(all, self.quotas.targets_per_load_balancer) && within(most, self.quotas.targets_per_zone);
        require(fits, "TooManyTargets", message)
    }

    fn target_zone<'a>(&'a self, pool: &Pool, target: &'a Target) -> Option<&'a str> {
        match pool.target_type {
            TargetType::Instance => self.instances.get(&target.id).map(|instance| &*instance.zone),
            TargetType::Ip => target.zone.as_deref(),
        }
    }

    pub(crate) fn deregister_targets(&mut self, arn: &str, targets: &[Target]) -> Answer<()> {
        let pool = self.pool(arn)?;
        require(!targets.is_empty(), "ValidationError", "At least one target must be specified")?;
        let mut going = Vec::new();
        for target in targets {
            let id = canonical(&target.id);
            let fits = |known: &&Target| {
                known.id == id
                    && known.port == target.port
                    && (target.zone.is_none() || target.zone == known.zone)
            };
            let fitting = pool.targets.keys().find(fits);
            // An address outside the VPC is known by its zone too.
            let is_outside = fitting.is_some_and(|known| known.zone.as_deref() == Some(ALL_ZONES));
            if is_outside && target.zone.is_none() {
                let message = format!("The Availability Zone of target '{}' must be specified", target.id);
                return refuse("ValidationError", message);
            }
            going.extend(fitting.cloned());
        }
        for target in going {
            self.drain(arn, &target);
        }
        Ok(())
    }

    /// A target finishes its connections, and goes; at once where no listener sends it any.
    pub(crate) fn drain(&mut self, arn: &str, target: &Target) {
        let now = self.now;
        let Some(pool) = self.pools.get_mut(arn) else { return };
        if pool.used_since.is_none() {
            pool.targets.remove(target);
            return;
        }
        let delay = pool.attributes.truth().get(DEREGISTRATION_DELAY).and_then(|delay| delay.parse().ok());
        let gone_at = now + Duration::from_secs(delay.unwrap_or(300));
        if let Some(registered) =
            pool.targets.get_mut(target).filter(|registered| registered.gone_at.is_none())
        {
            registered.gone_at = Some(gone_at);
            self.due_at(gone_at);
        }
    }

    pub(crate) fn describe_target_health(&self, arn: &str) -> Answer<Vec<TargetHealth>> {
        let pool = self.pool(arn)?;
        let enabled = self.enabled_zones(arn);
        let health = pool.targets.iter().map(|(target, registered)| {
            let (state, reason) = self.target_state(pool, target, registered, enabled.as_ref());
            TargetHealth { target: target.clone(), state, reason: reason.map(str::to_owned) }
        });
        Ok(health.collect())
    }

    /// Since when the zones are enabled in which the load balancer of a target group sends traffic.
    fn enabled_zones(&self, arn: &str) -> Option<BTreeMap<&str, Instant>> {
        let balancer = self.balancers.get(*self.users(arn).first()?)?;
        let since = |since: Instant| since.max(balancer.active_at);
        let zones = balancer.zones.iter().map(|(zone, enabled)| (&**zone, since(enabled.since)));
        let first = zones.clone().map(|(_, since)| since).min()?;
        let is_usable = balancer.state(self.now) != LoadBalancerState::Failed;
        is_usable.then(|| zones.chain([(ALL_ZONES, first)]).collect())
    }

    fn target_state(
        &self,
        pool: &Pool,
        target: &Target,
        registered: &Registered,
        enabled: Option<&BTreeMap<&str, Instant>>,
    ) -> (TargetState, Option<&'static str>) {
        if registered.gone_at.is_some() {
            return (TargetState::Draining, Some("Target.DeregistrationInProgress"));
        }
        let instance = self.instances.get(&target.id).map(|instance| instance.state);
        match instance {
            Some(InstanceState::Stopped | InstanceState::Terminated) => {
                return (TargetState::Unused, Some("Target.InvalidState"));
            }
            Some(InstanceState::Running) | None => {}
        }
        let (Some(used_since), Some(enabled)) = (pool.used_since, enabled) else {
            return (TargetState::Unused, Some("Target.NotInUse"));
        };
        let zone = self.target_zone(pool, target).unwrap_or(ALL_ZONES);
        let Some(zone_since) = enabled.get(zone) else {
            return (TargetState::Unused, Some("Target.NotInUse"));
        };
        let checked_from = registered.since.max(used_since).max(*zone_since);
        if self.now < checked_from {
            return (TargetState::Initial, Some("Elb.RegistrationInProgress"));
        }
        if self.now < checked_from + self.timing.first_checks {
            return (TargetState::Initial, Some("Elb.InitialHealthChecking"));
        }
        let passes = self.health.as_ref().is_none_or(|health| health(target));
        if self.sick.contains(&target.id) || !passes {
            return (TargetState::Unhealthy, Some("Target.FailedHealthChecks"));
        }
        (TargetState::Healthy, None)
    }
}

/// An id as AWS keeps it: an address has one spelling.
fn canonical(id: &str) -> String {
    id.parse::<IpAddr>().map_or_else(|_| id.to_owned(), |address| address.to_string())
}

/// RFC 1918, RFC 6598 and unique local addresses: what AWS takes from outside the VPC.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private() || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}
