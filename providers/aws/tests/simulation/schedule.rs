//! Random schedules.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use daymark_aws::api::{
    AuthorizeSecurityGroupIngress, CreateSecurityGroup, Ingress, Peer, RuleProtocol, Tags,
};
use daymark_aws_fake::{Aws, Snapshot, Timing};

use crate::check::{forgotten, wishes};
use crate::controller::Controller;
use crate::dice::Dice;
use crate::step::{Step, heal, schedule};

/// What somebody else has in the account, and what all of it was at the beginning.
pub struct Beginning {
    snapshot: Snapshot,
}

impl Beginning {
    /// An account with somebody else's load balancer, security group and rules.
    pub fn of(controller: &Controller) -> Result<Self, String> {
        let aws = &controller.aws;
        let text = |error: daymark_aws::api::ApiError| error.to_string();
        aws.crowd(2).map_err(text)?;
        let group = CreateSecurityGroup {
            name: "users".to_owned(),
            description: "kept by users".to_owned(),
            vpc: aws.account().vpc.clone(),
            tags: Tags::from([("Name".to_owned(), "users".to_owned())]),
        };
        let users = aws.as_other(group).map_err(text)?;
        let rule = AuthorizeSecurityGroupIngress {
            group: aws.account().node_group.clone(),
            rules: vec![Ingress {
                protocol: RuleProtocol::Tcp,
                from: 22,
                to: 22,
                peer: Peer::Group(users.clone()),
            }],
            description: "ssh".to_owned(),
        };
        aws.as_other(rule).map_err(text)?;
        Ok(Self::of_what_is_there(controller))
    }

    /// The account as it is: all of it is somebody else's.
    pub fn of_what_is_there(controller: &Controller) -> Self {
        let snapshot = controller.aws.snapshot();
        let mut book = controller.shared.book();
        book.foreign.extend(snapshot.load_balancers.keys().cloned());
        book.foreign.extend(snapshot.target_groups.keys().cloned());
        book.foreign.extend(snapshot.security_groups.keys().cloned());
        let listeners = snapshot.load_balancers.values().flat_map(|found| found.listeners.values());
        book.foreign.extend(listeners.map(|listener| listener.listener.arn.clone()));
        let rules = snapshot.security_groups.values().flat_map(|found| &found.rules);
        book.foreign.extend(rules.map(|rule| rule.id.clone()));
        drop(book);
        Self { snapshot }
    }

    /// Whether what others have is as it was.
    pub fn untouched(&self, now: &Snapshot) -> Result<(), String> {
        for (arn, before) in &self.snapshot.load_balancers {
            if now.load_balancers.get(arn) != Some(before) {
                return Err(format!("somebody else's {arn} is another"));
            }
        }
        for (arn, before) in &self.snapshot.target_groups {
            if now.target_groups.get(arn) != Some(before) {
                return Err(format!("somebody else's {arn} is another"));
            }
        }
        for (id, before) in &self.snapshot.security_groups {
            let same = now.security_groups.get(id).is_some_and(|found| {
                found.group == before.group && before.rules.iter().all(|rule| found.rules.contains(rule))
            });
            if !same {
                return Err(format!("somebody else's {id} is another"));
            }
        }
        Ok(())
    }

    /// Whether nothing else is there.
    pub fn only(&self, now: &Snapshot) -> Result<(), String> {
        if now.load_balancers != self.snapshot.load_balancers
            || now.target_groups != self.snapshot.target_groups
            || now.security_groups != self.snapshot.security_groups
        {
            return Err(format!("the account is not as it was: {now:#?}"));
        }
        Ok(())
    }
}

/// Why a schedule failed, and how it went.
pub struct Failure {
    pub why: String,
    pub story: String,
}

/// Runs one schedule to its end.
pub fn run(seed: u64, steps: &[Step]) -> Result<usize, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| Failure { why: error.to_string(), story: String::new() })?;
    runtime.block_on(async {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let provisioning = Duration::from_secs(if dice.percent(80) { 30 } else { 120 });
        let timing = Timing {
            provisioning,
            read: Duration::from_millis(dice.below(3) as u64 * 40),
            write: Duration::from_millis(dice.below(3) as u64 * 100),
            ..Timing::default()
        };
        let aws = Aws::builder().nodes_per_zone(1).elastic_ips(24).timing(timing).build();
        let mut controller = Controller::new(&aws, dice.percent(30));
        let done = whole(&mut controller, steps).await;
        done.map(|()| controller.passes).map_err(|why| Failure { why, story: story(&controller) })
    })
}

async fn whole(controller: &mut Controller, steps: &[Step]) -> Result<(), String> {
    let beginning = Beginning::of(controller)?;
    for step in steps {
        step.happen(controller).await?;
        safe(controller, &beginning)?;
    }
    heal(controller);
    finish(controller, &beginning).await
}

/// What holds at all times.
pub fn safe(controller: &Controller, beginning: &Beginning) -> Result<(), String> {
    let forgotten = forgotten(controller, "test");
    if !forgotten.is_empty() {
        return Err(format!("in no inventory: {forgotten:?}"));
    }
    if let Some(violation) = controller.shared.book().violations.first() {
        return Err(violation.clone());
    }
    beginning.untouched(&controller.aws.snapshot())
}

