//! Sockets: how they are made, and what the kernel's errors mean.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use daymark_bgp::{ConnectFault, Link};
use daymark_model::{Family, SessionSource};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::config::NeighborConfig;
use crate::netlink::HostNetwork;

/// Connects to the neighbor.
///
/// # Errors
/// What can be said about why not.
pub(super) async fn connect(config: NeighborConfig, network: HostNetwork) -> Result<TcpStream, ConnectFault> {
    let address = config.transport.address;
    let scope = scope(&config, &network);
    let socket = socket(&config).map_err(other)?;
    if let Some(source) = source(&config, &network)? {
        let bound = socket.bind(&with_scope(source, 0, scope).into());
        bound
            .map_err(|error| ConnectFault::Source { origin: source.to_string(), error: error.to_string() })?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    let stream =
        socket.connect(with_scope(address, config.transport.port, scope)).await.map_err(|e| fault(&e))?;
    Ok(stream)
}

fn socket(config: &NeighborConfig) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address((config.transport.address, 0).into()), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    equip(&socket, config)?;
    Ok(socket)
}

/// Sets what both a connecting and an accepted socket need.
fn equip(socket: &Socket, config: &NeighborConfig) -> io::Result<()> {
    match config.transport.address {
        IpAddr::V4(_) => socket.set_ttl_v4(config.ttl())?,
        IpAddr::V6(_) => socket.set_unicast_hops_v6(config.ttl())?,
    }
    // Updates are written whole, so nothing is gained by holding small ones back.
    socket.set_tcp_nodelay(true)?;
    // The kernel gives up on unanswered bytes as soon as the session would: its own limit is a quarter of an hour.
    let hold = config.peer.timers.hold;
    socket.set_tcp_user_timeout((!hold.is_zero()).then_some(hold.max(Duration::from_secs(3))))
}

/// Sets up a socket that the neighbor connected to.
///
/// # Errors
/// Those of the kernel.
pub(super) fn equip_accepted(stream: &TcpStream, config: &NeighborConfig) -> io::Result<()> {
    equip(&SockRef::from(stream), config)
}

/// The interface that a link-local neighbor is on.
fn scope(config: &NeighborConfig, network: &HostNetwork) -> u32 {
    match &config.transport.source {
        Some(SessionSource::Interface(name)) => {
            network.interfaces.iter().find(|(_, n)| *n == name).map_or(0, |(index, _)| *index)
        }
        Some(SessionSource::Address(_)) | None => 0,
    }
}

fn with_scope(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, scope).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => SocketAddr::new(address, port),
    }
}

/// The address to connect from, where one is configured.
fn source(config: &NeighborConfig, network: &HostNetwork) -> Result<Option<IpAddr>, ConnectFault> {
    match &config.transport.source {
        None => Ok(None),
        Some(SessionSource::Address(address)) => Ok(Some(*address)),
        Some(SessionSource::Interface(name)) if is_link_local(config.transport.address) => {
            if network.interfaces.values().any(|known| known == name) {
                return Ok(None);
            }
            Err(ConnectFault::Source { origin: name.clone(), error: "there is no such interface".to_owned() })
        }
        Some(SessionSource::Interface(name)) => {
            let family = Family::of(config.transport.address);
            network.on_interface(name, family).map(Some).ok_or_else(|| ConnectFault::Source {
                origin: name.clone(),
                error: format!("there is no interface of this name with a usable {family} address"),
            })
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn other(error: io::Error) -> ConnectFault {
    ConnectFault::Other { error: error.to_string() }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of io::Error are open")]
fn fault(error: &io::Error) -> ConnectFault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFault::Refused,
        io::ErrorKind::TimedOut => ConnectFault::TimedOut,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => ConnectFault::Unreachable { error: error.to_string() },
        _ => ConnectFault::Other { error: error.to_string() },
    }
}

/// The addresses that routes over a session from `local` can have as their next hop.
pub(super) fn link(local: SocketAddr, network: &HostNetwork) -> Link {
    let ip = local.ip().to_canonical();
    let local_v4 = network.beside(ip, Family::V4).and_then(|address| match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    });
    let local_v6 = network.beside(ip, Family::V6).and_then(|address| match address {
        IpAddr::V6(v6) => Some(v6),
        IpAddr::V4(_) => None,
    });
    Link { local: SocketAddr::new(ip, local.port()), local_v4, local_v6 }
}
