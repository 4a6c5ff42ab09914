//! What somebody else does in the account: any call, and what happens to nodes, subnets, addresses and certificates.

use std::sync::Arc;

use daymark_aws::api::{
    ApiError, Call, CreateListener, CreateLoadBalancer, CreateTargetGroup, Forward, HealthCheck,
    HealthProtocol, IpAddressType, LoadBalancerState, NlbProtocol, Scheme, Subnet, SubnetMapping, Tags,
    Target, TargetType,
};
use daymark_model::Family;
use ipnet::Ipv4Net;
use tokio::time::Instant;

use crate::Aws;
use crate::account;
use crate::clock::Hand;
use crate::network::InstanceState;
use crate::quota::Quotas;

impl Aws {
    /// Somebody else makes this call: at once, with no faults, in no log, and seen by all from then on.
    ///
    /// # Errors
    /// AWS's, as for everybody.
    pub fn as_other<C: Call>(&self, call: C) -> Result<C::Answer, ApiError> {
        let response = self.lock().apply(Hand::Other, &call.into_request())?;
        let garbled = || ApiError::new(C::ACTION, ApiError::GARBLED, "the answer is one to another call");
        C::answer(response).ok_or_else(garbled)
    }

    /// Somebody else has a network load balancer with this name in the private subnets.
    ///
    /// # Errors
    /// AWS's: a name that is taken with other settings, a quota.
    pub fn foreign_load_balancer(&self, name: &str, tags: Tags) -> Result<String, ApiError> {
        let create = CreateLoadBalancer {
            name: name.to_owned(),
            scheme: Scheme::Internal,
            ip_address_type: IpAddressType::Ipv4,
            subnets: self.account().private.iter().map(|subnet| mapping(subnet)).collect(),
            security_groups: Vec::new(),
            source_nat: false,
            tags,
        };
        Ok(self.as_other(create)?.arn)
    }

    /// Somebody else has an application load balancer with this name.
    ///
    /// # Errors
    /// As [`Self::foreign_load_balancer`].
    pub fn foreign_application_load_balancer(&self, name: &str) -> Result<String, ApiError> {
        let made = self.foreign_load_balancer(name, Tags::new())?;
        self.with_state(|state| {
            let Some(mut balancer) = state.balancers.remove(&made) else { return Ok(made.clone()) };
            balancer.is_network = false;
            balancer.arn = state.arn(&format!("loadbalancer/{}", balancer.path()));
            let arn = balancer.arn.clone();
            for interface in state.interfaces.values_mut().filter(|interface| interface.load_balancer == made)
            {
                interface.load_balancer.clone_from(&arn);
            }
            state.balancers.insert(arn.clone(), balancer);
            Ok(arn)
        })
    }

    /// The account has this many load balancers of others, each with a target group and a listener, beyond any quota.
    ///
    /// # Errors
    /// AWS's: names that are taken.
    pub fn crowd(&self, count: u32) -> Result<(), ApiError> {
        let unlimited = Quotas { load_balancers: u32::MAX, target_groups: u32::MAX, ..Quotas::default() };
        let quotas = self.with_state(|state| std::mem::replace(&mut state.quotas, unlimited));
        let made = (0..count).try_for_each(|number| self.neighbor(number));
        self.set_quotas(quotas);
        made
    }

    fn neighbor(&self, number: u32) -> Result<(), ApiError> {
        let owner: Tags = [("owner".to_owned(), format!("team-{}", number % 7))].into();
        let target_group = self.as_other(CreateTargetGroup {
            name: format!("crowd-{number}"),
            protocol: NlbProtocol::Tcp,
            port: 80,
            target_type: TargetType::Instance,
            family: Family::V4,
            vpc: self.account().vpc.clone(),
            health: plain_health(),
            tags: owner.clone(),
        })?;
        let load_balancer = self.roomy_load_balancer(&format!("crowd-{number}"), &owner)?;
        self.as_other(listener(&load_balancer, 80, &target_group.arn, owner))?;
        Ok(())
    }

