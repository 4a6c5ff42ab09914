//! Listeners as AWS keeps them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::*;
use daymark_aws::api::*;
use daymark_aws_fake::{Aws, Quotas};

#[tokio::test(start_paused = true)]
async fn a_port_has_one_listener() {
    let aws = Aws::builder().build();
    let Served { load_balancer, target_group, listener: made } = served(&aws, "web").await;
    let same = listener(&load_balancer.arn, 80, &target_group.arn);
    assert_eq!(done(&aws, same.clone()).await.arn, made.arn);
    let udp = CreateTargetGroup { protocol: NlbProtocol::Udp, ..pool(&aws, "udp") };
    let udp = done(&aws, udp).await.arn;
    let other_protocol =
        CreateListener { protocol: NlbProtocol::Udp, ..listener(&load_balancer.arn, 80, &udp) };
    let other_weight =
        CreateListener { forward: vec![Forward { weight: 2, ..forward(&target_group.arn) }], ..same.clone() };
    for other in [other_protocol, other_weight] {
        assert_eq!(code(&aws, other.clone()).await, "DuplicateListener", "{other:?}");
    }
    let missing = CreateListener { load_balancer: load_balancer.arn.replace("web", "x"), ..same.clone() };
    assert_eq!(code(&aws, missing).await, "LoadBalancerNotFound");
    let alb = aws.foreign_application_load_balancer("alb").unwrap();
    assert_eq!(code(&aws, CreateListener { load_balancer: alb, ..same }).await, "UnsupportedProtocol");
    for _ in 0..2 {
        assert_eq!(code(&aws, DeleteListener { arn: made.arn.clone() }).await, "ok");
    }
    assert_eq!(code(&aws, DescribeListenerAttributes { arn: made.arn }).await, "ListenerNotFound");
}

