//! A node, its objects, and the routers beside it, as the index sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use daymark_announce::{
    Conditions, EndpointView, GateSettings, L2Standing, Observation, ServiceView, SliceView, SyncState,
};
use daymark_bgp::RouteAttributes;
use daymark_config::native::SpeakerSettings;
use daymark_kube::views::node::NodeFacts;
use daymark_kube::{Key, Update as Listed};
use daymark_l2::node::NodeFacts as L2Facts;
use daymark_l2::offer::Offer;
use daymark_model::announcement::{TerminatingEndpoints, WithoutEndpoints};
use daymark_model::{
    Announcement, AnnouncementTarget, Asn, Assignment, BgpAnnouncement, Family, Interface, IpMode,
    L2Announcement, Labels, LocalAsn, Neighbor, PeerAsn, PeerPath, Pool, Quarantine, Selector, ServiceKey,
    SharingPolicy, Timers, Timestamp, TrafficPolicy,
};

use crate::index::{Index, Network, Output, Update};
use crate::l2::Change;

pub(super) fn key(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name)
}

fn object(namespace: &str, name: &str) -> Key {
    Key { namespace: namespace.into(), name: name.into() }
}

pub(super) fn app(name: &str) -> Selector {
    Selector { match_labels: [("app".to_owned(), name.to_owned())].into(), match_expressions: Vec::new() }
}

pub(super) fn service(name: &str, addresses: &[&str]) -> ServiceView {
    ServiceView {
        key: key(name),
        labels: app(name).match_labels,
        assigned: true,
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
    }
}

pub(super) fn local(name: &str, addresses: &[&str], health_check: u16) -> ServiceView {
    ServiceView {
        policy: TrafficPolicy::Local,
        health_check_node_port: NonZeroU16::new(health_check),
        ..service(name, addresses)
    }
}

/// The name of a slice, and the slice.
pub(super) type NamedSlice = (String, SliceView);

pub(super) fn slice(service: &str, endpoints: &[(&str, &str)]) -> NamedSlice {
    named_slice(&format!("{service}-1"), service, endpoints)
}

pub(super) fn named_slice(name: &str, service: &str, endpoints: &[(&str, &str)]) -> NamedSlice {
    let endpoints = endpoints.iter().map(|(address, node)| EndpointView {
        address: address.parse().unwrap(),
        conditions: Conditions::default(),
        node: (!node.is_empty()).then(|| (*node).into()),
    });
    (name.to_owned(), SliceView { service: Some(key(service)), endpoints: endpoints.collect() })
}

pub(super) fn neighbor(name: &str) -> Neighbor {
    Neighbor {
        name: name.into(),
        labels: Labels::new(),
        node_selector: None,
        address: "198.51.100.1".parse().unwrap(),
        port: 179,
        passive: false,
        peer_asn: PeerAsn::External,
        local_asn: LocalAsn::OfNode,
        router_id: None,
        source: None,
        timers: Timers::default(),
        path: PeerPath::Direct,
        families: [Family::V4, Family::V6].into(),
    }
}

pub(super) fn announcement(name: &str, created: i64) -> Announcement {
    Announcement {
        name: name.into(),
        created_at: Timestamp(created),
        pools: None,
        pool_selector: None,
        service_selector: None,
        namespace_selector: None,
        node_selector: None,
        ignore_exclude_label: false,
        without_endpoints: WithoutEndpoints::Withdraw,
        terminating_endpoints: TerminatingEndpoints::Serve,
        target: AnnouncementTarget::Bgp(BgpAnnouncement::default()),
    }
}

/// An Announcement of layer 2 for everything.
pub(super) fn lan(l2: L2Announcement) -> Announcement {
    Announcement { target: AnnouncementTarget::L2(l2), ..announcement("lan", 2) }
}

pub(super) fn bgp(announcement: &mut Announcement) -> &mut BgpAnnouncement {
    let AnnouncementTarget::Bgp(bgp) = &mut announcement.target else { panic!("not by BGP") };
    bgp
}

fn pool(name: &str) -> Pool {
    Pool {
        name: name.into(),
        labels: Labels::new(),
        addresses: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/64".parse().unwrap()],
        exclude: Vec::new(),
        assignment: Assignment::Automatic,
        avoid_edge_addresses: false,
        priority: 100,
        service_selector: None,
        namespace_selector: None,
        sharing: SharingPolicy::SameNamespace,
        quarantine: Quarantine::DEFAULT,
        ip_mode: IpMode::VIP,
        overlapping: BTreeSet::new(),
    }
}

