//! VPCs, subnets, routes, addresses and interfaces.

use daymark_aws::api::{
    ApiError, DescribeAddresses, DescribeNetworkInterfaces, DescribeRouteTables, DescribeSubnets,
    DescribeVpcs, ElasticIp, Filter, NetworkInterface, RouteTable, Subnet, Vpc, ask,
};

use super::server::{Server, call, ec2, ec2_error};
use super::{map, strings};

const SUBNET: &str = "<item><subnetId>subnet-a</subnetId><vpcId>vpc-1</vpcId><availabilityZone>eu-central-1a</availabilityZone>\
     <cidrBlock>10.0.0.0/24</cidrBlock><availableIpAddressCount>251</availableIpAddressCount>\
     <ipv6CidrBlockAssociationSet>\
     <item><ipv6CidrBlock>2001:db8::/64</ipv6CidrBlock><ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item>\
     <item><ipv6CidrBlock>2001:db8:1::/64</ipv6CidrBlock><ipv6CidrBlockState><state>disassociated</state></ipv6CidrBlockState></item>\
     <item><ipv6CidrBlock>2001:db8:2::/64</ipv6CidrBlock><ipv6CidrBlockState>{'State': 'associated'}</ipv6CidrBlockState></item>\
     </ipv6CidrBlockAssociationSet>\
     <tagSet><item><key>kubernetes.io/role/elb</key><value>1</value></item></tagSet></item>";
const IPV6_ONLY: &str = "<item><subnetId>subnet-6</subnetId><vpcId>vpc-1</vpcId><availabilityZone>eu-central-1a</availabilityZone>\
     <ipv6Native>true</ipv6Native></item>";

fn described() -> Subnet {
    Subnet {
        id: "subnet-a".to_owned(),
        vpc: "vpc-1".to_owned(),
        zone: "eu-central-1a".to_owned(),
        ipv4: "10.0.0.0/24".parse().unwrap(),
        ipv6: vec!["2001:db8::/64".parse().unwrap(), "2001:db8:2::/64".parse().unwrap()],
        available: 251,
        tags: map([("kubernetes.io/role/elb", "1")]),
    }
}

