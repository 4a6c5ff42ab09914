//! What is said unasked, when, and how fast.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use daymark_l2::responder::Ownership;
use daymark_l2::wire::{Advertisement, ArpPacket, NdpMessage};
use daymark_model::{MacAddr, TimingProfile};

use super::support::{BURST, OURS, QUIET, Said, Station, THIRD, VIP4, VIP6, both, ms, read, subject};

const REFRESHED: Ownership =
    Ownership { refresh: Some(Duration::from_secs(60)), burst: true, profile: TimingProfile::Fast };

/// In no span of time there are more frames than `rate` (per second) allows, and `depth` at once above that.
fn never_faster(station: &Station, rate: f64, depth: f64) {
    let mut level = 0.0_f64;
    let mut last = 0.0;
    for (at, _) in &station.sent {
        let at = at.as_secs_f64();
        level = (level - (at - last) * rate).max(0.0) + 1.0;
        last = at;
        assert!(level <= depth + 1e-3, "{level} frames too near to each other at {at} s");
    }
}

#[test]
fn an_arp_burst_has_both_forms_in_six_rounds() {
    let mut station = Station::new();
    station.own(VIP4.into(), BURST);
    station.pass(ms(60_000));
    assert_eq!(station.times(), [0, 0, 100, 100, 300, 300, 1100, 1100, 2500, 2500, 5000, 5000]);
    for pair in station.sent.chunks(2) {
        let request = (MacAddr::BROADCAST, Said::Arp(ArpPacket::announcement(OURS, VIP4)));
        let reply = (MacAddr::BROADCAST, Said::Arp(ArpPacket::gratuitous_reply(OURS, VIP4)));
        assert_eq!([read(&pair[0].1), read(&pair[1].1)], [request, reply]);
    }
    assert_eq!(station.responder.next_deadline(), None, "no refresh was asked for");
}

#[test]
fn an_ndp_burst_is_unsolicited_advertisements_in_six_rounds() {
    let mut station = Station::new();
    station.own(VIP6.into(), BURST);
    station.pass(ms(60_000));
    assert_eq!(station.times(), [0, 100, 300, 1100, 2500, 5000]);
    for (_, frame) in &station.sent {
        let said = Said::Ndp(NdpMessage::Advertisement(Advertisement::unsolicited(OURS, VIP6)));
        assert_eq!(read(frame), (MacAddr([0x33, 0x33, 0, 0, 0, 1]), said));
    }
}

#[test]
fn the_relaxed_profile_is_five_times_slower() {
    let mut station = Station::new();
    station.own(VIP6.into(), Ownership { profile: TimingProfile::Relaxed, ..BURST });
    station.pass(ms(60_000));
    assert_eq!(station.times(), [0, 500, 1500, 5500, 12_500, 25_000]);
}

#[test]
fn without_a_burst_nothing_is_said_until_the_refresh() {
    for address in both() {
        let mut station = Station::new();
        station.own(address, Ownership { burst: false, ..REFRESHED });
        station.pass(Duration::from_secs(300));
        assert!((4..=5).contains(&station.sent.len()), "{:?}", station.times());
        assert!(station.sent[0].0 >= Duration::from_secs(54), "{:?}", station.times());
    }
}

#[test]
fn refreshes_follow_the_burst_with_jitter() {
    for address in both() {
        let mut station = Station::new();
        station.own(address, REFRESHED);
        station.pass(Duration::from_secs(3_600));
        let times: Vec<_> = station.sent.iter().map(|(at, _)| *at).filter(|at| *at >= ms(5_000)).collect();
        let burst_end = times.iter().filter(|at| **at == ms(5_000)).count();
        let gaps: Vec<_> = times[burst_end - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (54_000..=66_000).contains(&gap.as_millis())), "{gaps:?}");
        assert!((54..=66).contains(&gaps.len()), "{} refreshes in an hour", gaps.len());
        assert!(gaps.iter().any(|gap| *gap != gaps[0]), "no jitter");
    }
}

#[test]
fn a_refresh_is_changed_while_the_address_is_owned() {
    let mut station = Station::new();
    station.own(VIP4.into(), Ownership { burst: false, ..REFRESHED });
    let faster = Ownership { refresh: Some(Duration::from_secs(10)), ..QUIET };
    station.own(VIP4.into(), faster);
    station.pass(Duration::from_secs(12));
    assert_eq!(station.sent.len(), 1);
    // Told again and again that nothing changed, it still comes.
    for _ in 0..10 {
        station.own(VIP4.into(), faster);
        station.pass(Duration::from_secs(5));
    }
    assert!(station.sent.len() >= 4, "{:?}", station.times());
    station.own(VIP4.into(), QUIET);
    assert_eq!(station.responder.next_deadline(), None);
}

