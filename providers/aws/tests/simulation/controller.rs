//! The controller: its queue, its passes, what it does with their ends, and how it dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daymark_aws::cloud::AwsCloud;
use daymark_aws::model::Desired;
use daymark_aws::pace::Paced;
use daymark_aws::plan::node_access::backend_key;
use daymark_aws_fake::Aws;
use daymark_model::Timestamp;
use daymark_providers::pass::{self, End};
use daymark_providers::queue::{Cause, Queue};
use daymark_providers::{Depth, ErrorClass, PassReport, StepClass};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::book::{Object, Shared, Shelf};
use crate::life::Life;
use crate::shop::{NODE_ACCESS, Shop, Task};
use crate::spy::{Spy, Way};

/// How often everything is looked at again without a cause.
const DRIFT: Duration = Duration::from_secs(1800);

pub struct Controller {
    pub aws: Aws,
    pub shared: Shared,
    pub shop: Shop,
    pub life: Life,
    pub paced: bool,
    started: Instant,
    cloud: Arc<AwsCloud<Way>>,
    queue: Queue<String>,
    running: JoinSet<Ended>,
    /// What the last full pass of each said.
    pub last: BTreeMap<String, PassReport>,
    pub journal: Vec<String>,
    pub passes: usize,
    pub deaths: usize,
}

struct Ended {
    key: String,
    depth: Depth,
    removes: bool,
    report: PassReport,
}

