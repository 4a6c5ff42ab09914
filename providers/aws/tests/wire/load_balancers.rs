//! Load balancers.

use daymark_aws::api::{
    ApiError, CreateLoadBalancer, DeleteLoadBalancer, DescribeCapacityReservation,
    DescribeLoadBalancerAttributes, DescribeLoadBalancers, IpAddressType, LoadBalancer, LoadBalancerState,
    ModifyCapacityReservation, ModifyLoadBalancerAttributes, Scheme, SetIpAddressType, SetSecurityGroups,
    SetSubnets, SubnetMapping, Which, Zone, ZoneAddress, ask,
};

use super::server::{Server, call, elb, elb_error};
use super::{map, strings};

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/k8s-web/50dc6c495c0c9188";

/// As AWS describes one of two zones, both families, and an Elastic IP in one of them.
fn member(name: &str) -> String {
    format!(
        "<member><LoadBalancerArn>{ARN}</LoadBalancerArn><LoadBalancerName>{name}</LoadBalancerName>\
         <DNSName>k8s-web-50dc6c495c0c9188.elb.eu-central-1.amazonaws.com</DNSName>\
         <CanonicalHostedZoneId>Z3F0SRJ5LGBH90</CanonicalHostedZoneId><CreatedTime>2026-11-01T12:00:00.000Z</CreatedTime>\
         <Scheme>internet-facing</Scheme><VpcId>vpc-1</VpcId><Type>network</Type><IpAddressType>dualstack</IpAddressType>\
         <State><Code>provisioning</Code></State>\
         <AvailabilityZones>\
         <member><ZoneName>eu-central-1a</ZoneName><SubnetId>subnet-a</SubnetId><LoadBalancerAddresses>\
         <member><IpAddress>198.51.100.7</IpAddress><AllocationId>eipalloc-1</AllocationId></member>\
         <member><IPv6Address>2001:db8::7</IPv6Address></member></LoadBalancerAddresses>\
         <SourceNatIpv6Prefixes><member>2001:db8:0:1::/80</member></SourceNatIpv6Prefixes></member>\
         <member><ZoneName>eu-central-1b</ZoneName><SubnetId>subnet-b</SubnetId><LoadBalancerAddresses>\
         <member><PrivateIPv4Address>10.0.1.9</PrivateIPv4Address></member></LoadBalancerAddresses></member>\
         </AvailabilityZones>\
         <SecurityGroups><member>sg-1</member><member>sg-2</member></SecurityGroups>\
         <EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic>off</EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic>\
         <EnablePrefixForIpv6SourceNat>on</EnablePrefixForIpv6SourceNat></member>"
    )
}

fn described(name: &str) -> LoadBalancer {
    LoadBalancer {
        arn: ARN.to_owned(),
        name: name.to_owned(),
        dns_name: "k8s-web-50dc6c495c0c9188.elb.eu-central-1.amazonaws.com".to_owned(),
        hosted_zone: "Z3F0SRJ5LGBH90".to_owned(),
        is_network: true,
        scheme: Scheme::InternetFacing,
        state: LoadBalancerState::Provisioning,
        state_reason: None,
        vpc: "vpc-1".to_owned(),
        ip_address_type: IpAddressType::Dualstack,
        zones: vec![
            Zone {
                name: "eu-central-1a".to_owned(),
                subnet: "subnet-a".to_owned(),
                address: ZoneAddress {
                    allocation: Some("eipalloc-1".to_owned()),
                    public: Some("198.51.100.7".parse().unwrap()),
                    private: None,
                    ipv6: Some("2001:db8::7".parse().unwrap()),
                },
                source_nat_prefix: Some("2001:db8:0:1::/80".to_owned()),
            },
            Zone {
                name: "eu-central-1b".to_owned(),
                subnet: "subnet-b".to_owned(),
                address: ZoneAddress { private: Some("10.0.1.9".parse().unwrap()), ..ZoneAddress::default() },
                source_nat_prefix: None,
            },
        ],
        security_groups: strings(["sg-1", "sg-2"]),
        private_link_rules: Some(false),
        source_nat: true,
    }
}

