//! The pump against an HTTP server that plays a script. What a real API server does is tested in the lab.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::StreamExt;
use kube::Config;

use super::*;
use crate::slim::Service;

/// What the server answers to one request: `watch` requests and lists each have their own queue; an empty one hangs.
#[derive(Default)]
struct Script {
    lists: VecDeque<(u16, String)>,
    watches: VecDeque<(u16, String)>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Script>>;

async fn answer(State(script): State<Shared>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let watch = query.contains("watch=true");
    let next = {
        let mut script = script.lock().unwrap();
        script.asked.push(query);
        if watch { script.watches.pop_front() } else { script.lists.pop_front() }
    };
    let Some((code, text)) = next else { return std::future::pending().await };
    let open = watch && code == 200 && !text.ends_with("END");
    let bytes = futures::stream::once(async move { Ok::<_, std::io::Error>(text.replace("END", "")) });
    let body = if open {
        Body::from_stream(bytes.chain(futures::stream::pending()))
    } else {
        Body::from_stream(bytes)
    };
    Response::builder().status(code).body(body).unwrap()
}

struct Running {
    script: Shared,
    health: Health,
    updates: mpsc::Receiver<Update<String>>,
}

/// A pump of Services that keeps their types.
async fn run(
    lists: &[(u16, &str)],
    watches: &[(u16, &str)],
    pump: impl FnOnce(Pump<Service>) -> Pump<Service>,
) -> Running {
    let owned =
        |answers: &[(u16, &str)]| answers.iter().map(|(code, text)| (*code, (*text).to_owned())).collect();
    let script: Shared =
        Arc::new(Mutex::new(Script { lists: owned(lists), watches: owned(watches), asked: Vec::new() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    crate::client::install_crypto_provider();
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let health = Health::default();
    let context = PumpContext::new(client, health.clone(), &mut Registry::default());
    let (to, updates) = mpsc::channel(16);
    let pump = pump(Pump::<Service>::new(&context));
    tokio::spawn(pump.run(|s: Service| s.spec?.type_, |update| update, to));
    Running { script, health, updates }
}

impl Running {
    async fn next(&mut self) -> Update<String> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.updates.recv()).await;
        next.unwrap_or_else(|_| panic!("no update; checks {:?}", self.health.checks())).unwrap()
    }

    /// The resource versions that watches asked for.
    fn watched_from(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        let watches = script.asked.iter().filter(|query| query.contains("watch=true"));
        let version = |query: &String| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("resourceVersion="))
                .unwrap_or_default()
                .to_owned()
        };
        watches.map(version).collect()
    }
}

fn key(name: &str) -> Key {
    Key { namespace: "d".into(), name: name.into() }
}

fn list(version: u32, items: &[(&str, &str)]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|(name, kind)| {
            format!(r#"{{"metadata":{{"name":"{name}","namespace":"d"}},"spec":{{"type":{kind}}}}}"#)
        })
        .collect();
    format!(r#"{{"metadata":{{"resourceVersion":"{version}"}},"items":[{}]}}"#, items.join(","))
}

fn event(type_: &str, version: u32, name: &str, kind: &str) -> String {
    format!(
        r#"{{"type":"{type_}","object":{{"metadata":{{"name":"{name}","namespace":"d","resourceVersion":"{version}"}},"spec":{{"type":{kind}}}}}}}"#
    ) + "\n"
}

#[tokio::test]
async fn a_watch_goes_on_where_it_ended_and_an_expired_one_lists_again() {
    let gone =
        r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#.to_owned() + "\n";
    let first = event("MODIFIED", 8, "a", r#""ClusterIP""#) + "END";
    let second = event("DELETED", 9, "a", r#""ClusterIP""#) + &gone;
    let mut running = run(
        &[(200, &list(7, &[("a", r#""NodePort""#)])), (200, &list(20, &[("b", r#""NodePort""#)]))],
        &[(200, &first), (200, &second)],
        |pump| pump,
    )
    .await;
    assert_eq!(running.next().await, Update::Reset([(key("a"), "NodePort".into())].into()));
    assert_eq!(running.next().await, Update::Apply(key("a"), "ClusterIP".into()));
    assert_eq!(running.next().await, Update::Delete(key("a")));
    assert_eq!(running.next().await, Update::Reset([(key("b"), "NodePort".into())].into()));
    assert_eq!(running.watched_from()[..2], ["7", "8"]);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_named_and_the_others_are_there() {
    let mut running = run(
        &[(200, &list(7, &[("a", r#""NodePort""#), ("bad", "5")]))],
        &[(200, &(event("MODIFIED", 8, "a", "6") + &event("MODIFIED", 9, "bad", r#""NodePort""#)))],
        |pump| pump,
    )
    .await;
    assert_eq!(running.next().await, Update::Reset([(key("a"), "NodePort".into())].into()));
    assert_eq!(running.next().await, Update::Delete(key("a")));
    assert_eq!(running.next().await, Update::Apply(key("bad"), "NodePort".into()));
    let checks = running.health.checks();
    let said = checks.get("watch/Service").unwrap().to_string();
    assert!(said.contains("d/a (invalid type") && !said.contains("d/bad"), "{said}");
    assert!(running.health.is_ready());
}

#[tokio::test]
async fn an_optional_kind_that_is_forbidden_counts_as_empty_until_it_is_allowed() {
    let forbidden = r#"{"kind":"Status","status":"Failure","code":403,"reason":"Forbidden","message":"no"}"#;
    let lists = [(403, forbidden), (403, forbidden), (200, &*list(7, &[("a", r#""NodePort""#)]))];
    let mut running = run(&lists, &[], Pump::optional).await;
    assert_eq!(running.next().await, Update::Reset(BTreeMap::new()));
    let said = running.health.checks().get("watch/Service").unwrap().to_string();
    assert_eq!(said, "degraded: we may not read services: fix the ClusterRole (get, list, watch)");
    assert_eq!(running.next().await, Update::Reset([(key("a"), "NodePort".into())].into()));
}

#[tokio::test]
async fn a_required_kind_that_is_missing_is_waited_for() {
    let lists = [(404, "404 page not found"), (200, &*list(7, &[]))];
    let mut running = run(&lists, &[], |pump| pump).await;
    assert_eq!(running.next().await, Update::Reset(BTreeMap::new()));
    let script = running.script.lock().unwrap();
    assert_eq!(script.asked.iter().filter(|query| !query.contains("watch=true")).count(), 2);
}
