use std::collections::BTreeSet;
use std::net::IpAddr;

use daymark_model::announcement::{TerminatingEndpoints, WithoutEndpoints};
use daymark_model::{
    Announcement, AnnouncementTarget, Asn, BgpAnnouncement, Community, Family, Labels, LocalAsn, Neighbor,
    PeerAsn, PeerPath, Reason as _, Selector, ServiceKey, StandardCommunity, Timers, Timestamp,
    TrafficPolicy,
};
use proptest::prelude::*;

use super::*;
use crate::endpoints::Endpoints;
use crate::node::L2Standing;
use crate::reason::Scalar;
use crate::view::ServiceView;

mod l2;

const VIP: &str = "192.0.2.10";
const VIP6: &str = "2001:db8::10";

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn selector(pairs: &[(&str, &str)]) -> Option<Selector> {
    Some(Selector { match_labels: labels(pairs), match_expressions: Vec::new() })
}

fn neighbor(name: &str) -> Neighbor {
    Neighbor {
        name: name.into(),
        labels: labels(&[("rack", name)]),
        node_selector: None,
        address: if name == "tor-b" { "198.51.100.2" } else { "198.51.100.1" }.parse().unwrap(),
        port: 179,
        passive: false,
        peer_asn: PeerAsn::Exact(Asn::new(65000).unwrap()),
        local_asn: LocalAsn::OfNode,
        router_id: None,
        source: None,
        timers: Timers::default(),
        path: PeerPath::Direct,
        families: [Family::V4, Family::V6].into(),
    }
}

fn announcement(name: &str, created: i64, bgp: BgpAnnouncement) -> Announcement {
    Announcement {
        name: name.into(),
        created_at: Timestamp(created),
        pools: None,
        pool_selector: None,
        service_selector: None,
        namespace_selector: None,
        node_selector: None,
        ignore_exclude_label: false,
        without_endpoints: WithoutEndpoints::Withdraw,
        terminating_endpoints: TerminatingEndpoints::Serve,
        target: AnnouncementTarget::Bgp(bgp),
    }
}

fn bgp(a: &mut Announcement) -> &mut BgpAnnouncement {
    let AnnouncementTarget::Bgp(bgp) = &mut a.target else { panic!("not by BGP") };
    bgp
}

/// One Service with one address, one Announcement, one neighbor, one pool, all willing; tests spoil one thing each.
#[derive(Debug)]
struct World {
    node: NodeView,
    config: Config,
    services: Vec<(ServiceView, Labels, Endpoints)>,
    address: IpAddr,
    /// Whether the address is out already.
    out: bool,
}

fn world() -> World {
    let mut node = NodeView::new("node-a".into());
    node.labels = labels(&[("zone", "a")]);
    World {
        node,
        config: Config {
            announcements: vec![announcement("all", 1, BgpAnnouncement::default())],
            neighbors: vec![neighbor("tor-a")],
            pools: PoolTable::new(&[crate::pools::tests::pool(
                "main",
                &["192.0.2.0/24", "2001:db8::/64"],
                &[],
            )]),
        },
        services: vec![service("web", TrafficPolicy::Cluster, endpoints(1, 0, 3, 0))],
        address: VIP.parse().unwrap(),
        out: false,
    }
}

fn service(name: &str, policy: TrafficPolicy, endpoints: Endpoints) -> (ServiceView, Labels, Endpoints) {
    let view = ServiceView {
        key: ServiceKey::new("shop", name),
        labels: labels(&[("app", name)]),
        assigned: true,
        addresses: vec![VIP.parse().unwrap(), VIP6.parse().unwrap()],
        policy,
        health_check_node_port: None,
    };
    (view, labels(&[("team", "shop")]), endpoints)
}

fn endpoints(ready_here: u32, terminating_here: u32, ready: u32, terminating: u32) -> Endpoints {
    Endpoints {
        ready_here,
        serving_terminating_here: terminating_here,
        ready_anywhere: ready,
        serving_terminating_anywhere: terminating,
    }
}

