//! The next write for a Service: claims it lacks, then its status, then claims it no longer wants.

use std::net::IpAddr;

use daymark_model::{Holder, Reason, ServiceKey, Timestamp};

use super::decide::{Act, Assignment, Choice, Plan};
use super::services::{Standing, WrittenStatus};
use super::status::{self, Statement};
use super::waiting::WaitKey;
use super::{Assigner, InFlight, Item};
use crate::claims::{self, Released};
use crate::io::{Write, WriteAction};
use crate::reason::Refusal;
use crate::view::ServiceView;

impl Assigner {
    /// Judges the Service `key` and gives out what comes next for it, if anything.
    pub(super) fn step_service(&mut self, now: Timestamp, key: &ServiceKey) -> Option<Write> {
        let service = self.index.services.get(key)?;
        if service.in_flight {
            return None;
        }
        let rank = service.rank();
        let write = self.step_free_service(now, key);
        self.pass_on(&rank);
        write
    }

    fn step_free_service(&mut self, now: Timestamp, key: &ServiceKey) -> Option<Write> {
        let service = self.index.services.get(key)?;
        if let Some(until) = service.pause.until(now) {
            self.at(until, Item::Service(key.clone()));
            return None;
        }
        let plan = self.index.plan(service, now);
        let view = service.view.clone();
        match plan {
            Plan::Leave => {
                self.leave_line(key);
                self.intend(key, &[]);
                let has_something = !self.index.held_by(&view).is_empty();
                self.stands(key, if has_something { Standing::Assigned } else { Standing::Outside });
                None
            }
            Plan::Release => {
                self.leave_line(key);
                self.intend(key, &[]);
                self.stands(key, Standing::Outside);
                if let Some(service) = self.index.services.get_mut(key) {
                    service.written = None;
                }
                if let Some(statement) = status::released(&self.index, &view) {
                    return Some(self.patch(&view, statement));
                }
                self.release_all_but(now, &view, &[])
            }
            Plan::Assign(assignment) => self.assign(now, &view, *assignment),
        }
    }

    fn assign(&mut self, now: Timestamp, view: &ServiceView, assignment: Assignment) -> Option<Write> {
        self.leave_line(&view.key);
        let refusal = assignment.problem.as_ref().or(assignment.missing.as_ref().map(|(_, refusal)| refusal));
        let standing = refusal.map_or(Standing::Assigned, |refusal| Standing::Waiting(refusal.code()));
        self.stands(&view.key, standing);
        let mut waits = assignment.waits.clone();
        let unclaimed: Vec<IpAddr> = assignment
            .chosen
            .iter()
            .filter(|choice| choice.act != Act::Nothing)
            .map(|choice| choice.address)
            .collect();
        let in_flight = |address: IpAddr| self.index.book.entry(address).is_some_and(|entry| entry.in_flight);
        waits.extend(unclaimed.iter().copied().filter(|a| in_flight(*a)).map(WaitKey::Address));
        let next = assignment
            .chosen
            .iter()
            .find(|choice| choice.act != Act::Nothing && !in_flight(choice.address))
            .cloned();
        self.intend(&view.key, &unclaimed);
        if refusal.is_some() || !waits.is_empty() {
            self.enter_line(&view.key, waits);
        }
        if let Some(choice) = next {
            return self.claim(view, &choice);
        }
        if assignment.pending || !unclaimed.is_empty() {
            return None;
        }
        if let Some(manager) = self.rival(now, &view.key) {
            return self.say_contested(now, view, &assignment, manager);
        }
        if let Some(statement) = status::assigned(&self.index, view, &assignment, now) {
            return Some(self.patch(view, statement));
        }
        let kept: Vec<IpAddr> = assignment.chosen.iter().map(|choice| choice.address).collect();
        self.release_all_but(now, view, &kept)
    }

    fn claim(&mut self, view: &ServiceView, choice: &Choice) -> Option<Write> {
        let address = choice.address;
        let pool = self.index.home_name(address);
        let key = view.sharing_key.clone();
        match (choice.act, self.index.book.claim(address)) {
            (Act::Nothing, _) => None,
            (Act::Create | Act::Bind, Some(known)) => {
                let claim = claims::bind(&known.claim, &view.key, &view.uid, key, pool);
                Some(self.replace(address, claim, Some(view)))
            }
            (Act::Create | Act::Bind, None) => {
                let claim = claims::create(address, &view.key, &view.uid, key, pool);
                let record = InFlight {
                    service: Some((view.key.clone(), view.uid.clone())),
                    claim: Some((address, None)),
                    news: None,
                };
                Some(self.give_out(WriteAction::CreateClaim(claim), record))
            }
        }
    }

    /// Lets go, one after the other, of the claims that `view` holds beyond `kept` and does not show any more.
    fn release_all_but(&mut self, now: Timestamp, view: &ServiceView, kept: &[IpAddr]) -> Option<Write> {
        let shown: Vec<IpAddr> = if view.is_load_balancer { view.shown().collect() } else { Vec::new() };
        let surplus: Vec<IpAddr> = self
            .index
            .held_by(view)
            .into_iter()
            .map(|(address, _)| address)
            .filter(|address| !kept.contains(address) && !shown.contains(address))
            .collect();
        let mut blocked = Vec::new();
        for address in surplus {
            if self.index.book.entry(address).is_some_and(|entry| entry.in_flight) {
                blocked.push(WaitKey::Address(address));
                continue;
            }
            let holder = Holder { service: view.key.clone(), uid: Some(view.uid.clone()) };
            return self.let_go(now, address, &[holder], Some(view));
        }
        if !blocked.is_empty() {
            let already =
                self.index.services.get(&view.key).and_then(|s| s.waits.clone()).unwrap_or_default();
            self.leave_line(&view.key);
            self.enter_line(&view.key, already.into_iter().chain(blocked).collect());
        }
        None
    }

