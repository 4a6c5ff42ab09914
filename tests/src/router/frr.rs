//! FRR: zebra and bgpd, asked over vtysh for JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path as FilePath;

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use serde_json::Value;

use super::route::{Neighbor, Path, Segment, community, large_community};
use super::{Neighbors, Setting};
use crate::netns::Netns;
use crate::network::Network;
use crate::process::Process;
use crate::tools::FRR_DAEMONS;

/// The user that Debian's package makes; zebra refuses to run as root.
const USER: &str = "frr";

/// Writes the configuration and describes the programs, in the order in which they start.
pub(super) async fn prepare(
    setting: &Setting<'_>,
    netns: &Netns,
    directory: &FilePath,
    logs: &FilePath,
) -> Result<Vec<Process>> {
    std::fs::write(directory.join("zebra.conf"), format!("hostname {}\n", setting.name))?;
    std::fs::write(directory.join("bgpd.conf"), configuration(setting)?)?;
    std::fs::write(directory.join("vtysh.conf"), "")?;
    let path = directory.display().to_string();
    crate::command::run("chown", &["-R", &format!("{USER}:{USER}"), &path]).await?;
    let process = |daemon: &str| {
        Process::new(format!("{}-{daemon}", setting.name), netns, format!("{FRR_DAEMONS}/{daemon}"), logs)
            .arguments([
                "-f",
                &format!("{path}/{daemon}.conf"),
                "--vty_socket",
                &path,
                "-z",
                &format!("{path}/zserv.api"),
                "-i",
                &format!("{path}/{daemon}.pid"),
                "-P",
                "0",
                "-u",
                USER,
                "-g",
                USER,
                "--log",
                "stdout",
            ])
    };
    Ok(vec![process("zebra"), process("bgpd")])
}

fn configuration(setting: &Setting<'_>) -> Result<String> {
    let Setting { name, addresses, asn, speaker_asn, .. } = setting;
    let mut text = format!(
        "hostname {name}\nlog stdout informational\nlog timestamp precision 3\n\
         router bgp {asn}\n bgp router-id {}\n bgp log-neighbor-changes\n no bgp ebgp-requires-policy\n\
         \x20no bgp default ipv4-unicast\n bgp bestpath as-path multipath-relax\n bgp reject-as-sets\n\
         \x20neighbor NODES peer-group\n neighbor NODES remote-as {speaker_asn}\n neighbor NODES timers connect 5\n",
        addresses.v4
    );
    match setting.neighbors {
        Neighbors::Each | Neighbors::EachPassive => {
            if setting.neighbors == Neighbors::EachPassive {
                text.push_str(" neighbor NODES passive\n");
            }
            for (_, node) in setting.nodes {
                for address in node.both() {
                    writeln!(text, " neighbor {address} peer-group NODES")?;
                }
            }
        }
        Neighbors::Range => {
            for prefix in [Network::Upstream.prefix_v4(), Network::Upstream.prefix_v6()] {
                writeln!(text, " bgp listen range {prefix} peer-group NODES")?;
            }
        }
        Neighbors::None => {}
    }
    for family in ["ipv4", "ipv6"] {
        writeln!(
            text,
            " address-family {family} unicast\n  neighbor NODES activate\n  maximum-paths 32\n  maximum-paths ibgp 32\n \
             exit-address-family"
        )?;
    }
    writeln!(text, "exit\n{}", setting.extra)?;
    Ok(text)
}

/// Fails until `process` answers on its socket.
pub(super) async fn answers(netns: &Netns, directory: &FilePath, process: &Process) -> Result<()> {
    let daemon = process.name().rsplit('-').next().unwrap_or_default();
    let directory = directory.display().to_string();
    let arguments =
        ["--vty_socket", &directory, "--config_dir", &directory, "-d", daemon, "-c", "show version"];
    netns.run("vtysh", &arguments).await.map(drop)
}

/// Asks vtysh.
pub(super) async fn ask(netns: &Netns, directory: &FilePath, commands: &[&str]) -> Result<String> {
    let directory = directory.display().to_string();
    let mut arguments = vec!["--vty_socket", &directory, "--config_dir", &directory];
    for command in commands {
        arguments.extend(["-c", command]);
    }
    let text = netns.run("vtysh", &arguments).await?;
    // vtysh ends with 0 whatever the daemon said.
    if let Some(refusal) =
        text.lines().find(|line| line.starts_with("% ") || line.contains("failed to connect"))
    {
        bail!("vtysh {commands:?}: {refusal}");
    }
    Ok(text)
}

async fn json(netns: &Netns, directory: &FilePath, command: &str) -> Result<Value> {
    let text = ask(netns, directory, &[command]).await?;
    serde_json::from_str(&text).with_context(|| format!("`{command}` is not JSON: {text}"))
}

fn family(prefix: IpNet) -> &'static str {
    if prefix.addr().is_ipv4() { "ipv4" } else { "ipv6" }
}

