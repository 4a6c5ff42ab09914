//! Load balancers: creation, state, security groups, families, deletion. Their zones are in [`crate::zone`].

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::api::{
    Attributes, CreateLoadBalancer, IpAddressType, LoadBalancer, LoadBalancerState, MAX_DESCRIBED, Scheme,
    Tags, Which,
};
use tokio::time::Instant;

use crate::attributes;
use crate::clock::{Birth, Hand, Lagged};
use crate::quota::within;
use crate::refusal::{Answer, refuse, require};
use crate::state::State;
use crate::tags::{self, missing};
use crate::target_group::Released;
use crate::zone::Enabled;

/// The hosted zone of the names of network load balancers in eu-west-1.
const HOSTED_ZONE: &str = "Z2IFOLAFXWLO4F";
/// More capacity units than this AWS does not reserve without being asked.
const MAX_CAPACITY: u32 = 5500;

#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) is_network: bool,
    pub(crate) scheme: Scheme,
    pub(crate) vpc: String,
    pub(crate) ip_address_type: IpAddressType,
    /// By zone.
    pub(crate) zones: BTreeMap<String, Enabled>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) private_link_rules: Option<bool>,
    pub(crate) source_nat: bool,
    pub(crate) attributes: Lagged<Attributes>,
    pub(crate) tags: Lagged<Tags>,
    pub(crate) capacity: u32,
    pub(crate) active_at: Instant,
    /// A state that it is in whatever the time, and why.
    pub(crate) forced: Option<(LoadBalancerState, String)>,
    pub(crate) has_endpoint_service: bool,
    pub(crate) birth: Birth,
}

impl Balancer {
    pub(crate) fn state(&self, now: Instant) -> LoadBalancerState {
        match &self.forced {
            Some((state, _)) => *state,
            None if now < self.active_at => LoadBalancerState::Provisioning,
            None => LoadBalancerState::Active,
        }
    }

    /// `net/NAME/NUMBER`, as ARNs of its listeners and descriptions of its interfaces call it.
    pub(crate) fn path(&self) -> String {
        let kind = if self.is_network { "net" } else { "app" };
        format!("{kind}/{}/{:016x}", self.name, self.number)
    }
}

/// Checks the name of a load balancer or target group.
pub(crate) fn check_name(what: &str, name: &str) -> Answer<()> {
    let invalid = |holds, message: String| require(holds, "ValidationError", message);
    invalid(!name.is_empty(), format!("{what} name cannot be empty"))?;
    invalid(name.len() <= 32, format!("{what} name '{name}' cannot be longer than '32' characters"))?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let message = format!(
        "{what} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
    );
    invalid(name.chars().all(is_allowed), message)?;
    let message = format!("{what} name '{name}' cannot begin or end with a hyphen(-)");
    invalid(!name.starts_with('-') && !name.ends_with('-'), message)
}

/// Whether a describe names no more than AWS takes.
pub(crate) fn check_count(named: &[String]) -> Answer<()> {
    let message = format!("Cannot describe more than {MAX_DESCRIBED} resources at once");
    require(named.len() <= MAX_DESCRIBED, "ValidationError", message)
}

impl State {
    pub(crate) fn balancer(&self, arn: &str) -> Answer<&Balancer> {
        self.balancers.get(arn).ok_or_else(|| missing(arn))
    }

    pub(crate) fn balancer_mut(&mut self, arn: &str) -> Answer<&mut Balancer> {
        self.balancers.get_mut(arn).ok_or_else(|| missing(arn))
    }

    pub(crate) fn describe_load_balancers(&self, which: &Which) -> Answer<Vec<LoadBalancer>> {
        let is_seen = |balancer: &&Balancer, lag| balancer.birth.is_seen(self.now, lag);
        let named: Vec<&Balancer> = match which {
            Which::Arns(arns) if !arns.is_empty() => {
                check_count(arns)?;
                let lag = self.consistency.identities;
                let one = |arn: &String| {
                    let balancer = self.balancers.get(arn).filter(|balancer| is_seen(balancer, lag));
                    balancer.ok_or_else(|| missing(arn))
                };
                arns.iter().map(one).collect::<Answer<_>>()?
            }
            Which::Names(names) if !names.is_empty() => {
                check_count(names)?;
                let lag = self.consistency.identities;
                let mut found = Vec::new();
                for name in names {
                    match self.balancers.values().find(|balancer| balancer.name == *name) {
                        Some(balancer) if is_seen(&balancer, lag) => found.push(balancer),
                        Some(_) | None => {
                            return refuse(
                                "LoadBalancerNotFound",
                                format!("Load balancers '[{name}]' not found"),
                            );
                        }
                    }
                }
                found
            }
            // AWS reads an empty list as none at all.
            Which::Arns(_) | Which::Names(_) | Which::All => {
                let lag = self.consistency.lists;
                let ghosts = self.ghosts.iter().map(|(balancer, _)| balancer);
                self.balancers.values().filter(|balancer| is_seen(balancer, lag)).chain(ghosts).collect()
            }
        };
        Ok(named.into_iter().map(|balancer| self.shown_balancer(balancer)).collect())
    }

