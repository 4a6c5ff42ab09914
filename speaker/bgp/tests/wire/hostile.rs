//! Peers that mean harm, or are broken: whatever the bytes, nothing panics, loops or grows.

use std::path::PathBuf;

use bytes::BytesMut;
use daymark_bgp::wire::{
    DecodeContext, Decoder, Message, NextHop, PathAttributes, encode_announce, encode_open, encode_withdraw,
};
use daymark_model::{Family, StandardCommunity};

use super::support::{asn, external, frames, hosts, hosts6, read_one, to_external};

/// The selector octet of a corpus entry, as the fuzz target reads it.
fn context(selector: u8) -> DecodeContext {
    let bit = |n: u8| selector & (1 << n) != 0;
    let mut families = Vec::new();
    families.extend(bit(2).then_some(Family::V4));
    families.extend(bit(3).then_some(Family::V6));
    DecodeContext {
        four_octet_asn: bit(0),
        internal: bit(1),
        families,
        enhanced_route_refresh: bit(4),
        max_message_len: if bit(5) { 65535 } else { 4096 },
    }
}

/// Reads a stream to its end or first error and checks what came out against what went in.
fn survive(context: Option<DecodeContext>, stream: &[u8]) -> usize {
    let mut decoder = Decoder::new();
    if let Some(context) = context {
        decoder.set_context(context);
    }
    decoder.feed(stream);
    let mut messages = 0;
    loop {
        match decoder.next() {
            Ok(Some(message)) => {
                messages += 1;
                assert!(messages * 19 <= stream.len(), "more messages than the stream has room for");
                check(&message, stream.len());
            }
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(matches!(error.notification().code.code(), 1..=3 | 7));
                assert!(decoder.offending().len() <= 64);
                break;
            }
        }
    }
    messages
}

fn check(message: &Message, octets: usize) {
    match message {
        Message::Update(update) => {
            assert!(update.announced.len() + update.withdrawn.len() <= octets);
            assert!(update.attributes.len() <= 256);
            assert!(update.defects.len() <= octets);
        }
        Message::Open(open) => {
            assert!(!matches!(open.hold_time, 1 | 2));
            // Merged capabilities may exceed what one capability, or one OPEN, can hold.
            let mut out = BytesMut::new();
            if encode_open(open, &mut out).is_ok() {
                assert_eq!(read_one(None, &out).as_ref(), Ok(message));
            }
        }
        Message::Notification(notification) => {
            assert!(!notification.to_string().is_empty());
        }
        Message::Keepalive | Message::RouteRefresh(_) => {}
    }
}

fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decoder");
    let mut entries: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn the_corpus_is_survived_whole_and_cut_at_every_octet() {
    let corpus = corpus();
    assert!(corpus.len() >= 40, "{} entries", corpus.len());
    for (_, entry) in corpus {
        let (selector, stream) = entry.split_first().unwrap();
        for end in 0..=stream.len() {
            survive(Some(context(*selector)), &stream[..end]);
            survive(None, &stream[..end]);
        }
    }
}

/// A good message whose header admits to being cut is refused or read as something else, but never believed whole.
#[test]
fn messages_cut_at_every_octet_with_a_fitting_header() {
    let attributes = PathAttributes {
        as_path: vec![asn(65000), asn(4_200_000_000)],
        med: Some(1),
        communities: [StandardCommunity::NO_EXPORT].into(),
        ..PathAttributes::default()
    };
    let context = to_external();
    let mut out = BytesMut::new();
    let v4 = NextHop::V4("192.0.2.1".parse().unwrap());
    let v6 = NextHop::V6 { address: "2001:db8::1".parse().unwrap(), link_local: None };
    encode_announce(&context, Family::V4, v4, &attributes, &mut hosts(3), &mut out).unwrap();
    encode_announce(&context, Family::V6, v6, &attributes, &mut hosts6(3), &mut out).unwrap();
    encode_withdraw(&context, Family::V4, &mut hosts(3), &mut out).unwrap();
    encode_withdraw(&context, Family::V6, &mut hosts6(3), &mut out).unwrap();
    for whole in frames(&out) {
        let complete = read_one(Some(external()), &whole).unwrap();
        for end in 19..whole.len() {
            let mut cut = whole[..end].to_vec();
            cut[16..18].copy_from_slice(&u16::try_from(end).unwrap().to_be_bytes());
            survive(Some(external()), &cut);
            assert_ne!(read_one(Some(external()), &cut).ok().as_ref(), Some(&complete));
        }
    }
}

/// A small generator, so that a failure is found again from its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn octet(&mut self) -> u8 {
        // Lengths, counts and type codes sit at the edges.
        match self.below(4) {
            0 => [0, 1, 2, 4, 14, 15, 0x40, 0x80, 0x90, 0xc0, 0xff][self.below(11)],
            _ => u8::try_from(self.next() & 0xff).unwrap(),
        }
    }
}

fn mutate(stream: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        let at = random.below(stream.len());
        match random.below(5) {
            0 | 1 if !stream.is_empty() => stream[at] = random.octet(),
            2 => stream.insert(at, random.octet()),
            3 if !stream.is_empty() => drop(stream.remove(at)),
            4 => {
                let end = (at + random.below(40)).min(stream.len());
                let piece = stream[at..end].to_vec();
                let to = random.below(stream.len());
                stream.splice(to..to, piece);
            }
            _ => stream.truncate(at),
        }
    }
    // Most mutants get past the header, to reach what lies behind it.
    if stream.len() >= 19 && stream.len() <= 65535 && random.below(8) != 0 {
        stream[..16].fill(0xff);
        let length = u16::try_from(stream.len()).unwrap();
        stream[16..18].copy_from_slice(&length.to_be_bytes());
    }
}

#[test]
fn a_hundred_thousand_mutants_are_survived() {
    let seeds: Vec<Vec<u8>> = corpus().into_iter().map(|(_, entry)| entry[1..].to_vec()).collect();
    let mut random = Random(0x6461_796d_6172_6b21);
    let mut read = 0;
    for _ in 0..100_000 {
        let mut stream = seeds[random.below(seeds.len())].clone();
        mutate(&mut stream, &mut random);
        let selector = u8::try_from(random.next() & 0x3f).unwrap();
        let negotiated = (random.below(8) != 0).then(|| context(selector));
        read += survive(negotiated, &stream);
    }
    assert!(
        read > 5_000,
        "only {read} mutants were read at all: the mutations are too coarse to test anything"
    );
}
