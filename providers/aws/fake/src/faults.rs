//! What can go wrong with a call beside its own fault: scripted, or drawn from a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_aws::api::ApiError;

/// Which calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Any.
    Any,
    /// Those that change something.
    Writes,
    /// Those that change nothing.
    Reads,
    /// Those whose action fits: `elasticloadbalancing:CreateLoadBalancer`, `CreateLoadBalancer`, `ec2:Describe*`.
    Action(String),
}

impl On {
    /// Those whose action fits.
    pub fn action(pattern: &str) -> Self {
        Self::Action(pattern.to_owned())
    }

    /// Whether a call is one of them.
    pub fn fits(&self, action: &str, is_write: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Writes => is_write,
            Self::Reads => !is_write,
            Self::Action(pattern) => {
                let bare = action.split_once(':').map_or(action, |(_, bare)| bare);
                let subject = if pattern.contains(':') { action } else { bare };
                pattern.strip_suffix('*').map_or(subject == pattern, |start| subject.starts_with(start))
            }
        }
    }
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this code and HTTP status.
    Error {
        /// AWS's code.
        code: String,
        /// The HTTP status.
        status: u16,
    },
    /// It is refused because there were too many: `Throttling`, or EC2's `RequestLimitExceeded`.
    Throttled,
    /// AWS is not well: 503.
    Unavailable,
    /// It never arrives; no answer comes in time.
    Timeout,
    /// It is done, and no answer comes in time.
    LostResponse,
    /// The connection breaks before it arrives.
    Disconnected,
    /// Whoever called is dead before it arrives: the call never returns.
    CrashBefore,
    /// Whoever called is dead after it is done: the call never returns.
    CrashAfter,
    /// It takes this much longer.
    Slow(Duration),
}

impl Fault {
    /// A refusal with this code and HTTP status.
    pub fn error(code: &str, status: u16) -> Self {
        Self::Error { code: code.to_owned(), status }
    }
}

/// Faults that are drawn for each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomFaults {
    /// What decides.
    pub seed: u64,
    /// How many of a thousand calls have a fault.
    pub permille: u32,
    /// Which calls.
    pub on: On,
    /// Which faults, each as likely as the others.
    pub faults: Vec<Fault>,
}

impl RandomFaults {
    /// Faults that leave the caller alive, on any call.
    pub fn survivable(seed: u64, permille: u32) -> Self {
        let faults = vec![
            Fault::Throttled,
            Fault::Unavailable,
            Fault::Timeout,
            Fault::LostResponse,
            Fault::Disconnected,
            Fault::Slow(Duration::from_secs(3)),
        ];
        Self { seed, permille, on: On::Any, faults }
    }
}

/// A fault that waits for its calls.
#[derive(Debug, Clone)]
struct Script {
    on: On,
    skip: u32,
    times: u32,
    fault: Fault,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    scripts: Vec<Script>,
    random: Option<RandomFaults>,
    draw: u64,
    denied: BTreeSet<String>,
    pub(crate) are_credentials_expired: bool,
}

impl Faults {
    pub(crate) fn script(&mut self, on: On, skip: u32, times: u32, fault: Fault) {
        self.scripts.push(Script { on, skip, times, fault });
    }

    pub(crate) fn random(&mut self, random: Option<RandomFaults>) {
        self.draw = random.as_ref().map_or(0, |random| random.seed);
        self.random = random;
    }

    pub(crate) fn clear(&mut self) {
        self.scripts.clear();
        self.random = None;
    }

    pub(crate) fn deny(&mut self, pattern: &str) {
        self.denied.insert(pattern.to_owned());
    }

    pub(crate) fn allow(&mut self, pattern: &str) {
        self.denied.remove(pattern);
    }

    pub(crate) fn is_denied(&self, action: &str) -> bool {
        self.denied.iter().any(|pattern| On::action(pattern).fits(action, true))
    }

    /// What happens to this call; scripts go before the dice.
    pub(crate) fn next(&mut self, action: &str, is_write: bool) -> Option<Fault> {
        self.scripted(action, is_write).or_else(|| self.drawn(action, is_write))
    }

    fn scripted(&mut self, action: &str, is_write: bool) -> Option<Fault> {
        let waiting =
            self.scripts.iter_mut().filter(|script| script.times > 0 && script.on.fits(action, is_write));
        for script in waiting {
            if script.skip > 0 {
                script.skip -= 1;
                continue;
            }
            script.times -= 1;
            return Some(script.fault.clone());
        }
        None
    }

    fn drawn(&mut self, action: &str, is_write: bool) -> Option<Fault> {
        let random = self.random.as_ref()?;
        if random.faults.is_empty() || !random.on.fits(action, is_write) {
            return None;
        }
        let draw = split_mix(&mut self.draw);
        if draw % 1000 >= u64::from(random.permille) {
            return None;
        }
        let pick = usize::try_from((draw >> 32) % random.faults.len() as u64).unwrap_or_default();
        random.faults.get(pick).cloned()
    }
}

/// The next of a sequence of well-mixed numbers (SplitMix64).
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The error of a call that is refused for a reason that is not its own.
pub(crate) fn refused(action: &'static str, code: &str, status: u16, message: &str) -> ApiError {
    ApiError { status: Some(status), ..ApiError::new(action, code, message) }
}

/// No answer.
pub(crate) fn unanswered(action: &'static str, code: &str, message: &str) -> ApiError {
    ApiError { status: None, ..ApiError::new(action, code, message) }
}

/// Too many calls.
pub(crate) fn throttled(action: &'static str) -> ApiError {
    if is_ec2(action) {
        refused(action, "RequestLimitExceeded", 503, "Request limit exceeded.")
    } else {
        refused(action, "Throttling", 400, "Rate exceeded")
    }
}

/// AWS is not well.
pub(crate) fn unavailable(action: &'static str) -> ApiError {
    let code = if is_ec2(action) { "Unavailable" } else { "ServiceUnavailable" };
    refused(action, code, 503, "The service is unavailable. Please try again shortly.")
}

/// No policy allows it.
pub(crate) fn denied(action: &'static str, principal: &str) -> ApiError {
    let because = format!(
        "User: {principal} is not authorized to perform: {action} because no identity-based policy allows the {action} action"
    );
    if is_ec2(action) {
        let message = format!("You are not authorized to perform this operation. {because}");
        refused(action, "UnauthorizedOperation", 403, &message)
    } else {
        refused(action, "AccessDenied", 403, &because)
    }
}

/// The credentials are over.
pub(crate) fn expired(action: &'static str) -> ApiError {
    if is_ec2(action) {
        refused(action, "RequestExpired", 400, "Request has expired.")
    } else {
        refused(action, "ExpiredToken", 403, "The security token included in the request is expired")
    }
}

fn is_ec2(action: &str) -> bool {
    action.starts_with("ec2:")
}
