//! Announcement.

use std::collections::BTreeSet;

use daymark_model::announcement::{TerminatingEndpoints, WithoutEndpoints};
use daymark_model::{Announcement, AnnouncementTarget, BgpAnnouncement, Community};

use super::field::{self, Problems, path};
use crate::crd::{self, BgpSettings, TerminatingEndpointsMode, WithoutEndpointsMode};
use crate::problem::Problem;

/// The announcement that an Announcement describes. What it names need not exist: see [`crate::references`].
pub fn announcement(object: &crd::Announcement) -> Result<Announcement, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let mut selector =
        |name, value: &Option<_>| field::selector(&mut problems, &path("spec", name), value.as_ref());
    let pool_selector = selector("poolSelector", &spec.pool_selector);
    let service_selector = selector("serviceSelector", &spec.service_selector);
    let namespace_selector = selector("namespaceSelector", &spec.namespace_selector);
    let node_selector = selector("nodeSelector", &spec.node_selector);
    let announcement = Announcement {
        name: super::name(&object.metadata).into(),
        created_at: super::created_at(&object.metadata),
        pools: field::names(&mut problems, "spec.pools", spec.pools.as_ref(), "an AddressPool"),
        pool_selector,
        service_selector,
        namespace_selector,
        node_selector,
        ignore_exclude_label: spec.ignore_exclude_label,
        without_endpoints: match spec.without_endpoints {
            WithoutEndpointsMode::Withdraw => WithoutEndpoints::Withdraw,
            WithoutEndpointsMode::Announce => WithoutEndpoints::Announce,
        },
        terminating_endpoints: match spec.terminating_endpoints {
            TerminatingEndpointsMode::Serve => TerminatingEndpoints::Serve,
            TerminatingEndpointsMode::Ignore => TerminatingEndpoints::Ignore,
        },
        target: AnnouncementTarget::Bgp(bgp(&mut problems, &spec.bgp)),
    };
    problems.finish(Some(announcement))
}

fn bgp(problems: &mut Problems, spec: &BgpSettings) -> BgpAnnouncement {
    let neighbors = field::names(problems, "spec.bgp.neighbors", spec.neighbors.as_ref(), "a BgpNeighbor");
    let neighbor_selector =
        field::selector(problems, "spec.bgp.neighborSelector", spec.neighbor_selector.as_ref());
    let communities: BTreeSet<Community> = spec
        .communities
        .iter()
        .enumerate()
        .filter_map(|(i, text)| {
            problems.take(format!("spec.bgp.communities[{i}]"), text.parse::<Community>())
        })
        .collect();
    let aggregate = spec.aggregate.clone().unwrap_or_default();
    let mut number = |name, value: Option<i64>, min, max| {
        value.and_then(|value| problems.take(path("spec.bgp", name), field::number::<u32>(value, min, max)))
    };
    let local_preference = number("localPreference", spec.local_preference, 0, u32::MAX.into());
    let med = number("med", spec.med, 0, u32::MAX.into());
    let mut length = |name, value: Option<i64>, min, max| {
        value.and_then(|value| problems.take(path("spec.bgp", name), field::number::<u8>(value, min, max)))
    };
    BgpAnnouncement {
        neighbors,
        neighbor_selector,
        communities,
        local_preference,
        med,
        prepend: length("prepend", Some(spec.prepend), 0, 32).unwrap_or_default(),
        aggregate_v4: length("aggregate.ipv4", aggregate.ipv4, 8, 32),
        aggregate_v6: length("aggregate.ipv6", aggregate.ipv6, 16, 128),
    }
}
