//! Security groups and their rules.

use daymark_aws::api::{Filter, Ingress, IngressRule, Peer, RuleProtocol, SecurityGroup, Tags};
use ipnet::IpNet;

use crate::clock::{Birth, Lagged};
use crate::network::fits;
use crate::quota::within;
use crate::refusal::{Answer, Refusal, refusal, refuse, require};
use crate::state::State;
use crate::tags;

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) vpc: String,
    pub(crate) tags: Lagged<Tags>,
    pub(crate) birth: Birth,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) group: String,
    pub(crate) ingress: Ingress,
    pub(crate) description: String,
    pub(crate) birth: Birth,
}

impl State {
    pub(crate) fn describe_security_groups(&self, filter: &Filter) -> Answer<Vec<SecurityGroup>> {
        let is_by_id = !filter.ids.is_empty();
        let lag = if is_by_id { self.consistency.identities } else { self.consistency.lists };
        for id in &filter.ids {
            self.groups
                .get(id)
                .filter(|group| group.birth.is_seen(self.now, lag))
                .ok_or_else(|| missing(id))?;
        }
        let seen = self.groups.iter().filter(|(_, group)| group.birth.is_seen(self.now, lag));
        let shown = seen.map(|(id, group)| SecurityGroup {
            id: id.clone(),
            name: group.name.clone(),
            vpc: group.vpc.clone(),
            tags: group.tags.seen(self.now, self.consistency.tags).clone(),
        });
        let lets_in = |group: &SecurityGroup| {
            let is_let_in = |rule: &IngressRule| match &rule.ingress.peer {
                Peer::Group(peer) => filter.letting_in.contains(peer),
                Peer::Cidr(_) | Peer::PrefixList(_) => false,
            };
            filter.letting_in.is_empty()
                || self.describe_rules(std::slice::from_ref(&group.id)).iter().any(is_let_in)
        };
        let fits = |group: &SecurityGroup| fits(filter, &group.id, &group.vpc, &group.tags, &group.name);
        Ok(shown.filter(|group| fits(group) && lets_in(group)).collect())
    }

    pub(crate) fn describe_rules(&self, groups: &[String]) -> Vec<IngressRule> {
        let lag = self.consistency.lists;
        let of = self.rules.iter().filter(|(_, rule)| groups.is_empty() || groups.contains(&rule.group));
        of.filter(|(_, rule)| rule.birth.is_seen(self.now, lag)).map(|(id, rule)| shown(id, rule)).collect()
    }

    pub(crate) fn create_security_group(
        &mut self,
        name: &str,
        description: &str,
        vpc: &str,
        tags: &Tags,
    ) -> Answer<String> {
        self.vpc(vpc)?;
        check_text("groupName", name)?;
        check_text("groupDescription", description)?;
        require(!name.is_empty(), "MissingParameter", "The request must contain the parameter groupName")?;
        require(
            !description.is_empty(),
            "MissingParameter",
            "The request must contain the parameter groupDescription",
        )?;
        require(
            !name.starts_with("sg-"),
            "InvalidParameterValue",
            "Group names may not be in the format sg-*",
        )?;
        let mut here = self.groups.values().filter(|group| group.vpc == vpc);
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        require(here.all(|group| group.name != name), "InvalidGroup.Duplicate", message)?;
        let count = self.groups.values().filter(|group| group.vpc == vpc).count();
        let message = "The maximum number of security groups has been reached.";
        require(within(count + 1, self.quotas.groups_per_vpc), "SecurityGroupLimitExceeded", message)?;
        tags::check(tags, self.quotas.tags, "TagLimitExceeded")?;
        let id = self.id("sg");
        let group = Group {
            name: name.to_owned(),
            vpc: vpc.to_owned(),
            tags: self.fresh(tags.clone(), Tags::new()),
            birth: self.birth(),
        };
        self.groups.insert(id.clone(), group);
        Ok(id)
    }

    /// A value that readers see late, where the caller made it.
    pub(crate) fn fresh<T: Clone>(&self, value: T, before: T) -> Lagged<T> {
        match self.hand {
            crate::clock::Hand::Caller => Lagged::fresh(value, before, self.now),
            crate::clock::Hand::Other => Lagged::settled(value, self.now),
        }
    }

    pub(crate) fn delete_security_group(&mut self, id: &str) -> Answer<()> {
        let group = self.groups.get(id).ok_or_else(|| missing(id))?;
        require(
            group.name != "default",
            "CannotDelete",
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"),
        )?;
        let is_on = |groups: &[String]| groups.iter().any(|on| on == id);
        let is_attached = self.interfaces.values().any(|interface| is_on(&interface.groups))
            || self.balancers.values().any(|balancer| is_on(&balancer.security_groups));
        let refers = |rule: &crate::security_group::Rule| {
            rule.group != id && matches!(&rule.ingress.peer, Peer::Group(peer) if peer == id)
        };
        let is_referred = self.rules.values().any(refers);
        let message = format!("resource {id} has a dependent object");
        require(!is_attached && !is_referred, "DependencyViolation", message)?;
        self.groups.remove(id);
        self.rules.retain(|_, rule| rule.group != id);
        Ok(())
    }

