//! From Services and a profile to the load balancer that they want. Pure.

use std::collections::BTreeMap;

use daymark_model::{
    AwsProfile, Family, Inventory, Labels, PortProtocol, Protocol, ServiceKey, Timestamp, TrafficPolicy,
};
use daymark_providers::CloudError;
use daymark_providers::view::{PortView, ServiceView, TargetPort, World};

use super::annotations::{OWN_POOL, OWN_PREFIX, refusals};
use super::group::{Merged, conflicts};
use super::options::service_options;
use super::parts::{Parts, parts};
use super::settings::{LoadBalancerSettings, Read};
use super::{Adopt, Desired, Nlb, NlbPolicy, NodeAccessState, Standing};
use crate::naming::Owner;

/// For whom a load balancer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The namespace.
    pub namespace: String,
    /// The name of the CloudLoadBalancer.
    pub object: String,
    /// What tells it from a later one of that name.
    pub uid: String,
    /// The group, where several Services may share it.
    pub group: Option<String>,
    /// Names of Services, the oldest first; one, unless it is a group.
    pub members: Vec<String>,
}

/// What is wanted, and what of it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Built {
    /// The load balancer; `None` where no member can be served.
    pub nlb: Option<Nlb>,
    /// What keeps a Service from being served, by its name.
    pub refused: BTreeMap<String, Vec<CloudError>>,
    /// What holds otherwise than the author of a Service may think, by its name.
    pub warnings: BTreeMap<String, Vec<CloudError>>,
}

/// Builds the load balancer of `subject`.
///
/// The oldest member says what the load balancer is like as a whole. A member that is refused is left out, and the others
/// are served without it; this holds for the oldest too as long as its fault is about its own ports. Where what it says
/// about the load balancer cannot be read, all members wait: nobody else may say whom to let in.
pub fn build(profile: &AwsProfile, subject: &Subject, world: &World, node_access: NodeAccessState) -> Built {
    let mut built = Built::default();
    let serves = |service: &&ServiceView| service.is_load_balancer && !service.deleting;
    let mut members = subject.members.iter().filter_map(|name| world.services.get(name)).filter(serves);
    let Some(leader) = members.next() else { return built };
    let settings = match LoadBalancerSettings::read(profile, leader) {
        Ok((settings, warnings)) => {
            built.warn(leader, warnings);
            settings
        }
        Err(errors) => {
            built.refuse(leader, errors);
            members.for_each(|member| built.refuse(member, vec![waits_for(leader, subject)]));
            return built;
        }
    };
    let mut merged = Merged::default();
    for member in std::iter::once(leader).chain(members) {
        let brought = member_parts(profile, world, leader, &settings, member);
        let added = brought.and_then(|(parts, warnings)| merged.add(member, parts).map(|()| warnings));
        match added {
            Ok(warnings) => built.warn(member, warnings),
            Err(errors) => built.refuse(member, errors),
        }
    }
    if !merged.listeners.is_empty() {
        built.nlb = Some(load_balancer(profile, subject, leader, settings, merged, node_access));
    }
    built
}

impl Built {
    /// Takes out what the load balancer of this `inventory` should be; `None` = nobody can tell, and nothing stands. What it
    /// has of a Service that is refused stays with it.
    pub fn take_desired(
        &mut self,
        profile: &AwsProfile,
        world: &World,
        inventory: Option<&Inventory>,
    ) -> Option<Desired> {
        let standing = inventory
            .filter(|_| !self.refused.is_empty())
            .map(|inventory| Standing::of(self.refused.keys().cloned(), profile, world, inventory))
            .unwrap_or_default();
        match self.nlb.take() {
            Some(nlb) => Some(Desired::LoadBalancer(Box::new(Nlb { standing, ..nlb }))),
            None => (!standing.targets.is_empty()).then_some(Desired::Standing(standing)),
        }
    }

    fn refuse(&mut self, service: &ServiceView, errors: Vec<CloudError>) {
        self.refused.entry(service.key.name.to_string()).or_default().extend(errors);
    }

    fn warn(&mut self, service: &ServiceView, warnings: Vec<CloudError>) {
        if !warnings.is_empty() {
            self.warnings.entry(service.key.name.to_string()).or_default().extend(warnings);
        }
    }
}

fn waits_for(leader: &ServiceView, subject: &Subject) -> CloudError {
    let group = subject.group.as_deref().unwrap_or_default();
    let what = format!(
        "group {group:?} waits: Service {}, its oldest member, says what its load balancer is like, and that cannot be read",
        leader.key
    );
    CloudError::user("GroupWaits", what).remedy(format!("mend Service {}", leader.key))
}

