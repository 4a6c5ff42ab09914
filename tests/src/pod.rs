//! A pod: a namespace behind a link of its node, a backend process in it, and a real Pod object whose status says what a
//! kubelet would say.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::netns::{Netns, ip_batch};
use crate::network::{DualStack, Switches, pod_addresses};
use crate::node::Node;
use crate::process::Process;
use crate::tools;
use crate::wait::wait_for;

/// What a pod is to be.
#[derive(Clone, Debug, Default)]
pub struct PodSpec {
    /// Its name, unique in the lab.
    pub name: String,
    /// Its namespace; `default` when empty.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The ports on which it answers, over TCP and over UDP.
    pub ports: Vec<u16>,
}

/// A pod of the lab.
#[derive(Debug)]
pub struct Pod {
    name: String,
    addresses: DualStack,
    netns: Netns,
    backend: Process,
    api: Api<PodObject>,
}

impl Pod {
    /// Makes the namespace, starts the backend, creates the object and says that it is ready.
    ///
    /// # Errors
    /// When one of these fails.
    pub(crate) async fn start(
        spec: PodSpec,
        node: &Node,
        switches: &Switches,
        client: &Client,
    ) -> Result<Self> {
        let number = node.next_pod()?;
        let addresses = pod_addresses(node.number(), number);
        let netns = switches.host(&spec.name).await?;
        link(&netns, node, number, addresses).await?;
        let logs = node.proxy().log().parent().context("logs have a folder")?;
        let mut arguments = vec!["--pod".to_owned(), spec.name.clone()];
        arguments.extend(spec.ports.iter().map(u16::to_string));
        let backend = Process::new(format!("pod-{}", spec.name), &netns, tools::binary("lab-backend")?, logs)
            .arguments(arguments);
        backend.start().await?;
        wait_for(format_args!("the backend of pod {}", spec.name), crate::control_plane::START, async || {
            backend.check_running().await?;
            anyhow::ensure!(backend.log_text().contains("ready"), "it has not said that it is ready");
            Ok(())
        })
        .await?;

        let namespace = if spec.namespace.is_empty() { "default" } else { &spec.namespace };
        let api: Api<PodObject> = Api::namespaced(client.clone(), namespace);
        let ports: Vec<_> = spec
            .ports
            .iter()
            .flat_map(|port| {
                ["TCP", "UDP"].map(|protocol| json!({"containerPort": port, "protocol": protocol}))
            })
            .collect();
        let object = serde_json::from_value(json!({
            "metadata": {"name": spec.name, "namespace": namespace, "labels": spec.labels},
            "spec": {
                "nodeName": node.name(),
                "containers": [{"name": "backend", "image": "lab-backend", "ports": ports}],
            },
        }))?;
        api.create(&PostParams::default(), &object).await.with_context(|| format!("pod {}", spec.name))?;
        let pod = Self { name: spec.name, addresses, netns, backend, api };
        pod.patch_status(true, node).await?;
        Ok(pod)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its addresses.
    pub fn addresses(&self) -> DualStack {
        self.addresses
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its only process.
    pub fn backend(&self) -> &Process {
        &self.backend
    }

    /// Sets its condition Ready, as a readiness probe would.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn set_ready(&self, ready: Readiness) -> Result<()> {
        self.patch_conditions(ready == Readiness::Ready).await
    }

    /// Marks it as terminating with a grace period, as `kubectl delete pod` does; the backend goes on serving until
    /// [`Pod::delete`].
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn terminate(&self, grace_seconds: u32) -> Result<()> {
        let parameters =
            DeleteParams { grace_period_seconds: Some(grace_seconds), ..DeleteParams::default() };
        self.api.delete(&self.name, &parameters).await?;
        Ok(())
    }

    /// Ends the backend and removes the object at once, as a kubelet does at the end of the grace period.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> Result<()> {
        self.backend.kill().await?;
        let parameters = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api.delete(&self.name, &parameters).await?;
        Ok(())
    }

    async fn patch_status(&self, ready: bool, node: &Node) -> Result<()> {
        let host = node.internal_ips();
        let status = json!({"status": {
            "phase": "Running",
            "hostIP": host.v4,
            "hostIPs": host.both().map(|ip| json!({"ip": ip})),
            "podIP": self.addresses.v4,
            "podIPs": self.addresses.both().map(|ip| json!({"ip": ip})),
            "conditions": conditions(ready),
        }});
        self.api.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }

    async fn patch_conditions(&self, ready: bool) -> Result<()> {
        let status = json!({"status": {"conditions": conditions(ready)}});
        self.api.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }
}

/// What a readiness probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It serves.
    Ready,
    /// It does not.
    NotReady,
}

fn conditions(ready: bool) -> serde_json::Value {
    let status = if ready { "True" } else { "False" };
    json!([{"type": "Ready", "status": status}, {"type": "ContainersReady", "status": status}])
}

/// A routed link, as a point-to-point network plugin makes it: the node's side carries the gateway's address on every link
/// and a host route leads to the pod.
async fn link(netns: &Netns, node: &Node, number: u8, addresses: DualStack) -> Result<()> {
    let gateway = pod_addresses(node.number(), 1);
    let interface = format!("pod{number}");
    let (here, there) = (netns.name(), node.netns().name());
    ip_batch(None, &[format!("link add eth0 netns {here} type veth peer name {interface} netns {there}")])
        .await?;
    let node_side = [
        format!("link set {interface} alias {here}"),
        format!("addr add {}/32 dev {interface}", gateway.v4),
        format!("addr add {}/128 dev {interface} nodad", gateway.v6),
        format!("link set {interface} up"),
        format!("route add {}/32 dev {interface}", addresses.v4),
        format!("route add {}/128 dev {interface}", addresses.v6),
    ];
    node.netns().ip_batch(&node_side).await?;
    let pod_side = [
        format!("addr add {}/32 dev eth0", addresses.v4),
        format!("addr add {}/128 dev eth0 nodad", addresses.v6),
        "link set eth0 up".to_owned(),
        format!("route add {}/32 dev eth0", gateway.v4),
        format!("route add default via {}", gateway.v4),
        format!("route add {}/128 dev eth0", gateway.v6),
        format!("route add default via {}", gateway.v6),
    ];
    netns.ip_batch(&pod_side).await
}
