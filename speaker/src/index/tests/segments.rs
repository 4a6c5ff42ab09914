//! Layer 2: what the segments are offered, and how the node stands on them.

use daymark_announce::L2Standing;
use daymark_l2::member::NodeNameHash;
use daymark_l2::offer::{AnnouncementId, Servers};
use daymark_model::{
    Failback, Interface, InterfaceIndex, L2Announcement, MacAddr, PreferredNodes, TimingProfile,
};

use super::*;

pub(super) fn interface(index: u32, name: &str, subnets: &[&str]) -> Interface {
    Interface {
        index: InterfaceIndex(index),
        name: name.to_owned(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        up: true,
        subnets: subnets.iter().map(|s| s.parse().unwrap()).collect(),
        default_routes: Vec::new(),
        link_local: None,
        mtu: 1500,
    }
}

pub(super) fn interfaces() -> [Interface; 2] {
    [interface(2, "eth0", &["192.0.2.0/24"]), interface(3, "eth1", &["198.51.100.0/24"])]
}

/// A synced node on two segments with a mesh key, and one Announcement of layer 2 beside or in place of that of BGP.
fn on_segments(bgp_too: bool) -> World {
    let mut world = World::synced();
    world.interfaces(interfaces());
    world.mesh_key(L2Standing::Ready);
    let by_bgp = bgp_too.then(|| announcement("all", 1));
    world.announcements([lan(L2Announcement::default())].into_iter().chain(by_bgp));
    world
}

fn serving(bgp_too: bool) -> World {
    let mut world = on_segments(bgp_too);
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    world.apply_service(service("web", &[VIP]));
    assert_eq!(world.serve().last().map(String::as_str), Some("+192.0.2.10 l2"));
    world
}

fn offer(world: &World) -> &daymark_l2::offer::Offer {
    &world.offers[&VIP.parse().unwrap()]
}

fn hashes(names: &[&str]) -> Servers {
    Servers::Only(std::sync::Arc::new(names.iter().map(|name| NodeNameHash::of(name)).collect()))
}

#[test]
fn an_address_is_offered_once_the_node_can_serve_it_and_withdrawn_at_once() {
    let mut world = on_segments(false);
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    assert!(world.apply_service(service("web", &[VIP])).lines.is_empty());
    assert_eq!(world.reasons("web"), ["AwaitingProxy"]);
    assert_eq!(world.serve(), ["+192.0.2.10 l2"]);
    let offer = offer(&world);
    assert_eq!(&*offer.interfaces, [InterfaceIndex(2)]);
    assert_eq!(offer.terms.announcements, [AnnouncementId::of("lan")]);
    assert_eq!(offer.servers, Servers::Any);
    assert_eq!(world.apply_slice(slice("web", &[])).lines, ["-192.0.2.10 l2"]);
}

#[test]
fn a_local_service_follows_its_pods() {
    let mut world = on_segments(false);
    world.apply_service(local("web", &[VIP], 31_000));
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    assert_eq!(world.reasons("web"), ["NoLocalEndpoint"]);
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b"), ("10.0.0.2", "node-a")]));
    assert_eq!(world.health_check(31_000, 200).lines, ["+192.0.2.10 l2"]);
    assert_eq!(offer(&world).servers, hashes(&["node-a", "node-b"]));
    let said = world.apply_slice(slice("web", &[("10.0.0.9", "node-c"), ("10.0.0.2", "node-a")]));
    assert_eq!(said.lines, ["+192.0.2.10 l2"], "another node serves");
    assert_eq!(offer(&world).servers, hashes(&["node-a", "node-c"]));
    assert_eq!(world.apply_slice(slice("web", &[("10.0.0.9", "node-c")])).lines, ["-192.0.2.10 l2"]);
}

#[test]
fn sharers_are_served_wherever_one_of_them_is() {
    let mut world = on_segments(false);
    for (name, node) in [("web", "node-a"), ("api", "node-b")] {
        world.apply_service(local(name, &[VIP], 31_000));
        world.apply_slice(slice(name, &[("10.0.0.1", node)]));
    }
    world.health_check(31_000, 200);
    assert_eq!(offer(&world).servers, hashes(&["node-a", "node-b"]));
    assert_eq!(world.reasons("api"), ["NoLocalEndpoint"]);
}

#[test]
fn without_endpoints_any_node_may_answer() {
    let mut world = on_segments(false);
    let mut always = lan(L2Announcement::default());
    always.without_endpoints = daymark_model::announcement::WithoutEndpoints::Announce;
    world.announcements([always]);
    assert_eq!(world.apply_service(local("web", &[VIP], 31_000)).lines, ["+192.0.2.10 l2"]);
    assert_eq!(offer(&world).servers, Servers::Any);
}

#[test]
fn the_two_ways_change_apart() {
    let mut world = serving(true);
    assert_eq!(world.mesh_key(L2Standing::NoMeshKey).lines, ["-192.0.2.10 l2"]);
    assert_eq!(world.problems(), ["Node/node-a NoMeshKey"]);
    assert_eq!(world.neighbors([]).lines, ["-192.0.2.10/32 tor"]);
    world.mesh_key(L2Standing::Ready);
    assert_eq!(world.serve(), ["+192.0.2.10 l2"], "nothing was out any more, so the gate was asked again");
    assert_eq!(world.neighbors([neighbor("tor")]).lines, ["+192.0.2.10/32 tor"], "it can be served already");
    assert_eq!(world.delete_service("web").lines, ["-192.0.2.10/32 tor", "-192.0.2.10 l2"]);
}

#[test]
fn interfaces_come_and_go() {
    let mut world = serving(false);
    assert!(world.interfaces(interfaces().map(|i| Interface { up: false, ..i })).lines.is_empty());
    assert!(!world.index.node().interfaces[0].up, "a carrier is a fact, and the segment's own business");
    assert_eq!(world.interfaces([]).lines, ["-192.0.2.10 l2"]);
    assert_eq!(world.reasons("web"), ["NoInterface"]);
    assert_eq!(world.problems(), ["Service/shop/web NoInterface"]);
    world.interfaces(interfaces());
    assert_eq!(world.serve(), ["+192.0.2.10 l2"]);
    let [eth0, _] = interfaces();
    let said = world.interfaces([eth0, interface(9, "eth9", &["192.0.2.0/25"])]);
    assert_eq!(said.lines, ["+192.0.2.10 l2"]);
    assert_eq!(&*offer(&world).interfaces, [InterfaceIndex(2), InterfaceIndex(9)]);
}

#[test]
fn interfaces_of_pods_are_no_facts() {
    let mut world = serving(false);
    let pods = (100..200).map(|index| interface(index, &format!("cali{index}"), &[]));
    assert!(world.interfaces(interfaces().into_iter().chain(pods)).is_empty());
    assert_eq!(world.index.node().interfaces.len(), 2);
    let named =
        L2Announcement { interfaces: Some(vec!["cali100".parse().unwrap()]), ..L2Announcement::default() };
    assert_eq!(world.announcements([lan(named)]).lines, ["+192.0.2.10 l2"]);
    assert_eq!(&*offer(&world).interfaces, [InterfaceIndex(100)]);
}

#[test]
fn a_drain_hands_over_at_once_while_routes_stay_a_moment() {
    let mut world = serving(true);
    let said = world.speaker(settings(true, 65_000));
    assert_eq!(said.lines, ["-192.0.2.10 l2", LAST_RESORT]);
    assert!(world.stands.standing.leaving && world.stands.terms.is_empty());
    world.settle();
    assert!(world.routers.is_empty());
    world.speaker(settings(false, 65_000));
    assert!(!world.stands.standing.leaving && world.stands.terms.len() == 2);
}

#[test]
fn without_routes_a_drain_is_done_at_once() {
    let mut world = serving(false);
    let said = world.speaker(settings(true, 65_000));
    assert_eq!(said.lines, ["-192.0.2.10 l2"]);
    assert_eq!(
        said.leaving,
        ["the drain takes the node out: 1 address is left to other nodes of its segment"]
    );
    assert_eq!(world.index.node().drain, Drain::Done);
}

#[test]
fn the_exclusion_label_takes_the_node_out_of_the_segments() {
    let mut world = serving(false);
    assert_eq!(world.node(excluded()).lines, ["-192.0.2.10 l2"]);
    assert!(world.stands.terms.is_empty());
}

#[test]
fn the_node_says_how_it_stands() {
    let mut world = serving(false);
    let internal: std::net::IpAddr = "198.51.100.7".parse().unwrap();
    assert_eq!(world.stands.internal, [internal]);
    assert_eq!(world.index.node().internal, [internal].into(), "where other nodes find its mesh");
    let of = |world: &World, index| world.stands.terms[&InterfaceIndex(index)][&AnnouncementId::of("lan")];
    assert_eq!((of(&world, 2).weight, of(&world, 3).by_pattern), (0, false));

    let mut node = facts();
    node.labels.insert("app".to_owned(), "edge".to_owned());
    world.node(node);
    let preferring = L2Announcement {
        interfaces: Some(vec!["eth1".parse().unwrap()]),
        preferred_nodes: vec![PreferredNodes { weight: 30, selector: app("edge") }],
        failback: Failback::Immediate,
        profile: TimingProfile::Relaxed,
        ..L2Announcement::default()
    };
    world.announcements([lan(preferring)]);
    assert_eq!((of(&world, 3).weight, of(&world, 3).by_pattern), (30, true));
    assert_eq!((world.stands.terms.len(), world.stands.profile), (1, TimingProfile::Relaxed));
    let terms = &offer(&world).terms;
    assert_eq!(
        (terms.weight, terms.failback, terms.profile),
        (30, Failback::Immediate, TimingProfile::Relaxed)
    );

    world.proxy_health(Some(503));
    assert!(
        world.stands.standing.proxy_demoted && world.offers.len() == 1,
        "a demoted node goes on answering"
    );
    assert!(world.take(crate::index::Update::ApiStale(true)).lines.is_empty());
    assert!(world.stands.standing.api_stale);
    assert!(world.take(crate::index::Update::ApiStale(true)).is_empty());
}

#[test]
fn the_listing_says_how_an_address_is_offered() {
    let mut world = serving(false);
    world.apply_service(service("api", &[]));
    let listing = serde_json::to_value(world.index.service(&key("web"))).unwrap();
    let address = &listing["addresses"][0];
    assert_eq!(address["state"], "Announced");
    assert_eq!(
        address["l2"],
        serde_json::json!({"interfaces": ["eth0"], "announcements": ["lan"], "weight": 0})
    );
}
