//! The AWS Load Balancer Controller, as far as somebody meets what it has made.

use daymark_aws::api::{
    ApiError, AuthorizeSecurityGroupIngress, CreateLoadBalancer, CreateSecurityGroup, CreateTargetGroup,
    Ingress, IpAddressType, NlbProtocol, Peer, RegisterTargets, RuleProtocol, Scheme, Tags, Target,
    TargetType,
};
use daymark_model::Family;
use ipnet::Ipv4Net;

use crate::Aws;
use crate::faults::split_mix;
use crate::foreign::{listener, mapping, plain_health};

/// What the AWS Load Balancer Controller made for a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LbcService {
    /// The load balancer's ARN.
    pub load_balancer: String,
    /// The target groups' ARNs, port by port.
    pub target_groups: Vec<String>,
    /// The listeners' ARNs, port by port.
    pub listeners: Vec<String>,
    /// The security group that lets clients in.
    pub frontend_group: String,
    /// The security group that nodes let in.
    pub backend_group: String,
}

/// The security group of that controller's load balancers that nodes let in.
const LBC_BACKEND_GROUP: &str = "k8s-traffic-lbc";

impl Aws {
    /// The AWS Load Balancer Controller has served a Service: an internet-facing load balancer in the public subnets with
    /// two security groups, and for each port a target group of all nodes at node port 30000 + port, and a listener.
    ///
    /// # Errors
    /// AWS's: names that are taken, quotas.
    pub fn lbc_service(
        &self,
        cluster: &str,
        namespace: &str,
        name: &str,
        ports: &[u16],
    ) -> Result<LbcService, ApiError> {
        let tags = |resource: &str| -> Tags {
            let tags = [
                ("elbv2.k8s.aws/cluster", cluster),
                ("service.k8s.aws/stack", &format!("{namespace}/{name}")),
                ("service.k8s.aws/resource", resource),
            ];
            tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        let backend_group = self.lbc_backend_group(cluster)?;
        let named = |of: &str| {
            let id = format!("{cluster}/{namespace}/{name}/{of}");
            format!("k8s-{}-{}-{}", short(namespace), short(name), digest(&id))
        };
        let frontend_group = self.as_other(CreateSecurityGroup {
            name: named("group"),
            description: "[k8s] Managed SecurityGroup for LoadBalancer".to_owned(),
            vpc: self.account().vpc.clone(),
            tags: tags("ManagedLBSecurityGroup"),
        })?;
        let rules = ports.iter().map(|port| Ingress {
            protocol: RuleProtocol::Tcp,
            from: i32::from(*port),
            to: i32::from(*port),
            peer: Peer::Cidr(ipnet::IpNet::V4(Ipv4Net::default())),
        });
        let (group, description) = (frontend_group.clone(), String::new());
        self.as_other(AuthorizeSecurityGroupIngress { group, rules: rules.collect(), description })?;
        let load_balancer = self.as_other(CreateLoadBalancer {
            name: named("load-balancer"),
            scheme: Scheme::InternetFacing,
            ip_address_type: IpAddressType::Ipv4,
            subnets: self.account().public.iter().map(|subnet| mapping(subnet)).collect(),
            security_groups: vec![frontend_group.clone(), backend_group.clone()],
            source_nat: false,
            tags: tags("LoadBalancer"),
        })?;
        let mut made = LbcService {
            load_balancer: load_balancer.arn,
            target_groups: Vec::new(),
            listeners: Vec::new(),
            frontend_group,
            backend_group,
        };
        for port in ports {
            let node_port = 30000_u16.saturating_add(*port);
            let target_group = self.as_other(CreateTargetGroup {
                name: named(&port.to_string()),
                protocol: NlbProtocol::Tcp,
                port: node_port,
                target_type: TargetType::Instance,
                family: Family::V4,
                vpc: self.account().vpc.clone(),
                health: plain_health(),
                tags: tags(&format!("{namespace}/{name}:{port}")),
            })?;
            let target = |id: &String| Target { id: id.clone(), port: node_port, zone: None };
            let targets = self.account().instances.iter().map(target).collect();
            self.as_other(RegisterTargets { arn: target_group.arn.clone(), targets })?;
            let listener = listener(&made.load_balancer, *port, &target_group.arn, tags(&port.to_string()));
            made.listeners.push(self.as_other(listener)?.arn);
            made.target_groups.push(target_group.arn);
        }
        Ok(made)
    }

    /// The security group that nodes let in, and the rule in theirs; one for all Services.
    fn lbc_backend_group(&self, cluster: &str) -> Result<String, ApiError> {
        let existing = self.with_state(|state| {
            let mut groups = state.groups.iter();
            groups.find(|(_, group)| group.name == LBC_BACKEND_GROUP).map(|(id, _)| id.clone())
        });
        if let Some(existing) = existing {
            return Ok(existing);
        }
        let tags: Tags = [
            ("elbv2.k8s.aws/cluster".to_owned(), cluster.to_owned()),
            ("elbv2.k8s.aws/resource".to_owned(), "backend-sg".to_owned()),
        ]
        .into();
        let group = self.as_other(CreateSecurityGroup {
            name: LBC_BACKEND_GROUP.to_owned(),
            description: "[k8s] Shared Backend SecurityGroup for LoadBalancer".to_owned(),
            vpc: self.account().vpc.clone(),
            tags,
        })?;
        self.as_other(AuthorizeSecurityGroupIngress {
            group: self.account().node_group.clone(),
            rules: vec![Ingress {
                protocol: RuleProtocol::Tcp,
                from: 30000,
                to: 32767,
                peer: Peer::Group(group.clone()),
            }],
            description: "elbv2.k8s.aws/targetGroupBinding=shared".to_owned(),
        })?;
        Ok(group)
    }
}

/// The first eight letters and digits.
fn short(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

/// Ten digits that differ where `text` does; not that controller's own hash.
fn digest(text: &str) -> String {
    let mixed = text.bytes().fold(0, |mut mixed: u64, byte| {
        mixed ^= u64::from(byte);
        split_mix(&mut mixed)
    });
    format!("{:010x}", mixed >> 24)
}
