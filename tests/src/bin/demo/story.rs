//! The steps, in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime};

use daymark_tests::load::Load;
use daymark_tests::report::{Answer, Failure, Report};
use daymark_tests::router::Router;
use daymark_tests::{Context, Lab, Result, bail, ensure};
use futures::future::try_join_all;
use ipnet::IpNet;

use crate::look;
use crate::scenery::{BIRD, DRAINED, FRR, NETWORK, POD_PORT, PODS, POOL, PORT, SERVICE};
use crate::stage::Stage;

/// How many steps there are: one more where the lab stays up.
pub fn steps() -> usize {
    if look::is_kept() { 9 } else { 8 }
}

/// No part of a step may take longer, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(60);
/// Requests by curl per family.
const CURLS: usize = 12;
/// New connections per second and family while a node is drained.
const RATE: u32 = 100;
/// Requests per family before the drain, and after it.
const BEFORE: u64 = 200;
const AFTER: u64 = 200;

/// Shows all steps after the lab's start.
pub async fn tell(stage: &mut Stage, lab: &Lab) -> Result<()> {
    stage.done(
        "etcd, kube-apiserver and kube-controller-manager; kube-proxy on each node; deploy/manifests applied",
    );
    kubectl(stage, lab, "get nodes", 4).await?;
    daemons(stage, lab).await?;
    let addresses = address(stage, lab).await?;
    sessions(stage, lab).await?;
    routes(stage, lab, &addresses).await?;
    answers(stage, lab, &addresses).await?;
    drain(stage, lab, &addresses).await?;
    deletion(stage, lab, &addresses).await?;
    if look::is_kept() {
        again(stage, lab).await?;
    }
    Ok(())
}

async fn daemons(stage: &mut Stage, lab: &Lab) -> Result<()> {
    stage.step("Daymark: one controller, a speaker on each node");
    let controller = lab.start_controller("a").await?;
    let speakers = try_join_all(lab.nodes().iter().map(|node| lab.start_speaker(node.name()))).await?;
    for process in [controller].iter().chain(&speakers) {
        let dead = stage
            .wait(format_args!("{} to be ready", process.name()), DEADLINE, async || {
                if let Err(dead) = process.check_running().await {
                    return Ok(Some(dead));
                }
                let url = "http://127.0.0.1:7472/readyz";
                process.netns().run("curl", &["-sSf", "--max-time", "3", url]).await.map(|_| None)
            })
            .await?;
        if let Some(dead) = dead {
            return Err(dead);
        }
    }
    stage
        .wait("a Speaker object per node", DEADLINE, async || {
            let found = lab.kubectl(&["get", "speakers", "-o", "name"]).await?;
            ensure!(found.lines().count() == lab.nodes().len(), "there are: {}", found.trim());
            Ok(())
        })
        .await?;
    stage.done("the controller leads, the speakers are ready (/readyz says so)");
    kubectl(stage, lab, "get lease -n daymark-system daymark-controller", 2).await
}

async fn address(stage: &mut Stage, lab: &Lab) -> Result<Vec<IpAddr>> {
    stage.step("A Service gets its addresses");
    let pods = PODS.map(|(name, node)| lab.pod(node, name, &[("app", "web")], &[POD_PORT]));
    stage.live(|| "pods start".to_owned(), try_join_all(pods)).await?;
    stage.done("three pods run");
    stage.yaml(&[POOL.trim(), SERVICE.trim()].join("\n---\n"));
    lab.apply(POOL).await?;
    let begin = Instant::now();
    lab.apply(SERVICE).await?;
    let addresses = stage
        .wait("two addresses", DEADLINE, async || {
            let addresses = lab.service_addresses("default", "web").await?;
            if addresses.len() != 2 {
                let format =
                    "jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{end}";
                let said = lab.kubectl(&["get", "service", "web", "-o", format]).await?;
                bail!("the status shows {addresses:?}; {said}");
            }
            Ok(addresses)
        })
        .await?;
    stage.done_after(begin.elapsed(), &format!("Service default/web has {}", listed(&addresses)));
    kubectl(stage, lab, "get service web", 2).await?;
    kubectl(stage, lab, "get addressclaims", 3).await?;
    Ok(addresses)
}

