//! BIRD 2, asked over its control socket.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;

use super::route::{Neighbor, Path, Segment, community, large_community};
use super::{Neighbors, Setting};
use crate::netns::Netns;
use crate::network::Network;
use crate::process::Process;

/// Writes the configuration and describes the program.
pub(super) fn prepare(
    setting: &Setting<'_>,
    netns: &Netns,
    directory: &FilePath,
    logs: &FilePath,
) -> Result<Vec<Process>> {
    let file = directory.join("bird.conf");
    std::fs::write(&file, configuration(setting)?)?;
    let process = Process::new(format!("{}-bird", setting.name), netns, "bird", logs).arguments([
        "-f".to_owned(),
        "-c".to_owned(),
        file.display().to_string(),
        "-s".to_owned(),
        socket(directory).display().to_string(),
        "-P".to_owned(),
        directory.join("bird.pid").display().to_string(),
    ]);
    Ok(vec![process])
}

fn socket(directory: &FilePath) -> PathBuf {
    directory.join("bird.ctl")
}

/// BIRD does not start beside the socket of one that was killed.
pub(super) fn forget_socket(directory: &FilePath) -> Result<()> {
    match std::fs::remove_file(socket(directory)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context("BIRD's old control socket stays")
        }
        _ => Ok(()),
    }
}

fn configuration(setting: &Setting<'_>) -> Result<String> {
    let Setting { addresses, asn, speaker_asn, .. } = setting;
    let mut text = format!(
        "log stderr all;\nrouter id {};\ndebug protocols {{ states }};\nprotocol device {{ scan time 2; }}\n\
         protocol direct {{ ipv4; ipv6; }}\n",
        addresses.v4
    );
    for family in ["ipv4", "ipv6"] {
        writeln!(
            text,
            "protocol kernel kernel_{family} {{\n learn;\n merge paths on;\n \
             {family} {{ import all; export where source = RTS_BGP; }};\n}}"
        )?;
    }
    // RFC 8326 section 4.2: the receiver lowers the preference of what is about to leave.
    text.push_str(
        "filter from_nodes {\n if (65535, 0) ~ bgp_community then bgp_local_pref = 0;\n accept;\n}\n\
         template bgp nodes {\n debug { states, events };\n connect retry time 5;\n error wait time 1, 10;\n connect delay time 1;\n \
         ipv4 { import filter from_nodes; export none; };\n ipv6 { import filter from_nodes; export none; };\n}\n",
    );
    let [v4, v6] = addresses.both();
    match setting.neighbors {
        Neighbors::Each | Neighbors::EachPassive => {
            let passive = if setting.neighbors == Neighbors::EachPassive { " passive on;\n" } else { "" };
            for (name, node) in setting.nodes {
                for (family, local, remote) in
                    [("v4", v4, IpAddr::from(node.v4)), ("v6", v6, IpAddr::from(node.v6))]
                {
                    writeln!(
                        text,
                        "protocol bgp {name}_{family} from nodes {{\n local {local} as {asn};\n \
                         neighbor {remote} as {speaker_asn};\n{passive}}}"
                    )?;
                }
            }
        }
        Neighbors::Range => {
            for (family, local, range) in
                [("v4", v4, Network::Upstream.prefix_v4()), ("v6", v6, Network::Upstream.prefix_v6())]
            {
                writeln!(
                    text,
                    "protocol bgp range_{family} from nodes {{\n local {local} as {asn};\n \
                     neighbor range {range} as {speaker_asn};\n dynamic name \"node_{family}_\";\n}}"
                )?;
            }
        }
        Neighbors::None => {}
    }
    writeln!(text, "{}", setting.extra)?;
    Ok(text)
}

