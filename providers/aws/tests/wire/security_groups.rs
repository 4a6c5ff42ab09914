//! Security groups and their rules.

use daymark_aws::api::{
    AuthorizeSecurityGroupIngress, CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroupRules,
    DescribeSecurityGroups, Filter, Ingress, IngressRule, Peer, RevokeSecurityGroupIngress, RuleProtocol,
    SecurityGroup,
};

use super::server::{call, ec2, ec2_error};
use super::{map, strings};

#[tokio::test]
async fn groups_are_found_by_name_and_by_whom_they_let_in() {
    let filter = Filter {
        vpc: Some("vpc-1".to_owned()),
        names: strings(["k8s-web"]),
        letting_in: strings(["sg-2", "sg-3"]),
        ..Filter::default()
    };
    let body = "<securityGroupInfo><item><groupId>sg-1</groupId><groupName>k8s-web</groupName><vpcId>vpc-1</vpcId>\
         <tagSet><item><key>k</key><value>v</value></item></tagSet></item></securityGroupInfo>";
    let (result, form) = call(DescribeSecurityGroups { filter }, ec2("DescribeSecurityGroups", body)).await;
    let expected = SecurityGroup {
        id: "sg-1".to_owned(),
        name: "k8s-web".to_owned(),
        vpc: "vpc-1".to_owned(),
        tags: map([("k", "v")]),
    };
    assert_eq!(result.unwrap(), [expected]);
    let sent = [
        ("Action", "DescribeSecurityGroups"),
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", "vpc-1"),
        ("Filter.2.Name", "group-name"),
        ("Filter.2.Value.1", "k8s-web"),
        ("Filter.3.Name", "ip-permission.group-id"),
        ("Filter.3.Value.1", "sg-2"),
        ("Filter.3.Value.2", "sg-3"),
    ];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn one_is_made_and_deleted() {
    let wanted = || CreateSecurityGroup {
        name: "k8s-web".to_owned(),
        description: "of Service default/web".to_owned(),
        vpc: "vpc-1".to_owned(),
        tags: map([("k", "v")]),
    };
    let (result, form) = call(wanted(), ec2("CreateSecurityGroup", "<groupId>sg-1</groupId>")).await;
    assert_eq!(result.as_deref(), Ok("sg-1"));
    let sent = [
        ("Action", "CreateSecurityGroup"),
        ("GroupName", "k8s-web"),
        ("GroupDescription", "of Service default/web"),
        ("VpcId", "vpc-1"),
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", "v"),
    ];
    assert_eq!(form, map(sent));
    let (result, _) = call(wanted(), ec2_error(400, "InvalidGroup.Duplicate")).await;
    assert_eq!(result.unwrap_err().code, "InvalidGroup.Duplicate");
    let delete = || DeleteSecurityGroup { id: "sg-1".to_owned() };
    let (result, form) = call(delete(), ec2("DeleteSecurityGroup", "<return>true</return>")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form, map([("Action", "DeleteSecurityGroup"), ("GroupId", "sg-1")]));
    let (result, _) = call(delete(), ec2_error(400, "DependencyViolation")).await;
    assert_eq!(result.unwrap_err().code, "DependencyViolation");
}

fn ingress(protocol: RuleProtocol, from: i32, to: i32, peer: Peer) -> Ingress {
    Ingress { protocol, from, to, peer }
}

fn every_kind() -> Vec<Ingress> {
    vec![
        ingress(RuleProtocol::Tcp, 80, 80, Peer::Cidr("0.0.0.0/0".parse().unwrap())),
        ingress(RuleProtocol::Udp, 53, 54, Peer::Cidr("2001:db8::/32".parse().unwrap())),
        ingress(RuleProtocol::Icmp, 3, 4, Peer::PrefixList("pl-1".to_owned())),
        ingress(RuleProtocol::All, -1, -1, Peer::Group("sg-2".to_owned())),
    ]
}

#[tokio::test]
async fn rules_are_added() {
    let wanted = AuthorizeSecurityGroupIngress {
        group: "sg-1".to_owned(),
        rules: every_kind(),
        description: "daymark".to_owned(),
    };
    let answer = ec2("AuthorizeSecurityGroupIngress", "<return>true</return>");
    let (result, form) = call(wanted.clone(), answer.clone()).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "AuthorizeSecurityGroupIngress"),
        ("GroupId", "sg-1"),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "80"),
        ("IpPermissions.1.ToPort", "80"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
        ("IpPermissions.1.IpRanges.1.Description", "daymark"),
        ("IpPermissions.2.IpProtocol", "udp"),
        ("IpPermissions.2.FromPort", "53"),
        ("IpPermissions.2.ToPort", "54"),
        ("IpPermissions.2.Ipv6Ranges.1.CidrIpv6", "2001:db8::/32"),
        ("IpPermissions.2.Ipv6Ranges.1.Description", "daymark"),
        ("IpPermissions.3.IpProtocol", "icmp"),
        ("IpPermissions.3.FromPort", "3"),
        ("IpPermissions.3.ToPort", "4"),
        ("IpPermissions.3.PrefixListIds.1.PrefixListId", "pl-1"),
        ("IpPermissions.3.PrefixListIds.1.Description", "daymark"),
        ("IpPermissions.4.IpProtocol", "-1"),
        ("IpPermissions.4.Groups.1.GroupId", "sg-2"),
        ("IpPermissions.4.Groups.1.Description", "daymark"),
    ];
    assert_eq!(form, map(sent));
    let plain = AuthorizeSecurityGroupIngress { description: String::new(), ..wanted };
    let (_, form) = call(plain, answer).await;
    assert!(!form.keys().any(|key| key.ends_with("Description")), "{form:?}");
}

