//! What must have been heard of before anything may go out.

use super::Update;

/// Which sources have delivered their first word.
#[derive(Debug, Default)]
pub(super) struct Sources {
    heard: [bool; Source::ALL.len()],
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Services,
    EndpointSlices,
    Namespaces,
    Pools,
    Announcements,
    Neighbors,
    Speaker,
    Network,
}

impl Source {
    const ALL: [Self; 8] = [
        Self::Services,
        Self::EndpointSlices,
        Self::Namespaces,
        Self::Pools,
        Self::Announcements,
        Self::Neighbors,
        Self::Speaker,
        Self::Network,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Services => "Service",
            Self::EndpointSlices => "EndpointSlice",
            Self::Namespaces => "Namespace",
            Self::Pools => "AddressPool",
            Self::Announcements => "Announcement",
            Self::Neighbors => "BgpNeighbor",
            Self::Speaker => "Speaker",
            Self::Network => "the host's addresses",
        }
    }

    /// The source whose first full word `update` is.
    fn of(update: &Update) -> Option<Self> {
        use daymark_kube::Update::Reset;
        Some(match update {
            Update::Services(Reset(_)) => Self::Services,
            Update::EndpointSlices(Reset(_)) => Self::EndpointSlices,
            Update::Namespaces(Reset(_)) => Self::Namespaces,
            Update::Pools(Reset(_)) => Self::Pools,
            Update::Announcements(Reset(_)) => Self::Announcements,
            Update::Neighbors(Reset(_)) => Self::Neighbors,
            Update::Speaker(Reset(_)) => Self::Speaker,
            Update::Network(_) => Self::Network,
            Update::Services(_)
            | Update::EndpointSlices(_)
            | Update::Namespaces(_)
            | Update::Pools(_)
            | Update::Announcements(_)
            | Update::Neighbors(_)
            | Update::Speaker(_)
            | Update::Node(_)
            | Update::MeshKey(_)
            | Update::ApiStale(_)
            | Update::Proxy(_)
            | Update::ProxyHealth { .. } => return None,
        })
    }
}

impl Sources {
    /// Returns whether that was the first word of its source.
    pub(super) fn heard(&mut self, update: &Update) -> bool {
        let heard = Source::of(update).and_then(|source| self.heard.get_mut(source as usize));
        heard.is_some_and(|heard| !std::mem::replace(heard, true))
    }

    /// What has not been heard of. The node's own object must exist: without it nobody knows whether it is excluded.
    pub(super) fn missing(&self, node_known: bool) -> Vec<&'static str> {
        let sources = Source::ALL.iter().zip(self.heard).filter(|(_, heard)| !heard).map(|(s, _)| s.name());
        sources.chain((!node_known).then_some("the node's own Node")).collect()
    }

    /// Whether it is known with whom to hold sessions, and as whom.
    pub(super) fn sessions_known(&self, node_known: bool) -> bool {
        let known = |source: Source| self.heard.get(source as usize).copied().unwrap_or_default();
        node_known && known(Source::Neighbors) && known(Source::Speaker)
    }
}
