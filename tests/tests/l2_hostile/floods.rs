//! Much of everything, and things that mean nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use daymark_model::MacAddr;
use daymark_tests::lan::frame::{Frame, Sender, duplicate_probe, request};
use daymark_tests::network::Network;
use daymark_tests::{Lab, Result, Time, ensure};

use super::common::l2::{all_agree, everything, owners, served, web};
use super::memory;
use super::tap::{MESH, PORT};

/// Senders of a thousand frames per second each.
const SENDERS: usize = 6;
const LENGTH: Duration = Duration::from_secs(4);
const FRAMES: u32 = 400;

/// Bytes that follow from `seed` and mean nothing.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

fn stranger(number: u32) -> MacAddr {
    let [_, a, b, c] = number.to_be_bytes();
    MacAddr([2, 0xcc, 0, a, b, c])
}

fn frame(to: MacAddr, from: MacAddr, kind: u16, payload: &[u8]) -> Frame {
    [&to.0[..], &from.0, &kind.to_be_bytes(), payload].concat()
}

/// A datagram to the port of the node network's mesh; nobody checks its sums where they are zero.
fn datagram(from: (MacAddr, Ipv4Addr), to: (MacAddr, Ipv4Addr), payload: &[u8]) -> Frame {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap_or_default().to_be_bytes();
    let mut header = [&[0x45, 0][..], &length(28), &[0, 0, 0, 0, 64, 17, 0, 0]].concat();
    header.extend(from.1.octets());
    header.extend(to.1.octets());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or_default();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let port = PORT.to_be_bytes();
    let udp = [&port[..], &port, &length(8), &[0, 0], payload].concat();
    frame(to.0, from.0, 0x0800, &[header, udp].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_and_garbage_keep_nobody_from_answering() -> Result<()> {
    let lab = Lab::builder("l2-floods").nodes(3).lan_clients(2).start().await?;
    lab.apply(&everything("failback: Never")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let watch = lab.watch(&vips).await?;
    let before = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    let sender = lab.lan_client("l2")?.sender().await?;
    let everybody = MacAddr::BROADCAST;
    let node = lab.node(&before[0])?;
    let target = (node.netns().mac(Network::Nodenet.name()).await?, node.internal_ips().v4);
    let prober = lab.prober()?.sender_on(Network::Nodenet).await?;

    // Questions from ever new stations, for ours and for others' addresses.
    let questions = |vip: IpAddr| -> Vec<Frame> {
        (0..FRAMES)
            .map(|number| match number % 3 {
                0 => duplicate_probe(stranger(number), vip),
                1 => request(Sender { mac: stranger(number), ..sender }, vip),
                _ => request(Sender { mac: stranger(number), ..sender }, [10, 20, 0, 222].into()),
            })
            .collect()
    };
    let mesh: Vec<Frame> = (0..FRAMES)
        .map(|number| {
            let mut packet = noise(number, 60 + number as usize * 3);
            // The version of the protocol.
            packet[0] = 1;
            let length = u16::try_from(packet.len()).unwrap_or_default().to_be_bytes();
            frame(everybody, stranger(number), MESH, &[&length[..], &packet].concat())
        })
        .collect();
    // Kinds that the filter lets through, cut off and filled with noise.
    let garbage: Vec<Frame> = (0..FRAMES)
        .map(|number| {
            let whole =
                request(Sender { mac: stranger(number), ..sender }, vips[number as usize % vips.len()]);
            let kept = 14 + number as usize % (whole.len() - 14);
            let mut broken = whole[..kept].to_vec();
            broken.extend(noise(number, number as usize % 90));
            broken
        })
        .collect();
    let datagrams: Vec<Frame> = (0..FRAMES)
        .map(|number| datagram((prober.mac, prober.v4), target, &noise(number, number as usize % 1400)))
        .collect();
    let kinds: [(&str, Network, Vec<Frame>); 5] = [
        ("ARP", Network::Upstream, questions(vips[0])),
        ("solicitations", Network::Upstream, questions(vips[1])),
        ("mesh", Network::Upstream, mesh),
        ("garbage", Network::Upstream, garbage),
        ("datagrams", Network::Nodenet, datagrams),
    ];
    // What a first flood leaves allocated is no leak; a second one adds nothing.
    let mut held = Vec::new();
    for round in 1..=2 {
        for (what, network, frames) in &kinds {
            let since = Time::now();
            let mut floods = Vec::new();
            for _ in 0..SENDERS {
                let station =
                    if *network == Network::Nodenet { lab.prober()? } else { lab.lan_client("l2")? };
                floods.push(station.repeat_on(*network, frames, Duration::from_millis(1))?);
            }
            for (vip, owner) in vips.iter().zip(&before) {
                watch.stays_with(*vip, owner, LENGTH / 4).await?;
            }
            for flood in floods {
                flood.stop().await?;
            }
            let record = watch.wire().record_after(since).await?;
            for vip in &vips {
                let silences = record.silences(*vip, Duration::from_secs(1));
                ensure!(silences.is_empty(), "{what}: {vip} was not answered: {silences:?}");
                ensure!(record.changes(*vip).is_empty(), "{what}: {}", record.story(*vip));
                record.check_single(*vip, Duration::ZERO)?;
            }
            println!("round {round}: {what}: {} frames of ARP and ND seen", record.frames.len());
        }
        let mut sizes = Vec::new();
        for name in ["n1", "n2", "n3"] {
            sizes.push(memory(&*lab.speaker(name).await?).await?);
        }
        held.push(sizes);
    }
    println!("memory in MiB after each round: {held:?}");
    for (first, second) in held[0].iter().zip(&held[1]) {
        ensure!(second - first < 8.0, "memory grows: {held:?}");
    }
    for (vip, owner) in vips.iter().zip(&before) {
        all_agree(&lab, *vip, owner).await?;
    }
    served(&lab, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}