impl World {
    fn decide(&self) -> Decision {
        let sharers = self
            .services
            .iter()
            .map(|(service, namespace_labels, endpoints)| Sharer {
                service,
                namespace_labels,
                endpoints: *endpoints,
            })
            .collect();
        decide(&AddressView { address: self.address, sharers, out: self.out }, &self.node, &self.config)
    }

    fn codes(&self) -> Vec<&'static str> {
        let decision = self.decide();
        assert!(decision.routes.is_empty(), "{decision:?}");
        decision.reasons.iter().map(|r| r.reason.code()).collect()
    }

    fn routes(&self) -> Vec<String> {
        let decision = self.decide();
        decision.routes.iter().map(|r| format!("{} {}", r.prefix, r.neighbor)).collect()
    }
}

#[test]
fn a_willing_world_announces() {
    let mut world = world();
    assert_eq!(world.routes(), ["192.0.2.10/32 tor-a"]);
    assert!(world.decide().reasons.is_empty());
    world.address = VIP6.parse().unwrap();
    assert_eq!(world.routes(), ["2001:db8::10/128 tor-a"]);
}

#[test]
fn every_reason_by_itself() {
    type Spoil = fn(&mut World);
    let cases: &[(&str, Spoil)] = &[
        ("NotAssigned", |w| w.services[0].0.assigned = false),
        ("NotAssigned", |w| w.services[0].0.addresses.clear()),
        ("AddressIsInfrastructure", |w| _ = w.node.addresses.insert(w.address)),
        ("AddressIsInfrastructure", |w| _ = w.node.next_hops.insert(w.address)),
        ("AddressIsInfrastructure", |w| w.config.neighbors[0].address = w.address),
        ("NoAnnouncement", |w| w.config.announcements.clear()),
        ("NoAnnouncement", |w| w.config.announcements[0].pools = Some(["other".into()].into())),
        ("NoAnnouncement", |w| w.config.announcements[0].pools = Some(BTreeSet::new())),
        ("NoAnnouncement", |w| w.config.announcements[0].pool_selector = selector(&[("tier", "db")])),
        ("NoAnnouncement", |w| w.config.announcements[0].service_selector = selector(&[("app", "db")])),
        ("NoAnnouncement", |w| w.config.announcements[0].namespace_selector = selector(&[("team", "db")])),
        ("NodeNotSelected", |w| w.config.announcements[0].node_selector = selector(&[("zone", "b")])),
        ("NodeExcluded", |w| _ = w.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), "false".into())),
        ("Draining", |w| w.node.drain = Drain::Done),
        ("OutOfService", |w| w.node.out_of_service = true),
        ("NetworkUnavailable", |w| w.node.network_unavailable = true),
        ("NoNeighbor", |w| w.config.neighbors.clear()),
        ("NoNeighbor", |w| w.config.neighbors[0].node_selector = selector(&[("zone", "b")])),
        ("NoNeighbor", |w| bgp(&mut w.config.announcements[0]).neighbors = Some(["tor-x".into()].into())),
        ("NoNeighbor", |w| {
            bgp(&mut w.config.announcements[0]).neighbor_selector = selector(&[("rack", "x")])
        }),
        ("FamilyNotEnabled", |w| w.config.neighbors[0].families = [Family::V6].into()),
        ("NoEndpoints", |w| w.services[0].2 = endpoints(0, 0, 0, 0)),
        ("NoEndpoints", |w| w.services[0] = service("web", TrafficPolicy::Local, endpoints(0, 0, 0, 0))),
        ("NoEndpoints", |w| {
            w.services[0].2 = endpoints(0, 1, 0, 1);
            w.config.announcements[0].terminating_endpoints = TerminatingEndpoints::Ignore;
        }),
        ("NoLocalEndpoint", |w| w.services[0] = service("web", TrafficPolicy::Local, endpoints(0, 0, 2, 0))),
        ("NoLocalEndpoint", |w| w.services[0] = service("web", TrafficPolicy::Local, endpoints(0, 1, 2, 1))),
        ("NoLocalEndpoint", |w| w.services[0] = service("web", TrafficPolicy::Local, endpoints(0, 0, 0, 2))),
        ("NoLocalEndpoint", |w| {
            w.services[0] = service("web", TrafficPolicy::Local, endpoints(0, 0, 2, 0));
            w.config.announcements[0].without_endpoints = WithoutEndpoints::Announce;
        }),
    ];
    for (number, (code, spoil)) in cases.iter().enumerate() {
        let mut world = world();
        spoil(&mut world);
        assert_eq!(world.codes(), [*code], "case {number}");
    }
}

