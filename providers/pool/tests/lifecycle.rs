//! What happens to addresses over time: restarts, releases, quarantine, pools that change, rivals, failures.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use daymark_model::{Family, Quarantine, Timestamp};
use daymark_pool::{
    Assigner, EventKind, FamilyPolicy, Input, Requests, ServiceView, Settings, WriteAction, WriteResult,
};
use support::build::{claim, ip, pool, service, shown};
use support::cluster::Cluster;

const MINUTE: Duration = Duration::from_secs(60);

fn strict(name: &str, blocks: &[&str], seconds: u64) -> daymark_model::Pool {
    let mut pool = pool(name, blocks);
    pool.quarantine = Quarantine::Strict(Duration::from_secs(seconds));
    pool
}

#[test]
fn nothing_is_decided_before_everything_is_loaded() {
    let cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    let mut store = cluster.store;
    store.create_service(service("a"));
    let mut assigner = Assigner::new(Settings::default());
    for kind in support::store::KINDS {
        assigner.handle(Timestamp(0), store.list(kind));
        assert!(!assigner.is_synced() && assigner.next_write(Timestamp(0)).is_none());
    }
    assigner.handle(Timestamp(0), Input::ProfilesReset(Vec::new()));
    assert!(assigner.is_synced() && assigner.next_write(Timestamp(0)).is_some());
}

#[test]
fn a_restart_writes_nothing() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/31", "2001:db8::/64"])]);
    for name in ["a", "b", "c"] {
        let families = vec![Family::V4, Family::V6];
        cluster.apply(ServiceView {
            families,
            family_policy: FamilyPolicy::PreferDualStack,
            ..service(name)
        });
    }
    let writes = cluster.writes;
    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.writes, writes);
    assert!(cluster.told().iter().filter(|reason| **reason == "AddressAssigned").count() == 3);
}

#[test]
fn the_claim_comes_before_the_status_and_a_crash_between_is_repaired() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.store.create_service(service("a"));
    cluster.store.create_service(service("b"));
    cluster.deliver();
    let first = cluster.next_write().unwrap();
    let second = cluster.next_write().unwrap();
    assert!(matches!(&first.action, WriteAction::CreateClaim(claim) if claim.address == ip("192.0.2.0")));
    assert!(matches!(&second.action, WriteAction::CreateClaim(claim) if claim.address == ip("192.0.2.1")));
    cluster.store.apply(cluster.now, &second.action);
    cluster.restart();
    cluster.settle();
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["192.0.2.0".into()], vec!["192.0.2.1".into()])
    );
    assert_eq!(cluster.claimed().len(), 2);
}

#[test]
fn a_claim_that_somebody_else_made_first_is_learned() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.store.create_service(service("a"));
    cluster.deliver();
    let write = cluster.next_write().unwrap();
    cluster.store.create_claim(claim("192.0.2.0", &[("other", None)]).claim, Timestamp(0));
    let result = cluster.store.apply(cluster.now, &write.action);
    cluster.answer(&write, result);
    cluster.settle();
    assert_eq!(cluster.shown("a"), ["192.0.2.1"]);
}

#[test]
fn a_released_address_rests_and_then_goes() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/31"])]);
    cluster.apply(service("a"));
    cluster.delete("a");
    assert!(cluster.claim("192.0.2.0").unwrap().claim.released_at.is_some());
    assert_eq!(cluster.report("p").ipv4.quarantined, 1);
    cluster.apply(service("b"));
    assert_eq!(cluster.shown("b"), ["192.0.2.1"], "the rested one is not given while another is free");
    cluster.apply(service("a"));
    assert_eq!(cluster.shown("a"), ["192.0.2.0"], "its own name has it back at once");
    cluster.delete("a");
    cluster.wait(MINUTE * 5);
    assert!(cluster.claim("192.0.2.0").is_none());
    assert_eq!(cluster.assigner.next_deadline(), None);
}

#[test]
fn a_lenient_quarantine_gives_the_longest_rested_a_strict_one_waits() {
    let mut lenient = Cluster::new([pool("p", &["192.0.2.0/31"])]);
    lenient.apply(service("a"));
    lenient.apply(service("b"));
    lenient.delete("b");
    lenient.wait(Duration::from_secs(1));
    lenient.delete("a");
    lenient.apply(service("c"));
    assert_eq!(lenient.shown("c"), ["192.0.2.1"]);

    let mut strict = Cluster::new([strict("p", &["192.0.2.0/32"], 120)]);
    strict.apply(service("a"));
    strict.delete("a");
    strict.apply(service("b"));
    assert_eq!(strict.reason("b"), "PoolExhausted");
    strict.wait(MINUTE);
    assert!(strict.shown("b").is_empty());
    strict.wait(MINUTE);
    assert_eq!(strict.shown("b"), ["192.0.2.0"]);
}

#[test]
fn without_quarantine_the_claim_goes_at_once() {
    let mut cluster = Cluster::new([strict("p", &["192.0.2.0/32"], 0)]);
    cluster.apply(service("a"));
    cluster.delete("a");
    assert!(cluster.claimed().is_empty());
}

