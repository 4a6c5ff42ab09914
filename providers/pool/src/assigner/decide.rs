//! What a Service is to have, judged from everything that is known, without changing anything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_model::{Family, Labels, LoadBalancerProfile, NamespaceName, PoolName, Reason, Selector};

use super::acquire::{Acquired, acquire};
use super::book::Book;
use super::services::{Service, Services};
use super::waiting::WaitKey;
use crate::claims::is_held_by;
use crate::profiles::ProfileTable;
use crate::reason::{Barrier, Refusal};
use crate::sharing;
use crate::view::{ClaimView, ServiceView};
use crate::wanted::{Wanted, families};

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// The Services.
    pub services: Services,
    /// The Namespaces with their labels.
    pub namespaces: BTreeMap<NamespaceName, Labels>,
    /// The profiles that hold.
    pub profiles: ProfileTable,
    /// Who has which address.
    pub book: Book,
}

/// What is to become of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It goes: it keeps what it has and gets nothing new.
    Leave,
    /// It is not ours: what it has of us is taken back.
    Release,
    /// It is ours.
    Assign(Box<Assignment>),
}

/// What a Service of ours is to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// The addresses in the order of its families.
    pub chosen: Vec<Choice>,
    /// What is wrong, if anything.
    pub problem: Option<Refusal>,
    /// The second family that it prefers to have and cannot get.
    pub missing: Option<(Family, Refusal)>,
    /// Whether an answer that is on its way decides about a part of it.
    pub pending: bool,
    /// What can change the answer.
    pub waits: Vec<WaitKey>,
}

/// An address for a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The address.
    pub address: IpAddr,
    /// What must be written into its claim first.
    pub act: Act,
}

/// How an address is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The claim is right as it is.
    Nothing,
    /// There is no claim yet.
    Create,
    /// The claim that is there is rewritten.
    Bind,
}

/// Of several refusals, the one that the condition tells already, else the first: a restart tells nothing new.
fn the_one_told(view: &ServiceView, refusals: Vec<(Family, Refusal)>) -> Option<(Family, Refusal)> {
    let told = |refusal: &Refusal| {
        let text = refusal.to_string();
        view.condition.as_ref().is_some_and(|c| c.reason == refusal.code() && c.message.ends_with(&text))
    };
    let at = if refusals.len() > 1 { refusals.iter().position(|(_, r)| told(r)) } else { None };
    refusals.into_iter().nth(at.unwrap_or_default())
}

impl Index {
    /// The profile that makes `service` ours.
    pub fn profile_of(&self, service: &ServiceView) -> Option<&LoadBalancerProfile> {
        if !service.is_load_balancer {
            return None;
        }
        self.profiles.profile_for(service.class.as_deref())
    }

    /// The claims that exactly this Service holds, by address.
    pub fn held_by(&self, service: &ServiceView) -> Vec<(IpAddr, &ClaimView)> {
        let named = self.book.claims_naming(&service.key);
        named.filter(|(_, view)| is_held_by(&view.claim, &service.key, &service.uid)).collect()
    }

    /// What is to become of `service`.
    pub fn plan(&self, service: &Service, now: daymark_model::Timestamp) -> Plan {
        let view = &service.view;
        let Some(profile) = self.profile_of(view) else { return Plan::Release };
        if view.deleting {
            return Plan::Leave;
        }
        match Wanted::of(view) {
            Ok(wanted) => Plan::Assign(Box::new(self.assign(service, &wanted, profile, now))),
            Err(refusal) => Plan::Assign(Box::new(self.keep_despite(view, refusal))),
        }
    }

    fn assign(
        &self,
        service: &Service,
        wanted: &Wanted<'_>,
        profile: &LoadBalancerProfile,
        now: daymark_model::Timestamp,
    ) -> Assignment {
        let view = &service.view;
        let held = self.held_by(view);
        let mut result = Assignment::default();
        let mut refusals: Vec<(Family, Refusal)> = Vec::new();
        for family in wanted.families() {
            let acceptable = held.iter().filter(|(address, _)| {
                Family::of(*address) == family && self.is_acceptable(view, wanted, *address)
            });
            if let Some(choice) = self.best_held(view, acceptable) {
                result.chosen.push(choice);
                continue;
            }
            match acquire(self, service, wanted, profile, family, now) {
                Acquired::Choice(choice) => result.chosen.push(choice),
                Acquired::Pending(waits) => {
                    result.pending = true;
                    result.waits.extend(waits);
                }
                Acquired::Refused(refusal, waits) => {
                    refusals.push((family, refusal));
                    result.waits.extend(waits);
                }
            }
        }
        let Some((family, refusal)) = the_one_told(view, refusals) else {
            result.problem = self.gone_pool(&result.chosen);
            return result;
        };
        if wanted.all_or_nothing {
            // What already serves is kept: a family that cannot be added takes nothing away.
            let shown: Vec<IpAddr> = view.shown().collect();
            result.chosen.retain(|choice| {
                shown.contains(&choice.address) && held.iter().any(|(address, _)| *address == choice.address)
            });
            result.pending = false;
            result.problem = Some(refusal);
        } else if result.chosen.is_empty() && !result.pending
            || wanted.address(family).is_some()
            || !wanted.pools.is_empty()
        {
            result.problem = Some(refusal);
        } else {
            result.problem = self.gone_pool(&result.chosen);
            result.missing = Some((family, refusal));
        }
        result
    }

