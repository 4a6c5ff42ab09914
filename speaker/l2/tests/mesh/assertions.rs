//! What must hold, and what to say when it does not.

use std::net::IpAddr;
use std::time::Duration;

use daymark_l2::node::L2Event;
use daymark_model::MacAddr;

use crate::world::{Plan, World, seconds};

/// The longest time for which an address may have no answerer, or two, after something unforeseen.
pub const TIME_TO_KNOW: Duration = Duration::from_millis(1_000);

impl World {
    /// A world in which all nodes have run for long enough to have settled.
    pub fn settled(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        world.start_all();
        world.run(seconds(4.5));
        world.assert_one("after the start");
        world.check.reset();
        world
    }

    /// Who answers for `address` on its segment; panics unless it is exactly one.
    pub fn owner(&self, address: IpAddr) -> usize {
        let segment =
            self.addresses.iter().find(|(_, at)| *at == address).expect("an address of the world").0;
        let client = self.clients.iter().position(|client| client.segment == segment).expect("a client");
        let by = self.check.answered(client, address);
        assert_eq!(by.len(), 1, "{address} is answered by {by:?} at {:?}", self.since_start());
        by.into_iter().next().expect("one")
    }

    /// The addresses of segment 0 that `node` answers for.
    pub fn owned_by(&self, node: usize) -> Vec<IpAddr> {
        let here = self.addresses.iter().filter(|(segment, _)| *segment == 0).map(|(_, address)| *address);
        here.filter(|address| self.check.answered(0, *address).contains(&node)).collect()
    }

    /// A node that answers for something on segment 0.
    pub fn some_owner(&self) -> usize {
        self.owner(self.addresses[0].1)
    }

    /// Every client gets exactly one answer for every address, and knows whose from gratuitous frames alone.
    pub fn assert_one(&self, when: &str) {
        for (number, client) in self.clients.iter().enumerate() {
            let here = self.addresses.iter().filter(|(segment, _)| *segment == client.segment);
            for (_, address) in here {
                let by = self.check.answered(number, *address);
                assert!(by.len() == 1, "{when}: {}", self.story(number, *address));
                let node = by.into_iter().next().expect("one");
                let macs: Vec<MacAddr> =
                    self.nodes[node].interfaces.iter().map(|(interface, _)| interface.mac).collect();
                assert!(
                    client.learnt.get(address).is_some_and(|mac| macs.contains(mac)),
                    "{when}: gratuitous frames left client {number} with {:?} for {address}, but node {node} answers\n{}",
                    client.learnt.get(address),
                    self.story(number, *address)
                );
            }
        }
    }

    /// Nobody answered for at most `none`, two for at most `two`.
    pub fn assert_streaks(&self, when: &str, none: Duration, two: Duration) {
        let worst = |streaks: &[crate::check::Streak], most: Duration| {
            streaks.iter().filter(|streak| streak.lasted > most).max_by_key(|streak| streak.lasted).cloned()
        };
        if let Some(streak) = worst(&self.check.none, none) {
            panic!(
                "{when}: nobody answered for {:?} from {:?}\n{}",
                streak.lasted,
                streak.from,
                self.story(streak.client, streak.address)
            );
        }
        if let Some(streak) = worst(&self.check.two, two) {
            panic!(
                "{when}: {:?} answered for {:?} from {:?}\n{}",
                streak.last,
                streak.lasted,
                streak.from,
                self.story(streak.client, streak.address)
            );
        }
    }

    /// What is known about an address and what has happened to it: for a failure's message.
    pub fn story(&self, client: usize, address: IpAddr) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "{address}: client {client} is answered by {:?} at {:?} (seed {})\n",
            self.check.answered(client, address),
            self.since_start(),
            self.plan.seed
        );
        for (node, this) in self.nodes.iter().enumerate() {
            if this.is_dead() {
                let _ = writeln!(text, "  node {node} is dead");
                continue;
            }
            let core = self.core(node);
            let status = core.status(self.now);
            let segments: Vec<_> = status
                .segments
                .iter()
                .map(|segment| (segment.mesh.members.len(), segment.membership_broken, segment.owned))
                .collect();
            let _ = writeln!(
                text,
                "  node {node}: reaches {} {:?}, segments (members, broken, owned) {segments:?}, {:?}",
                status.nodes_reached,
                status.standing,
                core.address(address)
            );
        }
        let about = |event: &L2Event| match event {
            L2Event::Took { address: of, .. }
            | L2Event::GaveUp { address: of, .. }
            | L2Event::Conflict { address: of, .. }
            | L2Event::ConflictEnded { address: of, .. } => *of == address,
            L2Event::MemberUp { interface, .. } | L2Event::MemberDown { interface, .. } => {
                interface.is_some()
            }
            L2Event::WrongKey { .. }
            | L2Event::DuplicateNode { .. }
            | L2Event::SegmentDeaf { .. }
            | L2Event::SegmentMembershipBroken { .. }
            | L2Event::Stalls { .. } => true,
        };
        let told: Vec<_> = self.events.iter().filter(|(.., event)| about(event)).collect();
        for (at, node, event) in &told[told.len().saturating_sub(60)..] {
            let _ = writeln!(text, "  {at:?} node {node} {event:?}");
        }
        text
    }
}
