//! What the answer to a write changes.

use std::sync::Arc;

use daymark_model::Timestamp;

use super::input::Source;
use super::services::WrittenStatus;
use super::{Assigner, InFlight, Item, Overtaken};
use crate::io::{WriteId, WriteResult, Written};
use crate::view::{ClaimView, ServiceView};

/// How a write ended, without the object.
enum Outcome {
    Succeeded,
    Stale,
    Failed(Option<std::time::Duration>),
}

impl Assigner {
    pub(super) fn write_done(&mut self, now: Timestamp, id: WriteId, result: WriteResult) {
        let Some(record) = self.in_flight.remove(&id) else { return };
        if let Some((address, _)) = record.claim {
            self.index.book.edit(address, |entry| entry.in_flight = false);
        }
        if let Some((key, uid)) = &record.service
            && let Some(service) = self.index.services.get_mut(key)
            && service.view.uid == *uid
        {
            service.in_flight = false;
        }
        let overtaken = record.claim.as_ref().and_then(|(address, _)| self.overtaken.remove(address));
        let overtaken = overtaken.unwrap_or_default();
        let outcome = match result {
            WriteResult::Done(Written::Claim(view)) => self.claim_answered(*view, &overtaken),
            WriteResult::AlreadyExists(Some(view)) => self.claim_answered(*view, &overtaken),
            WriteResult::Done(Written::Deleted) | WriteResult::NotFound if record.claim.is_some() => {
                self.claim_absent(&record, &overtaken)
            }
            WriteResult::Done(Written::Deleted) => Outcome::Succeeded,
            WriteResult::Done(Written::Service(view)) => {
                self.status_written(now, &record, *view);
                Outcome::Succeeded
            }
            WriteResult::AlreadyExists(None)
            | WriteResult::Conflict
            | WriteResult::NotFound
            | WriteResult::UidMismatch => Outcome::Stale,
            WriteResult::Failed { message: _, retry_after } => Outcome::Failed(retry_after),
        };
        self.pause(now, &record, &outcome);
    }

    /// A claim as the server returned it, unless the watch knows better by now.
    fn claim_answered(&mut self, view: ClaimView, overtaken: &Overtaken) -> Outcome {
        if overtaken.by_list || overtaken.gone.contains(&view.uid) {
            return Outcome::Stale;
        }
        self.see_claim(view, Source::Answer);
        Outcome::Succeeded
    }

    fn claim_absent(&mut self, record: &InFlight, overtaken: &Overtaken) -> Outcome {
        let Some((address, Some(uid))) = &record.claim else { return Outcome::Stale };
        if !overtaken.by_list && !overtaken.gone.contains(uid) {
            self.claim_deleted(*address, uid);
        }
        Outcome::Succeeded
    }

    fn status_written(&mut self, now: Timestamp, record: &InFlight, view: ServiceView) {
        let key = view.key.clone();
        let written = WrittenStatus::of(&view);
        let answered = view.resource_version.clone();
        let uid = view.uid.clone();
        self.see_service(now, Arc::new(view), Source::Answer);
        if let Some(service) = self.index.services.get_mut(&key).filter(|s| s.view.uid == uid) {
            service.written = Some(written);
            service.writing = None;
            if answered.is_older_than(&service.view.resource_version) {
                self.look_for_rival(now, &key);
            }
        }
        if let (Some((key, uid)), Some(news)) = (&record.service, record.news.clone()) {
            self.tell(key, uid, news);
        }
    }

    fn pause(&mut self, now: Timestamp, record: &InFlight, outcome: &Outcome) {
        if let Some((key, uid)) = &record.service {
            if let Some(service) = self.index.services.get_mut(key).filter(|s| s.view.uid == *uid) {
                match outcome {
                    Outcome::Succeeded => service.pause.succeeded(),
                    Outcome::Stale => _ = service.pause.stale(now),
                    Outcome::Failed(at_least) => _ = service.pause.failed(now, *at_least),
                }
            }
            self.line_up(Item::Service(key.clone()));
        }
        let Some((address, _)) = record.claim else { return };
        if record.service.is_none() {
            let pause = self.claim_pauses.entry(address).or_default();
            match outcome {
                Outcome::Succeeded => _ = self.claim_pauses.remove(&address),
                Outcome::Stale => _ = pause.stale(now),
                Outcome::Failed(at_least) => _ = pause.failed(now, *at_least),
            }
        }
        self.line_up(Item::Claim(address));
    }
}
