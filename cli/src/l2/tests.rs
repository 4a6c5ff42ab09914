use serde_json::{Value, json};

use super::Subject;
use super::render::tables;
use super::report::{Report, Silent, Sources, State, report};
use crate::output::Width;
use crate::speakers::Testimony;
use crate::told::SpeakerObject;

const VIP: &str = "192.0.2.10";

/// What the speaker of `node` says, whose eth1 has the Ethernet address that ends in `last`, and which hears `others`.
fn testimony(node: &str, last: u8, others: &[(&str, u8)], addresses: Value, services: Value) -> Testimony {
    let mac = |last: u8| format!("02:00:00:00:00:{last:02x}");
    let members: Vec<_> = others.iter().map(|(n, l)| json!({"node": n, "address": mac(*l)})).collect();
    let l2 = json!({
        "node": node, "key": "Present",
        "segments": [{"interface": 3, "name": "eth1", "mac": mac(last), "carrier": true, "mesh": {"members": members}}],
    });
    Testimony {
        node: node.to_owned(),
        idle: false,
        l2: serde_json::from_value(l2).unwrap(),
        addresses: serde_json::from_value(addresses).unwrap(),
        services: serde_json::from_value(services).unwrap(),
    }
}

fn object(name: &str, l2: Value, problems: Value) -> SpeakerObject {
    let facts = json!({"interfaces": [{"index": 3, "name": "eth1", "mac": "02:00:00:00:00:09", "up": true, "mtu": 1500}]});
    serde_json::from_value(
        json!({"metadata": {"name": name}, "status": {"version": "1", "facts": facts, "l2": l2, "problems": problems}}),
    )
    .unwrap()
}

fn listing(reasons: Value) -> Value {
    json!([{"service": "shop/web", "addresses": [{"address": VIP, "state": "Hidden", "reasons": reasons}]}])
}

fn ours() -> Value {
    json!([{"address": VIP, "interface": 3, "ours": true, "epoch": 4, "heldSeconds": 130}])
}

fn theirs(node: &str, last: u8) -> Value {
    json!([{"address": VIP, "interface": 3, "ours": false, "epoch": 4,
        "owner": {"node": node, "mac": format!("02:00:00:00:00:{last:02x}")},
        "notAnswering": {"reason": "OwnedByOther", "node": node}}])
}

fn sources(testimonies: Vec<(&str, Testimony)>, objects: Vec<SpeakerObject>) -> Sources {
    Sources {
        vips: [(VIP.parse().unwrap(), vec!["shop/web".to_owned()])].into(),
        l2_announced: Some(true),
        testimonies: testimonies.into_iter().map(|(node, t)| (node.to_owned(), t)).collect(),
        objects,
        silent: Vec::new(),
    }
}

fn state(sources: &Sources) -> State {
    only(&report(sources, None, 0))
}

fn only(report: &Report) -> State {
    assert_eq!(report.addresses.len(), 1, "{report:?}");
    report.addresses[0].state
}

#[test]
fn one_owner_and_why_the_others_do_not_answer() {
    let excluded = json!([{"reason": "NodeExcluded", "message": "the node carries the label"}]);
    let sources = sources(
        vec![
            ("n1", testimony("n1", 1, &[("n2", 2)], ours(), listing(json!([])))),
            ("n2", testimony("n2", 2, &[("n1", 1)], theirs("n1", 1), listing(json!([])))),
            ("n3", testimony("n3", 3, &[], json!([]), listing(excluded))),
        ],
        vec![],
    );
    let subject: Subject = "shop/web".parse().unwrap();
    let text = tables(&report(&sources, Some(&subject), 0), Some(&subject), Width::Wide);
    let expected = "\
ADDRESS      SERVICE    NODE   INTERFACE   MAC                 SINCE   STATE   EPOCH   SOURCE
192.0.2.10   shop/web   n1     eth1        02:00:00:00:00:01   2m10s   Owned   4       speaker

192.0.2.10:
NODE   INTERFACE   ANSWERS   REASON         MESSAGE
n1     eth1        yes       -              -
n2     eth1        no        OwnedByOther   node n1 answers
n3     -           no        NodeExcluded   the node carries the label
";
    assert_eq!(text, expected);
}

#[test]
fn one_speaker_tells_what_it_hears_of_others() {
    let sources = sources(vec![("n2", testimony("n2", 2, &[("n1", 1)], theirs("n1", 1), json!([])))], vec![]);
    let text = tables(&report(&sources, None, 0), None, Width::Usual);
    let expected = "\
ADDRESS      SERVICE    NODE   INTERFACE   MAC                 SINCE   STATE
192.0.2.10   shop/web   n1     -           02:00:00:00:00:01   -       Owned
";
    assert_eq!(text, expected);
}

