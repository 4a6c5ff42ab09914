//! A whole lab: how it is described, started, asked and removed.

mod builder;
mod footprint;
mod lan;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde_json::json;
use tokio::process::Command;
use tokio::sync::Mutex;

pub use self::builder::LabBuilder;
use self::footprint::Footprint;
use crate::client::Client;
use crate::control_plane::ControlPlane;
use crate::daymark::{self, Ground};
use crate::lan::station::Station;
use crate::netns::Netns;
use crate::network::{Network, Switches};
use crate::node::Node;
use crate::pod::{Pod, PodSpec};
use crate::process::Process;
use crate::router::Router;
use crate::sweep::{LabId, Registration, remove};
use crate::{command, control_plane, interrupt, objects, tools};

/// Host numbers of controllers begin after this.
const FIRST_CONTROLLER: u8 = 200;

/// The AS number of all speakers unless said otherwise.
pub const SPEAKER_ASN: u32 = 64512;

/// A running lab. Call [`Lab::finish`] at the end of a test: a lab that is dropped before counts as failed, and shows the
/// end of every log.
pub struct Lab {
    registration: Registration,
    directory: PathBuf,
    client: kube::Client,
    nodes: Vec<Node>,
    routers: Vec<Router>,
    clients: Vec<Client>,
    lan_clients: Vec<Station>,
    prober: Option<Station>,
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
    speakers: Mutex<BTreeMap<String, Arc<Process>>>,
    controllers: Mutex<BTreeMap<String, Arc<Process>>>,
    controller_count: AtomicU8,
    control_plane: ControlPlane,
    switches: Switches,
    footprint: Footprint,
}

impl Lab {
    /// Describes a lab with 3 nodes and 1 client; `name` says which test it is for.
    pub fn builder(name: &str) -> LabBuilder {
        LabBuilder::new(name)
    }

    /// Its name on this machine.
    pub fn id(&self) -> LabId {
        self.registration.id
    }

    /// Where its logs, kubeconfigs and sockets lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The administrator's client.
    pub fn kube(&self) -> kube::Client {
        self.client.clone()
    }

    /// The administrator's API of a cluster-scoped kind, or of all namespaces.
    pub fn all<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = ()>,
    {
        Api::all(self.kube())
    }

