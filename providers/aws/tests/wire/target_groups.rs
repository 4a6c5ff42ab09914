//! Target groups and targets.

use daymark_aws::api::{
    ApiError, CreateTargetGroup, DeleteTargetGroup, DeregisterTargets, DescribeTargetGroupAttributes,
    DescribeTargetGroups, DescribeTargetHealth, HealthCheck, HealthProtocol, ModifyTargetGroup,
    ModifyTargetGroupAttributes, NlbProtocol, RegisterTargets, Target, TargetGroup, TargetHealth,
    TargetState, TargetType, Which, ask,
};
use daymark_model::Family;

use super::server::{Server, call, elb, elb_error};
use super::{map, strings};

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/k8s-web/73e2d6bc24d8a067";

fn http() -> HealthCheck {
    HealthCheck {
        protocol: HealthProtocol::Http,
        port: Some(10256),
        path: Some("/healthz".to_owned()),
        codes: Some("200-399".to_owned()),
        interval: 10,
        timeout: 6,
        healthy: 2,
        unhealthy: 3,
    }
}

fn tcp() -> HealthCheck {
    HealthCheck { protocol: HealthProtocol::Tcp, port: None, path: None, codes: None, ..http() }
}

const MEMBER: &str = "<member><TargetGroupArn>arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/k8s-web/73e2d6bc24d8a067</TargetGroupArn>\
     <TargetGroupName>k8s-web</TargetGroupName><Protocol>TCP_UDP</Protocol><Port>53</Port><VpcId>vpc-1</VpcId>\
     <TargetType>ip</TargetType><IpAddressType>ipv6</IpAddressType>\
     <HealthCheckProtocol>HTTP</HealthCheckProtocol><HealthCheckPort>10256</HealthCheckPort>\
     <HealthCheckEnabled>true</HealthCheckEnabled><HealthCheckIntervalSeconds>10</HealthCheckIntervalSeconds>\
     <HealthCheckTimeoutSeconds>6</HealthCheckTimeoutSeconds><HealthyThresholdCount>2</HealthyThresholdCount>\
     <UnhealthyThresholdCount>3</UnhealthyThresholdCount><HealthCheckPath>/healthz</HealthCheckPath>\
     <Matcher><HttpCode>200-399</HttpCode></Matcher>\
     <LoadBalancerArns><member>arn:lb</member></LoadBalancerArns></member>";

fn described() -> TargetGroup {
    TargetGroup {
        arn: ARN.to_owned(),
        name: "k8s-web".to_owned(),
        protocol: NlbProtocol::TcpUdp,
        port: 53,
        target_type: TargetType::Ip,
        family: Family::V6,
        vpc: "vpc-1".to_owned(),
        health: http(),
        load_balancers: strings(["arn:lb"]),
    }
}

fn groups(members: &str) -> super::server::Answer {
    elb("DescribeTargetGroups", &format!("<TargetGroups>{members}</TargetGroups>"))
}

#[tokio::test]
async fn one_is_made() {
    let wanted = CreateTargetGroup {
        name: "k8s-web".to_owned(),
        protocol: NlbProtocol::TcpUdp,
        port: 53,
        target_type: TargetType::Ip,
        family: Family::V6,
        vpc: "vpc-1".to_owned(),
        health: http(),
        tags: map([("a", "b")]),
    };
    let plain = CreateTargetGroup { family: Family::V4, health: tcp(), tags: map([]), ..wanted.clone() };
    let answer = elb("CreateTargetGroup", &format!("<TargetGroups>{MEMBER}</TargetGroups>"));
    let (result, form) = call(wanted, answer.clone()).await;
    assert_eq!(result.unwrap(), described());
    let both = [
        ("Action", "CreateTargetGroup"),
        ("Name", "k8s-web"),
        ("Protocol", "TCP_UDP"),
        ("Port", "53"),
        ("VpcId", "vpc-1"),
        ("TargetType", "ip"),
        ("HealthCheckEnabled", "true"),
        ("HealthCheckIntervalSeconds", "10"),
        ("HealthCheckTimeoutSeconds", "6"),
        ("HealthyThresholdCount", "2"),
        ("UnhealthyThresholdCount", "3"),
    ];
    let mut sent = map(both);
    sent.extend(map([
        ("IpAddressType", "ipv6"),
        ("HealthCheckProtocol", "HTTP"),
        ("HealthCheckPort", "10256"),
        ("HealthCheckPath", "/healthz"),
        ("Matcher.HttpCode", "200-399"),
        ("Tags.member.1.Key", "a"),
        ("Tags.member.1.Value", "b"),
    ]));
    assert_eq!(form, sent);
    let (_, form) = call(plain, answer).await;
    let mut sent = map(both);
    sent.extend(map([("HealthCheckProtocol", "TCP"), ("HealthCheckPort", "traffic-port")]));
    assert_eq!(form, sent);
}

