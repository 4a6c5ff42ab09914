//! Which address a Service gets: families, requests, pools.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use daymark_model::{Assignment, Family, IpMode, LoadBalancerProfile, ProfileTarget, Selector, Timestamp};
use daymark_pool::{FamilyPolicy, Requests, ServiceView};
use support::build::{claim, ip, pool, service, tcp};
use support::cluster::Cluster;

const V4: &str = "192.0.2.0/29";
const V6: &str = "2001:db8::10-2001:db8::1f";

fn dual(name: &str, families: [Family; 2], family_policy: FamilyPolicy) -> ServiceView {
    ServiceView { families: families.to_vec(), family_policy, ..service(name) }
}

fn asking(name: &str, addresses: &[&str], pools: &[&str]) -> ServiceView {
    let addresses = addresses.iter().map(|a| ip(a)).collect();
    let pools = pools.iter().map(|p| (*p).into()).collect();
    ServiceView { requests: Ok(Requests { addresses, pools }), ..service(name) }
}

fn gold() -> Selector {
    Selector { match_labels: [("tier".to_owned(), "gold".to_owned())].into(), ..Selector::default() }
}

#[test]
fn the_lowest_free_address_of_each_family_in_the_order_of_the_service() {
    for (families, expected) in [
        ([Family::V4, Family::V6], ["192.0.2.0", "2001:db8::10"]),
        ([Family::V6, Family::V4], ["2001:db8::10", "192.0.2.0"]),
    ] {
        for policy in [FamilyPolicy::PreferDualStack, FamilyPolicy::RequireDualStack] {
            let mut cluster = Cluster::new([pool("p", &[V4, V6])]);
            cluster.apply(dual("a", families, policy));
            assert_eq!(cluster.shown("a"), expected);
            assert_eq!(cluster.says("a").1, "AddressAssigned");
        }
    }
}

#[test]
fn the_status_carries_mode_and_ports() {
    let mut proxy = pool("p", &[V4]);
    proxy.ip_mode = IpMode::Proxy;
    let mut cluster = Cluster::new([proxy]);
    cluster.apply(ServiceView { ports: vec![tcp(80), tcp(443)], ..service("a") });
    let shown = &cluster.service("a").ingress[0];
    assert_eq!((shown.ip_mode, shown.ports.clone()), (Some(IpMode::Proxy), vec![tcp(80), tcp(443)]));
    cluster.change("a", |view| view.ports = vec![tcp(8080)]);
    assert_eq!(cluster.service("a").ingress[0].ports, [tcp(8080)]);
}

#[test]
fn prefer_takes_what_is_there_and_the_second_family_when_it_comes() {
    let mut cluster = Cluster::new([pool("p", &[V4])]);
    cluster.apply(dual("a", [Family::V6, Family::V4], FamilyPolicy::PreferDualStack));
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    assert!(cluster.says("a").2.contains("no IPv6 address"), "{:?}", cluster.says("a"));
    cluster.pool(pool("six", &[V6]));
    assert_eq!(cluster.shown("a"), ["2001:db8::10", "192.0.2.0"]);
}

#[test]
fn require_is_all_or_nothing() {
    let mut cluster = Cluster::new([pool("p", &[V4])]);
    cluster.apply(dual("a", [Family::V4, Family::V6], FamilyPolicy::RequireDualStack));
    assert_eq!(cluster.reason("a"), "NoPool");
    assert!(cluster.shown("a").is_empty() && cluster.claimed().is_empty());
    cluster.pool(pool("six", &[V6]));
    assert_eq!(cluster.shown("a"), ["192.0.2.0", "2001:db8::10"]);
}

#[test]
fn a_family_that_is_given_up_is_released() {
    let mut cluster = Cluster::new([pool("p", &[V4, V6])]);
    cluster.apply(dual("a", [Family::V4, Family::V6], FamilyPolicy::PreferDualStack));
    cluster.change("a", |view| {
        view.families = vec![Family::V4];
        view.family_policy = FamilyPolicy::SingleStack;
    });
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    assert!(cluster.claim("2001:db8::10").unwrap().claim.released_at.is_some());
}