/// Everything becomes as it is wished, stays so, and can go.
pub async fn finish(controller: &mut Controller, beginning: &Beginning) -> Result<(), String> {
    controller.settle().await?;
    safe(controller, beginning)?;
    let faults = wishes(controller);
    if !faults.is_empty() {
        return Err(format!("not as wished: {faults:#?}"));
    }
    controller.note("as wished; once more");
    controller.aws.reset_calls();
    controller.look_at_all().await?;
    let writes = controller.aws.writes();
    if !writes.is_empty() {
        return Err(format!("a pass over what is as wished changes it: {writes:#?}"));
    }
    controller.note("all Services go");
    controller.shop.services.clear();
    controller.touch_all(daymark_providers::Depth::Full);
    controller.settle().await?;
    // Interfaces and target groups linger.
    tokio::time::sleep(Duration::from_secs(400)).await;
    safe(controller, beginning)?;
    let left = controller.shared.book().objects.len();
    if left > 0 {
        return Err(format!("{left} objects are left"));
    }
    let leaked = controller.aws.leaked("test");
    if !leaked.is_empty() {
        return Err(format!("left behind: {leaked:?}"));
    }
    beginning.only(&controller.aws.snapshot())
}

/// What happened, for people.
fn story(controller: &Controller) -> String {
    let mut text = String::new();
    for line in &controller.journal {
        let _ = writeln!(text, "{line}");
    }
    for (key, report) in &controller.last {
        let _ = writeln!(text, "--- {key}: {:?}, done {}, again {:?}", report.end, report.done, report.again);
        for step in &report.plan.steps {
            let _ =
                writeln!(text, "    {}{} ({})", if step.held { "held: " } else { "" }, step.what, step.why);
        }
        report.remarks.iter().for_each(|remark| {
            let _ = writeln!(text, "    remark: {}", remark.message);
        });
    }
    for (key, object) in &controller.shared.book().objects {
        let _ = writeln!(text, "--- {key} {}: granted {:?}", object.uid, object.inventory.granted);
        for entry in object.inventory.resources() {
            let _ = writeln!(
                text,
                "    {} {} {:?} {:?} since {:?} recorded {:?}",
                entry.key, entry.name, entry.id, entry.phase, entry.since, entry.recorded
            );
        }
    }
    let calls = controller.aws.writes();
    for call in calls.iter().skip(calls.len().saturating_sub(60)) {
        let _ = writeln!(text, "{:>7.1} {:?} {:?}", call.at.as_secs_f64(), call.fate, call.request);
    }
    text
}

/// The shortest schedule that is found quickly and fails too.
fn shorten(seed: u64, steps: &[Step], failure: Failure) -> (Vec<Step>, Failure) {
    let (mut steps, mut failure) = (steps.to_vec(), failure);
    let mut tries = 400;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() && tries > 0 {
            tries -= 1;
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            match run(seed, &fewer) {
                Err(other) => (steps, failure) = (fewer, other),
                Ok(_) => at += size,
            }
        }
        size /= 2;
    }
    (steps, failure)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Any schedule of edits, faults and deaths ends with all as it is wished, and nothing is left when all of it goes.
///
/// `DAYMARK_CLOUD_SCHEDULES` says how many are tried, `DAYMARK_CLOUD_SEED` tries one.
#[test]
fn any_schedule_ends_well() {
    let one = number("DAYMARK_CLOUD_SEED");
    let count = number("DAYMARK_CLOUD_SCHEDULES").unwrap_or(300);
    let seeds = one.map_or(1..count + 1, |seed| seed..seed + 1);
    let keeps_on = number("DAYMARK_CLOUD_SURVEY").is_some();
    let (passes, failed) = try_all(seeds, keeps_on);
    println!("{passes} passes");
    if keeps_on {
        for (seed, failure) in &failed {
            let short: String = failure.why.chars().take(300).collect();
            println!("seed {seed}: {}", short.replace('\n', " "));
            if one.is_some() {
                println!("{}", failure.story);
            }
        }
        let failed: Vec<&u64> = failed.keys().collect();
        assert!(failed.is_empty(), "{} schedules failed: {failed:?}", failed.len());
    }
    if let Some((seed, failure)) = failed.into_iter().next() {
        let (steps, failure) = shorten(seed, &schedule(&mut Dice::new(seed)), failure);
        panic!(
            "seed {seed}, {} steps: {}\n{}\nreplay with DAYMARK_CLOUD_SEED={seed}",
            steps.len(),
            failure.why,
            failure.story
        );
    }
}

/// How many passes ran, and which schedules failed; the first failure ends it unless it is to keep on. Each schedule has a
/// clock of its own, so that several run side by side.
fn try_all(seeds: Range<u64>, keeps_on: bool) -> (usize, BTreeMap<u64, Failure>) {
    let next = AtomicU64::new(seeds.start);
    let passes = AtomicUsize::new(0);
    let failed = Mutex::new(BTreeMap::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if !seeds.contains(&seed) {
            return;
        }
        match run(seed, &schedule(&mut Dice::new(seed))) {
            Ok(more) => {
                passes.fetch_add(more, Ordering::Relaxed);
            }
            Err(failure) => {
                failed.lock().unwrap().insert(seed, failure);
                if !keeps_on {
                    next.store(seeds.end, Ordering::Relaxed);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| {
            scope.spawn(work);
        });
    });
    (passes.into_inner(), failed.into_inner().unwrap())
}