    pub(crate) fn shown_balancer(&self, balancer: &Balancer) -> LoadBalancer {
        let zones = balancer.zones.iter().map(|(name, enabled)| self.shown_zone(name, enabled)).collect();
        LoadBalancer {
            arn: balancer.arn.clone(),
            name: balancer.name.clone(),
            dns_name: format!("{}-{:016x}.elb.{}.amazonaws.com", balancer.name, balancer.number, self.region),
            hosted_zone: HOSTED_ZONE.to_owned(),
            is_network: balancer.is_network,
            scheme: balancer.scheme,
            state: balancer.state(self.now),
            state_reason: balancer.forced.as_ref().map(|(_, reason)| reason.clone()),
            vpc: balancer.vpc.clone(),
            ip_address_type: balancer.ip_address_type,
            zones,
            security_groups: balancer.security_groups.clone(),
            private_link_rules: balancer.private_link_rules,
            source_nat: balancer.source_nat,
        }
    }

    pub(crate) fn create_load_balancer(&mut self, call: &CreateLoadBalancer) -> Answer<LoadBalancer> {
        check_name("Load balancer", &call.name)?;
        let message = format!("Load balancer name '{}' cannot begin with 'internal-'", call.name);
        require(!call.name.starts_with("internal-"), "ValidationError", message)?;
        if let Some(existing) = self.balancers.values().find(|balancer| balancer.name == call.name) {
            if !is_same(existing, call) {
                let message = format!(
                    "A load balancer with the same name '{}' exists, but with different settings",
                    call.name
                );
                return refuse("DuplicateLoadBalancerName", message);
            }
            return Ok(self.shown_balancer(existing));
        }
        let count = self.balancers.values().filter(|balancer| balancer.is_network).count();
        let message = "The maximum number of load balancers has been reached";
        require(within(count + 1, self.quotas.load_balancers), "TooManyLoadBalancers", message)?;
        tags::check(&call.tags, self.quotas.tags, "TooManyTags")?;
        let vpc = self.vpc_of(&call.subnets)?;
        self.check_groups(&vpc, &call.security_groups)?;
        let message = "Source NAT for IPv6 requires the dualstack IP address type";
        let may_nat = !call.source_nat || call.ip_address_type == IpAddressType::Dualstack;
        require(may_nat, "InvalidConfigurationRequest", message)?;
        let number = self.number();
        let mut balancer = Balancer {
            arn: String::new(),
            name: call.name.clone(),
            number,
            is_network: true,
            scheme: call.scheme,
            vpc,
            ip_address_type: call.ip_address_type,
            zones: BTreeMap::new(),
            security_groups: call.security_groups.clone(),
            private_link_rules: (!call.security_groups.is_empty()).then_some(true),
            source_nat: call.source_nat,
            attributes: Lagged::settled(attributes::of_load_balancer(call.scheme), self.now),
            tags: self.fresh(call.tags.clone(), Tags::new()),
            capacity: 0,
            active_at: match self.hand {
                Hand::Caller => self.now + self.timing.provisioning,
                Hand::Other => self.now,
            },
            forced: None,
            has_endpoint_service: false,
            birth: self.birth(),
        };
        balancer.arn = self.arn(&format!("loadbalancer/{}", balancer.path()));
        balancer.zones = self.zones(&balancer, &call.subnets)?;
        self.add_interfaces(&balancer, &BTreeSet::new());
        let shown = self.shown_balancer(&balancer);
        self.balancers.insert(balancer.arn.clone(), balancer);
        Ok(shown)
    }

    /// Whether these groups can be on an interface in this VPC.
    fn check_groups(&self, vpc: &str, groups: &[String]) -> Answer<()> {
        for id in groups {
            let group = self.groups.get(id);
            require(
                group.is_some(),
                "InvalidSecurityGroup",
                format!("The security group '{id}' does not exist"),
            )?;
            let is_here = group.is_some_and(|group| group.vpc == vpc);
            let message = format!("One or more security groups are invalid: '{id}' is not in VPC '{vpc}'");
            require(is_here, "InvalidConfigurationRequest", message)?;
        }
        let distinct: BTreeSet<&String> = groups.iter().collect();
        let message =
            format!("A load balancer may have {} security groups", self.quotas.groups_per_interface);
        require(
            within(distinct.len(), self.quotas.groups_per_interface),
            "InvalidConfigurationRequest",
            message,
        )
    }

