use daymark_model::{Assignment, IpMode, Quarantine, SharingPolicy};

use super::*;

pub(crate) fn pool(name: &str, addresses: &[&str], exclude: &[&str]) -> Pool {
    let blocks = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
    Pool {
        name: name.into(),
        labels: Labels::new(),
        addresses: blocks(addresses),
        exclude: blocks(exclude),
        assignment: Assignment::Automatic,
        avoid_edge_addresses: false,
        priority: 100,
        service_selector: None,
        namespace_selector: None,
        sharing: SharingPolicy::SameNamespace,
        quarantine: Quarantine::DEFAULT,
        ip_mode: IpMode::VIP,
        overlapping: std::collections::BTreeSet::new(),
    }
}

fn homes(table: &PoolTable, address: &str) -> Vec<String> {
    table.homes(address.parse().unwrap()).into_iter().map(|p| p.name.to_string()).collect()
}

#[test]
fn finds_the_pools_of_an_address() {
    let table = PoolTable::new(&[
        pool("wide", &["192.0.2.0/24", "2001:db8::/64"], &["192.0.2.128-192.0.2.255"]),
        pool("narrow", &["192.0.2.16/28"], &[]),
        pool("upper", &["192.0.2.128/25"], &[]),
        pool("edge", &["0.0.0.0/32", "255.255.255.255/32"], &[]),
    ]);
    assert_eq!(homes(&table, "192.0.2.1"), ["wide"]);
    assert_eq!(homes(&table, "192.0.2.17"), ["narrow", "wide"]);
    assert_eq!(homes(&table, "192.0.2.200"), ["upper"], "an excluded address belongs to who offers it");
    assert_eq!(homes(&table, "2001:db8::5"), ["wide"]);
    assert_eq!(homes(&table, "255.255.255.255"), ["edge"]);
    assert!(homes(&table, "203.0.113.1").is_empty());
    assert!(homes(&table, "::").is_empty());
}

#[test]
fn an_excluded_address_that_nobody_offers_stays_home() {
    let table = PoolTable::new(&[pool("a", &["192.0.2.0/24"], &["192.0.2.7/32"])]);
    assert_eq!(homes(&table, "192.0.2.7"), ["a"]);
}

#[test]
fn a_removed_pool_is_remembered_while_it_is_used() {
    let mut table = PoolTable::new(&[pool("a", &["192.0.2.0/24"], &[])]);
    assert!(table.remove(&"a".into()));
    assert!(!table.remove(&"a".into()));
    assert_eq!(homes(&table, "192.0.2.1"), ["a"]);
    assert_eq!(table.names().count(), 0);
    assert!(!table.forget(|_| true));
    assert!(table.forget(|_| false));
    assert!(homes(&table, "192.0.2.1").is_empty() && !table.remembers());
}

#[test]
fn a_shrunk_pool_remembers_what_it_gave() {
    let mut table = PoolTable::new(&[pool("a", &["192.0.2.0/25", "192.0.2.128/25"], &[])]);
    assert!(table.apply(&pool("a", &["192.0.2.0/25"], &[])));
    assert!(!table.apply(&pool("a", &["192.0.2.0/25"], &[])));
    assert_eq!(homes(&table, "192.0.2.200"), ["a"]);
    table.apply(&pool("b", &["192.0.2.192/26"], &[]));
    assert_eq!(homes(&table, "192.0.2.200"), ["b"], "a pool that offers the address comes first");
    assert_eq!(homes(&table, "192.0.2.130"), ["a"]);
}

#[test]
fn a_pool_that_comes_back_has_its_new_labels() {
    let mut table = PoolTable::new(&[pool("a", &["192.0.2.0/24"], &[])]);
    table.remove(&"a".into());
    let mut again = pool("a", &["192.0.2.0/24"], &[]);
    again.labels.insert("tier".into(), "web".into());
    assert!(table.apply(&again));
    assert_eq!(table.homes("192.0.2.1".parse().unwrap())[0].labels, again.labels);
}
