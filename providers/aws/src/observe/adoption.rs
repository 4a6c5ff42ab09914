//! What exists already and is to be taken over.

use std::collections::BTreeMap;

use daymark_model::ResourceKey;

use super::actual::Adoptable;
use super::describe::existing;
use super::look::{Look, describe_tags};
use crate::api::{
    Api, ApiError, DescribeLoadBalancers, DescribeSecurityGroups, DescribeTargetGroups, Filter, LoadBalancer,
    Tags, Which, ask,
};
use crate::model::Adopt;
use crate::naming::{FRONTEND_ROLE, LOAD_BALANCER_ROLE, kind};

const LBC_CLUSTER: &str = "elbv2.k8s.aws/cluster";
const LBC_STACK: &str = "service.k8s.aws/stack";
const LBC_RESOURCE: &str = "service.k8s.aws/resource";

impl<A: Api> Look<'_, A> {
    /// Looks for what is to be taken over, as long as it is not.
    pub(super) async fn adoptable(&mut self) -> Result<(), ApiError> {
        let Some(adopt) = self.nlb().and_then(|nlb| nlb.adopt.clone()) else { return Ok(()) };
        match adopt {
            Adopt::Arn(arn) => self.by_arn(arn).await,
            Adopt::Lbc { cluster, stack } => {
                if self.inventory.of_kind(kind::LOAD_BALANCER).next().is_some() {
                    return Ok(());
                }
                self.made_by_lbc(&cluster, &stack).await
            }
        }
    }

    async fn by_arn(&mut self, arn: String) -> Result<(), ApiError> {
        if self.known(kind::LOAD_BALANCER).contains_key(&arn) {
            return Ok(());
        }
        let call = |arns| DescribeLoadBalancers { which: Which::Arns(arns) };
        if let Some(found) = existing(self.api, &[arn], call).await?.into_iter().next() {
            self.adoptable_load_balancer(found).await?;
        }
        Ok(())
    }

    async fn adoptable_load_balancer(&mut self, found: LoadBalancer) -> Result<(), ApiError> {
        let generation = self.inventory.next_generation(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE);
        let key = ResourceKey::new(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE, generation);
        self.actual.adoptable.push(Adoptable {
            key: key.clone(),
            name: found.name.clone(),
            id: found.arn.clone(),
        });
        self.load_balancer(key, found).await
    }

    /// All load balancers of the VPC are looked through, once: afterwards the ids are known.
    async fn made_by_lbc(&mut self, cluster: &str, stack: &str) -> Result<(), ApiError> {
        let Some(vpc) = self.nlb().map(|nlb| nlb.vpc.clone()) else { return Ok(()) };
        let all = ask(self.api, DescribeLoadBalancers { which: Which::All }).await?;
        let all: Vec<LoadBalancer> = all.into_iter().filter(|one| one.is_network && one.vpc == vpc).collect();
        let arns: Vec<String> = all.iter().map(|one| one.arn.clone()).collect();
        let tags = describe_tags(self.api, &arns).await?;
        let is_it = |one: &LoadBalancer| {
            tags.get(&one.arn)
                .is_some_and(|tags| is_of(tags, cluster, stack) && resource(tags) == "LoadBalancer")
        };
        let Some(found) = all.into_iter().find(is_it) else { return Ok(()) };
        let arn = found.arn.clone();
        self.adoptable_load_balancer(found).await?;
        self.target_groups_of_lbc(&arn, cluster, stack).await?;
        self.group_of_lbc(cluster, stack, vpc).await
    }

    async fn target_groups_of_lbc(&mut self, arn: &str, cluster: &str, stack: &str) -> Result<(), ApiError> {
        let Some(nlb) = self.nlb() else { return Ok(()) };
        let roles: BTreeMap<String, String> = nlb
            .target_groups
            .iter()
            .map(|(role, wish)| (format!("{}:{}", wish.service, wish.service_port.port), role.clone()))
            .collect();
        let all = ask(self.api, DescribeTargetGroups { which: Which::All }).await?;
        let all: Vec<_> =
            all.into_iter().filter(|one| one.load_balancers.iter().any(|used_by| used_by == arn)).collect();
        let arns: Vec<String> = all.iter().map(|one| one.arn.clone()).collect();
        let tags = describe_tags(self.api, &arns).await?;
        for one in all {
            let Some(tags) = tags.get(&one.arn).filter(|tags| is_of(tags, cluster, stack)) else { continue };
            let Some(role) = roles.get(resource(tags)) else { continue };
            let generation = self.inventory.next_generation(kind::TARGET_GROUP, role);
            let key = ResourceKey::new(kind::TARGET_GROUP, role, generation);
            if self.actual.adoptable.iter().any(|other| other.key == key) {
                continue;
            }
            self.actual.adoptable.push(Adoptable {
                key: key.clone(),
                name: one.name.clone(),
                id: one.arn.clone(),
            });
            self.target_group(key, one).await?;
        }
        Ok(())
    }

    async fn group_of_lbc(&mut self, cluster: &str, stack: &str, vpc: String) -> Result<(), ApiError> {
        let tag = |name: &str, value: &str| (name.to_owned(), vec![value.to_owned()]);
        let tags =
            [tag(LBC_CLUSTER, cluster), tag(LBC_STACK, stack), tag(LBC_RESOURCE, "ManagedLBSecurityGroup")]
                .into();
        let filter = Filter { vpc: Some(vpc), tags, ..Filter::default() };
        let Some(found) = ask(self.api, DescribeSecurityGroups { filter }).await?.into_iter().next() else {
            return Ok(());
        };
        let generation = self.inventory.next_generation(kind::SECURITY_GROUP, FRONTEND_ROLE);
        let key = ResourceKey::new(kind::SECURITY_GROUP, FRONTEND_ROLE, generation);
        self.actual.adoptable.push(Adoptable {
            key: key.clone(),
            name: found.name.clone(),
            id: found.id.clone(),
        });
        self.own_group(key, found);
        Ok(())
    }
}

fn is_of(tags: &Tags, cluster: &str, stack: &str) -> bool {
    tags.get(LBC_CLUSTER).is_some_and(|tag| tag == cluster)
        && tags.get(LBC_STACK).is_some_and(|tag| tag == stack)
}

fn resource(tags: &Tags) -> &str {
    tags.get(LBC_RESOURCE).map_or("", String::as_str)
}
