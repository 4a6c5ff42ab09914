//! Who gets the traffic of Services that cannot be served as they are written now.

use std::collections::BTreeSet;

use daymark_aws::model::Standing;
use daymark_aws::naming::{fact, kind};
use daymark_model::{Inventory, Protocol, Resource, ResourceKey, Timestamp};
use daymark_providers::view::{EndpointState, World};

use crate::support::*;

/// An inventory with these target groups: role, kind of target.
fn inventory(groups: &[(&str, &str)]) -> Inventory {
    let mut inventory = Inventory::default();
    for (role, target_type) in groups {
        let key = key(role);
        inventory.intend(Resource::intended(key.clone(), (*role).to_owned(), Timestamp::default()));
        inventory.made(&key, &format!("arn:{role}"), Timestamp::default());
        let entry = inventory.get_mut(&key).unwrap();
        entry.facts.insert(fact::TARGET_TYPE.to_owned(), (*target_type).to_owned());
        entry.facts.insert(fact::FAMILY.to_owned(), "ipv4".to_owned());
    }
    inventory
}

fn key(role: &str) -> ResourceKey {
    ResourceKey::new(kind::TARGET_GROUP, role, 1)
}

fn standing(world: &World, groups: &[(&str, &str)]) -> Standing {
    Standing::of(["web".to_owned()], &profile(), world, &inventory(groups))
}

fn ids(standing: &Standing, role: &str) -> Option<BTreeSet<String>> {
    let targets = standing.targets.get(&key(role))?;
    Some(targets.iter().map(|target| format!("{}:{}", target.id, target.port)).collect())
}

fn set(ids: &[&str]) -> Option<BTreeSet<String>> {
    Some(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[test]
fn targets_follow_pods_and_nodes_whatever_is_wrong_with_the_annotations() {
    let mut world = world(&[web().with(&[("nlb-target-type", "ipp"), ("no-such", "thing")])]);
    let ports: &[(&str, u16)] = &[("http", 8080), ("https", 8443)];
    world.endpoints.insert(
        "web".to_owned(),
        vec![
            endpoint("10.0.0.1", ports, EndpointState::Ready),
            endpoint("10.0.0.2", ports, EndpointState::Draining),
        ],
    );
    world.nodes =
        [("a".to_owned(), node("a", "i-1"))].into_iter().collect::<std::collections::BTreeMap<_, _>>().into();
    let standing =
        standing(&world, &[("web/tcp-80", "ip"), ("web/tcp-443", "instance"), ("web/tcp-81", "ip")]);
    assert_eq!(ids(&standing, "web/tcp-80"), set(&["10.0.0.1:8080"]));
    assert_eq!(ids(&standing, "web/tcp-443"), set(&["i-1:30443"]));
    assert_eq!(ids(&standing, "web/tcp-81"), None, "a port that is no longer there keeps whom it has");
    assert!(standing.concerns(&key("web/tcp-443")) && !standing.concerns(&key("other/tcp-443")));
}

#[test]
fn who_cannot_be_told_is_left_alone() {
    let ports = [port("dns", Protocol::Tcp, 53), port("dns-udp", Protocol::Udp, 53)];
    let mut two = ports.clone();
    two[1].node_port = Some(31_000);
    let unreadable = world(&[service("web", &ports).with(&[("target-node-labels", "not a map")])]);
    let differing = world(&[service("web", &two)]);
    for world in [unreadable, differing, world(&[])] {
        let standing = standing(&world, &[("web/tcp_udp-53", "instance")]);
        assert_eq!(standing.targets.len(), 0, "{standing:?}");
    }
    let fine = world(&[service("web", &ports)]);
    assert_eq!(ids(&standing(&fine, &[("web/tcp_udp-53", "instance")]), "web/tcp_udp-53"), set(&[]));
}