#[test]
fn usable_endpoints() {
    use TrafficPolicy::{Cluster, Local};
    let cases = [
        (Cluster, endpoints(0, 0, 1, 0), true),
        (Cluster, endpoints(0, 0, 0, 1), true),
        (Local, endpoints(1, 0, 1, 0), true),
        (Local, endpoints(0, 1, 0, 1), true),
        (Local, endpoints(0, 1, 1, 1), false),
    ];
    for (policy, counts, goes_out) in cases {
        let mut world = world();
        world.services[0] = service("web", policy, counts);
        assert_eq!(!world.decide().routes.is_empty(), goes_out, "{policy:?} {counts:?}");
        assert_eq!(counts.can_serve(policy), goes_out, "{policy:?} {counts:?}");
    }
}

#[test]
fn without_endpoints_may_stay_announced() {
    for policy in [TrafficPolicy::Cluster, TrafficPolicy::Local] {
        let mut world = world();
        world.services[0] = service("web", policy, Endpoints::default());
        world.config.announcements[0].without_endpoints = WithoutEndpoints::Announce;
        assert_eq!(world.routes().len(), 1, "{policy:?}");
    }
}

#[test]
fn ignored_terminating_endpoints_are_named() {
    let mut world = world();
    world.services[0].2 = endpoints(0, 1, 0, 2);
    world.config.announcements[0].terminating_endpoints = TerminatingEndpoints::Ignore;
    let text = world.decide().reasons[0].reason.to_string();
    assert_eq!(
        text,
        "no IPv4 endpoint is ready on any node; 2 serve while they terminate, which terminatingEndpoints: Ignore \
         leaves out"
    );
}

#[test]
fn the_exclusion_label_can_be_ignored() {
    let mut world = world();
    world.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new());
    world.config.announcements[0].ignore_exclude_label = true;
    assert_eq!(world.routes().len(), 1);
}

#[test]
fn several_reasons_are_all_told() {
    let mut world = world();
    world.node.out_of_service = true;
    world.config.neighbors.clear();
    world.services[0].2 = Endpoints::default();
    assert_eq!(world.codes(), ["OutOfService", "NoNeighbor", "NoEndpoints"]);
}

#[test]
fn no_single_announcement_meets_all_conditions() {
    let mut world = world();
    world.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new());
    let mut second = announcement("second", 2, BgpAnnouncement::default());
    second.ignore_exclude_label = true;
    bgp(&mut second).neighbors = Some(BTreeSet::new());
    world.config.announcements.push(second);
    assert_eq!(world.codes(), ["NodeExcluded"]);
}

#[test]
fn sharers_have_one_route_and_each_its_reasons() {
    let mut world = world();
    world.services.push(service("api", TrafficPolicy::Cluster, Endpoints::default()));
    let decision = world.decide();
    assert_eq!(decision.routes.len(), 1);
    assert_eq!(decision.reasons.len(), 1);
    assert_eq!(decision.reasons[0].service, ServiceKey::new("shop", "api"));
    assert_eq!(decision.reasons[0].address, Some(world.address));
}

#[test]
fn only_announcements_of_a_served_sharer_count() {
    let mut world = world();
    world.services.push(service("api", TrafficPolicy::Cluster, Endpoints::default()));
    world.config.announcements[0].service_selector = selector(&[("app", "web")]);
    let mut for_api = announcement("api", 0, BgpAnnouncement { med: Some(7), ..Default::default() });
    for_api.service_selector = selector(&[("app", "api")]);
    world.config.announcements.push(for_api);
    assert_eq!(world.decide().routes[0].attributes.med, None);
}