    /// With a request that cannot be fulfilled as written, a Service keeps what it has.
    fn keep_despite(&self, view: &ServiceView, refusal: Refusal) -> Assignment {
        let held = self.held_by(view);
        let mut chosen = Vec::new();
        if let Ok((first, second)) = families(view) {
            for family in std::iter::once(first).chain(second) {
                let kept = held.iter().filter(|(address, _)| {
                    Family::of(*address) == family && self.keeps_its_place(view, *address)
                });
                chosen.extend(self.best_held(view, kept));
            }
        }
        Assignment { chosen, problem: Some(refusal), ..Assignment::default() }
    }

    /// Of several claims on addresses of one family, the one in the status, else the oldest.
    fn best_held<'a>(
        &self,
        view: &ServiceView,
        held: impl Iterator<Item = &'a (IpAddr, &'a ClaimView)>,
    ) -> Option<Choice> {
        let shown: Vec<IpAddr> = view.shown().collect();
        let (address, claim) =
            held.min_by_key(|(address, claim)| (!shown.contains(address), claim.created_at, *address))?;
        let keeper = self.keepers(*address).first().map(|keeper| keeper.key.clone());
        let leads = keeper.as_ref() == Some(&view.key);
        let rewrite = leads
            && (claim.claim.sharing_key != view.sharing_key
                || self.home_name(*address).is_some_and(|home| claim.claim.pool.as_ref() != Some(&home)));
        Some(Choice { address: *address, act: if rewrite { Act::Bind } else { Act::Nothing } })
    }

    /// Whether a held address is what the Service asks for.
    fn is_acceptable(&self, view: &ServiceView, wanted: &Wanted<'_>, address: IpAddr) -> bool {
        wanted.address(Family::of(address)).is_none_or(|requested| requested == address)
            && self.fits_named_pools(wanted, address)
            && self.keeps_its_place(view, address)
    }

    /// Whether the pools that the Service names, if any, let it have `address`.
    ///
    /// An address that no pool contains stays, and so does every address while none of the named pools exists: a pool
    /// that is renamed moves nothing.
    pub fn fits_named_pools(&self, wanted: &Wanted<'_>, address: IpAddr) -> bool {
        let at = self.book.pools_at(address);
        wanted.pools.is_empty()
            || at.is_empty()
            || wanted.pools.iter().any(|name| at.contains(name))
            || wanted.pools.iter().all(|name| self.book.pool(name).is_none())
    }

    fn keeps_its_place(&self, view: &ServiceView, address: IpAddr) -> bool {
        self.keepers(address).iter().any(|keeper| keeper.key == view.key)
    }

    /// Of the Services that hold `address`, those that fit together: who shows it already comes first, then the oldest.
    fn keepers(&self, address: IpAddr) -> Vec<&ServiceView> {
        let Some(claim) = self.book.claim(address) else { return Vec::new() };
        let mut holders: Vec<&Service> = claim
            .claim
            .holders
            .iter()
            .filter_map(|h| self.services.with_uid(&h.service, h.uid.as_ref()?))
            .filter(|service| self.profile_of(&service.view).is_some())
            .collect();
        holders.sort_by_cached_key(|s| (!s.view.shown().any(|shown| shown == address), s.rank()));
        let mut kept: Vec<&ServiceView> = Vec::new();
        for holder in holders {
            if kept.iter().all(|older| sharing::fit(&holder.view, older).is_ok()) {
                kept.push(&holder.view);
            }
        }
        kept
    }

    /// The name of the pool where `address` is at home.
    pub fn home_name(&self, address: IpAddr) -> Option<PoolName> {
        self.book.home(address).map(|state| state.pool.name.clone())
    }

    fn gone_pool(&self, chosen: &[Choice]) -> Option<Refusal> {
        let gone = chosen.iter().find(|choice| self.book.pools_at(choice.address).is_empty())?;
        Some(Refusal::PoolGone { address: gone.address })
    }

    /// What keeps `view` from being served by a pool with these selectors.
    pub fn barrier(
        &self,
        view: &ServiceView,
        service_selector: Option<&Selector>,
        namespace_selector: Option<&Selector>,
    ) -> Option<Barrier> {
        if service_selector.is_some_and(|selector| !selector.matches(&view.labels)) {
            return Some(Barrier::ServiceSelector);
        }
        let labels = self.namespaces.get(&view.key.namespace);
        if namespace_selector.is_some_and(|selector| !labels.is_some_and(|labels| selector.matches(labels))) {
            return Some(Barrier::NamespaceSelector);
        }
        None
    }
}