pub(super) fn facts() -> NodeFacts {
    let internal = "198.51.100.7".parse().unwrap();
    let uid = "00000000-0000-4000-8000-00000000000a".to_owned();
    NodeFacts { uid, addresses: vec![internal], internal: [internal].into(), ..NodeFacts::default() }
}

pub(super) fn settings(drain: bool, asn: u32) -> SpeakerSettings {
    SpeakerSettings { drain, asn: Asn::new(asn).ok(), ..SpeakerSettings::default() }
}

/// What the index said in one turn, as text.
#[derive(Debug)]
pub(super) struct Said {
    /// `+` or `-`, prefix, neighbor, attributes.
    pub(super) lines: Vec<String>,
    pub(super) neighbors: Option<Vec<String>>,
    pub(super) health_checks: Option<Vec<u16>>,
    pub(super) waits: Vec<Duration>,
    pub(super) leaving: Vec<String>,
    pub(super) synced: bool,
    pub(super) report: bool,
    nothing: bool,
}

impl Said {
    pub(super) fn is_empty(&self) -> bool {
        self.nothing
    }
}

pub(super) struct World {
    pub(super) index: Index,
    pub(super) now: Instant,
    pub(super) synced: bool,
    /// What the routers have, by `prefix neighbor`.
    pub(super) routers: BTreeMap<String, String>,
    /// What the segments were offered.
    pub(super) offers: BTreeMap<IpAddr, Offer>,
    /// How the segments were told that the node stands.
    pub(super) stands: L2Facts,
    pub(super) all_services: BTreeMap<String, ServiceView>,
    all_slices: BTreeMap<String, SliceView>,
    all_announcements: Vec<Announcement>,
    last_node: NodeFacts,
    last_interfaces: Vec<Interface>,
    last_key: L2Standing,
    last_settings: SpeakerSettings,
    start: Instant,
    syncs: u64,
}

impl World {
    pub(super) fn unsynced() -> Self {
        let start = Instant::now() + Duration::from_secs(3600);
        Self {
            index: Index::new("node-a".into(), GateSettings::default()),
            now: start,
            synced: false,
            routers: BTreeMap::new(),
            offers: BTreeMap::new(),
            stands: L2Facts::default(),
            all_services: BTreeMap::new(),
            all_slices: BTreeMap::new(),
            all_announcements: Vec::new(),
            last_node: facts(),
            last_interfaces: Vec::new(),
            last_key: L2Standing::Unknown,
            last_settings: SpeakerSettings::default(),
            start,
            syncs: 0,
        }
    }

    /// One neighbor, one pool, one Announcement of everything, no Service.
    pub(super) fn synced() -> Self {
        let mut world = Self::unsynced();
        world.services([]);
        world.slices([]);
        world.speaker(SpeakerSettings::default());
        world.rest();
        world
    }

    /// Everything but Services, EndpointSlices and the Speaker.
    pub(super) fn rest(&mut self) {
        self.take(Update::Namespaces(Listed::Reset([(object("", "shop"), Labels::new())].into())));
        self.pools([pool("main")]);
        self.announcements([announcement("all", 1)]);
        self.neighbors([neighbor("tor")]);
        self.node(facts());
        if self.index.missing().contains(&"Speaker") {
            self.speaker(SpeakerSettings::default());
        }
        self.network(&["198.51.100.7"], &["198.51.100.1"]);
    }

    /// A synced world in which these Services have a pod on another node and are announced.
    pub(super) fn serving(services: &[(&str, &str)]) -> Self {
        let mut world = Self::synced();
        for (name, address) in services {
            world.apply_slice(slice(name, &[("10.0.0.1", "node-b")]));
            world.apply_service(service(name, &[address]));
        }
        assert_eq!(world.serve().len(), services.len());
        world
    }

    /// The same objects as a speaker sees them that starts now.
    pub(super) fn restarted(&self) -> Self {
        let mut fresh = Self::unsynced();
        fresh.last_interfaces.clone_from(&self.last_interfaces);
        fresh.mesh_key(self.last_key);
        fresh.node(self.last_node.clone());
        fresh.speaker(self.last_settings);
        fresh.services(self.all_services.values().cloned().collect::<Vec<_>>());
        fresh.slices(self.all_slices.clone());
        fresh.rest();
        fresh.node(self.last_node.clone());
        fresh.announcements(self.all_announcements.clone());
        fresh
    }

