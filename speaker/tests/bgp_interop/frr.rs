//! What FRR holds, as its JSON has it.

use daymark_model::{Asn, Family, PeerAsn};
use serde_json::json;

use crate::lab::{Lab, NODE, NODE_AS, Node, ROUTER_AS, attributes, eventually, in_lab, neighbor};
use crate::routers::{Frr, Side};

const OTHER_AS: Side = Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive" };
const V4: &str = "198.51.100.1/32";
const V6: &str = "2001:db8:5::1/128";

async fn both_families(lab: Lab, transport: Family) {
    let frr = Frr::start(&lab, &OTHER_AS).await;
    let node = Node::start(0).await;
    node.handle.configure(vec![neighbor("tor", transport)]);
    node.announce("tor", &[V4, V6], &attributes(&["65010:7", "4200000001:1:2", "rt:65010:9"]));
    node.handle.synced();
    node.up("tor").await;
    for (prefix, next_hop) in [(V4, NODE[0]), (V6, NODE[1])] {
        let paths = eventually("the route in FRR", || frr.paths(prefix), |paths| paths.len() == 1).await;
        let path = &paths[0];
        assert_eq!(path["aspath"]["segments"], json!([{"type": "as-sequence", "list": [NODE_AS]}]), "{path}");
        assert_eq!(path["nexthops"][0]["ip"], json!(next_hop), "{path}");
        assert_eq!(path["community"]["string"], json!("65010:7"), "{path}");
        assert_eq!(path["largeCommunity"]["string"], json!("4200000001:1:2"), "{path}");
        assert_eq!(path["extendedCommunity"]["string"], json!("RT:65010:9"), "{path}");
        assert_eq!(path["origin"], json!("IGP"), "{path}");
    }
    node.withdraw("tor", &[V6]);
    eventually("the withdrawal in FRR", || frr.paths(V6), Vec::is_empty).await;
    assert_eq!(frr.paths(V4).len(), 1);
    let end_of_rib = frr.log().matches("rcvd End-of-RIB for").count();
    assert_eq!(end_of_rib, 2, "one End-of-RIB per family");
}

#[test]
fn frr_learns_both_families_over_ipv4() {
    in_lab("frr::frr_learns_both_families_over_ipv4", |lab| both_families(lab, Family::V4));
}

#[test]
fn frr_learns_both_families_over_ipv6() {
    in_lab("frr::frr_learns_both_families_over_ipv6", |lab| both_families(lab, Family::V6));
}

#[test]
fn frr_in_our_as_sees_an_empty_path() {
    in_lab("frr::frr_in_our_as_sees_an_empty_path", |lab| async move {
        let frr = Frr::start(&lab, &Side { asn: NODE_AS, node_asn: NODE_AS, extra: "passive" }).await;
        let node = Node::start(0).await;
        let mut config = neighbor("tor", Family::V4);
        config.peer.peer_asn = PeerAsn::Exact(Asn::new(NODE_AS).unwrap());
        node.handle.configure(vec![config]);
        node.announce("tor", &[V4], &attributes(&[]));
        let paths = eventually("the route in FRR", || frr.paths(V4), |paths| paths.len() == 1).await;
        assert_eq!(paths[0]["aspath"]["segments"], json!([]), "{}", paths[0]);
        assert_eq!(paths[0]["locPrf"], json!(100), "{}", paths[0]);
        assert_eq!(paths[0]["peer"]["type"], json!("internal"), "{}", paths[0]);
    });
}

#[test]
fn frr_gets_everything_again_when_it_asks() {
    in_lab("frr::frr_gets_everything_again_when_it_asks", |lab| async move {
        let frr = Frr::start(&lab, &OTHER_AS).await;
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        node.announce("tor", &[V4, V6], &attributes(&["65010:7"]));
        node.handle.synced();
        eventually("the route in FRR", || frr.paths(V4), |paths| paths.len() == 1).await;
        let updates = || {
            frr.json("show bgp neighbors 10.99.1.1")["10.99.1.1"]["messageStats"]["updatesRecv"]
                .as_u64()
                .unwrap()
        };
        let before = updates();
        // `soft in` is answered from FRR's own copy, a refresh of the table is not.
        frr.ask("clear bgp ipv4 unicast 10.99.1.1 soft in");
        frr.ask("configure terminal\nrouter bgp 65010\naddress-family ipv4 unicast\nno neighbor 10.99.1.1 soft-reconfiguration inbound");
        frr.ask("clear bgp ipv4 unicast 10.99.1.1 soft in");
        eventually("the routes again", updates, |now| *now > before).await;
        eventually("the route is still there", || frr.paths(V4), |paths| paths.len() == 1).await;
        assert_eq!(node.neighbor("tor").flaps, 0);
    });
}
