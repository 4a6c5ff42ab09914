//! What nobody accounts for.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_aws::api::CreateSecurityGroup;
use daymark_aws::model::Desired;
use daymark_aws::orphans::{OrphanKind, purge, purge_rules, scan};
use daymark_aws_fake::Aws;
use daymark_model::Inventory;
use daymark_providers::Outcome;

use crate::support::{Driver, nlb, node_access, owner};

#[tokio::test(start_paused = true)]
async fn a_cluster_without_its_inventories_is_purged() {
    let aws = Aws::builder().build();
    aws.crowd(30).unwrap();
    let mut access = node_access(&aws);
    let workers = CreateSecurityGroup {
        name: "workers".into(),
        description: "named in the profile, without a tag".into(),
        vpc: aws.account().vpc.clone(),
        tags: Default::default(),
    };
    access.node_groups = vec![aws.as_other(workers).unwrap(), aws.account().node_group.clone()];
    access.ranges = [daymark_aws::model::PortRange {
        protocol: daymark_aws::api::RuleProtocol::Tcp,
        from: 30000,
        to: 32767,
    }]
    .into();
    Driver::new(&aws).settle(Some(&Desired::NodeAccess(access))).await;
    Driver::new(&aws).settled(&nlb(&aws, &[80, 81])).await;
    let known: BTreeSet<String> = [owner().uid, "uid-nodes".to_owned()].into();
    assert_eq!(scan(&aws, "test", &known).await.unwrap(), []);
    assert_eq!(scan(&aws, "another", &BTreeSet::new()).await.unwrap(), []);
    let orphans = scan(&aws, "test", &BTreeSet::new()).await.unwrap();
    let kinds: Vec<OrphanKind> = orphans.iter().map(|orphan| orphan.kind).collect();
    assert_eq!(
        kinds,
        [
            OrphanKind::LoadBalancer,
            OrphanKind::TargetGroup,
            OrphanKind::TargetGroup,
            OrphanKind::SecurityGroup,
            OrphanKind::SecurityGroup
        ]
    );
    assert_eq!(orphans[0].owner, "shop/web");
    let kinds: BTreeSet<String> = orphans.iter().map(|orphan| orphan.kind.to_string()).collect();
    assert_eq!(kinds, ["load balancer", "security group", "target group"].map(str::to_owned).into());
    // Before its load balancer, nothing goes.
    let Outcome::Wait { message, .. } = purge(&aws, &orphans[1]).await.unwrap() else { panic!() };
    assert_eq!(message, format!("target group {} ({}) is still in use", orphans[1].name, orphans[1].id));
    purge_rules(&aws, &orphans).await.unwrap();
    for orphan in &orphans {
        while purge(&aws, orphan).await.unwrap() != Outcome::Done {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
    assert_eq!(aws.snapshot().load_balancers.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_lost_inventory_is_found_again_by_name() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    driver.inventory = Inventory::default();
    driver.settled(&wish).await;
    assert_eq!(aws.snapshot().load_balancers.len(), 1);
    assert_eq!(aws.snapshot().target_groups.len(), 1);
    driver.settle(None).await;
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}
