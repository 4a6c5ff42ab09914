//! What stands of Services that cannot be served as they are written now: a typing mistake takes nobody's traffic away.
//! Their listeners, rules and target groups stay as they are, and the targets go on following pods and nodes.

use std::collections::{BTreeMap, BTreeSet};

use daymark_model::{AwsProfile, Family, Inventory, Phase, Resource, ResourceKey};
use daymark_providers::view::{PortView, World};

use super::ports::protocol_word;
use super::targets::{endpoints, instances};
use super::written::Reader;
use crate::api::{Target, TargetType};
use crate::naming::{fact, family_word, kind};

/// What stands of Services that cannot be served as they are written now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The VPC.
    pub vpc: String,
    /// The names of those Services.
    pub services: BTreeSet<String>,
    /// Who gets the traffic of target groups that there are, as far as that can be told.
    pub targets: BTreeMap<ResourceKey, BTreeSet<Target>>,
}

impl Standing {
    /// What stands of `services`, by the `inventory` of their load balancer.
    pub fn of(
        services: impl IntoIterator<Item = String>,
        profile: &AwsProfile,
        world: &World,
        inventory: &Inventory,
    ) -> Self {
        let present = inventory.of_kind(kind::TARGET_GROUP).filter(|entry| entry.phase == Phase::Present);
        let targets = present.filter_map(|entry| Some((entry.key.clone(), targets(profile, world, entry)?)));
        Self {
            vpc: profile.vpc_id.clone(),
            services: services.into_iter().collect(),
            targets: targets.collect(),
        }
    }

    /// Whether a target group was made for the port of one of the Services.
    pub fn concerns(&self, target_group: &ResourceKey) -> bool {
        target_group.role.split_once('/').is_some_and(|(service, _)| self.services.contains(service))
    }
}

/// Who gets the traffic of a target group; `None` where that cannot be told, and who has it keeps it.
fn targets(profile: &AwsProfile, world: &World, group: &Resource) -> Option<BTreeSet<Target>> {
    let (name, port) = group.key.role.split_once('/')?;
    let (protocols, number) = port.rsplit_once('-')?;
    let number: u16 = number.parse().ok()?;
    let service = world.services.get(name)?;
    let with = |protocol: &str| {
        let is_meant = |port: &&PortView| port.port == number && protocol_word(port.protocol) == protocol;
        service.ports.iter().find(is_meant)
    };
    let ports: Vec<&PortView> = protocols.split('_').map(with).collect::<Option<_>>()?;
    match TargetType::parse(group.facts.get(fact::TARGET_TYPE)?)? {
        TargetType::Ip => {
            let said = group.facts.get(fact::FAMILY)?;
            let family = [Family::V4, Family::V6].into_iter().find(|family| said == family_word(*family))?;
            endpoints(world, name, &ports, family).ok()
        }
        TargetType::Instance => {
            let mut reader = Reader::new(profile, &service.annotations);
            let labels = reader.merged("target-node-labels");
            let node_port = ports.first()?.node_port?;
            let is_one = ports.iter().all(|port| port.node_port == Some(node_port));
            (is_one && reader.errors.is_empty()).then(|| instances(world, &labels, node_port))
        }
    }
}
