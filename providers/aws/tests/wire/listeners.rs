//! Listeners and their certificates.

use daymark_aws::api::{
    AddListenerCertificates, CreateListener, DeleteListener, DescribeListenerAttributes,
    DescribeListenerCertificates, DescribeListeners, Forward, Listener, ModifyListener,
    ModifyListenerAttributes, NlbProtocol, RemoveListenerCertificates, ask,
};

use super::map;
use super::server::{Server, call, elb, elb_error};

const ARN: &str = "arn:listener";
const TLS: &str = "<member><ListenerArn>arn:listener</ListenerArn><LoadBalancerArn>arn:lb</LoadBalancerArn>\
     <Port>443</Port><Protocol>TLS</Protocol><SslPolicy>ELBSecurityPolicy-TLS13-1-2-2021-06</SslPolicy>\
     <Certificates><member><CertificateArn>arn:cert</CertificateArn></member></Certificates>\
     <AlpnPolicy><member>HTTP2Preferred</member></AlpnPolicy>\
     <DefaultActions><member><Type>forward</Type><ForwardConfig><TargetGroups>\
     <member><TargetGroupArn>arn:b</TargetGroupArn><Weight>10</Weight></member>\
     <member><TargetGroupArn>arn:a</TargetGroupArn><Weight>0</Weight></member>\
     </TargetGroups></ForwardConfig></member></DefaultActions></member>";

fn to(target_group: &str, weight: u32) -> Forward {
    Forward { target_group: target_group.to_owned(), weight }
}

fn described() -> Listener {
    Listener {
        arn: ARN.to_owned(),
        load_balancer: "arn:lb".to_owned(),
        port: 443,
        protocol: NlbProtocol::Tls,
        forward: vec![to("arn:a", 0), to("arn:b", 10)],
        certificate: Some("arn:cert".to_owned()),
        policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
        alpn: Some("HTTP2Preferred".to_owned()),
    }
}

fn wanted() -> CreateListener {
    CreateListener {
        load_balancer: "arn:lb".to_owned(),
        port: 443,
        protocol: NlbProtocol::Tls,
        forward: vec![to("arn:a", 0), to("arn:b", 10)],
        certificate: Some("arn:cert".to_owned()),
        policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
        alpn: Some("HTTP2Preferred".to_owned()),
        tags: map([("a", "b")]),
    }
}

#[tokio::test]
async fn one_with_tls_and_weights_is_made() {
    let answer = elb("CreateListener", &format!("<Listeners>{TLS}</Listeners>"));
    let (result, form) = call(wanted(), answer).await;
    assert_eq!(result.unwrap(), described());
    let sent = [
        ("Action", "CreateListener"),
        ("LoadBalancerArn", "arn:lb"),
        ("Port", "443"),
        ("Protocol", "TLS"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn", "arn:a"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight", "0"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.2.TargetGroupArn", "arn:b"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.2.Weight", "10"),
        ("Certificates.member.1.CertificateArn", "arn:cert"),
        ("SslPolicy", "ELBSecurityPolicy-TLS13-1-2-2021-06"),
        ("AlpnPolicy.member.1", "HTTP2Preferred"),
        ("Tags.member.1.Key", "a"),
        ("Tags.member.1.Value", "b"),
    ];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let (result, _) = call(wanted(), elb_error(400, "DuplicateListener", "")).await;
    let error = result.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("DuplicateListener", Some(400)));
    assert_eq!(
        error.to_string(),
        "elasticloadbalancing:CreateListener: DuplicateListener: no, DuplicateListener"
    );
}

