//! The node that answers for an address goes, in every way a node goes: how long until another answers, and until a client is
//! served again; and how long two answer when it is back.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::lan::record::{Record, Time};
use daymark_tests::lan::watch::Watch;
use daymark_tests::netns::ip_batch;
use daymark_tests::network::Network;
use daymark_tests::{Context, Lab, Result, Signal, ensure, wait_for};
use serde_json::Value;
use tokio::time::sleep;

use crate::figure::{Book, Budget, Figure};
use crate::l2_asker::Asker;
use crate::latency::Latencies;
use crate::progress;

/// Measured in the same kind of lab.
const METALLB: &str = "MetalLB 0.16.1 with memberlist";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// A client opens a connection so often, and gives it up after this.
const PACE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_millis(300);
/// The same for the pods of the node that is cut off, none of whose answers may be lost.
const LOCAL_PATIENCE: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(25);
/// A capture is begun anew after so many tries.
const BATCH: usize = 25;
/// What answers side by side for longer does so in requests that were under way.
const DETECTED: Duration = Duration::from_millis(400);

/// How the node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Dark,
    Silent,
    Killed,
    Frozen,
    LanDark,
    LanSilent,
    NodeNetworkDark,
}

impl Way {
    const ALL: [Self; 7] = [
        Self::Dark,
        Self::Killed,
        Self::Frozen,
        Self::Silent,
        Self::LanDark,
        Self::LanSilent,
        Self::NodeNetworkDark,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Silent => "silently-dark",
            Self::Killed => "speaker-killed",
            Self::Frozen => "speaker-frozen",
            Self::LanDark => "lan-dark",
            Self::LanSilent => "lan-silently-dark",
            Self::NodeNetworkDark => "node-network-dark",
        }
    }

    /// MetalLB's median in milliseconds, from the failure to the answer of another node.
    fn metallb(self) -> Option<f64> {
        match self {
            Self::Dark => Some(5_700.0),
            Self::Killed => Some(5_600.0),
            Self::Frozen => Some(5_300.0),
            // Nobody takes over: the membership is seen over the other network.
            Self::Silent | Self::LanDark | Self::LanSilent | Self::NodeNetworkDark => None,
        }
    }

    /// The networks that break.
    fn networks(self) -> &'static [Network] {
        match self {
            Self::Dark | Self::Silent => &[Network::Upstream, Network::Nodenet],
            Self::LanDark | Self::LanSilent => &[Network::Upstream],
            Self::NodeNetworkDark => &[Network::Nodenet],
            Self::Killed | Self::Frozen => &[],
        }
    }

    /// The ones that the budget names are tried most.
    fn tries(self, tries: usize) -> usize {
        match self {
            Self::Dark | Self::Killed | Self::Frozen => tries,
            Self::Silent | Self::LanDark | Self::LanSilent | Self::NodeNetworkDark => (tries / 4).max(5),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What tries of one way gave, in milliseconds.
#[derive(Default)]
struct Outcome {
    /// Until another node answered, and until a client was served, by family.
    answers: BTreeMap<&'static str, Latencies>,
    served: BTreeMap<&'static str, Latencies>,
    /// How long two answered: while the node was away, and when it was back.
    beside: Latencies,
    back: Latencies,
    /// Requests to pods of the node that was cut off.
    local: usize,
    local_lost: usize,
}

struct Scene<'a> {
    lab: &'a Lab,
    vips: Vec<IpAddr>,
    /// Of the Services whose pods are on one node only.
    local: BTreeMap<String, Vec<IpAddr>>,
    /// The switch's ports of each node.
    ports: BTreeMap<(String, &'static str), String>,
}

/// Both addresses are where the weights say, so that each try counts for both families.
fn objects() -> String {
    let preferred: Vec<String> = NODES
        .iter()
        .zip([30, 20, 10])
        .map(|(node, weight)| {
            format!("{{weight: {weight}, selector: {{matchLabels: {{kubernetes.io/hostname: {node}}}}}}}")
        })
        .collect();
    let mut yaml = format!(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {{name: lan}}
spec: {{addresses: [10.20.0.100-10.20.0.179, 'fd00:20::1:0/112']}}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {{name: lan}}
spec: {{l2: {{failback: Never, preferredNodes: [{}]}}}}
",
        preferred.join(", ")
    );
    for (name, policy) in std::iter::once(("web".to_owned(), "Cluster"))
        .chain(NODES.map(|node| (format!("local-{node}"), "Local")))
    {
        yaml.push_str(&format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: LoadBalancer, \
             selector: {{{name}: ''}}, externalTrafficPolicy: {policy}, ipFamilyPolicy: RequireDualStack, \
             ipFamilies: [IPv4, IPv6], ports: [{{port: 80, targetPort: 8080}}]}}\n"
        ));
    }
    yaml
}

