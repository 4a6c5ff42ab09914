//! What the status says when a router is not as it should be.

use std::net::TcpListener;
use std::time::Duration;

use daymark_bgp::SessionState;
use daymark_model::{Asn, Family, PeerAsn, Reason, SessionSource};

use crate::lab::{NODE, NODE_AS, Node, ROUTER_AS, attributes, eventually, in_lab, neighbor};
use crate::routers::{Bird, Frr, Side};

async fn reason(node: &Node, name: &str) -> (&'static str, String) {
    let status = node.until(name, "told off", |status| status.last_error.is_some()).await;
    let (_, error) = status.last_error.unwrap();
    (error.code(), error.to_string())
}

#[test]
fn a_wrong_as_is_told_with_both_numbers() {
    in_lab("failures::a_wrong_as_is_told_with_both_numbers", |lab| async move {
        let _bird =
            Bird::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" }).await;
        let node = Node::start(0).await;
        let mut config = neighbor("tor", Family::V4);
        config.peer.peer_asn = PeerAsn::Exact(Asn::new(65099).unwrap());
        node.handle.configure(vec![config]);
        let (code, text) = reason(&node, "tor").await;
        assert!(
            code == "WrongAsn" && text.contains("AS 65010") && text.contains("AS 65099 is configured"),
            "{text}"
        );
    });
}

#[test]
fn a_router_that_expects_another_as_is_understood() {
    in_lab("failures::a_router_that_expects_another_as_is_understood", |lab| async move {
        let _frr = Frr::start(&lab, &Side { asn: ROUTER_AS, node_asn: 65123, extra: "passive" }).await;
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        let (code, text) = reason(&node, "tor").await;
        assert!(code == "NotificationReceived" && text.contains("does not expect AS 4200000001"), "{text}");
    });
}

#[test]
fn who_speaks_something_else_is_told_apart() {
    in_lab("failures::who_speaks_something_else_is_told_apart", |lab| async move {
        let garbage = lab.on_router("python3").args(["-c", SSH]).spawn();
        let mut garbage = garbage.unwrap();
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4), neighbor("gone", Family::V6)]);
        let not_bgp = |status: &daymark_speaker::bgp::NeighborStatus| {
            status.last_error.as_ref().is_some_and(|(_, error)| error.code() == "NotBgp")
        };
        node.until("tor", "called garbage", not_bgp).await;
        let (code, text) = reason(&node, "gone").await;
        assert!(code == "ConnectionRefused" && text.contains("check that the router runs BGP"), "{text}");
        garbage.kill().unwrap();
        garbage.wait().unwrap();
    });
}

#[test]
fn an_unusable_source_is_told() {
    in_lab("failures::an_unusable_source_is_told", |lab| async move {
        let _bird =
            Bird::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" }).await;
        let node = Node::start(0).await;
        let mut foreign = neighbor("foreign", Family::V4);
        foreign.transport.source = Some(SessionSource::Address("10.99.1.77".parse().unwrap()));
        let mut absent = neighbor("absent", Family::V4);
        absent.transport.source = Some(SessionSource::Interface("eth9".into()));
        let mut right = neighbor("right", Family::V4);
        right.transport.source = Some(SessionSource::Interface("up0".into()));
        node.handle.configure(vec![foreign, absent, right]);
        for name in ["foreign", "absent"] {
            let (code, text) = reason(&node, name).await;
            assert_eq!(code, "SourceUnusable", "{text}");
        }
        node.up("right").await;
    });
}

#[test]
fn a_family_without_an_address_on_the_link_is_told_and_mended() {
    in_lab("failures::a_family_without_an_address_on_the_link_is_told_and_mended", |lab| async move {
        let bird = Bird::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" }).await;
        let address = |verb: &str| {
            let v6 = format!("{}/64", NODE[1]);
            let done =
                std::process::Command::new("ip").args(["address", verb, &v6, "dev", "up0", "nodad"]).status();
            assert!(done.unwrap().success());
        };
        address("del");
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        node.announce("tor", &["198.51.100.1/32", "2001:db8:5::1/128"], &attributes(&[]));
        eventually("the IPv4 route alone", || bird.imported("n4"), |count| *count == 1).await;
        let status = node.until("tor", "lacking", |status| !status.problems.is_empty()).await;
        assert!(status.problems[0].to_string().contains("no global IPv6 address"), "{:?}", status.problems);
        address("add");
        eventually("both routes", || bird.imported("n4"), |count| *count == 2).await;
        assert!(node.neighbor("tor").problems.is_empty());
    });
}