#[test]
fn a_retained_address_waits_for_its_name() {
    let mut cluster = Cluster::new([strict("p", &["192.0.2.0/31"], 0)]);
    cluster.apply(service("a"));
    let view = cluster.claim("192.0.2.0").unwrap().clone();
    let kept = daymark_model::Claim { retain: true, ..view.claim };
    cluster.store.put_claim(kept, view.uid, view.created_at);
    cluster.settle();
    cluster.delete("a");
    cluster.apply(service("b"));
    assert_eq!(cluster.shown("b"), ["192.0.2.1"]);
    cluster.delete_pool("p");
    cluster.apply(service("a"));
    assert_eq!((cluster.shown("a"), cluster.reason("a")), (vec!["192.0.2.0".into()], "PoolGone"));
}

#[test]
fn a_type_change_releases_and_the_way_back_assigns() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/31"])]);
    cluster.apply(service("a"));
    cluster.change("a", |view| view.is_load_balancer = false);
    assert!(cluster.service("a").condition.is_none());
    assert!(cluster.claim("192.0.2.0").unwrap().claim.released_at.is_some());
    cluster.change("a", |view| view.is_load_balancer = true);
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    assert_eq!(cluster.events.last().unwrap().kind, EventKind::Assigned);
}

#[test]
fn release_clears_the_status_before_the_claim() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/31"])]);
    cluster.apply(service("a"));
    cluster
        .store
        .put_service(ServiceView { class: Some("other".to_owned()), ..cluster.service("a").clone() });
    cluster.deliver();
    let first = cluster.next_write().unwrap();
    assert!(matches!(first.action, WriteAction::PatchServiceStatus { .. }), "{first:?}");
    assert!(cluster.next_write().is_none(), "one write of a Service at a time");
}

#[test]
fn a_service_that_goes_keeps_its_address_until_it_is_gone() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/31"])]);
    cluster.apply(service("a"));
    let writes = cluster.writes;
    cluster.change("a", |view| view.deleting = true);
    assert_eq!((cluster.shown("a"), cluster.writes), (vec!["192.0.2.0".to_owned()], writes));
    cluster.delete("a");
    assert!(cluster.claim("192.0.2.0").unwrap().claim.released_at.is_some());
}

#[test]
fn addresses_of_another_controller_are_adopted_oldest_first() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    let adopted = |name: &str, age: i64, address: &str| ServiceView {
        created_at: Timestamp(age),
        ingress: vec![shown(address)],
        ..service(name)
    };
    cluster.store.create_service(ServiceView { created_at: Timestamp(1), ..service("new") });
    cluster.store.create_service(adopted("young", 20, "192.0.2.0"));
    cluster.store.create_service(adopted("old", 10, "192.0.2.0"));
    cluster.store.create_service(adopted("other", 30, "192.0.2.1"));
    cluster.store.create_service(adopted("outside", 40, "198.51.100.7"));
    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.shown("old"), ["192.0.2.0"]);
    assert_eq!(cluster.shown("other"), ["192.0.2.1"]);
    let mut rest: Vec<_> = ["new", "young", "outside"].iter().flat_map(|name| cluster.shown(name)).collect();
    rest.sort();
    assert_eq!(rest, ["192.0.2.2", "192.0.2.3", "192.0.2.4"]);
}

#[test]
fn without_pools_foreign_addresses_stay_in_sight_until_they_can_be_adopted() {
    let mut cluster = Cluster::new([]);
    cluster.apply(ServiceView { ingress: vec![shown("192.0.2.6")], ..service("a") });
    assert_eq!((cluster.shown("a"), cluster.says("a").0), (vec!["192.0.2.6".to_owned()], false));
    cluster.pool(pool("p", &["192.0.2.0/29"]));
    assert_eq!((cluster.shown("a"), cluster.says("a").0), (vec!["192.0.2.6".to_owned()], true));
}

#[test]
fn a_pool_that_is_renamed_or_shrunk_moves_nothing() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    let requests = Ok(Requests { addresses: Vec::new(), pools: vec!["p".into()] });
    cluster.apply(ServiceView { requests, ..service("a") });
    cluster.apply(service("b"));
    cluster.delete_pool("p");
    assert_eq!((cluster.shown("a"), cluster.says("a").0), (vec!["192.0.2.0".to_owned()], true));
    assert_eq!((cluster.reason("a"), cluster.reason("b")), ("PoolGone", "PoolGone"));
    cluster.pool(pool("renamed", &["192.0.2.0/29"]));
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["192.0.2.0".into()], vec!["192.0.2.1".into()])
    );
    assert_eq!(cluster.claim("192.0.2.1").unwrap().claim.pool.as_ref().unwrap().as_str(), "renamed");
    assert_eq!(cluster.reason("b"), "AddressAssigned");
    cluster.pool(pool("renamed", &["192.0.2.0/32"]));
    assert_eq!((cluster.shown("b"), cluster.reason("b")), (vec!["192.0.2.1".into()], "PoolGone"));
}

