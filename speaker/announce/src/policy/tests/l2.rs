//! Layer 2: interfaces, weights, merging, and what one way means for the other.

use std::time::Duration;

use daymark_model::{
    Failback, Interface, InterfaceIndex, L2Announcement, MacAddr, PreferredNodes, TimingProfile,
};

use proptest::test_runner::TestCaseError;

use super::*;
use crate::l2::L2Interfaces;

fn l2_announcement(name: &str, created: i64, l2: L2Announcement) -> Announcement {
    Announcement {
        target: AnnouncementTarget::L2(l2),
        ..announcement(name, created, BgpAnnouncement::default())
    }
}

fn l2(a: &mut Announcement) -> &mut L2Announcement {
    let AnnouncementTarget::L2(l2) = &mut a.target else { panic!("not of layer 2") };
    l2
}

fn patterns(patterns: &[&str]) -> Option<Vec<daymark_model::InterfacePattern>> {
    Some(patterns.iter().map(|p| p.parse().unwrap()).collect())
}

fn preferred(weight: u32, pairs: &[(&str, &str)]) -> PreferredNodes {
    PreferredNodes { weight, selector: selector(pairs).unwrap() }
}

fn interface(index: u32, name: &str, subnets: &[&str], default_routes: &[Family]) -> Interface {
    Interface {
        index: InterfaceIndex(index),
        name: name.to_owned(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        up: true,
        subnets: subnets.iter().map(|s| s.parse().unwrap()).collect(),
        default_routes: default_routes.to_vec(),
        link_local: None,
        mtu: 1500,
    }
}

pub(super) fn interfaces() -> Vec<Interface> {
    vec![
        interface(2, "eth0", &["192.0.2.0/24"], &[]),
        interface(3, "eth1", &["198.51.100.0/24"], &[Family::V4]),
        interface(4, "bond0", &["2001:db8:7::/64"], &[Family::V6]),
    ]
}

/// Some settings, for property tests.
pub(super) fn any_l2(number: u32, a: bool, b: bool, c: bool) -> L2Announcement {
    L2Announcement {
        interfaces: if c { patterns(&[if a { "eth1" } else { "eth9" }]) } else { None },
        preferred_nodes: vec![preferred(
            number % 100 + 1,
            if b { &[("zone", "a")] } else { &[("zone", "b")] },
        )],
        refresh: a.then_some(Duration::from_secs(number.into())),
        failback: if b { Failback::Never } else { Failback::Gradual },
        profile: if c { TimingProfile::Relaxed } else { TimingProfile::Fast },
    }
}

/// Whether all that must hold for an address on segments holds.
pub(super) fn may_go_out(world: &World, export: &L2Export) -> Result<(), TestCaseError> {
    let node = &world.node;
    prop_assert!(node.drain == Drain::No && !node.out_of_service && !node.network_unavailable);
    prop_assert!(node.l2 == L2Standing::Ready && !node.next_hops.contains(&world.address));
    prop_assert!(!export.interfaces.is_empty() && export.interfaces.is_sorted());
    prop_assert!(export.interfaces.iter().all(|i| node.interfaces.iter().any(|known| known.index == *i)));
    let covering = world.config.announcements.iter().filter(|a| export.announcements.contains(&a.name));
    prop_assert!(covering.clone().all(|a| matches!(a.target, AnnouncementTarget::L2(_))));
    let mut here =
        covering.filter(|a| a.node_selector.is_none() && (!node.excluded() || a.ignore_exclude_label));
    prop_assert!(here.next().is_some(), "no Announcement lets this node answer");
    let served = world.services.iter().any(|(service, _, counts)| {
        service.assigned && (counts.can_serve(service.policy) || counts.ready_anywhere == 0)
    });
    prop_assert!(served);
    Ok(())
}

/// A node with a mesh key and three interfaces: the VIPs' own network, the way out, and one more; one Announcement of
/// layer 2 for everything.
fn segments() -> World {
    let mut world = world();
    world.node.l2 = L2Standing::Ready;
    world.node.interfaces = interfaces();
    world.config.announcements = vec![l2_announcement("lan", 1, L2Announcement::default())];
    world
}

impl World {
    fn export(&self) -> L2Export {
        let decision = self.decide();
        L2Export::clone(decision.l2.as_ref().unwrap_or_else(|| panic!("{decision:?}")))
    }

    fn interfaces(&self) -> Vec<u32> {
        self.export().interfaces.iter().map(|i| i.0).collect()
    }

    fn l2_codes(&self) -> Vec<&'static str> {
        let decision = self.decide();
        assert!(decision.l2.is_none(), "{decision:?}");
        decision.reasons.iter().map(|r| r.reason.code()).collect()
    }
}

