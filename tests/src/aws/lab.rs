//! The way from a lab's namespaces to a proxy, which is in the root namespace: by the API server's host, which alone has an
//! interface there.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use super::moto::Moto;
use super::proxy::FaultProxy;
use crate::lab::Lab;

impl FaultProxy {
    /// Starts one that every host of the lab's node network reaches: controllers, nodes and their pods.
    ///
    /// # Errors
    /// When no port is free, or the kernel refuses the way.
    pub async fn in_lab(lab: &Lab, moto: &Moto, account: &str) -> Result<Self> {
        let host = lab.control_plane().netns();
        let links = host.ip("-json -4 address show dev root").await?;
        let links: Vec<serde_json::Value> = serde_json::from_str(&links)?;
        let own = links.first().and_then(|link| link["addr_info"][0]["local"].as_str());
        let own: Ipv4Addr =
            own.context("the API server's host has no address towards the root namespace")?.parse()?;
        // The other one of the /30.
        let root = Ipv4Addr::from(u32::from(own) ^ 3);
        let mut proxy = Self::start_on(root.into(), moto, account).await?;
        let (inside, port) = (lab.control_plane().address(), proxy.port());
        host.sysctl(&[("ipv4/ip_forward", "1")]).await?;
        let script = format!(
            "table ip aws_{port} {{\n\
             chain to {{\ntype nat hook prerouting priority dstnat;\n\
             ip daddr {inside} tcp dport {port} dnat to {root}\n}}\n\
             chain from {{\ntype nat hook postrouting priority srcnat;\noifname \"root\" masquerade\n}}\n}}\n"
        );
        host.nft(&script).await?;
        proxy.seen_at(inside.into());
        Ok(proxy)
    }
}