#[tokio::test]
async fn one_is_made_with_what_is_set_and_nothing_else() {
    let wanted = CreateLoadBalancer {
        name: "k8s-web".to_owned(),
        scheme: Scheme::InternetFacing,
        ip_address_type: IpAddressType::Dualstack,
        subnets: vec![
            SubnetMapping {
                subnet: "subnet-a".to_owned(),
                allocation: Some("eipalloc-1".to_owned()),
                ipv6: Some("2001:db8::7".parse().unwrap()),
                source_nat_prefix: Some("auto_assigned".to_owned()),
                private: None,
            },
            SubnetMapping {
                subnet: "subnet-b".to_owned(),
                private: Some("10.0.1.9".parse().unwrap()),
                ..SubnetMapping::default()
            },
        ],
        security_groups: strings(["sg-1", "sg-2"]),
        source_nat: true,
        tags: map([("daymark.dev/cluster", "lab & co"), ("Name", "web")]),
    };
    let plain = CreateLoadBalancer {
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: vec![SubnetMapping { subnet: "subnet-a".to_owned(), ..SubnetMapping::default() }],
        security_groups: Vec::new(),
        source_nat: false,
        tags: map([]),
        ..wanted.clone()
    };
    let created = elb("CreateLoadBalancer", &format!("<LoadBalancers>{}</LoadBalancers>", member("k8s-web")));
    let (result, form) = call(wanted, created.clone()).await;
    assert_eq!(result.unwrap(), described("k8s-web"));
    let sent = map([
        ("Action", "CreateLoadBalancer"),
        ("Name", "k8s-web"),
        ("Type", "network"),
        ("Scheme", "internet-facing"),
        ("IpAddressType", "dualstack"),
        ("SubnetMappings.member.1.SubnetId", "subnet-a"),
        ("SubnetMappings.member.1.AllocationId", "eipalloc-1"),
        ("SubnetMappings.member.1.IPv6Address", "2001:db8::7"),
        ("SubnetMappings.member.1.SourceNatIpv6Prefix", "auto_assigned"),
        ("SubnetMappings.member.2.SubnetId", "subnet-b"),
        ("SubnetMappings.member.2.PrivateIPv4Address", "10.0.1.9"),
        ("SecurityGroups.member.1", "sg-1"),
        ("SecurityGroups.member.2", "sg-2"),
        ("EnablePrefixForIpv6SourceNat", "on"),
        ("Tags.member.1.Key", "Name"),
        ("Tags.member.1.Value", "web"),
        ("Tags.member.2.Key", "daymark.dev/cluster"),
        ("Tags.member.2.Value", "lab & co"),
    ]);
    assert_eq!(form, sent);
    let (_, form) = call(plain, created).await;
    let sent = map([
        ("Action", "CreateLoadBalancer"),
        ("Name", "k8s-web"),
        ("Type", "network"),
        ("Scheme", "internal"),
        ("IpAddressType", "ipv4"),
        ("SubnetMappings.member.1.SubnetId", "subnet-a"),
    ]);
    assert_eq!(form, sent);
}

#[tokio::test]
async fn all_pages_are_read() {
    let page = |name: &str, next: &str| {
        let next = format!("<NextMarker>{next}</NextMarker>");
        let next = if next.len() == "<NextMarker></NextMarker>".len() { "" } else { &next };
        elb("DescribeLoadBalancers", &format!("<LoadBalancers>{}</LoadBalancers>{next}", member(name)))
    };
    let server = Server::that_answers([page("a", "m1"), page("b", "m2"), page("c", "")]).await;
    let found = ask(&server.sdk().await, DescribeLoadBalancers { which: Which::All }).await.unwrap();
    let names: Vec<String> = found.into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let markers: Vec<Option<String>> =
        server.forms().into_iter().map(|mut form| form.remove("Marker")).collect();
    assert_eq!(markers, [None, Some("m1".to_owned()), Some("m2".to_owned())]);
}

