//! Announcement.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_model::announcement::{TerminatingEndpoints, WithoutEndpoints};
use daymark_model::{
    Announcement, AnnouncementTarget, BgpAnnouncement, Community, Failback, InterfacePattern, L2Announcement,
    PreferredNodes, TimingProfile,
};

use super::field::{self, Either, Problems, path};
use crate::crd::{
    self, BgpSettings, FailbackMode, L2Settings, TerminatingEndpointsMode, TimingProfileMode,
    WithoutEndpointsMode,
};
use crate::problem::{Fault, Problem};

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
    let pools = field::names(&mut problems, "spec.pools", spec.pools.as_ref(), "an AddressPool");
    let way = problems
        .take("spec", field::exactly_one("spec.bgp and spec.l2", spec.bgp.as_ref(), spec.l2.as_ref()));
    let target = way.map(|way| match way {
        Either::First(spec) => AnnouncementTarget::Bgp(bgp(&mut problems, spec)),
        Either::Second(spec) => AnnouncementTarget::L2(l2(&mut problems, spec)),
    });
    let announcement = target.map(|target| Announcement {
        name: super::name(&object.metadata).into(),
        created_at: super::created_at(&object.metadata),
        pools,
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
        target,
    });
    problems.finish(announcement)
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

fn l2(problems: &mut Problems, spec: &L2Settings) -> L2Announcement {
    let interfaces = spec.interfaces.as_ref().map(|patterns| {
        if patterns.is_empty() {
            let remedy = "name at least one, or leave the field out for those that fit the address";
            problems.add("spec.l2.interfaces", Fault::Empty { remedy });
        }
        let patterns = patterns.iter().enumerate().filter_map(|(i, text)| {
            problems.take(format!("spec.l2.interfaces[{i}]"), text.parse::<InterfacePattern>())
        });
        patterns.collect()
    });
    let mut preferred_nodes = Vec::new();
    for (i, preferred) in spec.preferred_nodes.iter().enumerate() {
        let field = format!("spec.l2.preferredNodes[{i}]");
        let weight = problems.take(path(&field, "weight"), field::number::<u32>(preferred.weight, 1, 100));
        let selector = field::selector(problems, &path(&field, "selector"), Some(&preferred.selector));
        preferred_nodes
            .extend(weight.zip(selector).map(|(weight, selector)| PreferredNodes { weight, selector }));
    }
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    let refresh = field::duration_within(&spec.refresh, "0s (none) or 1s to 24h", |refresh| {
        refresh.is_zero() || allowed.contains(&refresh)
    });
    let refresh = problems.take("spec.l2.refresh", refresh).unwrap_or(L2Announcement::DEFAULT_REFRESH);
    L2Announcement {
        interfaces,
        preferred_nodes,
        refresh: (!refresh.is_zero()).then_some(refresh),
        failback: match spec.failback {
            FailbackMode::Gradual => Failback::Gradual,
            FailbackMode::Never => Failback::Never,
            FailbackMode::Immediate => Failback::Immediate,
        },
        profile: match spec.profile {
            TimingProfileMode::Fast => TimingProfile::Fast,
            TimingProfileMode::Relaxed => TimingProfile::Relaxed,
        },
    }
}
