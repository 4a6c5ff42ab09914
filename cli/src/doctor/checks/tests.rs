use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::json;

use super::ALL;
use crate::doctor::facts::{
    CloudFacts, ClusterFacts, Facts, Freshness, HostFacts, HostInterface, Leftovers, MeshKey, Neighbor, Peer,
    PortAnswer, ProxyConfig, Rival,
};
use crate::doctor::{Chart, Finding, Outcome};
use crate::plan::status::overview;
use crate::speakers::Testimony;

const VIP: &str = "192.0.2.10";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interface(name: &str, index: u32, network: &str) -> HostInterface {
    HostInterface {
        index,
        name: name.into(),
        mac: Some(format!("02:00:00:00:01:{index:02x}").parse().unwrap()),
        enabled: true,
        carrier: true,
        can_answer: true,
        networks: vec![network.parse().unwrap()],
        arp_ignore: Some(0),
        arp_announce: Some(0),
        rp_filter: Some(0),
        ..HostInterface::default()
    }
}

fn speaker_object(name: &str, last: u8, mtu: u32) -> serde_json::Value {
    json!({"metadata": {"name": name}, "status": {"version": "0.1.0", "facts": {"proxy": "Healthy", "interfaces": [{
        "index": 2, "name": "eth1", "mac": format!("02:00:00:00:0{last}:02"), "up": true,
        "subnets": [format!("192.0.2.{last}/24")], "mtu": mtu,
    }]}}})
}

fn balancer_spec() -> serde_json::Value {
    json!({
        "provider": "aws", "profile": "nlb", "serviceUID": "u-1", "members": [{"name": "web", "uid": "u-1"}],
        "place": {"cluster": "c", "vpc": "vpc-0a1b2c3d"}, "inventory": {"epoch": 0, "resources": []},
    })
}

fn cloud(objects: &[serde_json::Value]) -> CloudFacts {
    CloudFacts {
        overview: overview(objects, &[]),
        has_profile: true,
        sharing: vec!["nlb".into()],
        rival: Ok(Rival::Gone),
        leftovers: Ok(Leftovers::default()),
    }
}

/// Node n1 with neighbors n2 and n3, all sound.
fn sound() -> Facts {
    let nodes: BTreeMap<String, Vec<IpAddr>> =
        (1..=3).map(|n| (format!("n{n}"), vec![ip(&format!("10.0.0.{n}"))])).collect();
    let speakers =
        (1..=3).map(|n| serde_json::from_value(speaker_object(&format!("n{n}"), n, 1500)).unwrap());
    let l2 = json!({
        "node": "n1", "key": "Present",
        "network": {"settled": true, "members": [
            {"node": "n2", "address": "10.0.0.2:7947"}, {"node": "n3", "address": "10.0.0.3:7947"}]},
        "segments": [{"interface": 2, "name": "eth1", "mac": "02:00:00:00:01:02", "carrier": true, "mesh": {
            "settled": true, "members": [
                {"node": "n2", "address": "02:00:00:00:02:02"}, {"node": "n3", "address": "02:00:00:00:03:02"}]}}],
    });
    Facts {
        cluster: Ok(ClusterFacts {
            namespace: "daymark-system".into(),
            nodes,
            speakers: speakers.collect(),
            vips: [(ip(VIP), vec!["shop/web".to_owned()])].into(),
            l2_announcements: Ok(vec!["lan".into()]),
            mesh_key: MeshKey::Sound,
            proxy: Ok(Some(ProxyConfig::default())),
            cloud: Ok(cloud(&[
                json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": balancer_spec()}),
            ])),
        }),
        host: Ok(HostFacts {
            node: Some("n1".into()),
            interfaces: vec![interface("eth0", 1, "10.0.0.1/24"), interface("eth1", 2, "192.0.2.1/24")],
            neighbors: Ok(vec![Neighbor {
                interface: 2,
                address: ip(VIP),
                mac: "02:00:00:00:02:02".parse().unwrap(),
                freshness: Freshness::Confirmed,
            }]),
            udp_ports: Ok([7947].into()),
            mesh_port: 7947,
            proxy_health: Ok(200),
            peers: vec![Peer { node: "n2".into(), address: ip("10.0.0.2"), answer: PortAnswer::Silence }],
            probed: [ip(VIP)].into(),
        }),
        speaker: Ok(Testimony {
            node: "n1".into(),
            l2: serde_json::from_value(l2).unwrap(),
            ..Testimony::default()
        }),
    }
}