#[test]
fn what_concerns_one_session_leaves_the_other_alone() {
    in_lab("failures::what_concerns_one_session_leaves_the_other_alone", |lab| async move {
        let bird = Bird::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" }).await;
        let node = Node::start(0).await;
        let (four, mut six) = (neighbor("four", Family::V4), neighbor("six", Family::V6));
        node.handle.configure(vec![four.clone(), six.clone()]);
        node.announce("four", &["198.51.100.1/32"], &attributes(&[]));
        node.announce("six", &["198.51.100.2/32"], &attributes(&[]));
        let both = (node.up("four").await, node.up("six").await);
        six.peer.families = [Family::V4].into();
        node.handle.configure(vec![four.clone(), six.clone()]);
        node.until("six", "up with IPv4 alone", |s| s.families == [Family::V4]).await;
        node.handle.configure(vec![four.clone()]);
        eventually("the session is gone from BIRD", || bird.imported("n6"), |count| *count == 0).await;
        assert!(!node.status().neighbors.contains_key("six"));
        node.announce("six", &["198.51.100.3/32"], &attributes(&[]));
        node.handle.configure(vec![four, six]);
        eventually("the removed neighbor's routes are back", || bird.imported("n6"), |count| *count == 2)
            .await;
        let four = node.neighbor("four");
        assert_eq!((four.flaps, four.since, four.state), (0, both.0.since, SessionState::Established));
    });
}

#[test]
fn a_listener_that_cannot_be_had_is_told_and_harms_nothing() {
    in_lab("failures::a_listener_that_cannot_be_had_is_told_and_harms_nothing", |lab| async move {
        let _bird =
            Bird::start(&lab, &Side { asn: ROUTER_AS, node_asn: NODE_AS, extra: "passive on;" }).await;
        let taken = TcpListener::bind("0.0.0.0:179").unwrap();
        let node = Node::start(179).await;
        let mut passive = neighbor("passive", Family::V6);
        passive.peer.passive = true;
        node.handle.configure(vec![neighbor("active", Family::V4), passive]);
        node.up("active").await;
        let listener = eventually("told", || node.status().listener, Option::is_some).await.unwrap();
        assert!(listener.to_string().contains("cannot listen on TCP port 179"), "{listener}");
        drop(taken);
        eventually("listening", || node.status().listener, Option::is_none).await;
    });
}

#[test]
fn a_stranger_is_turned_away_from_the_listener() {
    in_lab("failures::a_stranger_is_turned_away_from_the_listener", |lab| async move {
        let node = Node::start(179).await;
        let mut passive = neighbor("passive", Family::V4);
        passive.peer.passive = true;
        passive.transport.address = "10.99.1.77".parse().unwrap();
        node.handle.configure(vec![passive]);
        let output = lab.on_router("python3").args(["-c", STRANGER]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "reset");
        assert_eq!(node.neighbor("passive").state, SessionState::Active);
        tokio::time::timeout(Duration::from_secs(5), node.handle.shutdown(String::new(), Duration::ZERO))
            .await
            .unwrap();
    });
}

/// Connects as soon as somebody listens, and says how that ends. The reset may come before the connect has returned.
const STRANGER: &str = "
import socket, time
while True:
    try:
        stranger = socket.create_connection(('10.99.1.1', 179), timeout=5)
        print('read', stranger.recv(10))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
    except ConnectionResetError:
        print('reset')
        break
";

/// Another service on BGP's port.
const SSH: &str = "
import socket
server = socket.create_server(('10.99.1.254', 179))
while True:
    client, _ = server.accept()
    client.sendall(b'SSH-2.0-OpenSSH_9.2p1\\r\\n')
";
