//! Who may come: as few rules as can be, and what is said where they are too many.

use std::collections::BTreeSet;

use daymark_aws::api::{Ingress, IngressRule, Peer, Request};
use daymark_aws::model::{Desired, Nlb, PortRange, Security};
use daymark_aws_fake::{Aws, Quotas};
use daymark_providers::ErrorClass;
use daymark_providers::pass::End;
use ipnet::IpNet;

use crate::support::{Driver, desired, nlb, node_access};

fn from(wish: &mut Nlb, sources: impl IntoIterator<Item = String>) {
    wish.security = Security::Managed {
        sources: sources.into_iter().map(|net| net.parse().unwrap()).collect(),
        prefix_lists: BTreeSet::new(),
        path_mtu: false,
    };
}

fn frontend(aws: &Aws) -> (String, Vec<IngressRule>) {
    let snapshot = aws.snapshot();
    let ours = snapshot.security_groups.values().find(|group| group.group.name.starts_with("dm-")).unwrap();
    (ours.group.id.clone(), ours.rules.clone())
}

fn peers(aws: &Aws) -> BTreeSet<IpNet> {
    let cidr = |rule: &IngressRule| match rule.ingress.peer {
        Peer::Cidr(net) => net,
        Peer::PrefixList(_) | Peer::Group(_) => panic!("{rule:?}"),
    };
    frontend(aws).1.iter().map(cidr).collect()
}

#[tokio::test(start_paused = true)]
async fn neighbors_and_parts_become_one_rule() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80, 443]);
    // 256 addresses in a row and a network that contains one of them: one rule for each port, of each family.
    let row = (0..=255).map(|n| format!("192.0.2.{n}/32"));
    let others = ["192.0.2.16/28", "198.51.100.0/25", "2001:db8::/33", "2001:db8:8000::/33"];
    from(&mut wish, row.chain(others.map(str::to_owned)));
    driver.settled(&wish).await;
    let expected = ["192.0.2.0/24", "198.51.100.0/25", "2001:db8::/32"].map(|net| net.parse().unwrap());
    assert_eq!(peers(&aws), expected.into());
    assert_eq!(frontend(&aws).1.len(), 6);
    // The other half comes: one rule takes the place of one.
    let more = ["192.0.2.0/24", "198.51.100.0/25", "198.51.100.128/25", "2001:db8::/32"];
    from(&mut wish, more.map(str::to_owned));
    driver.settled(&wish).await;
    let expected = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap());
    assert_eq!(peers(&aws), expected.into());
}

#[tokio::test(start_paused = true)]
async fn families_have_a_quota_each() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    let v4 = (0..50).map(|n| format!("10.{n}.7.0/24"));
    from(&mut wish, v4.chain((0..50).map(|n| format!("2001:db8:{n}:7::/64"))));
    driver.settled(&wish).await;
    assert_eq!(frontend(&aws).1.len(), 100);
    // What is new is let in before what is old is kept out: there is room for both.
    let v4 = (0..5).map(|n| format!("10.{n}.9.0/24"));
    from(&mut wish, v4.chain((0..50).map(|n| format!("2001:db8:{n}:7::/64"))));
    aws.reset_calls();
    driver.settled(&wish).await;
    let writes: Vec<&str> = aws.writes().iter().map(daymark_aws_fake::CallRecord::name).collect();
    assert_eq!(writes, ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]);
}

/// The rules' ports, and how many rules there are.
fn shape(aws: &Aws) -> (BTreeSet<(i32, i32)>, usize) {
    let rules = frontend(aws).1;
    (rules.iter().map(|rule| (rule.ingress.from, rule.ingress.to)).collect(), rules.len())
}

