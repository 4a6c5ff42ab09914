//! Objects in, routes out: no client, no server.

mod segments;
mod world;

use std::time::Duration;

use daymark_announce::{Conditions, Drain, GateSettings, ProxyStanding};
use daymark_kube::views::node::NodeFacts;
use daymark_model::{Family, TrafficPolicy};
use world::*;

const VIP: &str = "192.0.2.10";
const VIP6: &str = "2001:db8::10";
const LAST_RESORT: &str = "+192.0.2.10/32 tor 65535:0 lp=0 prepend=3";

fn excluded() -> NodeFacts {
    let mut facts = facts();
    facts.labels.insert(daymark_announce::node::EXCLUDE_LABEL.into(), String::new());
    facts
}

fn out_of_service() -> NodeFacts {
    NodeFacts { out_of_service: true, ..facts() }
}

#[test]
fn nothing_goes_out_before_everything_is_known() {
    let mut world = World::unsynced();
    let said = world.services([service("web", &[VIP])]);
    assert!(said.lines.is_empty() && !said.synced);
    for missing in ["EndpointSlice", "Namespace", "AddressPool", "Announcement", "BgpNeighbor", "Speaker"] {
        assert!(world.index.missing().contains(&missing), "{missing}");
    }
    world.slices([slice("web", &[("10.0.0.1", "node-a")])]);
    world.rest();
    assert!(world.index.missing().is_empty());
    assert!(world.synced);
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"]);
}

#[test]
fn sessions_begin_while_the_lists_are_on_their_way() {
    let mut world = World::unsynced();
    assert!(world.node(facts()).neighbors.is_none());
    assert!(world.neighbors([neighbor("tor")]).neighbors.is_none());
    let said = world.speaker(Default::default());
    assert_eq!(said.neighbors.unwrap(), ["tor"]);
    assert!(!said.synced);
}

#[test]
fn a_service_comes_and_goes() {
    let mut world = World::synced();
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    assert!(world.apply_service(service("web", &[VIP])).lines.is_empty(), "the gate is shut");
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"]);
    assert_eq!(world.delete_service("web").lines, ["-192.0.2.10/32 tor"]);
    assert!(world.index.list(None, 10).is_empty());
}

#[test]
fn an_address_counts_only_with_our_condition() {
    let mut world = World::synced();
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    let mut web = service("web", &[VIP]);
    web.assigned = false;
    world.apply_service(web.clone());
    assert!(world.serve().is_empty());
    assert_eq!(world.reasons("web"), ["NotAssigned"]);
    web.assigned = true;
    world.apply_service(web);
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"]);
}

#[test]
fn the_last_endpoint_takes_the_route_with_it_at_once() {
    let mut world = World::serving(&[("web", VIP)]);
    let said = world.apply_slice(slice("web", &[]));
    assert_eq!(said.lines, ["-192.0.2.10/32 tor"]);
    assert_eq!(world.reasons("web"), ["NoEndpoints"]);
}

#[test]
fn dual_stack_is_decided_per_family() {
    let mut world = World::synced();
    world.apply_service(service("web", &[VIP, VIP6]));
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"], "no IPv6 endpoints");
    world.apply_slice(named_slice("web-6", "web", &[("2001:db8:1::1", "node-b")]));
    assert_eq!(world.serve(), ["+2001:db8::10/128 tor"]);
}

#[test]
fn local_follows_the_pods() {
    let mut world = World::synced();
    world.apply_service(local("web", &[VIP], 31_000));
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    assert_eq!(world.reasons("web"), ["NoLocalEndpoint"]);
    let said = world.apply_slice(slice("web", &[("10.0.0.1", "node-b"), ("10.0.0.2", "node-a")]));
    assert_eq!(said.health_checks.unwrap(), [31_000], "the gate asks");
    assert_eq!(world.reasons("web"), ["AwaitingProxy"]);
    assert!(world.health_check(31_000, 503).lines.is_empty());
    let said = world.health_check(31_000, 200);
    assert_eq!(said.lines, ["+192.0.2.10/32 tor"]);
    assert_eq!(said.waits.len(), 1);
    assert!(said.health_checks.unwrap().is_empty(), "nothing is left to ask");
    assert_eq!(world.apply_slice(slice("web", &[("10.0.0.1", "node-b")])).lines, ["-192.0.2.10/32 tor"]);
}