fn findings(check: &str, facts: &Facts) -> Vec<Finding> {
    let (name, run) = *ALL.iter().find(|(name, _)| *name == check).unwrap();
    let mut chart = Chart::new(name);
    run(facts, &mut chart);
    chart.findings
}

/// What is wrong by `check`, as `RESULT subject: what`, when `spoil` has had its way with a sound node.
fn spoiled(
    check: &str,
    spoil: impl FnOnce(&mut ClusterFacts, &mut HostFacts, &mut Testimony),
) -> Vec<String> {
    let mut facts = sound();
    let (Ok(cluster), Ok(host), Ok(speaker)) = (&mut facts.cluster, &mut facts.host, &mut facts.speaker)
    else {
        unreachable!()
    };
    spoil(cluster, host, speaker);
    findings(check, &facts)
        .into_iter()
        .map(|finding| match finding.outcome {
            Outcome::Ok { what } => format!("ok: {what}"),
            Outcome::Skipped { what } => format!("skipped: {what}"),
            Outcome::Warning { what, .. } => format!("warning {}: {what}", finding.subject),
            Outcome::Problem { what, remedy } => {
                assert!(!remedy.is_empty());
                format!("problem {}: {what}", finding.subject)
            }
        })
        .collect()
}

fn one(found: &[String], start: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(start), "{found:?}, not {start:?}");
}