pub(super) async fn paths(netns: &Netns, directory: &FilePath, prefix: IpNet) -> Result<Vec<Path>> {
    let shown = json(netns, directory, &format!("show bgp {} unicast {prefix} json", family(prefix))).await?;
    // The longest match is shown when the prefix itself is absent.
    if shown["prefix"].as_str().and_then(|shown| shown.parse().ok()) != Some(prefix) {
        return Ok(Vec::new());
    }
    shown["paths"].as_array().into_iter().flatten().map(path).collect()
}

pub(super) async fn table(netns: &Netns, directory: &FilePath) -> Result<BTreeMap<IpNet, Vec<Path>>> {
    let mut table = BTreeMap::new();
    for family in ["ipv4", "ipv6"] {
        let shown = json(netns, directory, &format!("show bgp {family} unicast json detail")).await?;
        for (prefix, entry) in shown["routes"].as_object().into_iter().flatten() {
            let prefix: IpNet = prefix.parse().with_context(|| prefix.clone())?;
            let shown = entry["paths"].as_array().or(entry.as_array()).into_iter().flatten();
            // FRR 8 lists the prefix itself before its paths.
            let paths = shown.filter(|one| one["nexthops"].is_array()).map(path).collect::<Result<_>>()?;
            table.insert(prefix, paths);
        }
    }
    Ok(table)
}

pub(super) async fn prefix_count(netns: &Netns, directory: &FilePath) -> Result<u64> {
    let mut count = 0;
    for family in ["ipv4", "ipv6"] {
        let shown = json(netns, directory, &format!("show bgp {family} unicast summary json")).await?;
        // Without any neighbor the answer is empty.
        count += shown["ribCount"].as_u64().unwrap_or_default();
    }
    Ok(count)
}

pub(super) async fn sessions(netns: &Netns, directory: &FilePath) -> Result<BTreeMap<IpAddr, Neighbor>> {
    let shown = json(netns, directory, "show bgp neighbors json").await?;
    let mut neighbors = BTreeMap::new();
    for (address, neighbor) in shown.as_object().into_iter().flatten() {
        let Ok(address) = address.parse() else { continue };
        let prefixes = |family: &str| {
            neighbor["addressFamilyInfo"][family]["acceptedPrefixCounter"].as_u64().unwrap_or_default()
        };
        let reset = ["lastNotificationReason", "lastShutdownDescription", "lastResetDueTo"];
        let last_error = reset.iter().find_map(|key| neighbor[key].as_str()).map(str::to_owned);
        neighbors.insert(
            address,
            Neighbor {
                state: neighbor["bgpState"].as_str().unwrap_or_default().to_owned(),
                asn: number(&neighbor["remoteAs"]),
                prefixes_v4: prefixes("ipv4Unicast"),
                prefixes_v6: prefixes("ipv6Unicast"),
                established_count: neighbor["connectionsEstablished"].as_u64(),
                last_error,
            },
        );
    }
    Ok(neighbors)
}

fn path(shown: &Value) -> Result<Path> {
    let hops = || shown["nexthops"].as_array().into_iter().flatten();
    let hop = hops().find(|hop| hop["scope"] != "link-local").or_else(|| hops().next());
    let next_hop = hop
        .and_then(|hop| hop["ip"].as_str())
        .with_context(|| format!("a path without next hop: {shown}"))?;
    let words = |value: &Value| -> Vec<String> {
        value["string"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let communities: Option<BTreeSet<_>> =
        words(&shown["community"]).iter().map(|word| community(word)).collect();
    let large: Option<BTreeSet<_>> =
        words(&shown["largeCommunity"]).iter().map(|word| large_community(word)).collect();
    Ok(Path {
        from: shown["peer"]["peerId"].as_str().and_then(|peer| peer.parse().ok()),
        next_hop: next_hop.parse()?,
        as_path: shown["aspath"]["segments"]
            .as_array()
            .into_iter()
            .flatten()
            .map(segment)
            .collect::<Result<_>>()?,
        communities: communities.with_context(|| format!("communities {}", shown["community"]))?,
        large_communities: large.with_context(|| format!("large communities {}", shown["largeCommunity"]))?,
        local_preference: number(&shown["locPrf"]),
        med: number(&shown["metric"]).or_else(|| number(&shown["med"])),
        valid: shown["valid"].as_bool().unwrap_or_default(),
        best: shown["bestpath"]["overall"].as_bool().unwrap_or_default(),
    })
}

fn segment(shown: &Value) -> Result<Segment> {
    let list: Vec<u32> = shown["list"].as_array().into_iter().flatten().filter_map(number).collect();
    Ok(match shown["type"].as_str().unwrap_or_default() {
        "as-sequence" => Segment::Sequence(list),
        "as-set" => Segment::Set(list),
        "as-confed-sequence" => Segment::ConfederationSequence(list),
        "as-confed-set" => Segment::ConfederationSet(list),
        other => bail!("unknown segment {other}"),
    })
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