#[test]
fn a_terminating_pod_serves_while_nobody_is_ready() {
    let mut world = World::serving(&[("web", VIP)]);
    let mut leaving = slice("web", &[("10.0.0.1", "node-b")]);
    leaving.1.endpoints[0].conditions =
        Conditions { ready: Some(false), serving: Some(true), terminating: Some(true) };
    assert!(world.apply_slice(leaving).lines.is_empty());
}

#[test]
fn the_gate_falls_back_to_a_delay() {
    let mut world = World::synced();
    world.apply_slice(slice("web", &[("10.0.0.1", "node-b")]));
    world.apply_service(service("web", &[VIP]));
    let deadline = world.index.next_deadline().unwrap();
    assert_eq!(deadline, world.now + GateSettings::default().delay);
    world.now = deadline;
    assert_eq!(world.tick().lines, ["+192.0.2.10/32 tor"]);
    assert_eq!(world.index.next_deadline(), None);
}

#[test]
fn what_changes_nothing_says_nothing() {
    let mut world = World::serving(&[("web", VIP)]);
    assert!(world.apply_service(service("web", &[VIP])).is_empty());
    assert!(world.apply_slice(slice("web", &[("10.0.0.1", "node-b")])).is_empty());
    assert!(world.apply_slice(slice("web", &[("10.0.0.9", "node-c")])).is_empty(), "another pod");
    assert!(world.node(facts()).is_empty());
    let again: Vec<_> = world.all_services.values().cloned().collect();
    assert!(world.services(again).is_empty());
}

#[test]
fn a_new_list_finds_what_vanished() {
    let mut world = World::serving(&[("web", VIP), ("api", "192.0.2.11")]);
    assert_eq!(world.services([service("api", &["192.0.2.11"])]).lines, ["-192.0.2.10/32 tor"]);
    let said = world.slices([]);
    assert_eq!(said.lines, ["-192.0.2.11/32 tor"]);
}

#[test]
fn sharers_hold_one_route_together() {
    let mut world = World::serving(&[("web", VIP)]);
    world.apply_service(service("api", &[VIP]));
    assert_eq!(world.reasons("api"), ["NoEndpoints"]);
    world.apply_slice(slice("api", &[("10.0.0.7", "node-b")]));
    assert!(world.delete_service("web").lines.is_empty(), "the other sharer carries it");
    assert_eq!(world.delete_service("api").lines, ["-192.0.2.10/32 tor"]);
}

#[test]
fn an_address_moves_from_one_service_to_another() {
    let mut world = World::serving(&[("web", VIP)]);
    world.apply_slice(slice("api", &[("10.0.0.7", "node-b")]));
    let mut taker = service("api", &[VIP]);
    taker.assigned = true;
    assert_eq!(world.delete_service("web").lines, ["-192.0.2.10/32 tor"]);
    world.apply_service(taker);
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"]);
}

#[test]
fn an_aggregate_lives_as_long_as_an_address_in_it() {
    let mut world = World::synced();
    let mut aggregated = announcement("all", 1);
    bgp(&mut aggregated).aggregate_v4 = Some(24);
    world.announcements([aggregated]);
    for (name, vip) in [("web", VIP), ("api", "192.0.2.11")] {
        world.apply_slice(slice(name, &[("10.0.0.1", "node-b")]));
        world.apply_service(service(name, &[vip]));
    }
    assert_eq!(world.serve(), ["+192.0.2.0/24 tor"]);
    assert!(world.delete_service("web").lines.is_empty());
    assert_eq!(world.delete_service("api").lines, ["-192.0.2.0/24 tor"]);
}

#[test]
fn an_aggregate_merges_what_its_addresses_bring() {
    let mut world = World::serving(&[("web", VIP), ("api", "192.0.2.11")]);
    let mut wide = announcement("wide", 1);
    bgp(&mut wide).aggregate_v4 = Some(24);
    let mut gold = announcement("gold", 2);
    gold.service_selector = Some(app("api"));
    let target = bgp(&mut gold);
    (target.aggregate_v4, target.communities) = (Some(24), ["65000:7".parse().unwrap()].into());
    let said = world.announcements([wide, gold]);
    assert_eq!(
        said.lines,
        ["-192.0.2.10/32 tor", "-192.0.2.11/32 tor", "+192.0.2.0/24 tor 65000:7"],
        "one aggregate with the community that one of its addresses brings"
    );
    assert_eq!(
        world.delete_service("api").lines,
        ["+192.0.2.0/24 tor"],
        "the community leaves with its address"
    );
}