    /// A load balancer of somebody else in a subnet of its own, so that it takes no address from ours.
    fn roomy_load_balancer(&self, name: &str, tags: &Tags) -> Result<String, ApiError> {
        let (vpc, zone) =
            (self.account().vpc.clone(), self.account().zones.first().cloned().unwrap_or_default());
        let net = Ipv4Net::new_assert([10, 0, 96, 0].into(), 20);
        let subnet = self.with_state(|state| {
            let own =
                |known: &&crate::network::Subnetwork| known.subnet.ipv4 == net && known.subnet.vpc == vpc;
            let known = state.subnets.values().find(own).map(|known| known.subnet.id.clone());
            known.unwrap_or_else(|| account::add_subnet(state, &vpc, &zone, net, Vec::new(), Tags::new()))
        });
        let create = CreateLoadBalancer {
            name: name.to_owned(),
            scheme: Scheme::Internal,
            ip_address_type: IpAddressType::Ipv4,
            subnets: vec![mapping(&subnet)],
            security_groups: Vec::new(),
            source_nat: false,
            tags: tags.clone(),
        };
        Ok(self.as_other(create)?.arn)
    }

    /// A load balancer is gone, whatever protected it.
    pub fn lose_load_balancer(&self, arn: &str) {
        self.with_state(|state| state.remove_load_balancer(arn));
    }

    /// A load balancer is in this state from now on; `None` = as time has it.
    pub fn force_state(&self, arn: &str, state: Option<(LoadBalancerState, &str)>) {
        let forced = state.map(|(state, reason)| (state, reason.to_owned()));
        self.with_state(|state| {
            if let Some(balancer) = state.balancers.get_mut(arn) {
                balancer.forced = forced;
            }
        });
    }

    /// An endpoint service uses a load balancer: it cannot be deleted.
    pub fn add_endpoint_service(&self, load_balancer: &str) {
        self.mark_endpoint_service(load_balancer, true);
    }

    /// The endpoint service is gone.
    pub fn remove_endpoint_service(&self, load_balancer: &str) {
        self.mark_endpoint_service(load_balancer, false);
    }

    fn mark_endpoint_service(&self, load_balancer: &str, has: bool) {
        self.with_state(|state| {
            if let Some(balancer) = state.balancers.get_mut(load_balancer) {
                balancer.has_endpoint_service = has;
            }
        });
    }

    /// A target (`i-…` or address) fails its checks wherever it is one.
    pub fn make_sick(&self, id: &str) {
        self.with_state(|state| state.sick.insert(id.to_owned()));
    }

    /// A target passes its checks again.
    pub fn make_well(&self, id: &str) {
        self.with_state(|state| state.sick.remove(id));
    }

    /// Decides whether targets pass their checks.
    pub fn set_health(&self, passes: impl Fn(&Target) -> bool + Send + Sync + 'static) {
        self.with_state(|state| state.health = Some(Arc::new(passes)));
    }

    /// A new node in a zone (counted from 0); its id.
    pub fn add_instance(&self, zone: usize) -> Option<String> {
        let account = self.account();
        let (zone, subnet) = (account.zones.get(zone)?, account.private.get(zone)?);
        Some(self.with_state(|state| {
            account::add_instance(state, &account.vpc, zone, subnet, &account.node_group)
        }))
    }

    /// A node is stopped: its targets are unused, and it cannot be registered.
    pub fn stop_instance(&self, id: &str) {
        self.set_instance(id, InstanceState::Stopped);
    }

    /// A stopped node runs again.
    pub fn start_instance(&self, id: &str) {
        self.set_instance(id, InstanceState::Running);
    }

    /// A node is gone for good; AWS deregisters it everywhere.
    pub fn terminate_instance(&self, id: &str) {
        self.set_instance(id, InstanceState::Terminated);
        self.with_state(|state| {
            let targets = |pool: &crate::target_group::Pool| {
                let own = pool.targets.keys().filter(|target| target.id == id);
                own.map(|target| (pool.arn.clone(), target.clone())).collect::<Vec<_>>()
            };
            let going: Vec<_> = state.pools.values().flat_map(targets).collect();
            for (pool, target) in going {
                state.drain(&pool, &target);
            }
        });
    }