#[test]
fn a_requested_address_is_given_or_refused_with_the_reason() {
    let mut cluster = Cluster::new([pool("p", &[V4])]);
    cluster.apply(asking("a", &["192.0.2.5"], &[]));
    assert_eq!(cluster.shown("a"), ["192.0.2.5"]);
    cluster.apply(asking("b", &["192.0.2.5"], &[]));
    assert_eq!(cluster.reason("b"), "AddressInUse");
    assert!(cluster.says("b").2.contains("default/a"));
    cluster.apply(asking("c", &["198.51.100.1"], &[]));
    assert_eq!(cluster.reason("c"), "AddressOutsidePools");
    cluster.apply(asking("d", &["2001:db8::1"], &[]));
    assert_eq!(cluster.reason("d"), "FamilyMismatch");
    cluster.apply(asking("e", &["192.0.2.3", "192.0.2.4"], &[]));
    assert_eq!(cluster.reason("e"), "InvalidRequest");
    cluster.delete("a");
    assert_eq!(cluster.shown("b"), ["192.0.2.5"], "the refused one is served when the address is released");
}

#[test]
fn a_garbage_request_takes_nothing_away() {
    let mut cluster = Cluster::new([pool("p", &[V4])]);
    cluster.apply(service("a"));
    cluster.change("a", |view| view.requests = Err("daymark.dev/addresses: \"x\" is no address".to_owned()));
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    assert_eq!((cluster.says("a").0, cluster.says("a").1), (true, "InvalidRequest"));
    let mut fresh = service("b");
    fresh.requests = Err("daymark.dev/addresses: \"x\" is no address".to_owned());
    cluster.apply(fresh);
    assert_eq!(
        (cluster.says("b").0, cluster.says("b").2),
        (false, "daymark.dev/addresses: \"x\" is no address")
    );
}

#[test]
fn a_changed_request_moves_the_service() {
    let mut cluster = Cluster::new([pool("p", &[V4])]);
    cluster.apply(service("a"));
    cluster.apply(asking("a", &["192.0.2.6"], &[]));
    assert_eq!(cluster.shown("a"), ["192.0.2.6"]);
    assert!(cluster.claim("192.0.2.0").unwrap().claim.released_at.is_some());
    assert_eq!(cluster.told(), ["AddressAssigned", "AddressChanged"]);
}

#[test]
fn each_family_comes_from_the_first_named_pool_that_has_one() {
    let mut on_request = pool("six", &[V6]);
    on_request.assignment = Assignment::OnRequest;
    let mut cluster = Cluster::new([
        pool("four", &[V4]),
        on_request,
        pool("other", &["198.51.100.0/28", "2001:db8:1::/64"]),
    ]);
    let mut view = asking("a", &[], &["six", "four"]);
    view.families = vec![Family::V4, Family::V6];
    view.family_policy = FamilyPolicy::RequireDualStack;
    cluster.apply(view);
    assert_eq!(cluster.shown("a"), ["192.0.2.0", "2001:db8::10"]);
}

#[test]
fn named_pools_that_cannot_serve() {
    let mut selective = pool("gold", &["198.51.100.0/28"]);
    selective.service_selector = Some(gold());
    let mut cluster = Cluster::new([pool("p", &[V4]), pool("six", &[V6]), selective]);
    cluster.apply(asking("a", &[], &["nowhere"]));
    assert_eq!(cluster.reason("a"), "UnknownPool");
    cluster.apply(asking("b", &[], &["six"]));
    assert_eq!(cluster.reason("b"), "FamilyMismatch");
    cluster.apply(asking("c", &[], &["gold"]));
    assert_eq!(cluster.reason("c"), "NotPermitted");
    cluster.apply(asking("d", &["192.0.2.1"], &["gold"]));
    assert_eq!(cluster.reason("d"), "AddressOutsidePools");
    cluster.pool(pool("nowhere", &["203.0.113.0/28"]));
    assert_eq!(cluster.shown("a"), ["203.0.113.0"]);
}

