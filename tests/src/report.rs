//! What `lab-load` and `lab-backend` say, as JSON. Kept apart from the rest of the crate: these programs link nothing of
//! Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a backend answers to each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The pod that answered.
    pub pod: String,
    /// The address that the pod saw as its client's.
    pub client: IpAddr,
    /// The port that the pod saw as its client's.
    pub client_port: u16,
    /// The pod's port on which the request came.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// One request that was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was sent, in milliseconds after the start.
    pub sent_ms: u64,
    /// How long it took to fail, in milliseconds.
    pub took_ms: u64,
    /// When it was sent, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Whether the connection stood already: then not a new connection failed, but an open one broke.
    pub connected: bool,
    /// What went wrong.
    pub error: String,
}

impl Failure {
    /// A reset in `connect` is one after the SYN-ACK: before it, Linux says that the connection was refused.
    fn was_open_and_reset(&self) -> bool {
        self.error.contains("reset by peer") || (self.connected && self.error.contains("Broken pipe"))
    }
}

/// What became of all requests of one run of `lab-load`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How long requests were sent, in milliseconds.
    pub duration_ms: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered in time.
    pub answered: u64,
    /// Requests not answered in time.
    pub failed: u64,
    /// The failures, at most the first 1,000.
    pub failures: Vec<Failure>,
    /// Answers by pod.
    pub answers_by_pod: BTreeMap<String, u64>,
    /// Client addresses that the pods saw.
    pub clients_seen: BTreeSet<IpAddr>,
    /// Answers that took longer than half a second: when they were asked for, in milliseconds since 1970, and how long they
    /// took, in milliseconds; at most the first 100.
    pub slow: Vec<(u64, u64)>,
    /// The time that the slowest answer took, in microseconds.
    pub slowest_us: u64,
    /// The median time of an answer, in microseconds.
    pub median_us: u64,
    /// How late the most delayed request was sent, in microseconds: shows a load generator without CPU time.
    pub latest_start_us: u64,
    /// The namespace's TCPSynRetrans before the first request.
    pub syn_retrans_before: u64,
    /// The namespace's TCPSynRetrans after the last request.
    pub syn_retrans_after: u64,
}

impl Report {
    /// Requests whose connection could not even be opened, and answers that never came.
    pub fn not_served(&self) -> Vec<&Failure> {
        self.failures.iter().filter(|failure| !failure.was_open_and_reset()).collect()
    }

    /// Connections that were open and reset. A router that gets one next hop more or less moves some of its flows to
    /// another node (RFC 2992), which does not know the connections among them that are open.
    pub fn open_and_reset(&self) -> usize {
        self.failures.iter().filter(|failure| failure.was_open_and_reset()).count()
    }

    /// SYNs that the kernel of the client's namespace sent again during the run.
    pub fn syn_retrans(&self) -> u64 {
        self.syn_retrans_after.saturating_sub(self.syn_retrans_before)
    }
}

/// One line on the standard output of `lab-load`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// How far it is; four lines per second.
    Progress {
        /// Requests sent.
        sent: u64,
        /// Requests answered in time.
        answered: u64,
        /// Requests not answered in time.
        failed: u64,
    },
    /// The result; the last line.
    Report(Report),
}

/// A counter out of the text of `/proc/net/netstat` or `/proc/net/snmp`: pairs of lines, names then values.
pub fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(2).find_map(|pair| {
        let [names, values] = pair else { return None };
        let position = names.split_whitespace().position(|word| word == name)?;
        values.split_whitespace().nth(position)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn counters_stand_below_their_names() {
        let text = "TcpExt: SyncookiesSent TCPSynRetrans\nTcpExt: 1 42\nIpExt: InNoRoutes\nIpExt: 7\n";
        assert_eq!(counter(text, "TCPSynRetrans"), Some(42));
        assert_eq!(counter(text, "InNoRoutes"), Some(7));
        assert_eq!(counter(text, "Absent"), None);
    }
}
