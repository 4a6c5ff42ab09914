//! Security groups and their rules.

use daymark_model::ResourceKey;
use daymark_providers::{CloudError, Outcome};

use super::Hand;
use super::target_group::name_taken;
use crate::api::{
    Api, ApiError, AuthorizeSecurityGroupIngress, CreateSecurityGroup, DeleteSecurityGroup,
    DescribeNetworkInterfaces, DescribeSecurityGroups, Filter, Ingress, Peer, RevokeSecurityGroupIngress,
    Tags, ask,
};
use crate::model::PortRange;
use crate::naming::tag;
use crate::plan::operation::GroupRef;
use crate::refusal::{is_duplicate, is_gone, is_in_use, refusal};

impl<A: Api> Hand<'_, A> {
    pub(super) fn group_id(&self, group: &GroupRef) -> Result<String, CloudError> {
        match group {
            GroupRef::Own(key) => self.id(key),
            GroupRef::Id(id) => Ok(id.clone()),
        }
    }

    pub(super) async fn create_security_group(
        &mut self,
        key: &ResourceKey,
        name: &str,
        description: &str,
        vpc: &str,
        tags: &Tags,
    ) -> Result<Outcome, CloudError> {
        let call = CreateSecurityGroup {
            name: name.to_owned(),
            description: description.to_owned(),
            vpc: vpc.to_owned(),
            tags: tags.clone(),
        };
        let id = match ask(self.api, call).await {
            Ok(id) => id,
            Err(error) if is_duplicate(&error) => match self.same_group(name, vpc, tags).await? {
                Some(id) => id,
                None => return Ok(name_taken(name)),
            },
            Err(error) => return Err(refusal(error)),
        };
        self.inventory.made(key, &id, self.now);
        Ok(Outcome::Done)
    }

    /// The group of that name, if it is ours; `None` while AWS does not show it, or not its tags.
    async fn same_group(&self, name: &str, vpc: &str, tags: &Tags) -> Result<Option<String>, CloudError> {
        let filter = Filter { names: vec![name.to_owned()], vpc: Some(vpc.to_owned()), ..Filter::default() };
        let found = ask(self.api, DescribeSecurityGroups { filter }).await.map_err(refusal)?;
        let Some(group) = found.into_iter().next() else { return Ok(None) };
        if !group.tags.contains_key(tag::UID) {
            return Ok(None);
        }
        let same = |key| group.tags.get(key) == tags.get(key);
        if same(tag::UID) && same(tag::CLUSTER) {
            return Ok(Some(group.id));
        }
        let text = format!("a security group named {name} exists already, and is not of this Service");
        Err(CloudError::user("NameConflict", text).remedy("delete or rename it"))
    }

    pub(super) async fn authorize(
        &mut self,
        group: &str,
        rules: Vec<Ingress>,
        description: &str,
    ) -> Result<Outcome, CloudError> {
        match self.authorize_at_once(group, rules.clone(), description).await {
            Ok(()) => Ok(Outcome::Done),
            // AWS fails as a whole where one of them is there already.
            Err(error) if is_duplicate(&error) && rules.len() > 1 => {
                for rule in rules {
                    match self.authorize_at_once(group, vec![rule], description).await {
                        Ok(()) => {}
                        Err(error) if is_duplicate(&error) => {}
                        Err(error) => return Err(refusal(error)),
                    }
                }
                Ok(Outcome::Done)
            }
            Err(error) if is_duplicate(&error) => Ok(Outcome::Done),
            Err(error) => Err(refusal(error)),
        }
    }

    async fn authorize_at_once(
        &self,
        group: &str,
        rules: Vec<Ingress>,
        description: &str,
    ) -> Result<(), ApiError> {
        let (group, description) = (group.to_owned(), description.to_owned());
        ask(self.api, AuthorizeSecurityGroupIngress { group, rules, description }).await
    }

    pub(super) async fn authorize_nodes(
        &mut self,
        key: &ResourceKey,
        from: &ResourceKey,
        ranges: &[PortRange],
        description: &str,
    ) -> Result<Outcome, CloudError> {
        let from = self.id(from)?;
        let rule = |range: &PortRange| Ingress {
            protocol: range.protocol,
            from: i32::from(range.from),
            to: i32::from(range.to),
            peer: Peer::Group(from.clone()),
        };
        let rules = ranges.iter().map(rule).collect();
        let outcome = self.authorize(&key.role, rules, description).await?;
        self.inventory.made(key, &key.role, self.now);
        Ok(outcome)
    }

    pub(super) async fn revoke(&mut self, group: &str, rules: &[String]) -> Result<Outcome, CloudError> {
        match self.revoke_at_once(group, rules.to_vec()).await {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if is_gone(&error) => {
                for rule in rules {
                    match self.revoke_at_once(group, vec![rule.clone()]).await {
                        Ok(()) => {}
                        Err(error) if is_gone(&error) => {}
                        Err(error) => return Err(refusal(error)),
                    }
                }
                Ok(Outcome::Done)
            }
            Err(error) => Err(refusal(error)),
        }
    }

    async fn revoke_at_once(&self, group: &str, rules: Vec<String>) -> Result<(), ApiError> {
        ask(self.api, RevokeSecurityGroupIngress { group: group.to_owned(), rules }).await
    }

    pub(super) async fn delete_security_group(&mut self, key: &ResourceKey) -> Result<Outcome, CloudError> {
        let Some(id) = self.inventory.id(key).map(str::to_owned) else {
            self.inventory.gone(key);
            return Ok(Outcome::Done);
        };
        match ask(self.api, DeleteSecurityGroup { id: id.clone() }).await {
            Ok(()) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) if is_in_use(&error) => {
                let by = self.users_of(&id).await;
                return self.in_use(key, "WaitingForNetworkInterfaces", &by, error);
            }
            Err(error) => return Err(refusal(error)),
        }
        self.inventory.gone(key);
        Ok(Outcome::Done)
    }

    /// What a security group is on, in words; an answer for people, so that no error hinders.
    async fn users_of(&self, id: &str) -> String {
        let found =
            ask(self.api, DescribeNetworkInterfaces { group: id.to_owned() }).await.unwrap_or_default();
        let names: Vec<String> =
            found.iter().take(3).map(|one| format!("{} ({})", one.id, one.description)).collect();
        match (names.is_empty(), found.len().saturating_sub(names.len())) {
            (true, _) => "another security group or a network interface".to_owned(),
            (false, 0) => format!("network interface {}", names.join(", ")),
            (false, more) => format!("network interface {} and {more} more", names.join(", ")),
        }
    }
}
