//! etcd, API server and controller manager of a lab, in its namespace `cp`.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::netns::{Netns, ip_batch};
use crate::network::{Network, SERVICE_CIDR, Switches};
use crate::process::Process;
use crate::sweep::Registration;
use crate::wait::wait_for;
use crate::{kubeconfig, tools};

const HOST_NUMBER: u8 = 2;
const PORT: u16 = 6443;
/// How long a start may take on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(120);

/// Users that are known by a fixed token: (token, user, group).
const USERS: [(&str, &str, &str); 3] = [
    ("lab-admin", "admin", "system:masters"),
    ("lab-controller-manager", "lab:controller-manager", "system:masters"),
    ("lab-kube-proxy", "system:kube-proxy", "lab:proxies"),
];

/// The lab's Kubernetes control plane.
#[derive(Debug)]
pub struct ControlPlane {
    netns: Netns,
    directory: PathBuf,
    root_server: String,
    etcd: Process,
    api_server: Process,
    controller_manager: Process,
}

/// Whose packets to and from the API server are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Those of nodes and controllers; the test's own client still works.
    Nodes,
    /// Everybody's.
    Everybody,
}

impl ControlPlane {
    /// Makes the namespace and starts etcd and API server; returns before they answer.
    ///
    /// # Errors
    /// When something cannot be made or started.
    pub async fn launch(lab: &Registration, switches: &Switches) -> Result<Self> {
        let directory = lab.id.directory();
        let logs = directory.join("logs");
        let netns = switches.host("cp").await?;
        switches.connect(&netns, &[(Network::Nodenet, HOST_NUMBER)]).await?;
        connect_to_root(lab, &netns).await?;
        let tokens: Vec<String> =
            USERS.iter().map(|(token, user, group)| format!("{token},{user},{user},\"{group}\"")).collect();
        std::fs::write(directory.join("tokens.csv"), tokens.join("\n"))?;
        let key = directory.join("sa.key");
        crate::command::run(tools::kubelab(), &["keygen".as_ref(), key.as_os_str()]).await?;

        let etcd = etcd(&netns, &directory, &logs);
        let api_server = api_server(&netns, &directory, &logs, &key);
        let manager_config = directory.join("controller-manager.kubeconfig");
        let controller_manager = controller_manager(&netns, &directory, &logs, &manager_config);
        let this = Self {
            netns,
            root_server: format!("https://{}:{PORT}", lab.server_address),
            directory,
            etcd,
            api_server,
            controller_manager,
        };
        let [admin, manager, _] = USERS;
        kubeconfig::write(&manager_config, &this.server(), &this.authority(), manager.1, manager.0)?;
        kubeconfig::write(&this.admin_kubeconfig(), &this.root_server, &this.authority(), admin.1, admin.0)?;
        this.etcd.start().await?;
        this.api_server.start().await?;
        Ok(this)
    }

