//! Whose a Service is.

use daymark_model::AwsProfile;
use daymark_providers::view::ServiceView;

use super::annotations::key;

/// Who is asked to serve a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimant<'a> {
    /// The profile of this class.
    Class(&'a str),
    /// The default profile.
    Default,
    /// Somebody that is not Daymark: the in-tree provider or its successor.
    Elsewhere,
}

/// The class that nobody has: [`wanted_class`] of a Service that is served by somebody else.
pub const ELSEWHERE: &str = "kubernetes.io/in-tree";

/// Who is asked to serve `service`: its class, else `aws-load-balancer-type`, whose values mean one controller each (`nlb`
/// the in-tree provider; `external`, with `nlb-target-type`, and `nlb-ip` the AWS Load Balancer Controller), else the
/// default profile.
pub fn claimant(service: &ServiceView) -> Claimant<'_> {
    if let Some(class) = &service.class {
        return Claimant::Class(class);
    }
    let says = |suffix: &str| service.annotations.get(&key(suffix)).map(|value| value.trim());
    match says("type") {
        Some("nlb-ip") => Claimant::Class(AwsProfile::LBC_CLASS),
        Some("external") if says("nlb-target-type").is_some() => Claimant::Class(AwsProfile::LBC_CLASS),
        Some("external" | "nlb") => Claimant::Elsewhere,
        Some(_) | None => Claimant::Default,
    }
}

/// The class of the profile that is asked to serve `service`; `None` = the default one. A Service that is served by
/// somebody else wants the class [`ELSEWHERE`], which no profile has.
pub fn wanted_class(service: &ServiceView) -> Option<&str> {
    match claimant(service) {
        Claimant::Class(class) => Some(class),
        Claimant::Default => None,
        Claimant::Elsewhere => Some(ELSEWHERE),
    }
}
