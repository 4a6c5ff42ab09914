//! BIRD and FRR on the router.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::lab::{Lab, NODE, ROUTER, eventually, said, write};

/// What the router does about the node.
pub struct Side {
    /// Its own AS.
    pub asn: u32,
    /// The AS it expects of the node.
    pub node_asn: u32,
    /// More lines for the neighbor.
    pub extra: &'static str,
}

/// A running BIRD; killed when dropped.
pub struct Bird {
    child: Child,
    socket: PathBuf,
}

impl Bird {
    /// Sessions `n4` and `n6` with the node, which BIRD does not open itself unless `extra` says so.
    pub async fn start(lab: &Lab, side: &Side) -> Self {
        Self::start_with(lab, side, "import table on;").await
    }

    /// One that keeps no copy of what it heard, so that it must ask for it.
    pub async fn start_without_import_table(lab: &Lab, side: &Side) -> Self {
        Self::start_with(lab, side, "").await
    }

    async fn start_with(lab: &Lab, side: &Side, channel: &str) -> Self {
        let mut text = format!(
            "router id {};\nlog stderr all;\nprotocol device {{ }}\ndebug protocols {{ states, events }};\n",
            ROUTER[0]
        );
        for (name, at) in [("n4", 0), ("n6", 1)] {
            text += &format!(
                "protocol bgp {name} {{\n local {} as {};\n neighbor {} as {};\n error wait time 1, 2;\n {}\n \
                 ipv4 {{ import all; export none; {channel} }};\n \
                 ipv6 {{ import all; export none; {channel} }};\n}}\n",
                ROUTER[at], side.asn, NODE[at], side.node_asn, side.extra
            );
        }
        let (config, socket) = (lab.file("bird.conf"), lab.file("bird.ctl"));
        write(&config, &text);
        let child = lab
            .on_router("bird")
            .args(["-f", "-c"])
            .arg(&config)
            .arg("-s")
            .arg(&socket)
            .arg("-P")
            .arg(lab.file("bird.pid"))
            .stderr(std::fs::File::create(lab.file("bird.log")).unwrap())
            .spawn()
            .unwrap();
        let bird = Self { child, socket };
        eventually(
            "BIRD answers",
            || bird.try_ask("show status"),
            |answer| answer.contains("up and running"),
        )
        .await;
        bird
    }

    fn try_ask(&self, command: &str) -> String {
        let output =
            Command::new("birdc").arg("-s").arg(&self.socket).args(command.split(' ')).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command)
    }

    /// Everything BIRD knows about a prefix.
    pub fn route(&self, prefix: &str) -> String {
        self.ask(&format!("show route {prefix} all"))
    }

    /// How many routes a session has imported, of both families.
    pub fn imported(&self, session: &str) -> usize {
        let text = self.ask(&format!("show protocols all {session}"));
        let counts = text.lines().filter_map(|line| line.trim().strip_prefix("Routes:"));
        counts.filter_map(|line| line.split_whitespace().next()?.parse::<usize>().ok()).sum()
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running bgpd of FRR, without zebra; killed when dropped.
pub struct Frr {
    child: Child,
    directory: PathBuf,
}

impl Frr {
    pub async fn start(lab: &Lab, side: &Side) -> Self {
        let mut text = format!(
            "log stdout debugging\ndebug bgp neighbor-events\nrouter bgp {}\n bgp router-id {}\n \
             no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n",
            side.asn, ROUTER[0]
        );
        for node in NODE {
            text +=
                &format!(" neighbor {node} remote-as {}\n neighbor {node} timers connect 1\n", side.node_asn);
            for line in side.extra.lines() {
                text += &format!(" neighbor {node} {line}\n");
            }
        }
        for family in ["ipv4", "ipv6"] {
            text += &format!(" address-family {family} unicast\n");
            for node in NODE {
                text +=
                    &format!("  neighbor {node} activate\n  neighbor {node} soft-reconfiguration inbound\n");
            }
            text += " exit-address-family\n";
        }
        let directory = lab.directory.path().to_owned();
        let config = lab.file("bgpd.conf");
        write(&config, &text);
        let child = lab
            .on_router("/usr/lib/frr/bgpd")
            .args(["-Z", "-S", "-f"])
            .arg(&config)
            .arg("-i")
            .arg(lab.file("bgpd.pid"))
            .arg("--vty_socket")
            .arg(&directory)
            .args(["-P", "0"])
            .stdout(std::fs::File::create(lab.file("bgpd.log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let frr = Self { child, directory };
        eventually("FRR answers", || frr.vtysh("show version").status.success(), |ok| *ok).await;
        frr
    }

    fn vtysh(&self, command: &str) -> std::process::Output {
        Command::new("vtysh")
            .arg("--vty_socket")
            .arg(&self.directory)
            .args(["-d", "bgpd", "-c", command])
            .output()
            .unwrap()
    }

    pub fn ask(&self, command: &str) -> String {
        said(&self.vtysh(command))
    }

    pub fn json(&self, command: &str) -> Value {
        let text = self.ask(&format!("{command} json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"))
    }

    /// The paths of a prefix.
    pub fn paths(&self, prefix: &str) -> Vec<Value> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let value = self.json(&format!("show bgp {family} unicast {prefix}"));
        value["paths"].as_array().cloned().unwrap_or_default()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("bgpd.log")).unwrap()
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