#[tokio::test]
async fn pages_that_repeat_themselves_end() {
    let looped = elb(
        "DescribeLoadBalancers",
        &format!("<LoadBalancers>{}</LoadBalancers><NextMarker>same</NextMarker>", member("a")),
    );
    let server = Server::that_answers([looped.clone(), looped.clone(), looped]).await;
    let found = ask(&server.sdk().await, DescribeLoadBalancers { which: Which::All }).await.unwrap();
    assert_eq!((found.len(), server.forms().len()), (2, 2));
}

#[tokio::test]
async fn nothing_asked_for_asks_nothing() {
    let server = Server::that_answers([]).await;
    let sdk = server.sdk().await;
    for which in [Which::Arns(Vec::new()), Which::Names(Vec::new())] {
        assert_eq!(ask(&sdk, DescribeLoadBalancers { which }).await, Ok(Vec::new()));
    }
    assert!(server.sent().is_empty());
}

#[tokio::test]
async fn those_asked_for_by_name_are_named() {
    let which = Which::Names(strings(["a", "b"]));
    let (result, form) =
        call(DescribeLoadBalancers { which }, elb_error(400, "LoadBalancerNotFound", "")).await;
    assert_eq!(result.unwrap_err().code, "LoadBalancerNotFound");
    assert_eq!(
        form,
        map([("Action", "DescribeLoadBalancers"), ("Names.member.1", "a"), ("Names.member.2", "b")])
    );
}

/// A server that leaves out what AWS says: no scheme, no addresses, a type and a state that are new.
#[tokio::test]
async fn an_answer_that_says_little_is_read() {
    let little = "<member><LoadBalancerArn>arn:x</LoadBalancerArn><LoadBalancerName>x</LoadBalancerName>\
         <Type>quantum</Type><State><Code>entangled</Code><Reason>because</Reason></State>\
         <AvailabilityZones><member><ZoneName>z</ZoneName></member></AvailabilityZones></member>";
    let answer = elb("DescribeLoadBalancers", &format!("<LoadBalancers>{little}</LoadBalancers>"));
    let (result, _) = call(DescribeLoadBalancers { which: Which::All }, answer).await;
    let found = result.unwrap().remove(0);
    assert_eq!((found.scheme, found.ip_address_type), (Scheme::InternetFacing, IpAddressType::Ipv4));
    assert_eq!((found.is_network, found.private_link_rules, found.source_nat), (false, None, false));
    assert_eq!(found.state, LoadBalancerState::Provisioning);
    assert_eq!(found.state_reason.as_deref(), Some("because"));
    assert_eq!(found.zones, [Zone { name: "z".to_owned(), ..Zone::default() }]);
}

#[tokio::test]
async fn one_that_cannot_be_read_is_left_out_of_all_and_told_where_it_was_asked_for() {
    let unreadable = "<member><LoadBalancerName>x</LoadBalancerName></member>";
    let answer =
        elb("DescribeLoadBalancers", &format!("<LoadBalancers>{unreadable}{}</LoadBalancers>", member("a")));
    let (result, _) = call(DescribeLoadBalancers { which: Which::All }, answer.clone()).await;
    assert_eq!(result.unwrap(), [described("a")]);
    let which = Which::Names(strings(["x", "a"]));
    let (result, _) = call(DescribeLoadBalancers { which }, answer).await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.action),
        (ApiError::GARBLED, "elasticloadbalancing:DescribeLoadBalancers")
    );
    assert!(error.message.contains("LoadBalancerArn is missing"), "{error}");
}

#[tokio::test]
async fn a_creation_without_a_result_is_told() {
    let wanted = CreateLoadBalancer {
        name: "a".to_owned(),
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: Vec::new(),
        security_groups: Vec::new(),
        source_nat: false,
        tags: map([]),
    };
    let (result, _) = call(wanted, elb("CreateLoadBalancer", "<LoadBalancers/>")).await;
    assert_eq!(result.unwrap_err().message, "the answer cannot be read: LoadBalancers is missing");
}

