//! AWS's token buckets: each class of calls has a rate and a burst, per account and region.
//!
//! The numbers of [`like_aws`] are the defaults that AWS documents:
//! - <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
//! - <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>

use tokio::time::Instant;

use crate::faults::On;

/// A class of calls that share a bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct CallClass {
    /// Which calls.
    pub calls: Vec<On>,
    /// Tokens per second.
    pub rate: f64,
    /// How many tokens the bucket holds.
    pub burst: f64,
    /// Whether its calls draw on the next class that they fit, too.
    pub and_next: bool,
}

impl CallClass {
    /// The calls that `action` fits.
    pub fn new(action: &str, rate: f64, burst: f64) -> Self {
        Self::of(&[action], rate, burst)
    }

    /// The calls that one of `actions` fits.
    pub fn of(actions: &[&str], rate: f64, burst: f64) -> Self {
        let calls = actions.iter().map(|action| On::action(action)).collect();
        Self { calls, rate, burst, and_next: false }
    }

    /// The same, where each call draws on the next class that it fits, too.
    #[must_use]
    pub fn and_next(self) -> Self {
        Self { and_next: true, ..self }
    }

    /// Whether a call is one of them.
    pub fn fits(&self, action: &str, is_write: bool) -> bool {
        self.calls.iter().any(|calls| calls.fits(action, is_write))
    }
}

/// EC2's actions, which have a bucket each.
const EC2_READS: [&str; 7] = [
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:DescribeRouteTables",
    "ec2:DescribeAddresses",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeNetworkInterfaces",
];
const EC2_WRITES: [&str; 4] = [
    "ec2:CreateSecurityGroup",
    "ec2:DeleteSecurityGroup",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupIngress",
];
const EC2_TAGS: [&str; 2] = ["ec2:CreateTags", "ec2:DeleteTags"];

/// AWS's own classes. ELBv2 has groups of actions, and all of them together draw on one more bucket; EC2 counts each action
/// by itself. That EC2 is stricter with lists that have no filter is left out.
pub fn like_aws() -> Vec<CallClass> {
    let elb = |action: &str| format!("elasticloadbalancing:{action}");
    let (heavy, subnets) = (elb("CreateLoadBalancer"), elb("SetSubnets"));
    let (register, deregister) = (elb("RegisterTargets"), elb("DeregisterTargets"));
    let mut classes = vec![
        CallClass::of(&[&heavy, &subnets], 0.2, 10.0).and_next(),
        CallClass::of(&[&register, &deregister], 4.0, 20.0).and_next(),
        CallClass::new(&elb("Describe*"), 10.0, 40.0).and_next(),
    ];
    let changes = ["Modify*", "Create*", "Delete*", "Set*", "Add*", "Remove*"].map(elb);
    classes.push(CallClass::of(&changes.each_ref().map(String::as_str), 3.0, 20.0).and_next());
    classes.push(CallClass::new(&elb("*"), 10.0, 40.0));
    classes.extend(EC2_READS.map(|action| CallClass::new(action, 20.0, 100.0)));
    classes.extend(EC2_WRITES.map(|action| CallClass::new(action, 5.0, 50.0)));
    classes.extend(EC2_TAGS.map(|action| CallClass::new(action, 10.0, 100.0)));
    classes
}

#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    class: CallClass,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        // A billionth for what is lost in rounding: a caller that counts as AWS does is not refused.
        self.tokens = (self.tokens + passed * self.class.rate + 1e-9).min(self.class.burst);
        self.filled = now;
    }
}

/// The buckets, in the order in which a call looks for its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle {
    buckets: Vec<Bucket>,
}

impl Throttle {
    pub(crate) fn new(classes: Vec<CallClass>, now: Instant) -> Self {
        let bucket = |class: CallClass| Bucket { tokens: class.burst, class, filled: now };
        Self { buckets: classes.into_iter().map(bucket).collect() }
    }

    /// Whether a call may pass; it takes a token from the first bucket that it fits, and from those behind it that this
    /// one names, or none at all.
    pub(crate) fn admits(&mut self, action: &str, is_write: bool, now: Instant) -> bool {
        let mut drawn = Vec::new();
        for (place, bucket) in self.buckets.iter_mut().enumerate() {
            // A call has one class of its own; what comes behind that is shared by several.
            let is_another_own = !drawn.is_empty() && bucket.class.and_next;
            if is_another_own || !bucket.class.fits(action, is_write) {
                continue;
            }
            bucket.fill(now);
            if bucket.tokens < 1.0 {
                return false;
            }
            drawn.push(place);
            if !bucket.class.and_next {
                break;
            }
        }
        for place in drawn {
            if let Some(bucket) = self.buckets.get_mut(place) {
                bucket.tokens -= 1.0;
            }
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use daymark_aws::api::{
        Call, CreateTags, DeleteLoadBalancer, DeleteSecurityGroup, DescribeTags, DescribeVpcs,
        RegisterTargets, RemoveTags, Request, SetSubnets,
    };
    use daymark_aws::pace;

    use super::*;

    #[test]
    fn callers_count_as_aws_does() {
        let arn = String::new;
        let requests: [Request; 8] = [
            DescribeTags { arns: vec![] }.into_request(),
            SetSubnets { arn: arn(), subnets: vec![], source_nat: None }.into_request(),
            RegisterTargets { arn: arn(), targets: vec![] }.into_request(),
            DeleteLoadBalancer { arn: arn() }.into_request(),
            RemoveTags { arn: arn(), keys: vec![] }.into_request(),
            DescribeVpcs { ids: vec![] }.into_request(),
            DeleteSecurityGroup { id: arn() }.into_request(),
            CreateTags { id: arn(), tags: Default::default() }.into_request(),
        ];
        let classes = like_aws();
        for request in requests {
            let action = request.action();
            let mut fitting = classes.iter().filter(|class| class.fits(action, true));
            let own = fitting.next().unwrap();
            let counted = pace::CallClass::of(&request);
            let numbers = |class: pace::CallClass| (class.rate().per_second, class.rate().burst);
            assert_eq!((own.rate, own.burst), numbers(counted), "{action}");
            let next = own
                .and_next
                .then(|| fitting.find(|class| !class.and_next).unwrap())
                .map(|class| (class.rate, class.burst));
            assert_eq!(next, counted.shared().map(numbers), "{action}");
        }
    }

    #[test]
    fn a_call_that_is_refused_takes_no_token() {
        let now = Instant::now();
        let scarce = CallClass::new("Create*", 1.0, 1.0).and_next();
        let mut throttle = Throttle::new(vec![scarce, CallClass::new("*", 1.0, 2.0)], now);
        let admits = |throttle: &mut Throttle, action| throttle.admits(action, true, now);
        assert!(admits(&mut throttle, "ec2:CreateTags"));
        assert!(!admits(&mut throttle, "ec2:CreateTags"));
        assert!(admits(&mut throttle, "ec2:DeleteTags"));
        assert!(!admits(&mut throttle, "ec2:DeleteTags"));
    }
}
