//! kube-proxy.

use crate::doctor::Chart;
use crate::doctor::facts::{Facts, HostInterface};

/// The interface to which kube-proxy in IPVS mode binds the address of every Service.
const IPVS: &str = "kube-ipvs0";
const STRICT: &str = "set strictARP: true in the section ipvs of kube-proxy's configuration and restart it (or \
                      net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2 on every node)";

/// With IPVS every node has every address of a Service on an interface, and the kernel answers ARP for it on all others
/// unless told to be strict.
pub(super) fn strict_arp(facts: &Facts, chart: &mut Chart) {
    let configured = facts.cluster.as_ref().map(|cluster| cluster.proxy.as_ref());
    if let Ok(Ok(Some(config))) = &configured
        && config.mode == "ipvs"
        && !config.strict_arp
    {
        chart.problem(
            "",
            "kube-proxy runs in IPVS mode without strictARP: every node answers ARP for every Service",
            STRICT,
        );
    }
    match &facts.host {
        Ok(host) if host.interfaces.iter().any(|interface| interface.name == IPVS) => {
            let vips = facts.vips();
            for interface in host.interfaces.iter().filter(|interface| interface.concerns(&vips)) {
                if !is_strict(interface) {
                    chart.problem(
                        &interface.name,
                        format!(
                            "{IPVS} is there, arp_ignore is {} and arp_announce {}: the kernel answers ARP for every \
                             Service itself",
                            shown(interface.arp_ignore),
                            shown(interface.arp_announce)
                        ),
                        STRICT,
                    );
                }
            }
            chart.unless_found("IPVS mode, with strict ARP");
        }
        Ok(_) => chart.unless_found("this node is not in IPVS mode"),
        Err(host) => match configured {
            Ok(Ok(Some(config))) if config.mode != "ipvs" => {
                chart.unless_found("kube-proxy is not in IPVS mode")
            }
            Ok(Ok(Some(_))) => chart.unless_found("IPVS mode, with strictARP"),
            Ok(Ok(None)) => chart.skipped(format!("there is no ConfigMap kube-system/kube-proxy; {host}")),
            Ok(Err(why)) => {
                chart.skipped(format!("kube-proxy's configuration cannot be read: {why}; {host}"))
            }
            Err(why) => chart.skipped(why),
        },
    }
}

fn is_strict(interface: &HostInterface) -> bool {
    interface.arp_ignore.is_some_and(|value| value >= 1)
        && interface.arp_announce.is_some_and(|value| value >= 2)
}

fn shown(value: Option<u8>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| value.to_string())
}

/// kube-proxy says that it works.
pub(super) fn health(facts: &Facts, chart: &mut Chart) {
    let restart =
        "see the log of kube-proxy on the node; until it is well the node is the last one to answer";
    if let Ok(cluster) = &facts.cluster {
        for speaker in &cluster.speakers {
            if speaker.status.facts.proxy.as_deref() == Some("Demoted") {
                chart.problem(&speaker.metadata.name, "kube-proxy there is behind or silent", restart);
            }
        }
    }
    match &facts.host {
        Ok(host) => match &host.proxy_health {
            Ok(200) => chart.unless_found("kube-proxy of this node is healthy"),
            Ok(code) => chart.problem("", format!("kube-proxy of this node answers {code} to /healthz"), restart),
            Err(why) => chart.warning(
                "",
                format!("kube-proxy of this node cannot be asked: {why}"),
                "start it, or give --proxy-health-address; with another service proxy nothing is wrong, and each \
                 announcement waits for --announce-delay",
            ),
        },
        Err(_) if facts.cluster.is_ok() => chart.unless_found("no speaker has demoted its node"),
        Err(why) => chart.skipped(why),
    }
}
