//! Security groups, their rules, and EC2's filters and tags.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::*;
use daymark_aws::api::*;
use daymark_aws_fake::Aws;

fn group(aws: &Aws, name: &str) -> CreateSecurityGroup {
    CreateSecurityGroup {
        name: name.to_owned(),
        description: "a test".to_owned(),
        vpc: aws.account().vpc.clone(),
        tags: tags(&[("color", name)]),
    }
}

fn authorize(group: &str, rules: &[Ingress]) -> AuthorizeSecurityGroupIngress {
    AuthorizeSecurityGroupIngress {
        group: group.to_owned(),
        rules: rules.to_vec(),
        description: "a rule".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn groups_have_names_of_their_own() {
    let aws = Aws::builder().build();
    for (create, expected) in [
        (group(&aws, "a"), "ok"),
        (group(&aws, "a"), "InvalidGroup.Duplicate"),
        (group(&aws, "sg-a"), "InvalidParameterValue"),
        (group(&aws, ""), "MissingParameter"),
        (CreateSecurityGroup { description: "it's".into(), ..group(&aws, "b") }, "InvalidParameterValue"),
        (CreateSecurityGroup { vpc: "vpc-0".into(), ..group(&aws, "b") }, "InvalidVpcID.NotFound"),
    ] {
        assert_eq!(code(&aws, create.clone()).await, expected, "{create:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rules_are_authorized_all_or_none() {
    let aws = Aws::builder().build();
    aws.add_prefix_list("pl-1", 5);
    let id = done(&aws, group(&aws, "a")).await;
    let any = tcp(80, cidr("0.0.0.0/0"));
    for (rules, expected) in [
        (vec![], "MissingParameter"),
        (vec![tcp(80, Peer::Group("sg-0".into()))], "InvalidGroup.NotFound"),
        (vec![tcp(80, Peer::PrefixList("pl-0".into()))], "InvalidPrefixListID.NotFound"),
        (vec![Ingress { to: 79, ..any.clone() }], "InvalidParameterValue"),
        (vec![Ingress { to: 65536, ..any.clone() }], "InvalidParameterValue"),
        (vec![any.clone(), any.clone()], "InvalidParameterValue"),
        (vec![any.clone(), tcp(80, Peer::Group(id.clone())), tcp(80, Peer::PrefixList("pl-1".into()))], "ok"),
        (vec![tcp(81, cidr("10.0.0.0/8")), any.clone()], "InvalidPermission.Duplicate"),
        (vec![tcp(82, cidr("10.9.8.7/8"))], "ok"),
        (vec![tcp(82, cidr("10.0.0.0/8"))], "InvalidPermission.Duplicate"),
    ] {
        assert_eq!(code(&aws, authorize(&id, &rules)).await, expected, "{rules:?}");
    }
    let rules = done(&aws, DescribeSecurityGroupRules { groups: vec![id.clone()] }).await;
    assert_eq!(rules.len(), 4);
    assert!(rules.iter().all(|rule| rule.description == "a rule" && rule.id.starts_with("sgr-")));
    let revoke = |rules: Vec<String>| RevokeSecurityGroupIngress { group: id.clone(), rules };
    let both = vec![rules[0].id.clone(), "sgr-0".into()];
    assert_eq!(code(&aws, revoke(both)).await, "InvalidSecurityGroupRuleId.NotFound");
    assert_eq!(code(&aws, revoke(vec![rules[0].id.clone()])).await, "ok");
    assert_eq!(code(&aws, revoke(vec![rules[0].id.clone()])).await, "InvalidSecurityGroupRuleId.NotFound");
    assert_eq!(done(&aws, DescribeSecurityGroupRules { groups: vec![id] }).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_group_has_sixty_rules_of_each_family() {
    let aws = Aws::builder().build();
    aws.add_prefix_list("pl-1", 10);
    let id = done(&aws, group(&aws, "a")).await;
    let v4: Vec<_> = (0..50).map(|port| tcp(port, cidr("10.0.0.0/8"))).collect();
    let v6: Vec<_> = (0..50).map(|port| tcp(port, cidr("fd00::/8"))).collect();
    assert_eq!(code(&aws, authorize(&id, &v4)).await, "ok");
    assert_eq!(code(&aws, authorize(&id, &v6)).await, "ok");
    assert_eq!(code(&aws, authorize(&id, &[tcp(80, Peer::PrefixList("pl-1".into()))])).await, "ok");
    for peer in [cidr("10.0.0.0/8"), cidr("fd00::/8"), Peer::Group(id.clone())] {
        let refused = code(&aws, authorize(&id, &[tcp(100, peer.clone())])).await;
        assert_eq!(refused, "RulesPerSecurityGroupLimitExceeded", "{peer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_in_use_stays() {
    let aws = Aws::builder().build();
    let delete = |id: &str| DeleteSecurityGroup { id: id.to_owned() };
    let front = done(&aws, group(&aws, "front")).await;
    let back = done(&aws, group(&aws, "back")).await;
    let create =
        CreateLoadBalancer { security_groups: vec![front.clone(), back.clone()], ..nlb(&aws, "web") };
    let arn = done(&aws, create).await.arn;
    done(&aws, authorize(&aws.account().node_group, &[tcp(30000, Peer::Group(back.clone()))])).await;
    done(&aws, authorize(&back, &[tcp(80, Peer::Group(back.clone()))])).await;
    assert_eq!(code(&aws, delete(&front)).await, "DependencyViolation");
    done(&aws, DeleteLoadBalancer { arn }).await;
    assert_eq!(code(&aws, delete(&front)).await, "DependencyViolation");
    pass(45).await;
    assert_eq!(code(&aws, delete(&front)).await, "ok");
    assert_eq!(code(&aws, delete(&front)).await, "InvalidGroup.NotFound");
    assert_eq!(code(&aws, delete(&back)).await, "DependencyViolation");
    let nodes = aws.account().node_group.clone();
    let rules = done(&aws, DescribeSecurityGroupRules { groups: vec![nodes.clone()] }).await;
    let rules = rules.into_iter().map(|rule| rule.id).collect();
    done(&aws, RevokeSecurityGroupIngress { group: nodes, rules }).await;
    // A rule of its own about itself does not hold it.
    assert_eq!(code(&aws, delete(&back)).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn filters_fit_everything_they_name() {
    let aws = Aws::builder().build();
    let account = aws.account();
    let (vpc, _) = aws.add_vpc("192.168.0.0/24".parse().unwrap());
    done(&aws, group(&aws, "red")).await;
    done(&aws, group(&aws, "blue")).await;
    let filter = |vpc: &str, tag: &[(&str, &[&str])], names: &[&str]| {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let tags = tag.iter().map(|(key, of)| ((*key).to_owned(), values(of))).collect();
        Filter { vpc: Some(vpc.to_owned()), tags, names: values(names), ..Filter::default() }
    };
    for (filter, expected) in [
        (filter(&account.vpc, &[("color", &["red", "green"])], &[]), 1),
        (filter(&account.vpc, &[("color", &[])], &[]), 2),
        (filter(&account.vpc, &[("color", &["red"])], &["blue"]), 0),
        (filter(&account.vpc, &[], &["blue", "default"]), 2),
        (filter(&vpc, &[], &[]), 1),
        (filter(&account.vpc, &[("kubernetes.io/cluster/test", &[])], &[]), 1),
    ] {
        let found = done(&aws, DescribeSecurityGroups { filter: filter.clone() }).await.len();
        assert_eq!(found, expected, "{filter:?}");
    }
    let public = filter(&account.vpc, &[("kubernetes.io/role/elb", &["", "1"])], &[]);
    let subnets = done(&aws, DescribeSubnets { filter: public }).await;
    assert_eq!(subnets.len(), 3);
    assert!(subnets.iter().all(|subnet| account.public.contains(&subnet.id) && subnet.available == 251));
    let named = filter(&account.vpc, &[], &["private-eu-west-1b"]);
    assert_eq!(done(&aws, DescribeSubnets { filter: named }).await[0].id, account.private[1]);
    let ids = |id: &str| Filter { ids: vec![id.to_owned()], ..Filter::default() };
    assert_eq!(code(&aws, DescribeSubnets { filter: ids("subnet-0") }).await, "InvalidSubnetID.NotFound");
    assert_eq!(code(&aws, DescribeSecurityGroups { filter: ids("sg-0") }).await, "InvalidGroup.NotFound");
    assert_eq!(code(&aws, DescribeVpcs { ids: vec!["vpc-0".into()] }).await, "InvalidVpcID.NotFound");
    let addresses = DescribeAddresses { allocations: vec!["eipalloc-0".into()] };
    assert_eq!(code(&aws, addresses).await, "InvalidAllocationID.NotFound");
    let routes = done(&aws, DescribeRouteTables { vpc: account.vpc.clone() }).await;
    let is_public: Vec<_> = routes.into_iter().filter(|table| table.is_public).collect();
    assert_eq!(is_public[0].subnets, account.public);
}

#[tokio::test(start_paused = true)]
async fn tags_are_fifty_and_not_aws_own() {
    let aws = Aws::builder().build();
    let id = done(&aws, group(&aws, "a")).await;
    let many: Tags = (0..50).map(|number| (format!("k{number}"), String::new())).collect();
    let create = |id: &str, tags: Tags| CreateTags { id: id.to_owned(), tags };
    assert_eq!(code(&aws, create(&id, many.clone())).await, "TagLimitExceeded");
    assert_eq!(code(&aws, create(&id, tags(&[("aws:x", "y")]))).await, "InvalidParameterValue");
    assert_eq!(code(&aws, create("sg-0", tags(&[]))).await, "InvalidGroup.NotFound");
    assert_eq!(code(&aws, create(&id, tags(&[("x", "y")]))).await, "ok");
    done(&aws, DeleteTags { id: id.clone(), keys: vec!["color".into(), "other".into()] }).await;
    let filter = Filter { ids: vec![id], ..Filter::default() };
    assert_eq!(done(&aws, DescribeSecurityGroups { filter }).await[0].tags, tags(&[("x", "y")]));
    let arn = done(&aws, pool(&aws, "web")).await.arn;
    let add = |tags: Tags| AddTags { arn: arn.clone(), tags };
    assert_eq!(code(&aws, add(tags(&[("x", "y")]))).await, "ok");
    assert_eq!(code(&aws, add(many)).await, "TooManyTags");
    assert_eq!(code(&aws, add(tags(&[("AWS:x", "y")]))).await, "ValidationError");
    done(&aws, RemoveTags { arn: arn.clone(), keys: vec!["x".into()] }).await;
    assert!(done(&aws, DescribeTags { arns: vec![arn.clone()] }).await[&arn].is_empty());
}
