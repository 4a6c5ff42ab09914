//! What running speakers say of themselves, over their introspection endpoint.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::told::{L2Address, L2Snapshot, L2Status, ServiceListing};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 20;
/// How many addresses or Services are asked for at once.
const PAGE: usize = 1000;
/// A speaker that pages for ever is not followed.
const MAX_PAGES: usize = 200;
/// How many speakers are asked at the same time.
const AT_ONCE: usize = 16;

/// A running speaker and where it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its node, where that is known before it is asked.
    pub node: Option<String>,
    /// `host:port`.
    pub authority: String,
}

/// A text that is no [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no speaker: write NODE=http://HOST:PORT, or http://HOST:PORT")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TargetError(text.to_owned());
        let (node, url) = match text.split_once('=') {
            Some((node, url)) => (Some(node), url),
            None => (None, text),
        };
        let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':').ok_or_else(error)?;
        let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        let sound = !host.is_empty() && !host.contains(odd) && port.parse::<u16>().is_ok();
        if !sound || node.is_some_and(str::is_empty) {
            return Err(error());
        }
        Ok(Self { node: node.map(str::to_owned), authority: authority.to_owned() })
    }
}

impl Target {
    /// The speaker of this node, which serves on `address`.
    pub fn local(address: SocketAddr) -> Self {
        let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        Self { node: None, authority: SocketAddr::new(ip, address.port()).to_string() }
    }
}

/// Why a speaker did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection, or it broke.
    #[error("the speaker at {authority} does not answer: {source}")]
    Io {
        /// Where.
        authority: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing in time.
    #[error("the speaker at {0} does not answer in time")]
    Timeout(String),
    /// It refused.
    #[error("the speaker at {authority} answers {code} to {path}{}", remedy(*code))]
    Refused {
        /// Where.
        authority: String,
        /// What was asked.
        path: String,
        /// The HTTP code.
        code: u16,
    },
    /// What came back is no answer.
    #[error("what answers at {0} is no speaker of Daymark")]
    Garbled(String),
}

fn remedy(code: u16) -> &'static str {
    match code {
        403 => ": it tells this only to its own node, so ask there, with --local, --port-forward or a tunnel",
        404 => ": it has another version than this tool",
        _ => "",
    }
}

/// Everything that a speaker says about layer 2 and about why addresses do not go out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Testimony {
    /// The node.
    pub node: String,
    /// Whether no Announcement concerns the node, so that it is in no mesh.
    pub idle: bool,
    /// Layer 2 on the node.
    pub l2: L2Status,
    /// Its addresses.
    pub addresses: Vec<L2Address>,
    /// Services, with reasons.
    pub services: Vec<ServiceListing>,
}

/// Asks all of `targets`, some at the same time; the answers come in their order.
pub async fn ask_all(targets: &[Target]) -> Vec<(Target, Result<Testimony, AskError>)> {
    let each = targets.iter().map(async |target| (target.clone(), ask(target).await));
    futures::stream::iter(each).buffered(AT_ONCE).collect().await
}

/// Asks one speaker.
///
/// # Errors
/// When it does not answer, or not as a speaker does.
pub async fn ask(target: &Target) -> Result<Testimony, AskError> {
    let garbled = || AskError::Garbled(target.authority.clone());
    let snapshot = get(target, "/debug/l2").await?;
    let snapshot: L2Snapshot = serde_json::from_value(snapshot).map_err(|_| garbled())?;
    let node = match snapshot.node.node.is_empty() {
        true => named(&get(target, "/debug/node").await?)
            .or(target.node.clone())
            .unwrap_or(target.authority.clone()),
        false => snapshot.node.node.clone(),
    };
    let addresses = pages(target, "/debug/l2/addresses", "addresses", |item: &Value| {
        item.get("address").and_then(Value::as_str).map(str::to_owned)
    });
    let addresses = addresses.await?;
    let services = pages(target, "/debug/services", "services", |item: &Value| {
        item.get("service").and_then(Value::as_str).map(str::to_owned)
    });
    Ok(Testimony {
        node,
        idle: snapshot.is_idle(),
        l2: snapshot.node,
        addresses: fitting(addresses),
        services: fitting(services.await?),
    })
}

