//! Security groups: ours with their rules, those that the user gave, those of the nodes.

use std::collections::{BTreeMap, BTreeSet};

use daymark_providers::CloudError;

use super::actual::{FoundSecurityGroup, NodeGroup};
use super::describe::existing;
use super::look::Look;
use crate::api::{
    Api, ApiError, DescribeSecurityGroupRules, DescribeSecurityGroups, Filter, IngressRule, SecurityGroup,
    ask,
};
use crate::model::{Desired, NodeAccess, Security};
use crate::naming::kind;
use crate::plan::node_access::{backend_key, is_from_any, rules_key};
use crate::refusal::refusal;

impl<A: Api> Look<'_, A> {
    pub(super) async fn security_groups(&mut self) -> Result<(), CloudError> {
        self.own_groups().await.map_err(refusal)?;
        self.given_groups().await?;
        self.node_groups().await?;
        self.rules().await.map_err(refusal)
    }

    async fn own_groups(&mut self) -> Result<(), ApiError> {
        let mut known = self.known(kind::SECURITY_GROUP);
        if self.desired.is_none() && self.inventory.of_kind(kind::NODE_RULES).next().is_none() {
            // What is to go is deleted by its id; only rules in groups of the nodes are told by it.
            known.clear();
        }
        let ids: Vec<String> = known.keys().cloned().collect();
        let call = |ids| DescribeSecurityGroups { filter: Filter { ids, ..Filter::default() } };
        let mut found: BTreeMap<String, SecurityGroup> =
            existing(self.api, &ids, call).await?.into_iter().map(|one| (one.id.clone(), one)).collect();
        for (id, key) in known {
            match found.remove(&id) {
                Some(group) => self.own_group(key, group),
                None => self.absent(&key),
            }
        }
        let names = self.intended(kind::SECURITY_GROUP);
        if names.is_empty() {
            return Ok(());
        }
        let filter = Filter { names: names.keys().cloned().collect(), vpc: self.vpc(), ..Filter::default() };
        for one in ask(self.api, DescribeSecurityGroups { filter }).await? {
            if let Some(key) = names.get(&one.name)
                && self.is_ours(&one.tags)
            {
                self.recover(key, &one.name, &one.id);
                self.own_group(key.clone(), one);
            }
        }
        Ok(())
    }

    pub(super) fn own_group(&mut self, key: daymark_model::ResourceKey, group: SecurityGroup) {
        let found = FoundSecurityGroup { id: group.id, tags: group.tags, rules: Vec::new() };
        self.actual.security_groups.insert(key, found);
    }

    fn vpc(&self) -> Option<String> {
        match self.desired {
            Some(Desired::LoadBalancer(nlb)) => Some(nlb.vpc.clone()),
            Some(Desired::NodeAccess(access)) => Some(access.vpc.clone()),
            Some(Desired::Standing(_)) | None => None,
        }
    }

    /// The ids of the groups that the user gave by id or tag `Name`, in their order.
    async fn given_groups(&mut self) -> Result<(), CloudError> {
        let Some(nlb) = self.nlb() else { return Ok(()) };
        let Security::Given { groups, .. } = &nlb.security else { return Ok(()) };
        let names: Vec<String> = groups.iter().filter(|group| !group.starts_with("sg-")).cloned().collect();
        let mut by_name = BTreeMap::new();
        if !names.is_empty() {
            let tags = [("Name".to_owned(), names)].into();
            let filter = Filter { vpc: Some(nlb.vpc.clone()), tags, ..Filter::default() };
            for one in ask(self.api, DescribeSecurityGroups { filter }).await.map_err(refusal)? {
                by_name.insert(one.tags.get("Name").cloned().unwrap_or_default(), one.id);
            }
        }
        let id = |group: &String| {
            if group.starts_with("sg-") {
                return Ok(group.clone());
            }
            by_name.get(group).cloned().ok_or_else(|| {
                CloudError::user(
                    "SecurityGroupNotFound",
                    format!("there is no security group with the Name {group}"),
                )
                .remedy("check the security-groups annotation and the VPC of the profile")
            })
        };
        self.actual.given_groups = groups.iter().map(id).collect::<Result<_, _>>()?;
        Ok(())
    }

    async fn node_groups(&mut self) -> Result<(), CloudError> {
        let mut groups: BTreeMap<String, bool> =
            self.inventory.of_kind(kind::NODE_RULES).map(|entry| (entry.key.role.clone(), false)).collect();
        if let Some(Desired::NodeAccess(access)) = self.desired {
            for id in wanted_node_groups(self.api, access).await? {
                groups.insert(id, true);
            }
        }
        let group = |(id, wanted)| NodeGroup { id, wanted, rules: Vec::new() };
        self.actual.node_groups = groups.into_iter().map(group).collect();
        Ok(())
    }

    /// The rules of all these groups, at once.
    async fn rules(&mut self) -> Result<(), ApiError> {
        let own = self.actual.security_groups.values().map(|found| found.id.clone());
        let nodes = self.actual.node_groups.iter().map(|group| group.id.clone());
        let groups: Vec<String> = own.chain(nodes).collect::<BTreeSet<_>>().into_iter().collect();
        // What is to go takes its own rules with it.
        if groups.is_empty() || (self.desired.is_none() && self.actual.node_groups.is_empty()) {
            return Ok(());
        }
        let call = |groups| DescribeSecurityGroupRules { groups };
        let mut by_group: BTreeMap<String, Vec<IngressRule>> = BTreeMap::new();
        for rule in existing(self.api, &groups, call).await? {
            by_group.entry(rule.group.clone()).or_default().push(rule);
        }
        for found in self.actual.security_groups.values_mut() {
            found.rules = by_group.get(&found.id).cloned().unwrap_or_default();
        }
        for group in &mut self.actual.node_groups {
            group.rules = by_group.remove(&group.id).unwrap_or_default();
        }
        self.recover_node_rules();
        Ok(())
    }

    /// Enters rules of ours in groups of the nodes that no entry accounts for.
    fn recover_node_rules(&mut self) {
        let Some(backend) = self.inventory.id(&backend_key()).map(str::to_owned) else { return };
        let groups: Vec<String> = self
            .actual
            .node_groups
            .iter()
            .filter(|group| group.rules.iter().any(|rule| is_from_any(rule, &[&backend])))
            .map(|group| group.id.clone())
            .collect();
        for id in groups {
            let key = rules_key(&id);
            if self.inventory.id(&key).is_none() {
                self.recover(&key, "", &id);
            }
        }
    }
}