fn member_parts(
    profile: &AwsProfile,
    world: &World,
    leader: &ServiceView,
    settings: &LoadBalancerSettings,
    member: &ServiceView,
) -> Read<Parts> {
    let mut errors = Vec::new();
    if member.key != leader.key {
        errors.extend(refusals(&member.annotations));
        // Unknown keys under our prefix are among the refusals already.
        let own = service_options(member).err().unwrap_or_default();
        errors.extend(own.into_iter().filter(|error| error.reason != "UnknownAnnotation"));
        if errors.is_empty() {
            errors.extend(conflicts(profile, leader, settings, member));
        }
    }
    match parts(profile, world, member, settings) {
        Ok((parts, mut warnings)) if errors.is_empty() => {
            warnings.extend(pool_warnings(member));
            Ok((parts, warnings))
        }
        Ok(_) => Err(errors),
        Err(of_ports) => {
            errors.extend(of_ports);
            Err(errors)
        }
    }
}

fn pool_warnings(service: &ServiceView) -> impl Iterator<Item = CloudError> {
    let keys = OWN_POOL.iter().map(|name| format!("{OWN_PREFIX}{name}"));
    let stated = keys.filter(|key| service.annotations.contains_key(key));
    stated.map(|key| {
        CloudError::user(
            "IgnoredAnnotation",
            format!("{key}: it is about pools, and the Service is served by AWS"),
        )
    })
}

fn load_balancer(
    profile: &AwsProfile,
    subject: &Subject,
    leader: &ServiceView,
    settings: LoadBalancerSettings,
    merged: Merged,
    node_access: NodeAccessState,
) -> Nlb {
    let LoadBalancerSettings { security, options, .. } = settings;
    let adopt = options.adopt.map(Adopt::Arn).or_else(|| {
        let takes_over = profile.adopt_lbc && subject.group.is_none();
        takes_over.then(|| Adopt::Lbc {
            cluster: profile.lbc_cluster_name.clone().unwrap_or_else(|| profile.cluster_name.clone()),
            stack: leader.key.to_string(),
        })
    });
    Nlb {
        owner: Owner {
            cluster: profile.cluster_name.clone(),
            namespace: subject.namespace.clone(),
            name: subject.object.clone(),
            uid: subject.uid.clone(),
        },
        vpc: profile.vpc_id.clone(),
        name: settings.name,
        adopt,
        scheme: settings.scheme,
        ip_address_type: settings.ip_address_type,
        subnets: settings.subnets,
        private_link_rules: security.private_link_rules,
        node_access: if security.opens_nodes { node_access } else { NodeAccessState::NotManaged },
        security: security.security,
        source_nat: settings.source_nat,
        attributes: settings.attributes,
        capacity: settings.capacity,
        tags: settings.tags,
        listeners: merged.listeners,
        target_groups: merged.target_groups,
        standing: Standing::default(),
        policy: NlbPolicy {
            subnets: profile.subnet_policy,
            drift: profile.drift,
            deletion: options.deletion.unwrap_or(profile.deletion),
            publish: options.wait_for.unwrap_or(profile.publish),
            address_form: profile.address_form,
            replacement_grace: profile.replacement_grace,
        },
    }
}

/// What is wrong with the defaults of a profile, whatever Service they are for.
pub fn check_profile(profile: &AwsProfile) -> Vec<CloudError> {
    let service = plain_service();
    let settings = match LoadBalancerSettings::read(profile, &service) {
        Ok((settings, _)) => settings,
        Err(errors) => return errors,
    };
    parts(profile, &World::default(), &service, &settings).err().unwrap_or_default()
}

/// A Service that nothing can be wrong with.
fn plain_service() -> ServiceView {
    let port = PortProtocol { protocol: Protocol::Tcp, port: 80 };
    ServiceView {
        key: ServiceKey::new("default", "any"),
        uid: "any".into(),
        created_at: Timestamp::default(),
        deleting: false,
        is_load_balancer: true,
        class: None,
        annotations: Labels::new(),
        ports: vec![PortView {
            name: String::new(),
            protocol: port.protocol,
            port: port.port,
            target_port: TargetPort::Number(port.port),
            node_port: Some(30_000),
        }],
        families: vec![Family::V4],
        traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        source_ranges: Vec::new(),
    }
}