#[test]
fn the_subnet_chooses_the_interface_else_the_default_route() {
    let mut world = segments();
    assert_eq!(world.interfaces(), [2], "its subnet contains the address");
    assert!(world.decide().routes.is_empty() && world.decide().reasons.is_empty());
    world.node.interfaces.remove(0);
    assert_eq!(world.interfaces(), [3], "the default route of the family leaves there");
    world.address = VIP6.parse().unwrap();
    assert_eq!(world.interfaces(), [4]);
    world.node.interfaces.push(interface(5, "eth5", &["2001:db8::/64"], &[]));
    assert_eq!(world.interfaces(), [5]);
    world.node.interfaces.push(interface(6, "eth6", &["2001:db8::/56"], &[]));
    assert_eq!(world.interfaces(), [5, 6], "an address may be at home on two segments");
}

/// L14 to L19 of the acceptance cases.
#[test]
fn interfaces_by_name() {
    let mut world = segments();
    l2(&mut world.config.announcements[0]).interfaces = patterns(&["bond*"]);
    assert_eq!(world.interfaces(), [4]);
    l2(&mut world.config.announcements[0]).interfaces = patterns(&["eth?"]);
    assert_eq!(world.interfaces(), [2, 3]);

    l2(&mut world.config.announcements[0]).interfaces = patterns(&["eth9"]);
    assert_eq!(world.l2_codes(), ["NoInterface"]);
    let text = world.decide().reasons[0].reason.to_string();
    assert!(text.starts_with("the node has no interface for the Announcement lan: "), "{text}");

    let mut second = l2_announcement("second", 2, L2Announcement::default());
    l2(&mut second).interfaces = patterns(&["bond0"]);
    world.config.announcements.push(second);
    assert_eq!(world.interfaces(), [4], "the other Announcement's interface is there");
    l2(&mut world.config.announcements[0]).interfaces = patterns(&["eth1"]);
    assert_eq!(world.interfaces(), [3, 4], "two Announcements unite their interfaces");
    world.config.announcements[1].node_selector = selector(&[("zone", "b")]);
    assert_eq!(world.interfaces(), [3], "one that selects other nodes does not");
}

/// L11 to L13, L20 to L23 and L28: the selectors are hard filters.
#[test]
fn every_reason_by_itself() {
    type Spoil = fn(&mut World);
    let cases: &[(&str, Spoil)] = &[
        ("NotAssigned", |w| w.services[0].0.assigned = false),
        ("AddressIsInfrastructure", |w| _ = w.node.next_hops.insert(w.address)),
        ("NoAnnouncement", |w| w.config.announcements[0].pools = Some(["other".into()].into())),
        ("NoAnnouncement", |w| w.config.announcements[0].service_selector = selector(&[("app", "db")])),
        ("NodeNotSelected", |w| w.config.announcements[0].node_selector = selector(&[("zone", "b")])),
        ("NodeNotSelected", |w| {
            w.config.announcements[0].node_selector = selector(&[("zone", "b")]);
            l2(&mut w.config.announcements[0]).preferred_nodes = vec![preferred(100, &[("zone", "a")])];
        }),
        ("NodeExcluded", |w| _ = w.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new())),
        ("Draining", |w| w.node.drain = Drain::Done),
        ("OutOfService", |w| w.node.out_of_service = true),
        ("NetworkUnavailable", |w| w.node.network_unavailable = true),
        ("MeshKeyUnknown", |w| w.node.l2 = L2Standing::Unknown),
        ("NoMeshKey", |w| w.node.l2 = L2Standing::NoMeshKey),
        ("InvalidMeshKey", |w| w.node.l2 = L2Standing::InvalidMeshKey),
        ("NoInterface", |w| w.node.interfaces.clear()),
        ("NoInterface", |w| w.node.interfaces.retain(|i| i.name == "bond0")),
        ("NoEndpoints", |w| w.services[0].2 = endpoints(0, 0, 0, 0)),
        ("NoLocalEndpoint", |w| w.services[0] = service("web", TrafficPolicy::Local, endpoints(0, 0, 2, 0))),
    ];
    for (number, (code, spoil)) in cases.iter().enumerate() {
        let mut world = segments();
        spoil(&mut world);
        assert_eq!(world.l2_codes(), [*code], "case {number}");
    }
}