#[tokio::test(start_paused = true)]
async fn protocols_fit() {
    use NlbProtocol::{Tcp, TcpUdp, Tls, Udp};
    let aws = Aws::builder().build();
    let load_balancer = done(&aws, nlb(&aws, "web")).await.arn;
    let mut port = 0;
    for (protocol, fitting) in [(Tcp, &[Tcp][..]), (Tls, &[Tcp, Tls]), (Udp, &[Udp]), (TcpUdp, &[TcpUdp])] {
        for of_pool in NlbProtocol::ALL {
            port += 1;
            let create = CreateTargetGroup { protocol: *of_pool, ..pool(&aws, &format!("p{port}")) };
            let target_group = done(&aws, create).await.arn;
            let certificate = (protocol == Tls).then(|| aws.account().certificates[0].clone());
            let create =
                CreateListener { protocol, certificate, ..listener(&load_balancer, port, &target_group) };
            let expected = if fitting.contains(of_pool) { "ok" } else { "IncompatibleProtocols" };
            assert_eq!(code(&aws, create).await, expected, "{protocol} to {of_pool}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_group_serves_one_load_balancer() {
    let aws = Aws::builder().build();
    let Served { load_balancer, target_group, .. } = served(&aws, "web").await;
    let other = done(&aws, nlb(&aws, "other")).await.arn;
    assert_eq!(code(&aws, listener(&load_balancer.arn, 81, &target_group.arn)).await, "ok");
    let elsewhere = listener(&other, 80, &target_group.arn);
    assert_eq!(code(&aws, elsewhere.clone()).await, "TargetGroupAssociationLimit");
    done(&aws, DeleteLoadBalancer { arn: load_balancer.arn }).await;
    assert_eq!(code(&aws, elsewhere.clone()).await, "TargetGroupAssociationLimit");
    pass(5).await;
    assert_eq!(code(&aws, elsewhere).await, "ok");
    let seen = DescribeTargetGroups { which: Which::Arns(vec![target_group.arn.clone()]) };
    assert_eq!(done(&aws, seen).await[0].load_balancers, [other]);
    assert_eq!(code(&aws, DeleteTargetGroup { arn: target_group.arn }).await, "ResourceInUse");
}

#[tokio::test(start_paused = true)]
async fn forwards_are_checked_and_moved() {
    let aws = Aws::builder().build();
    let Served { load_balancer, target_group: blue, listener: made } = served(&aws, "blue").await;
    let mut greens = Vec::new();
    for number in 0..5 {
        greens.push(done(&aws, pool(&aws, &format!("green{number}"))).await.arn);
    }
    let missing = forward(&blue.arn.replace("blue", "nobody"));
    let modify = |forward: Vec<Forward>| ModifyListener {
        arn: made.arn.clone(),
        protocol: None,
        forward: Some(forward),
        certificate: None,
        policy: None,
        alpn: None,
    };
    let six: Vec<Forward> = greens.iter().chain([&blue.arn]).map(|arn| forward(arn)).collect();
    for (forward, expected) in [
        (vec![], "ValidationError"),
        (vec![missing], "TargetGroupNotFound"),
        (vec![Forward { weight: 1000, ..forward(&blue.arn) }], "ValidationError"),
        (vec![forward(&blue.arn), forward(&blue.arn)], "ValidationError"),
        (six, "TooManyTargetGroups"),
        (vec![forward(&blue.arn), forward(&greens[0])], "ok"),
        (vec![forward(&greens[0])], "ok"),
    ] {
        assert_eq!(code(&aws, modify(forward.clone())).await, expected, "{forward:?}");
    }
    let seen = done(&aws, DescribeListeners { load_balancer: load_balancer.arn }).await;
    assert_eq!(seen[0].forward, [forward(&greens[0])]);
    // What no listener forwards to is free at once, and its targets are unused.
    assert_eq!(states(&aws, &blue.arn).await, [TargetState::Unused]);
    assert_eq!(code(&aws, DeleteTargetGroup { arn: blue.arn }).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn tls_needs_a_certificate_that_exists() {
    let aws = Aws::builder().build();
    let load_balancer = done(&aws, nlb(&aws, "web")).await.arn;
    let target_group = done(&aws, pool(&aws, "web")).await.arn;
    let certificate = aws.account().certificates[0].clone();
    let tcp = || listener(&load_balancer, 443, &target_group);
    let tls =
        || CreateListener { protocol: NlbProtocol::Tls, certificate: Some(certificate.clone()), ..tcp() };
    for (create, expected) in [
        (CreateListener { certificate: None, ..tls() }, "ValidationError"),
        (CreateListener { certificate: Some("arn:aws:acm:x".into()), ..tls() }, "CertificateNotFound"),
        (CreateListener { policy: Some("Strong".into()), ..tls() }, "SSLPolicyNotFound"),
        (CreateListener { alpn: Some("HTTP3".into()), ..tls() }, "ALPNPolicyNotSupported"),
        (CreateListener { certificate: Some(certificate.clone()), ..tcp() }, "InvalidConfigurationRequest"),
        (
            CreateListener { policy: Some("ELBSecurityPolicy-2016-08".into()), ..tcp() },
            "InvalidConfigurationRequest",
        ),
        (tls(), "ok"),
    ] {
        assert_eq!(code(&aws, create.clone()).await, expected, "{create:?}");
    }
    let made = done(&aws, tls()).await;
    assert_eq!(made.policy.as_deref(), Some("ELBSecurityPolicy-2016-08"));
    let idle = tags(&[("tcp.idle_timeout.seconds", "400")]);
    let attributes = ModifyListenerAttributes { arn: made.arn.clone(), attributes: idle };
    assert_eq!(code(&aws, attributes.clone()).await, "InvalidConfigurationRequest");
    let change = |protocol, certificate| ModifyListener {
        arn: made.arn.clone(),
        protocol: Some(protocol),
        forward: None,
        certificate,
        policy: None,
        alpn: None,
    };
    done(&aws, change(NlbProtocol::Tcp, None)).await;
    let seen = done(&aws, DescribeListeners { load_balancer: load_balancer.clone() }).await.remove(0);
    assert_eq!((seen.certificate, seen.policy), (None, None));
    assert_eq!(code(&aws, attributes).await, "ok");
    let attributes = done(&aws, DescribeListenerAttributes { arn: made.arn.clone() }).await;
    assert_eq!(attributes["tcp.idle_timeout.seconds"], "400");
    assert_eq!(code(&aws, change(NlbProtocol::Tls, None)).await, "ValidationError");
    assert_eq!(code(&aws, change(NlbProtocol::Tls, Some(certificate))).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn further_certificates_come_and_go() {
    let aws = Aws::builder().quotas(Quotas { certificates: 2, ..Quotas::default() }).certificates(4).build();
    let load_balancer = done(&aws, nlb(&aws, "web")).await.arn;
    let target_group = done(&aws, pool(&aws, "web")).await.arn;
    let known = aws.account().certificates.clone();
    let create = CreateListener {
        protocol: NlbProtocol::Tls,
        certificate: Some(known[0].clone()),
        ..listener(&load_balancer, 443, &target_group)
    };
    let arn = done(&aws, create).await.arn;
    let add = |certificates: &[String]| AddListenerCertificates {
        arn: arn.clone(),
        certificates: certificates.to_vec(),
    };
    let remove = |certificates: &[String]| RemoveListenerCertificates {
        arn: arn.clone(),
        certificates: certificates.to_vec(),
    };
    assert_eq!(code(&aws, add(&["arn:aws:acm:x".into()])).await, "CertificateNotFound");
    assert_eq!(code(&aws, add(&known[1..4])).await, "TooManyCertificates");
    assert_eq!(code(&aws, add(&known[1..3])).await, "ok");
    assert_eq!(code(&aws, add(&known[1..2])).await, "ok");
    assert_eq!(code(&aws, remove(&known[0..1])).await, "OperationNotPermitted");
    assert_eq!(code(&aws, remove(&[known[1].clone(), known[3].clone()])).await, "ok");
    assert_eq!(done(&aws, DescribeListenerCertificates { arn: arn.clone() }).await, known[2..3]);
    let plain = done(&aws, pool(&aws, "plain")).await.arn;
    let plain = done(&aws, listener(&load_balancer, 80, &plain)).await.arn;
    let call = AddListenerCertificates { arn: plain, certificates: known[1..2].to_vec() };
    assert_eq!(code(&aws, call).await, "InvalidConfigurationRequest");
}