/// Asks birdc.
pub(super) async fn ask(netns: &Netns, directory: &FilePath, command: &str) -> Result<String> {
    let socket = socket(directory).display().to_string();
    let mut arguments = vec!["-s", &socket];
    arguments.extend(command.split_whitespace());
    let mut birdc = netns.command("birdc");
    birdc.args(&arguments);
    let output = crate::command::output(birdc, None).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The answer to a question for an absent prefix comes with status 1.
    if !output.status.success() && !text.contains("Network not found") {
        bail!("birdc {command}: {} {}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
    }
    if let Some(refusal) =
        text.lines().find(|line| line.starts_with("syntax error") || line.starts_with("runtime error"))
    {
        bail!("birdc {command}: {refusal}");
    }
    Ok(text)
}

pub(super) async fn table(
    netns: &Netns,
    directory: &FilePath,
    prefix: Option<IpNet>,
) -> Result<BTreeMap<IpNet, Vec<Path>>> {
    let text = match prefix {
        Some(prefix) => ask(netns, directory, &format!("show route {prefix} all")).await?,
        None => ask(netns, directory, "show route all where source = RTS_BGP").await?,
    };
    parse_routes(&text)
}

pub(super) async fn prefix_count(netns: &Netns, directory: &FilePath) -> Result<u64> {
    // One line per table: `2 of 5 routes for 3 networks in table master4`; the last one is a total. Only the first number
    // obeys the filter, and with `primary` there is one route per prefix.
    let text = ask(netns, directory, "show route primary where source = RTS_BGP count").await?;
    let counts =
        text.lines().filter_map(|line| line.split_once(" of ")?.0.split_whitespace().last()?.parse().ok());
    Ok(counts.max().unwrap_or_default())
}

pub(super) async fn sessions(netns: &Netns, directory: &FilePath) -> Result<BTreeMap<IpAddr, Neighbor>> {
    parse_sessions(&ask(netns, directory, "show protocols all").await?)
}

fn parse_routes(text: &str) -> Result<BTreeMap<IpNet, Vec<Path>>> {
    let mut table: BTreeMap<IpNet, Vec<Path>> = BTreeMap::new();
    let mut prefix: Option<IpNet> = None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((before, after)) = line.split_once(" unicast [") else { continue };
        if !before.trim().is_empty() {
            prefix = Some(before.trim().parse().with_context(|| line.to_owned())?);
        }
        let mut attributes = BTreeMap::new();
        while let Some(attribute) = lines.next_if(|line| line.starts_with('\t')) {
            if let Some((name, value)) = attribute.trim().split_once(": ") {
                attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        // Routes of the kernel and of interfaces have none.
        let Some(next_hop) = attributes.get("BGP.next_hop") else { continue };
        let path = path(after, next_hop, &attributes).with_context(|| line.to_owned())?;
        table.entry(prefix.context("a path without a prefix")?).or_default().push(path);
    }
    Ok(table)
}

fn path(head: &str, next_hop: &str, attributes: &BTreeMap<String, String>) -> Result<Path> {
    let get = |name: &str| attributes.get(name).map(String::as_str);
    let number = |name: &str| get(name).and_then(|value| value.parse().ok());
    let tuples = |name: &str| -> Vec<String> {
        let text = get(name).unwrap_or_default();
        text.split(')').filter_map(|part| Some(part.split_once('(')?.1.to_owned())).collect()
    };
    let next_hop = next_hop.split_whitespace().next().unwrap_or_default();
    let communities: Option<_> = tuples("BGP.community").iter().map(|word| community(word)).collect();
    let large: Option<_> = tuples("BGP.large_community").iter().map(|word| large_community(word)).collect();
    Ok(Path {
        // The head is `n1_v4 12:00:00.000 from 10.20.0.11] * (100) [AS65001i]`, with `from` only where it differs.
        from: head.split_once(" from ").and_then(|(_, rest)| rest.split([']', ' ']).next()?.parse().ok()),
        next_hop: next_hop.parse().with_context(|| format!("next hop {next_hop}"))?,
        as_path: as_path(get("BGP.as_path").unwrap_or_default())?,
        communities: communities.context("communities")?,
        large_communities: large.context("large communities")?,
        local_preference: number("BGP.local_pref"),
        med: number("BGP.med"),
        valid: !head.contains("unreachable"),
        best: head.contains("] *"),
    })
}

/// BIRD writes a set in braces and confederation segments in brackets.
fn as_path(text: &str) -> Result<Vec<Segment>> {
    let mut path = Vec::new();
    let mut plain = Vec::new();
    let spaced = ["{", "}", "(", ")"]
        .iter()
        .fold(text.to_owned(), |text, bracket| text.replace(bracket, &format!(" {bracket} ")));
    let mut words = spaced.split_whitespace();
    while let Some(word) = words.next() {
        if !matches!(word, "{" | "(") {
            plain.push(word.parse().with_context(|| format!("AS path {text}"))?);
            continue;
        }
        if !plain.is_empty() {
            path.push(Segment::Sequence(std::mem::take(&mut plain)));
        }
        let confederation = word == "(";
        let inner: Vec<&str> = words.by_ref().take_while(|word| !matches!(*word, "}" | ")")).collect();
        let is_set = confederation && inner.first() == Some(&"{");
        let list: Vec<u32> = inner.iter().filter_map(|word| word.parse().ok()).collect();
        path.push(match (confederation, is_set) {
            (false, _) => Segment::Set(list),
            (true, false) => Segment::ConfederationSequence(list),
            (true, true) => Segment::ConfederationSet(list),
        });
    }
    if !plain.is_empty() {
        path.push(Segment::Sequence(plain));
    }
    Ok(path)
}

fn parse_sessions(text: &str) -> Result<BTreeMap<IpAddr, Neighbor>> {
    let mut neighbors = BTreeMap::new();
    // One block per protocol; its first line begins without a space.
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') && !line.is_empty() {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    for block in blocks.iter().filter(|block| block[0].split_whitespace().nth(1) == Some("BGP")) {
        let value = |name: &str| {
            block
                .iter()
                .find_map(|line| Some(line.trim().strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
        };
        let Some(address) = value("Neighbor address").and_then(|text| text.parse().ok()) else { continue };
        let imported = |channel: &str| {
            let lines = block.iter().skip_while(|line| line.trim() != format!("Channel {channel}"));
            let routes = lines.skip(1).take_while(|line| !line.trim().starts_with("Channel "));
            let mut routes = routes.filter_map(|line| line.trim().strip_prefix("Routes:"));
            routes.next().and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        neighbors.insert(
            address,
            Neighbor {
                state: value("BGP state").unwrap_or_default(),
                asn: value("Neighbor AS").and_then(|text| text.parse().ok()),
                prefixes_v4: imported("ipv4"),
                prefixes_v6: imported("ipv6"),
                established_count: None,
                last_error: value("Last error"),
            },
        );
    }
    Ok(neighbors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "BIRD 2.0.12 ready.\nTable master4:\n\
        203.0.113.1/32       unicast [n1_v4 05:55:55.123] * (100) [AS64512i]\n\tvia 10.20.0.11 on upstream\n\
        \tType: BGP univ\n\tBGP.origin: IGP\n\tBGP.as_path: 64512 64512\n\tBGP.next_hop: 10.20.0.11\n\
        \tBGP.local_pref: 100\n\tBGP.community: (65535,0) (64512,7)\n\tBGP.large_community: (64512, 1, 2)\n\
        \x20                    unicast [n2_v4 05:55:56.123] (100) [AS64512i]\n\tvia 10.20.0.12 on upstream\n\
        \tBGP.as_path: 64512 {1 2}\n\tBGP.next_hop: 10.20.0.12 fe80::1\n";

    #[test]
    fn routes_are_read_with_all_their_paths() {
        let table = parse_routes(ROUTES).unwrap();
        let paths = &table[&"203.0.113.1/32".parse::<IpNet>().unwrap()];
        assert_eq!(paths.len(), 2);
        assert!(paths[0].best && paths[0].is_leaving() && !paths[1].best);
        assert_eq!(paths[0].as_path, [Segment::Sequence(vec![64512, 64512])]);
        assert_eq!(paths[0].large_communities, [(64512, 1, 2)].into());
        assert_eq!(paths[1].as_path, [Segment::Sequence(vec![64512]), Segment::Set(vec![1, 2])]);
        assert_eq!(paths[1].next_hop.to_string(), "10.20.0.12");
    }

    #[test]
    fn sessions_are_read_by_address() {
        let text = "BIRD 2.0.12 ready.\nName       Proto      Table      State  Since         Info\n\
            n1_v4      BGP        ---        up     05:55:55.000  Established   \n  BGP state:          Established\n\
            \x20   Neighbor address: 10.20.0.11\n    Neighbor AS:      64512\n  Channel ipv4\n    State:          UP\n\
            \x20   Routes:         3 imported, 0 exported, 3 preferred\n  Channel ipv6\n    Routes:         1 imported\n\n";
        let sessions = parse_sessions(text).unwrap();
        let neighbor = &sessions[&"10.20.0.11".parse::<IpAddr>().unwrap()];
        assert!(neighbor.is_established());
        assert_eq!((neighbor.asn, neighbor.prefixes_v4, neighbor.prefixes_v6), (Some(64512), 3, 1));
    }
}