    pub(crate) fn delete_load_balancer(&mut self, arn: &str) -> Answer<()> {
        let Some(balancer) = self.balancers.get(arn) else {
            return match missing(arn).code {
                "LoadBalancerNotFound" => Ok(()),
                _ => Err(missing(arn)),
            };
        };
        let is_protected = attributes::is_on(balancer.attributes.truth(), attributes::DELETION_PROTECTION);
        let message =
            format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        require(!is_protected, "OperationNotPermitted", message)?;
        let message = format!(
            "Load balancer '{arn}' cannot be deleted because it is currently associated with another service"
        );
        require(!balancer.has_endpoint_service, "ResourceInUse", message)?;
        self.remove_load_balancer(arn);
        Ok(())
    }

    /// Takes a load balancer away whatever protects it.
    pub(crate) fn remove_load_balancer(&mut self, arn: &str) {
        let Some(balancer) = self.balancers.remove(arn) else { return };
        let listeners: Vec<_> = self
            .listeners
            .values()
            .filter(|listening| listening.listener.load_balancer == arn)
            .cloned()
            .collect();
        self.listeners.retain(|_, listening| listening.listener.load_balancer != arn);
        let until = self.now + self.timing.target_groups_linger;
        let forwards = listeners.iter().flat_map(|listening| &listening.listener.forward);
        let touched: BTreeSet<String> = forwards.map(|forward| forward.target_group.clone()).collect();
        for pool in self.pools.values_mut().filter(|pool| touched.contains(&pool.arn)) {
            pool.released = Some(Released { by: arn.to_owned(), until });
        }
        self.due_at(until);
        self.refresh_use(&touched);
        self.release_interfaces(arn, |_| true);
        if !self.consistency.lists.is_zero() {
            let until = self.now + self.consistency.lists;
            self.ghosts.push((balancer, until));
            self.due_at(until);
        }
    }

    pub(crate) fn set_security_groups(
        &mut self,
        arn: &str,
        groups: &[String],
        private_link_rules: Option<bool>,
    ) -> Answer<()> {
        let balancer = self.balancer(arn)?;
        let message =
            "You cannot set security groups on a Network Load Balancer which was created without any";
        require(!balancer.security_groups.is_empty(), "InvalidConfigurationRequest", message)?;
        let message = "You must specify at least one security group";
        require(!groups.is_empty(), "InvalidConfigurationRequest", message)?;
        self.check_groups(&balancer.vpc, groups)?;
        for interface in self.interfaces.values_mut() {
            if interface.load_balancer == arn && interface.gone_at.is_none() {
                interface.groups = groups.to_vec();
            }
        }
        let balancer = self.balancer_mut(arn)?;
        balancer.security_groups = groups.to_vec();
        balancer.private_link_rules = private_link_rules.or(balancer.private_link_rules);
        Ok(())
    }

    pub(crate) fn load_balancer_attributes(&self, arn: &str) -> Answer<Attributes> {
        Ok(self.balancer(arn)?.attributes.seen(self.now, self.consistency.attributes).clone())
    }

    pub(crate) fn modify_load_balancer_attributes(&mut self, arn: &str, changes: &Attributes) -> Answer<()> {
        let (now, lag) = (self.now, self.consistency.attributes);
        let balancer = self.balancer_mut(arn)?;
        let all = attributes::change_load_balancer(balancer.attributes.truth(), changes)?;
        balancer.attributes.change(now, lag, |attributes| *attributes = all);
        Ok(())
    }

    pub(crate) fn modify_capacity(&mut self, arn: &str, units: u32) -> Answer<()> {
        let now = self.now;
        let balancer = self.balancer_mut(arn)?;
        let is_active = match balancer.state(now) {
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired => true,
            LoadBalancerState::Provisioning | LoadBalancerState::Failed => false,
        };
        let message = "Capacity can be reserved only while the load balancer is active";
        require(is_active, "InvalidConfigurationRequest", message)?;
        let message = format!("{MAX_CAPACITY} capacity units can be reserved");
        require(units <= MAX_CAPACITY, "CapacityUnitsLimitExceeded", message)?;
        balancer.capacity = units;
        Ok(())
    }
}

/// Whether a load balancer is what a creation asks for. Tags are not a setting: who asks for a name that somebody else has
/// with the same settings is given theirs.
fn is_same(existing: &Balancer, call: &CreateLoadBalancer) -> bool {
    let set = |groups: &[String]| groups.iter().cloned().collect::<BTreeSet<_>>();
    let mut subnets = call.subnets.clone();
    subnets.sort();
    let mut asked: Vec<_> = existing.zones.values().map(|enabled| enabled.asked.clone()).collect();
    asked.sort();
    existing.is_network
        && existing.scheme == call.scheme
        && existing.ip_address_type == call.ip_address_type
        && existing.source_nat == call.source_nat
        && asked == subnets
        && set(&existing.security_groups) == set(&call.security_groups)
}
