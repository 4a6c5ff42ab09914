use daymark_config::crd;
use daymark_config::native;
use daymark_pool::FamilyCounts;
use serde_json::json;

use super::*;

fn pool(version: u64, addresses: &[&str]) -> PoolObject {
    let object: crd::AddressPool = serde_json::from_value(json!({
        "metadata": {"name": "p", "uid": "u", "resourceVersion": version.to_string(), "generation": 1},
        "spec": {"addresses": addresses},
    }))
    .unwrap();
    PoolObject::read(&object)
}

fn announcement(pools: &[&str]) -> ConfigObject<Announcement> {
    let object: crd::Announcement = serde_json::from_value(json!({
        "metadata": {"name": "a", "uid": "v", "resourceVersion": "1", "generation": 1},
        "spec": {"pools": pools, "bgp": {}},
    }))
    .unwrap();
    ConfigObject::read(&object, native::announcement(&object))
}

fn claim(address: &str, services: serde_json::Value) -> ClaimObject {
    let object: crd::AddressClaim = serde_json::from_value(json!({
        "metadata": {"name": address, "uid": "c", "resourceVersion": "1", "generation": 1},
        "spec": {"address": address, "services": services},
    }))
    .unwrap();
    ClaimObject::read(&object)
}

/// A board that has seen an empty list of each kind.
fn listed() -> Board {
    let mut board = Board::default();
    board.pools(Update::Reset(BTreeMap::new()));
    board.profiles(Update::Reset(BTreeMap::new()));
    board.announcements(Update::Reset(BTreeMap::new()));
    board.neighbors(Update::Reset(BTreeMap::new()));
    board.claims(Update::Reset(BTreeMap::new()));
    board
}

fn key(name: &str) -> Key {
    Key { name: name.into(), ..Key::default() }
}

fn report(assigned: i64) -> PoolReport {
    let ipv4 = FamilyCounts { total: 9, assigned, available: 9 - assigned, quarantined: 0 };
    PoolReport { pool: "p".into(), ipv4, ipv6: FamilyCounts::default(), overlaps: Vec::new() }
}

fn shown(write: &StatusWrite, type_: &str) -> String {
    let list = write.fields["conditions"].as_array().unwrap();
    let condition =
        list.iter().find(|c| c["type"] == type_).unwrap_or_else(|| panic!("no {type_} in {list:?}"));
    format!("{} {}", condition["status"].as_str().unwrap(), condition["reason"].as_str().unwrap())
}

fn next(board: &mut Board, now: Instant) -> Option<StatusWrite> {
    board.next_write(now, jiff::Timestamp::UNIX_EPOCH)
}

fn done(board: &mut Board, write: StatusWrite, version: &str, now: Instant) {
    let meta = Meta { resource_version: Some(version.into()), ..Meta::default() };
    board.written(write, Ok(meta), now);
}

#[test]
fn a_bad_pool_says_so_itself_and_is_gone_for_the_assigner() {
    let (mut board, now) = (listed(), Instant::now());
    let update = board.pools(Update::Apply(key("p"), pool(1, &["192.0.2.9-192.0.2.1"])));
    assert_eq!(update, Update::Apply(key("p"), None::<Pool>));
    let write = next(&mut board, now).unwrap();
    assert_eq!(shown(&write, "Accepted"), "False InvalidAddressBlock");
    done(&mut board, write, "2", now);
    assert!(next(&mut board, now).is_none());
}

#[test]
fn what_is_shown_already_is_not_written_again() {
    let (mut board, now) = (listed(), Instant::now());
    board.pools(Update::Apply(key("p"), pool(1, &["192.0.2.0/24"])));
    board.report(report(1));
    let write = next(&mut board, now).unwrap();
    assert_eq!(shown(&write, "Accepted"), "True Accepted");
    done(&mut board, write, "3", now);
    // The watch tells what was before our write.
    board.pools(Update::Apply(key("p"), pool(2, &["192.0.2.0/24"])));
    assert!(next(&mut board, now).is_none());
}