impl Controller {
    pub fn new(aws: &Aws, paced: bool) -> Self {
        let shared = Shared::default();
        let life = Life::default();
        Self {
            shop: Shop::new(aws.account()),
            cloud: cloud(aws, &shared, &life, paced),
            aws: aws.clone(),
            shared,
            life,
            paced,
            started: Instant::now(),
            queue: Queue::new(4),
            running: JoinSet::new(),
            last: BTreeMap::new(),
            journal: Vec::new(),
            passes: 0,
            deaths: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(1_000_000) + self.started.elapsed()
    }

    pub fn note(&mut self, text: impl Into<String>) {
        let line = format!("{:>7.1} {}", self.started.elapsed().as_secs_f64(), text.into());
        self.journal.push(line);
    }

    /// Something about a load balancer changed.
    pub fn touch(&mut self, key: &str, depth: Depth) {
        let now = self.now();
        self.queue.mark(&key.to_owned(), depth, now, StepClass::Change, Cause::Changed);
    }

    pub fn touch_all(&mut self, depth: Depth) {
        let keys = self.shop.subjects(&self.shared.book());
        keys.iter().for_each(|key| self.touch(key, depth));
    }

    /// The process dies, and another one begins with what was saved.
    pub fn restart(&mut self) {
        self.deaths += 1;
        self.running.abort_all();
        self.running = JoinSet::new();
        self.life = Life::default();
        self.cloud = cloud(&self.aws, &self.shared, &self.life, self.paced);
        self.queue = Queue::new(4);
        self.touch_all(Depth::Full);
    }

    /// Lets time pass while the controller works.
    pub async fn run_for(&mut self, span: Duration) -> Result<(), String> {
        let until = Instant::now() + span;
        let before = self.passes;
        while self.turn(until).await? {
            if self.passes > before + 3000 {
                return Err("the controller does not come to rest".to_owned());
            }
        }
        Ok(())
    }

    /// Waits for the next thing to happen, and does what is due; `false` when the time is over.
    pub async fn turn(&mut self, until: Instant) -> Result<bool, String> {
        self.begin()?;
        let due = self.queue.next_deadline().map(|at| Instant::now() + at.since(self.now()));
        let wake = due.map_or(until, |due| due.min(until));
        let life = self.life.clone();
        tokio::select! {
            biased;
            () = life.ended() => {
                self.note("the controller dies");
                self.restart();
            }
            Some(ended) = self.running.join_next() => {
                let ended = ended.map_err(|error| format!("a pass panicked: {error}"))?;
                self.end(ended);
            }
            () = sleep_until(wake) => return Ok(wake < until),
        }
        Ok(true)
    }

    /// Begins the passes that are due.
    fn begin(&mut self) -> Result<(), String> {
        while let Some((key, depth)) = self.queue.next(self.now()) {
            let task = self.shop.task(&key, &self.shared.book())?;
            let (uid, desired) = match task {
                Task::Nothing => {
                    self.queue.forget(&key);
                    continue;
                }
                Task::Serve(uid, desired) => (uid, Some(*desired)),
                Task::Remove => {
                    let uid = self.shared.book().objects.get(&key).map(|object| object.uid.clone());
                    (uid.unwrap_or_default(), None)
                }
            };
            let policy = self.shop.policy(&key);
            let inventory = {
                let mut book = self.shared.book();
                let object = book
                    .objects
                    .entry(key.clone())
                    .or_insert_with(|| Object { uid: uid.clone(), ..Object::default() });
                object.desired.clone_from(&desired);
                object.policy.clone_from(&policy);
                object.inventory.clone()
            };
            let (cloud, now, removes) = (Arc::clone(&self.cloud), self.now(), desired.is_none());
            let depth = match &desired {
                None => Depth::Full,
                Some(Desired::Standing(_)) => Depth::Targets,
                Some(Desired::LoadBalancer(_) | Desired::NodeAccess(_)) => depth,
            };
            let (shared, life) = (self.shared.clone(), self.life.clone());
            let mut shelf = Shelf { shared, key: key.clone(), uid, life };
            self.passes += 1;
            self.running.spawn(async move {
                let desired: Option<&Desired> = desired.as_ref();
                let report = pass::run(&*cloud, &mut shelf, desired, inventory, depth, &policy, now).await;
                Ended { key, depth, removes, report }
            });
        }
        Ok(())
    }

    fn end(&mut self, ended: Ended) {
        let Ended { key, depth, removes, report } = ended;
        let now = self.now();
        match &report.end {
            End::Gone if removes => {
                self.queue.forget(&key);
                self.shared.book().objects.remove(&key);
                self.last.remove(&key);
                self.touch(&key, Depth::Full);
                self.touch(NODE_ACCESS, Depth::Full);
                return;
            }
            End::Failed(error) => match report.again {
                Some(again) => self.queue.done(&key, Some(now + again)),
                None => {
                    let seed = self.passes as u64;
                    self.queue.failed(&key, error.class, error.retry_after, now, seed);
                }
            },
            End::Unsaved(_) => {
                self.queue.failed(&key, ErrorClass::Transient, None, now, 1);
            }
            End::Converged | End::Waiting(_) | End::Held | End::Shown | End::Gone => {
                self.queue.done(&key, report.again.map(|again| now + again));
            }
        }
        if key == NODE_ACCESS {
            let group = |report: &PassReport| report.inventory.id(&backend_key()).map(str::to_owned);
            if self.last.get(&key).and_then(group) != group(&report) {
                self.touch_all(Depth::Full);
            }
        }
        if depth == Depth::Full {
            self.queue.mark(&key, Depth::Full, now + DRIFT, StepClass::Cosmetic, Cause::Routine);
            self.last.insert(key, report);
        }
    }

    /// Whether every load balancer is as it is to be for all that its last pass knows.
    pub fn is_quiet(&self) -> bool {
        if !self.running.is_empty() {
            return false;
        }
        let book = self.shared.book();
        let soon = self.queue.next_deadline().is_some_and(|at| at < self.now() + Duration::from_secs(400));
        let settled = |key: &String| match self.shop.task(key, &book) {
            Ok(Task::Nothing) => true,
            Ok(Task::Serve(..)) => {
                self.last.get(key).is_some_and(|report| report.done == 0 && report.end == End::Converged)
            }
            Ok(Task::Remove) | Err(_) => false,
        };
        !soon && self.shop.subjects(&book).iter().all(settled)
    }

    /// Consents to everything that waits for consent.
    pub fn consent_to_all(&mut self) {
        let mut given = Vec::new();
        for (key, report) in &self.last {
            if let Some(consent) = &report.plan.consent
                && self.shop.consents.get(key) != Some(consent)
            {
                given.push((key.clone(), consent.clone()));
            }
        }
        for (key, consent) in given {
            self.shop.consents.insert(key.clone(), consent);
            self.touch(&key, Depth::Full);
        }
    }

    /// Works until it is quiet.
    pub async fn settle(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(3 * 3600);
        let before = self.passes;
        while !self.is_quiet() {
            self.consent_to_all();
            self.turn(Instant::now() + Duration::from_secs(5)).await?;
            if Instant::now() > until {
                return Err("it is not quiet after three hours".to_owned());
            }
            if self.passes > before + 4000 {
                return Err("it is not quiet after 4000 passes".to_owned());
            }
        }
        Ok(())
    }

    /// One full pass over everything, now.
    pub async fn look_at_all(&mut self) -> Result<(), String> {
        self.touch_all(Depth::Full);
        let until = Instant::now() + Duration::from_secs(300);
        self.turn(until).await?;
        while !self.running.is_empty() {
            self.turn(until).await?;
        }
        Ok(())
    }
}

fn cloud(aws: &Aws, shared: &Shared, life: &Life, paced: bool) -> Arc<AwsCloud<Way>> {
    let spy = Spy { aws: aws.clone(), shared: shared.clone(), life: life.clone() };
    let way = if paced { Way::Paced(Paced::new(spy)) } else { Way::Straight(spy) };
    Arc::new(AwsCloud::new(way))
}