async fn sessions(stage: &mut Stage, lab: &Lab) -> Result<()> {
    stage.step("BGP sessions with both routers");
    stage.yaml(NETWORK);
    let begin = Instant::now();
    lab.apply(NETWORK).await?;
    let expected: Vec<(&Router, Vec<IpAddr>)> = vec![
        (lab.router(FRR)?, lab.nodes().iter().map(|node| node.upstream().v4.into()).collect()),
        (lab.router(BIRD)?, lab.nodes().iter().map(|node| node.upstream().v6.into()).collect()),
    ];
    for (router, nodes) in &expected {
        stage
            .wait(format_args!("the sessions of {}", router.name()), DEADLINE, async || {
                let sessions = router.sessions().await?;
                let state =
                    |node: &IpAddr| sessions.get(node).map_or("absent", |session| session.state.as_str());
                let down: Vec<String> = nodes
                    .iter()
                    .filter(|node| state(node) != "Established")
                    .map(|node| format!("{node} {}", state(node)))
                    .collect();
                ensure!(down.is_empty(), "{}", down.join(", "));
                Ok(())
            })
            .await?;
    }
    stage.done_after(begin.elapsed(), "6 sessions are Established, each for IPv4 and IPv6 routes");
    let [(frr, frr_nodes), (bird, _)] = expected.as_slice() else { bail!("the demo has two routers") };
    let summary = frr.ask("show bgp ipv4 unicast summary").await?;
    let ours = |line: &&str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first == "Neighbor" || first.parse().is_ok_and(|address: IpAddr| frr_nodes.contains(&address))
    };
    let summary: Vec<&str> = summary.lines().filter(ours).collect();
    stage.typed("vtysh -c 'show bgp ipv4 unicast summary'", &summary.join("\n"), 4);
    let protocols = bird.ask("show protocols").await?;
    let up: Vec<&str> = protocols.lines().filter(|line| line.contains("Established")).collect();
    stage.typed("birdc show protocols", &up.join("\n"), 3);
    Ok(())
}

async fn routes(stage: &mut Stage, lab: &Lab, addresses: &[IpAddr]) -> Result<()> {
    stage.step("Both routers have routes by all three nodes (ECMP)");
    routers_use(stage, lab, addresses, &all_nodes(lab)).await?;
    stage.done("three next hops per address in each router, in its BGP table and in its kernel");
    show_routes(stage, lab, addresses).await
}

async fn show_routes(stage: &Stage, lab: &Lab, addresses: &[IpAddr]) -> Result<()> {
    for address in addresses {
        let (family, prefix) = (if address.is_ipv4() { "ip" } else { "ipv6" }, IpNet::from(*address));
        let command = format!("show {family} route {prefix}");
        let table = lab.router(FRR)?.ask(&command).await?;
        let hops: Vec<&str> = table.lines().map(str::trim).filter(|line| line.starts_with('*')).collect();
        stage.typed(&format!("vtysh -c '{command}'"), &hops.join("\n"), 3);
    }
    for address in addresses {
        let command = format!("show route {}", IpNet::from(*address));
        let table = lab.router(BIRD)?.ask(&command).await?;
        let hops: Vec<&str> = table.lines().map(str::trim).filter(|line| line.starts_with("via")).collect();
        stage.typed(&format!("birdc {command}"), &hops.join("\n"), 3);
    }
    Ok(())
}

async fn answers(stage: &mut Stage, lab: &Lab, addresses: &[IpAddr]) -> Result<()> {
    stage.step("The client is answered, by different pods");
    let client = lab.client()?;
    for address in addresses {
        let url = format!("http://{}/", authority(*address));
        let first = client.curl(&url).await?;
        stage.typed(&format!("curl -g '{url}'"), &first, 3);
        let mut by_pod: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..CURLS {
            let text = client.curl(&url).await?;
            let answer: Answer =
                serde_json::from_str(&text).with_context(|| format!("{url} answered {text}"))?;
            *by_pod.entry(answer.pod).or_default() += 1;
        }
        ensure!(by_pod.len() > 1, "{CURLS} requests to {url} were all answered by {by_pod:?}");
        let counts: Vec<String> = by_pod.iter().map(|(pod, count)| format!("{pod} {count}x")).collect();
        stage.done(&format!("{CURLS} more requests to {address} answered by {}", counts.join(", ")));
    }
    Ok(())
}