#[test]
fn a_sound_node_has_nothing_but_ok() {
    let facts = sound();
    for (name, _) in ALL {
        let found = findings(name, &facts);
        assert!(
            matches!(found.as_slice(), [Finding { outcome: Outcome::Ok { .. }, .. }]),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn what_cannot_be_looked_at_is_skipped_and_never_ok() {
    let none = || Err("not reached".to_owned());
    let nothing = Facts {
        cluster: none().map(|()| unreachable!()),
        host: none().map(|()| unreachable!()),
        speaker: none().map(|()| unreachable!()),
    };
    for (name, _) in ALL {
        let found = findings(name, &nothing);
        assert!(
            matches!(found.as_slice(), [Finding { outcome: Outcome::Skipped { .. }, .. }]),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn the_key_of_the_meshes() {
    one(&spoiled("mesh-key", |c, _, _| c.mesh_key = MeshKey::Missing), "problem : there is no Secret");
    one(&spoiled("mesh-key", |c, _, _| c.mesh_key = MeshKey::Unusable), "problem : `key` of the Secret");
    one(&spoiled("mesh-key", |c, _, _| c.mesh_key = MeshKey::Unread("403".into())), "skipped: ");
    let unused = spoiled("mesh-key", |c, _, _| {
        c.mesh_key = MeshKey::Missing;
        c.l2_announcements = Ok(Vec::new());
    });
    one(&unused, "warning : there is no Secret");
}

#[test]
fn nodes_without_speaker_and_speakers_with_problems() {
    let found = spoiled("speakers", |c, _, _| {
        c.nodes.insert("n4".into(), Vec::new());
        c.speakers[0].status.problems = serde_json::from_value(json!([
            {"subject": "Service/shop/web", "reason": "AddressConflict", "message": "m"},
            {"subject": "Service/shop/web", "reason": "NodeExcluded", "message": "m"},
        ]))
        .unwrap();
    });
    let expected = [
        "warning n4: no speaker runs there, or none has run yet",
        "problem n1: Service/shop/web AddressConflict: m",
        "warning n1: Service/shop/web NodeExcluded: m",
    ];
    assert_eq!(found, expected);
}

#[test]
fn members_that_are_not_heard() {
    let lost = spoiled("mesh-members", |_, _, s| s.l2.network.members.truncate(1));
    one(&lost, "problem n3: its speaker is not heard on the node network");
    let lost = spoiled("mesh-members", |_, _, s| s.l2.segments[0].mesh.members.truncate(1));
    one(&lost, "problem eth1 n3: has a subnet of this segment");
    let broken = spoiled("mesh-members", |_, _, s| s.l2.segments[0].membership_broken = true);
    one(&broken, "problem eth1: hears nobody");
    one(&spoiled("mesh-members", |_, _, s| s.l2.network.settled = false), "skipped: ");
    one(
        &spoiled("mesh-members", |_, _, s| s.idle = true),
        "skipped: no Announcement with l2 concerns this node",
    );
}

#[test]
fn the_port_of_the_mesh() {
    one(
        &spoiled("mesh-port", |_, h, _| h.udp_ports = Ok([53].into())),
        "problem : nothing listens on UDP 7947",
    );
    one(
        &spoiled("mesh-port", |_, h, _| h.peers[0].answer = PortAnswer::Refused),
        "problem n2 10.0.0.2: UDP 7947",
    );
    one(
        &spoiled("mesh-port", |c, _, _| c.l2_announcements = Ok(Vec::new())),
        "skipped: no Announcement has l2",
    );
}

#[test]
fn an_address_of_a_service_that_is_a_nodes() {
    let node = spoiled("node-address", |c, _, _| {
        c.nodes.insert("n2".into(), vec![ip(VIP)]);
    });
    one(&node, "problem 192.0.2.10: is an address of node n2 as well");
    let host =
        spoiled("node-address", |_, h, _| h.interfaces[1].networks.push("192.0.2.10/32".parse().unwrap()));
    one(&host, "problem 192.0.2.10: is an address of eth1 of this host");
    let bound = spoiled("node-address", |_, h, _| {
        h.interfaces.push(interface("kube-ipvs0", 9, "192.0.2.10/32"));
    });
    one(&bound, "ok: ");
}

#[test]
fn somebody_else_who_answers() {
    let stranger = "de:ad:be:ef:00:01";
    let found = spoiled("other-answerer", |_, h, _| {
        h.neighbors.as_mut().unwrap()[0].mac = stranger.parse().unwrap();
    });
    one(&found, "problem 192.0.2.10: de:ad:be:ef:00:01, which is no node of the cluster");
    let found = spoiled("other-answerer", |_, h, _| {
        let entry = &mut h.neighbors.as_mut().unwrap()[0];
        entry.mac = stranger.parse().unwrap();
        entry.freshness = Freshness::Doubtful;
    });
    one(&found, "ok: ");
    let told = json!({"address": VIP, "interface": 2, "ours": true, "conflict": stranger});
    let found = spoiled("other-answerer", |_, h, s| {
        h.neighbors.as_mut().unwrap()[0].mac = stranger.parse().unwrap();
        s.addresses = vec![serde_json::from_value(told).unwrap()];
    });
    one(&found, "problem 192.0.2.10: de:ad:be:ef:00:01, which is no node of the cluster");
    let found = spoiled("other-answerer", |_, _, s| {
        let ours = json!({"address": VIP, "interface": 2, "ours": true});
        s.addresses = vec![serde_json::from_value(ours).unwrap()];
    });
    one(&found, "problem 192.0.2.10: this node answers for it, and so does node n2");
    let found = spoiled("other-answerer", |c, _, s| {
        c.speakers.clear();
        s.l2.segments.clear();
    });
    one(&found, "skipped: 02:00:00:00:02:02 answers for 192.0.2.10");
    let bound =
        spoiled("other-answerer", |_, h, _| h.interfaces.push(interface("kube-ipvs0", 9, "192.0.2.10/32")));
    one(&bound, "skipped: this node has 1 addresses of Services itself");
}

#[test]
fn ipvs_without_strict_arp() {
    let ipvs = |h: &mut HostFacts| h.interfaces.push(interface("kube-ipvs0", 9, "192.0.2.10/32"));
    let loose = spoiled("ipvs-strict-arp", |_, h, _| ipvs(h));
    one(&loose, "problem eth1: kube-ipvs0 is there, arp_ignore is 0 and arp_announce 0");
    let strict = spoiled("ipvs-strict-arp", |_, h, _| {
        ipvs(h);
        h.interfaces[1].arp_ignore = Some(1);
        h.interfaces[1].arp_announce = Some(2);
    });
    one(&strict, "ok: ");
    let configured = spoiled("ipvs-strict-arp", |c, _, _| {
        c.proxy = Ok(Some(ProxyConfig { mode: "ipvs".into(), strict_arp: false }));
    });
    one(&configured, "problem : kube-proxy runs in IPVS mode without strictARP");
}

#[test]
fn kube_proxy_is_asked_here_and_by_the_speakers() {
    one(
        &spoiled("kube-proxy", |_, h, _| h.proxy_health = Ok(503)),
        "problem : kube-proxy of this node answers 503",
    );
    one(&spoiled("kube-proxy", |_, h, _| h.proxy_health = Err("refused".into())), "warning : ");
    let demoted = spoiled("kube-proxy", |c, _, _| c.speakers[1].status.facts.proxy = Some("Demoted".into()));
    one(&demoted, "problem n2: kube-proxy there");
}

#[test]
fn interfaces_without_carrier() {
    one(&spoiled("carrier", |_, h, _| h.interfaces[1].carrier = false), "problem eth1: has no carrier");
    one(&spoiled("carrier", |_, h, _| h.interfaces[1].enabled = false), "problem eth1: is down");
    one(&spoiled("carrier", |_, h, _| h.interfaces[0].carrier = false), "ok: ");
    let elsewhere = spoiled("carrier", |c, _, _| c.speakers[2].status.facts.interfaces[0].up = false);
    one(&elsewhere, "problem n3 eth1: is down or has no carrier");
}

#[test]
fn a_strict_filter_matters_with_several_uplinks() {
    one(&spoiled("rp-filter", |_, h, _| h.interfaces[1].rp_filter = Some(1)), "warning eth1: rp_filter is 1");
    let single = spoiled("rp-filter", |_, h, _| {
        h.interfaces.remove(0);
        h.interfaces[0].rp_filter = Some(1);
    });
    one(&single, "ok: ");
    one(&spoiled("rp-filter", |_, h, _| h.interfaces[1].rp_filter = Some(2)), "ok: ");
}

#[test]
fn wifi_and_mtu() {
    one(&spoiled("wifi", |_, h, _| h.interfaces[1].wireless = true), "warning eth1: is Wi-Fi");
    one(&spoiled("wifi", |_, h, _| h.interfaces[0].wireless = true), "ok: ");
    let mtu = spoiled("mtu", |c, _, _| c.speakers[1].status.facts.interfaces[0].mtu = 9000);
    one(&mtu, "warning 192.0.2.0/24: interfaces differ in MTU: 1500 on n1 eth1, n3 eth1; 9000 on n2 eth1");
}

#[test]
fn load_balancers_in_clouds_that_fail_or_wait() {
    let status = |status: serde_json::Value| {
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop"}, "spec": balancer_spec(), "status": status,
        });
        spoiled("cloud-load-balancers", |c, _, _| c.cloud = Ok(cloud(&[object])))
    };
    let error = json!({"class": "PermissionDenied", "reason": "PermissionDenied", "message": "not allowed",
        "action": "elasticloadbalancing:CreateLoadBalancer", "remedy": "allow it"});
    one(
        &status(json!({"lastError": error})),
        "problem shop/web: PermissionDenied: elasticloadbalancing:CreateLoadBalancer: not allowed",
    );
    let plan = json!({"plan": {"consent": "c0ffee", "disruptive": ["load balancer a is replaced"]}});
    one(&status(plan), "warning shop/web: waits for consent: load balancer a is replaced");
    let broken = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"profile": "nlb"}});
    one(
        &spoiled("cloud-load-balancers", |c, _, _| c.cloud = Ok(cloud(&[broken]))),
        "problem shop/web: Unreadable: ",
    );
    let unused = spoiled("cloud-load-balancers", |c, _, _| {
        c.cloud = Ok(CloudFacts { has_profile: false, ..cloud(&[]) });
    });
    one(&unused, "ok: no LoadBalancerProfile has aws");
}

#[test]
fn another_controller_of_aws() {
    let with = |spoil: fn(&mut CloudFacts)| {
        spoiled("aws-load-balancer-controller", |c, _, _| spoil(c.cloud.as_mut().unwrap()))
    };
    let running = |facts: &mut CloudFacts| facts.rival = Ok(Rival::Running("pod-1".into()));
    one(&with(running), "problem : the AWS Load Balancer Controller runs (its Lease is renewed by pod-1)");
    let apart = |facts: &mut CloudFacts| {
        facts.rival = Ok(Rival::Running("pod-1".into()));
        facts.sharing.clear();
        facts.leftovers = Ok(Leftovers { webhooks: vec!["x/aws-load-balancer-webhook".into()], bindings: 2 });
    };
    one(&with(apart), "ok: ");
    let left = with(|facts| {
        facts.leftovers = Ok(Leftovers { webhooks: vec!["x/aws-load-balancer-webhook".into()], bindings: 2 });
    });
    assert!(left[0].starts_with("problem x/aws-load-balancer-webhook: is left of"), "{left:?}");
    assert!(left[1].starts_with("warning : 2 TargetGroupBindings are left of"), "{left:?}");
    one(&with(|facts| facts.rival = Err("403".into())), "skipped: the Lease of");
}
