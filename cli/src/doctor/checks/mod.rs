//! The checks, in the order in which they are told.

mod addresses;
mod cloud;
mod links;
mod mesh;
mod proxy;
#[cfg(test)]
mod tests;

use super::Chart;
use super::facts::Facts;

/// A check.
pub type Check = fn(&Facts, &mut Chart);

/// Every check with its name.
pub const ALL: [(&str, Check); 14] = [
    ("mesh-key", mesh::key),
    ("speakers", mesh::speakers),
    ("mesh-members", mesh::members),
    ("mesh-port", mesh::port),
    ("node-address", addresses::of_nodes),
    ("other-answerer", addresses::other_answerer),
    ("ipvs-strict-arp", proxy::strict_arp),
    ("kube-proxy", proxy::health),
    ("carrier", links::carrier),
    ("rp-filter", links::rp_filter),
    ("wifi", links::wifi),
    ("mtu", links::mtu),
    ("cloud-load-balancers", cloud::load_balancers),
    ("aws-load-balancer-controller", cloud::other_controller),
];

/// Whether some Announcement has `l2`; `None` when that is not known.
fn l2_in_use(facts: &Facts) -> Option<bool> {
    let announcements = facts.cluster.as_ref().ok()?.l2_announcements.as_ref().ok()?;
    Some(!announcements.is_empty())
}
