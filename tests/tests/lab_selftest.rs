//! The lab itself: what every other test relies on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use daymark_tests::control_plane::Silence;
use daymark_tests::daymark::{Bound, NAMESPACE};
use daymark_tests::netns::Netns;
use daymark_tests::network::multipath;
use daymark_tests::process::Process;
use daymark_tests::router::Software;
use daymark_tests::sweep::{Kept, LabId, sweep};
use daymark_tests::{
    Lab, Neighbors, ProxyMode, Readiness, Result, RouterSpec, Segment, bail, command, ensure, tools, wait_for,
};
use ipnet::IpNet;

const SOON: Duration = Duration::from_secs(30);
const VIPS: [&str; 2] = ["198.51.100.10", "2001:db8:5::10"];
/// A node's speaker, played by BIRD: one route per family.
const SPEAKER: &str = "
log stderr all;
router id V4;
protocol device { }
protocol static routes_v4 {
  ipv4;
  route 203.0.113.7/32 blackhole {
    bgp_community.add((64512, 7));
    bgp_community.add((65535, 0));
    bgp_large_community.add((64512, 1, 4200000000));
  };
}
protocol static routes_v6 { ipv6; route 2001:db8:7::7/128 blackhole; }
template bgp upstream {
  ipv4 {
    import none;
    export filter { if source != RTS_STATIC then reject; bgp_med = 5; accept; };
    next hop address V4;
  };
  ipv6 { import none; export where source = RTS_STATIC; next hop address V6; };
}
protocol bgp r1 from upstream { local TO_R1 as 64512; neighbor R1 as 65001; }
protocol bgp r2 from upstream { local TO_R2 as 64512; neighbor R2 as 65002; }
";
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  externalTrafficPolicy: POLICY
  selector: {app: web}
  ports:
  - {name: tcp, protocol: TCP, port: 80, targetPort: 8080}
  - {name: udp, protocol: UDP, port: 80, targetPort: 8080}
";

fn vips() -> [IpAddr; 2] {
    VIPS.map(|vip| vip.parse().unwrap())
}

/// What a speaker would do: routes to the VIPs by the nodes, in every router.
async fn route_vips(lab: &Lab, nodes: &[&str]) -> Result<()> {
    for router in lab.routers() {
        for (vip, length) in vips().iter().zip([32, 128]) {
            let hops = nodes.iter().map(|node| {
                let upstream = lab.node(node).unwrap().upstream();
                if vip.is_ipv4() { IpAddr::from(upstream.v4) } else { upstream.v6.into() }
            });
            router.netns().ip_batch(&[multipath(&format!("{vip}/{length}"), hops)]).await?;
        }
    }
    Ok(())
}

