//! Each call of EC2 once.

use daymark_aws::api::{
    AuthorizeSecurityGroupIngress, CreateSecurityGroup, CreateTags, DeleteSecurityGroup, DeleteTags,
    DescribeAddresses, DescribeNetworkInterfaces, DescribeRouteTables, DescribeSecurityGroupRules,
    DescribeSecurityGroups, DescribeSubnets, DescribeVpcs, Filter, Ingress, Peer, RevokeSecurityGroupIngress,
    RuleProtocol,
};
use daymark_tests::aws::{Ground, Moto};

use super::{Account, made, map};

#[tokio::test]
async fn each_call_once() {
    let moto = Moto::start().await.unwrap();
    let account = Account::new(&moto, "111111111111").await;
    let ground = Ground::lay(&account.proxy.past(), "lab", 2, 1).await.unwrap();
    network(&account, &ground).await;
    security_groups(&account, &ground).await;
}

async fn network(account: &Account, ground: &Ground) {
    let vpcs = account.ask(DescribeVpcs { ids: vec![ground.vpc.clone()] }).await;
    assert_eq!(vpcs[0].cidrs, ["10.100.0.0/16".parse().unwrap()]);
    let error = account.try_ask(DescribeVpcs { ids: vec!["vpc-0".to_owned()] }).await.unwrap_err();
    assert_eq!(error.code, "InvalidVpcID.NotFound");
    let filter = Filter {
        vpc: Some(ground.vpc.clone()),
        tags: [("kubernetes.io/role/elb".to_owned(), vec![String::new(), "1".to_owned()])].into(),
        ..Filter::default()
    };
    let mut subnets = account.ask(DescribeSubnets { filter }).await;
    subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
    assert_eq!(subnets.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), ground.public);
    assert_eq!((subnets[0].ipv4.to_string().as_str(), subnets[0].ipv6.len()), ("10.100.0.0/24", 0));
    assert_eq!((subnets[0].zone.as_str(), subnets[0].available > 200), ("eu-central-1a", true));
    let filter = Filter { ids: ground.private.clone(), ..Filter::default() };
    assert_eq!(account.ask(DescribeSubnets { filter }).await.len(), 2);

    let tables = account.ask(DescribeRouteTables { vpc: ground.vpc.clone() }).await;
    let public: Vec<_> = tables.iter().filter(|table| table.is_public).collect();
    assert_eq!((public.len(), public[0].is_main), (1, false));
    assert_eq!(public[0].subnets.len(), ground.public.len());
    assert_eq!(tables.iter().filter(|table| table.is_main).count(), 1);

    let interfaces = account.ask(DescribeNetworkInterfaces { group: ground.node_group.clone() }).await;
    assert_eq!(interfaces.len(), ground.instances.len());
    assert_eq!(interfaces[0].security_groups, std::slice::from_ref(&ground.node_group));

    let allocation = account.proxy.past().ec2("AllocateAddress", &[("Domain", "vpc")]).await.unwrap();
    let allocation = allocation.first("allocationId").unwrap();
    let addresses = account.ask(DescribeAddresses { allocations: vec![allocation.clone()] }).await;
    assert_eq!((addresses[0].allocation.as_str(), addresses[0].in_use), (allocation.as_str(), false));
    made(
        account,
        &[
            "DescribeVpcs",
            "DescribeVpcs",
            "DescribeSubnets",
            "DescribeSubnets",
            "DescribeRouteTables",
            "DescribeNetworkInterfaces",
            "DescribeAddresses",
        ],
    );
}

async fn security_groups(account: &Account, ground: &Ground) {
    let wanted = CreateSecurityGroup {
        name: "web".to_owned(),
        description: "of Service default/web".to_owned(),
        vpc: ground.vpc.clone(),
        tags: map([("daymark.dev/cluster", "lab")]),
    };
    let id = account.ask(wanted.clone()).await;
    assert_eq!(account.try_ask(wanted).await.unwrap_err().code, "InvalidGroup.Duplicate");
    account.ask(CreateTags { id: id.clone(), tags: map([("more", "1"), ("gone", "2")]) }).await;
    account.ask(DeleteTags { id: id.clone(), keys: vec!["gone".to_owned()] }).await;
    let filter = Filter { vpc: Some(ground.vpc.clone()), names: vec!["web".to_owned()], ..Filter::default() };
    let found = account.ask(DescribeSecurityGroups { filter }).await;
    assert_eq!((found.len(), found[0].id.as_str(), found[0].name.as_str()), (1, id.as_str(), "web"));
    assert_eq!(found[0].tags, map([("daymark.dev/cluster", "lab"), ("more", "1")]));

    let ingress = |protocol, from, to, peer| Ingress { protocol, from, to, peer };
    let mut rules = vec![
        ingress(RuleProtocol::Tcp, 80, 80, Peer::Cidr("0.0.0.0/0".parse().unwrap())),
        ingress(RuleProtocol::Udp, 53, 54, Peer::Cidr("2001:db8::/32".parse().unwrap())),
        ingress(RuleProtocol::Icmp, 3, 4, Peer::Cidr("10.0.0.0/8".parse().unwrap())),
        ingress(RuleProtocol::Tcp, 30000, 32767, Peer::Group(ground.node_group.clone())),
    ];
    let wanted = AuthorizeSecurityGroupIngress {
        group: id.clone(),
        rules: rules.clone(),
        description: "daymark".to_owned(),
    };
    account.ask(wanted.clone()).await;
    assert_eq!(account.try_ask(wanted).await.unwrap_err().code, "InvalidPermission.Duplicate");
    let filter = Filter { letting_in: vec![ground.node_group.clone()], ..Filter::default() };
    let found = account.ask(DescribeSecurityGroups { filter }).await;
    assert_eq!(found.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    let found = account.ask(DescribeSecurityGroupRules { groups: vec![id.clone()] }).await;
    let mut read: Vec<Ingress> = found.iter().map(|rule| rule.ingress.clone()).collect();
    read.sort();
    rules.sort();
    assert_eq!(read, rules);
    let described = found.iter().filter(|rule| rule.description == "daymark").count();
    assert!(described >= 3, "moto lacks at most the description of the rule with a group: {found:?}");
    let ids = found.into_iter().map(|rule| rule.id).collect();
    account.ask(RevokeSecurityGroupIngress { group: id.clone(), rules: ids }).await;
    assert_eq!(account.ask(DescribeSecurityGroupRules { groups: vec![id.clone()] }).await, []);
    account.ask(DeleteSecurityGroup { id: id.clone() }).await;
    assert_eq!(account.try_ask(DeleteSecurityGroup { id }).await.unwrap_err().code, "InvalidGroup.NotFound");
    made(
        account,
        &[
            "CreateSecurityGroup",
            "CreateSecurityGroup",
            "CreateTags",
            "DeleteTags",
            "DescribeSecurityGroups",
            "AuthorizeSecurityGroupIngress",
            "AuthorizeSecurityGroupIngress",
            "DescribeSecurityGroups",
            "DescribeSecurityGroupRules",
            "RevokeSecurityGroupIngress",
            "DescribeSecurityGroupRules",
            "DeleteSecurityGroup",
            "DeleteSecurityGroup",
        ],
    );
}
