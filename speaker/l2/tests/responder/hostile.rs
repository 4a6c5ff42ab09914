//! Bytes from hosts that mean harm: nothing panics, nothing is answered that is not owned, nothing grows.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use daymark_l2::responder::{ProbePlan, ResponderEvent};
use daymark_l2::wire::{ArpPacket, EthernetHeader, NdpMessage};
use daymark_model::{MacAddr, TimingProfile};
use proptest::prelude::*;

use super::support::{
    CLIENT4, OTHER, Station, VIP4, VIP6, ask, both, claim, ms, others_probe, request, solicit, subject,
};

/// Valid frames of all kinds.
fn seeds() -> Vec<Vec<u8>> {
    let addresses =
        both().into_iter().chain(["192.0.2.77".parse().unwrap(), "2001:db8::77".parse().unwrap()]);
    addresses
        .flat_map(|address| [ask(address), claim(address, OTHER), others_probe(address, OTHER)])
        .collect()
}

/// What may come out, whatever goes in.
fn survive(station: &mut Station, frame: &[u8]) {
    let before = station.events.len();
    let answers = station.hear(frame);
    assert!(answers.len() <= 1, "one frame in, {} out", answers.len());
    for answer in &answers {
        assert!(both().contains(&subject(answer)), "answered for {}", subject(answer));
        assert!(answer.len() <= 86, "an answer of {} bytes", answer.len());
    }
    assert!(station.events.len() - before <= 2);
    assert!(station.out.groups.is_empty());
}

fn target() -> Station {
    let mut station = Station::owning(&both());
    station.out.groups.clear();
    for address in ["192.0.2.77", "2001:db8::77"] {
        let address = address.parse().unwrap();
        station.responder.probe(
            station.now,
            address,
            ProbePlan::First(TimingProfile::Relaxed),
            &mut station.out,
        );
    }
    station.out.groups.clear();
    station.collect();
    station
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&mut target(), &frame);
        let _ = ArpPacket::parse(&frame);
        let _ = NdpMessage::parse(&frame);
    }

    #[test]
    fn random_payloads_behind_a_good_header(ipv6 in any::<bool>(), payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut frame = if ipv6 { solicit(VIP6) } else { request(VIP4, MacAddr::BROADCAST) };
        frame.truncate(EthernetHeader::LEN);
        frame.extend_from_slice(&payload);
        survive(&mut target(), &frame);
    }

    #[test]
    fn mutated_frames(
        seed in 0..seeds().len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        more in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut frame = seeds()[seed].clone();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len()));
        }
        frame.extend_from_slice(&more);
        let mut station = target();
        survive(&mut station, &frame);
        station.pass(ms(100));
    }

    /// Options of every length behind a solicitation whose lengths and checksum are right.
    #[test]
    fn random_options(options in proptest::collection::vec(any::<u8>(), 0..64), advertised in any::<bool>()) {
        let mut frame = if advertised { claim(VIP6.into(), OTHER) } else { solicit(VIP6) };
        frame.truncate(78);
        frame.extend_from_slice(&options);
        let length = u16::try_from(frame.len() - 54).unwrap();
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame[56..58].fill(0);
        let words = frame[22..].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
        let mut sum = words.sum::<u32>() + 58 + u32::from(length);
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        frame[56..58].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
        if let Err(error) = NdpMessage::parse(&frame[14..]) {
            prop_assert_ne!(error, daymark_l2::wire::NdpError::Checksum);
        }
        survive(&mut target(), &frame);
    }
}

#[test]
fn the_corpus_of_the_fuzz_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/responder");
    let mut entries = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        survive(&mut target(), &fs::read(entry.unwrap().path()).unwrap());
        entries += 1;
    }
    assert!(entries >= 11, "{entries} entries in {}", corpus.display());
}

#[test]
fn every_byte_of_every_frame_changed() {
    for seed in seeds() {
        for at in 0..seed.len() {
            for change in [1, 0x80, 0xff] {
                let mut frame = seed.clone();
                frame[at] ^= change;
                survive(&mut target(), &frame);
            }
        }
    }
}

#[test]
fn a_flood_of_claims_and_probes_leaves_no_work_behind() {
    let mut station = Station::owning(&both());
    for n in 0..50_000_u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let mac = MacAddr([6, 0, 0, a, b, c]);
        let any: IpAddr = std::net::Ipv4Addr::new(10, a, b, c).into();
        for address in [any, VIP4.into(), VIP6.into(), CLIENT4.into()] {
            station.hear(&claim(address, mac));
        }
    }
    assert_eq!(station.events.len(), 2, "all within one moment");
    assert!(station.happened().iter().all(|event| matches!(event, ResponderEvent::Contested { .. })));
    assert_eq!(station.responder.next_deadline(), None);
}
