//! Kubernetes Events, published beside the work and never in its way.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tracing::warn;

use crate::client::within;

/// `type` of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something to tell about an object.
#[derive(Debug, Clone)]
pub struct News {
    /// About what.
    pub regarding: ObjectReference,
    /// How bad it is.
    pub severity: Severity,
    /// The CamelCase word.
    pub reason: String,
    /// What was done or tried, in one CamelCase word.
    pub action: &'static str,
    /// The sentence.
    pub note: String,
}

/// Publishes Events; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    important: mpsc::Sender<News>,
    routine: mpsc::Sender<News>,
    dropped: Counter,
}

/// Refusals, releases and changes wait here when the server is slow; beyond this even they are dropped, and counted.
const IMPORTANT_BACKLOG: usize = 20_000;
const ROUTINE_BACKLOG: usize = 16;
/// An event costs the server about as much as the write that it tells of.
const IMPORTANT_PACE: Duration = Duration::from_millis(10);
const ROUTINE_PACE: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_secs(5);
/// The server refuses longer notes.
const LONGEST_NOTE: usize = 1024;

impl Recorder {
    /// A recorder that signs as `controller` on `instance`; it works until the last clone is dropped.
    pub fn spawn(client: Client, controller: &str, instance: &str, registry: &mut Registry) -> Self {
        let (important, important_news) = mpsc::channel(IMPORTANT_BACKLOG);
        let (routine, routine_news) = mpsc::channel(ROUTINE_BACKLOG);
        let (published, dropped) = (Counter::default(), Counter::default());
        registry.register("daymark_events_published", "Kubernetes Events published", published.clone());
        registry.register(
            "daymark_events_dropped",
            "Kubernetes Events dropped under backlog",
            dropped.clone(),
        );
        let publisher = Publisher {
            client,
            controller: controller.to_owned(),
            instance: instance.to_owned(),
            published,
            dropped: dropped.clone(),
            failures: 0,
        };
        tokio::spawn(publisher.clone().work(important_news, IMPORTANT_PACE));
        tokio::spawn(publisher.work(routine_news, ROUTINE_PACE));
        Self { important, routine, dropped }
    }

    /// Publishes news that must not be lost.
    pub fn tell(&self, news: News) {
        self.send(&self.important, news);
    }

    /// Publishes news that may be dropped when there is a lot of it.
    pub fn mention(&self, news: News) {
        self.send(&self.routine, news);
    }

    fn send(&self, queue: &mpsc::Sender<News>, news: News) {
        if queue.try_send(news).is_err() {
            self.dropped.inc();
        }
    }
}

#[derive(Clone)]
struct Publisher {
    client: Client,
    controller: String,
    instance: String,
    published: Counter,
    dropped: Counter,
    failures: u32,
}

impl Publisher {
    async fn work(mut self, mut queue: mpsc::Receiver<News>, pace: Duration) {
        let mut tick = tokio::time::interval(pace);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while let Some(news) = queue.recv().await {
            tick.tick().await;
            self.publish(news).await;
        }
    }

    async fn publish(&mut self, news: News) {
        let event = self.event(&news, jiff::Timestamp::now());
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match within(DEADLINE, api.create(&PostParams::default(), &event)).await {
            Ok(_) => {
                self.failures = 0;
                self.published.inc();
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.dropped.inc();
                // The first, then ever fewer: what the event says is in the log and in the condition too.
                if self.failures.is_power_of_two() {
                    warn!(reason = %news.reason, attempt = self.failures, %error, "an event is not published");
                }
            }
        }
    }

    fn event(&self, news: &News, now: jiff::Timestamp) -> Event {
        // Events about cluster-scoped objects live in the namespace `default`.
        let namespace = news.regarding.namespace.clone().unwrap_or_else(|| "default".into());
        let name = news.regarding.name.clone().unwrap_or_default();
        let cut = news.note.floor_char_boundary(LONGEST_NOTE);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            action: Some(news.action.to_owned()),
            event_time: Some(MicroTime(now)),
            note: news.note.get(..cut).map(str::to_owned),
            reason: Some(news.reason.clone()),
            regarding: Some(news.regarding.clone()),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(match news.severity {
                Severity::Normal => "Normal".into(),
                Severity::Warning => "Warning".into(),
            }),
            ..Event::default()
        }
    }
}
