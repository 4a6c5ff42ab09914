//! How many of what there may be.

use daymark_aws::api::Limit;

/// Quotas of the account; the defaults are AWS's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Network load balancers in the region.
    pub load_balancers: u32,
    /// Target groups in the region.
    pub target_groups: u32,
    /// Listeners of a load balancer.
    pub listeners: u32,
    /// Targets of a target group.
    pub targets_per_group: u32,
    /// Targets of a load balancer.
    pub targets_per_load_balancer: u32,
    /// Targets of a load balancer in a zone; with cross-zone load balancing, in all zones together.
    pub targets_per_zone: u32,
    /// Certificates of a load balancer beside the default ones.
    pub certificates: u32,
    /// Target groups that one listener forwards to.
    pub target_groups_per_action: u32,
    /// Rules of a security group, for each family.
    pub rules: u32,
    /// Security groups of a network interface.
    pub groups_per_interface: u32,
    /// Security groups in a VPC.
    pub groups_per_vpc: u32,
    /// Tags of a resource.
    pub tags: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            load_balancers: 50,
            target_groups: 3000,
            listeners: 50,
            targets_per_group: 1000,
            targets_per_load_balancer: 3000,
            targets_per_zone: 500,
            certificates: 25,
            target_groups_per_action: 5,
            rules: 60,
            groups_per_interface: 5,
            groups_per_vpc: 2500,
            tags: 50,
        }
    }
}

impl Quotas {
    /// What `DescribeAccountLimits` tells of them; EC2's are not among it.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let limits = [
            ("target-groups", self.target_groups),
            ("targets-per-target-group", self.targets_per_group),
            ("network-load-balancers", self.load_balancers),
            ("listeners-per-network-load-balancer", self.listeners),
            ("targets-per-network-load-balancer", self.targets_per_load_balancer),
            ("targets-per-availability-zone-per-network-load-balancer", self.targets_per_zone),
            ("certificates-per-network-load-balancer", self.certificates),
            ("target-groups-per-action-on-network-load-balancer", self.target_groups_per_action),
            ("application-load-balancers", 50),
            ("targets-per-application-load-balancer", 1000),
        ];
        limits.into_iter().map(|(name, max)| Limit { name: name.to_owned(), max }).collect()
    }
}

/// Whether `count` of something is within its quota.
pub(crate) fn within(count: usize, quota: u32) -> bool {
    u32::try_from(count).is_ok_and(|count| count <= quota)
}