#[tokio::test]
async fn a_single_target_group_is_named_without_a_weight() {
    let forward = vec![to("arn:a", 1)];
    let plain = CreateListener {
        port: 80,
        protocol: NlbProtocol::Tcp,
        forward,
        certificate: None,
        policy: None,
        alpn: None,
        tags: map([]),
        ..wanted()
    };
    // Older answers name the target group only at the action, and some servers give TCP a policy.
    let member = "<member><ListenerArn>arn:listener</ListenerArn><LoadBalancerArn>arn:lb</LoadBalancerArn><Port>80</Port>\
         <Protocol>TCP</Protocol><SslPolicy>ELBSecurityPolicy-2016-08</SslPolicy>\
         <DefaultActions><member><Type>forward</Type><TargetGroupArn>arn:a</TargetGroupArn></member></DefaultActions></member>";
    let (result, form) =
        call(plain, elb("CreateListener", &format!("<Listeners>{member}</Listeners>"))).await;
    let expected = Listener {
        port: 80,
        protocol: NlbProtocol::Tcp,
        forward: vec![to("arn:a", 1)],
        certificate: None,
        policy: None,
        alpn: None,
        ..described()
    };
    assert_eq!(result.unwrap(), expected);
    let sent = [
        ("Action", "CreateListener"),
        ("LoadBalancerArn", "arn:lb"),
        ("Port", "80"),
        ("Protocol", "TCP"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", "arn:a"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn", "arn:a"),
    ];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn a_change_sends_only_what_changes() {
    let nothing = ModifyListener {
        arn: ARN.to_owned(),
        protocol: None,
        forward: None,
        certificate: None,
        policy: None,
        alpn: None,
    };
    let wanted = ModifyListener { policy: Some("P".to_owned()), ..nothing.clone() };
    let (result, form) = call(wanted, elb("ModifyListener", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form, map([("Action", "ModifyListener"), ("ListenerArn", ARN), ("SslPolicy", "P")]));
    let wanted =
        ModifyListener { protocol: Some(NlbProtocol::Udp), forward: Some(vec![to("arn:a", 1)]), ..nothing };
    let (result, form) = call(wanted, elb("ModifyListener", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form["Protocol"], "UDP");
    assert_eq!(form["DefaultActions.member.1.TargetGroupArn"], "arn:a");
}

#[tokio::test]
async fn all_pages_are_read_and_one_that_is_gone_is_deleted() {
    let first = elb("DescribeListeners", &format!("<Listeners>{TLS}</Listeners><NextMarker>m</NextMarker>"));
    let second = elb("DescribeListeners", &format!("<Listeners>{TLS}</Listeners>"));
    let server = Server::that_answers([first, second]).await;
    let found = ask(&server.sdk().await, DescribeListeners { load_balancer: "arn:lb".to_owned() }).await;
    assert_eq!(found.unwrap(), [described(), described()]);
    assert_eq!(server.forms()[1]["Marker"], "m");
    let gone = elb_error(400, "ListenerNotFound", "");
    assert_eq!(call(DeleteListener { arn: ARN.to_owned() }, gone).await.0, Ok(()));
    let (result, form) = call(DeleteListener { arn: ARN.to_owned() }, elb("DeleteListener", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form, map([("Action", "DeleteListener"), ("ListenerArn", ARN)]));
}

#[tokio::test]
async fn a_protocol_that_is_not_ours_is_told_and_not_left_out() {
    let quic = TLS.replace(">TLS<", ">QUIC<");
    let answer = elb("DescribeListeners", &format!("<Listeners>{quic}</Listeners>"));
    let (result, _) = call(DescribeListeners { load_balancer: "arn:lb".to_owned() }, answer).await;
    assert_eq!(result.unwrap_err().message, "the answer cannot be read: Protocol is `QUIC`");
}

#[tokio::test]
async fn attributes_are_read_and_changed() {
    let list =
        "<Attributes><member><Key>tcp.idle_timeout.seconds</Key><Value>350</Value></member></Attributes>";
    let (result, _) =
        call(DescribeListenerAttributes { arn: ARN.to_owned() }, elb("DescribeListenerAttributes", list))
            .await;
    assert_eq!(result.unwrap(), map([("tcp.idle_timeout.seconds", "350")]));
    let attributes = map([("tcp.idle_timeout.seconds", "400")]);
    let wanted = ModifyListenerAttributes { arn: ARN.to_owned(), attributes };
    let (result, form) = call(wanted, elb("ModifyListenerAttributes", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form["Attributes.member.1.Value"], "400");
}

#[tokio::test]
async fn certificates_are_those_beside_the_default_one() {
    let page = |arn: &str, default: bool, next: &str| {
        let member = format!(
            "<member><CertificateArn>{arn}</CertificateArn><IsDefault>{default}</IsDefault></member>"
        );
        elb("DescribeListenerCertificates", &format!("<Certificates>{member}</Certificates>{next}"))
    };
    let next = |marker: &str| format!("<NextMarker>{marker}</NextMarker>");
    let answers = [
        page("arn:default", true, &next("1")),
        page("arn:b", false, &next("2")),
        page("arn:a", false, &next("3")),
        page("arn:b", false, ""),
    ];
    let server = Server::that_answers(answers).await;
    let found = ask(&server.sdk().await, DescribeListenerCertificates { arn: ARN.to_owned() }).await;
    assert_eq!(found.unwrap(), ["arn:a", "arn:b"]);
    let certificates = vec!["arn:a".to_owned()];
    let sent = [("ListenerArn", ARN), ("Certificates.member.1.CertificateArn", "arn:a")];
    let wanted = AddListenerCertificates { arn: ARN.to_owned(), certificates: certificates.clone() };
    let (result, mut form) = call(wanted, elb("AddListenerCertificates", "")).await;
    assert_eq!((result, form.remove("Action").as_deref()), (Ok(()), Some("AddListenerCertificates")));
    assert_eq!(form, map(sent));
    let wanted = RemoveListenerCertificates { arn: ARN.to_owned(), certificates };
    let (result, mut form) = call(wanted, elb("RemoveListenerCertificates", "")).await;
    assert_eq!((result, form.remove("Action").as_deref()), (Ok(()), Some("RemoveListenerCertificates")));
    assert_eq!(form, map(sent));
}