#[test]
fn an_announcement_changes_attributes_without_a_gate() {
    let mut world = World::serving(&[("web", VIP)]);
    let mut changed = announcement("all", 1);
    bgp(&mut changed).communities = ["65000:1".parse().unwrap()].into();
    assert_eq!(world.apply_announcement(changed).lines, ["+192.0.2.10/32 tor 65000:1"]);
    assert_eq!(world.announcements([]).lines, ["-192.0.2.10/32 tor"]);
    assert_eq!(world.reasons("web"), ["NoAnnouncement"]);
    assert_eq!(world.problems(), ["Service/shop/web NoAnnouncement"]);
}

#[test]
fn contradicting_announcements_are_a_problem() {
    let mut world = World::serving(&[("web", VIP)]);
    let (mut old, mut new) = (announcement("old", 1), announcement("new", 2));
    (bgp(&mut old).med, bgp(&mut new).med) = (Some(1), Some(2));
    assert_eq!(world.announcements([new, old]).lines, ["+192.0.2.10/32 tor med=1"]);
    assert_eq!(world.problems(), ["Announcement/new Overruled"]);
}

#[test]
fn neighbors_come_and_go_without_touching_each_other() {
    let mut world = World::serving(&[("web", VIP)]);
    let said = world.neighbors([neighbor("tor"), neighbor("spine")]);
    assert_eq!(said.neighbors.unwrap(), ["spine", "tor"]);
    assert_eq!(said.lines, ["+192.0.2.10/32 spine"]);
    let mut only_v6 = neighbor("tor");
    only_v6.families = [Family::V6].into();
    assert_eq!(world.neighbors([only_v6, neighbor("spine")]).lines, ["-192.0.2.10/32 tor"]);
    let mut elsewhere = neighbor("spine");
    elsewhere.node_selector = Some(app("other"));
    let said = world.neighbors([elsewhere]);
    assert_eq!((said.lines, said.neighbors.unwrap()), (vec!["-192.0.2.10/32 spine".to_owned()], Vec::new()));
    assert_eq!(world.reasons("web"), ["NoNeighbor"]);
}

#[test]
fn what_identifies_the_node_concerns_the_sessions() {
    let mut world = World::serving(&[("web", VIP)]);
    let said = world.speaker(settings(false, 65_001));
    assert!(said.neighbors.is_some() && said.lines.is_empty());
    let mut moved = facts();
    moved.internal = ["198.51.100.77".parse().unwrap()].into();
    assert!(world.node(moved).neighbors.is_some());
}

#[test]
fn the_exclusion_label_and_the_taint_shut_down_gracefully() {
    for (facts, reason, name) in [
        (excluded(), "NodeExcluded", "the exclusion label"),
        (out_of_service(), "OutOfService", "the out-of-service taint"),
    ] {
        let mut world = World::serving(&[("web", VIP)]);
        let said = world.node(facts);
        assert_eq!(said.lines, [LAST_RESORT]);
        assert!(
            said.leaving[0].starts_with(&format!("{name} takes the node out: the routes of 1 ")),
            "{said:?}"
        );
        assert!(world.reasons("web").is_empty());
        assert_eq!(world.problems(), [format!("Node/node-a {reason}")]);
        world.apply_slice(slice("api", &[("10.0.0.7", "node-b")]));
        world.apply_service(service("api", &["192.0.2.11"]));
        assert!(world.serve().is_empty(), "a leaving node takes nothing new");
        assert_eq!(world.reasons("api"), [reason]);

        world.now = world.index.next_deadline().unwrap();
        let said = world.tick();
        assert_eq!(said.lines, ["-192.0.2.10/32 tor"]);
        assert_eq!(
            said.leaving,
            [format!("{name} took the node out: the routes of 1 address are withdrawn")]
        );
        assert_eq!(world.reasons("web"), [reason]);
        assert_eq!(world.index.next_deadline(), None);

        assert_eq!(
            world.node(self::facts()).leaving,
            [format!("{name} is gone and keeps the node out no longer")]
        );
        assert_eq!(world.serve(), ["+192.0.2.10/32 tor", "+192.0.2.11/32 tor"]);
    }
}