#[test]
fn deleting_a_claim_moves_the_service_only_when_no_pool_has_the_address() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(service("a"));
    cluster.store.delete_claim(ip("192.0.2.0"));
    cluster.settle();
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    assert!(cluster.claim("192.0.2.0").is_some(), "made again");
    cluster.pool(pool("p", &["198.51.100.0/29"]));
    cluster.store.delete_claim(ip("192.0.2.0"));
    cluster.settle();
    assert_eq!(cluster.shown("a"), ["198.51.100.0"]);
}

#[test]
fn a_service_with_more_claims_than_it_wants_keeps_the_one_in_its_status() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(service("a"));
    let uid = cluster.service("a").uid.clone();
    for address in ["192.0.2.5", "192.0.2.6"] {
        cluster.store.create_claim(claim(address, &[("a", Some(uid.as_str()))]).claim, Timestamp(0));
    }
    cluster.settle();
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    assert!(cluster.claim("192.0.2.5").unwrap().claim.released_at.is_some());
    assert!(cluster.claim("192.0.2.6").unwrap().claim.released_at.is_some());
}

#[test]
fn a_rival_is_left_alone_after_three_overwrites_in_a_minute() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(service("a"));
    let overwrite = |cluster: &mut Cluster| {
        cluster.now = cluster.now + Duration::from_secs(5);
        cluster.change("a", |view| {
            view.ingress = vec![shown("198.51.100.1")];
            view.ingress_manager = Some("metallb".to_owned());
        });
    };
    overwrite(&mut cluster);
    overwrite(&mut cluster);
    assert_eq!(cluster.shown("a"), ["192.0.2.0"]);
    overwrite(&mut cluster);
    assert_eq!(cluster.shown("a"), ["198.51.100.1"]);
    assert_eq!((cluster.says("a").0, cluster.reason("a")), (false, "StatusContested"));
    assert!(cluster.says("a").2.contains("metallb"));
    assert_eq!(cluster.told().last(), Some(&"StatusContested"));
    let writes = cluster.writes;
    overwrite(&mut cluster);
    assert_eq!(cluster.writes, writes, "no fight");
    cluster.wait(MINUTE);
    assert_eq!(cluster.shown("a"), ["192.0.2.0"], "another try");
    overwrite(&mut cluster);
    assert_eq!(cluster.shown("a"), ["198.51.100.1"], "one overwrite is enough the second time");
}

#[test]
fn a_rival_of_the_condition_alone_is_a_rival_too() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(service("a"));
    for _ in 0..3 {
        assert_eq!(cluster.says("a"), (true, "AddressAssigned", "192.0.2.0 from pool p"));
        cluster.change("a", |view| {
            view.condition = None;
            view.ingress_manager = Some("narrow".to_owned());
        });
    }
    assert_eq!((cluster.says("a").0, cluster.reason("a")), (true, "StatusContested"), "it serves as before");
    assert!(cluster.says("a").2.contains("narrow"));
    let writes = cluster.writes;
    cluster.change("a", |view| view.condition = None);
    assert_eq!(cluster.writes, writes, "no fight");
    cluster.wait(MINUTE);
    assert_eq!(cluster.reason("a"), "AddressAssigned", "another try");
}

#[test]
fn a_watch_that_is_faster_than_the_answer_is_no_rival() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.apply(service("a"));
    for port in 81..90 {
        let mut view = cluster.service("a").clone();
        view.ports = vec![daymark_model::PortProtocol { protocol: daymark_model::Protocol::Tcp, port }];
        cluster.store.put_service(view);
        cluster.deliver();
        let write = cluster.next_write().expect("the new port in the status");
        let result = cluster.store.apply(cluster.now, &write.action);
        cluster.deliver();
        cluster.answer(&write, result);
        cluster.settle();
    }
    assert_eq!(cluster.says("a"), (true, "AddressAssigned", "192.0.2.0 from pool p"));
    assert!(!cluster.told().contains(&"StatusContested"));
}

#[test]
fn failures_are_tried_again_with_growing_pauses_and_disturb_nobody() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/29"])]);
    cluster.store.create_service(service("a"));
    cluster.deliver();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let write = cluster.next_write().expect("a try");
        cluster.answer(&write, WriteResult::Failed { message: "forbidden".to_owned(), retry_after: None });
        assert!(cluster.next_write().is_none());
        let deadline = cluster.assigner.next_deadline().unwrap();
        pauses.push(deadline.since(cluster.now).as_millis());
        cluster.now = deadline;
    }
    assert_eq!(pauses, [250, 500, 1000, 2000]);
    cluster.apply(service("b"));
    assert_eq!(
        (cluster.shown("a"), cluster.shown("b")),
        (vec!["192.0.2.0".into()], vec!["192.0.2.1".into()])
    );
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    let mut cluster = Cluster::new([pool("p", &["192.0.2.0/24"])]);
    for number in 0..100 {
        cluster.store.create_service(service(&format!("s{number:03}")));
    }
    cluster.deliver();
    let writes: Vec<_> = std::iter::from_fn(|| cluster.next_write()).collect();
    assert_eq!(writes.len(), Settings::default().window.get());
}
