//! The report of this node about itself.

use std::time::Instant;

use super::{L2, Segment};
use crate::report::{NodeReport, SegmentReport, Standing};

impl L2 {
    /// What there is to report now, under the version of the last report.
    pub(super) fn compose(&self, now: Instant) -> NodeReport {
        NodeReport {
            node: self.config.node,
            name: self.config.name.clone(),
            version: self.report.version,
            internal: self.facts.internal.iter().copied().take(4).collect(),
            port: self.config.port,
            standing: self.standing(now),
            nodes_reached: self.nodes_reached(),
            segments: self.segments.values().map(|segment| self.compose_segment(now, segment)).collect(),
        }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let Standing { api_stale, proxy_demoted, leaving, stalls: _ } = self.facts.standing;
        let leaving = leaving || self.leaving.is_some();
        Standing { api_stale, proxy_demoted, leaving, stalls: self.stalls.unfit(now) }
    }

    pub(super) fn nodes_reached(&self) -> u16 {
        let others = self.network.as_ref().map_or(0, |network| network.peers());
        u16::try_from(others.saturating_add(1)).unwrap_or(u16::MAX)
    }

    fn compose_segment(&self, now: Instant, segment: &Segment) -> SegmentReport {
        let interface = &segment.interface;
        let terms = self.facts.terms.get(&interface.index);
        let terms = terms.into_iter().flatten().take(NodeReport::MAX_TERMS);
        SegmentReport {
            interface: interface.index,
            mac: interface.mac,
            carrier: segment.usable(),
            deaf: segment.deaf_ones(now),
            peers_heard: u16::try_from(segment.peers()).unwrap_or(u16::MAX),
            subnets: interface.subnets.iter().copied().take(NodeReport::MAX_SUBNETS).collect(),
            default_routes: interface.default_routes.iter().copied().take(2).collect(),
            terms: terms.map(|(id, terms)| (*id, *terms)).collect(),
        }
    }
}
