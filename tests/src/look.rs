//! What a person needs to look around in a lab that was kept.

use crate::sweep::LabId;
use crate::tools;

/// Prints ready-made lines for each part of the lab.
pub fn print(lab: LabId, name: &str) {
    eprintln!("\nlab {lab} ({name}) is kept. To look around:");
    for line in lines(lab) {
        eprintln!("  {line}");
    }
}

/// The lines: what to type, one per part.
pub fn lines(lab: LabId) -> Vec<String> {
    let directory = lab.directory();
    let shown = directory.display();
    let mut lines = vec![
        format!(
            "{} --kubeconfig {shown}/admin.kubeconfig get nodes,pods,services -A",
            tools::kubectl().display()
        ),
        format!("ls {shown}/logs"),
    ];
    let prefix = lab.netns("");
    let mut namespaces = lab.namespaces();
    namespaces.sort();
    for netns in namespaces {
        let host = netns.strip_prefix(&prefix).unwrap_or_default().to_owned();
        let files = directory.join(&host);
        if files.join("bgpd.conf").exists() {
            let files = files.display();
            lines.push(format!(
                "ip netns exec {netns} vtysh --vty_socket {files} --config_dir {files} -c 'show bgp summary'"
            ));
        } else if files.join("bird.conf").exists() {
            lines.push(format!("ip netns exec {netns} birdc -s {}/bird.ctl show protocols", files.display()));
        } else {
            lines.push(format!("ip netns exec {netns} ip -brief address"));
        }
    }
    lines.push("to remove it: cargo run -p daymark-tests --bin lab-sweep -- --kept".to_owned());
    lines
}
