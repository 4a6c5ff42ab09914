//! A lab with an AWS beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daymark_tests::aws::{FaultProxy, Ground, Moto, Query};
use daymark_tests::{Lab, Result, bail, ensure, wait_for};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::common;

/// A deadline for what AWS takes a moment for: a first look comes ten seconds after something was made.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The cluster's name in tags.
pub const CLUSTER: &str = "lab";
/// The class of the profile `nlb`.
pub const CLASS: &str = "daymark.dev/aws-nlb";

/// A lab, moto, and what stands in it before a load balancer does.
pub struct Stage {
    pub lab: Lab,
    pub proxy: FaultProxy,
    pub ground: Ground,
    _moto: Moto,
}

/// A load balancer as AWS has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    pub arn: String,
    pub name: String,
    pub scheme: String,
    /// Ports with their protocols.
    pub listeners: BTreeMap<u16, String>,
    pub tags: BTreeMap<String, String>,
}

impl Stage {
    /// Two nodes that are instances, the profile `nlb` with `more` fields of `aws` in flow style, and a controller.
    pub async fn set(name: &str, more: &str) -> Result<Self> {
        let stage = Self::set_without_profile(name).await?;
        stage.profile("nlb", CLASS, more).await?;
        stage.lab.start_controller("a").await?;
        Ok(stage)
    }