#[tokio::test]
async fn rules_are_read_and_removed_by_id() {
    let rule = |id: &str, protocol: &str, rest: &str| {
        format!(
            "<item><securityGroupRuleId>{id}</securityGroupRuleId><groupId>sg-1</groupId><isEgress>false</isEgress>\
             <ipProtocol>{protocol}</ipProtocol>{rest}</item>"
        )
    };
    let ports = |from: i32, to: i32| format!("<fromPort>{from}</fromPort><toPort>{to}</toPort>");
    let out = rule("sgr-out", "-1", "<cidrIpv4>0.0.0.0/0</cidrIpv4>").replace(">false<", ">true<");
    let body = [
        out,
        rule(
            "sgr-1",
            "tcp",
            &format!("{}<cidrIpv4>0.0.0.0/0</cidrIpv4><description>daymark</description>", ports(80, 80)),
        ),
        rule(
            "sgr-2",
            "udp",
            &format!("{}<cidrIpv6>2001:db8::/32</cidrIpv6><description>daymark</description>", ports(53, 54)),
        ),
        rule(
            "sgr-3",
            "icmp",
            &format!("{}<prefixListId>pl-1</prefixListId><description>daymark</description>", ports(3, 4)),
        ),
        // Without a description and ports, as some servers tell of rules with a group.
        rule("sgr-4", "-1", "<referencedGroupInfo><groupId>sg-2</groupId></referencedGroupInfo>"),
        rule("sgr-esp", "50", "<cidrIpv4>0.0.0.0/0</cidrIpv4>"),
    ];
    let body = format!("<securityGroupRuleSet>{}</securityGroupRuleSet>", body.concat());
    let wanted = DescribeSecurityGroupRules { groups: strings(["sg-1"]) };
    let (result, form) = call(wanted, ec2("DescribeSecurityGroupRules", &body)).await;
    let expected: Vec<IngressRule> = (1..)
        .zip(every_kind())
        .map(|(number, ingress)| IngressRule {
            id: format!("sgr-{number}"),
            group: "sg-1".to_owned(),
            ingress,
            description: if number == 4 { String::new() } else { "daymark".to_owned() },
        })
        .collect();
    assert_eq!(result.unwrap(), expected);
    let sent = [
        ("Action", "DescribeSecurityGroupRules"),
        ("Filter.1.Name", "group-id"),
        ("Filter.1.Value.1", "sg-1"),
    ];
    assert_eq!(form, map(sent));

    let wanted = RevokeSecurityGroupIngress { group: "sg-1".to_owned(), rules: strings(["sgr-1", "sgr-2"]) };
    let (result, form) = call(wanted, ec2("RevokeSecurityGroupIngress", "<return>true</return>")).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "RevokeSecurityGroupIngress"),
        ("GroupId", "sg-1"),
        ("SecurityGroupRuleId.1", "sgr-1"),
        ("SecurityGroupRuleId.2", "sgr-2"),
    ];
    assert_eq!(form, map(sent));
}