fn family(vip: IpAddr) -> &'static str {
    if vip.is_ipv4() { "v4" } else { "v6" }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// For how long two hosts answered for `vip` in turn.
fn side_by_side(record: &Record, vip: IpAddr) -> Duration {
    let terms = record.terms(vip);
    let pairs =
        terms.iter().enumerate().flat_map(|(at, one)| terms[at + 1..].iter().map(move |other| (one, other)));
    let overlaps = pairs
        .filter(|(one, other)| one.host != other.host)
        .map(|(one, other)| one.last.min(other.last).since(one.first.max(other.first)));
    overlaps.max().unwrap_or_default()
}

/// Measures.
pub async fn run(book: &mut Book, tries: usize) -> Result<()> {
    let lab = Lab::builder("bench-l2-failover").nodes(3).clients(0).lan_clients(1).start().await?;
    lab.apply(&objects()).await?;
    lab.start_daymark().await?;
    for node in NODES {
        let own = format!("local-{node}");
        lab.pod(node, &format!("pod-{node}"), &[("web", ""), (own.as_str(), "")], &[8080]).await?;
    }
    let scene = Scene::new(&lab).await?;
    for way in Way::ALL {
        let tries = way.tries(tries);
        progress(format_args!("  {way}: {tries} tries"));
        let outcome = scene.measure(way, tries).await.with_context(|| way.to_string())?;
        report(book, way, &outcome)?;
        // What a try leaves behind in a speaker's memory of its own stalls does not weigh on the next way.
        for node in NODES {
            lab.speaker(node).await?.restart().await?;
        }
    }
    lab.finish().await
}

fn report(book: &mut Book, way: Way, outcome: &Outcome) -> Result<()> {
    for (what, by_family) in [("answer", &outcome.answers), ("served", &outcome.served)] {
        for (family, latencies) in by_family {
            for (percent, limit) in [(50, 500.0), (99, 1000.0)] {
                let name = format!("l2-{way}-{what}-{family}-p{percent}");
                let mut figure =
                    Figure::new(name, latencies.percentile(percent), "ms").budget(Budget::Below(limit));
                if let Some(other) = way.metallb().filter(|_| percent == 50) {
                    figure = figure.against(METALLB, other);
                }
                book.add(figure)?;
            }
        }
    }
    let beside = Figure::new(format!("l2-{way}-two-answer-most"), outcome.beside.percentile(100), "ms");
    book.add(if way == Way::NodeNetworkDark { beside.budget(Budget::Below(1.0)) } else { beside })?;
    if way != Way::Killed {
        for (percent, name, metallb) in [(50, "p50", 1_200.0), (100, "most", 14_600.0)] {
            let mut figure = Figure::new(
                format!("l2-{way}-back-two-answer-{name}"),
                outcome.back.percentile(percent),
                "ms",
            )
            .budget(Budget::Below(1000.0));
            if way == Way::Dark {
                figure = figure.against(METALLB, metallb);
            }
            book.add(figure)?;
        }
    }
    if way == Way::NodeNetworkDark {
        let lost = Figure::new(format!("l2-{way}-local-lost"), outcome.local_lost as f64, "requests");
        book.add(lost.budget(Budget::Below(1.0)))?;
        book.add(Figure::new(format!("l2-{way}-local-requests"), outcome.local as f64, "requests"))?;
    }
    Ok(())
}

