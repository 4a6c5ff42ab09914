//! Finds out what the report needs.

use std::collections::BTreeMap;

use daymark_kube::CallError;
use daymark_kube::client::ConnectError;
use serde_json::Value;

use super::report::{Silent, Sources};
use crate::cluster::{self, Cluster};
use crate::flags::{Common, L2Flags};
use crate::forward::{self, ForwardError, Forwards};
use crate::speakers::{self, Target};

/// Why the question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// No API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The API server refused.
    #[error("{what} cannot be listed: {error}")]
    List {
        /// What.
        what: &'static str,
        /// Why.
        error: CallError,
    },
    /// kubectl did not forward.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// None of the speakers that were asked answered.
    #[error("no speaker answers: {0}")]
    NoSpeaker(String),
}

/// Asks whom `flags` name.
///
/// # Errors
/// When nobody answers.
pub async fn gather(common: &Common, flags: &L2Flags) -> Result<Sources, GatherError> {
    let asked = flags.local || !flags.speakers.is_empty();
    let cluster = match Cluster::connect(common.kubeconfig.as_deref(), &common.namespace).await {
        Ok(cluster) => Some(cluster),
        Err(_) if asked => None,
        Err(error) => return Err(error.into()),
    };
    let mut sources = match &cluster {
        // Speakers know their Services themselves; the API server only adds the nodes that were not asked.
        Some(cluster) if asked => from_objects(cluster).await.unwrap_or_default(),
        Some(cluster) => from_objects(cluster).await?,
        None => Sources::default(),
    };
    let mut forwards = Forwards::default();
    let targets = match (flags.local, flags.port_forward, &cluster) {
        (true, ..) => vec![Target::local(flags.reach.metrics_address)],
        (false, true, Some(cluster)) => {
            forwards = forward::start(cluster, common.kubeconfig.as_deref()).await?;
            sources.silent.append(&mut forwards.failed);
            forwards.targets.clone()
        }
        (false, ..) => flags.speakers.clone(),
    };
    let asking = !targets.is_empty();
    for (target, answer) in speakers::ask_all(&targets).await {
        match answer {
            Ok(testimony) => {
                sources.testimonies.insert(testimony.node.clone(), testimony);
            }
            Err(error) => sources
                .silent
                .push(Silent { node: target.node.unwrap_or(target.authority), message: error.to_string() }),
        }
    }
    drop(forwards);
    if asking && sources.testimonies.is_empty() {
        let messages: Vec<&str> = sources.silent.iter().map(|silent| silent.message.as_str()).collect();
        return Err(GatherError::NoSpeaker(messages.join("; ")));
    }
    Ok(sources)
}

async fn from_objects(cluster: &Cluster) -> Result<Sources, GatherError> {
    let (services, objects, announcements) =
        tokio::join!(cluster.services(), cluster.speakers(), cluster.announcements());
    let services = services.map_err(|error| GatherError::List { what: "Services", error })?;
    let objects = objects.map_err(|error| GatherError::List { what: "Speakers", error })?;
    Ok(Sources {
        vips: cluster::vips(&services),
        l2_announced: announcements.ok().map(|all| all.iter().any(announces_l2)),
        testimonies: BTreeMap::new(),
        objects,
        silent: Vec::new(),
    })
}

/// Whether an Announcement has `l2`.
pub fn announces_l2(announcement: &Value) -> bool {
    announcement.pointer("/spec/l2").is_some_and(Value::is_object)
}