/// The security groups of the nodes.
async fn wanted_node_groups<A: Api>(api: &A, access: &NodeAccess) -> Result<Vec<String>, CloudError> {
    if !access.node_groups.is_empty() {
        let call = |ids| DescribeSecurityGroups { filter: Filter { ids, ..Filter::default() } };
        let found = existing(api, &access.node_groups, call).await.map_err(refusal)?;
        let found: BTreeSet<String> = found.into_iter().map(|group| group.id).collect();
        if let Some(missing) = access.node_groups.iter().find(|id| !found.contains(*id)) {
            let text = format!("the security group {missing} of the nodes does not exist");
            return Err(CloudError::user("NodeSecurityGroupUnknown", text)
                .remedy("correct nodeSecurityGroups of the LoadBalancerProfile"));
        }
        return Ok(found.into_iter().collect());
    }
    let tag = format!("kubernetes.io/cluster/{}", access.owner.cluster);
    let tags = [(tag.clone(), Vec::new())].into();
    let filter = Filter { vpc: Some(access.vpc.clone()), tags, ..Filter::default() };
    let found = ask(api, DescribeSecurityGroups { filter }).await.map_err(refusal)?;
    let ours = |group: &SecurityGroup| group.tags.contains_key(crate::naming::tag::UID);
    let ids: Vec<String> = found.into_iter().filter(|group| !ours(group)).map(|group| group.id).collect();
    if ids.is_empty() {
        let text =
            format!("no security group of the nodes is known: none in {} has the tag {tag}", access.vpc);
        return Err(CloudError::user("NodeSecurityGroupUnknown", text)
            .remedy("tag it, or name it in nodeSecurityGroups of the LoadBalancerProfile"));
    }
    Ok(ids)
}