#[test]
fn an_exclusion_that_ends_in_time_withdraws_nothing() {
    let mut world = World::serving(&[("web", VIP)]);
    assert_eq!(world.node(excluded()).lines, [LAST_RESORT]);
    assert_eq!(world.node(facts()).lines, ["+192.0.2.10/32 tor"], "no gate: it was out all the time");
    assert_eq!(world.index.next_deadline(), None);
}

#[test]
fn a_speaker_that_starts_excluded_announces_nothing_and_waits_for_nothing() {
    for facts in [excluded(), out_of_service()] {
        let mut world = World::serving(&[("web", VIP)]);
        world.node(facts);
        let mut fresh = world.restarted();
        assert!(fresh.serve().is_empty());
        assert!(!fresh.index.node().leaving);
        assert_eq!(fresh.index.next_deadline(), None);
        assert!(fresh.routers.is_empty());
    }
}

#[test]
fn what_ignores_the_exclusion_label_stays() {
    let mut world = World::serving(&[("web", VIP), ("api", "192.0.2.11")]);
    let (mut stays, mut leaves) = (announcement("stays", 1), announcement("leaves", 2));
    (stays.service_selector, leaves.service_selector) = (Some(app("web")), Some(app("api")));
    stays.ignore_exclude_label = true;
    assert!(world.announcements([stays, leaves]).lines.is_empty());
    assert_eq!(world.node(excluded()).lines, [LAST_RESORT.replace(".10", ".11")]);
    world.now = world.index.next_deadline().unwrap();
    assert_eq!(world.tick().lines, ["-192.0.2.11/32 tor"]);
    assert!(world.node(facts()).lines.is_empty());
    assert_eq!(world.serve(), ["+192.0.2.11/32 tor"]);
}

#[test]
fn an_aggregate_stays_normal_while_an_address_in_it_does() {
    let mut world = World::serving(&[("web", VIP), ("api", "192.0.2.11")]);
    let (mut stays, mut leaves) = (announcement("stays", 1), announcement("leaves", 2));
    (stays.service_selector, leaves.service_selector) = (Some(app("web")), Some(app("api")));
    stays.ignore_exclude_label = true;
    bgp(&mut stays).aggregate_v4 = Some(24);
    bgp(&mut leaves).aggregate_v4 = Some(24);
    world.announcements([stays, leaves]);
    assert!(world.node(excluded()).lines.is_empty());
    world.now = world.index.next_deadline().unwrap();
    assert!(world.tick().lines.is_empty());
    assert_eq!(world.delete_service("web").lines, ["-192.0.2.0/24 tor"]);
}

#[test]
fn the_wait_of_a_leaving_node_can_be_set() {
    let mut world = World::serving(&[("web", VIP)]);
    world.index = world.index.with_drain_wait(Duration::from_secs(30));
    world.node(excluded());
    assert_eq!(world.index.next_deadline(), Some(world.now + Duration::from_secs(30)));
}

#[test]
fn a_drain_shuts_down_gracefully() {
    let mut world = World::serving(&[("web", VIP)]);
    let said = world.speaker(settings(true, 65_000));
    assert_eq!(said.lines, [LAST_RESORT]);
    assert!(said.leaving[0].starts_with("the drain takes the node out"), "{said:?}");
    assert_eq!(world.index.node().drain, Drain::Leaving);
    world.apply_slice(slice("api", &[("10.0.0.7", "node-b")]));
    world.apply_service(service("api", &["192.0.2.11"]));
    assert!(world.serve().is_empty(), "a draining node takes nothing new");
    assert_eq!(world.reasons("api"), ["Draining"]);
    world.now = world.index.next_deadline().unwrap();
    assert_eq!(world.tick().lines, ["-192.0.2.10/32 tor"]);
    assert_eq!(world.reasons("web"), ["Draining"]);
    world.speaker(settings(false, 65_000));
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor", "+192.0.2.11/32 tor"]);
}

#[test]
fn a_speaker_that_starts_drained_announces_nothing() {
    let mut world = World::unsynced();
    world.speaker(settings(true, 65_000));
    world.services([service("web", &[VIP])]);
    world.slices([slice("web", &[("10.0.0.1", "node-b")])]);
    world.rest();
    assert!(world.serve().is_empty());
    assert_eq!(world.index.node().drain, Drain::Done);
}

