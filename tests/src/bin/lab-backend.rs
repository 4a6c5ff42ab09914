//! The process in a lab's pod: answers each request, over TCP (as HTTP) and over UDP, with who it is and whom it saw.

#[path = "../report.rs"]
#[allow(dead_code)]
mod report;

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use clap::Parser;
use report::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

const LONGEST_REQUEST: usize = 16 * 1024;

#[derive(Parser)]
#[command(about = "Answers over TCP and UDP with who it is and whom it saw, as JSON")]
struct Arguments {
    /// The name that it gives.
    #[arg(long)]
    pod: String,
    /// Ports to answer on.
    #[arg(required = true)]
    ports: Vec<u16>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for port in arguments.ports {
        // Both families on one socket: the kernel shows IPv4 clients as mapped addresses.
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let socket = TcpSocket::new_v6()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address).with_context(|| format!("TCP port {port}"))?;
        tokio::spawn(serve_tcp(socket.listen(4096)?, arguments.pod.clone(), port));
        let datagrams = UdpSocket::bind(address).await.with_context(|| format!("UDP port {port}"))?;
        tokio::spawn(serve_udp(datagrams, arguments.pod.clone(), port));
    }
    println!("ready");
    std::future::pending().await
}

async fn serve_tcp(listener: TcpListener, pod: String, port: u16) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let answer = answer(&pod, peer, port, "tcp");
                tokio::spawn(async move {
                    if let Err(error) = serve_connection(stream, &answer).await {
                        eprintln!("connection of {peer}: {error:#}");
                    }
                });
            }
            Err(error) => eprintln!("accept on port {port}: {error}"),
        }
    }
}

/// Answers one request after the other until the client closes or asks for it.
async fn serve_connection(mut stream: TcpStream, answer: &Answer) -> Result<()> {
    stream.set_nodelay(true)?;
    let body = format!("{}\n", serde_json::to_string(answer)?);
    let mut received = Vec::new();
    loop {
        let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            anyhow::ensure!(received.len() < LONGEST_REQUEST, "the request does not end");
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let request = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
        let close = request.contains("\r\nconnection: close");
        let connection = if close { "close" } else { "keep-alive" };
        let length = body.len();
        let response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: {connection}\r\n\r\n{body}"
        );
        stream.write_all(response.as_bytes()).await?;
        if close {
            stream.shutdown().await?;
            return Ok(());
        }
        received.drain(..end + 4);
    }
}

async fn serve_udp(socket: UdpSocket, pod: String, port: u16) {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((_, peer)) => {
                let text = serde_json::to_string(&answer(&pod, peer, port, "udp")).unwrap_or_default();
                if let Err(error) = socket.send_to(text.as_bytes(), peer).await {
                    eprintln!("datagram to {peer}: {error}");
                }
            }
            Err(error) => eprintln!("datagram on port {port}: {error}"),
        }
    }
}

fn answer(pod: &str, peer: SocketAddr, port: u16, protocol: &str) -> Answer {
    Answer {
        pod: pod.to_owned(),
        client: peer.ip().to_canonical(),
        client_port: peer.port(),
        port,
        protocol: protocol.to_owned(),
    }
}
