//! What is wrong with the networks.

use std::collections::{BTreeMap, BTreeSet};

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Net {
    Segment(usize),
    Nodes,
}

/// Something that is attached to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Node(usize),
    Client(usize),
}

/// What does not pass.
#[derive(Default)]
pub struct Faults {
    loss: BTreeMap<Net, f64>,
    groups: BTreeMap<(Net, Place), u8>,
    mute: BTreeSet<(Net, Place)>,
    deaf: BTreeSet<(Net, Place)>,
    /// One direction between two.
    one_way: BTreeSet<(Net, Place, Place)>,
    without_broadcast: BTreeSet<Net>,
    without_mesh: BTreeSet<Net>,
}

impl Faults {
    pub fn passes(&self, net: Net, from: Place, to: Place) -> bool {
        let group = |place| self.groups.get(&(net, place)).copied().unwrap_or(0);
        group(from) == group(to)
            && !self.mute.contains(&(net, from))
            && !self.deaf.contains(&(net, to))
            && (self.one_way.is_empty() || !self.one_way.contains(&(net, from, to)))
    }

    /// Whether mesh frames do not pass: all of them, or those to everybody.
    pub fn filters(&self, net: Net, group: bool) -> bool {
        self.without_mesh.contains(&net) || group && self.without_broadcast.contains(&net)
    }

    pub fn loss(&self, net: Net) -> f64 {
        self.loss.get(&net).copied().unwrap_or(0.0)
    }

    pub fn set_loss(&mut self, net: Net, loss: f64) {
        self.loss.insert(net, loss);
    }

    /// Nothing of `node` passes on `net`.
    pub fn dark(&mut self, net: Net, node: usize) {
        self.mute(net, node);
        self.deaf(net, node);
    }

    pub fn mute(&mut self, net: Net, node: usize) {
        self.mute.insert((net, Place::Node(node)));
    }

    pub fn deaf(&mut self, net: Net, node: usize) {
        self.deaf.insert((net, Place::Node(node)));
    }

    pub fn one_way(&mut self, net: Net, from: usize, to: usize) {
        self.one_way.insert((net, Place::Node(from), Place::Node(to)));
    }

    /// `places` hear only each other.
    pub fn part(&mut self, net: Net, places: impl IntoIterator<Item = Place>) {
        for place in places {
            self.groups.insert((net, place), 1);
        }
    }

    pub fn filter_broadcast(&mut self, net: Net) {
        self.without_broadcast.insert(net);
    }

    pub fn filter_mesh(&mut self, net: Net) {
        self.without_mesh.insert(net);
    }

    /// All is well with `node` on `net`.
    pub fn light(&mut self, net: Net, node: usize) {
        self.mute.remove(&(net, Place::Node(node)));
        self.deaf.remove(&(net, Place::Node(node)));
    }

    /// All is well but for loss.
    pub fn heal(&mut self) {
        let loss = std::mem::take(&mut self.loss);
        *self = Self { loss, ..Self::default() };
    }
}