#[test]
fn a_sick_proxy_demotes_and_never_withdraws() {
    let mut world = World::serving(&[("web", VIP)]);
    world.proxy_health(Some(200));
    let said = world.proxy_health(Some(503));
    assert_eq!(said.lines.len(), 1);
    assert!(said.lines[0].starts_with("+192.0.2.10/32 tor 65535:0"), "{said:?}");
    assert_eq!(world.index.node().proxy, ProxyStanding::Demoted);
    assert!(said.report);
    assert_eq!(world.proxy_health(Some(200)).lines, ["+192.0.2.10/32 tor"]);
    world.now += Duration::from_secs(61);
    assert_eq!(world.proxy_health(None).lines.len(), 1, "silence");
}

#[test]
fn addresses_of_the_network_are_refused_and_restored() {
    let mut world = World::serving(&[("web", VIP)]);
    assert_eq!(world.network(&["198.51.100.7"], &[VIP]).lines, ["-192.0.2.10/32 tor"]);
    assert_eq!(world.problems(), ["Service/shop/web AddressIsInfrastructure"]);
    world.network(&["198.51.100.7"], &["198.51.100.1"]);
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"]);
    assert!(world.network(&["198.51.100.7", "fe80::1"], &["198.51.100.1", "fe80::2"]).is_empty());
}

#[test]
fn a_namespace_label_touches_only_its_services() {
    let mut world = World::serving(&[("web", VIP)]);
    let mut labelled = announcement("all", 1);
    labelled.namespace_selector = Some(app("shop"));
    assert_eq!(world.announcements([labelled]).lines, ["-192.0.2.10/32 tor"]);
    world.namespace("shop", &[("app", "shop")]);
    assert_eq!(world.serve(), ["+192.0.2.10/32 tor"]);
    assert!(world.namespace("other", &[("app", "shop")]).is_empty());
    assert_eq!(world.namespace("shop", &[]).lines, ["-192.0.2.10/32 tor"]);
}

#[test]
fn a_removed_pool_is_remembered_while_its_address_is_assigned() {
    let mut world = World::serving(&[("web", VIP)]);
    let mut by_pool = announcement("all", 1);
    by_pool.pools = Some(["main".into()].into());
    assert!(world.announcements([by_pool]).lines.is_empty());
    assert!(world.pools([]).lines.is_empty(), "the pool is gone, the route is not");
    assert_eq!(world.delete_service("web").lines, ["-192.0.2.10/32 tor"]);
    world.apply_service(service("web", &[VIP]));
    assert!(world.serve().is_empty());
    assert_eq!(world.reasons("web"), ["NoAnnouncement"], "nothing is left of the pool");
}

#[test]
fn the_listing_says_what_a_person_wants_to_know() {
    let mut world = World::serving(&[("web", VIP)]);
    world.apply_service(service("api", &[]));
    let listing = serde_json::to_value(world.index.list(None, 10)).unwrap();
    assert_eq!(
        listing,
        serde_json::json!([
            {"service": "shop/api", "addresses": [], "reasons": [{
                "reason": "NotAssigned",
                "message": "no address has been assigned: see its condition daymark.dev/AddressAssigned",
            }]},
            {"service": "shop/web", "addresses": [{
                "address": VIP,
                "state": "Announced",
                "routes": [{"prefix": "192.0.2.10/32", "neighbor": "tor", "prepend": 0}],
            }]},
        ])
    );
    assert_eq!(world.index.list(Some(&key("api")), 10).len(), 1);
    assert_eq!(world.index.list(None, 1).len(), 1);
}

#[test]
fn a_pod_that_returns_at_once_waits_for_a_health_check_that_knows_it() {
    let mut world = World::synced();
    world.apply_service(local("web", &[VIP], 31_000));
    world.apply_slice(slice("web", &[("10.0.0.1", "node-a")]));
    world.health_check(31_000, 200);
    world.apply_slice(slice("web", &[]));
    world.apply_slice(slice("web", &[("10.0.0.2", "node-a")]));
    assert!(world.health_check(31_000, 200).lines.is_empty(), "that is the old pod's 200");
    world.health_check(31_000, 503);
    assert_eq!(world.health_check(31_000, 200).lines, ["+192.0.2.10/32 tor"]);
}

