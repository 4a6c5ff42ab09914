//! A stream of bytes through the decoder. The first octet says what was negotiated; `tests/wire/hostile.rs` reads the
//! corpus the same way.

#![no_main]

use bytes::BytesMut;
use daymark_bgp::wire::{DecodeContext, Decoder, Message, encode_open};
use daymark_model::Family;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((selector, stream)) = input.split_first() else { return };
    let bit = |n: u8| selector & (1 << n) != 0;
    let mut families = Vec::new();
    families.extend(bit(2).then_some(Family::V4));
    families.extend(bit(3).then_some(Family::V6));
    let mut decoder = Decoder::new();
    decoder.set_context(DecodeContext {
        four_octet_asn: bit(0),
        internal: bit(1),
        families,
        enhanced_route_refresh: bit(4),
        max_message_len: if bit(5) { 65535 } else { 4096 },
    });
    decoder.feed(stream);
    while let Ok(Some(message)) = decoder.next() {
        let Message::Open(open) = message else { continue };
        let mut out = BytesMut::new();
        // Merged capabilities may exceed what one capability, or one OPEN, can hold.
        if encode_open(&open, &mut out).is_err() {
            continue;
        }
        let mut again = Decoder::new();
        again.feed(&out);
        assert_eq!(again.next(), Ok(Some(Message::Open(open))));
    }
});