/// L12, L21 and L23: any Announcement that matches is enough, and several are one.
#[test]
fn one_of_several_announcements_is_enough() {
    let mut world = segments();
    world.config.announcements[0].node_selector = selector(&[("zone", "b")]);
    world.config.announcements.push(l2_announcement("here", 2, L2Announcement::default()));
    world.config.announcements[1].node_selector = selector(&[("zone", "a")]);
    let export = world.export();
    assert_eq!(export.announcements, ["here".into(), "lan".into()], "also those of other nodes");
    assert_eq!(world.decide().reasons, []);
}

/// L22: no Announcement selects both the Service and the node.
#[test]
fn service_and_node_must_match_together() {
    let mut world = segments();
    world.config.announcements[0].node_selector = selector(&[("zone", "b")]);
    let mut other = l2_announcement("other", 2, L2Announcement::default());
    other.service_selector = selector(&[("app", "db")]);
    world.config.announcements.push(other);
    assert_eq!(world.l2_codes(), ["NodeNotSelected"]);
}

/// L24 to L31: preferences.
#[test]
fn weights_add_up_over_entries_and_announcements() {
    let mut world = segments();
    assert_eq!(world.export().weight, 0);
    l2(&mut world.config.announcements[0]).preferred_nodes =
        vec![preferred(40, &[("zone", "a")]), preferred(100, &[("zone", "b")]), preferred(2, &[])];
    assert_eq!(world.export().weight, 42);

    let weighted = |name: &str| {
        let mut made = l2_announcement(name, 2, L2Announcement::default());
        l2(&mut made).preferred_nodes = vec![preferred(8, &[("zone", "a")])];
        made
    };
    world.config.announcements.push(weighted("second"));
    assert_eq!(world.export().weight, 50);
    world.config.announcements[1].service_selector = selector(&[("app", "db")]);
    assert_eq!(world.export().weight, 42, "a preference is for the Services that its Announcement selects");
    world.node.labels = labels(&[("zone", "c")]);
    assert_eq!(world.export().weight, 2, "an empty selector prefers every node");
}

#[test]
fn scalars_are_those_of_the_oldest_and_a_note_says_so() {
    let mut world = segments();
    let relaxed = L2Announcement {
        refresh: None,
        failback: Failback::Never,
        profile: TimingProfile::Relaxed,
        ..L2Announcement::default()
    };
    world.config.announcements = vec![
        l2_announcement("new", 2, L2Announcement::default()),
        l2_announcement("old", 1, relaxed),
        l2_announcement("also-new", 2, L2Announcement { refresh: None, ..L2Announcement::default() }),
    ];
    let export = world.export();
    assert_eq!(
        (export.refresh, export.failback, export.profile),
        (None, Failback::Never, TimingProfile::Relaxed)
    );
    let notes: Vec<String> = world.decide().notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 5, "{notes:#?}");
    let note = "refresh of the Announcement new differs from that of old, which is older and holds";
    assert!(notes.iter().any(|n| n == note), "{notes:#?}");
    world.config.announcements.pop();
    world.config.announcements.pop();
    assert_eq!(world.export().refresh, Some(Duration::from_secs(60)));
}