#[tokio::test]
async fn what_is_gone_is_deleted() {
    let delete = || DeleteLoadBalancer { arn: ARN.to_owned() };
    let (result, form) = call(delete(), elb("DeleteLoadBalancer", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form, map([("Action", "DeleteLoadBalancer"), ("LoadBalancerArn", ARN)]));
    assert_eq!(call(delete(), elb_error(400, "LoadBalancerNotFound", "")).await.0, Ok(()));
    let (result, _) = call(delete(), elb_error(400, "OperationNotPermitted", "")).await;
    assert_eq!(result.unwrap_err().code, "OperationNotPermitted");
}

#[tokio::test]
async fn subnets_groups_and_families_are_set() {
    let arn = ARN.to_owned();
    let subnets = vec![SubnetMapping { subnet: "subnet-a".to_owned(), ..SubnetMapping::default() }];
    let wanted = SetSubnets { arn: arn.clone(), subnets, source_nat: Some(false) };
    let (result, form) = call(wanted, elb("SetSubnets", "<AvailabilityZones/>")).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "SetSubnets"),
        ("LoadBalancerArn", ARN),
        ("SubnetMappings.member.1.SubnetId", "subnet-a"),
        ("EnablePrefixForIpv6SourceNat", "off"),
    ];
    assert_eq!(form, map(sent));

    let security_groups = strings(["sg-1"]);
    let wanted = SetSecurityGroups { arn: arn.clone(), security_groups, private_link_rules: Some(true) };
    let (result, form) = call(wanted, elb("SetSecurityGroups", "")).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "SetSecurityGroups"),
        ("LoadBalancerArn", ARN),
        ("SecurityGroups.member.1", "sg-1"),
        ("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "on"),
    ];
    assert_eq!(form, map(sent));

    let wanted = SetIpAddressType { arn, ip_address_type: IpAddressType::Dualstack };
    let (result, form) =
        call(wanted, elb("SetIpAddressType", "<IpAddressType>dualstack</IpAddressType>")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(
        form,
        map([("Action", "SetIpAddressType"), ("LoadBalancerArn", ARN), ("IpAddressType", "dualstack")])
    );
}

#[tokio::test]
async fn capacity_is_reserved_and_given_back() {
    let arn = || ARN.to_owned();
    let reserved =
        "<MinimumLoadBalancerCapacity><CapacityUnits>2750</CapacityUnits></MinimumLoadBalancerCapacity>";
    let (result, _) =
        call(DescribeCapacityReservation { arn: arn() }, elb("DescribeCapacityReservation", reserved)).await;
    assert_eq!(result, Ok(2750));
    let (result, _) =
        call(DescribeCapacityReservation { arn: arn() }, elb("DescribeCapacityReservation", "")).await;
    assert_eq!(result, Ok(0));
    for (units, key, value) in
        [(0, "ResetCapacityReservation", "true"), (2750, "MinimumLoadBalancerCapacity.CapacityUnits", "2750")]
    {
        let wanted = ModifyCapacityReservation { arn: arn(), units };
        let (result, form) = call(wanted, elb("ModifyCapacityReservation", "")).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            form,
            map([("Action", "ModifyCapacityReservation"), ("LoadBalancerArn", ARN), (key, value)])
        );
    }
}

#[tokio::test]
async fn attributes_are_read_and_changed() {
    let list = "<Attributes><member><Key>deletion_protection.enabled</Key><Value>true</Value></member>\
         <member><Key>access_logs.s3.prefix</Key><Value/></member></Attributes>";
    let answer = elb("DescribeLoadBalancerAttributes", list);
    let (result, form) = call(DescribeLoadBalancerAttributes { arn: ARN.to_owned() }, answer).await;
    let expected = map([("deletion_protection.enabled", "true"), ("access_logs.s3.prefix", "")]);
    assert_eq!(result.unwrap(), expected);
    assert_eq!(form, map([("Action", "DescribeLoadBalancerAttributes"), ("LoadBalancerArn", ARN)]));
    let attributes = map([("load_balancing.cross_zone.enabled", "true")]);
    let wanted = ModifyLoadBalancerAttributes { arn: ARN.to_owned(), attributes };
    let (result, form) = call(wanted, elb("ModifyLoadBalancerAttributes", "")).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "ModifyLoadBalancerAttributes"),
        ("LoadBalancerArn", ARN),
        ("Attributes.member.1.Key", "load_balancing.cross_zone.enabled"),
        ("Attributes.member.1.Value", "true"),
    ];
    assert_eq!(form, map(sent));
}
