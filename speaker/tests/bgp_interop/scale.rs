//! Many routes.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use daymark_bgp::RouteChange;
use daymark_model::Family;
use daymark_speaker::bgp::{BgpEvent, Change};
use ipnet::Ipv4Net;

use crate::lab::{NODE_AS, Node, ROUTER_AS, attributes, eventually, in_lab, neighbor};
use crate::routers::{Bird, Side};

#[test]
fn twenty_thousand_routes_come_change_and_go() {
    in_lab("scale::twenty_thousand_routes_come_change_and_go", |lab| async move {
        let bird = Bird::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" }).await;
        let mut node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        let routes = |community: Option<&str>| -> Vec<RouteChange> {
            let attributes = community.map(|community| attributes(&[community]));
            let host = |n: u32| Ipv4Net::new(Ipv4Addr::from_bits(0x6440_0000 + n), 32).unwrap().into();
            (0..20_000).map(|n| RouteChange { prefix: host(n), attributes: attributes.clone() }).collect()
        };
        node.handle.update("tor".into(), routes(Some("65010:1")), Instant::now());
        eventually("all routes", || bird.imported("n4"), |count| *count == 20_000).await;
        node.handle.update("tor".into(), routes(Some("65010:2")), Instant::now());
        let changed = || bird.ask("show route count where (65010,2) ~ bgp_community");
        eventually("all changed", changed, |text| text.contains("20000 of")).await;
        node.handle.update("tor".into(), routes(None), Instant::now());
        eventually("all gone", || bird.imported("n4"), |count| *count == 0).await;
        assert_eq!(node.neighbor("tor").flaps, 0);
        let withdrawn = node.heard("the withdrawal written", |event| match event {
            BgpEvent::Written { change: Change::Withdrawn, elapsed, .. } => Some(elapsed),
            BgpEvent::Written { .. } | BgpEvent::StateChanged { .. } => None,
        });
        assert!(withdrawn.await < Duration::from_secs(5));
    });
}
