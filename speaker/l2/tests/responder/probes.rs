//! Asking for an address before it is taken.

use std::net::IpAddr;
use std::time::Duration;

use daymark_l2::responder::{ProbePlan, ResponderEvent};
use daymark_l2::wire::{
    Advertisement, AdvertisementFlags, ArpPacket, NdpMessage, Solicitation, multicast_mac, solicited_node,
};
use daymark_model::{MacAddr, TimingProfile};
use proptest::prelude::*;

use super::support::{
    BURST, CLIENT4, CLIENT6, OTHER, OURS, Said, Station, THIRD, VIP4, VIP6, arp, ask, both, claim, ms,
    others_probe, read,
};

const TAKEOVER: ProbePlan = ProbePlan::Takeover(TimingProfile::Fast);
const FIRST: ProbePlan = ProbePlan::First(TimingProfile::Fast);

fn probing(address: IpAddr, plan: ProbePlan) -> Station {
    let mut station = Station::new();
    station.responder.probe(station.now, address, plan, &mut station.out);
    station.collect();
    station
}

fn answered(address: IpAddr, mac: MacAddr) -> Vec<ResponderEvent> {
    vec![ResponderEvent::ProbeAnswered { address, mac }]
}

#[test]
fn a_takeover_asks_twice_and_knows_after_80_milliseconds() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.pass(ms(10_000));
        assert_eq!(station.times(), [0, 40]);
        assert_eq!(station.events, [(ms(80), ResponderEvent::ProbeUnanswered { address })]);

        let mut station = probing(address, ProbePlan::Takeover(TimingProfile::Relaxed));
        station.pass(ms(10_000));
        assert_eq!(station.times(), [0, 200]);
        assert_eq!(station.events, [(ms(400), ResponderEvent::ProbeUnanswered { address })]);
    }
}

#[test]
fn a_first_probe_has_the_times_of_rfc_5227_or_a_fifth() {
    for (profile, factor) in [(TimingProfile::Fast, 1), (TimingProfile::Relaxed, 5)] {
        for address in both() {
            let mut station = probing(address, ProbePlan::First(profile));
            station.pass(ms(20_000));
            let times: Vec<_> = station.sent.iter().map(|(at, _)| *at).collect();
            assert_eq!(times.len(), 3);
            assert!(times[0] <= ms(200) * factor, "{times:?}");
            for pair in times.windows(2) {
                assert!((ms(200) * factor..=ms(400) * factor).contains(&(pair[1] - pair[0])), "{times:?}");
            }
            let event = ResponderEvent::ProbeUnanswered { address };
            assert_eq!(station.events, [(times[2] + ms(400) * factor, event)]);
        }
    }
}

#[test]
fn probes_do_not_say_whose_they_are() {
    let mut station = probing(VIP4.into(), TAKEOVER);
    station.pass(ms(100));
    for (_, frame) in &station.sent {
        assert_eq!(read(frame), (MacAddr::BROADCAST, Said::Arp(ArpPacket::probe(OURS, VIP4))));
    }
    let mut station = probing(VIP6.into(), TAKEOVER);
    station.pass(ms(100));
    for (_, frame) in &station.sent {
        let said = Said::Ndp(NdpMessage::Solicitation(Solicitation::duplicate_detection(VIP6)));
        assert_eq!(read(frame), (multicast_mac(solicited_node(VIP6)), said));
    }
}

#[test]
fn an_address_is_not_answered_while_it_is_probed() {
    for address in both() {
        let mut station = probing(address, FIRST);
        assert!(station.hear(&ask(address)).is_empty());
        assert_eq!(station.happened(), [], "who asks does not have it");
    }
}

#[test]
fn whoever_has_the_address_ends_the_probe_once() {
    for address in both() {
        for plan in [FIRST, TAKEOVER] {
            let mut station = probing(address, plan);
            station.pass(ms(20));
            for _ in 0..3 {
                station.hear(&claim(address, OTHER));
            }
            station.pass(ms(10_000));
            assert_eq!(station.happened(), answered(address, OTHER));
            assert!(station.sent.len() <= 1, "probes went on: {:?}", station.times());
        }
    }
}

#[test]
fn an_answer_before_the_first_probe_counts() {
    let mut station = probing(VIP4.into(), ProbePlan::First(TimingProfile::Relaxed));
    assert_eq!(station.sent, [], "the first probe is sent at a random time");
    station.hear(&claim(VIP4.into(), OTHER));
    station.pass(ms(20_000));
    assert_eq!(station.happened(), answered(VIP4.into(), OTHER));
    assert_eq!(station.sent, []);
}

#[test]
fn a_request_of_the_owner_counts_as_an_answer() {
    use daymark_l2::wire::ArpOperation::Request;
    let mut station = probing(VIP4.into(), TAKEOVER);
    station.hear(&arp(Request, OTHER, VIP4, CLIENT4, MacAddr::BROADCAST));
    assert_eq!(station.happened(), answered(VIP4.into(), OTHER));
}

#[test]
fn somebody_else_who_probes_counts_as_an_answer() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.hear(&others_probe(address, THIRD));
        assert_eq!(station.happened(), answered(address, THIRD));
    }
}

