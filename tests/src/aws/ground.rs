//! What is there before a load balancer is: a VPC with subnets, and instances that are nodes.

use anyhow::{Context, Result};

use super::query::Query;

/// The region of all of it.
pub const REGION: &str = "eu-central-1";

/// An instance that is a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its address in the VPC.
    pub address: String,
}

impl Instance {
    /// As the Node's `spec.providerID` has it.
    pub fn provider_id(&self) -> String {
        format!("aws:///{}/{}", self.zone, self.id)
    }
}

/// A cluster's VPC.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The region.
    pub region: String,
    /// The VPC: 10.100.0.0/16.
    pub vpc: String,
    /// A public subnet (`kubernetes.io/role/elb`) per zone, with a route to an internet gateway.
    pub public: Vec<String>,
    /// A private subnet (`kubernetes.io/role/internal-elb`) per zone.
    pub private: Vec<String>,
    /// The nodes' security group (`kubernetes.io/cluster/<name>` = owned).
    pub node_group: String,
    /// The nodes, in the private subnets in turn.
    pub instances: Vec<Instance>,
}

impl Ground {
    /// Makes it for the cluster of that name, with at most three zones.
    ///
    /// # Errors
    /// When moto refuses something.
    pub async fn lay(query: &Query, cluster: &str, zones: usize, nodes: usize) -> Result<Self> {
        let vpc = query.ec2("CreateVpc", &[("CidrBlock", "10.100.0.0/16")]).await?.first("vpcId")?;
        let public_routes = open(query, &vpc).await?;
        let (mut public, mut private) = (Vec::new(), Vec::new());
        for (number, letter) in ["a", "b", "c"].into_iter().take(zones).enumerate() {
            let zone = format!("{REGION}{letter}");
            let open = subnet(query, &vpc, &zone, number).await?;
            let pair = [("RouteTableId", public_routes.as_str()), ("SubnetId", &open)];
            query.ec2("AssociateRouteTable", &pair).await?;
            tag(query, &open, "kubernetes.io/role/elb", "1").await?;
            public.push(open);
            let closed = subnet(query, &vpc, &zone, 100 + number).await?;
            tag(query, &closed, "kubernetes.io/role/internal-elb", "1").await?;
            private.push(closed);
        }
        let node_group = node_group(query, &vpc, cluster).await?;
        let mut instances = Vec::new();
        for subnet in private.iter().cycle().take(nodes) {
            instances.push(instance(query, subnet, &node_group).await?);
        }
        Ok(Self { region: REGION.to_owned(), vpc, public, private, node_group, instances })
    }
}

/// An internet gateway, and the route table that leads to it.
async fn open(query: &Query, vpc: &str) -> Result<String> {
    let gateway = query.ec2("CreateInternetGateway", &[]).await?.first("internetGatewayId")?;
    query.ec2("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", vpc)]).await?;
    let table = query.ec2("CreateRouteTable", &[("VpcId", vpc)]).await?.first("routeTableId")?;
    let route =
        [("RouteTableId", table.as_str()), ("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", &gateway)];
    query.ec2("CreateRoute", &route).await?;
    Ok(table)
}

async fn subnet(query: &Query, vpc: &str, zone: &str, number: usize) -> Result<String> {
    let cidr = format!("10.100.{number}.0/24");
    let fields = [("VpcId", vpc), ("CidrBlock", &cidr), ("AvailabilityZone", zone)];
    query.ec2("CreateSubnet", &fields).await?.first("subnetId")
}

async fn node_group(query: &Query, vpc: &str, cluster: &str) -> Result<String> {
    let name = format!("{cluster}-nodes");
    let fields = [("GroupName", name.as_str()), ("GroupDescription", "nodes"), ("VpcId", vpc)];
    let group = query.ec2("CreateSecurityGroup", &fields).await?.first("groupId")?;
    tag(query, &group, &format!("kubernetes.io/cluster/{cluster}"), "owned").await?;
    Ok(group)
}

async fn instance(query: &Query, subnet: &str, group: &str) -> Result<Instance> {
    let fields = [
        ("ImageId", "ami-12345678"),
        ("InstanceType", "t3.small"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet),
        ("SecurityGroupId.1", group),
    ];
    let answer = query.ec2("RunInstances", &fields).await?;
    Ok(Instance {
        id: answer.first("instanceId")?,
        zone: answer.first("availabilityZone").context("the zone of an instance")?,
        address: answer.first("privateIpAddress")?,
    })
}

async fn tag(query: &Query, id: &str, key: &str, value: &str) -> Result<()> {
    query
        .ec2("CreateTags", &[("ResourceId.1", id), ("Tag.1.Key", key), ("Tag.1.Value", value)])
        .await
        .map(drop)
}