#[tokio::test]
async fn what_a_tcp_check_does_not_use_is_not_read() {
    let member = MEMBER.replace(">HTTP<", ">TCP<").replace(">10256<", ">traffic-port<");
    let which = Which::Arns(strings([ARN]));
    let (result, form) = call(DescribeTargetGroups { which }, groups(&member)).await;
    assert_eq!(result.unwrap(), [TargetGroup { health: tcp(), ..described() }]);
    assert_eq!(form, map([("Action", "DescribeTargetGroups"), ("TargetGroupArns.member.1", ARN)]));
}

#[tokio::test]
async fn defaults_stand_for_what_is_missing() {
    let little = "<member><TargetGroupArn>arn:x</TargetGroupArn><TargetGroupName>x</TargetGroupName>\
         <Protocol>TCP</Protocol><Port>80</Port></member>";
    let (result, _) = call(DescribeTargetGroups { which: Which::All }, groups(little)).await;
    let found = result.unwrap().remove(0);
    assert_eq!((found.target_type, found.family), (TargetType::Instance, Family::V4));
    assert_eq!(found.health, HealthCheck { interval: 30, timeout: 10, healthy: 5, unhealthy: 2, ..tcp() });
}

#[tokio::test]
async fn groups_of_other_kinds_of_load_balancers_are_left_out() {
    let others = ["HTTP", "GENEVE", "QUIC"].map(|word| MEMBER.replace("TCP_UDP", word)).concat();
    let lambda =
        MEMBER.replace("<Protocol>TCP_UDP</Protocol><Port>53</Port>", "").replace(">ip<", ">lambda<");
    let answer = groups(&format!("{others}{lambda}{MEMBER}"));
    let (result, _) = call(DescribeTargetGroups { which: Which::All }, answer.clone()).await;
    assert_eq!(result.unwrap(), [described()]);
    let (result, _) = call(DescribeTargetGroups { which: Which::Names(strings(["k8s-web"])) }, answer).await;
    let error = result.unwrap_err();
    assert_eq!(error.code, ApiError::GARBLED);
    assert!(error.message.contains("Protocol is `HTTP`"), "{error}");
}

#[tokio::test]
async fn there_may_be_none() {
    let (result, _) =
        call(DescribeTargetGroups { which: Which::All }, elb_error(400, "TargetGroupNotFound", "")).await;
    assert_eq!(result, Ok(Vec::new()));
    let which = Which::Arns(strings([ARN]));
    let (result, _) = call(DescribeTargetGroups { which }, elb_error(400, "TargetGroupNotFound", "")).await;
    assert_eq!(result.unwrap_err().code, "TargetGroupNotFound");
}

#[tokio::test]
async fn the_check_is_changed_and_groups_deleted() {
    let wanted = ModifyTargetGroup { arn: ARN.to_owned(), health: http() };
    let (result, form) = call(wanted, elb("ModifyTargetGroup", "")).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "ModifyTargetGroup"),
        ("TargetGroupArn", ARN),
        ("HealthCheckProtocol", "HTTP"),
        ("HealthCheckPort", "10256"),
        ("HealthCheckPath", "/healthz"),
        ("Matcher.HttpCode", "200-399"),
        ("HealthCheckIntervalSeconds", "10"),
        ("HealthCheckTimeoutSeconds", "6"),
        ("HealthyThresholdCount", "2"),
        ("UnhealthyThresholdCount", "3"),
    ];
    assert_eq!(form, map(sent));
    let delete = || DeleteTargetGroup { arn: ARN.to_owned() };
    assert_eq!(call(delete(), elb("DeleteTargetGroup", "")).await.0, Ok(()));
    assert_eq!(call(delete(), elb_error(400, "TargetGroupNotFound", "")).await.0, Ok(()));
    let (result, _) = call(delete(), elb_error(400, "ResourceInUse", "")).await;
    assert_eq!(result.unwrap_err().message, "no, ResourceInUse");
}

