//! Which labs there are on this machine, and the removal of what a lab made: processes, namespaces, the one interface in
//! the root namespace, the directory.
//!
//! Every lab has a directory `<temporary>/daymark-lab/<pid>-<n>` with a file `owner`, and every namespace of it is named
//! `dm-<pid>-<n>-<host>`. A lab whose process no longer lives is swept when the next one starts, unless it was kept.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// 198.18.0.0/15 (RFC 2544, for benchmarks) holds this many /30 networks.
const SLOTS: u32 = 1 << 15;
const KEPT: &str = "kept";

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Names one lab on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabId {
    pid: u32,
    number: u32,
}

impl LabId {
    /// The name of this lab's namespace for `host`.
    pub fn netns(self, host: &str) -> String {
        format!("dm-{self}-{host}")
    }

    /// The name of this lab's only interface in the root namespace; at most 15 characters.
    pub fn root_interface(self) -> String {
        format!("dm{self}")
    }

    /// The directory with this lab's sockets, kubeconfigs and logs.
    pub fn directory(self) -> PathBuf {
        base().join(self.to_string())
    }

    /// The names of all namespaces that this lab has now.
    pub fn namespaces(self) -> Vec<String> {
        let prefix = self.netns("");
        namespaces().into_iter().filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Says that this lab stays when its process ends.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn keep(self) -> Result<()> {
        fs::write(self.directory().join(KEPT), "").context("the lab cannot be marked as kept")
    }

    fn is_kept(self) -> bool {
        self.directory().join(KEPT).exists()
    }

    fn is_alive(self) -> bool {
        let Some(now) = start_time(self.pid) else { return false };
        match owner(self) {
            Some(owner) => owner.start_time == now,
            None => true,
        }
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.number)
    }
}

impl FromStr for LabId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pid, number) = text.split_once('-').context("a lab is named PID-NUMBER")?;
        Ok(Self { pid: pid.parse()?, number: number.parse()? })
    }
}

/// A new lab's name and the two addresses between the root namespace and its API server.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// The lab's name.
    pub id: LabId,
    /// The address in the root namespace, of a /30.
    pub root_address: Ipv4Addr,
    /// The API server's address in the same /30.
    pub server_address: Ipv4Addr,
}

/// Registers a new lab of this process.
///
/// # Errors
/// When its directory cannot be made or no address is left.
pub fn register() -> Result<Registration> {
    let _lock = lock()?;
    let id = LabId { pid: std::process::id(), number: COUNTER.fetch_add(1, Ordering::Relaxed) };
    let taken: BTreeSet<u32> = labs().into_iter().filter_map(owner).map(|owner| owner.slot).collect();
    let Some(slot) = (0..SLOTS).find(|slot| !taken.contains(slot)) else {
        bail!("no /30 of 198.18.0.0/15 is left")
    };
    let directory = id.directory();
    fs::create_dir_all(directory.join("logs"))
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    let start_time = start_time(id.pid).context("/proc does not show this process")?;
    fs::write(directory.join("owner"), format!("{start_time} {slot}"))?;
    let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + slot * 4;
    Ok(Registration {
        id,
        root_address: Ipv4Addr::from(network + 1),
        server_address: Ipv4Addr::from(network + 2),
    })
}

/// Removes every lab whose process no longer lives; those that were kept only with `Kept::Remove`.
///
/// # Errors
/// When something of them resists.
pub fn sweep(kept: Kept) -> Result<Vec<LabId>> {
    let _lock = lock()?;
    let mut dead = all();
    dead.retain(|lab| !lab.is_alive() && (kept == Kept::Remove || !lab.is_kept()));
    for lab in &dead {
        remove(*lab)?;
    }
    Ok(dead)
}

/// What a sweep does with labs that were kept for a look around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They stay.
    Leave,
    /// They go.
    Remove,
}

/// Removes all that `lab` made. Nothing there is no error.
///
/// # Errors
/// When its processes do not die or a namespace stays.
pub fn remove(lab: LabId) -> Result<()> {
    let names = lab.namespaces();
    kill_processes(&names)?;
    for name in &names {
        quiet("ip", &["netns", "del", name]);
    }
    let interface = lab.root_interface();
    if PathBuf::from("/sys/class/net").join(&interface).exists() {
        quiet("ip", &["link", "del", &interface]);
    }
    let directory = lab.directory();
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("{} stays", directory.display()))?;
    }
    let left = lab.namespaces();
    if !left.is_empty() {
        bail!("these namespaces stay: {}", left.join(" "));
    }
    Ok(())
}

/// Kills every process in the namespaces and waits until they are gone.
fn kill_processes(namespaces: &[String]) -> Result<()> {
    let inodes: BTreeSet<u64> = namespaces
        .iter()
        .filter_map(|name| fs::metadata(format!("/run/netns/{name}")).ok())
        .map(|meta| meta.ino())
        .collect();
    for _ in 0..500 {
        let pids = processes_in(&inodes);
        if pids.is_empty() {
            return Ok(());
        }
        let mut arguments = vec!["-KILL".to_owned()];
        arguments.extend(pids.iter().map(u32::to_string));
        quiet("kill", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        sleep(Duration::from_millis(10));
    }
    bail!("these processes do not die: {:?}", processes_in(&inodes))
}

fn processes_in(namespaces: &BTreeSet<u64>) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // A zombie has no namespace any more; whoever started it reaps it.
    pids.filter(|pid| {
        fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|meta| namespaces.contains(&meta.ino()))
    })
    .collect()
}

fn all() -> Vec<LabId> {
    let mut labs: BTreeSet<LabId> = labs().into_iter().collect();
    labs.extend(namespaces().iter().filter_map(|name| {
        let mut words = name.strip_prefix("dm-")?.splitn(3, '-');
        Some(LabId { pid: words.next()?.parse().ok()?, number: words.next()?.parse().ok()? })
    }));
    labs.into_iter().collect()
}

fn labs() -> Vec<LabId> {
    names_in(base()).iter().filter_map(|name| name.parse().ok()).collect()
}

fn namespaces() -> Vec<String> {
    names_in(PathBuf::from("/run/netns"))
}

fn names_in(directory: PathBuf) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

struct Owner {
    start_time: u64,
    slot: u32,
}

fn owner(lab: LabId) -> Option<Owner> {
    let text = fs::read_to_string(lab.directory().join("owner")).ok()?;
    let (start_time, slot) = text.split_once(' ')?;
    Some(Owner { start_time: start_time.parse().ok()?, slot: slot.trim().parse().ok()? })
}

/// When a process started, in clock ticks since boot: tells it from a later one with the same number.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc_pid_stat(5): the name in brackets may hold anything; field 22 is the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn base() -> PathBuf {
    std::env::temp_dir().join("daymark-lab")
}

fn lock() -> Result<File> {
    fs::create_dir_all(base()).with_context(|| format!("{} cannot be made", base().display()))?;
    let file = File::create(base().join("lock")).context("the lock file of all labs")?;
    file.lock().context("the lock of all labs")?;
    Ok(file)
}

/// For removals: what is gone already is well.
fn quiet(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    let _ = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_for_an_interface() {
        let lab = LabId { pid: 4_194_304, number: 99_999 };
        assert!(lab.root_interface().len() <= 15, "{}", lab.root_interface());
        assert_eq!(lab.to_string().parse::<LabId>().unwrap(), lab);
    }

    #[test]
    fn this_process_is_alive_and_has_a_start_time() {
        assert!(start_time(std::process::id()).is_some());
        assert!(LabId { pid: std::process::id(), number: 77_777 }.is_alive());
    }
}