    pub(crate) fn authorize(&mut self, group: &str, asked: &[Ingress], description: &str) -> Answer<()> {
        self.groups.get(group).ok_or_else(|| missing(group))?;
        check_text("description", description)?;
        require(
            !asked.is_empty(),
            "MissingParameter",
            "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.",
        )?;
        let mut rules: Vec<Ingress> = Vec::new();
        for ingress in asked {
            let ingress = self.checked_rule(ingress)?;
            require(
                !rules.contains(&ingress),
                "InvalidParameterValue",
                "The same permission must not appear multiple times",
            )?;
            let has = |rule: &Rule| rule.group == group && rule.ingress == ingress;
            let message = format!("the specified rule \"{ingress:?}\" already exists");
            require(!self.rules.values().any(has), "InvalidPermission.Duplicate", message)?;
            rules.push(ingress);
        }
        self.require_rule_quota(group, &rules)?;
        for ingress in rules {
            let id = self.id("sgr");
            let (group, description) = (group.to_owned(), description.to_owned());
            let rule = Rule { group, ingress, description, birth: self.birth() };
            self.rules.insert(id, rule);
        }
        Ok(())
    }

    /// A rule as EC2 keeps it.
    fn checked_rule(&self, ingress: &Ingress) -> Answer<Ingress> {
        let mut ingress = ingress.clone();
        match ingress.protocol {
            RuleProtocol::Tcp | RuleProtocol::Udp => {
                let fits = |port: i32| (0..=65535).contains(&port);
                let (from, to) = (ingress.from, ingress.to);
                let message = format!("Invalid TCP/UDP port range ({from}:{to})");
                require(fits(from) && fits(to) && from <= to, "InvalidParameterValue", message)?;
            }
            RuleProtocol::Icmp | RuleProtocol::Icmpv6 => {
                let fits = |number: i32| (-1..=255).contains(&number);
                let message = format!("ICMP code ({}) out of range", ingress.to);
                require(fits(ingress.from) && fits(ingress.to), "InvalidParameterValue", message)?;
            }
            RuleProtocol::All => (ingress.from, ingress.to) = (-1, -1),
        }
        match &mut ingress.peer {
            Peer::Cidr(cidr) => *cidr = cidr.trunc(),
            Peer::Group(peer) => {
                self.groups.get(peer).ok_or_else(|| missing(peer))?;
            }
            Peer::PrefixList(list) => {
                let message = format!("The prefix list ID '{list}' does not exist");
                require(self.prefix_lists.contains_key(list), "InvalidPrefixListID.NotFound", message)?;
            }
        }
        Ok(ingress)
    }

    /// A rule counts in the family of its CIDR; one for a group counts in both, one for a prefix list with all its entries.
    fn require_rule_quota(&self, group: &str, added: &[Ingress]) -> Answer<()> {
        let existing = self.rules.values().filter(|rule| rule.group == group).map(|rule| &rule.ingress);
        let (mut v4, mut v6) = (0, 0);
        for ingress in existing.chain(added) {
            let (four, six) = match &ingress.peer {
                Peer::Cidr(IpNet::V4(_)) => (1, 0),
                Peer::Cidr(IpNet::V6(_)) => (0, 1),
                Peer::Group(_) => (1, 1),
                Peer::PrefixList(list) => {
                    let entries = self.prefix_lists.get(list).copied().unwrap_or(1);
                    (entries, entries)
                }
            };
            v4 += four;
            v6 += six;
        }
        let message = "The maximum number of rules per security group has been reached.";
        require(v4.max(v6) <= self.quotas.rules, "RulesPerSecurityGroupLimitExceeded", message)
    }

    pub(crate) fn revoke(&mut self, group: &str, ids: &[String]) -> Answer<()> {
        self.groups.get(group).ok_or_else(|| missing(group))?;
        require(
            !ids.is_empty(),
            "MissingParameter",
            "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.",
        )?;
        for id in ids {
            if self.rules.get(id).is_none_or(|rule| rule.group != group) {
                let message = format!("The security group rule ID '{id}' does not exist");
                return refuse("InvalidSecurityGroupRuleId.NotFound", message);
            }
        }
        self.rules.retain(|id, _| !ids.contains(id));
        Ok(())
    }
}

pub(crate) fn shown(id: &str, rule: &Rule) -> IngressRule {
    IngressRule {
        id: id.to_owned(),
        group: rule.group.clone(),
        ingress: rule.ingress.clone(),
        description: rule.description.clone(),
    }
}

/// The refusal of a call about a group that is not there.
pub(crate) fn missing(id: &str) -> Refusal {
    refusal("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

/// EC2 allows 255 characters out of few.
fn check_text(what: &str, text: &str) -> Answer<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    let message = format!(
        "Value ({text}) for parameter {what} is invalid. Character sets beyond ASCII are not supported."
    );
    require(text.len() <= 255 && text.chars().all(is_allowed), "InvalidParameterValue", message)
}
