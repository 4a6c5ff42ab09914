//! The stream and the header (RFC 4271 section 6.1, RFC 8654).

use daymark_bgp::wire::{DecodeContext, Decoder, Message, WireError, encode_end_of_rib, encode_keepalive};
use daymark_model::Family;

use super::support::{external, frame, hex, read, read_one, update_frame, written};

#[track_caller]
fn refused(context: Option<DecodeContext>, stream: &[u8], code: u8, subcode: u8, data: &str) {
    let notification = read(context, stream).expect_err("accepted").notification();
    let got = (notification.code.code(), notification.code.subcode(), notification.data.to_vec());
    assert_eq!(got, (code, subcode, hex(data)));
}

fn header(length: u16, kind: u8) -> Vec<u8> {
    let mut header = vec![0xff; 16];
    header.extend(length.to_be_bytes());
    header.push(kind);
    header
}

#[test]
fn a_marker_that_is_not_all_ones_is_refused() {
    let mut stream = frame(4, &[]);
    stream[15] = 0xfe;
    refused(None, &stream, 1, 1, "");
}

#[test]
fn another_protocol_is_known_by_its_first_octet() {
    refused(None, b"SSH-2.0", 1, 1, "");
    refused(None, b"G", 1, 1, "");
}

#[test]
fn lengths_out_of_bounds_are_refused_with_the_length() {
    for kind in 0..=255 {
        refused(None, &header(0, kind), 1, 2, "0000");
        refused(None, &header(18, kind), 1, 2, "0012");
        refused(None, &header(4097, kind), 1, 2, "1001");
        refused(Some(external()), &header(65535, kind), 1, 2, "ffff");
    }
    refused(None, &header(20, 4), 1, 2, "0014");
    refused(None, &header(28, 1), 1, 2, "001c");
    refused(None, &header(22, 2), 1, 2, "0016");
    refused(None, &header(20, 3), 1, 2, "0014");
}

#[test]
fn unknown_types_are_refused_with_the_type() {
    refused(None, &header(19, 0), 1, 3, "00");
    refused(None, &header(19, 6), 1, 3, "06");
    refused(Some(external()), &header(200, 255), 1, 3, "ff");
}

#[test]
fn extended_messages_only_after_negotiation_and_never_open_or_keepalive() {
    let large = DecodeContext { max_message_len: 65535, ..external() };
    let nlri = hex("20 0a000001").repeat(2000);
    let attributes = hex("40010100 40020602010000fde8 400304c0000201");
    let stream = update_frame(&[], &attributes, &nlri);
    refused(Some(external()), &stream, 1, 2, &format!("{:04x}", stream.len()));
    match read_one(Some(large.clone()), &stream).unwrap() {
        Message::Update(update) => assert_eq!(update.announced.len(), 2000),
        other => panic!("{other:?}"),
    }
    refused(Some(large.clone()), &header(4097, 1), 1, 2, "1001");
    refused(Some(large), &header(4097, 4), 1, 2, "1001");
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let mut stream = written(|out| {
        encode_keepalive(out);
        encode_end_of_rib(Family::V4, out);
        encode_end_of_rib(Family::V6, out);
    });
    stream.extend(frame(5, &hex("00010001")));
    let whole = read(Some(external()), &stream).unwrap();
    assert_eq!(whole.len(), 4);
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::new();
        decoder.set_context(external());
        let mut messages = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            decoder.feed(part);
            while let Some(message) = decoder.next().unwrap() {
                messages.push(message);
            }
        }
        assert_eq!(messages, whole, "cut at {cut}");
    }
}

#[test]
fn after_an_error_nothing_more_is_read_or_kept() {
    let mut decoder = Decoder::new();
    decoder.feed(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(decoder.next(), Err(WireError::NotSynchronized));
    assert_eq!(decoder.offending(), b"GET / HTTP/1.1\r\n\r\n");
    decoder.feed(&frame(4, &[]));
    assert_eq!(decoder.next(), Err(WireError::NotSynchronized));
}

#[test]
fn the_offending_message_is_kept_up_to_64_octets() {
    let stream = frame(1, &[9; 200]);
    let mut decoder = Decoder::new();
    decoder.feed(&stream);
    decoder.next().unwrap_err();
    assert_eq!(decoder.offending(), &stream[..64]);
}

#[test]
fn an_update_before_negotiation_is_not_read() {
    let stream = update_frame(&hex("ff ff"), &hex("ffff"), &hex("99"));
    assert_eq!(read_one(None, &stream), Ok(Message::Update(Default::default())));
}

#[test]
fn a_refresh_of_a_wrong_length() {
    let plain = DecodeContext { enhanced_route_refresh: false, ..external() };
    for body in ["0001 00", "0001 00 01 00"] {
        let stream = frame(5, &hex(body));
        refused(Some(external()), &stream, 1, 2, &format!("{:04x}", stream.len()));
    }
    for body in ["0001 01", "0001 02 01 00"] {
        let stream = frame(5, &hex(body));
        let all: String = stream.iter().map(|octet| format!("{octet:02x}")).collect();
        refused(Some(external()), &stream, 7, 1, &all);
        refused(Some(plain.clone()), &stream, 1, 2, &format!("{:04x}", stream.len()));
    }
}
