//! What BIRD holds.

use std::sync::Arc;
use std::time::Duration;

use daymark_bgp::{RouteAttributes, RouteCounts, SessionState};
use daymark_model::{Asn, Family, PeerAsn};

use crate::lab::{Lab, NODE, NODE_AS, Node, ROUTER_AS, attributes, eventually, in_lab, neighbor};
use crate::routers::{Bird, Side};

const OTHER_AS: Side = Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" };
const V4: &str = "198.51.100.1/32";
const V6: &str = "2001:db8:5::1/128";

async fn both_families(lab: Lab, transport: Family, session: &str) {
    let bird = Bird::start(&lab, &OTHER_AS).await;
    let node = Node::start(0).await;
    node.handle.configure(vec![neighbor("tor", transport)]);
    let tagged = attributes(&["65010:7", "4200000001:1:2", "rt:65010:9", "no-export"]);
    node.announce("tor", &[V4, V6], &tagged);
    node.handle.synced();
    let status = node.up("tor").await;
    assert_eq!(status.families, [Family::V4, Family::V6]);
    assert_eq!(status.peer_asn, Asn::new(ROUTER_AS).ok());
    for (prefix, next_hop) in [(V4, NODE[0]), (V6, NODE[1])] {
        let route =
            eventually("the route in BIRD", || bird.route(prefix), |text| text.contains(session)).await;
        for line in [
            &format!("BGP.as_path: {NODE_AS}\n"),
            &format!("BGP.next_hop: {next_hop}"),
            "BGP.origin: IGP",
            "(65010,7)",
            "(65535,65281)",
            "(4200000001, 1, 2)",
            "(rt, 65010, 9)",
        ] {
            assert!(route.contains(line), "{line} is not in {route}");
        }
    }
    node.until("tor", "done", |status| status.ipv4 == RouteCounts { wanted: 1, sent: 1 }).await;
    node.withdraw("tor", &[V4]);
    eventually("the withdrawal in BIRD", || bird.imported(session), |count| *count == 1).await;
    assert!(bird.route(V6).contains(session));
}

#[test]
fn bird_learns_both_families_over_ipv4() {
    in_lab("bird::bird_learns_both_families_over_ipv4", |lab| both_families(lab, Family::V4, "n4"));
}

#[test]
fn bird_learns_both_families_over_ipv6() {
    in_lab("bird::bird_learns_both_families_over_ipv6", |lab| both_families(lab, Family::V6, "n6"));
}

#[test]
fn bird_in_our_as_sees_preference_and_an_empty_path() {
    in_lab("bird::bird_in_our_as_sees_preference_and_an_empty_path", |lab| async move {
        let side = Side { asn: NODE_AS, node_asn: NODE_AS, extra: "passive on;" };
        let bird = Bird::start(&lab, &side).await;
        let node = Node::start(0).await;
        let mut config = neighbor("tor", Family::V4);
        config.peer.peer_asn = PeerAsn::Internal;
        node.handle.configure(vec![config]);
        let preferred = Arc::new(RouteAttributes {
            local_preference: Some(250),
            med: Some(17),
            prepend: 3,
            ..Default::default()
        });
        node.announce("tor", &[V4], &preferred);
        node.announce("tor", &[V6], &Arc::default());
        let one = eventually("a route", || bird.route(V4), |text| text.contains("n4")).await;
        assert!(one.contains("BGP.as_path: \n") && one.contains("BGP.local_pref: 250"), "{one}");
        assert!(one.contains("BGP.med: 17"), "{one}");
        let other = eventually("a route", || bird.route(V6), |text| text.contains("n4")).await;
        assert!(other.contains("BGP.local_pref: 100"), "{other}");
    });
}

#[test]
fn bird_gets_everything_again_when_it_asks() {
    in_lab("bird::bird_gets_everything_again_when_it_asks", |lab| async move {
        // Without an import table BIRD sends a ROUTE-REFRESH on reload.
        let bird = Bird::start_without_import_table(&lab, &OTHER_AS).await;
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        node.announce("tor", &[V4, V6], &attributes(&["65010:7"]));
        node.handle.synced();
        eventually("both routes", || bird.imported("n4"), |count| *count == 2).await;
        let updates = |text: String| -> usize {
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("Import updates:"));
            lines.filter_map(|line| line.split_whitespace().next()?.parse::<usize>().ok()).sum()
        };
        let before = updates(bird.ask("show protocols all n4"));
        assert!(bird.ask("reload in n4").contains("reloading"));
        eventually(
            "the routes again",
            || updates(bird.ask("show protocols all n4")),
            |now| *now == before + 2,
        )
        .await;
        assert_eq!(bird.imported("n4"), 2);
        assert_eq!(node.neighbor("tor").flaps, 0);
    });
}

#[test]
fn a_restarted_bird_gets_its_routes_back() {
    in_lab("bird::a_restarted_bird_gets_its_routes_back", |lab| async move {
        let bird = Bird::start(&lab, &OTHER_AS).await;
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        node.announce("tor", &[V4, V6], &attributes(&["65010:7"]));
        eventually("both routes", || bird.imported("n4"), |count| *count == 2).await;
        drop(bird);
        let lost = node.until("tor", "lost", |status| status.flaps == 1).await;
        assert_eq!((lost.ipv4.wanted, lost.ipv4.sent), (1, 0));
        let refused = node
            .until("tor", "refused", |s| {
                s.last_error.as_ref().is_some_and(|(_, e)| e.to_string().contains("connection refused"))
            })
            .await;
        assert_ne!(refused.state, SessionState::Established);
        let bird = Bird::start(&lab, &OTHER_AS).await;
        eventually("both routes again", || bird.imported("n4"), |count| *count == 2).await;
    });
}

#[test]
fn a_shutdown_drains_and_tells_bird_why() {
    in_lab("bird::a_shutdown_drains_and_tells_bird_why", |lab| async move {
        let bird = Bird::start(&lab, &OTHER_AS).await;
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        node.announce("tor", &[V4, V6], &attributes(&["65010:7"]));
        eventually("both routes", || bird.imported("n4"), |count| *count == 2).await;
        let left = tokio::spawn(node.handle.shutdown("node n1 leaves".into(), Duration::from_secs(2)));
        let marked = eventually("the mark", || bird.route(V4), |text| text.contains("(65535,0)")).await;
        assert!(marked.contains("(65010,7)"), "{marked}");
        eventually("withdrawn", || bird.imported("n4"), |count| *count == 0).await;
        left.await.unwrap();
        let told = bird.ask("show protocols all n4");
        assert!(told.contains("Administrative shutdown") && told.contains("node n1 leaves"), "{told}");
        assert_eq!(node.neighbor("tor").state, SessionState::Idle);
    });
}
