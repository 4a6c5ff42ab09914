//! Ready-made lines for a look around in a lab that stays up; the lab itself adds those for its namespaces.

use daymark_tests::{Lab, Result, tools};

use crate::scenery::{BIRD, FRR};
use crate::stage::Stage;

/// Whether `KEEP` asks for it.
pub fn is_kept() -> bool {
    std::env::var("KEEP").is_ok_and(|value| value != "0" && !value.is_empty())
}

/// Prints the lines.
pub fn print(stage: &Stage, lab: &Lab) -> Result<()> {
    stage.say("\nTo look at Daymark:");
    for line in lines(lab)? {
        stage.say(&format!("  {line}"));
    }
    Ok(())
}

fn lines(lab: &Lab) -> Result<Vec<String>> {
    let directory = lab.directory().display().to_string();
    let kubectl = format!("{} --kubeconfig {directory}/admin.kubeconfig", tools::kubectl().display());
    let inside = |netns: &daymark_tests::netns::Netns| format!("ip netns exec {}", netns.name());
    let (frr, bird) = (inside(lab.router(FRR)?.netns()), inside(lab.router(BIRD)?.netns()));
    let (client, node) = (inside(lab.client()?.netns()), inside(lab.node("n1")?.netns()));
    Ok(vec![
        format!("{kubectl} get services,dmpool,dmclaim,dmann,dmnbr,dmspk"),
        format!("{kubectl} describe service web"),
        format!("{kubectl} get dmspk n1 -o yaml"),
        format!(
            "{frr} vtysh --vty_socket {directory}/{FRR} --config_dir {directory}/{FRR} -c 'show bgp ipv4 unicast'"
        ),
        format!("{bird} birdc -s {directory}/{BIRD}/bird.ctl show route"),
        format!("{client} curl http://203.0.113.10/"),
        format!("{client} curl -g 'http://[2001:db8::10]/'"),
        format!("{node} curl -s http://127.0.0.1:7472/debug/services"),
        format!("{node} curl -s http://127.0.0.1:7472/metrics"),
        format!("less {directory}/logs/controller-a.log {directory}/logs/speaker-n1.log"),
    ])
}