#[test]
fn counts_are_paced_and_conditions_are_not() {
    let (mut board, now) = (listed(), Instant::now());
    board.pools(Update::Apply(key("p"), pool(1, &["192.0.2.0/24"])));
    board.report(report(1));
    let write = next(&mut board, now).unwrap();
    assert_eq!(write.fields["ipv4"]["assigned"], 1);
    assert_eq!(write.fields["ipv6"], Value::Null);
    done(&mut board, write, "2", now);

    board.report(report(2));
    assert!(next(&mut board, now).is_none());
    assert_eq!(board.next_deadline(now), Some(now + COUNTS_PACE));

    let overlaps =
        vec![daymark_pool::PoolOverlap { other: "q".into(), block: "192.0.2.0/30".parse().unwrap() }];
    board.report(PoolReport { overlaps, ..report(2) });
    let write = next(&mut board, now).unwrap();
    assert_eq!(shown(&write, "Overlap"), "True AddressesOverlap");
    assert_eq!(write.fields["ipv4"]["assigned"], 2);
}

#[test]
fn references_follow_the_objects_that_are_named() {
    let (mut board, now) = (listed(), Instant::now());
    board.announcements(Update::Apply(key("a"), announcement(&["p"])));
    let write = next(&mut board, now).unwrap();
    assert_eq!(shown(&write, "ResolvedRefs"), "False PoolNotFound");
    done(&mut board, write, "2", now);

    board.pools(Update::Apply(key("p"), pool(1, &["garbage"])));
    let writes: Vec<StatusWrite> = std::iter::from_fn(|| next(&mut board, now)).collect();
    let write = writes.iter().find(|w| w.id.0 == Sort::Announcement).unwrap();
    assert_eq!(shown(write, "ResolvedRefs"), "True ResolvedRefs");
}

#[test]
fn a_refused_write_is_tried_again_with_growing_pauses() {
    let (mut board, mut now) = (listed(), Instant::now());
    board.pools(Update::Apply(key("p"), pool(1, &["192.0.2.0/24"])));
    board.report(report(1));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let write = next(&mut board, now).unwrap();
        board.written(write, Err(CallError::Deadline(Duration::ZERO)), now);
        assert!(next(&mut board, now).is_none());
        let due = board.next_deadline(now).unwrap();
        pauses.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
}

#[test]
fn nothing_is_said_before_all_is_known_that_it_depends_on() {
    let (mut board, now) = (Board::default(), Instant::now());
    board.announcements(Update::Reset(BTreeMap::from([(key("a"), announcement(&["p"]))])));
    let reserved = claim("192.0.2.9", json!([{"namespace": "shop", "name": "web"}]));
    board.claims(Update::Reset(BTreeMap::from([(key("192.0.2.9"), reserved)])));
    assert!(next(&mut board, now).is_none());
    board.pools(Update::Reset(BTreeMap::from([(key("p"), pool(1, &["192.0.2.0/24"]))])));
    assert!(next(&mut board, now).is_none(), "neither the neighbors nor the overlaps are known");
    board.neighbors(Update::Reset(BTreeMap::new()));
    board.report(report(1));
    let writes: Vec<Sort> = std::iter::from_fn(|| next(&mut board, now)).map(|write| write.id.0).collect();
    assert_eq!(writes, [Sort::Pool, Sort::Announcement]);
}

#[test]
fn a_reservation_that_no_pool_contains_says_so_until_one_does() {
    let (mut board, now) = (listed(), Instant::now());
    let name = || key("192.0.2.9");
    let update = board.claims(Update::Apply(name(), claim("192.0.2.9", json!([]))));
    assert!(matches!(update, Update::Apply(_, Some(_))));
    let write = next(&mut board, now).unwrap();
    assert_eq!(shown(&write, "Accepted"), "False AddressOutsidePools");
    done(&mut board, write, "2", now);
    board.pools(Update::Apply(key("p"), pool(1, &["192.0.2.0/24"])));
    let write = next(&mut board, now).unwrap();
    assert_eq!((write.id.0, &write.fields["conditions"]), (Sort::Claim, &json!([])));
}

#[test]
fn a_refused_claim_says_so_and_goes_on_holding() {
    let (mut board, now) = (listed(), Instant::now());
    let mut object: crd::AddressClaim = serde_json::from_value(json!({
        "metadata": {"name": "192.0.2.9", "uid": "c", "resourceVersion": "1", "generation": 1},
        "spec": {"address": "192.0.2.9", "services": [{"namespace": "shop", "name": "web", "uid": "w"}]},
    }))
    .unwrap();
    object.spec.pool = Some("Not A Name".to_owned());
    let Update::Apply(_, Some(view)) =
        board.claims(Update::Apply(key("192.0.2.9"), ClaimObject::read(&object)))
    else {
        panic!("the claim is lost");
    };
    assert_eq!(view.claim.holders.len(), 1);
    let write = next(&mut board, now).unwrap();
    assert!(shown(&write, "Accepted").starts_with("False "));
}