    /// As [`Stage::set`], without profile, and with a controller that is not started.
    pub async fn set_without_profile(name: &str) -> Result<Self> {
        let lab = Lab::builder(name).nodes(2).clients(0).start().await?;
        let moto = Moto::start().await?;
        let proxy = FaultProxy::in_lab(&lab, &moto, "111111111111").await?;
        let ground = Ground::lay(&proxy.past(), CLUSTER, 3, 2).await?;
        for (node, instance) in lab.nodes().iter().zip(&ground.instances) {
            let patch = json!({"spec": {"providerID": instance.provider_id()}});
            lab.all::<Node>().patch(node.name(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        Ok(Self { lab, proxy, ground, _moto: moto })
    }

    /// Makes or changes a profile.
    pub async fn profile(&self, name: &str, class: &str, more: &str) -> Result<()> {
        let (vpc, region, endpoint) = (&self.ground.vpc, &self.ground.region, self.proxy.endpoint());
        let yaml = format!(
            "
apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {{name: {name}}}
spec:
  loadBalancerClass: {class}
  aws: {{clusterName: {CLUSTER}, vpcId: {vpc}, region: {region}, endpoint: '{endpoint}', {more}}}
"
        );
        self.lab.apply(&yaml).await?;
        Ok(())
    }

    /// AWS, past the proxy.
    pub fn aws(&self) -> Query {
        self.proxy.past()
    }

    /// All load balancers of the account.
    pub async fn balancers(&self) -> Result<Vec<Balancer>> {
        let answer = self.aws().elb("DescribeLoadBalancers", &[]).await?;
        let (arns, names) = (answer.all("LoadBalancerArn"), answer.all("LoadBalancerName"));
        let schemes = answer.all("Scheme");
        let mut found = Vec::new();
        for ((arn, name), scheme) in arns.into_iter().zip(names).zip(schemes) {
            let answer = self.aws().elb("DescribeListeners", &[("LoadBalancerArn", &arn)]).await?;
            let ports = answer.all("Port").into_iter().map(|port| port.parse().unwrap());
            let listeners = ports.zip(answer.all("Protocol")).collect();
            let tags = self.tags(&arn).await?;
            found.push(Balancer { arn, name, scheme, listeners, tags });
        }
        Ok(found)
    }

    /// The tags of a resource of Elastic Load Balancing.
    pub async fn tags(&self, arn: &str) -> Result<BTreeMap<String, String>> {
        let answer = self.aws().elb("DescribeTags", &[("ResourceArns.member.1", arn)]).await?;
        Ok(answer.all("Key").into_iter().zip(answer.all("Value")).collect())
    }

    /// Target groups: ARN and the ids of their healthy targets with ports; moto still tells of those that were taken out.
    pub async fn target_groups(&self) -> Result<BTreeMap<String, BTreeSet<(String, u16)>>> {
        let answer = self.aws().elb("DescribeTargetGroups", &[]).await?;
        let mut found = BTreeMap::new();
        for arn in answer.all("TargetGroupArn") {
            let answer = self.aws().elb("DescribeTargetHealth", &[("TargetGroupArn", &arn)]).await?;
            let ports = answer.all("Port").into_iter().map(|port| port.parse().unwrap());
            let targets = answer.all("Id").into_iter().zip(ports).zip(answer.all("State"));
            let serving = targets.filter(|(_, state)| state == "healthy").map(|(target, _)| target);
            found.insert(arn, serving.collect());
        }
        Ok(found)
    }

    /// The names of all security groups beside those that were there before.
    pub async fn security_groups(&self) -> Result<BTreeMap<String, String>> {
        let answer = self
            .aws()
            .ec2(
                "DescribeSecurityGroups",
                &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &self.ground.vpc)],
            )
            .await?;
        let mut found = Vec::new();
        for group in answer.items("securityGroupInfo") {
            // The groups inside its rules have ids too, and come before its own.
            let own = group.without("ipPermissions").without("ipPermissionsEgress");
            found.push((own.first("groupName")?, own.first("groupId")?));
        }
        let before = ["default".to_owned(), format!("{CLUSTER}-nodes")];
        Ok(found.into_iter().filter(|(name, _)| !before.contains(name)).collect())
    }

    /// What the rules of a security group let in: protocol, ports, and CIDR or group.
    pub async fn rules(&self, group: &str) -> Result<BTreeSet<(String, u16, u16, String)>> {
        let fields = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)];
        let answer = self.aws().ec2("DescribeSecurityGroupRules", &fields).await?;
        let mut rules = BTreeSet::new();
        for item in answer.items("securityGroupRuleSet") {
            if item.first("isEgress").is_ok_and(|egress| egress == "true") {
                continue;
            }
            let port = |name| item.first(name).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
            let peer = ["cidrIpv4", "cidrIpv6", "prefixListId", "groupId"].into_iter().rev();
            let peer: Vec<String> =
                peer.flat_map(|name| item.all(name)).filter(|peer| peer != group).collect();
            let peer = peer.first().cloned().unwrap_or_default();
            rules.insert((item.first("ipProtocol")?, port("fromPort"), port("toPort"), peer));
        }
        Ok(rules)
    }

    /// Waits until nothing of ours is left in AWS.
    pub async fn nothing_left(&self) -> Result<()> {
        wait_for("nothing to be left in AWS", PATIENCE, async || {
            let (balancers, groups) = (self.balancers().await?, self.target_groups().await?);
            ensure!(balancers.is_empty(), "{balancers:?}");
            ensure!(groups.is_empty(), "{groups:?}");
            let security = self.security_groups().await?;
            ensure!(security.is_empty(), "{security:?}");
            let rules = self.rules(&self.ground.node_group).await?;
            ensure!(rules.is_empty(), "in the nodes' group: {rules:?}");
            let objects = self.objects().await?;
            ensure!(objects.is_empty(), "CloudLoadBalancers {:?}", objects.keys());
            Ok(())
        })
        .await
    }

    /// All CloudLoadBalancers, by namespace and name.
    pub async fn objects(&self) -> Result<BTreeMap<String, Value>> {
        let list: Value =
            serde_json::from_str(&self.lab.raw("/apis/daymark.dev/v1alpha1/cloudloadbalancers").await?)?;
        let named = |object: &Value| {
            let meta = &object["metadata"];
            (
                format!("{}/{}", meta["namespace"].as_str().unwrap(), meta["name"].as_str().unwrap()),
                object.clone(),
            )
        };
        Ok(list["items"].as_array().unwrap().iter().map(named).collect())
    }

    /// The condition `Provisioned` of a Service in `default`: status, reason, message.
    pub async fn provisioned(&self, name: &str) -> Result<Option<(String, String, String)>> {
        let service = common::get(&self.lab, name).await?;
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == "daymark.dev/Provisioned");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(found.map(|c| (text(&c["status"]), text(&c["reason"]), text(&c["message"]))))
    }

    /// Waits until a Service is told this, and gives the message.
    pub async fn told(&self, name: &str, status: &str, reason: &str) -> Result<String> {
        wait_for(format_args!("{name} to be told {status} {reason}"), PATIENCE, async || {
            match self.provisioned(name).await? {
                Some((s, r, message)) if s == status && r == reason => Ok(message),
                other => {
                    let objects = self.objects().await?;
                    let statuses = objects.iter().map(|(name, object)| (name, object["status"].to_string()));
                    bail!("{other:?}; {:?}", statuses.collect::<Vec<_>>())
                }
            }
        })
        .await
    }

    /// Waits until a Service has its load balancer, and gives the host name.
    pub async fn hostname(&self, name: &str) -> Result<String> {
        self.told(name, "True", "Provisioned").await?;
        wait_for(format_args!("a host name of {name}"), PATIENCE, async || {
            let service = common::get(&self.lab, name).await?;
            match service["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str() {
                Some(name) => Ok(name.to_owned()),
                None => bail!("{}", service["status"]),
            }
        })
        .await
    }

    /// Waits until the only load balancer is as wished.
    pub async fn only_balancer(&self, what: &str, fits: impl Fn(&Balancer) -> bool) -> Result<Balancer> {
        wait_for(format_args!("the load balancer: {what}"), PATIENCE, async || {
            let all = self.balancers().await?;
            ensure!(all.len() == 1, "{all:?}");
            let balancer = all.into_iter().next().unwrap();
            ensure!(fits(&balancer), "{balancer:?}");
            Ok(balancer)
        })
        .await
    }

    /// Waits until a plan waits for consent, and gives what consents to it.
    pub async fn consent(&self, name: &str) -> Result<String> {
        wait_for(format_args!("a plan of {name}"), PATIENCE, async || {
            let objects = self.objects().await?;
            let object = objects.get(&format!("default/{name}"));
            let hash = object.and_then(|object| object["status"]["plan"]["consent"].as_str());
            hash.map(str::to_owned).ok_or_else(|| daymark_tests::Error::msg(format!("{objects:?}")))
        })
        .await
    }

    /// Sets an annotation of a Service in `default`; `None` takes it away.
    pub async fn annotate(&self, name: &str, key: &str, value: Option<&str>) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        let services = self.lab.namespaced::<k8s_openapi::api::core::v1::Service>("default");
        services.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Deletes a Service in `default` and waits until it is gone.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let services = self.lab.namespaced::<k8s_openapi::api::core::v1::Service>("default");
        services.delete(name, &kube::api::DeleteParams::default()).await?;
        wait_for(format_args!("{name} to be gone"), PATIENCE, async || {
            let left = services.get_opt(name).await?;
            ensure!(
                left.is_none(),
                "{:?}, {:?}",
                left.unwrap().metadata.finalizers,
                self.provisioned(name).await?
            );
            Ok(())
        })
        .await
    }

    /// Ends it.
    pub async fn finish(self) -> Result<()> {
        self.lab.finish().await
    }
}

/// A Service of our class with annotations of AWS's, by suffix, in flow style.
pub fn service(name: &str, annotations: &[(&str, &str)], ports: &str) -> String {
    let annotations: Vec<String> = annotations
        .iter()
        .map(|(suffix, value)| {
            let key = match suffix.contains('/') {
                true => (*suffix).to_owned(),
                false => format!("service.beta.kubernetes.io/aws-load-balancer-{suffix}"),
            };
            format!("{key}: '{value}'")
        })
        .collect();
    let more = format!("loadBalancerClass: {CLASS}, ports: {ports},");
    common::annotated_service(name, &annotations.join(", "), &more)
}