#[tokio::test]
async fn subnets_are_found_by_vpc_tag_and_name() {
    let tags = [("kubernetes.io/role/elb".to_owned(), strings(["", "1"])), ("shared".to_owned(), Vec::new())];
    let filter = Filter {
        vpc: Some("vpc-1".to_owned()),
        tags: tags.into(),
        names: strings(["public-a", "public-b"]),
        ..Filter::default()
    };
    let answer = ec2("DescribeSubnets", &format!("<subnetSet>{SUBNET}{IPV6_ONLY}</subnetSet>"));
    let (result, form) = call(DescribeSubnets { filter }, answer).await;
    assert_eq!(result.unwrap(), [described()]);
    let sent = [
        ("Action", "DescribeSubnets"),
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", "vpc-1"),
        ("Filter.2.Name", "tag:kubernetes.io/role/elb"),
        ("Filter.2.Value.1", ""),
        ("Filter.2.Value.2", "1"),
        ("Filter.3.Name", "tag-key"),
        ("Filter.3.Value.1", "shared"),
        ("Filter.4.Name", "tag:Name"),
        ("Filter.4.Value.1", "public-a"),
        ("Filter.4.Value.2", "public-b"),
    ];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn all_pages_of_subnets_are_read() {
    let first = format!("<subnetSet>{SUBNET}</subnetSet><nextToken>t</nextToken>");
    let second = format!("<subnetSet>{SUBNET}</subnetSet>");
    let server =
        Server::that_answers([ec2("DescribeSubnets", &first), ec2("DescribeSubnets", &second)]).await;
    let found = ask(&server.sdk().await, DescribeSubnets { filter: Filter::default() }).await.unwrap();
    assert_eq!(found, [described(), described()]);
    assert_eq!(server.forms()[1]["NextToken"], "t");
}

#[tokio::test]
async fn a_subnet_asked_for_by_id_is_told_where_it_cannot_be_used_or_found() {
    let filter = Filter { ids: strings(["subnet-6"]), ..Filter::default() };
    let answer = ec2("DescribeSubnets", &format!("<subnetSet>{IPV6_ONLY}</subnetSet>"));
    let (result, form) = call(DescribeSubnets { filter: filter.clone() }, answer).await;
    assert_eq!(result.unwrap_err().message, "the answer cannot be read: CidrBlock is missing");
    assert_eq!(form, map([("Action", "DescribeSubnets"), ("SubnetId.1", "subnet-6")]));
    let (result, _) = call(DescribeSubnets { filter }, ec2_error(400, "InvalidSubnetID.NotFound")).await;
    assert_eq!(result.unwrap_err().code, "InvalidSubnetID.NotFound");
}

#[tokio::test]
async fn a_vpc_has_the_prefixes_of_both_families_that_are_not_leaving() {
    let block = |cidr: &str, state: &str| {
        format!(
            "<item><cidrBlock>{cidr}</cidrBlock><cidrBlockState><state>{state}</state></cidrBlockState></item>"
        )
    };
    let body = format!(
        "<vpcSet><item><vpcId>vpc-1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockAssociationSet>{}{}{}\
         </cidrBlockAssociationSet><ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2001:db8::/56</ipv6CidrBlock></item>\
         </ipv6CidrBlockAssociationSet></item></vpcSet>",
        block("10.0.0.0/16", "associated"),
        block("100.64.0.0/16", "associated"),
        block("10.9.0.0/16", "failed"),
    );
    let (result, form) = call(DescribeVpcs { ids: strings(["vpc-1"]) }, ec2("DescribeVpcs", &body)).await;
    let cidrs = ["10.0.0.0/16", "100.64.0.0/16", "2001:db8::/56"].map(|text| text.parse().unwrap()).into();
    assert_eq!(result.unwrap(), [Vpc { id: "vpc-1".to_owned(), cidrs }]);
    assert_eq!(form, map([("Action", "DescribeVpcs"), ("VpcId.1", "vpc-1")]));
}

#[tokio::test]
async fn a_prefix_that_is_none_is_told() {
    let body = "<vpcSet><item><vpcId>vpc-1</vpcId><cidrBlock>ten</cidrBlock></item></vpcSet>";
    let (result, _) = call(DescribeVpcs { ids: strings(["vpc-1"]) }, ec2("DescribeVpcs", body)).await;
    let error = result.unwrap_err();
    assert_eq!(error.code, ApiError::GARBLED);
    assert_eq!(error.message, "the answer cannot be read: CidrBlock is `ten`");
}

#[tokio::test]
async fn routes_say_which_subnets_are_public() {
    let table = |association: &str, routes: &str| {
        format!(
            "<item><associationSet><item>{association}</item></associationSet><routeSet>\
             <item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId></item>{routes}\
             </routeSet></item>"
        )
    };
    let gateway = |state: &str| {
        format!(
            "<item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-1</gatewayId><state>{state}</state></item>"
        )
    };
    let body = [
        table("<main>true</main>", ""),
        table("<main>false</main><subnetId>subnet-a</subnetId>", &gateway("active")),
        table("<subnetId>subnet-b</subnetId>", &gateway("blackhole")),
    ];
    let body = format!("<routeTableSet>{}</routeTableSet>", body.concat());
    let (result, form) =
        call(DescribeRouteTables { vpc: "vpc-1".to_owned() }, ec2("DescribeRouteTables", &body)).await;
    let expected = [
        RouteTable { subnets: Vec::new(), is_main: true, is_public: false },
        RouteTable { subnets: strings(["subnet-a"]), is_main: false, is_public: true },
        RouteTable { subnets: strings(["subnet-b"]), is_main: false, is_public: false },
    ];
    assert_eq!(result.unwrap(), expected);
    let sent =
        [("Action", "DescribeRouteTables"), ("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", "vpc-1")];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn addresses_say_whether_something_uses_them() {
    let body = "<addressesSet>\
         <item><publicIp>198.51.100.7</publicIp><allocationId>eipalloc-1</allocationId><associationId>a-1</associationId></item>\
         <item><publicIp>198.51.100.8</publicIp><allocationId>eipalloc-2</allocationId></item></addressesSet>";
    let wanted = DescribeAddresses { allocations: strings(["eipalloc-1", "eipalloc-2"]) };
    let (result, form) = call(wanted, ec2("DescribeAddresses", body)).await;
    let eip = |allocation: &str, address: &str, in_use| ElasticIp {
        allocation: allocation.to_owned(),
        address: address.parse().unwrap(),
        in_use,
    };
    assert_eq!(
        result.unwrap(),
        [eip("eipalloc-1", "198.51.100.7", true), eip("eipalloc-2", "198.51.100.8", false)]
    );
    let sent =
        [("Action", "DescribeAddresses"), ("AllocationId.1", "eipalloc-1"), ("AllocationId.2", "eipalloc-2")];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn interfaces_of_a_security_group_are_found() {
    let body = "<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId>\
         <description>ELB net/k8s-web/1</description><groupSet><item><groupId>sg-1</groupId></item></groupSet></item>\
         </networkInterfaceSet>";
    let wanted = DescribeNetworkInterfaces { group: "sg-1".to_owned() };
    let (result, form) = call(wanted, ec2("DescribeNetworkInterfaces", body)).await;
    let expected = NetworkInterface {
        id: "eni-1".to_owned(),
        description: "ELB net/k8s-web/1".to_owned(),
        security_groups: strings(["sg-1"]),
    };
    assert_eq!(result.unwrap(), [expected]);
    let sent = [
        ("Action", "DescribeNetworkInterfaces"),
        ("Filter.1.Name", "group-id"),
        ("Filter.1.Value.1", "sg-1"),
    ];
    assert_eq!(form, map(sent));
}

/// EC2 takes no ids for all of them.
#[tokio::test]
async fn nothing_asked_for_asks_nothing() {
    let server = Server::that_answers([]).await;
    let sdk = server.sdk().await;
    assert_eq!(ask(&sdk, DescribeVpcs { ids: Vec::new() }).await, Ok(Vec::new()));
    assert_eq!(ask(&sdk, DescribeAddresses { allocations: Vec::new() }).await, Ok(Vec::new()));
    assert!(server.sent().is_empty());
}
