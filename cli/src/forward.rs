//! `kubectl port-forward` to the speakers' pods: the kubelet connects to the loopback address of the node, where a speaker
//! tells everything.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use daymark_kube::CallError;
use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cluster::Cluster;
use crate::l2::report::Silent;
use crate::speakers::Target;

/// The label of the speakers' pods.
const SPEAKER: &str = "daymark-speaker";
/// The port that a speaker serves where its container names none.
const DEFAULT_PORT: u64 = 7472;
/// How long kubectl may take to say that it forwards.
const TIMEOUT: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 8;

/// Running forwards; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Forwards {
    children: Vec<Child>,
    /// Where the speakers are reached.
    pub targets: Vec<Target>,
    /// Those that cannot be reached.
    pub failed: Vec<Silent>,
}

/// Why there is no forward at all.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The pods are not known.
    #[error("the pods of the speakers cannot be listed: {0}")]
    Pods(#[from] CallError),
    /// There are none.
    #[error("the namespace {0} has no pod with the label app.kubernetes.io/name={SPEAKER}: give --namespace")]
    NoPods(String),
}

/// A pod of a speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pod {
    name: String,
    node: String,
    port: u64,
}

/// Starts a forward to each speaker's pod.
///
/// # Errors
/// When no pod is found.
pub async fn start(cluster: &Cluster, kubeconfig: Option<&Path>) -> Result<Forwards, ForwardError> {
    let pods: Vec<Pod> = cluster.pods(SPEAKER).await?.iter().filter_map(pod).collect();
    if pods.is_empty() {
        return Err(ForwardError::NoPods(cluster.namespace.clone()));
    }
    let each = pods.into_iter().map(async |pod| {
        let started = forward(Path::new("kubectl"), &pod, &cluster.namespace, kubeconfig).await;
        (pod, started)
    });
    let started: Vec<_> = futures::stream::iter(each).buffered(AT_ONCE).collect().await;
    let mut forwards = Forwards::default();
    for (pod, started) in started {
        match started {
            Ok((child, port)) => {
                forwards.children.push(child);
                let authority = format!("127.0.0.1:{port}");
                forwards.targets.push(Target { node: Some(pod.node), authority });
            }
            Err(message) => forwards.failed.push(Silent { node: pod.node, message }),
        }
    }
    Ok(forwards)
}

/// The pod, while it runs on a node.
fn pod(object: &Value) -> Option<Pod> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let running = text("/status/phase").is_none_or(|phase| phase == "Running");
    let containers = object.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let mut ports = containers.filter_map(|c| c.get("ports")?.as_array()).flatten();
    let metrics = ports.find(|port| port.get("name").and_then(Value::as_str) == Some("metrics"));
    let port = metrics.and_then(|port| port.get("containerPort")?.as_u64()).unwrap_or(DEFAULT_PORT);
    running.then_some(Pod { name: text("/metadata/name")?, node: text("/spec/nodeName")?, port })
}

async fn forward(
    kubectl: &Path,
    pod: &Pod,
    namespace: &str,
    kubeconfig: Option<&Path>,
) -> Result<(Child, u16), String> {
    let mut command = Command::new(kubectl);
    if let Some(file) = kubeconfig {
        command.env("KUBECONFIG", file);
    }
    command.args(["--namespace", namespace, "port-forward", "--address", "127.0.0.1"]);
    command.arg(format!("pod/{}", pod.name)).arg(format!(":{}", pod.port));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("kubectl does not start: {error}"))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("kubectl does not start".to_owned());
    };
    let (mut words, mut complaints) = (BufReader::new(stdout).lines(), BufReader::new(stderr).lines());
    let first = async {
        let line = words.next_line().await.ok().flatten();
        match line.as_deref().and_then(port_of) {
            Some(port) => Ok(port),
            None => {
                let error = complaints.next_line().await.ok().flatten();
                Err(format!(
                    "kubectl port-forward: {}",
                    error.unwrap_or_else(|| "no word from it".to_owned())
                ))
            }
        }
    };
    let port =
        tokio::time::timeout(TIMEOUT, first).await.map_err(|_| "kubectl port-forward: no word in time")??;
    // It writes a line for each connection and ends when nobody reads them.
    tokio::spawn(async move { while let Ok(Some(_)) = words.next_line().await {} });
    tokio::spawn(async move { while let Ok(Some(_)) = complaints.next_line().await {} });
    Ok((child, port))
}

/// The port in `Forwarding from 127.0.0.1:40123 -> 7472`.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("Forwarding from ")?.split(" -> ").next()?.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_do_not_run_are_left_out() {
        let object = |phase: &str| {
            json!({
                "metadata": {"name": "daymark-speaker-x"},
                "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "metrics", "containerPort": 9000}]}]},
                "status": {"phase": phase},
            })
        };
        let found = pod(&object("Running"));
        assert_eq!(found, Some(Pod { name: "daymark-speaker-x".into(), node: "n1".into(), port: 9000 }));
        assert_eq!(pod(&object("Failed")), None);
    }

    async fn with_kubectl(script: &str) -> Result<u16, String> {
        let directory = tempfile::tempdir().unwrap();
        let kubectl = directory.path().join("kubectl");
        std::fs::write(&kubectl, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        let pod = Pod { name: "p".into(), node: "n1".into(), port: 7472 };
        forward(&kubectl, &pod, "d", None).await.map(|(_, port)| port)
    }

    #[tokio::test]
    async fn the_port_that_kubectl_names_is_used() {
        let script = "[ \"$*\" = '--namespace d port-forward --address 127.0.0.1 pod/p :7472' ] || exit 1
            echo 'Forwarding from 127.0.0.1:40123 -> 7472'; exec sleep 60";
        assert_eq!(with_kubectl(script).await, Ok(40123));
    }

    #[tokio::test]
    async fn what_kubectl_says_is_passed_on() {
        let refused = with_kubectl("echo 'error: pods \"p\" is forbidden' >&2; exit 1").await;
        assert_eq!(refused, Err("kubectl port-forward: error: pods \"p\" is forbidden".into()));
    }
}
