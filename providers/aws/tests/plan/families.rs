//! IPv4 alone, or IPv6 too, and UDP.

use std::time::Duration;

use daymark_aws::api::{CreateListener, Forward, IpAddressType, NlbProtocol};
use daymark_aws::model::Nlb;
use daymark_aws_fake::{Aws, Snapshot};
use daymark_providers::pass::End;
use daymark_providers::{Depth, ErrorClass};

use crate::support::{Driver, desired, nlb, role};

/// A load balancer with TCP on port 80 and UDP on port 53.
fn with_udp(aws: &Aws) -> Nlb {
    let mut wish = nlb(aws, &[53, 80]);
    wish.listeners.get_mut(&53).unwrap().protocol = NlbProtocol::Udp;
    wish.target_groups.get_mut(&role(53)).unwrap().protocol = NlbProtocol::Udp;
    wish
}

fn dualstack(wish: &mut Nlb) {
    wish.ip_address_type = IpAddressType::Dualstack;
    wish.source_nat = Some(true);
}

fn only(snapshot: &Snapshot) -> &daymark_aws_fake::inspect::LoadBalancerState {
    assert_eq!(snapshot.load_balancers.len(), 1);
    snapshot.load_balancers.values().next().unwrap()
}

/// Whether AWS refused any call.
fn refused(aws: &Aws) -> Vec<String> {
    let is_refused = |fate: &daymark_aws_fake::Fate| matches!(fate, daymark_aws_fake::Fate::Failed(_));
    let calls = aws.writes().into_iter().filter(|call| is_refused(&call.fate));
    calls.map(|call| format!("{:?}", call.request)).collect()
}

#[tokio::test(start_paused = true)]
async fn udp_without_source_nat_is_refused_before_aws_does() {
    for stands in [false, true] {
        let aws = Aws::builder().build();
        let mut driver = Driver::new(&aws);
        let mut wish = with_udp(&aws);
        if stands {
            driver.settled(&wish).await;
        }
        aws.reset_calls();
        wish.ip_address_type = IpAddressType::Dualstack;
        let report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
        let End::Failed(error) = &report.end else { panic!("{report:#?}") };
        assert_eq!((error.class, error.reason), (ErrorClass::User, "SourceNatNeeded"));
        assert!(error.remedy.as_ref().unwrap().contains("enable-prefix-for-ipv6-source-nat: on"));
        assert!(error.message.contains("port 53 is UDP"), "{}", error.message);
        assert_eq!(aws.writes().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn ipv6_comes_to_udp_with_consent_and_goes_with_consent() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = with_udp(&aws);
    driver.settled(&wish).await;
    let tcp = only(&aws.snapshot()).listeners[&80].listener.arn.clone();
    dualstack(&mut wish);
    let report = driver.settle(Some(&desired(&wish))).await;
    assert_eq!(report.end, End::Held, "{report:#?}");
    assert!(report.plan.disruptive[0].contains("UDP on 1 port (53) is not served"), "{:?}", report.plan);
    assert_eq!(only(&aws.snapshot()).listeners.len(), 2);
    driver.consent(&wish).await;
    let snapshot = aws.snapshot();
    let found = only(&snapshot);
    assert_eq!(found.load_balancer.ip_address_type, IpAddressType::Dualstack);
    assert!(found.load_balancer.source_nat);
    assert_eq!(found.listeners[&53].listener.protocol, NlbProtocol::Udp);
    assert_eq!(found.listeners[&80].listener.arn, tcp);
    let mut back = wish.clone();
    back.ip_address_type = IpAddressType::Ipv4;
    back.source_nat = None;
    driver.consent(&back).await;
    let snapshot = aws.snapshot();
    let found = only(&snapshot);
    assert_eq!(found.load_balancer.ip_address_type, IpAddressType::Ipv4);
    assert!(!found.load_balancer.source_nat);
    assert_eq!(found.listeners.len(), 2);
    assert_eq!(refused(&aws), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_udp_port_that_comes_or_goes_with_ipv6_is_not_in_the_way() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    driver.settled(&with_udp(&aws)).await;
    // It goes, then IPv6 comes, without consent.
    let mut wish = nlb(&aws, &[80]);
    dualstack(&mut wish);
    driver.settled(&wish).await;
    assert_eq!(only(&aws.snapshot()).load_balancer.ip_address_type, IpAddressType::Dualstack);
    // IPv6 goes with consent, and UDP waits for that where it could not be served.
    let mut wish = with_udp(&aws);
    wish.source_nat = Some(false);
    driver.consent(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).load_balancer.ip_address_type, IpAddressType::Ipv4);
    assert_eq!(only(&snapshot).listeners.len(), 2);
    assert_eq!(refused(&aws), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_subnet_without_ipv6_is_told_of_before_udp_is_interrupted() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = with_udp(&aws);
    driver.settled(&wish).await;
    aws.edit_subnet(&aws.account().private[1].clone(), |subnet| subnet.ipv6.clear());
    dualstack(&mut wish);
    let report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
    let End::Failed(error) = &report.end else { panic!("{report:#?}") };
    assert_eq!((error.class, error.reason), (ErrorClass::User, "NoIpv6"));
    assert_eq!(only(&aws.snapshot()).listeners.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_udp_listener_is_left_alone_and_told_of() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    let mut other = with_udp(&aws);
    other.owner.uid = "uid-2".into();
    let mut others = Driver::new(&aws);
    others.settled(&other).await;
    let snapshot = aws.snapshot();
    let udp = snapshot.target_groups.values().find(|found| found.target_group.protocol == NlbProtocol::Udp);
    let own = snapshot.load_balancers.values().find(|found| found.listeners.len() == 1).unwrap();
    // A target group serves one load balancer only.
    assert_eq!(others.settle(None).await.end, End::Gone);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let group = aws.as_other(udp_group(&udp.unwrap().target_group)).unwrap();
    let call = CreateListener {
        load_balancer: own.load_balancer.arn.clone(),
        port: 53,
        protocol: NlbProtocol::Udp,
        forward: vec![Forward { target_group: group.arn, weight: 1 }],
        certificate: None,
        policy: None,
        alpn: None,
        tags: Default::default(),
    };
    aws.as_other(call).unwrap();
    dualstack(&mut wish);
    let report = driver.settled(&wish).await;
    let remark = report.remarks.iter().find(|remark| remark.reason == "ListenerInTheWay").unwrap();
    assert!(remark.message.contains("UDP listener 53"), "{}", remark.message);
    assert_eq!(only(&aws.snapshot()).listeners.len(), 2);
}

fn udp_group(like: &daymark_aws::api::TargetGroup) -> daymark_aws::api::CreateTargetGroup {
    daymark_aws::api::CreateTargetGroup {
        name: "others".into(),
        protocol: NlbProtocol::Udp,
        port: 53,
        target_type: like.target_type,
        family: like.family,
        vpc: like.vpc.clone(),
        health: like.health.clone(),
        tags: Default::default(),
    }
}