    /// Waits until the API server is ready, starts the controller manager and returns the administrator's client.
    ///
    /// # Errors
    /// When the API server does not become ready.
    pub async fn ready(&self) -> Result<Client> {
        let authority = self.authority();
        wait_for("the API server's certificate", START, async || {
            self.check_processes().await?;
            ensure!(authority.exists(), "{} is not there", authority.display());
            Ok(())
        })
        .await?;
        let client = self.admin_client().await?;
        self.wait_ready(&client).await?;
        self.controller_manager.start().await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        wait_for("namespace default", START, async || Ok(namespaces.get("default").await.map(drop)?)).await?;
        Ok(client)
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// When it does not within two minutes.
    pub async fn wait_ready(&self, client: &Client) -> Result<()> {
        wait_for("the API server to be ready", START, async || {
            self.check_processes().await?;
            let request = http_get("/readyz")?;
            let answer = tokio::time::timeout(Duration::from_secs(3), client.request_text(request)).await;
            let answer = answer.context("no answer within 3 s")??;
            ensure!(answer == "ok", "{answer}");
            Ok(())
        })
        .await
    }

    /// A client of the administrator, from the test process.
    ///
    /// # Errors
    /// When the kubeconfig is not usable yet.
    pub async fn admin_client(&self) -> Result<Client> {
        client(&self.admin_kubeconfig()).await
    }

    /// The administrator's kubeconfig, valid in the root namespace.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// The API server's URL on the node network.
    pub fn server(&self) -> String {
        format!("https://{}:{PORT}", self.address())
    }

    /// The API server's address on the node network.
    pub fn address(&self) -> Ipv4Addr {
        Network::Nodenet.addresses(HOST_NUMBER).v4
    }

    /// The certificate that signed the API server's.
    pub fn authority(&self) -> PathBuf {
        self.directory.join("certs/apiserver.crt")
    }

    /// The namespace of the control plane.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The etcd process.
    pub fn etcd(&self) -> &Process {
        &self.etcd
    }

    /// The API server process. It is killed, never terminated: its graceful stop waits for every watch.
    pub fn api_server(&self) -> &Process {
        &self.api_server
    }

    /// The controller-manager process (endpoint slices, garbage collection, namespaces, service accounts).
    pub fn controller_manager(&self) -> &Process {
        &self.controller_manager
    }

    /// Drops all packets to and from the API server, without a reset, until [`ControlPlane::unsilence`].
    ///
    /// # Errors
    /// When nft refuses.
    pub async fn silence(&self, whose: Silence) -> Result<()> {
        let (input, output) = match whose {
            Silence::Nodes => ("iifname \"nodenet\"", "oifname \"nodenet\""),
            Silence::Everybody => ("iifname != \"lo\"", "oifname != \"lo\""),
        };
        let script = format!(
            "table inet silence\ndelete table inet silence\ntable inet silence {{\n\
             chain in {{\ntype filter hook input priority -300;\n{input} tcp dport {PORT} drop\n}}\n\
             chain out {{\ntype filter hook output priority -300;\n{output} tcp sport {PORT} drop\n}}\n}}\n"
        );
        self.netns.nft(&script).await
    }

    /// Lets packets pass again.
    ///
    /// # Errors
    /// When nft refuses.
    pub async fn unsilence(&self) -> Result<()> {
        self.netns.nft("table inet silence\ndelete table inet silence\n").await
    }

    /// The token of kube-proxy's user.
    pub(crate) fn proxy_user(&self) -> (&'static str, &'static str) {
        let [_, _, (token, user, _)] = USERS;
        (user, token)
    }

    async fn check_processes(&self) -> Result<()> {
        self.etcd.check_running().await?;
        self.api_server.check_running().await
    }
}

/// A GET of a path, for [`Client::request_text`].
pub(crate) fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

/// A client for a kubeconfig that is valid in the root namespace.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    // A second installation reports the first one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(Client::try_from(config)?)
}

/// The one interface in the root namespace: the test process and kubectl reach the API server by it.
async fn connect_to_root(lab: &Registration, netns: &Netns) -> Result<()> {
    let interface = lab.id.root_interface();
    let lines = [
        format!("link add {interface} type veth peer name root netns {}", netns.name()),
        format!("link set {interface} addrgenmode none"),
        format!("addr add {}/30 dev {interface}", lab.root_address),
        format!("link set {interface} up"),
    ];
    ip_batch(None, &lines).await?;
    netns
        .ip_batch(&[format!("addr add {}/30 dev root", lab.server_address), "link set root up".to_owned()])
        .await
}

fn etcd(netns: &Netns, directory: &Path, logs: &Path) -> Process {
    Process::new("etcd", netns, tools::kubelab(), logs).arguments([
        "etcd",
        &format!("--data-dir={}", directory.join("etcd").display()),
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ])
}

fn api_server(netns: &Netns, directory: &Path, logs: &Path, key: &Path) -> Process {
    let key = key.display();
    Process::new("apiserver", netns, tools::kubelab(), logs).arguments([
        "apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        &format!("--cert-dir={}", directory.join("certs").display()),
        "--bind-address=0.0.0.0",
        &format!("--secure-port={PORT}"),
        &format!("--advertise-address={}", Network::Nodenet.addresses(HOST_NUMBER).v4),
        &format!("--token-auth-file={}", directory.join("tokens.csv").display()),
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        &format!("--service-account-key-file={key}"),
        &format!("--service-account-signing-key-file={key}"),
        &format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        "--allow-privileged=true",
        "--disable-admission-plugins=ServiceAccount",
    ])
}

fn controller_manager(netns: &Netns, directory: &Path, logs: &Path, kubeconfig: &Path) -> Process {
    let kubeconfig = kubeconfig.display();
    Process::new("controller-manager", netns, tools::kubelab(), logs).arguments([
        "controller-manager",
        &format!("--kubeconfig={kubeconfig}"),
        &format!("--authentication-kubeconfig={kubeconfig}"),
        &format!("--authorization-kubeconfig={kubeconfig}"),
        "--authentication-skip-lookup=true",
        "--use-service-account-credentials=false",
        "--leader-elect=false",
        &format!("--cert-dir={}", directory.join("controller-manager").display()),
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--controllers=endpointslice-controller,endpointslice-mirroring-controller,garbage-collector-controller,\
         namespace-controller,serviceaccount-controller,root-ca-certificate-publisher-controller",
    ])
}