/// However the same world came about, the neighbors have the same routes and the segments the same offers.
mod history {
    use super::*;
    use daymark_announce::L2Standing;
    use daymark_model::L2Announcement;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Service { name: u8, vips: Vec<u8>, assigned: bool, local: bool },
        Delete { name: u8 },
        Pods { name: u8, nodes: Vec<u8> },
        Serve,
        Exclude(bool),
        Drain(bool),
        Announce { aggregate: bool, routes: bool, segments: bool, named: bool },
        Interfaces(u8),
        MeshKey(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u8, proptest::collection::vec(0..5_u8, 0..3), prop::bool::weighted(0.9), any::<bool>())
                .prop_map(|(name, vips, assigned, local)| Step::Service { name, vips, assigned, local }),
            (0..4_u8).prop_map(|name| Step::Delete { name }),
            (0..4_u8, proptest::collection::vec(0..3_u8, 0..4))
                .prop_map(|(name, nodes)| Step::Pods { name, nodes }),
            Just(Step::Serve),
            any::<bool>().prop_map(Step::Exclude),
            any::<bool>().prop_map(Step::Drain),
            any::<[bool; 4]>().prop_map(|[aggregate, routes, segments, named]| Step::Announce {
                aggregate,
                routes,
                segments,
                named
            }),
            (0..4_u8).prop_map(Step::Interfaces),
            prop::bool::weighted(0.8).prop_map(Step::MeshKey),
        ]
    }

    fn apply(world: &mut World, step: &Step) {
        let name_of = |n: u8| format!("svc-{n}");
        match step {
            Step::Service { name, vips, assigned, local: is_local } => {
                let vips: Vec<String> = vips.iter().map(|n| format!("192.0.2.{n}")).collect();
                let vips: Vec<&str> = vips.iter().map(String::as_str).collect();
                let mut made = service(&name_of(*name), &vips);
                made.assigned = *assigned;
                made.policy = if *is_local { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
                world.apply_service(made);
            }
            Step::Delete { name } => _ = world.delete_service(&name_of(*name)),
            Step::Pods { name, nodes } => {
                let pods: Vec<(String, String)> = nodes
                    .iter()
                    .enumerate()
                    .map(|(i, node)| {
                        (format!("10.0.{name}.{i}"), ["node-a", "node-b", ""][usize::from(*node)].into())
                    })
                    .collect();
                let pods: Vec<(&str, &str)> = pods.iter().map(|(a, n)| (a.as_str(), n.as_str())).collect();
                world.apply_slice(slice(&name_of(*name), &pods));
            }
            Step::Serve => _ = world.serve(),
            Step::Exclude(excluded) => {
                world.node(if *excluded { super::excluded() } else { facts() });
            }
            Step::Drain(drain) => _ = world.speaker(settings(*drain, 65_000)),
            Step::Announce { aggregate, routes, segments, named } => {
                let mut by_bgp = announcement("all", 1);
                bgp(&mut by_bgp).aggregate_v4 = aggregate.then_some(30);
                let interfaces = named.then(|| vec!["eth*".parse().unwrap()]);
                let by_l2 = lan(L2Announcement { interfaces, ..L2Announcement::default() });
                let both = [(routes, by_bgp), (segments, by_l2)];
                world.announcements(both.into_iter().filter(|(on, _)| **on).map(|(_, made)| made));
            }
            Step::Interfaces(count) => {
                let known = super::segments::interfaces().into_iter().chain([super::segments::interface(
                    4,
                    "bond0",
                    &["192.0.2.0/28"],
                )]);
                _ = world.interfaces(known.take(usize::from(*count)));
            }
            Step::MeshKey(there) => {
                let standing = if *there { L2Standing::Ready } else { L2Standing::NoMeshKey };
                _ = world.mesh_key(standing);
            }
        }
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 300, failure_persistence: None, ..Default::default()
        })]

        #[test]
        fn does_not_matter(steps in proptest::collection::vec(step(), 1..60)) {
            let mut lived = World::synced();
            for step in &steps {
                apply(&mut lived, step);
            }
            lived.settle();
            let mut fresh = lived.restarted();
            fresh.settle();
            prop_assert_eq!(&lived.routers, &fresh.routers);
            prop_assert_eq!(&lived.offers, &fresh.offers);
            prop_assert_eq!(&lived.stands, &fresh.stands);
            prop_assert_eq!(lived.index.list(None, 100), fresh.index.list(None, 100));
            prop_assert_eq!(lived.index.problems(), fresh.index.problems());
        }
    }
}
