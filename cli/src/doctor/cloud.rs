//! Facts about load balancers in clouds.

use std::time::Duration;

use daymark_kube::CallError;
use daymark_kube::slim::Service;
use daymark_model::AwsProfile;
use serde_json::Value;

use super::facts::{CloudFacts, Known, Leftovers, Rival};
use crate::cluster::Cluster;
use crate::plan::status;

/// The name of the Lease of the AWS Load Balancer Controller where its `--leader-election-id` was not changed.
const LEASE: &str = "aws-load-balancer-controller-leader";
/// It renews its Lease every 2 s.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);

/// Facts before Services are added.
pub(super) struct Parts {
    objects: Vec<Value>,
    has_profile: bool,
    sharing: Vec<String>,
    rival: Known<Rival>,
    leftovers: Known<Leftovers>,
}

impl Parts {
    pub(super) fn with_services(self, services: &[Service]) -> CloudFacts {
        CloudFacts {
            overview: status::overview(&self.objects, services),
            has_profile: self.has_profile,
            sharing: self.sharing,
            rival: self.rival,
            leftovers: self.leftovers,
        }
    }
}

/// Asks the API server.
pub(super) async fn gather(cluster: &Cluster) -> Known<Parts> {
    let listed = async |what: &str, path: &str| match cluster.values(path).await {
        Ok(objects) => Ok(objects),
        // A cluster without the CRD has none of them.
        Err(error) if error.code() == Some(404) => Ok(Vec::new()),
        Err(error) => Err(format!("{what} cannot be listed: {error}")),
    };
    let objects = listed("CloudLoadBalancers", "/apis/daymark.dev/v1alpha1/cloudloadbalancers").await?;
    let profiles = listed("LoadBalancerProfiles", "/apis/daymark.dev/v1alpha1/loadbalancerprofiles").await?;
    let with_aws: Vec<&Value> = profiles.iter().filter(|p| p.pointer("/spec/aws").is_some()).collect();
    let sharing = sharing(&with_aws);
    if with_aws.is_empty() && objects.is_empty() {
        let (rival, leftovers) = (Ok(Rival::Gone), Ok(Leftovers::default()));
        return Ok(Parts { objects, has_profile: false, sharing, rival, leftovers });
    }
    let (rival, leftovers) = tokio::join!(rival(cluster), leftovers(cluster));
    Ok(Parts {
        objects,
        has_profile: !with_aws.is_empty(),
        sharing,
        rival: rival.map_err(|error| error.to_string()),
        leftovers: leftovers.map_err(|error| format!("what is left of other controllers: {error}")),
    })
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The profiles that serve the class of the AWS Load Balancer Controller.
fn sharing(profiles: &[&Value]) -> Vec<String> {
    let shares = |profile: &&&Value| text(profile, "/spec/loadBalancerClass") == AwsProfile::LBC_CLASS;
    profiles.iter().filter(shares).map(|profile| text(profile, "/metadata/name").to_owned()).collect()
}

/// Whether a Lease changes while it is looked at: clocks of two hosts are not compared.
async fn rival(cluster: &Cluster) -> Result<Rival, CallError> {
    let before = leases(cluster).await?;
    if before.is_empty() {
        return Ok(Rival::Gone);
    }
    tokio::time::sleep(RENEWED_WITHIN).await;
    Ok(renewed(&before, &leases(cluster).await?))
}

fn renewed(before: &[Value], after: &[Value]) -> Rival {
    let changed = after.iter().find(|lease| {
        !text(lease, "/spec/holderIdentity").is_empty() && !before.iter().any(|b| same_renewal(b, lease))
    });
    changed.map_or(Rival::Gone, |lease| Rival::Running(text(lease, "/spec/holderIdentity").to_owned()))
}

fn same_renewal(a: &Value, b: &Value) -> bool {
    let of = |lease: &Value| {
        ["/metadata/namespace", "/spec/holderIdentity", "/spec/renewTime"]
            .map(|at| text(lease, at).to_owned())
    };
    of(a) == of(b)
}

async fn leases(cluster: &Cluster) -> Result<Vec<Value>, CallError> {
    let all = cluster.values("/apis/coordination.k8s.io/v1/leases").await?;
    Ok(all.into_iter().filter(|lease| text(lease, "/metadata/name") == LEASE).collect())
}

async fn leftovers(cluster: &Cluster) -> Result<Leftovers, CallError> {
    let mut found = Leftovers::default();
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let all = cluster.values(&format!("/apis/admissionregistration.k8s.io/v1/{plural}")).await?;
        found.webhooks.extend(webhooks(plural, &all));
    }
    found.bindings = match cluster.values("/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings").await {
        Ok(bindings) => bindings.len(),
        Err(error) if error.code() == Some(404) => 0,
        Err(error) => return Err(error),
    };
    Ok(found)
}

fn webhooks(plural: &str, all: &[Value]) -> Vec<String> {
    // The chart names them after the release or, in its manifests, `aws-load-balancer-webhook`.
    let names = all.iter().map(|webhook| text(webhook, "/metadata/name"));
    names.filter(|name| name.contains("aws-load-balancer")).map(|name| format!("{plural}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_controller_runs_when_its_lease_changes_meanwhile() {
        let lease = |holder: &str, at: &str| {
            json!({"metadata": {"name": LEASE, "namespace": "kube-system"},
                   "spec": {"holderIdentity": holder, "renewTime": at}})
        };
        let before = [lease("pod-1", "1")];
        assert_eq!(renewed(&before, &[lease("pod-1", "2")]), Rival::Running("pod-1".into()));
        assert_eq!(renewed(&before, &[lease("pod-1", "1")]), Rival::Gone);
        assert_eq!(renewed(&before, &[lease("", "2")]), Rival::Gone);
        assert_eq!(renewed(&before, &[]), Rival::Gone);
    }

    #[test]
    fn profiles_and_webhooks_are_known_by_name() {
        let profile = |name: &str, class: &str| json!({"metadata": {"name": name}, "spec": {"loadBalancerClass": class}});
        let (a, b) = (profile("a", "service.k8s.aws/nlb"), profile("b", "daymark.dev/aws-nlb"));
        assert_eq!(sharing(&[&a, &b]), ["a"]);
        let named = |name: &str| json!({"metadata": {"name": name}});
        let found = webhooks("x", &[named("aws-load-balancer-webhook"), named("cert-manager-webhook")]);
        assert_eq!(found, ["x/aws-load-balancer-webhook"]);
    }
}
