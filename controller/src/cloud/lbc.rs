//! The AWS Load Balancer Controller beside us: whether it still runs, and what it leaves behind.
//!
//! Two controllers on one load balancer delete each other's listeners. So nothing of a class that both serve is touched
//! while that controller's Lease is renewed. As with our own Lease, no clocks of two hosts are compared: a Lease is alive
//! when it was seen to change within its duration.

use std::time::{Duration, Instant};

use daymark_kube::{CallError, within};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;

/// The name of its Lease where its `--leader-election-id` was not changed.
const LEASE: &str = "aws-load-balancer-controller-leader";
/// How long after a change of its Lease it counts as running.
const ALIVE: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_secs(4);

/// Whether the other controller runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rival {
    /// It has not been watched for long enough.
    Unknown,
    /// Its Lease is renewed by this holder.
    Running(String),
    /// It has no Lease, or one that nobody renews.
    Gone,
}

/// What was seen of its Lease.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Option<(String, Instant)>,
    began: Option<Instant>,
    holder: String,
}

impl Watch {
    /// Takes in what its Leases say now, in one text, and who holds them.
    fn observe(&mut self, found: Option<(String, String)>, now: Instant) -> Rival {
        let began = *self.began.get_or_insert(now);
        let Some((state, holder)) = found else {
            self.seen = None;
            return Rival::Gone;
        };
        self.holder = holder;
        match &self.seen {
            Some((known, _)) if *known == state => {}
            Some(_) => self.seen = Some((state, now)),
            // The first look may meet a Lease that was left behind long ago.
            None => self.seen = Some((state, began)),
        }
        let changed = self.seen.as_ref().map_or(began, |(_, at)| *at);
        let first_seen = changed == began;
        match (now.duration_since(changed) < ALIVE, first_seen) {
            (true, true) => Rival::Unknown,
            (true, false) => Rival::Running(self.holder.clone()),
            (false, _) => Rival::Gone,
        }
    }

    /// Looks at the Leases of that name in all namespaces.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn look(&mut self, client: &Client) -> Result<Rival, CallError> {
        let leases: Api<Lease> = Api::all(client.clone());
        let only = ListParams::default().fields(&format!("metadata.name={LEASE}"));
        let found = within(DEADLINE, leases.list(&only)).await?;
        let held = found.items.into_iter().filter_map(|lease| lease.spec).filter_map(|spec| {
            let holder = spec.holder_identity.filter(|holder| !holder.is_empty())?;
            Some((format!("{holder} {:?} {:?}", spec.renew_time, spec.lease_transitions), holder))
        });
        let state = held.reduce(|(a, holder), (b, _)| (a + &b, holder));
        Ok(self.observe(state, Instant::now()))
    }
}

/// What it leaves behind in a cluster that it was taken out of, each with what to do.
pub async fn leftovers(client: &Client) -> Vec<String> {
    let mut found = Vec::new();
    for (plural, harm) in [
        ("mutatingwebhookconfigurations", "with its controller gone it refuses new Services"),
        ("validatingwebhookconfigurations", "with its controller gone it refuses new objects"),
    ] {
        for name in names(client, &format!("/apis/admissionregistration.k8s.io/v1/{plural}")).await {
            if name.contains("aws-load-balancer") {
                found.push(format!(
                    "{plural}/{name} is left of the AWS Load Balancer Controller: {harm}; delete it"
                ));
            }
        }
    }
    let bindings = names(client, "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings").await;
    if !bindings.is_empty() {
        found.push(format!(
            "{} TargetGroupBindings are left of the AWS Load Balancer Controller: take their finalizer \
             elbv2.k8s.aws/resources away and delete them; Daymark registers the targets",
            bindings.len()
        ));
    }
    found
}

/// The names in a collection; none where it cannot be listed.
async fn names(client: &Client, path: &str) -> Vec<String> {
    #[derive(Deserialize, Default)]
    struct List {
        #[serde(default)]
        items: Vec<Value>,
    }
    let Ok(request) = Request::new(path).list(&ListParams::default()) else { return Vec::new() };
    let list: List = within(DEADLINE, client.request(request)).await.unwrap_or_default();
    let name = |item: &Value| item.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    list.items.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_when_its_lease_changes_and_is_gone_when_it_stays_the_same() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lease = |renewed: u32| Some((format!("pod-1 {renewed}"), "pod-1".to_owned()));
        let mut watch = Watch::default();
        assert_eq!(watch.observe(lease(1), at(0)), Rival::Unknown);
        assert_eq!(watch.observe(lease(1), at(10)), Rival::Unknown);
        assert_eq!(watch.observe(lease(2), at(12)), Rival::Running("pod-1".into()));
        assert_eq!(watch.observe(lease(2), at(41)), Rival::Running("pod-1".into()));
        assert_eq!(watch.observe(lease(2), at(43)), Rival::Gone);
        assert_eq!(watch.observe(lease(3), at(50)), Rival::Running("pod-1".into()));
        assert_eq!(watch.observe(None, at(51)), Rival::Gone);
        let mut left_behind = Watch::default();
        left_behind.observe(lease(1), at(0));
        assert_eq!(left_behind.observe(lease(1), at(31)), Rival::Gone);
    }
}
