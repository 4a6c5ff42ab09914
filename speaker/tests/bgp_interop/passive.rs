//! Routers that connect to the node.

use daymark_bgp::SessionState;
use daymark_model::Family;

use crate::lab::{NODE_AS, Node, ROUTER_AS, attributes, eventually, in_lab, neighbor};
use crate::routers::{Bird, Frr, Side};

#[test]
fn a_passive_neighbor_connects_and_learns() {
    in_lab("passive::a_passive_neighbor_connects_and_learns", |lab| async move {
        let node = Node::start(179).await;
        let configs = [("four", Family::V4), ("six", Family::V6)].map(|(name, family)| {
            let mut config = neighbor(name, family);
            config.peer.passive = true;
            config
        });
        node.handle.configure(configs.to_vec());
        node.announce("four", &["198.51.100.1/32"], &attributes(&[]));
        node.announce("six", &["2001:db8:5::1/128"], &attributes(&[]));
        let side =
            Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "connect delay time 1; connect retry time 1;" };
        let bird = Bird::start(&lab, &side).await;
        for session in ["n4", "n6"] {
            eventually("the route", || bird.imported(session), |count| *count == 1).await;
        }
    });
}

#[test]
fn both_sides_connecting_end_in_one_session() {
    in_lab("passive::both_sides_connecting_end_in_one_session", |lab| async move {
        let node = Node::start(179).await;
        let mut other = neighbor("other", Family::V6);
        other.peer.passive = true;
        let frr = Frr::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "timers 3 9" }).await;
        node.handle.configure(vec![neighbor("tor", Family::V4), other]);
        node.announce("tor", &["198.51.100.1/32"], &attributes(&[]));
        node.up("tor").await;
        eventually("the route", || frr.paths("198.51.100.1/32"), |paths| paths.len() == 1).await;
        let start = std::time::Instant::now();
        // Longer than the hold time: what is up now stays up.
        eventually("time", || start.elapsed(), |passed| passed.as_secs() >= 12).await;
        let status = node.neighbor("tor");
        assert_eq!((status.state, status.flaps), (SessionState::Established, 0), "{status:?}");
    });
}