impl<'a> Scene<'a> {
    async fn new(lab: &'a Lab) -> Result<Self> {
        let addresses = async |name: &str| {
            wait_for(format_args!("addresses of {name}"), LIMIT, async || {
                let found = lab.service_addresses("default", name).await?;
                ensure!(found.len() == 2, "{found:?}");
                Ok(found)
            })
            .await
        };
        let vips = addresses("web").await?;
        let (mut local, mut ports) = (BTreeMap::new(), BTreeMap::new());
        for node in NODES {
            local.insert(node.to_owned(), addresses(&format!("local-{node}")).await?);
            for network in [Network::Upstream, Network::Nodenet] {
                let port = lab.switches().ports(lab.node(node)?.netns(), network).await?.remove(0);
                ports.insert((node.to_owned(), network.name()), port);
            }
        }
        Ok(Self { lab, vips, local, ports })
    }

    async fn measure(&self, way: Way, tries: usize) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let client = self.lab.lan_client("l1")?.netns();
        let askers: Vec<Asker> = match way {
            Way::Killed | Way::Frozen => Vec::new(),
            Way::Dark | Way::Silent | Way::LanDark | Way::LanSilent | Way::NodeNetworkDark => {
                let start = |vip: &IpAddr| Asker::start(client, (*vip, 80).into(), PACE, PATIENCE);
                self.vips.iter().map(start).collect::<Result<_>>()?
            }
        };
        let mut left = tries;
        while left > 0 {
            let watch = self.lab.watch(&self.vips).await?;
            for _ in 0..left.min(BATCH) {
                self.attempt(way, &watch, &askers, &mut outcome).await?;
                left -= 1;
            }
            watch.stop().await?;
        }
        Ok(outcome)
    }

    async fn attempt(
        &self,
        way: Way,
        watch: &Watch<'_>,
        askers: &[Asker],
        outcome: &mut Outcome,
    ) -> Result<()> {
        let node = self.settled(watch).await?;
        let client = self.lab.lan_client("l1")?.netns();
        let mut local = Vec::new();
        if way == Way::NodeNetworkDark {
            for vip in &self.local[&node] {
                local.push(Asker::start(client, (*vip, 80).into(), PACE * 2, LOCAL_PATIENCE)?);
            }
        }
        for asker in &local {
            wait_for("an answer of a local pod", LIMIT, async || {
                asker.first_answer(Time::default(), |_| true).map(drop).context("none")
            })
            .await?;
        }
        let (at, gone) = self.fail(way, &node).await?;
        for vip in &self.vips {
            let seen = wait_for(format_args!("another than {node} to answer for {vip}"), LIMIT, async || {
                sleep(LOOK).await;
                let record = watch.wire().record_after(at).await?;
                record.first_other(*vip, &node, at).cloned().with_context(|| record.story(*vip))
            })
            .await?;
            outcome.answers.entry(family(*vip)).or_default().add_ms(millis(seen.at.since(at)));
        }
        let own = format!("pod-{node}");
        for (vip, asker) in self.vips.iter().zip(askers) {
            let served = wait_for(format_args!("an answer from {vip}"), LIMIT, async || {
                sleep(LOOK).await;
                // While only the node network is dark, the node's own pod answers all the time.
                asker.first_answer(gone, |pod| pod != own).context("none")
            })
            .await?;
            outcome.served.entry(family(*vip)).or_default().add_ms(millis(served.since(at)));
        }
        if way == Way::NodeNetworkDark {
            sleep(DETECTED).await;
        }
        let returned = self.mend(way, &node).await?;
        self.settled(watch).await?;
        let record = watch.wire().record_after(at).await?;
        let most = |record: &Record| {
            self.vips.iter().map(|vip| side_by_side(record, *vip)).max().unwrap_or_default()
        };
        outcome.beside.add_ms(millis(most(&record.between(at, returned))));
        outcome.back.add_ms(millis(most(&record.after(returned))));
        for asker in &local {
            // What was asked last may still be under way.
            let asked = asker.since(at);
            outcome.local += asked.len();
            outcome.local_lost += asked.iter().filter(|one| one.pod.is_none()).count();
        }
        Ok(())
    }

    /// Waits until one node answers for both addresses, all speakers hear each other and say the same; returns the node.
    async fn settled(&self, watch: &Watch<'_>) -> Result<String> {
        wait_for("all to agree", LIMIT, async || {
            let owner = watch.answerer(self.vips[0], Duration::from_millis(100)).await?;
            for vip in &self.vips {
                let found = watch.answerers(*vip).await?;
                ensure!(found.len() == 1 && found.contains(&owner), "{owner} and {found:?} answer");
            }
            for node in NODES {
                let get = async |path: &str| {
                    let text = self.lab.node(node)?.get(&format!("http://127.0.0.1:7472{path}")).await?;
                    Ok::<Value, daymark_tests::Error>(serde_json::from_str(&text)?)
                };
                let told = &get("/debug/l2").await?["node"];
                let segments = told["segments"].as_array().context("no segments")?;
                let lan = segments.iter().find(|segment| segment["name"] == "upstream").context("no LAN")?;
                for mesh in [&lan["mesh"], &told["network"]] {
                    let members = mesh["members"].as_array().context("no members")?;
                    let well = |member: &&Value| member["suspect"] != true;
                    ensure!(members.iter().filter(well).count() == 2, "{node} hears {members:?}");
                }
                let page = get("/debug/l2/addresses?limit=1000").await?;
                let listed = page["addresses"].as_array().context("no addresses")?;
                for vip in &self.vips {
                    let entry = listed.iter().find(|entry| entry["address"] == vip.to_string());
                    let entry = entry.with_context(|| format!("{node} does not know {vip}"))?;
                    ensure!(entry["owner"]["node"] == owner.as_str(), "{node} says {entry}");
                }
            }
            Ok(owner)
        })
        .await
    }

    /// It happens; returns the moments just before and just after.
    async fn fail(&self, way: Way, node: &str) -> Result<(Time, Time)> {
        let speaker = self.lab.speaker(node).await?;
        let at = Time::now();
        match way {
            Way::Killed => speaker.kill().await?,
            Way::Frozen => speaker.signal(Signal::Stop).await?,
            Way::Silent | Way::LanSilent => {
                let chain = |port: &str, hook: &str| {
                    format!(
                        "chain {hook}-{port} {{ type filter hook {hook} device {port} priority 0; drop; }}"
                    )
                };
                let chains: Vec<String> = self
                    .ports(way, node)
                    .flat_map(|port| ["ingress", "egress"].map(|hook| chain(port, hook)))
                    .collect();
                self.lab
                    .switches()
                    .netns()
                    .nft(&format!("table netdev bench {{\n{}\n}}\n", chains.join("\n")))
                    .await?;
            }
            Way::Dark | Way::LanDark | Way::NodeNetworkDark => self.links(way, node, "down").await?,
        }
        Ok((at, Time::now()))
    }

    /// It ends; returns the moment just before.
    async fn mend(&self, way: Way, node: &str) -> Result<Time> {
        let at = Time::now();
        match way {
            Way::Killed => drop(self.lab.start_speaker(node).await?),
            Way::Frozen => self.lab.speaker(node).await?.signal(Signal::Continue).await?,
            Way::Silent | Way::LanSilent => {
                self.lab.switches().netns().nft("delete table netdev bench").await?
            }
            Way::Dark | Way::LanDark | Way::NodeNetworkDark => self.links(way, node, "up").await?,
        }
        Ok(at)
    }

    async fn links(&self, way: Way, node: &str, state: &str) -> Result<()> {
        let lines: Vec<String> =
            self.ports(way, node).map(|port| format!("link set {port} {state}")).collect();
        ip_batch(Some(self.lab.switches().netns()), &lines).await
    }

    fn ports(&self, way: Way, node: &str) -> impl Iterator<Item = &str> {
        let wanted = move |network: &&'static str| way.networks().iter().any(|one| one.name() == *network);
        self.ports
            .iter()
            .filter(move |((name, network), _)| name == node && wanted(network))
            .map(|(_, port)| port.as_str())
    }
}
