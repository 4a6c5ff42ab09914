//! Collects the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use daymark_kube::slim::{MeshSecret, Soundness};
use daymark_kube::views;
use serde_json::Value;

use super::cloud;
use super::facts::{
    ClusterFacts, Facts, Freshness, HostFacts, HostInterface, Known, MeshKey, Neighbor, ProxyConfig,
};
use super::host::{self, Host};
use super::probe;
use crate::cluster::{self, Cluster};
use crate::flags::{Common, DoctorFlags};
use crate::l2::gather::announces_l2;
use crate::speakers::{self, Target};

/// The most addresses whose answerer is looked for.
const MAX_PROBED: usize = 256;
/// How long the kernel may take to confirm an old entry of its neighbor table, or to give it up.
const DOUBT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(250);

/// Collects what can be had from here.
pub async fn gather(common: &Common, flags: &DoctorFlags) -> Facts {
    let cluster = match Cluster::connect(common.kubeconfig.as_deref(), &common.namespace).await {
        Ok(cluster) => of_cluster(&cluster).await,
        Err(error) => Err(error.to_string()),
    };
    let speaker = match speakers::ask(&Target::local(flags.reach.metrics_address)).await {
        Ok(testimony) => Ok(testimony),
        Err(error) => Err(format!("{error} (--metrics-address)")),
    };
    let mut facts = Facts { cluster, host: Err(String::new()), speaker };
    facts.host = of_host(&facts, flags).await;
    if let (Err(why), Err(speaker)) = (&facts.host, &mut facts.speaker) {
        // Nobody expects a speaker where there is no node.
        speaker.clone_from(why);
    }
    facts
}

async fn of_cluster(cluster: &Cluster) -> Known<ClusterFacts> {
    let (services, nodes, speakers, announcements, secret, proxy, cloud) = tokio::join!(
        cluster.services(),
        cluster.nodes(),
        cluster.speakers(),
        cluster.announcements(),
        cluster.get(&cluster.namespace, "secrets", MeshSecret::NAME),
        cluster.get("kube-system", "configmaps", "kube-proxy"),
        cloud::gather(cluster),
    );
    let services = services.map_err(|error| format!("Services cannot be listed: {error}"))?;
    let nodes = nodes.map_err(|error| format!("Nodes cannot be listed: {error}"))?;
    let speakers = speakers.map_err(|error| format!("Speakers cannot be listed: {error}"))?;
    let announcements = announcements.map_err(|error| format!("Announcements cannot be listed: {error}"));
    Ok(ClusterFacts {
        cloud: cloud.map(|parts| parts.with_services(&services)),
        namespace: cluster.namespace.clone(),
        nodes: nodes.iter().map(|n| (n.metadata.key().name, views::node::node(n).addresses)).collect(),
        speakers,
        vips: cluster::vips(&services),
        l2_announcements: announcements.map(|all| {
            let name = |a: &Value| a.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
            all.iter().filter(|announcement| announces_l2(announcement)).filter_map(name).collect()
        }),
        mesh_key: match secret {
            Ok(secret) => mesh_key(secret.as_ref()),
            Err(error) => MeshKey::Unread(error.to_string()),
        },
        proxy: proxy.map(|found| found.as_ref().and_then(proxy_config)).map_err(|error| error.to_string()),
    })
}

fn mesh_key(secret: Option<&Value>) -> MeshKey {
    let Some(secret) = secret else { return MeshKey::Missing };
    match serde_json::from_value::<MeshSecret>(secret.clone()).map(|secret| secret.soundness()) {
        Ok(Soundness::Sound) => MeshKey::Sound,
        Ok(Soundness::Missing | Soundness::WrongLength) | Err(_) => MeshKey::Unusable,
    }
}

/// What kubeadm and its like put into the ConfigMap `kube-proxy`.
fn proxy_config(config_map: &Value) -> Option<ProxyConfig> {
    let text = config_map.pointer("/data/config.conf").and_then(Value::as_str)?;
    let config: Value = serde_saphyr::from_str(text).ok()?;
    Some(ProxyConfig {
        mode: config.get("mode").and_then(Value::as_str).unwrap_or_default().to_owned(),
        strict_arp: config.pointer("/ipvs/strictARP").and_then(Value::as_bool).unwrap_or_default(),
    })
}

