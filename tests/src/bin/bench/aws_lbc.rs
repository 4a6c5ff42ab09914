//! What the AWS Load Balancer Controller calls for the same work: computed, not measured.
//!
//! The numbers are those of its source at v3.5.0 as `research/cloud.md` 1.3, 1.8, 1.9 and 1.10 note them, without the gate
//! `EnableRGTAPI`, which is off by default. Where those leave room, the smaller number is taken: security groups are looked
//! for twice and not a third time by the legacy tag, certificates are read on TLS listeners only, the shared group of the
//! nodes is never touched, nothing is retried.

/// A page of a list, and how many ARNs DescribeTags takes.
const PAGE: u32 = 400;
const TAGS: u32 = 20;

/// What is in the account's region; all of it in the VPC of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Load balancers.
    pub load_balancers: u32,
    /// Target groups.
    pub target_groups: u32,
}

/// Whether the tags of everything in the VPC were read less than 20 minutes ago, which is how long they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagCache {
    /// They were: no call. Only Services that are reconciled in a row have this.
    Warm,
    /// They were not. A settled Service is reconciled every 10 hours, and when it changes.
    Cold,
}

/// Calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Those that change nothing.
    pub reads: u32,
    /// Those that change something.
    pub writes: u32,
}

impl Calls {
    /// All of them.
    pub fn all(self) -> u32 {
        self.reads + self.writes
    }
}

/// What every reconcile begins with: DescribeLoadBalancers over the account twice, DescribeTargetGroups once, DescribeTags
/// over both in the VPC, DescribeSecurityGroups twice, DescribeSubnets.
fn look(account: Account, cache: TagCache) -> u32 {
    let pages = 2 * account.load_balancers.div_ceil(PAGE) + account.target_groups.div_ceil(PAGE);
    let tags = match cache {
        TagCache::Warm => 0,
        TagCache::Cold => account.load_balancers.div_ceil(TAGS) + account.target_groups.div_ceil(TAGS),
    };
    pages + tags + 2 + 1
}

/// A Service with nothing to be done: also the load balancer's attributes, its listeners, their tags, and the attributes
/// of each target group and each listener. Targets are not looked at: a checkpoint says that nothing changed.
pub fn settled(account: Account, ports: u32, cache: TagCache) -> Calls {
    Calls { reads: look(account, cache) + 1 + 1 + 1 + ports + ports, writes: 0 }
}

/// From nothing: security group and its rules, load balancer, for each port a target group, a listener and targets. It
/// does not wait until the load balancer is active.
pub fn create(account: Account, ports: u32) -> Calls {
    let after = 1 + 1 + ports;
    let targets = ports + 1;
    Calls { reads: look(account, TagCache::Cold) + after + targets, writes: 2 + 1 + 3 * ports }
}

/// One more port: all is looked at, and a rule, a target group, a listener and its targets are made.
pub fn add_port(account: Account, ports: u32) -> Calls {
    Calls { reads: settled(account, ports, TagCache::Cold).reads + 1 + 1 + 1, writes: 4 }
}

/// One node for another: every target group is read (targets are kept for 5 minutes), then loses and gets a target.
pub fn replace_target(ports: u32) -> Calls {
    Calls { reads: ports + 1, writes: 2 * ports }
}

/// One attribute of the load balancer.
pub fn set_attribute(account: Account, ports: u32) -> Calls {
    Calls { reads: settled(account, ports, TagCache::Cold).reads, writes: 1 }
}

/// To nothing: targets, load balancer, target groups, security group. It tries the last two every two seconds while they
/// are in use; those calls are not counted.
pub fn delete(account: Account, ports: u32) -> Calls {
    Calls { reads: look(account, TagCache::Cold) - 1 + ports, writes: ports + 1 + ports + 1 }
}
