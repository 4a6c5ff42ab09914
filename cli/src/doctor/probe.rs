//! What is sent to find something out: single UDP datagrams from unprivileged sockets.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use tokio::net::UdpSocket;

use super::facts::{Peer, PortAnswer};

/// The port `discard` (RFC 863): no Service has reason to use it, so no service proxy redirects it.
const DISCARD: u16 = 9;
/// How long an ICMP error, or an answer to ARP or ND, is waited for.
const PATIENCE: Duration = Duration::from_millis(1200);
const AT_ONCE: usize = 64;

async fn socket(address: IpAddr) -> std::io::Result<UdpSocket> {
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    UdpSocket::bind(SocketAddr::new(any, 0)).await
}

/// Makes the kernel ask the segment who has `addresses`; the answers are in its neighbor table afterwards. The datagram
/// that makes it ask has a TTL of 1, so that no node passes it on.
pub(super) async fn resolve(addresses: &[IpAddr]) {
    let send = async |address: &IpAddr| -> std::io::Result<()> {
        let socket = socket(*address).await?;
        let options = socket2::SockRef::from(&socket);
        match address {
            IpAddr::V4(_) => options.set_ttl_v4(1)?,
            IpAddr::V6(_) => options.set_unicast_hops_v6(1)?,
        }
        socket.send_to(&[], SocketAddr::new(*address, DISCARD)).await?;
        Ok(())
    };
    for address in addresses {
        // Where it cannot be sent, nobody answers, and the neighbor table has no entry.
        let _ = send(address).await;
    }
    if !addresses.is_empty() {
        tokio::time::sleep(PATIENCE).await;
    }
}

/// Sends one byte to `port` of each of `nodes` and listens for an error.
pub(super) async fn ports(nodes: Vec<(String, IpAddr)>, port: u16) -> Vec<Peer> {
    let each = nodes.into_iter().map(async |(node, address)| {
        let answer = match knock(SocketAddr::new(address, port)).await {
            Ok(()) => PortAnswer::Silence,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => PortAnswer::Refused,
            Err(error) => PortAnswer::Unreachable(error.to_string()),
        };
        Peer { node, address, answer }
    });
    futures::stream::iter(each).buffered(AT_ONCE).collect().await
}

async fn knock(peer: SocketAddr) -> std::io::Result<()> {
    let socket = socket(peer.ip()).await?;
    socket.connect(peer).await?;
    socket.send(&[0]).await?;
    let mut answer = [0; 64];
    match tokio::time::timeout(PATIENCE, socket.recv(&mut answer)).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_told_from_an_open_one() {
        let open = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let node = || vec![("n2".to_owned(), IpAddr::V4(Ipv4Addr::LOCALHOST))];
        let port = open.local_addr().unwrap().port();
        assert_eq!(ports(node(), port).await[0].answer, PortAnswer::Silence);
        drop(open);
        assert_eq!(ports(node(), port).await[0].answer, PortAnswer::Refused);
    }
}
