//! Asks kube-proxy on this node whether it can serve what is about to be announced, and whether it is well.
//!
//! The decisions are made elsewhere, from the [`Answer`]s: this task only asks. It asks often while something waits to be
//! announced, less often the longer it has waited, and never more than a few questions at once.

mod http;
mod proxy_metrics;
mod schedule;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use daymark_announce::{Observation, Probes};
use daymark_model::Family;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

pub use proxy_metrics::ProxyMetrics;
use schedule::{Question, Schedule};

use crate::wall_clock;

/// How many questions may be open at once.
const MAX_OPEN: usize = 16;

/// Where kube-proxy answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyEndpoints {
    /// Its metrics.
    pub metrics: SocketAddr,
    /// Its `/healthz`.
    pub health: SocketAddr,
    /// How often its health is asked for.
    pub health_interval: Duration,
}

impl Default for ProxyEndpoints {
    fn default() -> Self {
        let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self { metrics: at(10249), health: at(10256), health_interval: Duration::from_secs(5) }
    }
}

/// What waits for an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The node's InternalIP, where `healthCheckNodePort`s answer; `None` while it is unknown.
    pub host: Option<IpAddr>,
    /// What the gate would like to know.
    pub probes: Probes,
}

/// An answer, or the lack of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// What the gate takes as evidence.
    Evidence(Observation),
    /// kube-proxy's `/healthz`.
    ProxyHealth {
        /// When it was asked.
        asked: Instant,
        /// The HTTP status; `None` when nothing answers.
        status: Option<u16>,
    },
}

/// Asks until `wanted` or `answers` is closed.
pub async fn run(
    endpoints: ProxyEndpoints,
    mut wanted: watch::Receiver<Wanted>,
    answers: mpsc::Sender<Answer>,
) {
    let mut schedule = Schedule::new(Instant::now(), endpoints.health_interval);
    let mut open: FuturesUnordered<BoxFuture<'static, (Question, Answer)>> = FuturesUnordered::new();
    schedule.want(Instant::now(), &wanted.borrow_and_update());
    loop {
        while open.len() < MAX_OPEN
            && let Some(question) = schedule.take_due(Instant::now())
        {
            open.push(Box::pin(ask(endpoints.clone(), question)));
        }
        let wake = if open.len() < MAX_OPEN { schedule.next_due() } else { None };
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                schedule.want(Instant::now(), &wanted.borrow_and_update());
            }
            Some((question, answer)) = open.next() => {
                schedule.answered(Instant::now(), question, answer.is_useful());
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
            () = sleep_until(wake), if wake.is_some() => {}
        }
    }
}

impl Answer {
    fn is_useful(&self) -> bool {
        match self {
            Self::Evidence(Observation::HealthCheck { status, .. }) | Self::ProxyHealth { status, .. } => {
                status.is_some()
            }
            Self::Evidence(Observation::ProxySync { v4, v6, .. }) => v4.is_some() || v6.is_some(),
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    if let Some(wake) = wake {
        tokio::time::sleep_until(wake.into()).await;
    }
}

async fn ask(endpoints: ProxyEndpoints, question: Question) -> (Question, Answer) {
    let asked = Instant::now();
    let answer = match question {
        Question::HealthCheck(host, port) => {
            let address = SocketAddr::new(host, port.get());
            let status = http::status(address, "/").await.ok();
            Answer::Evidence(Observation::HealthCheck { port, asked, status })
        }
        Question::ProxyHealth => {
            Answer::ProxyHealth { asked, status: http::status(endpoints.health, "/healthz").await.ok() }
        }
        Question::ProxyMetrics => {
            let asked_at = wall_clock::since_epoch();
            let metrics = proxy_metrics(endpoints.metrics).await.unwrap_or_default();
            let (v4, v6) = (metrics.of(Family::V4), metrics.of(Family::V6));
            Answer::Evidence(Observation::ProxySync { asked, asked_at, v4, v6 })
        }
    };
    (question, answer)
}

async fn proxy_metrics(address: SocketAddr) -> Option<ProxyMetrics> {
    let mut metrics = ProxyMetrics::default();
    match http::lines(address, "/metrics", &mut |line| metrics.line(line)).await {
        Ok(200) => Some(metrics),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn serve(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 512];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    async fn first(answers: &mut mpsc::Receiver<Answer>, is_it: impl Fn(&Answer) -> bool) -> Answer {
        let wait = async {
            loop {
                let answer = answers.recv().await.unwrap();
                if is_it(&answer) {
                    return answer;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("no such answer within 10 s")
    }

    #[tokio::test]
    async fn asks_what_is_wanted_and_hears_the_answers() {
        let metrics = serve(
            "HTTP/1.0 200 OK\r\n\r\nkubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 12.5\n",
        )
        .await;
        let health = serve("HTTP/1.0 503 Service Unavailable\r\n\r\n").await;
        let check = serve("HTTP/1.1 200 OK\r\n\r\n{}").await;
        let silent = 1.try_into().unwrap();
        let endpoints = ProxyEndpoints { metrics, health, health_interval: Duration::from_millis(10) };
        let (want, wanted) = watch::channel(Wanted::default());
        let (sender, mut answers) = mpsc::channel(8);
        let task = tokio::spawn(run(endpoints, wanted, sender));

        let answer = first(&mut answers, |_| true).await;
        assert!(matches!(answer, Answer::ProxyHealth { status: Some(503), .. }), "nothing waits: {answer:?}");

        let port = check.port().try_into().unwrap();
        let health_checks = [port, silent].into();
        let probes = Probes { health_checks, proxy_sync_since: Some(Instant::now()) };
        want.send_replace(Wanted { host: Some(check.ip()), probes });
        let answer =
            first(&mut answers, |a| matches!(a, Answer::Evidence(Observation::ProxySync { .. }))).await;
        let Answer::Evidence(Observation::ProxySync { v4: Some(v4), v6, .. }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((v4.synced, v6), (Some(Duration::from_millis(12_500)), None));
        let said = |wanted: NonZeroU16, expected: Option<u16>| {
            move |a: &Answer| {
                matches!(a, Answer::Evidence(Observation::HealthCheck { port, status, .. })
                    if *port == wanted && *status == expected)
            }
        };
        first(&mut answers, said(port, Some(200))).await;
        first(&mut answers, said(silent, None)).await;

        drop(want);
        tokio::time::timeout(Duration::from_secs(10), task).await.expect("the prober does not end").unwrap();
    }
}