/// Asks until `pods` have all answered, and returns the client addresses that they saw.
async fn answered_by(lab: &Lab, vip: IpAddr, pods: &[&str]) -> Result<BTreeSet<IpAddr>> {
    let target = SocketAddr::from((vip, 80));
    let mut seen = BTreeSet::new();
    let mut clients = BTreeSet::new();
    wait_for(format_args!("answers of {pods:?} on {target}"), SOON, async || {
        let answer = lab.client()?.ask(target).await?;
        clients.insert(answer.client);
        seen.insert(answer.pod);
        ensure!(seen.iter().map(String::as_str).eq(pods.iter().copied()), "{seen:?}");
        Ok(())
    })
    .await?;
    Ok(clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_reached_through_the_routers() -> Result<()> {
    let lab = Lab::builder("selftest-traffic")
        .nodes(2)
        .router(RouterSpec::frr(65001))
        .router(RouterSpec::bird(65002))
        .without_daymark()
        .start()
        .await?;
    assert_eq!(lab.router("r1")?.software(), Software::Frr);
    lab.apply(&SERVICE.replace("POLICY", "Cluster")).await?;
    lab.set_service_addresses("default", "web", &vips()).await?;
    let first = lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let second = lab.pod("n2", "web-2", &[("app", "web")], &[8080]).await?;
    route_vips(&lab, &["n1", "n2"]).await?;
    assert_eq!(lab.service_addresses("default", "web").await?, vips());

    let nodes: BTreeSet<IpAddr> = lab.nodes().iter().flat_map(|node| node.masquerade_addresses()).collect();
    for vip in vips() {
        let clients = answered_by(&lab, vip, &["web-1", "web-2"]).await?;
        assert!(clients.is_subset(&nodes), "Cluster masquerades, but the pods saw {clients:?}");
        let datagram = lab.client()?.ask_udp((vip, 80).into()).await?;
        assert_eq!((datagram.port, datagram.protocol.as_str()), (8080, "udp"));
    }
    let load = lab.client()?.load((vips()[0], 80).into()).duration(Duration::from_secs(5)).run().await?;
    assert_eq!((load.sent, load.answered, load.syn_retrans()), (1000, 1000, 0), "{load:?}");
    assert_eq!(load.answers_by_pod.len(), 2, "{load:?}");
    assert!(lab.client()?.curl("http://198.51.100.10/").await?.contains("web-"));
    assert!(lab.client()?.curl("http://[2001:db8:5::10]/").await?.contains("web-"));

    lab.apply(&SERVICE.replace("POLICY", "Local")).await?;
    let client = lab.client()?.addresses();
    for (vip, expected) in vips().into_iter().zip(client.both()) {
        wait_for("the client's address to be kept", SOON, async || {
            let answer = lab.client()?.ask((vip, 80).into()).await?;
            ensure!(answer.client == expected, "pod {} saw {}", answer.pod, answer.client);
            Ok(())
        })
        .await?;
    }

    // One path of two leads to a node whose only pod is not ready: nothing answers there under Local.
    second.set_ready(Readiness::NotReady).await?;
    wait_for("requests to the node without a ready pod to fail", SOON, async || {
        match lab.client()?.ask((vips()[0], 80).into()).await {
            Ok(answer) if answer.pod == "web-1" => bail!("only web-1 was asked"),
            Ok(answer) => bail!("{} still answers", answer.pod),
            Err(_) => Ok(()),
        }
    })
    .await?;
    route_vips(&lab, &["n1"]).await?;
    let load = lab.client()?.load((vips()[0], 80).into()).rate(200).duration(Duration::from_secs(2));
    let report = load.run().await?;
    assert_eq!((report.sent, report.answered, report.failed), (400, 400, 0), "{report:?}");
    assert_eq!(report.syn_retrans(), 0);
    assert_eq!(report.clients_seen, [IpAddr::from(client.v4)].into());

    first.terminate(60).await?;
    first.delete().await?;
    wait_for("the pod object to go", SOON, async || {
        let pods = lab.kubectl(&["get", "pods", "-o", "name"]).await?;
        ensure!(pods.trim() == "pod/web-2", "{pods}");
        Ok(())
    })
    .await?;

    let id = lab.id();
    lab.finish().await?;
    assert_eq!(id.namespaces(), [] as [String; 0]);
    assert!(!id.directory().exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_tell_what_they_hold() -> Result<()> {
    let lab = Lab::builder("selftest-routers")
        .nodes(2)
        .clients(0)
        .router(RouterSpec::frr(65001).neighbors(Neighbors::EachPassive))
        .router(RouterSpec::bird(65002).neighbors(Neighbors::Range))
        .without_daymark()
        .start()
        .await?;
    let mut speakers = Vec::new();
    for (number, node) in lab.nodes().iter().enumerate() {
        let here = node.upstream().both();
        let [r1, r2] = ["r1", "r2"].map(|name| lab.router(name).unwrap().addresses().both());
        // Each router hears one node over IPv4 and the other over IPv6.
        let words = [
            ("TO_R1", here[number]),
            ("TO_R2", here[1 - number]),
            ("R1", r1[number]),
            ("R2", r2[1 - number]),
            ("V4", here[0]),
            ("V6", here[1]),
        ];
        let text =
            words.iter().fold(SPEAKER.to_owned(), |text, (word, to)| text.replace(word, &to.to_string()));
        let file = |kind: &str| lab.directory().join(format!("{}.{kind}", node.name())).display().to_string();
        std::fs::write(file("conf"), text)?;
        let arguments = ["-f".to_owned(), "-c".to_owned(), file("conf"), "-s".to_owned(), file("ctl")];
        let logs = lab.directory().join("logs");
        let name = format!("{}-bird", node.name());
        let speaker = Process::new(name, node.netns(), "bird", &logs).arguments(arguments);
        speaker.start().await?;
        speakers.push(speaker);
    }

    let prefixes: [IpNet; 2] = ["203.0.113.7/32".parse()?, "2001:db8:7::7/128".parse()?];
    for router in lab.routers() {
        for prefix in prefixes {
            let mut expected: Vec<IpAddr> = Vec::new();
            for node in lab.nodes() {
                expected.extend(
                    node.upstream().both().into_iter().filter(|hop| hop.is_ipv4() == prefix.addr().is_ipv4()),
                );
            }
            let paths = wait_for(format_args!("{prefix} in {}", router.name()), SOON, async || {
                let paths = router.paths(prefix).await?;
                ensure!(paths.len() == 2, "{paths:?}");
                let hops = router.kernel_next_hops(prefix).await?;
                // FRR prefers the link-local next hop, which BIRD sends beside the global one.
                ensure!(hops == expected || prefix.addr().is_ipv6() && hops.len() == 2, "kernel: {hops:?}");
                Ok(paths)
            })
            .await?;
            assert!(paths.iter().all(|path| path.as_path == [Segment::Sequence(vec![64512])]), "{paths:?}");
            assert!(paths.iter().all(|path| path.valid && expected.contains(&path.next_hop)), "{paths:?}");
            assert_eq!(paths.iter().filter(|path| path.best).count(), 1, "{paths:?}");
            assert_eq!(router.table().await?[&prefix].len(), 2);
        }
        let path = router.paths_to(prefixes[0].addr()).await?.remove(0);
        assert_eq!(path.communities, [(64512, 7), (65535, 0)].into());
        assert_eq!(path.large_communities, [(64512, 1, 4_200_000_000)].into());
        assert_eq!(
            (path.med, path.local_preference, path.is_leaving()),
            (Some(5), Some(0), true),
            "{path:?}"
        );
        assert!(router.paths("203.0.113.0/24".parse()?).await?.is_empty());
        assert_eq!((router.prefix_count().await?, router.table().await?.len()), (2, 2));
        let sessions = router.sessions().await?;
        let up: Vec<_> = sessions.values().filter(|neighbor| neighbor.is_established()).collect();
        assert_eq!((up.len(), router.established().await?.len()), (2, 2), "{sessions:?}");
        assert!(
            up.iter().all(|one| (one.asn, one.prefixes_v4, one.prefixes_v6) == (Some(64512), 1, 1)),
            "{up:?}"
        );
    }

    let frr = lab.router("r1")?;
    frr.configure(&["router bgp 65001", "neighbor 10.20.0.11 shutdown"]).await?;
    assert!(frr.configure(&["no such command"]).await.is_err());
    wait_for("one path to remain", SOON, async || {
        let hops = frr.kernel_next_hops(prefixes[0]).await?;
        ensure!(hops == [IpAddr::from([10, 20, 0, 12])], "{hops:?}");
        Ok(())
    })
    .await?;
    speakers[1].kill().await?;
    for router in lab.routers() {
        router.kill().await?;
        router.start().await?;
    }
    wait_for("BIRD to hear the living speaker after its restart", SOON, async || {
        let paths = lab.router("r2")?.paths(prefixes[1]).await?;
        ensure!(paths.len() == 1, "{paths:?}");
        Ok(())
    })
    .await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_its_node_and_roles_are_enforced() -> Result<()> {
    let lab = Lab::builder("selftest-tokens").nodes(1).clients(0).without_daymark().start().await?;
    lab.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: someone}}").await?;
    let kubeconfig = lab.kubeconfig_of("default", "someone", Bound::Node("n1")).await?;
    let kubectl = async |words: &[&str]| {
        let mut command = lab.node("n1")?.netns().command(tools::kubectl());
        command.arg("--kubeconfig").arg(&kubeconfig).args(["--cache-dir", "/nonexistent"]).args(words);
        command::capture(command, None).await
    };
    let who = kubectl(&["auth", "whoami", "-o", "json"]).await?;
    assert!(who.contains("system:serviceaccount:default:someone"), "{who}");
    assert!(who.contains("authentication.kubernetes.io/node-name"), "{who}");
    let refusal = kubectl(&["get", "services"]).await.unwrap_err().to_string();
    assert!(refusal.contains("services is forbidden"), "{refusal}");
    let refusal = lab.refused("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dta: {}}").await?;
    assert!(
        refusal.contains("unknown field \"dta\"") || refusal.contains(".dta: field not declared"),
        "{refusal}"
    );
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_are_applied_before_a_test_begins() -> Result<()> {
    let lab = Lab::builder("selftest-manifests").clients(0).start().await?;
    let kinds = lab.kubectl(&["api-resources", "--api-group=daymark.dev", "-o", "name"]).await?;
    assert!(kinds.contains("addresspools.daymark.dev"), "{kinds}");
    let daemons = lab.kubectl(&["-n", NAMESPACE, "get", "deployments,daemonsets", "-o", "name"]).await?;
    assert_eq!(daemons.lines().count(), 2, "{daemons}");
    let speaker = lab.kubeconfig_of(NAMESPACE, "daymark-speaker", Bound::Node("n1")).await?;
    let ask = ["--kubeconfig", &speaker.display().to_string(), "auth", "can-i", "list", "services"]
        .map(str::to_owned);
    assert_eq!(
        lab.node("n1")?.netns().run(&tools::kubectl().display().to_string(), &ask).await?.trim(),
        "yes"
    );
    lab.finish().await
}

#[tokio::test]
async fn what_a_dead_process_left_is_swept() -> Result<()> {
    tools::check()?;
    let mut dead = std::process::Command::new("true").spawn()?;
    let lab: LabId = format!("{}-0", dead.id()).parse()?;
    dead.wait()?;
    // Labs that start meanwhile sweep too: it is marked as kept before anything of it can be seen.
    std::fs::create_dir_all(lab.directory())?;
    lab.keep()?;
    let netns = Netns::named(lab.netns("left"));
    command::run("ip", &["netns", "add", netns.name()]).await?;
    let interface = lab.root_interface();
    let veth = ["link", "add", &interface, "type", "veth", "peer", "name", "there", "netns", netns.name()];
    command::run("ip", &veth).await?;
    let mut orphan = netns.command("tail").args(["-f", "/dev/null"]).spawn()?;
    // A process is in the namespace some time after it was started.
    wait_for("the orphan to be in the namespace", SOON, async || {
        let inside = command::run("ip", &["netns", "pids", netns.name()]).await?;
        let id = orphan.id().map(|id| id.to_string());
        ensure!(inside.lines().any(|line| Some(line.trim()) == id.as_deref()), "{inside:?}, not {id:?}");
        Ok(())
    })
    .await?;

    sweep(Kept::Leave)?;
    assert_eq!(lab.namespaces(), [netns.name()], "a lab that was kept stays");
    assert!(orphan.try_wait()?.is_none());
    std::fs::remove_dir_all(lab.directory())?;
    sweep(Kept::Leave)?;
    assert!(!tokio::time::timeout(SOON, orphan.wait()).await??.success());
    assert_eq!(lab.namespaces(), [] as [String; 0]);
    let interfaces = command::run("ip", &["-brief", "link"]).await?;
    assert!(!interfaces.contains(&lab.root_interface()), "{interfaces}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_dies_falls_silent_and_returns() -> Result<()> {
    let lab = Lab::builder("selftest-api-server").nodes(1).without_daymark().start().await?;
    let api_server = lab.control_plane().api_server();
    lab.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: before}\n").await?;
    api_server.kill().await?;
    assert!(lab.kubectl(&["get", "nodes", "--request-timeout=2s"]).await.is_err());
    api_server.start().await?;
    lab.wait_api_server().await?;
    assert!(lab.kubectl(&["get", "configmaps", "-o", "name"]).await?.contains("before"));

    let health = format!("{}/livez", lab.control_plane().server());
    let look = ["-ksS", "--max-time", "2", &health];
    let node = lab.node("n1")?;
    wait_for("the API server seen from the node", SOON, async || node.netns().run("curl", &look).await)
        .await?;
    lab.control_plane().silence(Silence::Nodes).await?;
    let silence = node.netns().run("curl", &look).await.unwrap_err().to_string();
    assert!(silence.contains("timed out"), "{silence}");
    lab.wait_api_server().await?;
    lab.control_plane().unsilence().await?;
    node.netns().run("curl", &look).await?;

    node.proxy().kill().await?;
    assert!(node.get("http://127.0.0.1:10256/healthz").await.is_err());
    node.start_proxy().await?;
    assert!(node.get("http://127.0.0.1:10249/metrics").await?.contains("kubeproxy_sync_proxy_rules"));
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_labs_live_side_by_side_and_a_failed_one_is_removed() -> Result<()> {
    let (left, right) = tokio::try_join!(
        Lab::builder("selftest-left").nodes(1).clients(0).without_daymark().start(),
        Lab::builder("selftest-right")
            .nodes(1)
            .clients(0)
            .proxy_mode(ProxyMode::Iptables)
            .without_daymark()
            .start(),
    )?;
    assert_ne!(left.id(), right.id());
    let id = left.id();
    drop(left);
    assert_eq!(id.namespaces(), [] as [String; 0]);
    assert!(!id.directory().exists());
    assert!(right.kubectl(&["get", "nodes", "-o", "name"]).await?.contains("node/n1"));
    right.finish().await
}
