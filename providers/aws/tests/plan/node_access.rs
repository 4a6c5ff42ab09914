//! What lets load balancers reach the nodes.

use std::collections::BTreeSet;

use daymark_aws::api::{AuthorizeSecurityGroupIngress, Ingress, Peer, RuleProtocol};
use daymark_aws::model::{Desired, NodeAccess, PortRange};
use daymark_aws_fake::Aws;
use daymark_providers::pass::End;

use crate::support::{Driver, node_access};

fn range(from: u16, to: u16) -> PortRange {
    PortRange { protocol: RuleProtocol::Tcp, from, to }
}

fn ports(aws: &Aws) -> BTreeSet<(i32, i32)> {
    let snapshot = aws.snapshot();
    let group = &snapshot.security_groups[&aws.account().node_group];
    group.rules.iter().map(|rule| (rule.ingress.from, rule.ingress.to)).collect()
}

#[tokio::test(start_paused = true)]
async fn ranges_follow_and_only_our_rules_go() {
    let aws = Aws::builder().build();
    let by_hand = Ingress {
        protocol: RuleProtocol::Tcp,
        from: 22,
        to: 22,
        peer: Peer::Cidr("192.0.2.0/24".parse().unwrap()),
    };
    let group = aws.account().node_group.clone();
    let call = AuthorizeSecurityGroupIngress { group, rules: vec![by_hand], description: "by hand".into() };
    aws.as_other(call).unwrap();
    let mut driver = Driver::new(&aws);
    let mut access = node_access(&aws);
    access.ranges = [range(30000, 30100)].into();
    let wish = |access: &NodeAccess| Desired::NodeAccess(access.clone());
    assert_eq!(driver.settle(Some(&wish(&access))).await.end, End::Converged);
    assert_eq!(ports(&aws), [(22, 22), (30000, 30100)].into());
    access.ranges = [range(30000, 30200)].into();
    aws.reset_calls();
    assert_eq!(driver.settle(Some(&wish(&access))).await.end, End::Converged);
    let writes: Vec<&str> = aws.writes().iter().map(daymark_aws_fake::CallRecord::name).collect();
    assert_eq!(writes, ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]);
    assert_eq!(ports(&aws), [(22, 22), (30000, 30200)].into());
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(ports(&aws), [(22, 22)].into());
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn unknown_groups_of_the_nodes_are_a_fault_with_a_remedy() {
    let aws = Aws::builder().cluster("another").build();
    let mut driver = Driver::new(&aws);
    let mut access = node_access(&aws);
    for groups in [vec![], vec!["sg-gone".to_owned()]] {
        access.node_groups = groups;
        let End::Failed(error) = driver.settle(Some(&Desired::NodeAccess(access.clone()))).await.end else {
            panic!()
        };
        assert_eq!(error.reason, "NodeSecurityGroupUnknown");
        assert!(error.remedy.is_some());
    }
}
