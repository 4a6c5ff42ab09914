//! Daymark in the lab: its manifests, and its binaries as processes under the ServiceAccounts that the manifests make.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::process::Command;

use crate::command::capture;
use crate::control_plane::ControlPlane;
use crate::netns::Netns;
use crate::process::Process;
use crate::{kubeconfig, objects, tools};

/// Daymark's namespace.
pub const NAMESPACE: &str = "daymark-system";
/// Where its daemons answer, each in a network namespace of its own.
pub const METRICS: &str = "127.0.0.1:7472";

/// What a token is bound to: it dies with that object, and the API server tells it to admission policies.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// Nothing.
    Free,
    /// A Node.
    Node(&'a str),
}

/// The objects of `deploy/manifests`, as `kubectl apply -k` sends them.
///
/// # Errors
/// When kubectl refuses the folder.
pub async fn manifests() -> Result<String> {
    let folder = tools::project().join("deploy/manifests");
    if !folder.join("kustomization.yaml").exists() {
        bail!("{} has no kustomization.yaml; or build the lab `without_daymark()`", folder.display());
    }
    let mut command = Command::new(tools::kubectl());
    command.arg("kustomize").arg(folder);
    capture(command, None).await
}

/// Applies the manifests: definitions, roles, ServiceAccounts; the Deployment and the DaemonSet too, which nothing here
/// turns into pods.
///
/// # Errors
/// When the API server refuses one of them.
pub async fn install(client: &Client, manifests: &str) -> Result<()> {
    objects::apply(client, manifests).await.context("deploy/manifests")?;
    Ok(())
}

/// A token for a ServiceAccount, as a kubelet asks for it.
///
/// # Errors
/// When the account or the object it is bound to does not exist.
pub async fn token(client: &Client, namespace: &str, account: &str, bound: Bound<'_>) -> Result<String> {
    let bound_object_ref = match bound {
        Bound::Free => None,
        Bound::Node(name) => {
            let node: NodeObject = Api::all(client.clone()).get(name).await?;
            Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Node".to_owned()),
                name: Some(name.to_owned()),
                uid: node.uid(),
            })
        }
    };
    let spec = TokenRequestSpec {
        bound_object_ref,
        expiration_seconds: Some(24 * 3600),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
    let answer = answer.with_context(|| format!("a token for ServiceAccount {namespace}/{account}"))?;
    answer.status.and_then(|status| status.token).context("the API server gave no token")
}

/// What is needed to start a daemon.
pub(crate) struct Ground<'a> {
    pub(crate) client: &'a Client,
    pub(crate) control_plane: &'a ControlPlane,
    pub(crate) directory: &'a Path,
}

impl Ground<'_> {
    /// The controller `identity`, not started yet.
    pub(crate) async fn controller(&self, identity: &str, netns: &Netns) -> Result<Process> {
        let config = self.kubeconfig(identity, "daymark-controller", Bound::Free).await?;
        Ok(self
            .process(&format!("controller-{identity}"), "daymark-controller", netns, &config)?
            // For the stand-in of AWS, which takes any; without, the SDK would look for a metadata service.
            .environment("AWS_ACCESS_KEY_ID", "lab")
            .environment("AWS_SECRET_ACCESS_KEY", "lab")
            .environment("AWS_EC2_METADATA_DISABLED", "true")
            .arguments(["--identity", identity]))
    }

    /// The speaker of `node`, not started yet.
    pub(crate) async fn speaker(&self, node: &str, netns: &Netns) -> Result<Process> {
        let config = self.kubeconfig(node, "daymark-speaker", Bound::Node(node)).await?;
        let process = self.process(&format!("speaker-{node}"), "daymark-speaker", netns, &config)?;
        Ok(process.arguments(["--node-name", node]))
    }

    async fn kubeconfig(&self, who: &str, account: &str, bound: Bound<'_>) -> Result<PathBuf> {
        let token = token(self.client, NAMESPACE, account, bound).await?;
        let file = self.directory.join(format!("{account}-{who}.kubeconfig"));
        kubeconfig::write(
            &file,
            &self.control_plane.server(),
            &self.control_plane.authority(),
            account,
            &token,
        )
    }

    fn process(&self, name: &str, program: &str, netns: &Netns, kubeconfig: &Path) -> Result<Process> {
        let config = kubeconfig.display().to_string();
        let process = Process::new(name, netns, tools::binary(program)?, &self.directory.join("logs"));
        let log = std::env::var("DAYMARK_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned());
        Ok(process.environment("DAYMARK_LOG_LEVEL", log).arguments([
            "--kubeconfig",
            &config,
            "--namespace",
            NAMESPACE,
            "--metrics-address",
            METRICS,
        ]))
    }
}