    fn set_instance(&self, id: &str, to: InstanceState) {
        self.with_state(|state| {
            if let Some(instance) = state.instances.get_mut(id) {
                instance.state = to;
            }
        });
    }

    /// A VPC of its own with one subnet in the first zone; both ids.
    pub fn add_vpc(&self, cidr: Ipv4Net) -> (String, String) {
        let zone = self.account().zones.first().cloned().unwrap_or_default();
        self.with_state(|state| {
            let vpc = account::add_vpc(state, cidr);
            let subnet = account::add_subnet(state, &vpc, &zone, cidr, Vec::new(), Tags::new());
            (vpc, subnet)
        })
    }

    /// One more subnet in a zone (counted from 0) of the VPC.
    pub fn add_subnet(&self, zone: usize, ipv4: Ipv4Net, tags: Tags) -> Option<String> {
        let zone = self.account().zones.get(zone)?;
        let vpc = &self.account().vpc;
        Some(self.with_state(|state| account::add_subnet(state, vpc, zone, ipv4, Vec::new(), tags)))
    }

    /// Changes a subnet: its tags, its prefixes, its free addresses.
    pub fn edit_subnet(&self, id: &str, edit: impl FnOnce(&mut Subnet)) {
        self.with_state(|state| {
            if let Some(subnetwork) = state.subnets.get_mut(id) {
                edit(&mut subnetwork.subnet);
            }
        });
    }

    /// Something other than a load balancer uses an Elastic IP.
    pub fn take_elastic_ip(&self, allocation: &str) {
        self.with_state(|state| {
            if let Some(allocation) = state.allocations.get_mut(allocation) {
                allocation.is_taken = true;
            }
        });
    }

    /// An Elastic IP is released.
    pub fn release_elastic_ip(&self, allocation: &str) {
        self.with_state(|state| state.allocations.remove(allocation));
    }

    /// There is a prefix list that counts for so many rules.
    pub fn add_prefix_list(&self, id: &str, entries: u32) {
        self.with_state(|state| state.prefix_lists.insert(id.to_owned(), entries));
    }

    /// A certificate is imported.
    pub fn add_certificate(&self, arn: &str) {
        self.with_state(|state| state.certificates.insert(arn.to_owned()));
    }

    /// A certificate is deleted; listeners keep it.
    pub fn remove_certificate(&self, arn: &str) {
        self.with_state(|state| state.certificates.remove(arn));
    }

    /// Other quotas hold from now on; what exceeds them stays.
    pub fn set_quotas(&self, quotas: Quotas) {
        self.with_state(|state| state.quotas = quotas);
    }

    /// Other delays hold from now on.
    pub fn set_timing(&self, timing: crate::Timing) {
        self.with_state(|state| state.timing = timing);
    }

    /// Things are seen late by as much from now on.
    pub fn set_consistency(&self, consistency: crate::Consistency) {
        self.with_state(|state| state.consistency = consistency);
    }

    /// Other buckets hold from now on, full.
    pub fn set_throttle(&self, classes: Vec<crate::CallClass>) {
        self.lock().throttle = crate::throttle::Throttle::new(classes, Instant::now());
    }
}

pub(crate) fn mapping(subnet: &str) -> SubnetMapping {
    SubnetMapping { subnet: subnet.to_owned(), ..SubnetMapping::default() }
}

pub(crate) fn listener(load_balancer: &str, port: u16, target_group: &str, tags: Tags) -> CreateListener {
    CreateListener {
        load_balancer: load_balancer.to_owned(),
        port,
        protocol: NlbProtocol::Tcp,
        forward: vec![Forward { target_group: target_group.to_owned(), weight: 1 }],
        certificate: None,
        policy: None,
        alpn: None,
        tags,
    }
}

/// A health check that asks for nothing but a connection.
pub(crate) fn plain_health() -> HealthCheck {
    HealthCheck {
        protocol: HealthProtocol::Tcp,
        port: None,
        path: None,
        codes: None,
        interval: 10,
        timeout: 10,
        healthy: 3,
        unhealthy: 3,
    }
}
