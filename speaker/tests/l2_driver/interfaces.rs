//! Interfaces of all kinds, and what happens to them.

use serde_json::Value;

use crate::lan::{Lan, UP, VIPS, eventually};
use crate::node::Node;

#[test]
fn an_interface_that_comes_again_is_answered_on_again() {
    let lan = Lan::new("again", &["a"]);
    let _node = Node::start(&lan, "a");
    lan.until_answered_by(VIPS[0], "a", UP);
    lan.ip("a", &format!("link del {UP}"));
    lan.plug("a");
    lan.ip("a", &format!("address add 10.98.0.2/24 dev {UP}"));
    lan.ip("a", &format!("address add 2001:db8:98::2/64 dev {UP} nodad"));
    for vip in VIPS {
        lan.until_answered_by(vip, "a", UP);
    }
}

#[test]
fn an_interface_that_was_down_is_answered_on_again() {
    let lan = Lan::new("down", &["a"]);
    let mut node = Node::start(&lan, "a");
    lan.until_answered_by(VIPS[0], "a", UP);
    lan.ip("lan", "link set p-a down");
    let carrier = |state: &Value| state["node"]["segments"][0]["carrier"].clone();
    eventually("it sees that there is no carrier", || node.state(), |state| carrier(state) == false);
    lan.ip("lan", "link set p-a up");
    for vip in VIPS {
        lan.until_answered_by(vip, "a", UP);
    }
    lan.ip("a", &format!("link set {UP} down"));
    eventually("it sees that the interface is down", || node.state(), |state| carrier(state) == false);
    lan.ip("a", &format!("link set {UP} up"));
    lan.ip("a", &format!("address replace 2001:db8:98::2/64 dev {UP} nodad"));
    for vip in VIPS {
        lan.until_answered_by(vip, "a", UP);
    }
}

#[test]
fn a_new_ethernet_address_is_told_without_being_asked_for() {
    let lan = Lan::new("mac", &["a"]);
    let _node = Node::start(&lan, "a");
    lan.until_answered_by(VIPS[0], "a", UP);
    lan.ip("a", &format!("link set {UP} address 02:00:00:00:98:01"));
    eventually("the client has it", || lan.knows(VIPS[0]), |mac| mac.as_deref() == Some("02:00:00:00:98:01"));
    lan.ip("a", &format!("address replace 2001:db8:98::2/64 dev {UP} nodad"));
    lan.until_answered_by(VIPS[1], "a", UP);
}

#[test]
fn a_bridge_answers_and_its_port_does_not() {
    let lan = Lan::new("bridge", &["a"]);
    let mut node = Node::start(&lan, "a");
    lan.until_answered_by(VIPS[0], "a", UP);
    lan.ip("a", "link add lan0 address 02:00:00:00:98:02 type bridge");
    lan.ip("a", "link set lan0 up");
    lan.ip("a", &format!("address flush dev {UP}"));
    lan.ip("a", &format!("link set {UP} master lan0"));
    lan.ip("a", "address add 10.98.0.2/24 dev lan0");
    lan.ip("a", "address add 2001:db8:98::2/64 dev lan0 nodad");
    for vip in VIPS {
        lan.until_answered_by(vip, "a", "lan0");
    }
    assert_eq!(lan.answerers(VIPS[0]), [lan.mac("a", "lan0")]);
    let names = |state: &Value| {
        let segments = state["node"]["segments"].as_array().cloned().unwrap_or_default();
        segments.iter().map(|segment| segment["name"].clone()).collect::<Vec<_>>()
    };
    eventually("only the bridge is left", || node.state(), |state| names(state) == ["lan0"]);
}

#[test]
fn a_macvlan_answers() {
    let lan = Lan::new("macvlan", &["a"]);
    lan.ip("a", &format!("address flush dev {UP}"));
    lan.ip("a", &format!("link add lan0 link {UP} type macvlan mode bridge"));
    lan.ip("a", "link set lan0 up");
    lan.ip("a", "address add 10.98.0.2/24 dev lan0");
    lan.ip("a", "address add 2001:db8:98::2/64 dev lan0 nodad");
    let _node = Node::start(&lan, "a");
    for vip in VIPS {
        lan.until_answered_by(vip, "a", "lan0");
    }
    assert_eq!(lan.answerers(VIPS[0]), [lan.mac("a", "lan0")]);
}

/// Where the kernel has no bonds there is nothing to see.
#[test]
fn a_bond_answers() {
    let lan = Lan::new("bond", &["a"]);
    if !lan.makes("bond") {
        return;
    }
    lan.ip("a", "link add bond0 type bond mode active-backup miimon 100");
    lan.ip("a", &format!("link set {UP} down"));
    lan.ip("a", &format!("link set {UP} master bond0"));
    lan.ip("a", "link set bond0 up");
    lan.ip("a", "address add 10.98.0.2/24 dev bond0");
    lan.ip("a", "address add 2001:db8:98::2/64 dev bond0 nodad");
    let _node = Node::start(&lan, "a");
    for vip in VIPS {
        lan.until_answered_by(vip, "a", "bond0");
    }
}

/// Where the kernel has no VLANs, what is seen is that tagged requests are for somebody else.
#[test]
fn a_vlan_is_another_segment() {
    let lan = Lan::new("vlan", &["a"]);
    let mut node = Node::start(&lan, "a");
    lan.until_answered_by(VIPS[0], "a", UP);
    let before = node.state()["framesReceived"].as_u64();
    assert_eq!(lan.sh("client", &format!("python3 -c '{TAGGED}' 7 {} {UP}", VIPS[0])).trim(), "silence");
    assert_eq!(lan.sh("client", &format!("python3 -c '{TAGGED}' 0 {} {UP}", VIPS[0])).trim(), "answer");
    assert!(node.state()["framesReceived"].as_u64() > before);
    if !lan.makes("vlan") {
        return;
    }
    lan.ip("a", &format!("address flush dev {UP}"));
    for name in ["a", "client"] {
        lan.ip(name, &format!("link add up0.7 link {UP} type vlan id 7"));
        lan.ip(name, "link set up0.7 up");
    }
    lan.ip("a", "address add 10.98.7.2/24 dev up0.7");
    node.tell("offer 10.98.7.100");
    let arping = || lan.run("client", "arping", &["-c", "1", "-w", "1", "-i", "up0.7", "10.98.7.100"]);
    eventually("the VLAN answers", || arping().status.success(), |answered| *answered);
}

/// Asks for an address with a VLAN tag (VLAN 0: a priority only) and says whether an answer came within a second.
const TAGGED: &str = r#"
import socket, struct, sys
vlan, target, name = int(sys.argv[1]), socket.inet_aton(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.bind((name, 0x0806))
mac = s.getsockname()[4]
arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + socket.inet_aton("10.98.0.1") + bytes(6) + target
s.send(b"\xff" * 6 + mac + struct.pack("!HHH", 0x8100, 0x2000 | vlan, 0x0806) + arp)
s.settimeout(1)
try:
    while True:
        frame = s.recv(2048)
        if frame[20:22] == b"\x00\x02" and frame[28:32] == target and frame[32:38] == mac:
            print("answer")
            break
except TimeoutError:
    print("silence")
"#;