async fn of_host(facts: &Facts, flags: &DoctorFlags) -> Known<HostFacts> {
    let kernel = Host::open()?;
    let interfaces = kernel.interfaces().await?;
    let nodes = facts.cluster.as_ref().map(|cluster| &cluster.nodes);
    let told = facts.speaker.as_ref().ok().map(|speaker| speaker.node.clone());
    let node = flags.node.clone().or(told.filter(|node| !node.is_empty()));
    let node = match (node, nodes) {
        (Some(node), _) => node,
        (None, Ok(nodes)) => node_of(&interfaces, nodes)
            .ok_or("this host has no address of a Node: run it on a node, or give --node")?,
        (None, Err(why)) => {
            return Err(format!("whether this host is a node is not known: give --node ({why})"));
        }
    };
    let vips = facts.vips();
    // The kernel asks nobody for an address that it has itself, as it has all of them in IPVS mode.
    let near = |vip: &IpAddr| {
        let is_own = interfaces.iter().any(|interface| interface.has(*vip));
        !is_own && interfaces.iter().any(|i| i.concerns(&vips) && i.has_subnet_of(*vip))
    };
    let probed: Vec<IpAddr> = vips.iter().filter(|vip| near(vip)).copied().take(MAX_PROBED).collect();
    let others = nodes.map(|nodes| peers(nodes, &node)).unwrap_or_default();
    let (peers, neighbors, proxy) = tokio::join!(
        probe::ports(others, flags.mesh_port),
        answerers(&kernel, &probed),
        speakers::status(flags.proxy_health_address, "/healthz"),
    );
    let address = flags.proxy_health_address;
    Ok(HostFacts {
        node: Some(node),
        neighbors,
        interfaces,
        udp_ports: host::udp_ports(),
        mesh_port: flags.mesh_port,
        proxy_health: match proxy {
            Ok(Some(code)) => Ok(code),
            Ok(None) => Err(format!("what answers at {address} speaks no HTTP")),
            Err(error) => Err(format!("nothing answers at {address}: {error}")),
        },
        peers,
        probed: probed.into_iter().collect(),
    })
}

/// The neighbor table, once the kernel has asked for `addresses`. An entry from earlier is used until nobody confirms it,
/// which takes the kernel five seconds and three probes; then it asks all.
async fn answerers(kernel: &Host, addresses: &[IpAddr]) -> Known<Vec<Neighbor>> {
    probe::resolve(addresses).await;
    let mut table = kernel.neighbors().await?;
    let deadline = tokio::time::Instant::now() + DOUBT;
    let doubtful = |table: &[Neighbor]| -> Vec<IpAddr> {
        let entries = table.iter().filter(|entry| entry.freshness == Freshness::Doubtful);
        entries.map(|entry| entry.address).filter(|address| addresses.contains(address)).collect()
    };
    let in_doubt = doubtful(&table);
    while !doubtful(&table).is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        table = kernel.neighbors().await?;
    }
    let unanswered = |address: &IpAddr| !table.iter().any(|entry| entry.address == *address);
    let again: Vec<IpAddr> = in_doubt.into_iter().filter(unanswered).collect();
    if !again.is_empty() {
        probe::resolve(&again).await;
        table = kernel.neighbors().await?;
    }
    Ok(table)
}

/// The Node that has an address of this host.
fn node_of(interfaces: &[HostInterface], nodes: &BTreeMap<String, Vec<IpAddr>>) -> Option<String> {
    let own: BTreeSet<IpAddr> = interfaces.iter().flat_map(|i| &i.networks).map(ipnet::IpNet::addr).collect();
    nodes
        .iter()
        .find(|(_, addresses)| addresses.iter().any(|a| own.contains(a)))
        .map(|(name, _)| name.clone())
}

/// The first address of each other node, which is an internal one where it has any.
fn peers(nodes: &BTreeMap<String, Vec<IpAddr>>, me: &str) -> Vec<(String, IpAddr)> {
    let others = nodes.iter().filter(|(name, _)| *name != me);
    others.filter_map(|(name, addresses)| Some((name.clone(), *addresses.first()?))).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_configuration_of_kube_proxy() {
        let map = |text: &str| json!({"data": {"config.conf": text}});
        let text = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\nipvs:\n  strictARP: true\n";
        let config = proxy_config(&map(text));
        assert_eq!(config, Some(ProxyConfig { mode: "ipvs".into(), strict_arp: true }));
        assert_eq!(proxy_config(&map("mode: ''\n")), Some(ProxyConfig::default()));
        assert_eq!(proxy_config(&map(": : [")), None);
        assert_eq!(proxy_config(&json!({})), None);
    }

    #[test]
    fn a_host_is_the_node_whose_address_it_has() {
        let nodes: BTreeMap<String, Vec<IpAddr>> = [
            ("n1".to_owned(), vec!["10.0.0.1".parse().unwrap()]),
            ("n2".to_owned(), vec!["10.0.0.2".parse().unwrap(), "192.0.2.2".parse().unwrap()]),
        ]
        .into();
        let with = |network: &str| {
            vec![HostInterface { networks: vec![network.parse().unwrap()], ..HostInterface::default() }]
        };
        assert_eq!(node_of(&with("192.0.2.2/24"), &nodes), Some("n2".to_owned()));
        assert_eq!(node_of(&with("10.0.0.3/24"), &nodes), None);
        assert_eq!(peers(&nodes, "n1"), [("n2".to_owned(), "10.0.0.2".parse().unwrap())]);
    }

    #[test]
    fn the_mesh_key_has_32_bytes() {
        assert_eq!(mesh_key(None), MeshKey::Missing);
        assert_eq!(mesh_key(Some(&json!({"data": {"key": ByteString(vec![1; 32])}}))), MeshKey::Sound);
        assert_eq!(mesh_key(Some(&json!({"data": {"key": "aGk="}}))), MeshKey::Unusable);
        assert_eq!(mesh_key(Some(&json!({}))), MeshKey::Unusable);
        let rotating = |previous: usize| {
            json!({"data": {
                "key": ByteString(vec![1; 32]), "previous": ByteString(vec![2; previous]),
            }})
        };
        assert_eq!(mesh_key(Some(&rotating(32))), MeshKey::Sound);
        assert_eq!(mesh_key(Some(&rotating(31))), MeshKey::Unusable);
    }
}