async fn drain(stage: &mut Stage, lab: &Lab, addresses: &[IpAddr]) -> Result<()> {
    stage.step("A node is drained under load");
    let client = lab.client()?;
    let mut loads = Vec::new();
    for address in addresses {
        loads.push(client.load(SocketAddr::new(*address, PORT)).rate(RATE).start().await?);
    }
    under_load(stage, &mut loads, BEFORE).await?;
    let total = u64::from(RATE) * loads.len() as u64;
    stage.done(&format!("a load of {total} new connections per second runs, one request each"));

    let begin = Instant::now();
    let moving = wall_clock();
    kubectl(stage, lab, &patch("true"), 1).await?;
    let leaving = lab.node(DRAINED)?.upstream();
    stage
        .wait("GRACEFUL_SHUTDOWN on the node's routes", DEADLINE, async || {
            for router in lab.routers() {
                for address in addresses {
                    let paths = router.paths_to(*address).await?;
                    let path = paths.iter().find(|path| leaving.both().contains(&path.next_hop));
                    ensure!(path.is_none_or(|path| path.is_leaving()), "not yet in {}", router.name());
                }
            }
            Ok(())
        })
        .await?;
    stage.done_after(begin.elapsed(), "both routers know that its routes will go (GRACEFUL_SHUTDOWN)");
    let rest: BTreeSet<&str> = all_nodes(lab).into_iter().filter(|name| *name != DRAINED).collect();
    routers_use(stage, lab, addresses, &rest).await?;
    let moved = wall_clock();
    stage
        .done_after(begin.elapsed(), &format!("its routes are withdrawn; the sessions of {DRAINED} stay up"));
    show_routes(stage, lab, addresses.get(..1).unwrap_or_default()).await?;
    under_load(stage, &mut loads, AFTER).await?;
    let stopping = try_join_all(loads.into_iter().map(Load::stop));
    let reports = stage.live(|| "the load ends".to_owned(), stopping).await?;
    judge(stage, &reports, moving..=moved)?;

    let begin = Instant::now();
    kubectl(stage, lab, &patch("false"), 1).await?;
    routers_use(stage, lab, addresses, &all_nodes(lab)).await?;
    stage.done_after(begin.elapsed(), &format!("{DRAINED} is back in both routers"));
    Ok(())
}

