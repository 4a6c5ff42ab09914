//! The proxy before moto: it fails calls as rules say, keeps a log of them, and gives all of them one account.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::message::Message;
use super::moto::Moto;
use super::query::Query;
use super::rule::{Fault, Rule};

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Moto answered with this status.
    Answered(u16),
    /// A rule met it.
    Met(Fault),
}

/// A call that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// `CreateLoadBalancer`.
    pub action: String,
    /// The form that was sent, as it was sent.
    pub form: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// A proxy of one account. It ends when this is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    moto: SocketAddr,
    account: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    log: Vec<Logged>,
}

impl FaultProxy {
    /// Starts one on the loopback interface; `account` is twelve digits.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(moto: &Moto, account: &str) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), moto, account).await
    }

    /// Starts one on another address of this network namespace; [`FaultProxy::in_lab`] is for those of a lab.
    ///
    /// # Errors
    /// When there is no such address, or no port is free.
    pub async fn start_on(listen: IpAddr, moto: &Moto, account: &str) -> Result<Self> {
        let listener = TcpListener::bind((listen, 0)).await.with_context(|| format!("a port of {listen}"))?;
        let address = listener.local_addr()?;
        let account = account.to_owned();
        let shared = Arc::new(Shared { moto: moto.address(), account, state: Mutex::default() });
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, _connections: connections })
    }

    /// Its URL: `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From where it is used it has another address.
    pub(super) fn seen_at(&mut self, address: IpAddr) {
        self.address.set_ip(address);
    }

    /// Asks moto as the same account, past all rules and the log.
    pub fn past(&self) -> Query {
        Query { address: self.shared.moto, account: self.shared.account.clone() }
    }

    /// Adds a rule; of those that meet a call the first added counts.
    pub fn inject(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.shared.state().rules.clear();
    }

    /// All calls that came since the start, or since the log was taken.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.state().log.clone()
    }

    /// The log, which is empty then.
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.shared.state().log)
    }

    /// How many calls of an action stand in the log.
    pub fn count(&self, action: &str) -> usize {
        self.shared.state().log.iter().filter(|call| call.action == action).count()
    }

    /// How many calls of each action stand in the log.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.shared.state().log {
            *counts.entry(call.action.clone()).or_default() += 1;
        }
        counts
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, shared.clone()));
                }
                Err(error) => {
                    eprintln!("fault proxy: {error}");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One call per connection. What fails here the caller sees as a broken connection.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    match Message::read(&mut stream).await {
        Ok(Some(call)) => {
            if let Some(bytes) = shared.answer(&call).await {
                // Nobody is there to hear of it, where the caller is gone.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        }
        Ok(None) => {}
        Err(error) => eprintln!("fault proxy: {error:#}"),
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes to answer with; `None` = the connection is closed.
    async fn answer(&self, call: &Message) -> Option<Vec<u8>> {
        let action = call.field("Action").unwrap_or_default();
        let fault = {
            let mut state = self.state();
            state.rules.iter_mut().find_map(|rule| rule.meets(&action).then(|| rule.fault.clone()))
        };
        match fault {
            None => {
                let answer = self.forward(call).await;
                let status = answer.as_ref().ok().and_then(Message::status).unwrap_or(502);
                self.note(call, Outcome::Answered(status));
                answer
                    .inspect_err(|error| eprintln!("fault proxy: {action}: {error:#}"))
                    .ok()
                    .map(|it| it.bytes(&[]))
            }
            Some(fault) => {
                self.note(call, Outcome::Met(fault.clone()));
                self.fail(call, fault).await
            }
        }
    }

    async fn fail(&self, call: &Message, fault: Fault) -> Option<Vec<u8>> {
        let is_ec2 = call.field("Version").as_deref() == Some("2016-11-15");
        match fault {
            Fault::Throttled if is_ec2 => Some(error(true, 503, "RequestLimitExceeded", None)),
            Fault::Throttled => Some(error(false, 400, "Throttling", None)),
            Fault::Error { status, code, retry_after } => Some(error(is_ec2, status, code, retry_after)),
            Fault::Delay(time) => {
                let answer = self.forward(call).await.ok().map(|answer| answer.bytes(&[]));
                sleep(time).await;
                answer
            }
            Fault::Cut => None,
            Fault::AnswerLost => {
                if let Err(error) = self.forward(call).await {
                    eprintln!("fault proxy: {error:#}");
                }
                None
            }
            Fault::Silence => std::future::pending().await,
        }
    }

    async fn forward(&self, call: &Message) -> Result<Message> {
        let mut moto = TcpStream::connect(self.moto).await?;
        moto.write_all(&call.bytes(&[("x-moto-account-id", &self.account)])).await?;
        Message::read(&mut moto).await?.context("moto closed the connection")
    }

    fn note(&self, call: &Message, outcome: Outcome) {
        let action = call.field("Action").unwrap_or_default();
        let form = String::from_utf8_lossy(&call.body).into_owned();
        self.state().log.push(Logged { action, form, outcome });
    }
}

/// An error as the services write it.
fn error(is_ec2: bool, status: u16, code: &str, retry_after: Option<u64>) -> Vec<u8> {
    let what = format!("<Error><Code>{code}</Code><Message>injected by the test</Message></Error>");
    let body = if is_ec2 {
        format!("<Response><Errors>{what}</Errors><RequestID>injected</RequestID></Response>")
    } else {
        format!("<ErrorResponse>{what}<RequestId>injected</RequestId></ErrorResponse>")
    };
    let wait = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Injected\r\ncontent-type: text/xml\r\n{wait}content-length: {length}\r\n\r\n"
    );
    Message { head, body: body.into_bytes() }.bytes(&[])
}
