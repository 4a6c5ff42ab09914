//! What the speaker is told on its command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use daymark_kube::daemon::CommonFlags;

/// Announces the addresses of Services from this node
#[derive(Debug, Clone, Parser)]
#[command(name = "daymark-speaker", version)]
pub struct Flags {
    /// Flags that every daemon has.
    #[command(flatten)]
    pub common: CommonFlags,

    /// The name of the Node object of the node this runs on
    #[arg(long, env = "DAYMARK_NODE_NAME", value_name = "NAME", value_parser = node_name)]
    pub node_name: String,

    /// How long routes carry the community GRACEFUL_SHUTDOWN (RFC 8326) before they are withdrawn by a drain or a stop
    #[arg(long, env = "DAYMARK_DRAIN_WAIT", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub drain_wait: Duration,

    /// How long an announcement waits where kube-proxy says nothing of its rules
    #[arg(long, env = "DAYMARK_ANNOUNCE_DELAY", value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub announce_delay: Duration,

    /// The UDP port of the speakers' mesh over the node network; the same on all nodes
    #[arg(
        long,
        env = "DAYMARK_MESH_PORT",
        value_name = "PORT",
        default_value_t = 7947,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub mesh_port: u16,

    /// Where kube-proxy serves its metrics
    #[arg(
        long,
        env = "DAYMARK_PROXY_METRICS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:10249"
    )]
    pub proxy_metrics_address: SocketAddr,

    /// Where kube-proxy serves /healthz
    #[arg(
        long,
        env = "DAYMARK_PROXY_HEALTH_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:10256"
    )]
    pub proxy_health_address: SocketAddr,
}

/// The longest duration that a flag takes.
const LONGEST: Duration = Duration::from_secs(600);

fn duration(text: &str) -> Result<Duration, String> {
    let read: jiff::SignedDuration =
        text.parse().map_err(|_| "write a duration such as 5s or 300ms".to_owned())?;
    let duration = Duration::try_from(read).map_err(|_| "a duration is not negative".to_owned())?;
    if duration > LONGEST { Err(format!("at most {} s", LONGEST.as_secs())) } else { Ok(duration) }
}

fn node_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("empty: give the name of the Node object, in a pod from spec.nodeName".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_their_unit() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for refused in ["5", "-5s", "1h", ""] {
            assert!(duration(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn the_nodes_name_is_needed() {
        assert!(Flags::try_parse_from(["daymark-speaker", "--node-name", ""]).is_err());
        let flags = Flags::try_parse_from(["daymark-speaker", "--node-name", "n1"]).unwrap();
        assert_eq!((flags.node_name.as_str(), flags.drain_wait), ("n1", Duration::from_secs(5)));
    }
}