fn patch(drain: &str) -> String {
    format!(r#"patch speaker {DRAINED} --type merge -p '{{"spec":{{"drain":{drain}}}}}'"#)
}

/// Milliseconds since 1970.
fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// No new connection may fail. One that is open while a router moves its flows to another node breaks, because that node
/// does not know it; such ones are counted.
fn judge(stage: &Stage, reports: &[Report], moving: RangeInclusive<u64>) -> Result<()> {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (sent, answered, failed) = (sum(|r| r.sent), sum(|r| r.answered), sum(|r| r.failed));
    // All loads run in the client's namespace, whose counter this is.
    let syn_retrans = reports.iter().map(Report::syn_retrans).max().unwrap_or_default();
    let result = format!("sent {sent}, answered {answered}, failed {failed}, SYNs sent again {syn_retrans}");
    let was_open = |failure: &&Failure| {
        let ended = failure.unix_ms.saturating_add(failure.took_ms);
        failure.error.contains("Connection reset")
            && !failure.error.contains("while connecting")
            && ended >= *moving.start()
            && failure.unix_ms <= *moving.end()
    };
    let failures = || reports.iter().flat_map(|report| &report.failures);
    let broken = u64::try_from(failures().filter(was_open).count()).unwrap_or(u64::MAX);
    if broken != failed || sent != answered.saturating_add(failed) {
        let first = failures().find(|failure| !was_open(failure));
        let first =
            first.map(|failure| format!("; the first after {} ms: {}", failure.sent_ms, failure.error));
        bail!("requests were lost: {result}{}", first.unwrap_or_default());
    }
    stage.done(&result);
    if broken == 0 {
        stage.done("no request was lost");
    } else {
        stage.done(&format!(
            "no new connection failed; of those open when routers moved flows to other nodes, {broken} broke"
        ));
        let median = reports.iter().map(|report| report.median_us).max().unwrap_or_default();
        stage.note(&format!(
            "(a request takes {:.1} ms here: on a busy machine more of them are open)",
            median as f64 / 1e3
        ));
    }
    Ok(())
}

async fn deletion(stage: &mut Stage, lab: &Lab, addresses: &[IpAddr]) -> Result<()> {
    stage.step("The Service is deleted, and its routes go");
    let begin = Instant::now();
    kubectl(stage, lab, "delete service web", 1).await?;
    routers_use(stage, lab, addresses, &BTreeSet::new()).await?;
    stage.done_after(begin.elapsed(), "no router has a route to it any more");
    stage
        .wait("the claims to be released", DEADLINE, async || {
            let format = "jsonpath={range .items[*]}{.spec.address}={.spec.releasedAt} {end}";
            let claims = lab.kubectl(&["get", "addressclaims", "-o", format]).await?;
            let held: Vec<&str> = claims.split_whitespace().filter(|claim| claim.ends_with('=')).collect();
            ensure!(held.is_empty(), "still held: {}", held.join(" "));
            Ok(())
        })
        .await?;
    stage.done("its addresses rest in quarantine before another Service may get them");
    kubectl(stage, lab, "get addressclaims", 3).await
}

async fn again(stage: &mut Stage, lab: &Lab) -> Result<()> {
    stage.step("The Service again, for a look around");
    lab.apply(SERVICE).await?;
    let addresses = stage
        .wait("two addresses", DEADLINE, async || {
            let addresses = lab.service_addresses("default", "web").await?;
            ensure!(addresses.len() == 2, "the status shows {addresses:?}");
            Ok(addresses)
        })
        .await?;
    routers_use(stage, lab, &addresses, &all_nodes(lab)).await?;
    stage.done(&format!("the same namespace and name got the same addresses back: {}", listed(&addresses)));
    Ok(())
}

fn all_nodes(lab: &Lab) -> BTreeSet<&str> {
    lab.nodes().iter().map(|node| node.name()).collect()
}

/// Waits until each router has paths to each address by exactly these nodes, in its BGP table and in its kernel.
async fn routers_use(stage: &Stage, lab: &Lab, addresses: &[IpAddr], nodes: &BTreeSet<&str>) -> Result<()> {
    let name_of = |hop: &IpAddr| {
        let node = lab.nodes().iter().find(|node| node.upstream().both().contains(hop));
        node.map_or_else(|| hop.to_string(), |node| node.name().to_owned())
    };
    for router in lab.routers() {
        for address in addresses {
            let by = names(nodes);
            let what = format!("routes to {address} in {} by {by}", router.name());
            stage
                .wait(what, DEADLINE, async || {
                    let paths = router.paths_to(*address).await?;
                    let usable = paths.iter().filter(|path| path.valid);
                    let seen: BTreeSet<String> = usable.map(|path| name_of(&path.next_hop)).collect();
                    ensure!(
                        seen.iter().map(String::as_str).eq(nodes.iter().copied()),
                        "it has those by {}",
                        names(&seen)
                    );
                    let installed = router.kernel_next_hops(IpNet::from(*address)).await?;
                    ensure!(installed.len() == nodes.len(), "its kernel has {installed:?}");
                    Ok(())
                })
                .await?;
        }
    }
    Ok(())
}

/// Waits until each load has sent so many more requests, and shows how they fare.
async fn under_load(stage: &Stage, loads: &mut [Load], more: u64) -> Result<()> {
    let deadline = Duration::from_secs(more / u64::from(RATE)) + DEADLINE;
    let goals: Vec<u64> = loads.iter().map(|load| load.progress().sent + more).collect();
    let loads: &[Load] = loads;
    stage
        .wait(format_args!("{more} more requests per family"), deadline, async || {
            let progress: Vec<_> = loads.iter().map(Load::progress).collect();
            let sum = |of: fn(&daymark_tests::load::Progress) -> u64| progress.iter().map(of).sum::<u64>();
            let (sent, answered, failed) = (sum(|p| p.sent), sum(|p| p.answered), sum(|p| p.failed));
            let reached = progress.iter().zip(&goals).all(|(progress, goal)| progress.sent >= *goal);
            ensure!(reached, "sent {sent}, answered {answered}, failed {failed}");
            Ok(())
        })
        .await
}

/// Runs kubectl as it is written and shows both.
async fn kubectl(stage: &Stage, lab: &Lab, line: &str, most: usize) -> Result<()> {
    let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('\'')).collect();
    let said = lab.kubectl(&words).await?;
    stage.typed(&format!("kubectl {line}"), &said, most);
    Ok(())
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn names<S: AsRef<str>>(nodes: &BTreeSet<S>) -> String {
    if nodes.is_empty() {
        return "nobody".to_owned();
    }
    nodes.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn authority(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