#[test]
fn a_pool_can_be_selected_by_its_labels() {
    let mut world = world();
    let mut pool = crate::pools::tests::pool("main", &["192.0.2.0/24"], &[]);
    pool.labels = labels(&[("tier", "web")]);
    world.config.pools = PoolTable::new(&[pool]);
    world.config.announcements[0].pool_selector = selector(&[("tier", "web")]);
    assert_eq!(world.routes().len(), 1);
}

fn community(text: &str) -> Community {
    text.parse().unwrap()
}

#[test]
fn overlapping_announcements_merge_by_age_then_name() {
    let mut world = world();
    world.config.announcements = vec![
        announcement("z-old", 1, BgpAnnouncement { local_preference: Some(100), ..Default::default() }),
        announcement(
            "a-new",
            2,
            BgpAnnouncement {
                local_preference: Some(200),
                med: Some(5),
                communities: [community("65000:2")].into(),
                prepend: 2,
                ..Default::default()
            },
        ),
        announcement(
            "b-new",
            2,
            BgpAnnouncement {
                med: Some(6),
                communities: [community("65000:1")].into(),
                ..Default::default()
            },
        ),
    ];
    let decision = world.decide();
    let [route] = decision.routes.as_slice() else { panic!("{decision:?}") };
    assert_eq!(
        *route.attributes,
        Attributes {
            communities: [community("65000:1"), community("65000:2")].into(),
            local_preference: Some(100),
            med: Some(5),
            prepend: 2,
        }
    );
    let note =
        |scalar, kept: &str, overruled: &str| Note { scalar, kept: kept.into(), overruled: overruled.into() };
    assert_eq!(
        decision.notes,
        [note(Scalar::LocalPreference, "z-old", "a-new"), note(Scalar::Med, "a-new", "b-new")]
    );
}

#[test]
fn a_community_never_leaks_to_another_neighbor() {
    let mut world = world();
    world.config.neighbors.push(neighbor("tor-b"));
    let mut internal = announcement(
        "internal",
        2,
        BgpAnnouncement { communities: [community("no-export")].into(), ..Default::default() },
    );
    bgp(&mut internal).neighbors = Some(["tor-b".into()].into());
    world.config.announcements.push(internal);
    let decision = world.decide();
    let of = |name: &str| decision.routes.iter().find(|r| r.neighbor.as_str() == name).unwrap();
    assert!(of("tor-a").attributes.communities.is_empty());
    assert_eq!(of("tor-b").attributes.communities, [community("no-export")].into());
    assert_eq!(of("tor-b").sources.len(), 2);
}

#[test]
fn announcements_of_different_lengths_give_several_prefixes() {
    let mut world = world();
    world.config.announcements.push(announcement(
        "aggregate",
        2,
        BgpAnnouncement {
            aggregate_v4: Some(24),
            communities: [community("65000:24")].into(),
            ..Default::default()
        },
    ));
    assert_eq!(world.routes(), ["192.0.2.0/24 tor-a", "192.0.2.10/32 tor-a"]);
    let decision = world.decide();
    assert!(decision.routes[1].attributes.communities.is_empty(), "the longer prefix has its own attributes");
}

#[test]
fn a_demoted_or_leaving_node_is_the_last_resort() {
    let spoils: [fn(&mut NodeView); 4] = [
        |n| n.proxy = ProxyStanding::Demoted,
        |n| n.drain = Drain::Leaving,
        |n| (n.out_of_service, n.leaving) = (true, true),
        |n| {
            n.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new());
            n.leaving = true;
        },
    ];
    for spoil in spoils {
        let mut world = world();
        world.out = true;
        let target = bgp(&mut world.config.announcements[0]);
        (target.local_preference, target.prepend) = (Some(200), 1);
        spoil(&mut world.node);
        let decision = world.decide();
        assert!(decision.reasons.is_empty());
        let attributes = &decision.routes[0].attributes;
        let shutdown = Community::Standard(StandardCommunity::GRACEFUL_SHUTDOWN);
        assert_eq!(attributes.communities, [shutdown].into());
        assert_eq!((attributes.local_preference, attributes.prepend), (Some(0), 4));
    }
}

