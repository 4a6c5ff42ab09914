//! Finds out what the plan needs.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use daymark_kube::client::ConnectError;
use daymark_kube::slim::Service;
use daymark_kube::{CallError, Key};
use daymark_model::Timestamp;
use serde_json::Value;

use super::Named;
use super::intent::{self, Draft, Intent, Intents};
use super::objects::{Objects, Origin};
use super::status::{self, Balancer, Overview};
use super::yaml::{Document, documents};
use crate::aws::{self, Access, NoAws};
use crate::cluster::Cluster;
use crate::flags::Common;
use daymark_kube::views::cloud::subject;

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
    /// A file was not read.
    #[error("{} cannot be read: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Nothing of that name.
    #[error("there is no CloudLoadBalancer {0}, and none that serves a Service of that name")]
    NotFound(Named),
    /// Nothing to plan for.
    #[error(
        "no Service {0} that a LoadBalancerProfile with aws serves, and no CloudLoadBalancer of that name"
    )]
    NothingToPlan(Named),
    /// What follows from many Services is planned with none of them.
    #[error(
        "{named} lets all load balancers of LoadBalancerProfile {profile} reach the nodes; --live plans the load balancer of \
         a Service: daymark plan {named} shows what is recorded of this"
    )]
    NodeAccess {
        /// What was asked for.
        named: Named,
        /// The profile.
        profile: String,
    },
    /// No Service is in the files.
    #[error("there is no Service in the files{}", if *.0 == 0 { "" } else { ": what is in them is of other kinds" })]
    NoService(usize),
    /// What was made is not readable.
    #[error("the CloudLoadBalancer {key} cannot be read: {text}")]
    Record {
        /// Which.
        key: Key,
        /// Why.
        text: String,
    },
    /// AWS was not asked.
    #[error(transparent)]
    Aws(#[from] NoAws),
    /// AWS refused.
    #[error("AWS does not answer what is there: {0}")]
    Cloud(#[from] daymark_providers::CloudError),
}

/// Where objects stand that are in no file.
const THE_CLUSTER: &str = "the cluster";

/// Where objects are listed.
struct Collection {
    what: &'static str,
    kind: &'static str,
    version: &'static str,
    plural: &'static str,
}

const SERVICES: Collection =
    Collection { what: "Services", kind: "Service", version: "v1", plural: "services" };
const NODES: Collection = Collection { what: "Nodes", kind: "Node", version: "v1", plural: "nodes" };
const SLICES: Collection = Collection {
    what: "EndpointSlices",
    kind: "EndpointSlice",
    version: "discovery.k8s.io/v1",
    plural: "endpointslices",
};
const PROFILES: Collection = Collection {
    what: "LoadBalancerProfiles",
    kind: "LoadBalancerProfile",
    version: "daymark.dev/v1alpha1",
    plural: "loadbalancerprofiles",
};
const BALANCERS: Collection = Collection {
    what: "CloudLoadBalancers",
    kind: "CloudLoadBalancer",
    version: "daymark.dev/v1alpha1",
    plural: "cloudloadbalancers",
};

impl Collection {
    fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.version.contains('/') { "/apis" } else { "/api" };
        let within = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{root}/{}{within}/{}", self.version, self.plural)
    }

    async fn list(&self, cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<Value>, GatherError> {
        let listed = cluster.values(&self.path(namespace)).await;
        listed.map_err(|error| GatherError::List { what: self.what, error })
    }

    /// The items of a list do not say their kind.
    fn document(&self, mut item: Value) -> Document {
        if let Some(object) = item.as_object_mut() {
            object.insert("kind".to_owned(), self.kind.into());
            object.insert("apiVersion".to_owned(), self.version.into());
        }
        Document { source: THE_CLUSTER.to_owned(), value: item }
    }
}

async fn connect(common: &Common) -> Result<Cluster, ConnectError> {
    Cluster::connect(common.kubeconfig.as_deref(), &common.namespace).await
}

/// All load balancers in clouds.
///
/// # Errors
/// When the API server does not say.
pub async fn overview(common: &Common) -> Result<Overview, GatherError> {
    let cluster = connect(common).await?;
    let (objects, services) = tokio::join!(BALANCERS.list(&cluster, None), SERVICES.list(&cluster, None));
    let services = services?.into_iter().filter_map(|service| serde_json::from_value(service).ok());
    Ok(status::overview(&objects?, &services.collect::<Vec<_>>()))
}

/// What is known under a name.
#[derive(Debug)]
pub enum One {
    /// A load balancer.
    Balancer(Box<Balancer>),
    /// A Service that has none, and says why.
    Service(Overview),
}

/// One load balancer: that of this name, of this group, or the one that serves the Service of this name.
///
/// # Errors
/// When there is none and no Service says why, or the API server does not say.
pub async fn one(common: &Common, named: &Named) -> Result<One, GatherError> {
    let cluster = connect(common).await?;
    let namespace = Some(named.namespace.as_str());
    let objects = BALANCERS.list(&cluster, namespace).await?;
    let balancers: Vec<Balancer> = objects.iter().map(status::balancer).collect();
    if let Some(balancer) = find(balancers, named) {
        return Ok(One::Balancer(Box::new(balancer)));
    }
    let services = SERVICES.list(&cluster, namespace).await?.into_iter();
    let is_it = |service: &Service| service.metadata.name.as_deref() == Some(&named.name);
    let services = services.filter_map(|service| serde_json::from_value(service).ok()).filter(is_it);
    let overview = status::overview(&[], &services.collect::<Vec<_>>());
    if overview.services.is_empty() {
        Err(GatherError::NotFound(named.clone()))
    } else {
        Ok(One::Service(overview))
    }
}

fn find(balancers: Vec<Balancer>, named: &Named) -> Option<Balancer> {
    let group = subject::of_group(&named.name);
    let fits: [&dyn Fn(&Balancer) -> bool; 3] =
        [&|balancer| balancer.name == named.name, &|balancer| balancer.name == group, &|balancer| {
            balancer.members.contains(&named.name)
        }];
    let at = fits.iter().find_map(|fits| balancers.iter().position(fits))?;
    balancers.into_iter().nth(at)
}

/// What would be made for the Services of `files`.
///
/// # Errors
/// When a file cannot be read, or somebody who is to be asked does not answer.
pub async fn files(
    common: &Common,
    files: &[PathBuf],
    with_cluster: bool,
    live: bool,
) -> Result<Intents, GatherError> {
    let mut objects = Objects::default();
    for file in files {
        let text = read(file).map_err(|error| GatherError::File { file: file.clone(), error })?;
        let (documents, faults) = documents(&shown(file), &text);
        objects.faults.extend(faults);
        documents.into_iter().for_each(|document| objects.take(document, Origin::Files));
    }
    if objects.services.is_empty() && objects.faults.is_empty() {
        return Err(GatherError::NoService(objects.others));
    }
    if with_cluster {
        let cluster = connect(common).await?;
        let namespaces: BTreeSet<String> = objects.services.keys().map(|key| key.namespace.clone()).collect();
        add_cluster(&mut objects, &cluster, &namespaces).await?;
    }
    let (drafts, services) = intent::drafts(&objects, &common.namespace, None);
    let mut load_balancers = Vec::new();
    for draft in drafts {
        let key = Key { namespace: draft.intent.namespace.clone(), name: draft.intent.name.clone() };
        load_balancers.push(match live {
            true => live_draft(draft, with_cluster || objects.records.contains_key(&key)).await?,
            false => draft.offline(now()),
        });
    }
    Ok(Intents { faults: std::mem::take(&mut objects.faults), load_balancers, services })
}

/// What differs between AWS and what the Services of one load balancer want.
///
/// # Errors
/// When somebody who is to be asked does not answer.
pub async fn live(common: &Common, named: &Named) -> Result<Intents, GatherError> {
    if let Some(profile) =
        subject::node_access_of(&named.name).filter(|_| named.namespace == common.namespace)
    {
        return Err(GatherError::NodeAccess { named: named.clone(), profile: profile.to_owned() });
    }
    let cluster = connect(common).await?;
    let mut objects = Objects::default();
    add_cluster(&mut objects, &cluster, &[named.namespace.clone()].into()).await?;
    let key = |name: &str| Key { namespace: named.namespace.clone(), name: name.to_owned() };
    let group = key(&subject::of_group(&named.name));
    let only = if objects.records.contains_key(&group) { group } else { key(&named.name) };
    let (mut drafts, _) = intent::drafts(&objects, &common.namespace, Some(&only));
    let load_balancer = match drafts.pop() {
        Some(draft) => {
            let own = key(&draft.intent.name);
            refuse_unreadable(&objects, &own)?;
            live_draft(draft, true).await?
        }
        None => {
            refuse_unreadable(&objects, &only)?;
            let record = objects.records.get(&only).and_then(|record| record.as_ref().ok());
            let record = record.ok_or_else(|| GatherError::NothingToPlan(named.clone()))?;
            let api = aws::connect(Access::from(&record.place)).await?;
            intent::unwanted(&only, record, api, now()).await?
        }
    };
    // What else is wrong in the namespace was not asked about.
    Ok(Intents { faults: Vec::new(), load_balancers: vec![load_balancer], services: Vec::new() })
}

/// What was made is not known: a plan would be one for something new.
fn refuse_unreadable(objects: &Objects, key: &Key) -> Result<(), GatherError> {
    match objects.records.get(key) {
        Some(Err(text)) => Err(GatherError::Record { key: key.clone(), text: text.clone() }),
        Some(Ok(_)) | None => Ok(()),
    }
}

async fn live_draft(mut draft: Draft, is_recorded: bool) -> Result<Intent, GatherError> {
    if !is_recorded {
        draft.intent.notes.push(
            "no CloudLoadBalancer is given, so all of it counts as new: --cluster-objects takes the cluster's".to_owned(),
        );
    }
    let api = aws::connect(Access::from(&draft.place)).await?;
    Ok(draft.live(api, now()).await?)
}

async fn add_cluster(
    objects: &mut Objects,
    cluster: &Cluster,
    namespaces: &BTreeSet<String>,
) -> Result<(), GatherError> {
    for collection in [&NODES, &PROFILES, &BALANCERS] {
        for item in collection.list(cluster, None).await? {
            objects.take(collection.document(item), Origin::Cluster);
        }
    }
    for namespace in namespaces {
        for collection in [&SERVICES, &SLICES] {
            for item in collection.list(cluster, Some(namespace)).await? {
                objects.take(collection.document(item), Origin::Cluster);
            }
        }
    }
    // What else is odd in the cluster was not asked about; a bad profile may be why a Service is not served.
    objects.faults.retain(|fault| {
        !fault.source.starts_with(THE_CLUSTER) || fault.source.contains(", LoadBalancerProfile ")
    });
    Ok(())
}

fn read(file: &Path) -> std::io::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
