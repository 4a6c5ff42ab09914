//! A Service that cannot be served as it is written now keeps what it has.

use std::collections::BTreeSet;

use daymark_aws::api::{Ingress, Peer, RuleProtocol, Scheme};
use daymark_aws::model::{Backend, Security};
use daymark_aws::model::{Desired, ForwardWish, ListenerWish, Nlb, Standing};
use daymark_aws::naming::kind;
use daymark_aws_fake::Aws;
use daymark_model::{PortProtocol, Protocol, ServiceKey};
use daymark_providers::Depth;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, group_wish, listener_wish, nlb, pod, registered, role, settled};

/// A group of `web` on port 80 and `api` on port 81.
fn shared(aws: &Aws) -> Nlb {
    let mut wish = nlb(aws, &[80]);
    wish.listeners.insert(
        81,
        ListenerWish {
            forward: vec![ForwardWish { to: Backend::Role("api/tcp-81".into()), weight: 1 }],
            serves: vec![(
                ServiceKey::new("shop", "api"),
                PortProtocol { protocol: Protocol::Tcp, port: 81 },
            )],
            ..listener_wish(81)
        },
    );
    wish.target_groups.insert("api/tcp-81".into(), group_wish(81, [pod(aws, 1, 8081), pod(aws, 2, 8081)]));
    wish
}

/// The same while `api` cannot be served, and its pods are `pods`.
fn without_api(driver: &Driver, wish: &Nlb, pods: &[u16]) -> Nlb {
    let mut wish = wish.clone();
    wish.listeners.remove(&81);
    wish.target_groups.remove("api/tcp-81");
    let mut groups = driver.inventory.of_kind(kind::TARGET_GROUP);
    let key = groups.find(|entry| entry.key.role == "api/tcp-81").unwrap().key.clone();
    let targets: BTreeSet<_> = pods.iter().map(|number| pod(&driver.aws, *number, 8081)).collect();
    let vpc = wish.vpc.clone();
    wish.standing = Standing { vpc, services: ["api".to_owned()].into(), targets: [(key, targets)].into() };
    wish
}

fn ids(aws: &Aws, pods: &[u16]) -> BTreeSet<String> {
    pods.iter().map(|number| pod(aws, *number, 80).id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_be_served_keeps_its_port_while_others_change() {
    let aws = Aws::builder().build();
    let whole = shared(&aws);
    let mut driver = settled(&aws, &whole).await;

    let mut wish = without_api(&driver, &whole, &[2, 3]);
    wish.listeners.insert(82, listener_wish(82));
    wish.target_groups.insert(role(82), group_wish(82, [pod(&aws, 1, 8082)]));
    wish.security = Security::Managed {
        sources: ["10.0.0.0/8".parse().unwrap()].into(),
        prefix_lists: BTreeSet::new(),
        path_mtu: false,
    };
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    let found = snapshot.load_balancers.values().next().unwrap();
    assert_eq!(found.listeners.keys().copied().collect::<Vec<_>>(), [80, 81, 82]);
    assert_eq!(snapshot.target_groups.len(), 3);
    assert_eq!(registered(&aws, 81), ids(&aws, &[2, 3]), "its targets follow its pods");
    let frontend =
        snapshot.security_groups.values().find(|group| group.group.name.starts_with("dm-")).unwrap();
    let rules: BTreeSet<Ingress> = frontend.rules.iter().map(|rule| rule.ingress.clone()).collect();
    let rule = |port| Ingress {
        protocol: RuleProtocol::Tcp,
        from: port,
        to: port,
        peer: Peer::Cidr("10.0.0.0/8".parse().unwrap()),
    };
    assert_eq!(rules, [80, 81, 82].map(rule).into(), "whom the leader lets in holds for its port too");

    // A look at targets alone.
    let wish = Nlb { standing: without_api(&driver, &whole, &[3]).standing, ..wish };
    driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    assert_eq!(registered(&aws, 81), ids(&aws, &[3]));

    // Mended, and then gone.
    driver.settled(&whole).await;
    assert_eq!(registered(&aws, 81), ids(&aws, &[1, 2]));
    driver.settled(&nlb(&aws, &[80])).await;
    let snapshot = aws.snapshot();
    let found = snapshot.load_balancers.values().next().unwrap();
    assert_eq!(found.listeners.keys().copied().collect::<Vec<_>>(), [80]);
    assert_eq!(snapshot.target_groups.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_is_not_replaced_by_one_that_leaves_somebody_out() {
    let aws = Aws::builder().build();
    let whole = shared(&aws);
    let mut driver = Driver::new(&aws);
    driver.settled(&whole).await;
    let mut wish = without_api(&driver, &whole, &[1, 2]);
    wish.scheme = Some(Scheme::InternetFacing);
    let report = driver.settle(Some(&desired(&wish))).await;
    assert_eq!(report.end, End::Converged);
    assert_eq!(report.plan.consent, None, "there is nothing to consent to yet");
    let waits = report.remarks.iter().find(|remark| remark.reason == "ReplacementWaits").unwrap();
    assert!(waits.message.contains("port 81") && waits.message.contains("mend"), "{}", waits.message);
    let mended = Nlb { scheme: Some(Scheme::InternetFacing), ..whole };
    driver.consent(&mended).await;
    assert_eq!(aws.snapshot().load_balancers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_only_stands_gets_its_targets_and_nothing_else_is_touched() {
    let aws = Aws::builder().build();
    let wish = nlb(&aws, &[80]);
    let mut driver = settled(&aws, &wish).await;
    let before = aws.snapshot();
    let key = driver.inventory.of_kind(kind::TARGET_GROUP).next().unwrap().key.clone();
    let targets = [pod(&aws, 3, 8080), pod(&aws, 4, 8080)].into();
    let standing = Standing {
        vpc: wish.vpc.clone(),
        services: ["web".to_owned()].into(),
        targets: [(key, targets)].into(),
    };
    for depth in [Depth::Targets, Depth::Full] {
        let report = driver.pass(Some(&Desired::Standing(standing.clone())), depth).await;
        assert_eq!(report.end, End::Converged, "{report:#?}");
        assert_eq!(report.published, None, "what was told of it stands");
    }
    assert_eq!(registered(&aws, 80), ids(&aws, &[3, 4]));
    let after = aws.snapshot();
    assert_eq!(after.load_balancers, before.load_balancers);
    assert_eq!(after.security_groups, before.security_groups);
    // Who gets the traffic of a target group cannot always be told: then nobody loses it.
    let nothing = Standing { targets: Default::default(), ..standing };
    driver.pass(Some(&Desired::Standing(nothing)), Depth::Targets).await;
    assert_eq!(registered(&aws, 80), ids(&aws, &[3, 4]));
}