#[test]
fn automatic_pools_by_priority_then_specificity_then_name() {
    let mut first = pool("z", &["198.51.100.0/32"]);
    first.priority = 10;
    let mut specific = pool("y", &["198.51.100.1/32"]);
    specific.service_selector = Some(gold());
    let mut never = pool("b", &["198.51.100.8/32"]);
    never.assignment = Assignment::OnRequest;
    let mut cluster = Cluster::new([
        first,
        specific,
        never,
        pool("x", &["198.51.100.2/32"]),
        pool("w", &["198.51.100.3/32"]),
    ]);
    let expected = ["198.51.100.0", "198.51.100.1", "198.51.100.3", "198.51.100.2"];
    for (name, expected) in ["a", "b", "c", "d"].into_iter().zip(expected) {
        cluster.apply(ServiceView { labels: gold().match_labels, ..service(name) });
        assert_eq!(cluster.shown(name), [expected]);
    }
    cluster.apply(service("e"));
    assert_eq!(cluster.reason("e"), "PoolExhausted");
    assert_eq!(
        cluster.says("e").2,
        "no IPv4 address is free in pools z, w, x: add addresses, or delete Services that need none"
    );
}

#[test]
fn a_namespace_selector_fails_closed_and_follows_labels() {
    let mut selective = pool("p", &[V4]);
    selective.namespace_selector = Some(gold());
    let mut cluster = Cluster::new([selective]);
    cluster.apply(service("a"));
    assert_eq!(cluster.reason("a"), "NoPool");
    cluster.store.put_namespace("default".into(), gold().match_labels);
    cluster.settle();
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    cluster.store.put_namespace("default".into(), Default::default());
    cluster.settle();
    assert_eq!(cluster.shown("a"), ["192.0.2.0"], "who has an address keeps it");
}

#[test]
fn classes_and_profiles_decide_who_is_ours() {
    let mut cluster = Cluster::new([pool("p", &[V4]), pool("q", &["198.51.100.0/28"])]);
    cluster.apply(ServiceView { class: Some("example.com/other".to_owned()), ..service("foreign") });
    assert!(cluster.service("foreign").condition.is_none());
    cluster.apply(ServiceView { class: Some("daymark.dev/pool".to_owned()), ..service("a") });
    cluster.apply(service("b"));
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["192.0.2.0".into()], vec!["192.0.2.1".into()])
    );
    let profile = |name: &str, age: i64, class: &str| LoadBalancerProfile {
        name: Some(name.into()),
        created_at: Timestamp(age),
        class: class.to_owned(),
        default: false,
        target: ProfileTarget::Pool { pools: vec!["q".into()] },
    };
    cluster.profiles(vec![profile("new", 2, "example.com/other"), profile("old", 1, "example.com/other")]);
    assert_eq!(cluster.shown("foreign"), ["198.51.100.0"]);
    assert!(cluster.shown("a").is_empty() && cluster.service("a").condition.is_none());
    assert_eq!(cluster.assigner.profiles().conflicts()[0].loser.as_str(), "new");
    assert!(cluster.told().contains(&"AddressReleased"));
}

#[test]
fn a_foreign_services_address_is_taken() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/31"])]);
    let class = Some("example.com/other".to_owned());
    cluster.apply(ServiceView {
        class,
        ingress: vec![support::build::shown("192.0.2.0")],
        ..service("foreign")
    });
    cluster.apply(service("a"));
    assert_eq!(cluster.shown("a"), ["192.0.2.1"]);
    cluster.apply(asking("b", &["192.0.2.0"], &[]));
    assert_eq!(cluster.reason("b"), "AddressInUse");
    cluster.delete("foreign");
    assert_eq!(cluster.shown("b"), ["192.0.2.0"]);
}

