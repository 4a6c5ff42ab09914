//! A bridge with nodes and a client around it, each in a network namespace.

use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The interface of everybody around the bridge.
pub const UP: &str = "up0";
/// Addresses of Services, one of each family.
pub const VIPS: [&str; 2] = ["10.98.0.100", "2001:db8:98::100"];
const PATIENCE: Duration = Duration::from_secs(30);

/// The namespaces; gone when dropped, with whatever still runs in them.
pub struct Lan {
    prefix: String,
    spaces: Vec<String>,
}

impl Lan {
    /// A bridge, a client, and one namespace per name in `nodes`. `test` is the test's name.
    pub fn new(test: &str, nodes: &[&str]) -> Self {
        let tag: u32 = test.bytes().fold(7, |tag: u32, b| tag.wrapping_mul(31).wrapping_add(b.into()));
        let prefix = format!("dml2-{}-{:04x}", std::process::id(), tag & 0xffff);
        let mut lan = Self { prefix, spaces: Vec::new() };
        lan.space("lan");
        lan.ip("lan", "link add br0 type bridge");
        lan.ip("lan", "link set br0 up");
        for (number, name) in ["client"].iter().chain(nodes).enumerate() {
            lan.space(name);
            lan.plug(name);
            lan.ip(name, &format!("address add 10.98.0.{}/24 dev {UP}", number + 1));
            lan.ip(name, &format!("address add 2001:db8:98::{}/64 dev {UP} nodad", number + 1));
        }
        lan
    }

    fn space(&mut self, name: &str) {
        let space = self.named(name);
        said(&run("ip", &["netns", "add", &space]));
        self.spaces.push(space);
        self.ip(name, "link set lo up");
    }

    /// The namespace called `name`.
    pub fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Connects a namespace with the bridge; its end is called [`UP`].
    pub fn plug(&self, name: &str) {
        let (space, port) = (self.named(name), format!("p-{name}"));
        self.ip("lan", &format!("link add {port} type veth peer name {UP} netns {space}"));
        self.ip("lan", &format!("link set {port} master br0 up"));
        self.ip(name, &format!("link set {UP} up"));
    }

    /// Runs a program in a namespace.
    pub fn run(&self, name: &str, program: &str, arguments: &[&str]) -> Output {
        let space = self.named(name);
        run("ip", &[&["netns", "exec", &space, program], arguments].concat())
    }

    /// Runs a shell script in a namespace and returns what it said.
    pub fn sh(&self, name: &str, script: &str) -> String {
        said(&self.run(name, "bash", &["-ec", script]))
    }

    /// Runs `ip` in a namespace.
    pub fn ip(&self, name: &str, arguments: &str) -> String {
        let space = self.named(name);
        let arguments: Vec<_> = ["-n", &space].into_iter().chain(arguments.split(' ')).collect();
        said(&run("ip", &arguments))
    }

    /// Whether the kernel makes interfaces of a kind.
    pub fn makes(&self, kind: &str) -> bool {
        let space = self.named("lan");
        let made = run("ip", &["-n", &space, "link", "add", "try0", "type", kind]).status.success();
        if made {
            self.ip("lan", "link del try0");
        }
        made
    }

    /// The Ethernet address of an interface.
    pub fn mac(&self, name: &str, interface: &str) -> String {
        self.sh(name, &format!("cat /sys/class/net/{interface}/address")).trim().to_owned()
    }

    /// The Ethernet address that the client's kernel finds for `address` when it has to ask.
    pub fn resolves(&self, address: &str) -> Option<String> {
        let family = if address.contains(':') { "-6" } else { "-4" };
        // A refused datagram has been sent all the same.
        let shown = self.sh(
            "client",
            &format!(
                "ip {family} neigh flush to {address} dev {UP}
                (echo > /dev/udp/{address}/9) 2>/dev/null || true
                for _ in {{1..10}}; do ip {family} neigh show to {address} dev {UP}; sleep 0.02; done"
            ),
        );
        lladdr(&shown)
    }

    /// What the client's kernel has learned of `address`, without asking.
    pub fn knows(&self, address: &str) -> Option<String> {
        lladdr(&self.ip("client", &format!("neigh show to {address} dev {UP}")))
    }

    /// Waits until the client resolves `address` to the interface `interface` of the node `name`.
    pub fn until_answered_by(&self, address: &str, name: &str, interface: &str) {
        let mac = self.mac(name, interface);
        let what = format!("{address} is answered by {name} ({mac})");
        eventually(&what, || self.resolves(address), |found| found.as_deref() == Some(&mac));
    }

    /// Those who answer an ARP request for `address`, each once.
    pub fn answerers(&self, address: &str) -> Vec<String> {
        let output =
            self.run("client", "arping", &["-c", "3", "-W", "0.1", "-w", "2", "-r", "-i", UP, address]);
        let mut macs: Vec<_> =
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
        macs.sort();
        macs.dedup();
        macs
    }

    /// Listens on the client for ARP frames that claim `address`.
    pub fn listen(&self, address: &str) -> Listener {
        let space = self.named("client");
        let mut child = Command::new("ip")
            .args(["netns", "exec", &space, "python3", "-uc", CLAIMS, address, UP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        assert_eq!(ready, "listening\n");
        Listener { child, output }
    }
}

/// A process that listens for claims.
pub struct Listener {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Listener {
    /// The Ethernet addresses that claimed the address until now.
    pub fn heard(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let heard = self.output.lines().map(Result::unwrap).collect();
        self.child.wait().unwrap();
        heard
    }
}

/// Writes the Ethernet address of each sender of an ARP frame for an address, until its input ends.
const CLAIMS: &str = r#"
import select, socket, sys
target = socket.inet_aton(sys.argv[1])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.bind((sys.argv[2], 0x0806))
print("listening")
while True:
    ready, _, _ = select.select([s, sys.stdin], [], [])
    if s in ready:
        frame = s.recv(2048)
        if frame[28:32] == target:
            print(frame[22:28].hex(":"))
    elif sys.stdin in ready:
        break
"#;

impl Drop for Lan {
    fn drop(&mut self) {
        for space in &self.spaces {
            let pids = run("ip", &["netns", "pids", space]);
            for pid in String::from_utf8_lossy(&pids.stdout).lines() {
                run("kill", &["-9", pid]);
            }
            run("ip", &["netns", "del", space]);
        }
    }
}

fn lladdr(shown: &str) -> Option<String> {
    let mut words = shown.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// The standard output of a command that must not fail.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Asks again and again until the answer is as wanted.
pub fn eventually<T: Debug>(what: &str, mut ask: impl FnMut() -> T, holds: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let answer = ask();
        if holds(&answer) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}, but {answer:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