#[tokio::test]
async fn attributes_are_read_and_changed() {
    let list = "<Attributes><member><Key>stickiness.enabled</Key><Value>false</Value></member></Attributes>";
    let answer = elb("DescribeTargetGroupAttributes", list);
    let (result, _) = call(DescribeTargetGroupAttributes { arn: ARN.to_owned() }, answer).await;
    assert_eq!(result.unwrap(), map([("stickiness.enabled", "false")]));
    let attributes = map([("proxy_protocol_v2.enabled", "true")]);
    let wanted = ModifyTargetGroupAttributes { arn: ARN.to_owned(), attributes };
    let (result, form) = call(wanted, elb("ModifyTargetGroupAttributes", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form["Attributes.member.1.Key"], "proxy_protocol_v2.enabled");
}

fn targets() -> Vec<Target> {
    vec![
        Target { id: "10.0.0.5".to_owned(), port: 8080, zone: None },
        Target { id: "192.168.1.5".to_owned(), port: 8080, zone: Some("all".to_owned()) },
    ]
}

#[tokio::test]
async fn targets_come_and_go() {
    let sent = [
        ("TargetGroupArn", ARN),
        ("Targets.member.1.Id", "10.0.0.5"),
        ("Targets.member.1.Port", "8080"),
        ("Targets.member.2.Id", "192.168.1.5"),
        ("Targets.member.2.Port", "8080"),
        ("Targets.member.2.AvailabilityZone", "all"),
    ];
    let wanted = RegisterTargets { arn: ARN.to_owned(), targets: targets() };
    let (result, mut form) = call(wanted, elb("RegisterTargets", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form.remove("Action").as_deref(), Some("RegisterTargets"));
    assert_eq!(form, map(sent));
    let wanted = DeregisterTargets { arn: ARN.to_owned(), targets: targets() };
    let (result, mut form) = call(wanted, elb("DeregisterTargets", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form.remove("Action").as_deref(), Some("DeregisterTargets"));
    assert_eq!(form, map(sent));
    let server = Server::that_answers([]).await;
    let none = RegisterTargets { arn: ARN.to_owned(), targets: Vec::new() };
    assert_eq!(ask(&server.sdk().await, none).await, Ok(()));
    assert!(server.sent().is_empty());
}

#[tokio::test]
async fn health_is_read() {
    let member = |id: &str, zone: &str, state: &str| {
        format!(
            "<member><Target><Id>{id}</Id><Port>8080</Port>{zone}</Target><HealthCheckPort>8080</HealthCheckPort>\
             <TargetHealth>{state}</TargetHealth></member>"
        )
    };
    let list = [
        member("10.0.0.5", "", "<State>initial</State><Reason>Elb.RegistrationInProgress</Reason>"),
        member(
            "192.168.1.5",
            "<AvailabilityZone>all</AvailabilityZone>",
            "<State>unhealthy.draining</State>",
        ),
        member("10.0.0.6", "", "<State>quantum</State>"),
    ];
    let body = format!("<TargetHealthDescriptions>{}</TargetHealthDescriptions>", list.concat());
    let answer = elb("DescribeTargetHealth", &body);
    let (result, form) = call(DescribeTargetHealth { arn: ARN.to_owned() }, answer).await;
    let [first, second] = targets().try_into().unwrap();
    let third = Target { id: "10.0.0.6".to_owned(), ..first.clone() };
    let reason = Some("Elb.RegistrationInProgress".to_owned());
    let expected = [
        TargetHealth { target: first, state: TargetState::Initial, reason },
        TargetHealth { target: second, state: TargetState::UnhealthyDraining, reason: None },
        TargetHealth { target: third, state: TargetState::Unavailable, reason: None },
    ];
    assert_eq!(result.unwrap(), expected);
    assert_eq!(form, map([("Action", "DescribeTargetHealth"), ("TargetGroupArn", ARN)]));
    let portless =
        "<TargetHealthDescriptions><member><Target><Id>x</Id></Target></member></TargetHealthDescriptions>";
    let answer = elb("DescribeTargetHealth", portless);
    let (result, _) = call(DescribeTargetHealth { arn: ARN.to_owned() }, answer).await;
    assert_eq!(result.unwrap_err().message, "the answer cannot be read: Target.Port is missing");
}