#[test]
fn our_own_frames_never_count() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.pass(ms(41));
        for (_, frame) in station.sent.clone() {
            station.hear(&frame);
        }
        station.hear(&claim(address, OURS));
        station.hear(&others_probe(address, OURS));
        station.pass(ms(1_000));
        assert_eq!(station.happened(), [ResponderEvent::ProbeUnanswered { address }]);
    }
}

#[test]
fn the_option_of_an_advertisement_tells_who_and_without_it_the_frame() {
    let answer = Advertisement {
        source: VIP6,
        destination: CLIENT6,
        flags: AdvertisementFlags { solicited: true, ..AdvertisementFlags::default() },
        target: VIP6,
        link_layer: Some(THIRD),
    };
    let mut station = probing(VIP6.into(), TAKEOVER);
    station.hear(&answer.frame(OTHER, OURS));
    assert_eq!(station.happened(), answered(VIP6.into(), THIRD));
    let mut station = probing(VIP6.into(), TAKEOVER);
    station.hear(&Advertisement { link_layer: None, ..answer }.frame(OTHER, OURS));
    assert_eq!(station.happened(), answered(VIP6.into(), OTHER));
}

#[test]
fn answers_for_other_addresses_do_not_count() {
    let mut station = probing(VIP4.into(), TAKEOVER);
    station.hear(&claim(CLIENT4.into(), OTHER));
    station.hear(&claim(VIP6.into(), OTHER));
    station.pass(ms(200));
    assert_eq!(station.happened(), [ResponderEvent::ProbeUnanswered { address: VIP4.into() }]);
}

#[test]
fn a_cancelled_probe_tells_nothing() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.responder.cancel_probe(address, &mut station.out);
        station.hear(&claim(address, OTHER));
        station.pass(ms(10_000));
        assert_eq!(station.happened(), []);
        assert_eq!(station.sent.len(), 1);
        assert_eq!(station.responder.next_deadline(), None);
    }
}

#[test]
fn an_address_that_is_taken_is_no_longer_probed() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.own(address, BURST);
        station.pass(ms(10));
        station.hear(&claim(address, OTHER));
        assert_eq!(station.happened(), [ResponderEvent::Contested { address, mac: OTHER }]);
    }
}

#[test]
fn a_process_that_comes_late_reads_what_arrived_meanwhile_before_it_decides() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.pass(ms(41));
        // It stands still beyond the end of the probe; the answer waits in the socket.
        station.now += ms(100);
        station.responder.tick(station.now, &mut station.out);
        station.collect();
        assert_eq!(station.happened(), []);
        station.hear(&claim(address, OTHER));
        station.pass(ms(1_000));
        assert_eq!(station.happened(), answered(address, OTHER));
    }
}

#[test]
fn a_probe_starts_again_after_a_pause_and_with_a_new_mac() {
    for address in both() {
        let mut station = probing(address, TAKEOVER);
        station.pass(ms(60));
        station.responder.pause();
        station.hear(&claim(address, OTHER));
        station.now += ms(500);
        station.responder.resume(station.now);
        station.pass(ms(20));
        assert_eq!(station.times(), [0, 40, 560]);
        station.responder.set_mac(station.now, THIRD, &mut station.out);
        station.collect();
        station.pass(ms(1_000));
        assert_eq!(station.times(), [0, 40, 560, 580, 620]);
        assert_eq!(station.events, [(ms(660), ResponderEvent::ProbeUnanswered { address })]);
    }
}

#[test]
fn probes_of_many_addresses_are_paced_and_the_first_are_soon_done() {
    let mut station = Station::new();
    for n in 0..5_000 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        station.responder.probe(station.now, address, TAKEOVER, &mut station.out);
    }
    station.collect();
    station.pass(ms(3_000));
    assert_eq!(station.sent.len(), 10_000);
    assert_eq!(station.events.len(), 5_000);
    assert!(station.events[0].0 <= ms(100), "the first is known after {:?}", station.events[0].0);
    let last = station.events.last().unwrap().0;
    assert!(last <= ms(1_400), "the last is known after {last:?}");
    let soon = station.sent.iter().filter(|(at, _)| *at < Duration::from_millis(500)).count();
    assert!(soon <= 6_250 + 120, "{soon} in the first half second");
}

proptest! {
    /// A stranger that has the address answers each probe that reaches it; frames get lost both ways. A probe finds it
    /// exactly when one question and its answer pass.
    #[test]
    fn a_probe_finds_whoever_hears_it(
        v6 in any::<bool>(),
        first in any::<bool>(),
        lost in proptest::collection::vec((any::<bool>(), any::<bool>()), 3),
        delay in 0_u64..30,
    ) {
        let address: IpAddr = if v6 { VIP6.into() } else { VIP4.into() };
        let mut station = probing(address, if first { FIRST } else { TAKEOVER });
        let mut seen = 0;
        let mut found = false;
        for _ in 0..2_000 {
            station.pass(ms(1));
            for (question_lost, answer_lost) in lost.iter().skip(seen).take(station.sent.len() - seen).copied() {
                if !question_lost && !answer_lost && !found {
                    found = true;
                    station.pass(ms(delay));
                    station.hear(&claim(address, OTHER));
                }
            }
            seen = station.sent.len();
        }
        let outcome = if found {
            ResponderEvent::ProbeAnswered { address, mac: OTHER }
        } else {
            ResponderEvent::ProbeUnanswered { address }
        };
        prop_assert_eq!(station.happened(), vec![outcome]);
    }
}
