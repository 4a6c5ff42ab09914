//! What others do, and what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::*;
use daymark_aws::api::*;
use daymark_aws::naming::tag;
use daymark_aws_fake::Aws;

#[tokio::test(start_paused = true)]
async fn the_other_controller_serves_a_service() {
    let aws = Aws::builder().build();
    let made = aws.lbc_service("old", "shop", "web", &[80, 443]).unwrap();
    let second = aws.lbc_service("old", "shop", "web-of-shops-1", &[80]).unwrap();
    let third = aws.lbc_service("old", "shop", "web-of-shops-2", &[80]).unwrap();
    assert_ne!(second.load_balancer, third.load_balancer);
    assert_eq!(made.backend_group, second.backend_group);
    let snapshot = aws.snapshot();
    let state = &snapshot.load_balancers[&made.load_balancer];
    assert_eq!(state.tags["service.k8s.aws/stack"], "shop/web");
    assert_eq!(state.listeners.keys().copied().collect::<Vec<_>>(), [80, 443]);
    assert_eq!(state.load_balancer.security_groups.len(), 2);
    assert_eq!(state.load_balancer.state, LoadBalancerState::Active);
    assert_eq!(
        snapshot.target_groups[&made.target_groups[1]].tags["service.k8s.aws/resource"],
        "shop/web:443"
    );
    assert_eq!(snapshot.target_groups[&made.target_groups[1]].targets.len(), 6);
    pass(60).await;
    assert_eq!(states(&aws, &made.target_groups[0]).await, [TargetState::Healthy]);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
    assert!(aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn others_change_what_is_ours() {
    let aws = Aws::builder().build();
    let Served { load_balancer, target_group, listener } = served(&aws, "web").await;
    let arn = target_group.arn;
    let gone = vec![target(&aws.account().instances[0])];
    aws.as_other(DeregisterTargets { arn: arn.clone(), targets: gone }).unwrap();
    aws.as_other(DeleteListener { arn: listener.arn.clone() }).unwrap();
    assert!(aws.snapshot().load_balancers[&load_balancer.arn].listeners.is_empty());
    assert_eq!(states(&aws, &arn).await, [TargetState::Unused, TargetState::Draining]);
    aws.force_state(&load_balancer.arn, Some((LoadBalancerState::Failed, "no capacity")));
    let seen = done(&aws, DescribeLoadBalancers { which: Which::All }).await.remove(0);
    assert_eq!((seen.state, seen.state_reason.as_deref()), (LoadBalancerState::Failed, Some("no capacity")));
    aws.add_endpoint_service(&load_balancer.arn);
    aws.lose_load_balancer(&load_balancer.arn);
    assert!(aws.snapshot().load_balancers.is_empty());
    let error = aws.as_other(DeleteTargetGroup { arn: "web".into() }).unwrap_err();
    assert_eq!(error.code, "ValidationError");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_is_named() {
    let aws = Aws::builder().build();
    aws.crowd(3).unwrap();
    aws.lbc_service("test", "shop", "old", &[80]).unwrap();
    assert!(aws.leaked("test").is_empty());
    let ours = tags(&[(tag::CLUSTER, "test")]);
    let nodes = aws.account().node_group.clone();
    let group = |name: &str, tags: Tags| CreateSecurityGroup {
        name: name.to_owned(),
        description: "x".to_owned(),
        vpc: aws.account().vpc.clone(),
        tags,
    };
    let back = done(&aws, group("back", ours.clone())).await;
    let foreign = done(&aws, group("foreign", tags(&[(tag::CLUSTER, "other")]))).await;
    let authorize = |peer| AuthorizeSecurityGroupIngress {
        group: nodes.clone(),
        rules: vec![tcp(30000, peer)],
        description: String::new(),
    };
    done(&aws, authorize(Peer::Group(back.clone()))).await;
    done(&aws, authorize(Peer::Group(foreign.clone()))).await;
    let tagged = done(&aws, CreateTargetGroup { tags: ours, ..pool(&aws, "tagged") }).await.arn;
    let untagged = done(&aws, pool(&aws, "untagged")).await.arn;
    let rules = done(&aws, DescribeSecurityGroupRules { groups: vec![nodes.clone()] }).await;
    let to_back = rules.iter().find(|rule| rule.ingress.peer == Peer::Group(back.clone())).unwrap();
    let mut expected =
        vec![tagged.clone(), untagged.clone(), back.clone(), format!("{} in {nodes}", to_back.id)];
    let mut leaked = aws.leaked("test");
    expected.sort();
    leaked.sort();
    assert_eq!(leaked, expected);
    assert!(aws.leaked("other").contains(&foreign));
    let revoke = RevokeSecurityGroupIngress { group: nodes, rules: vec![to_back.id.clone()] };
    done(&aws, revoke).await;
    done(&aws, DeleteSecurityGroup { id: back }).await;
    done(&aws, DeleteTargetGroup { arn: tagged }).await;
    done(&aws, DeleteTargetGroup { arn: untagged }).await;
    assert!(aws.leaked("test").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_beyond_the_quota_and_takes_no_room() {
    let aws = Aws::builder().build();
    aws.crowd(600).unwrap();
    assert_eq!(aws.snapshot().load_balancers.len(), 600);
    assert_eq!(code(&aws, nlb(&aws, "web")).await, "TooManyLoadBalancers");
    let subnets = done(
        &aws,
        DescribeSubnets { filter: Filter { ids: aws.account().public.clone(), ..Filter::default() } },
    );
    assert!(subnets.await.iter().all(|subnet| subnet.available == 251));
}
