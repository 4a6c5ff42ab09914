//! The solicited-node groups that the interface is in.

use std::net::{IpAddr, Ipv6Addr};

use daymark_l2::responder::GroupChange::{self, Join, Leave};
use daymark_l2::responder::ProbePlan;
use daymark_model::TimingProfile;

use super::support::{OTHER, QUIET, Station, VIP4, VIP6, claim, ms};

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xffa1, 0xb2c3);
const SAME_GROUP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0xa1, 0xb2c3);

fn changes(station: &mut Station) -> Vec<GroupChange> {
    station.out.groups.drain(..).collect()
}

#[test]
fn a_group_is_joined_with_its_first_address_and_left_with_its_last() {
    let mut station = Station::new();
    station.own(VIP4.into(), QUIET);
    assert_eq!(changes(&mut station), []);
    station.own(VIP6.into(), QUIET);
    station.own(VIP6.into(), QUIET);
    assert_eq!(changes(&mut station), [Join(GROUP)]);
    station.own(SAME_GROUP.into(), QUIET);
    for address in [VIP4.into(), IpAddr::V6(VIP6), VIP6.into()] {
        station.responder.disown(address, &mut station.out);
    }
    assert_eq!(changes(&mut station), []);
    station.responder.disown(SAME_GROUP.into(), &mut station.out);
    assert_eq!(changes(&mut station), [Leave(GROUP)]);
}

#[test]
fn a_probe_joins_and_taking_the_address_keeps_the_group() {
    let takeover = ProbePlan::Takeover(TimingProfile::Fast);
    let mut station = Station::new();
    station.responder.probe(station.now, VIP6.into(), takeover, &mut station.out);
    station.pass(ms(80));
    assert_eq!(station.events.len(), 1);
    station.own(VIP6.into(), QUIET);
    station.pass(ms(10_000));
    assert_eq!(changes(&mut station), [Join(GROUP)]);
}

#[test]
fn the_group_of_a_probe_is_left_when_nothing_comes_of_it() {
    let takeover = ProbePlan::Takeover(TimingProfile::Fast);
    for answered in [false, true] {
        let mut station = Station::new();
        station.responder.probe(station.now, VIP6.into(), takeover, &mut station.out);
        station.responder.probe(station.now, VIP6.into(), takeover, &mut station.out);
        if answered {
            station.hear(&claim(VIP6.into(), OTHER));
        }
        station.pass(ms(10_000));
        assert_eq!(changes(&mut station), [Join(GROUP), Leave(GROUP)]);
        assert_eq!(station.events.len(), 1);
        assert_eq!(station.responder.next_deadline(), None);
    }
    let mut station = Station::new();
    station.responder.probe(station.now, VIP6.into(), takeover, &mut station.out);
    station.responder.cancel_probe(VIP6.into(), &mut station.out);
    assert_eq!(changes(&mut station), [Join(GROUP), Leave(GROUP)]);
}