    /// The administrator's API of a kind in one namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.kube(), namespace)
    }

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The bridges.
    pub fn switches(&self) -> &Switches {
        &self.switches
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node `n1`, `n2`, …
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name() == name).with_context(|| format!("no node {name}"))
    }

    /// All routers.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// The router `r1`, `r2`, …
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn router(&self, name: &str) -> Result<&Router> {
        self.routers.iter().find(|router| router.name() == name).with_context(|| format!("no router {name}"))
    }

    /// All clients.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The first client.
    ///
    /// # Errors
    /// When the lab was described without any.
    pub fn client(&self) -> Result<&Client> {
        self.clients.first().context("the lab has no client")
    }

    /// Starts a ready pod on a node; its backend answers on `ports` over TCP and UDP.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn pod(
        &self,
        node: &str,
        name: &str,
        labels: &[(&str, &str)],
        ports: &[u16],
    ) -> Result<Arc<Pod>> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let spec = PodSpec { name: name.to_owned(), namespace: String::new(), labels, ports: ports.to_vec() };
        self.pod_of(node, spec).await
    }

    /// As [`Lab::pod`], with everything that can be said of a pod.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn pod_of(&self, node: &str, spec: PodSpec) -> Result<Arc<Pod>> {
        let name = spec.name.clone();
        let pod = Arc::new(Pod::start(spec, self.node(node)?, &self.switches, &self.client).await?);
        self.pods.lock().await.insert(name, Arc::clone(&pod));
        Ok(pod)
    }

    /// Starts a controller under `identity`, in a namespace of its own on the node network; the same one again when it was
    /// started before.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub async fn start_controller(&self, identity: &str) -> Result<Arc<Process>> {
        let controller = self.controller(identity).await?;
        controller.start().await?;
        Ok(controller)
    }

    /// The controller `identity`, in a namespace of its own on the node network, not started yet where it is new.
    ///
    /// # Errors
    /// When its namespace or its rights cannot be made.
    pub async fn controller(&self, identity: &str) -> Result<Arc<Process>> {
        let mut controllers = self.controllers.lock().await;
        if let Some(controller) = controllers.get(identity) {
            return Ok(Arc::clone(controller));
        }
        let host = FIRST_CONTROLLER + 1 + self.controller_count.fetch_add(1, Ordering::Relaxed);
        let netns = self.switches.host(&format!("controller-{identity}")).await?;
        self.switches.connect(&netns, &[(Network::Nodenet, host)]).await?;
        let controller = Arc::new(self.ground().controller(identity, &netns).await?);
        controllers.insert(identity.to_owned(), Arc::clone(&controller));
        Ok(controller)
    }

    /// Starts the speaker of a node under a token bound to that Node; the same one again when it was started before.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub async fn start_speaker(&self, node: &str) -> Result<Arc<Process>> {
        let mut speakers = self.speakers.lock().await;
        if let Some(speaker) = speakers.get(node) {
            speaker.start().await?;
            return Ok(Arc::clone(speaker));
        }
        let speaker = Arc::new(self.ground().speaker(node, self.node(node)?.netns()).await?);
        speaker.start().await?;
        speakers.insert(node.to_owned(), Arc::clone(&speaker));
        Ok(speaker)
    }

    /// Starts one controller, named `a`, and the speaker of every node.
    ///
    /// # Errors
    /// When one cannot be started.
    pub async fn start_daymark(&self) -> Result<()> {
        self.start_controller("a").await?;
        for node in &self.nodes {
            self.start_speaker(node.name()).await?;
        }
        Ok(())
    }

    /// Applies YAML documents: server-side apply, strict about unknown fields.
    ///
    /// # Errors
    /// At the first refusal, with the server's message.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        objects::apply(&self.client, yaml).await
    }

    /// Applies YAML that the server must refuse and returns its message.
    ///
    /// # Errors
    /// When the server accepts it.
    pub async fn refused(&self, yaml: &str) -> Result<String> {
        match self.apply(yaml).await {
            Ok(applied) => bail!("the API server accepts {applied:?}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Deletes what YAML documents name; what is not there is well.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete(&self, yaml: &str) -> Result<()> {
        objects::delete(&self.client, yaml).await
    }

    /// Runs `kubectl` as the administrator and returns what it prints.
    ///
    /// # Errors
    /// When it ends with another status than 0; the error holds its words.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tools::kubectl());
        command.arg("--kubeconfig").arg(self.control_plane.admin_kubeconfig());
        command.arg("--cache-dir").arg(self.directory.join("kubectl-cache")).args(arguments);
        command::capture(command, None).await
    }

    /// A kubeconfig (valid on the node network) with a token for a ServiceAccount.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn kubeconfig_of(
        &self,
        namespace: &str,
        account: &str,
        bound: daymark::Bound<'_>,
    ) -> Result<PathBuf> {
        let token = daymark::token(&self.client, namespace, account, bound).await?;
        let file = self.directory.join(format!("{namespace}-{account}.kubeconfig"));
        let (server, authority) = (self.control_plane.server(), self.control_plane.authority());
        crate::kubeconfig::write(&file, &server, &authority, account, &token)
    }

    /// The addresses in a Service's status, in their order.
    ///
    /// # Errors
    /// When there is no such Service, or one of its ingresses has no address.
    pub async fn service_addresses(&self, namespace: &str, name: &str) -> Result<Vec<IpAddr>> {
        let service = self.namespaced::<Service>(namespace).get(name).await?;
        let ingress =
            service.status.and_then(|status| status.load_balancer).and_then(|balancer| balancer.ingress);
        let addresses = ingress.into_iter().flatten().map(|ingress| {
            let text =
                ingress.ip.with_context(|| format!("an ingress of {namespace}/{name} has no address"))?;
            Ok(text.parse()?)
        });
        addresses.collect()
    }

    /// Writes addresses into a Service's status by hand, as a load-balancer controller does.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn set_service_addresses(
        &self,
        namespace: &str,
        name: &str,
        addresses: &[IpAddr],
    ) -> Result<()> {
        let ingress: Vec<_> = addresses.iter().map(|address| json!({"ip": address})).collect();
        let patch = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        let api = self.namespaced::<Service>(namespace);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Takes the carrier from a host's link to a network, or gives it back.
    ///
    /// # Errors
    /// When the host is not on that network.
    pub async fn set_link(&self, host: &Netns, network: Network, link: Link) -> Result<()> {
        let state = if link == Link::Up { "up" } else { "down" };
        for port in self.switches.ports(host, network).await? {
            self.switches.netns().ip(&format!("link set {port} {state}")).await?;
        }
        Ok(())
    }

    /// The address under which hosts that [`Lab::open_way_out`] was called for reach what the test process serves.
    pub fn outside(&self) -> Ipv4Addr {
        self.registration.root_address
    }

    /// Lets a host on the node network reach [`Lab::outside`], and nothing else out there.
    ///
    /// # Errors
    /// When a route or rule cannot be made.
    pub async fn open_way_out(&self, host: &Netns) -> Result<()> {
        let gate = self.control_plane.netns();
        gate.sysctl(&[("ipv4/ip_forward", "1")]).await?;
        let rules = "table ip out\ndelete table ip out\ntable ip out {\nchain post {\n\
                     type nat hook postrouting priority 100;\noifname \"root\" masquerade\n}\n}\n";
        gate.nft(rules).await?;
        let (outside, gate) = (self.outside(), self.control_plane.address());
        host.ip(&format!("route replace {outside}/32 via {gate}")).await?;
        Ok(())
    }

    /// Waits until the API server answers again after [`ControlPlane::api_server`] was started again.
    ///
    /// # Errors
    /// When it does not within two minutes.
    pub async fn wait_api_server(&self) -> Result<()> {
        self.control_plane.wait_ready(&self.client).await
    }

    /// A GET of a path on the API server, as the administrator.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn raw(&self, path: &str) -> Result<String> {
        Ok(self.client.request_text(control_plane::http_get(path)?).await?)
    }

    /// Ends the lab after success: removes it, or keeps it when that was asked for.
    ///
    /// # Errors
    /// When something resists.
    pub async fn finish(mut self) -> Result<()> {
        self.footprint.finished = true;
        let (id, keep) = (self.id(), self.footprint.keep);
        if !keep {
            tokio::task::spawn_blocking(move || remove(id)).await.context("the removal")??;
            interrupt::release(id);
        }
        Ok(())
    }

    fn ground(&self) -> Ground<'_> {
        Ground { client: &self.client, control_plane: &self.control_plane, directory: &self.directory }
    }
}

/// The state of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Plugged in.
    Up,
    /// Pulled.
    Down,
}
