//! Whatever is done with a responder, in whatever order.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use daymark_l2::responder::{GroupChange, Ownership, ProbePlan};
use daymark_model::TimingProfile;
use proptest::prelude::*;

use super::support::{OTHER, OURS, Said, Station, THIRD, ask, claim, ms, others_probe, read, subject};

const ADDRESSES: [&str; 5] =
    ["192.0.2.10", "192.0.2.11", "2001:db8::1:2:3", "2001:db8:9::1:2:3", "2001:db8::4"];

#[derive(Debug, Clone)]
enum Deed {
    Own(usize, bool, Option<u64>),
    Disown(usize),
    Probe(usize, bool),
    CancelProbe(usize),
    Burst(usize),
    Defend(usize),
    Ask(usize),
    Claim(usize),
    OthersProbe(usize),
    Pause,
    Resume,
    SetMac(bool),
    Pass(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = 0..ADDRESSES.len();
    prop_oneof![
        4 => (which.clone(), any::<bool>(), prop::option::of(0_u64..20_000)).prop_map(|(a, b, c)| Deed::Own(a, b, c)),
        2 => which.clone().prop_map(Deed::Disown),
        3 => (which.clone(), any::<bool>()).prop_map(|(a, b)| Deed::Probe(a, b)),
        1 => which.clone().prop_map(Deed::CancelProbe),
        1 => which.clone().prop_map(Deed::Burst),
        1 => which.clone().prop_map(Deed::Defend),
        4 => which.clone().prop_map(Deed::Ask),
        2 => which.clone().prop_map(Deed::Claim),
        1 => which.prop_map(Deed::OthersProbe),
        1 => Just(Deed::Pause),
        2 => Just(Deed::Resume),
        1 => any::<bool>().prop_map(Deed::SetMac),
        6 => (0_u64..3_000).prop_map(Deed::Pass),
    ]
}

struct Model {
    owned: HashSet<IpAddr>,
    probed: HashSet<IpAddr>,
    groups: HashSet<std::net::Ipv6Addr>,
    paused: bool,
}

impl Model {
    /// What was sent is about what is owned, or asks for what is probed; groups are joined once and left once.
    fn check(&mut self, station: &mut Station) {
        for (_, frame) in station.sent.drain(..) {
            assert!(!self.paused, "a frame while paused");
            let address = subject(&frame);
            let asks = match read(&frame).1 {
                Said::Arp(packet) => packet.is_probe(),
                Said::Ndp(message) => matches!(message, daymark_l2::wire::NdpMessage::Solicitation(_)),
            };
            let may = if asks { &self.probed } else { &self.owned };
            assert!(may.contains(&address), "{address} was spoken of");
        }
        for change in station.out.groups.drain(..) {
            match change {
                GroupChange::Join(group) => assert!(self.groups.insert(group), "{group} joined twice"),
                GroupChange::Leave(group) => assert!(self.groups.remove(&group), "{group} left twice"),
            }
        }
        for address in &self.owned {
            if let IpAddr::V6(v6) = address {
                assert!(self.groups.contains(&daymark_l2::wire::solicited_node(*v6)), "{v6} cannot hear");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn only_what_is_owned_is_spoken_for(deeds in prop::collection::vec(deed(), 1..60)) {
        let addresses: Vec<IpAddr> = ADDRESSES.iter().map(|text| text.parse().unwrap()).collect();
        let mut station = Station::new();
        let mut model =
            Model { owned: HashSet::new(), probed: HashSet::new(), groups: HashSet::new(), paused: false };
        for deed in deeds {
            match deed {
                Deed::Own(which, burst, refresh) => {
                    model.owned.insert(addresses[which]);
                    model.probed.remove(&addresses[which]);
                    let refresh = refresh.map(Duration::from_millis);
                    station.own(addresses[which], Ownership { refresh, burst, profile: TimingProfile::Fast });
                }
                Deed::Disown(which) => {
                    model.owned.remove(&addresses[which]);
                    station.responder.disown(addresses[which], &mut station.out);
                }
                Deed::Probe(which, takeover) => {
                    model.probed.insert(addresses[which]);
                    let profile = TimingProfile::Fast;
                    let plan = if takeover { ProbePlan::Takeover(profile) } else { ProbePlan::First(profile) };
                    station.responder.probe(station.now, addresses[which], plan, &mut station.out);
                }
                Deed::CancelProbe(which) => {
                    model.probed.remove(&addresses[which]);
                    station.responder.cancel_probe(addresses[which], &mut station.out);
                }
                Deed::Burst(which) => station.responder.burst(station.now, addresses[which]),
                Deed::Defend(which) => {
                    station.responder.defend(station.now, addresses[which], &mut station.out);
                }
                Deed::Ask(which) => {
                    let answers = station.hear(&ask(addresses[which])).len();
                    let wanted = model.owned.contains(&addresses[which]) && !model.paused;
                    prop_assert_eq!(answers, usize::from(wanted));
                }
                Deed::Claim(which) => {
                    station.hear(&claim(addresses[which], OTHER));
                }
                Deed::OthersProbe(which) => {
                    station.hear(&others_probe(addresses[which], OTHER));
                }
                Deed::Pause => {
                    station.responder.pause();
                    model.paused = true;
                }
                Deed::Resume => {
                    model.paused = false;
                    station.responder.resume(station.now);
                }
                Deed::SetMac(ours) => {
                    station.responder.set_mac(station.now, if ours { OURS } else { THIRD }, &mut station.out);
                }
                Deed::Pass(time) => station.pass(ms(time)),
            }
            station.collect();
            model.check(&mut station);
        }
        // Given up entirely, nothing is left.
        station.responder.resume(station.now);
        model.paused = false;
        for address in &addresses {
            station.responder.disown(*address, &mut station.out);
            station.responder.cancel_probe(*address, &mut station.out);
        }
        model.owned.clear();
        model.probed.clear();
        station.sent.clear();
        model.check(&mut station);
        prop_assert!(model.groups.is_empty(), "{:?}", model.groups);
        prop_assert_eq!(station.responder.next_deadline(), None);
    }
}