#[test]
fn a_leaving_node_takes_nothing_new() {
    let mut world = world();
    world.node.drain = Drain::Leaving;
    assert_eq!(world.codes(), ["Draining"]);
    world.node.drain = Drain::No;
    (world.node.out_of_service, world.node.leaving) = (true, true);
    assert_eq!(world.codes(), ["OutOfService"]);
    world.out = true;
    assert_eq!(world.routes().len(), 1);
    world.node.drain = Drain::Done;
    assert_eq!(world.codes(), ["Draining", "OutOfService"], "the drain is over");
}

#[test]
fn what_ignores_the_exclusion_label_does_not_leave() {
    let mut world = world();
    world.out = true;
    world.config.announcements[0].ignore_exclude_label = true;
    world.config.announcements.push(announcement("other", 2, BgpAnnouncement::default()));
    let before = world.decide().routes;
    assert_eq!(before[0].sources.len(), 2);
    world.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new());
    world.node.leaving = true;
    let routes = world.decide().routes;
    assert_eq!((routes.len(), routes[0].sources.len(), routes[0].standing), (1, 1, Standing::Normal));
}

fn any_world() -> impl Strategy<Value = World> {
    let counts =
        (0..2_u32, 0..2_u32, 0..2_u32, 0..2_u32).prop_map(|(a, b, c, d)| endpoints(a, b, a + c, b + d));
    let policy = prop_oneof![Just(TrafficPolicy::Cluster), Just(TrafficPolicy::Local)];
    let one_service = (0..3_u8, policy, counts, 0..10_u8).prop_map(|(n, policy, counts, assigned)| {
        let mut service = service(["web", "api", "db"][usize::from(n)], policy, counts);
        service.0.assigned = assigned > 0;
        service
    });
    let one_announcement =
        (0..1000_u32, 0..3_i64, any::<[bool; 8]>(), prop_oneof![Just(None), Just(Some(24_u8))]).prop_map(
            |(n, created, [a, b, c, d, e, f, g, by_l2], aggregate)| {
                let mut made = announcement(&format!("ann-{n}"), created, BgpAnnouncement::default());
                made.service_selector = a.then(|| selector(&[("app", "web")])).flatten();
                made.node_selector = b.then(|| selector(&[("zone", "b")])).flatten();
                made.ignore_exclude_label = c;
                made.pools = d.then(|| [if e { "main" } else { "other" }.into()].into());
                made.without_endpoints =
                    if e { WithoutEndpoints::Announce } else { WithoutEndpoints::Withdraw };
                made.terminating_endpoints =
                    if f { TerminatingEndpoints::Ignore } else { TerminatingEndpoints::Serve };
                if by_l2 {
                    made.target = AnnouncementTarget::L2(l2::any_l2(n, a, f, g));
                    return made;
                }
                let target = bgp(&mut made);
                target.neighbors = g.then(|| ["tor-b".into()].into());
                target.aggregate_v4 = aggregate;
                target.med = a.then_some(n);
                target.communities = f.then(|| community("65000:9")).into_iter().collect();
                made
            },
        );
    (
        proptest::collection::vec(one_service, 0..4),
        proptest::collection::vec(one_announcement, 0..5),
        any::<[bool; 8]>(),
        0..40_u8,
    )
        .prop_map(|(services, mut announcements, [b, c, d, e, f, g, leaving, out], rare)| {
            let mut world = world();
            (world.node.leaving, world.out) = (leaving && d && e, out);
            world.node.l2 = if rare == 4 { L2Standing::NoMeshKey } else { L2Standing::Ready };
            world.node.interfaces = l2::interfaces();
            world.node.interfaces.retain(|i| b || i.name != "eth0");
            announcements.sort_by(|x, y| x.name.cmp(&y.name));
            announcements.dedup_by(|x, y| x.name == y.name);
            world.services = services;
            world.services.sort_by(|x, y| x.0.key.cmp(&y.0.key));
            world.services.dedup_by(|x, y| x.0.key == y.0.key);
            world.config.announcements = announcements;
            world.config.neighbors.push(neighbor("tor-b"));
            world.config.neighbors[0].families = if b { [Family::V6].into() } else { [Family::V4].into() };
            world.config.neighbors[1].node_selector = c.then(|| selector(&[("zone", "b")])).flatten();
            if d && e {
                world.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new());
            }
            world.node.drain = if f && g { Drain::Leaving } else { Drain::No };
            match rare {
                0 => world.node.drain = Drain::Done,
                1 => world.node.out_of_service = true,
                2 => world.node.network_unavailable = true,
                3 => _ = world.node.next_hops.insert(world.address),
                _ => {}
            }
            world
        })
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_order_of_inputs_does_not_matter(world in any_world(), turn in 0_usize..5) {
        let before = world.decide();
        let mut world = world;
        world.services.reverse();
        world.config.neighbors.reverse();
        world.node.interfaces.reverse();
        let length = world.config.announcements.len().max(1);
        if !world.config.announcements.is_empty() {
            world.config.announcements.rotate_left(turn % length);
        }
        prop_assert_eq!(before, world.decide());
    }

    #[test]
    fn nothing_goes_out_when_a_precondition_fails(world in any_world()) {
        let decision = world.decide();
        if decision.routes.is_empty() && decision.l2.is_none() {
            prop_assert!(world.services.is_empty() || !decision.reasons.is_empty(), "a no without a reason");
        }
        if let Some(export) = &decision.l2 {
            l2::may_go_out(&world, export)?;
        }
        if decision.routes.is_empty() {
            return Ok(());
        }
        let node = &world.node;
        prop_assert!(node.drain != Drain::Done && !node.network_unavailable);
        prop_assert!(!node.out_of_service || (node.leaving && world.out));
        prop_assert!(node.drain == Drain::No || world.out, "a draining node takes nothing new");
        prop_assert!(!node.next_hops.contains(&world.address));
        for route in &decision.routes {
            let neighbor = world.config.neighbors.iter().find(|n| n.name == route.neighbor).unwrap();
            prop_assert!(neighbor.families.contains(&Family::V4));
            prop_assert!(neighbor.node_selector.as_ref().is_none_or(|s| s.matches(&node.labels)));
            prop_assert!(route.prefix.contains(&world.address));
            for source in route.sources.iter() {
                let by = world.config.announcements.iter().find(|a| a.name == source.announcement).unwrap();
                prop_assert!(by.node_selector.is_none());
                prop_assert!(!node.excluded() || by.ignore_exclude_label || (node.leaving && world.out));
                prop_assert!(by.pools.as_ref().is_none_or(|p| p.iter().any(|n| n.as_str() == "main")));
                let carried = world.services.iter().any(|(service, _, counts)| {
                    service.assigned
                        && by.service_selector.as_ref().is_none_or(|s| s.matches(&service.labels))
                        && (by.without_endpoints == WithoutEndpoints::Announce || counts.can_serve(service.policy))
                });
                prop_assert!(carried, "{} carries nobody", by.name);
            }
        }
    }

    #[test]
    fn folding_is_idempotent_and_blind_to_order(world in any_world()) {
        let decision = world.decide();
        let mut other = world;
        other.address = "192.0.2.77".parse().unwrap();
        for (service, ..) in &mut other.services {
            service.addresses.push(other.address);
        }
        other.services.truncate(1);
        let mut all = decision.routes;
        all.extend(other.decide().routes);
        let folded = crate::fold(all.clone());
        prop_assert_eq!(&folded, &crate::fold(folded.clone()));
        all.reverse();
        prop_assert_eq!(&folded, &crate::fold(all));
    }
}
