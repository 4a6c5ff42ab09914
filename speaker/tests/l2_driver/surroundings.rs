//! What hosts and switches do to frames.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lan::{Lan, UP, VIPS, eventually};
use crate::node::Node;

#[test]
fn a_host_firewall_that_drops_everything_does_not_matter() {
    let lan = Lan::new("firewall", &["a", "b"]);
    for name in ["a", "b"] {
        lan.sh(
            name,
            "nft add table inet f && nft 'add chain inet f i { type filter hook input priority 0; policy drop; }'",
        );
    }
    let mut nodes = ["a", "b"].map(|name| Node::start(&lan, name));
    for node in &mut nodes {
        node.until_hears(UP, 1);
    }
    let macs = ["a", "b"].map(|name| lan.mac(name, UP));
    for vip in VIPS {
        eventually(vip, || lan.resolves(vip), |mac| mac.as_ref().is_some_and(|mac| macs.contains(mac)));
    }
    eventually("one answers", || lan.answerers(VIPS[0]), |answerers| answerers.len() == 1);
}

#[test]
fn an_interface_without_ipv6_answers_for_ipv4() {
    let lan = Lan::new("no-ipv6", &["a", "b"]);
    for name in ["a", "b"] {
        lan.sh(name, &format!("echo 1 > /proc/sys/net/ipv6/conf/{UP}/disable_ipv6"));
    }
    let mut nodes = ["a", "b"].map(|name| Node::start(&lan, name));
    for node in &mut nodes {
        node.until_hears(UP, 1);
    }
    let macs = ["a", "b"].map(|name| lan.mac(name, UP));
    eventually("found", || lan.resolves(VIPS[0]), |mac| mac.as_ref().is_some_and(|mac| macs.contains(mac)));
    let state = nodes[0].state();
    assert_eq!(state["problems"].as_object().map(serde_json::Map::len), Some(0), "{state:#}");
}

#[test]
fn a_switch_with_snooping_hears_which_solicitations_are_wanted() {
    let lan = Lan::new("snooping", &["a"]);
    lan.ip("lan", "link set br0 type bridge mcast_snooping 1 mcast_querier 1");
    let _node = Node::start(&lan, "a");
    eventually(
        "the bridge knows the group",
        || lan.sh("lan", "bridge mdb show dev br0"),
        |shown| shown.lines().any(|line| line.contains("port p-a grp ff02::1:ff00:100 ")),
    );
    for vip in VIPS {
        lan.until_answered_by(vip, "a", UP);
    }
}

#[test]
fn more_groups_than_one_socket_holds_are_joined() {
    const ADDRESSES: usize = 3_000;
    let lan = Lan::new("groups", &["a"]);
    let mut node = Node::start(&lan, "a");
    node.tell(&format!("offer-many {ADDRESSES}"));
    let joined = || {
        let table = lan.sh("a", "cat /proc/net/igmp6");
        table.lines().filter(|line| line.contains(UP) && line.contains("ff0200000000000000000001ff")).count()
    };
    eventually("all are answered", || node.state(), |state| state["silent"] == json!({}));
    eventually("all groups are joined", joined, |count| *count >= ADDRESSES);
    let last = format!("2001:db8:98::a0:{:x}", ADDRESSES - 1);
    lan.until_answered_by(&last, "a", UP);
    lan.ip("a", &format!("link del {UP}"));
    eventually("nothing is left of it", || node.state()["node"]["segments"].clone(), |s| *s == json!([]));
}

#[test]
fn a_node_without_the_capability_says_so() {
    let lan = Lan::new("capability", &["a"]);
    let mut node = Node::start_with("-all", &lan, "a");
    let problem = |state: &Value| state["problems"][UP].clone();
    let state = eventually("there is a problem", || node.state(), |state| problem(state).is_object());
    assert_eq!(problem(&state)["reason"], "FrameSocket");
    assert!(problem(&state)["message"].as_str().unwrap().contains("NET_RAW"), "{state:#}");
}

#[test]
fn a_port_that_is_taken_is_a_problem_until_it_is_free() {
    let lan = Lan::new("port", &["a"]);
    let space = lan.named("a");
    let hold = "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((\"10.98.0.2\", 7947))
print(\"held\", flush=True)
time.sleep(600)";
    let mut holder = Command::new("ip")
        .args(["netns", "exec", &space, "python3", "-c", hold])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    holder.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    let mut node = Node::start(&lan, "a");
    let problem = |state: &Value| state["problems"]["10.98.0.2:7947"]["reason"].clone();
    eventually("it says so", || node.state(), |state| problem(state) == "MeshSocket");
    lan.until_answered_by(VIPS[0], "a", UP);
    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("it has the port", || node.state(), |state| state["problems"] == json!({}));
}