#[tokio::test(start_paused = true)]
async fn many_sources_are_let_in_over_a_range_of_ports() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80, 443, 8443]);
    from(&mut wish, (0..20).map(|n| format!("10.{n}.7.0/24")));
    driver.settled(&wish).await;
    assert_eq!(shape(&aws), ([(80, 80), (443, 443), (8443, 8443)].into(), 60));
    let (before, old) = (frontend(&aws).1, peers(&aws));
    // One more: the group is full. One source waits for one port for as long as a call takes, and all others for nothing.
    from(&mut wish, (0..21).map(|n| format!("10.{n}.7.0/24")));
    aws.reset_calls();
    driver.settled(&wish).await;
    assert_eq!(shape(&aws), ([(80, 8443)].into(), 21));
    assert_eq!(peers(&aws).len(), 21);
    let mut standing: Vec<(String, Ingress)> =
        before.into_iter().map(|rule| (rule.id, rule.ingress)).collect();
    for call in aws.writes() {
        match call.request {
            Request::RevokeSecurityGroupIngress(call) => {
                standing.retain(|(id, _)| !call.rules.contains(id));
            }
            Request::AuthorizeSecurityGroupIngress(call) => {
                standing.extend(call.rules.into_iter().map(|rule| (String::new(), rule)));
            }
            other => panic!("{other:?}"),
        }
        assert!(standing.len() <= 60);
        let lets_in = |peer: &IpNet, port: i32| {
            standing
                .iter()
                .any(|(_, rule)| rule.peer == Peer::Cidr(*peer) && rule.from <= port && port <= rule.to)
        };
        let out = old.iter().flat_map(|peer| [80, 443, 8443].map(|port| (peer, port)));
        let out: Vec<_> = out.filter(|(peer, port)| !lets_in(peer, *port)).collect();
        assert!(out.len() <= 1, "{out:?}");
    }
    assert!(aws.writes().len() <= 10, "{:?}", aws.writes());
    // And back.
    from(&mut wish, (0..20).map(|n| format!("10.{n}.7.0/24")));
    driver.settled(&wish).await;
    assert_eq!(shape(&aws), ([(80, 80), (443, 443), (8443, 8443)].into(), 60));
    assert_eq!(peers(&aws).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn too_many_rules_are_refused_with_numbers_and_what_to_do() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80, 443]);
    from(&mut wish, (0..80).map(|n| format!("10.{n}.7.0/24")));
    let End::Failed(error) = driver.settle(Some(&desired(&wish))).await.end else { panic!() };
    assert_eq!(error.class, ErrorClass::Quota);
    let text = error.to_string();
    let id = frontend(&aws).0;
    let words = [
        "security group frontend",
        &id,
        "80 rules",
        "allows 60",
        "source ranges",
        "prefix list",
        "Service Quotas",
    ];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    from(&mut wish, (0..30).map(|n| format!("10.{n}.7.0/24")));
    driver.settled(&wish).await;
    assert_eq!(frontend(&aws).1.len(), 60);
    // All are replaced: there is no room for both, and what is old goes first.
    from(&mut wish, (0..30).map(|n| format!("10.{n}.9.0/24")));
    driver.settled(&wish).await;
    assert_eq!(frontend(&aws).1.len(), 60);
    // Somebody raised the quota: AWS is asked.
    aws.set_quotas(Quotas { rules: 100, ..Quotas::default() });
    from(&mut wish, (0..80).map(|n| format!("10.{n}.7.0/24")));
    driver.settled(&wish).await;
    assert_eq!(shape(&aws), ([(80, 443)].into(), 80));
}

#[tokio::test(start_paused = true)]
async fn full_groups_of_the_nodes_are_named() {
    let aws = Aws::builder().quotas(Quotas { rules: 0, ..Quotas::default() }).build();
    let mut driver = Driver::new(&aws);
    let mut access = node_access(&aws);
    access.ranges =
        [PortRange { protocol: daymark_aws::api::RuleProtocol::Tcp, from: 30000, to: 30100 }].into();
    let End::Failed(error) = driver.settle(Some(&Desired::NodeAccess(access))).await.end else { panic!() };
    let text = error.to_string();
    let words = ["security group of the nodes", &*aws.account().node_group, "1 rule,", "remove rules"];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}
