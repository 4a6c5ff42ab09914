//! An API server in memory: versions, preconditions, conflicts, and watches that replay.

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_model::{Claim, IpMode, Labels, NamespaceName, Pool, PoolName, ServiceKey, Timestamp, Uid};
use daymark_pool::{ClaimView, ConditionPatch, Input, ServiceView, WriteAction, WriteResult, Written};

/// A kind that is watched on its own connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Services,
    Namespaces,
    Pools,
    Claims,
}

pub const KINDS: [Kind; 4] = [Kind::Services, Kind::Namespaces, Kind::Pools, Kind::Claims];

#[derive(Debug, Default)]
pub struct Store {
    pub services: BTreeMap<ServiceKey, ServiceView>,
    pub namespaces: BTreeMap<NamespaceName, Labels>,
    pub pools: BTreeMap<PoolName, Pool>,
    pub claims: BTreeMap<IpAddr, ClaimView>,
    version: u64,
    logs: [Vec<Input>; 4],
}

impl Store {
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn log(&mut self, kind: Kind, input: Input) {
        self.logs[kind as usize].push(input);
    }

    /// How many events `kind` has had.
    pub fn events(&self, kind: Kind) -> usize {
        self.logs[kind as usize].len()
    }

    pub fn event(&self, kind: Kind, at: usize) -> Input {
        self.logs[kind as usize][at].clone()
    }

    /// The full set of `kind` as it is now.
    pub fn list(&self, kind: Kind) -> Input {
        match kind {
            Kind::Services => Input::ServicesReset(self.services.values().cloned().collect()),
            Kind::Namespaces => {
                Input::NamespacesReset(self.namespaces.iter().map(|(n, l)| (n.clone(), l.clone())).collect())
            }
            Kind::Pools => Input::PoolsReset(self.pools.values().cloned().collect()),
            Kind::Claims => Input::ClaimsReset(self.claims.values().cloned().collect()),
        }
    }

    pub fn put_service(&mut self, mut view: ServiceView) -> ServiceView {
        let version = self.next_version();
        view.resource_version = version.to_string().as_str().into();
        if !view.is_load_balancer {
            view.ingress.clear();
            view.class = None;
        }
        for ingress in &mut view.ingress {
            if ingress.ip.is_some() {
                ingress.ip_mode.get_or_insert(IpMode::VIP);
            }
        }
        self.services.insert(view.key.clone(), view.clone());
        self.log(Kind::Services, Input::ServiceChanged(Box::new(view.clone())));
        view
    }

    pub fn create_service(&mut self, mut view: ServiceView) {
        view.uid = format!("s{}", self.next_version()).into();
        self.put_service(view);
    }

    pub fn delete_service(&mut self, key: &ServiceKey) {
        if let Some(view) = self.services.remove(key) {
            self.next_version();
            self.log(Kind::Services, Input::ServiceGone { key: key.clone(), uid: view.uid });
        }
    }

    pub fn put_namespace(&mut self, name: NamespaceName, labels: Labels) {
        self.namespaces.insert(name.clone(), labels.clone());
        self.log(Kind::Namespaces, Input::NamespaceChanged(name, labels));
    }

    pub fn put_pool(&mut self, pool: Pool) {
        self.pools.insert(pool.name.clone(), pool.clone());
        self.log(Kind::Pools, Input::PoolChanged(Box::new(pool)));
    }

    pub fn delete_pool(&mut self, name: &PoolName) {
        if self.pools.remove(name).is_some() {
            self.log(Kind::Pools, Input::PoolGone(name.clone()));
        }
    }

    pub fn put_claim(&mut self, claim: Claim, uid: Uid, created_at: Timestamp) -> ClaimView {
        let resource_version = self.next_version().to_string().as_str().into();
        let view = ClaimView { claim, uid, resource_version, created_at };
        self.claims.insert(view.claim.address, view.clone());
        self.log(Kind::Claims, Input::ClaimChanged(Box::new(view.clone())));
        view
    }

    pub fn create_claim(&mut self, claim: Claim, now: Timestamp) -> Option<ClaimView> {
        if self.claims.contains_key(&claim.address) {
            return None;
        }
        let uid = format!("c{}", self.next_version()).into();
        Some(self.put_claim(claim, uid, now))
    }

    pub fn delete_claim(&mut self, address: IpAddr) {
        if let Some(view) = self.claims.remove(&address) {
            self.next_version();
            self.log(Kind::Claims, Input::ClaimGone { address, uid: view.uid });
        }
    }

    /// What the API server does with a write of the controller.
    pub fn apply(&mut self, now: Timestamp, action: &WriteAction) -> WriteResult {
        match action {
            WriteAction::CreateClaim(claim) => match self.create_claim(claim.clone(), now) {
                Some(view) => WriteResult::Done(Written::Claim(Box::new(view))),
                None => WriteResult::AlreadyExists(self.claims.get(&claim.address).cloned().map(Box::new)),
            },
            WriteAction::ReplaceClaim { claim, uid, resource_version } => {
                let Some(known) = self.claims.get(&claim.address) else { return WriteResult::NotFound };
                if known.resource_version != *resource_version || known.uid != *uid {
                    return WriteResult::Conflict;
                }
                let (uid, created_at) = (known.uid.clone(), known.created_at);
                let view = self.put_claim(claim.clone(), uid, created_at);
                WriteResult::Done(Written::Claim(Box::new(view)))
            }
            WriteAction::DeleteClaim { address, uid, resource_version } => {
                let Some(known) = self.claims.get(address) else { return WriteResult::NotFound };
                if known.uid != *uid {
                    return WriteResult::UidMismatch;
                }
                if known.resource_version != *resource_version {
                    return WriteResult::Conflict;
                }
                self.delete_claim(*address);
                WriteResult::Done(Written::Deleted)
            }
            WriteAction::PatchServiceStatus { key, uid, resource_version, patch } => {
                let Some(known) = self.services.get(key) else { return WriteResult::NotFound };
                if known.uid != *uid {
                    return WriteResult::UidMismatch;
                }
                if known.resource_version != *resource_version {
                    return WriteResult::Conflict;
                }
                let mut view = known.clone();
                if let Some(ingress) = &patch.ingress {
                    view.ingress = ingress.clone();
                    view.ingress_manager = Some("daymark-controller".to_owned());
                }
                view.condition = match &patch.condition {
                    ConditionPatch::Set(condition) => Some(condition.clone()),
                    ConditionPatch::Remove => None,
                };
                WriteResult::Done(Written::Service(Box::new(self.put_service(view))))
            }
        }
    }
}