    /// Lets everything happen that is under way.
    pub(super) fn settle(&mut self) {
        self.serve();
        while let Some(deadline) = self.index.next_deadline() {
            self.now = self.now.max(deadline);
            self.tick();
        }
    }

    pub(super) fn take(&mut self, update: Update) -> Said {
        self.now += Duration::from_millis(1);
        let mut out = Output::default();
        self.index.handle(self.now, update, &mut out);
        self.said(out)
    }

    pub(super) fn tick(&mut self) -> Said {
        let mut out = Output::default();
        self.index.tick(self.now, &mut out);
        self.said(out)
    }

    fn said(&mut self, out: Output) -> Said {
        let nothing = out.is_empty();
        let mut lines = Vec::new();
        for (neighbor, changes) in out.routes {
            for change in changes {
                let route = format!("{} {neighbor}", change.prefix);
                match change.attributes {
                    Some(attributes) => {
                        let text = text(&attributes);
                        lines.push(format!("+{route}{text}"));
                        let before = self.routers.insert(route.clone(), text.clone());
                        assert_ne!(before, Some(text), "{route} was told twice");
                    }
                    None => {
                        lines.push(format!("-{route}"));
                        assert!(self.routers.remove(&route).is_some(), "{route} was withdrawn but not out");
                    }
                }
            }
        }
        for change in out.l2 {
            match change {
                Change::Offer(offer) => {
                    lines.push(format!("+{} l2", offer.address));
                    let before = self.offers.insert(offer.address, offer.clone());
                    assert_ne!(before, Some(offer), "offered twice");
                }
                Change::Withdraw(address) => {
                    lines.push(format!("-{address} l2"));
                    assert!(
                        self.offers.remove(&address).is_some(),
                        "{address} was withdrawn but not offered"
                    );
                }
            }
        }
        if let Some(facts) = out.l2_facts {
            assert_ne!(self.stands, facts, "told twice");
            self.stands = facts;
        }
        lines.sort_by_key(|line| line.starts_with('+'));
        self.synced |= out.synced;
        let names = |neighbors: Vec<Neighbor>| neighbors.iter().map(|n| n.name.to_string()).collect();
        Said {
            lines,
            neighbors: out.neighbors.map(names),
            health_checks: out.probes.map(|p| p.health_checks.iter().map(|port| port.get()).collect()),
            waits: out.waits,
            leaving: out.leaving.iter().map(ToString::to_string).collect(),
            synced: out.synced,
            report: out.report,
            nothing,
        }
    }

    pub(super) fn services(&mut self, services: impl IntoIterator<Item = ServiceView>) -> Said {
        self.all_services = services.into_iter().map(|s| (s.key.name.to_string(), s)).collect();
        let all = self.all_services.iter().map(|(name, s)| (object("shop", name), s.clone())).collect();
        self.take(Update::Services(Listed::Reset(all)))
    }

    pub(super) fn apply_service(&mut self, service: ServiceView) -> Said {
        let name = service.key.name.to_string();
        self.all_services.insert(name.clone(), service.clone());
        self.take(Update::Services(Listed::Apply(object("shop", &name), service)))
    }

    pub(super) fn delete_service(&mut self, name: &str) -> Said {
        self.all_services.remove(name);
        self.take(Update::Services(Listed::Delete(object("shop", name))))
    }

    pub(super) fn slices(&mut self, slices: impl IntoIterator<Item = NamedSlice>) -> Said {
        self.all_slices = slices.into_iter().collect();
        let all = self.all_slices.iter().map(|(name, s)| (object("shop", name), s.clone())).collect();
        self.take(Update::EndpointSlices(Listed::Reset(all)))
    }

    pub(super) fn apply_slice(&mut self, (name, slice): NamedSlice) -> Said {
        self.all_slices.insert(name.clone(), slice.clone());
        self.take(Update::EndpointSlices(Listed::Apply(object("shop", &name), slice)))
    }

    pub(super) fn announcements(&mut self, all: impl IntoIterator<Item = Announcement>) -> Said {
        self.all_announcements = all.into_iter().collect();
        let all = self.all_announcements.iter().map(|a| (object("", a.name.as_str()), a.clone())).collect();
        self.take(Update::Announcements(Listed::Reset(all)))
    }

