//! The programs that the lab runs, where they are, and what to do when one is missing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Programs from Debian.
const DEBIAN: &[&str] =
    &["ip", "nft", "iptables", "conntrack", "vtysh", "bird", "birdc", "curl", "nsenter", "tcpdump"];
/// Where Debian keeps FRR's daemons.
pub const FRR_DAEMONS: &str = "/usr/lib/frr";

/// The project's root.
pub fn project() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// The control plane's program.
pub fn kubelab() -> PathBuf {
    std::env::var_os("KUBELAB").map_or_else(|| project().join("target/kubelab"), PathBuf::from)
}

/// `kubectl`.
pub fn kubectl() -> PathBuf {
    project().join("target/tools/kubectl")
}

/// The folder with Daymark's binaries and the lab's own: `DAYMARK_BIN_DIR`, else where cargo put this program.
///
/// # Errors
/// When this program's own path is not known.
pub fn binaries() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("DAYMARK_BIN_DIR") {
        return Ok(PathBuf::from(directory));
    }
    let program = std::env::current_exe().context("the path of this program")?;
    let directory = program.parent().context("this program has no folder")?;
    // Test programs lie in target/<profile>/deps, binaries one higher.
    let directory =
        if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    Ok(directory.to_path_buf())
}

/// A binary of this workspace.
///
/// # Errors
/// When it has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = binaries()?.join(name);
    if !path.exists() {
        bail!(
            "{} is not built; run `make test`, or `cargo build --bins` and set DAYMARK_BIN_DIR",
            path.display()
        );
    }
    Ok(path)
}

/// Fails, with what to do, when this machine cannot run a lab.
///
/// # Errors
/// Without root, or when a program is missing.
pub fn check() -> Result<()> {
    if std::fs::metadata("/proc/self").context("/proc is not mounted")?.uid() != 0 {
        bail!("the lab needs root: it makes network namespaces; run `sudo make test`");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let present = |name: &str| path.split(':').any(|folder| Path::new(folder).join(name).exists());
    let mut missing: Vec<&str> = DEBIAN.iter().copied().filter(|name| !present(name)).collect();
    if !Path::new(FRR_DAEMONS).join("bgpd").exists() {
        missing.push("bgpd");
    }
    if !kubectl().exists() {
        missing.push("kubectl");
    }
    if !missing.is_empty() {
        bail!("the lab needs {}; run tests/setup/install.sh", missing.join(", "));
    }
    if !kubelab().exists() {
        bail!("the control plane is not built; run `make kubelab` (tests/setup/kubelab.sh)");
    }
    Ok(())
}
