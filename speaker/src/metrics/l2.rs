//! The numbers of layer 2. Labels are bounded by the node's interfaces and the words of enums.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Vector;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::l2::L2Counters;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InterfaceLabels {
    interface: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MeshLabels {
    /// An interface, or `node-network`.
    mesh: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabels {
    fate: &'static str,
}

/// What the speaker exports of layer 2.
#[derive(Debug, Clone, Default)]
pub struct L2Metrics {
    owned: Vector<InterfaceLabels, Gauge>,
    offered: Vector<InterfaceLabels, Gauge>,
    members: Vector<MeshLabels, Gauge>,
    taken: Vector<CauseLabels, Counter>,
    given_up: Vector<CauseLabels, Counter>,
    wrong_key: Vector<MeshLabels, Counter>,
    frames: Vector<FateLabels, Counter>,
    datagrams: Vector<FateLabels, Counter>,
    stalls: Counter,
    /// Times that somebody outside the cluster was heard to have an address.
    pub conflicts: Counter,
}

impl L2Metrics {
    /// The metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let own = m.clone();
        registry.register("addresses_owned", "Addresses that this node answers for", m.owned);
        registry.register("addresses_offered", "Addresses that this node may answer for", m.offered);
        registry.register("mesh_members", "Other members of the mesh that this node hears", m.members);
        registry.register("takeovers", "Addresses that this node began to answer for, by cause", m.taken);
        registry.register("give_ups", "Addresses that this node stopped answering for, by cause", m.given_up);
        registry.register("wrong_key", "Times that a member with another key was heard", m.wrong_key);
        registry.register("frames", "Ethernet frames, by what became of them", m.frames);
        registry.register(
            "datagrams",
            "Datagrams of the node network's mesh, by what became of them",
            m.datagrams,
        );
        registry.register("stalls", "Times that the process stood still", m.stalls);
        registry.register(
            "address_conflicts",
            "Times that somebody else had one of our addresses",
            m.conflicts,
        );
        own
    }

    /// An address was taken.
    pub fn taken(&self, cause: &'static str) {
        self.taken.get_or_create(&CauseLabels { cause }).inc();
    }

    /// An address was given up.
    pub fn given_up(&self, cause: &'static str) {
        self.given_up.get_or_create(&CauseLabels { cause }).inc();
    }

    /// Somebody with another key was heard.
    pub fn wrong_key(&self, mesh: &str) {
        self.wrong_key.get_or_create(&MeshLabels { mesh: mesh.to_owned() }).inc();
    }

    /// How many others each mesh has.
    pub fn members(&self, meshes: impl Iterator<Item = (String, usize)>) {
        self.members.clear();
        for (mesh, members) in meshes {
            let members = i64::try_from(members).unwrap_or(i64::MAX);
            self.members.get_or_create(&MeshLabels { mesh }).set(members);
        }
    }

    /// How many addresses each interface answers for, and how many it may.
    pub fn addresses(&self, interfaces: impl Iterator<Item = (String, u32, u32)>) {
        self.owned.clear();
        self.offered.clear();
        for (interface, owned, offered) in interfaces {
            let labels = InterfaceLabels { interface };
            self.owned.get_or_create(&labels).set(owned.into());
            self.offered.get_or_create(&labels).set(offered.into());
        }
    }

    /// What the driver counts.
    pub fn frames(&self, counters: &L2Counters) {
        let count = |vector: &Vector<FateLabels, Counter>, fate, value: u64| {
            let counter = vector.get_or_create(&FateLabels { fate });
            counter.inc_by(value.saturating_sub(counter.get()));
        };
        count(&self.frames, "received", counters.frames_received.get());
        count(&self.frames, "sent", counters.frames_sent.get());
        count(&self.frames, "unsent", counters.frames_unsent.get());
        count(&self.frames, "dropped", counters.frames_dropped.get());
        count(&self.datagrams, "received", counters.datagrams_received.get());
        count(&self.datagrams, "sent", counters.datagrams_sent.get());
        count(&self.datagrams, "unsent", counters.datagrams_unsent.get());
        self.stalls.inc_by(counters.stalls.get().saturating_sub(self.stalls.get()));
    }
}
