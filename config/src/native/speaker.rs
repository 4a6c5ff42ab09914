//! Speaker: the operator's word on one node.

use daymark_model::{Asn, RouterId};

use super::field::{self, Problems};
use crate::crd::Speaker;
use crate::problem::Problem;

/// What the operator says to one node's speaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpeakerSettings {
    /// Announce nothing.
    pub drain: bool,
    /// The node's AS.
    pub asn: Option<Asn>,
    /// The node's BGP identifier.
    pub router_id: Option<RouterId>,
}

/// The settings that can be read, and what is wrong with the others: a bad `asn` is no reason not to drain.
pub fn speaker_settings(object: &Speaker) -> (SpeakerSettings, Vec<Problem>) {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let settings = SpeakerSettings {
        drain: spec.drain,
        asn: spec.asn.and_then(|asn| problems.take("spec.asn", field::asn(asn))),
        router_id: spec
            .router_id
            .as_deref()
            .and_then(|id| problems.take("spec.routerId", field::router_id(id))),
    };
    (settings, problems.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::SpeakerSpec;

    #[test]
    fn a_bad_asn_is_no_reason_not_to_drain() {
        let spec = SpeakerSpec { drain: true, asn: Some(0), router_id: Some("10.0.0.1".into()) };
        let (settings, problems) = speaker_settings(&Speaker::new("n1", spec));
        assert!(settings.drain && settings.asn.is_none() && settings.router_id.is_some());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, "spec.asn");
    }
}