    /// Takes `leaving` off the claim on `address`.
    pub(super) fn let_go(
        &mut self,
        now: Timestamp,
        address: IpAddr,
        leaving: &[Holder],
        by: Option<&ServiceView>,
    ) -> Option<Write> {
        let rest = self.index.book.quarantine(address).duration();
        let known = self.index.book.claim(address)?;
        match claims::release(&known.claim, leaving, now, rest) {
            Released::Replace(claim) => Some(self.replace(address, claim, by)),
            Released::Delete => Some(self.delete(address, by)?),
        }
    }

    fn replace(&mut self, address: IpAddr, claim: daymark_model::Claim, by: Option<&ServiceView>) -> Write {
        let known = self.index.book.claim(address);
        let (uid, resource_version) = known
            .map(|view| (view.uid.clone(), view.resource_version.clone()))
            .unwrap_or_else(|| ("".into(), "".into()));
        let record = InFlight {
            service: by.map(|view| (view.key.clone(), view.uid.clone())),
            claim: Some((address, Some(uid.clone()))),
            news: None,
        };
        self.give_out(WriteAction::ReplaceClaim { claim, uid, resource_version }, record)
    }

    pub(super) fn delete(&mut self, address: IpAddr, by: Option<&ServiceView>) -> Option<Write> {
        let known = self.index.book.claim(address)?;
        let (uid, resource_version) = (known.uid.clone(), known.resource_version.clone());
        let record = InFlight {
            service: by.map(|view| (view.key.clone(), view.uid.clone())),
            claim: Some((address, Some(uid.clone()))),
            news: None,
        };
        Some(self.give_out(WriteAction::DeleteClaim { address, uid, resource_version }, record))
    }

    fn patch(&mut self, view: &ServiceView, statement: Statement) -> Write {
        // Until the answer is there, nobody else may have what the status is about to show.
        let announced: Vec<IpAddr> = statement.patch.ingress.iter().flatten().filter_map(|i| i.ip).collect();
        self.intend(&view.key, &announced);
        if let Some(service) = self.index.services.get_mut(&view.key) {
            service.writing = Some(WrittenStatus::by(&statement.patch, view));
        }
        let record = InFlight {
            service: Some((view.key.clone(), view.uid.clone())),
            claim: None,
            news: statement.news,
        };
        let action = WriteAction::PatchServiceStatus {
            key: view.key.clone(),
            uid: view.uid.clone(),
            resource_version: view.resource_version.clone(),
            patch: statement.patch,
        };
        self.give_out(action, record)
    }

    /// Whether we stay away from the status of `key`, and whose it is then.
    fn rival(&mut self, now: Timestamp, key: &ServiceKey) -> Option<String> {
        let service = self.index.services.get_mut(key)?;
        let until = service.contest.away_until(now)?;
        let manager = service.view.ingress_manager.clone().unwrap_or_else(|| "another controller".to_owned());
        self.at(until, Item::Service(key.clone()));
        Some(manager)
    }

    /// Says so once in the condition; a rival that overwrites that too has the last word.
    fn say_contested(
        &mut self,
        now: Timestamp,
        view: &ServiceView,
        assignment: &Assignment,
        manager: String,
    ) -> Option<Write> {
        let service = self.index.services.get_mut(&view.key)?;
        if service.contest.is_said() {
            return None;
        }
        service.contest.say();
        let refusal = Refusal::StatusContested { manager };
        self.stands(&view.key, Standing::Waiting(refusal.code()));
        let statement = status::contested(&self.index, view, assignment, &refusal, now)?;
        Some(self.patch(view, statement))
    }

    /// `key` intends to have exactly `addresses`, beyond those that it holds.
    fn intend(&mut self, key: &ServiceKey, addresses: &[IpAddr]) {
        let Some(service) = self.index.services.get_mut(key) else { return };
        if service.intended == addresses {
            return;
        }
        let sharing_key = service.view.sharing_key.clone();
        let before = std::mem::replace(&mut service.intended, addresses.to_vec());
        for address in before.iter().filter(|a| !addresses.contains(a)) {
            self.index.book.edit(*address, |entry| entry.intended_by.retain(|(of, _)| of != key));
            self.line_up(Item::Claim(*address));
        }
        for address in addresses.iter().filter(|a| !before.contains(a)) {
            self.index
                .book
                .edit(*address, |entry| entry.intended_by.push((key.clone(), sharing_key.clone())));
        }
    }

    fn enter_line(&mut self, key: &ServiceKey, waits: Vec<WaitKey>) {
        let Some(service) = self.index.services.get_mut(key) else { return };
        self.waiting.enter(&service.rank(), &waits);
        service.waits = Some(waits);
    }

    fn leave_line(&mut self, key: &ServiceKey) {
        let Some(service) = self.index.services.get_mut(key) else { return };
        if let Some(waits) = service.waits.take() {
            self.waiting.leave(&service.rank(), &waits);
        }
    }
}