    pub(super) fn apply_announcement(&mut self, announcement: Announcement) -> Said {
        let key = object("", announcement.name.as_str());
        self.take(Update::Announcements(Listed::Apply(key, announcement)))
    }

    pub(super) fn neighbors(&mut self, all: impl IntoIterator<Item = Neighbor>) -> Said {
        let all = all.into_iter().map(|n| (object("", n.name.as_str()), n)).collect();
        self.take(Update::Neighbors(Listed::Reset(all)))
    }

    pub(super) fn pools(&mut self, all: impl IntoIterator<Item = Pool>) -> Said {
        let all = all.into_iter().map(|p| (object("", p.name.as_str()), p)).collect();
        self.take(Update::Pools(Listed::Reset(all)))
    }

    pub(super) fn namespace(&mut self, name: &str, labels: &[(&str, &str)]) -> Said {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.take(Update::Namespaces(Listed::Apply(object("", name), labels)))
    }

    pub(super) fn node(&mut self, facts: NodeFacts) -> Said {
        self.last_node = facts.clone();
        self.take(Update::Node(Listed::Apply(object("", "node-a"), facts)))
    }

    pub(super) fn speaker(&mut self, settings: SpeakerSettings) -> Said {
        self.last_settings = settings;
        self.take(Update::Speaker(Listed::Reset([(object("", "node-a"), settings)].into())))
    }

    pub(super) fn network(&mut self, addresses: &[&str], next_hops: &[&str]) -> Said {
        let read = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        let (addresses, next_hops) = (read(addresses), read(next_hops));
        let interfaces = self.last_interfaces.clone();
        self.take(Update::Network(Network { addresses, next_hops, interfaces }))
    }

    pub(super) fn interfaces(&mut self, interfaces: impl IntoIterator<Item = Interface>) -> Said {
        self.last_interfaces = interfaces.into_iter().collect();
        self.network(&["198.51.100.7"], &["198.51.100.1"])
    }

    pub(super) fn mesh_key(&mut self, standing: L2Standing) -> Said {
        self.last_key = standing;
        self.take(Update::MeshKey(standing))
    }

    pub(super) fn health_check(&mut self, port: u16, status: u16) -> Said {
        let port = NonZeroU16::new(port).unwrap();
        self.now += Duration::from_millis(1);
        self.take(Update::Proxy(Observation::HealthCheck { port, asked: self.now, status: Some(status) }))
    }

    pub(super) fn proxy_health(&mut self, status: Option<u16>) -> Said {
        self.take(Update::ProxyHealth { asked: self.now, status })
    }

    /// kube-proxy writes all its rules, twice, so that it is plain that nothing is left to write.
    pub(super) fn serve(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..2 {
            self.now += Duration::from_secs(1);
            self.syncs += 1;
            let epoch = Duration::from_secs(1_700_000_000);
            let at = epoch + self.now.duration_since(self.start);
            let state = SyncState {
                queued: Some(epoch),
                synced: Some(at),
                syncs: Some(self.syncs),
                syncing: Some(Duration::from_millis(10) * u32::try_from(self.syncs).unwrap()),
            };
            let observation =
                Observation::ProxySync { asked: self.now, asked_at: at, v4: Some(state), v6: Some(state) };
            lines.extend(self.take(Update::Proxy(observation)).lines);
        }
        lines
    }

    /// The codes of all that keeps a Service from going out.
    pub(super) fn reasons(&self, name: &str) -> Vec<&'static str> {
        let listing = self.index.service(&key(name)).unwrap();
        let of_addresses = listing.addresses.iter().flat_map(|a| &a.reasons);
        listing.reasons.iter().chain(of_addresses).map(|r| r.reason).collect()
    }

    /// `subject reason` of each problem.
    pub(super) fn problems(&self) -> Vec<String> {
        self.index.problems().iter().map(|p| format!("{} {}", p.subject, p.reason)).collect()
    }
}

fn text(attributes: &RouteAttributes) -> String {
    let mut text = String::new();
    for community in &attributes.communities {
        text += &format!(" {community}");
    }
    if let Some(preference) = attributes.local_preference {
        text += &format!(" lp={preference}");
    }
    if let Some(med) = attributes.med {
        text += &format!(" med={med}");
    }
    if attributes.prepend > 0 {
        text += &format!(" prepend={}", attributes.prepend);
    }
    text
}