#[test]
fn edges_and_excluded_addresses_are_never_given() {
    let mut careful = pool("p", &["10.0.0.254-10.0.1.2"]);
    careful.avoid_edge_addresses = true;
    careful.exclude = vec!["10.0.1.1/32".parse().unwrap()];
    let mut cluster = Cluster::new([careful]);
    cluster.apply(service("a"));
    cluster.apply(service("b"));
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["10.0.0.254".into()], vec!["10.0.1.2".into()])
    );
    cluster.apply(asking("c", &["10.0.1.0"], &[]));
    assert_eq!(cluster.reason("c"), "NotPermitted");
    cluster.apply(asking("d", &["10.0.1.1"], &[]));
    assert_eq!(cluster.reason("d"), "AddressOutsidePools");
    let counts = cluster.report("p").ipv4;
    assert_eq!((counts.total, counts.assigned, counts.available), (2, 2, 0));
}

#[test]
fn overlaps_block_only_the_common_range_and_are_told_on_both() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0-192.0.2.3"])]);
    cluster.apply(service("a"));
    cluster.pool(pool("q", &["192.0.2.0-192.0.2.1", "192.0.2.8/32"]));
    for (name, other) in [("p", "q"), ("q", "p")] {
        let overlaps = cluster.assigner.take_pool_reports();
        let report = overlaps.iter().find(|r| r.pool.as_str() == name);
        if let Some(report) = report {
            assert_eq!(report.overlaps[0].other.as_str(), other);
            assert_eq!(report.overlaps[0].block.to_string(), "192.0.2.0-192.0.2.1");
        }
    }
    assert_eq!(cluster.shown("a"), ["192.0.2.0"], "a claimed address keeps its owner");
    cluster.apply(service("b"));
    assert_eq!(cluster.shown("b"), ["192.0.2.2"]);
    cluster.apply(asking("c", &["192.0.2.1"], &[]));
    assert_eq!(cluster.reason("c"), "Overlap");
    cluster.delete_pool("q");
    assert_eq!(cluster.shown("c"), ["192.0.2.1"]);
}

#[test]
fn a_reservation_waits_for_its_service() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/30"])]);
    cluster.store.create_claim(claim("192.0.2.0", &[]).claim, Timestamp(0));
    cluster.store.create_claim(claim("192.0.2.3", &[("b", None)]).claim, Timestamp(0));
    cluster.settle();
    cluster.apply(service("a"));
    assert_eq!(cluster.shown("a"), ["192.0.2.1"]);
    cluster.apply(asking("c", &["192.0.2.3"], &[]));
    assert_eq!(cluster.reason("c"), "AddressInUse");
    cluster.apply(service("b"));
    assert_eq!(cluster.shown("b"), ["192.0.2.3"]);
    assert_eq!(
        cluster.claim("192.0.2.3").unwrap().claim.holders[0].uid,
        Some(cluster.service("b").uid.clone())
    );
    let counts = cluster.report("p").ipv4;
    assert_eq!((counts.total, counts.assigned, counts.available), (4, 3, 1));
}

#[test]
fn the_oldest_waiting_service_is_served_first() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/32"])]);
    cluster.apply(service("holder"));
    for (name, age) in [("young", 30), ("old", 10), ("middle", 20)] {
        cluster.apply(ServiceView { created_at: Timestamp(age), ..service(name) });
        assert_eq!(cluster.reason(name), "PoolExhausted");
    }
    let writes = cluster.writes;
    cluster.delete("holder");
    assert_eq!(cluster.shown("old"), ["192.0.2.0"]);
    assert!(cluster.writes - writes <= 4, "nobody else was written: {}", cluster.writes - writes);
}