/// The name of the node in the answer to `/debug/node`.
fn named(answer: &Value) -> Option<String> {
    answer.pointer("/facts/name").and_then(Value::as_str).map(str::to_owned)
}

fn fitting<T: serde::de::DeserializeOwned>(items: Vec<Value>) -> Vec<T> {
    items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect()
}

/// All pages of a list: a bare array, or one under `name`; `key` gives what the next page comes behind.
async fn pages(
    target: &Target,
    path: &str,
    name: &str,
    key: impl Fn(&Value) -> Option<String>,
) -> Result<Vec<Value>, AskError> {
    let mut all = Vec::new();
    let mut after = String::new();
    for _ in 0..MAX_PAGES {
        let mut answer = get(target, &format!("{path}?limit={PAGE}&after={after}")).await?;
        let list = answer.get_mut(name).map(Value::take).unwrap_or(answer);
        let Value::Array(items) = list else { return Err(AskError::Garbled(target.authority.clone())) };
        let next = items.last().and_then(&key);
        let full = items.len() >= PAGE;
        all.extend(items);
        match next {
            Some(next) if full && next != after => after = next,
            Some(_) | None => break,
        }
    }
    Ok(all)
}

async fn get(target: &Target, path: &str) -> Result<Value, AskError> {
    let authority = target.authority.clone();
    let (code, body) = match tokio::time::timeout(TIMEOUT, exchange(&authority, path)).await {
        Ok(Ok(Some(answer))) => answer,
        Ok(Ok(None)) => return Err(AskError::Garbled(authority)),
        Ok(Err(source)) => return Err(AskError::Io { authority, source }),
        Err(_) => return Err(AskError::Timeout(authority)),
    };
    if code != 200 {
        return Err(AskError::Refused {
            authority,
            path: path.split('?').next().unwrap_or(path).to_owned(),
            code,
        });
    }
    serde_json::from_slice(&body).map_err(|_| AskError::Garbled(authority))
}

/// The code of `GET path`, whatever it is; `None` when the answer is no HTTP.
///
/// # Errors
/// When there is no connection, or no answer in time.
pub async fn status(address: SocketAddr, path: &str) -> std::io::Result<Option<u16>> {
    let answer = tokio::time::timeout(TIMEOUT, exchange(&address.to_string(), path)).await;
    let answer = answer.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    Ok(answer.map(|(code, _)| code))
}

/// One GET in HTTP/1.0, so that the server neither chunks the body nor keeps the connection.
async fn exchange(authority: &str, path: &str) -> std::io::Result<Option<(u16, Vec<u8>)>> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: daymark\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER as u64).read_to_end(&mut answer).await?;
    Ok(parsed(&answer))
}

fn parsed(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(end + 4)?;
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let code = line.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?.parse().ok()?;
    Some((code, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_targets() {
        let parse = |text: &str| text.parse::<Target>().map(|t| (t.node, t.authority));
        assert_eq!(parse("n1=http://10.0.0.1:7472"), Ok((Some("n1".into()), "10.0.0.1:7472".into())));
        assert_eq!(parse("http://[::1]:7472/"), Ok((None, "[::1]:7472".into())));
        assert_eq!(parse("n1=localhost:17472"), Ok((Some("n1".into()), "localhost:17472".into())));
        for wrong in ["", "n1=", "=http://h:1", "http://h", "https://h:1/x", "h:99999", "http://h:1/debug"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_address_is_reached_on_loopback() {
        let local = |text: &str| Target::local(text.parse().unwrap()).authority;
        assert_eq!(local("[::]:7472"), "127.0.0.1:7472");
        assert_eq!(local("10.0.0.1:99"), "10.0.0.1:99");
    }

    #[test]
    fn answers_are_taken_apart() {
        assert_eq!(parsed(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n[]"), Some((200, b"[]".to_vec())));
        for garbage in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert_eq!(parsed(garbage), None);
        }
    }
}