#[test]
fn two_nodes_that_hear_each_other_must_not_both_answer() {
    let both = sources(
        vec![
            ("n1", testimony("n1", 1, &[("n2", 2)], ours(), json!([]))),
            ("n2", testimony("n2", 2, &[("n1", 1)], ours(), json!([]))),
        ],
        vec![],
    );
    assert_eq!(state(&both), State::TwoOwners);
    // On two segments each has its own.
    let apart = sources(
        vec![
            ("n1", testimony("n1", 1, &[], ours(), json!([]))),
            ("n2", testimony("n2", 2, &[], ours(), json!([]))),
        ],
        vec![],
    );
    let report = report(&apart, None, 0);
    assert_eq!(only(&report), State::Owned);
    assert_eq!(report.addresses[0].owners.len(), 2);
}

#[test]
fn a_stranger_is_a_conflict_even_with_an_owner() {
    let entry = json!([{"address": VIP, "interface": 3, "ours": true, "conflict": "de:ad:be:ef:00:01"}]);
    let sources = sources(vec![("n1", testimony("n1", 1, &[], entry, json!([])))], vec![]);
    assert_eq!(state(&sources), State::Conflict);
    let text = tables(&report(&sources, None, 0), None, Width::Usual);
    assert!(text.contains("Conflict with de:ad:be:ef:00:01"), "{text}");
}

#[test]
fn objects_tell_owners_and_what_they_cannot_tell() {
    let owned = json!({"owned": [{"address": VIP, "interface": "eth1", "since": "1970-01-01T00:01:00Z"}], "ownedCount": 1});
    let mut sources =
        sources(vec![], vec![object("n1", owned, json!([])), object("n2", json!({}), json!([]))]);
    let found = report(&sources, None, 100);
    assert_eq!(only(&found), State::Owned);
    let owner = &found.addresses[0].owners[0];
    assert_eq!((owner.node.as_str(), owner.seconds), ("n1", Some(40)));
    assert_eq!(owner.mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:09"));

    let cut = json!({"owned": [], "ownedCount": 100});
    sources.objects = vec![object("n1", cut, json!([]))];
    assert_eq!(state(&sources), State::Unknown);
    sources.objects = vec![object("n1", json!({"owned": [], "ownedCount": 0}), json!([]))];
    assert_eq!(state(&sources), State::NoOwner);
    sources.l2_announced = Some(false);
    assert_eq!(state(&sources), State::NotOffered);
}

#[test]
fn problems_of_a_speaker_object_explain_its_silence() {
    let problems = json!([
        {"subject": "Service/shop/web", "reason": "Draining", "message": "the node is draining"},
        {"subject": "Service/shop/web", "reason": "AddressConflict",
         "message": "de:ad:be:ef:00:01, which is no node, has 192.0.2.10"},
    ]);
    let sources = sources(vec![], vec![object("n1", json!({}), problems)]);
    let found = report(&sources, None, 0);
    assert_eq!(only(&found), State::Conflict);
    let reasons: Vec<_> = found.addresses[0].nodes.iter().map(|n| n.reason.clone().unwrap()).collect();
    assert_eq!(reasons, ["Draining", "AddressConflict"]);
}

#[test]
fn nobody_answers() {
    let probing =
        json!([{"address": VIP, "interface": 3, "ours": false, "notAnswering": {"reason": "Probing"}}]);
    let offered = sources(
        vec![("n1", testimony("n1", 1, &[], probing, json!([])))],
        vec![object("n1", json!({}), json!([]))],
    );
    assert_eq!(state(&offered), State::NoOwner);
    let alone = testimony("n1", 1, &[], json!([]), json!([]));
    let mut idle = sources(vec![("n1", alone)], vec![object("n1", json!({}), json!([]))]);
    assert_eq!(state(&idle), State::NotOffered);
    idle.silent.push(Silent { node: "n2".into(), message: "no answer".into() });
    assert_eq!(state(&idle), State::Unknown);
    let report = report(&idle, None, 0);
    let silent = &report.addresses[0].nodes[1];
    assert_eq!((silent.node.as_str(), silent.reason.as_deref()), ("n2", Some("SpeakerSilent")));
}

#[test]
fn the_json_has_these_fields() {
    let sources = sources(vec![("n1", testimony("n1", 1, &[], ours(), json!([])))], vec![]);
    let found = serde_json::to_value(report(&sources, None, 0)).unwrap();
    let expected = json!({
        "addresses": [{
            "address": VIP, "services": ["shop/web"], "state": "Owned", "conflicts": [],
            "owners": [{"node": "n1", "interface": "eth1", "mac": "02:00:00:00:00:01", "seconds": 130, "epoch": 4,
                "source": "Speaker"}],
            "nodes": [{"node": "n1", "interface": "eth1", "answers": true}],
        }],
        "silent": [],
    });
    assert_eq!(found, expected);
}