#[test]
fn an_absurd_refresh_does_no_harm() {
    let mut station = Station::new();
    station.own(VIP4.into(), Ownership { refresh: Some(Duration::MAX), ..BURST });
    station.pass(Duration::from_secs(60));
    assert_eq!(station.sent.len(), 12);
    station.own(VIP4.into(), Ownership { refresh: Some(Duration::ZERO), ..BURST });
    station.pass(Duration::from_secs(10));
    assert!(station.sent.len() < 12 + 12 + 51 * 10, "{} frames", station.sent.len());
}

#[test]
fn a_burst_starts_again_when_told() {
    let mut station = Station::new();
    station.own(VIP6.into(), BURST);
    station.pass(ms(1_000));
    station.responder.burst(station.now, VIP6.into());
    station.pass(ms(9_000));
    assert_eq!(station.times(), [0, 100, 300, 1000, 1100, 1300, 2100, 3500, 6000]);
    assert_eq!(station.responder.counters().bursts, 2);
}

#[test]
fn all_addresses_burst_with_a_new_mac() {
    let mut station = Station::owning(&both());
    station.responder.set_mac(station.now, OURS, &mut station.out);
    station.pass(ms(9_000));
    assert_eq!(station.sent, [], "the MAC is the same");
    station.responder.set_mac(station.now, THIRD, &mut station.out);
    station.collect();
    station.pass(ms(9_000));
    assert_eq!(station.sent.len(), 18);
    for (_, frame) in &station.sent {
        assert_eq!(frame[6..12], THIRD.0);
    }
}

fn many(count: u32, family_of: impl Fn(u32) -> IpAddr) -> Vec<IpAddr> {
    (0..count).map(family_of).collect()
}

#[test]
fn five_thousand_addresses_taken_at_once_are_all_announced_within_two_seconds() {
    let v4 = many(5_000, |n| Ipv4Addr::from_bits(0x0a00_0000 + n).into());
    let v6 = many(5_000, |n| Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + u128::from(n)).into());
    for addresses in [v4, v6] {
        let mut station = Station::new();
        for address in &addresses {
            station.own(*address, REFRESHED);
        }
        station.pass(Duration::from_secs(8));
        never_faster(&station, 12_500.0, 120.0);
        let mut heard: HashMap<IpAddr, Vec<Duration>> = HashMap::new();
        for (at, frame) in &station.sent {
            heard.entry(subject(frame)).or_default().push(*at);
        }
        assert_eq!(heard.len(), 5_000);
        let rounds = if addresses[0].is_ipv4() { 12 } else { 6 };
        for (address, times) in &heard {
            assert_eq!(times.len(), rounds, "{address}");
            assert!(times[0] < ms(700), "{address} is first heard of after {:?}", times[0]);
            assert!(times[rounds / 6 - 1] < ms(2_000), "{address} ends its first round after {times:?}");
        }
        assert_eq!(station.responder.counters().gratuitous as usize, station.sent.len());
    }
}

#[test]
fn refreshes_of_many_addresses_are_at_most_fifty_a_second() {
    let mut station = Station::new();
    for address in many(5_000, |n| Ipv4Addr::from_bits(0x0a00_0000 + n).into()) {
        station.own(address, Ownership { burst: false, ..REFRESHED });
    }
    station.pass(Duration::from_secs(54 + 6 + 200));
    never_faster(&station, 50.0, 1.0);
    let mut heard: HashMap<IpAddr, usize> = HashMap::new();
    for (_, frame) in &station.sent {
        *heard.entry(subject(frame)).or_default() += 1;
    }
    assert_eq!(heard.len(), 5_000, "every address has its turn");
    assert!(heard.values().all(|times| (1..=3).contains(times)));
}

#[test]
fn a_new_address_does_not_wait_for_old_ones() {
    let mut station = Station::new();
    for address in many(5_000, |n| Ipv4Addr::from_bits(0x0a00_0000 + n).into()) {
        station.own(address, REFRESHED);
    }
    station.pass(ms(900));
    let taken = station.now - station.start;
    station.own(VIP6.into(), BURST);
    station.pass(ms(50));
    let (at, _) = station.sent.iter().find(|(_, frame)| subject(frame) == VIP6).unwrap();
    assert!(*at - taken < ms(5), "first heard of after {:?}", *at - taken);
}

#[test]
fn answers_do_not_wait_for_bursts() {
    let mut station = Station::new();
    for address in many(5_000, |n| Ipv4Addr::from_bits(0x0a00_0000 + n).into()) {
        station.own(address, REFRESHED);
    }
    let last = Ipv4Addr::from_bits(0x0a00_0000 + 4_999);
    assert_eq!(station.hear(&super::support::request(last, MacAddr::BROADCAST)).len(), 1);
}
