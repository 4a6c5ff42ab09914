//! Several Services on one address.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use daymark_model::{SharingPolicy, Timestamp, TrafficPolicy};
use daymark_pool::{Requests, ServiceView};
use support::build::{ip, pool, service, shown, tcp};
use support::cluster::Cluster;

fn sharer(name: &str, port: u16) -> ServiceView {
    ServiceView { sharing_key: Some("k".to_owned()), ports: vec![tcp(port)], ..service(name) }
}

#[test]
fn equal_keys_and_different_ports_share() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(sharer("a", 80));
    cluster.apply(sharer("b", 443));
    cluster.apply(sharer("c", 80));
    cluster.apply(ServiceView { sharing_key: Some("other".to_owned()), ..sharer("d", 8080) });
    assert_eq!(cluster.shown("a"), cluster.shown("b"));
    assert_eq!(cluster.shown("c"), ["192.0.2.1"], "port 80 of the first address is taken");
    assert_eq!(cluster.shown("d"), ["192.0.2.2"], "another key");
    let claim = &cluster.claim("192.0.2.0").unwrap().claim;
    assert_eq!((claim.holders.len(), claim.sharing_key.as_deref()), (2, Some("k")));
    cluster.delete("a");
    let claim = &cluster.claim("192.0.2.0").unwrap().claim;
    assert_eq!((claim.holders.len(), claim.released_at), (1, None), "the other holder stays");
}

#[test]
fn what_is_in_the_way_of_sharing() {
    let requests = || Ok(Requests { addresses: vec![ip("192.0.2.0")], pools: Vec::new() });
    let refused = |policy: SharingPolicy, newcomer: ServiceView| {
        let mut open = pool("p", &["192.0.2.0/29"]);
        open.sharing = policy;
        let mut cluster = Cluster::new([open]);
        cluster.apply(sharer("a", 80));
        let name = newcomer.key.to_string();
        cluster.apply(ServiceView { requests: requests(), ..newcomer });
        let (_, reason, message) = cluster.says(&name);
        format!("{reason}: {message}")
    };
    let any = SharingPolicy::AnyNamespace;
    assert!(refused(any, sharer("b", 80)).starts_with("SharingConflict: 192.0.2.0 cannot be shared: TCP/80"));
    assert!(refused(any, service("b")).starts_with("AddressInUse"));
    let other = ServiceView { sharing_key: Some("x".to_owned()), ..sharer("b", 81) };
    assert!(refused(any, other).contains("does not have the same sharing key"));
    let local = ServiceView { traffic_policy: TrafficPolicy::Local, ..sharer("b", 81) };
    assert!(refused(any, local).contains("externalTrafficPolicy Local"));
    assert!(refused(SharingPolicy::Never, sharer("b", 81)).contains("sharing: Never"));
    assert!(refused(SharingPolicy::SameNamespace, sharer("x/b", 81)).contains("sharing: SameNamespace"));
    assert!(refused(any, sharer("x/b", 81)).starts_with("AddressAssigned"));
}

#[test]
fn local_services_with_the_same_pods_share() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    let local = |name, port| ServiceView {
        traffic_policy: TrafficPolicy::Local,
        pod_selector: [("app".to_owned(), "x".to_owned())].into(),
        ..sharer(name, port)
    };
    cluster.apply(local("a", 80));
    cluster.apply(local("b", 443));
    assert_eq!(cluster.shown("a"), cluster.shown("b"));
}

#[test]
fn the_younger_one_leaves_when_two_no_longer_fit() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(sharer("a", 80));
    cluster.apply(ServiceView { created_at: Timestamp(5), ..sharer("b", 443) });
    cluster.change("a", |view| view.ports = vec![tcp(443)]);
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["192.0.2.0".into()], vec!["192.0.2.1".into()])
    );
    assert_eq!(cluster.claim("192.0.2.0").unwrap().claim.holders.len(), 1);
}

#[test]
fn shared_addresses_of_another_controller_are_adopted_as_they_are() {
    let mut cluster = Cluster::new([]);
    for (name, port) in [("a", 80), ("b", 443)] {
        cluster.apply(ServiceView { ingress: vec![shown("192.0.2.5")], ..sharer(name, port) });
    }
    cluster.pool(pool("p", &["192.0.2.0/29"]));
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["192.0.2.5".into()], vec!["192.0.2.5".into()])
    );
    assert_eq!(cluster.claim("192.0.2.5").unwrap().claim.holders.len(), 2);
}

#[test]
fn who_waits_for_a_shared_address_is_served_when_it_fits() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/32"])]);
    cluster.apply(sharer("a", 80));
    cluster.apply(sharer("b", 80));
    assert_eq!(cluster.reason("b"), "PoolExhausted");
    cluster.change("b", |view| view.ports = vec![tcp(81)]);
    assert_eq!(cluster.shown("b"), ["192.0.2.0"]);
    cluster.apply(sharer("c", 81));
    cluster.change("b", |view| view.ports = vec![tcp(82)]);
    assert_eq!(cluster.shown("c"), ["192.0.2.0"]);
}