#[test]
fn the_two_ways_do_not_depend_on_each_other() {
    let mut world = segments();
    world.config.announcements.push(announcement("all", 2, BgpAnnouncement::default()));
    assert_eq!((world.routes().len(), world.interfaces()), (1, vec![2]));
    assert!(world.decide().reasons.is_empty());

    world.config.neighbors.clear();
    assert_eq!(world.interfaces(), [2]);
    assert!(world.decide().routes.is_empty());
    assert_eq!(world.decide().reasons[0].reason.code(), "NoNeighbor");

    let mut world = segments();
    world.config.announcements.push(announcement("all", 2, BgpAnnouncement::default()));
    world.node.l2 = L2Standing::NoMeshKey;
    assert_eq!((world.routes().len(), world.l2_codes()), (1, vec!["NoMeshKey"]));
}

#[test]
fn a_leaving_node_keeps_its_routes_for_a_while_and_hands_over_at_once() {
    let mut world = segments();
    world.config.announcements.push(announcement("all", 2, BgpAnnouncement::default()));
    world.out = true;
    world.node.drain = Drain::Leaving;
    let decision = world.decide();
    assert_eq!(decision.routes[0].standing, Standing::LastResort);
    assert_eq!(world.l2_codes(), ["Draining"]);
}

#[test]
fn a_demoted_proxy_leaves_the_ranking_to_the_segment() {
    let mut world = segments();
    world.node.proxy = ProxyStanding::Demoted;
    assert_eq!(world.interfaces(), [2]);
}

#[test]
fn what_all_nodes_must_agree_on_does_not_depend_on_the_node() {
    let mut world = segments();
    world.services = vec![
        service("web", TrafficPolicy::Local, endpoints(1, 0, 2, 0)),
        service("api", TrafficPolicy::Local, endpoints(0, 0, 1, 0)),
    ];
    for (name, created) in [("web", 2), ("api", 3)] {
        let mut of_service = l2_announcement(name, created, L2Announcement::default());
        of_service.service_selector = selector(&[("app", name)]);
        world.config.announcements.push(of_service);
    }
    let all = world.export().announcements;
    assert_eq!(all, ["api".into(), "lan".into(), "web".into()]);
    world.services[0].2 = endpoints(0, 0, 1, 0);
    world.services[1].2 = endpoints(1, 0, 2, 0);
    world.node.labels = labels(&[("zone", "b")]);
    assert_eq!(world.export().announcements, all, "on a node with the other endpoints");
    world.services[0].2 = Endpoints::default();
    assert_eq!(world.export().announcements, ["api".into(), "lan".into()], "nobody serves that one");
}

#[test]
fn what_others_are_told_names_what_the_node_may() {
    let mut world = segments();
    let mut named = l2_announcement("named", 2, L2Announcement::default());
    l2(&mut named).interfaces = patterns(&["bond0", "eth9"]);
    l2(&mut named).preferred_nodes = vec![preferred(7, &[("zone", "a")])];
    world.config.announcements.push(named);
    world.config.announcements.push(announcement("bgp", 3, BgpAnnouncement::default()));
    let terms = |world: &World| Policy::new(&world.node, &world.config).l2_terms();
    let told: Vec<_> =
        terms(&world).into_iter().map(|t| (t.announcement.to_string(), t.weight, t.interfaces)).collect();
    let bond0 = L2Interfaces::Named(vec![InterfaceIndex(4)]);
    assert_eq!(told, [("lan".to_owned(), 0, L2Interfaces::OfAddress), ("named".to_owned(), 7, bond0)]);

    world.config.announcements[0].node_selector = selector(&[("zone", "b")]);
    assert_eq!(terms(&world).len(), 1);
    world.node.labels.insert(crate::node::EXCLUDE_LABEL.into(), String::new());
    assert_eq!(terms(&world), []);
    world.config.announcements[1].ignore_exclude_label = true;
    assert_eq!(terms(&world).len(), 1);
    world.node.drain = Drain::Leaving;
    assert_eq!(terms(&world), []);
}

#[test]
fn facts_of_before_layer_2_are_read() {
    let old: NodeView = serde_json::from_str(r#"{"name": "n1", "addresses": ["192.0.2.7"]}"#).unwrap();
    assert_eq!((old.l2, old.interfaces.len()), (L2Standing::Unknown, 0));
    let node = segments().node;
    let text = serde_json::to_string(&node).unwrap();
    assert_eq!(serde_json::from_str::<NodeView>(&text).unwrap(), node);
}
