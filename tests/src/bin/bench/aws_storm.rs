//! Many Services at once, at the rates that AWS documents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daymark_aws::api::Request;
use daymark_aws::naming::kind;
use daymark_aws::pace::CallClass;
use daymark_aws_fake::{CallRecord, Fate, throttle};
use daymark_providers::Depth;
use daymark_tests::{Context, Result};

use crate::aws_fleet::Fleet;
use crate::aws_services::{PORTS, account};
use crate::figure::{Book, Figure};
use crate::progress;

/// How often during the storm an endpoint of one Service changes.
const EVERY: Duration = Duration::from_secs(60);
/// How long it is watched what everything costs when it is as it should be.
const WATCHED: Duration = Duration::from_secs(1200);

/// An endpoint that was changed.
struct Change {
    number: u32,
    at: Duration,
    instance: String,
}

/// From nothing to all Services served, at rest, and to nothing.
pub async fn run(book: &mut Book, count: u32) -> Result<()> {
    let aws = account();
    let mut fleet = Fleet::new(&aws).await?;
    aws.set_throttle(throttle::like_aws());
    fleet.forget_calls();
    let begin = fleet.elapsed();
    for number in 0..count {
        fleet.wish(number, &fleet.service(number), Depth::Full)?;
    }
    let name = |what: &str| format!("aws-storm-{count}-{what}");
    let mut changes: Vec<Change> = Vec::new();
    while fleet.settled() < count as usize {
        fleet.work_until(fleet.elapsed() + EVERY).await;
        let changed: BTreeSet<u32> = changes.iter().map(|change| change.number).collect();
        progress(format_args!("  {:.0?}: {} are settled", fleet.elapsed() - begin, fleet.settled()));
        let Some(number) = fleet.first_made(&changed) else { continue };
        if fleet.settled() >= count as usize {
            break;
        }
        let instance = aws.add_instance(0).context("no instance")?;
        let mut service = fleet.service(number);
        service.replace_node(&instance);
        fleet.wish(number, &service, Depth::Targets)?;
        changes.push(Change { number, at: fleet.elapsed(), instance });
        daymark_tests::ensure!(
            fleet.elapsed() - begin < Duration::from_secs(24 * 3600),
            "no end after a day"
        );
    }
    fleet.settle().await?;
    fleet.check(count as usize, PORTS as usize)?;
    let heavy = CallClass::ElbHeavy.rate();
    let bound = (f64::from(count) - heavy.burst).max(0.0) / heavy.per_second;
    let minutes = minutes(fleet.last_settled() - begin);
    book.add(Figure::new(name("converged"), minutes, "min").against("creates alone", bound / 60.0))?;
    let calls = fleet.calls();
    let mut late = (0..count).filter_map(|number| known_late(&fleet, &calls, number)).collect::<Vec<f64>>();
    late.sort_by(f64::total_cmp);
    if let Some(median) = late.get(late.len() / 2) {
        book.add(Figure::new(name("known-median"), *median, "min").against("AWS makes it", 2.0))?;
    }
    let each = |number: usize| number as f64 / f64::from(count);
    book.add(Figure::new(name("calls-each"), each(calls.len()), "calls"))?;
    book.add(Figure::new(name("passes-each"), each(fleet.passes() as usize), "passes"))?;
    book.add(Figure::new(name("throttled"), throttled(&fleet), "calls"))?;
    show(&fleet, count);
    let mut waits = changes.iter().map(|change| registered(&fleet, change)).collect::<Result<Vec<f64>>>()?;
    waits.sort_by(f64::total_cmp);
    if let (Some(median), Some(worst)) = (waits.get(waits.len() / 2), waits.last()) {
        book.add(Figure::new(name("endpoint-median"), *median, "s"))?;
        book.add(Figure::new(name("endpoint-worst"), *worst, "s"))?;
    }

    fleet.work_until(fleet.elapsed() + WATCHED).await;
    fleet.forget_calls();
    fleet.work_until(fleet.elapsed() + WATCHED).await;
    let calls = fleet.calls();
    let elb = calls.iter().filter(|call| call.request.action().starts_with("elasticloadbalancing:"));
    let rate = elb.count() as f64 / WATCHED.as_secs_f64();
    let limit = CallClass::ElbAccount.rate().per_second;
    book.add(Figure::new(name("at-rest-elb"), rate, "calls/s").against("AWS's limit", limit))?;

    fleet.forget_calls();
    let (begin, refused) = (fleet.elapsed(), throttled(&fleet));
    (0..count).for_each(|number| fleet.remove(number));
    fleet.settle().await?;
    fleet.check_gone()?;
    // A load balancer and its target groups, each by a call.
    let change = CallClass::ElbChange.rate();
    let bound = (f64::from(count * (1 + PORTS)) - change.burst).max(0.0) / change.per_second;
    let name = |what: &str| format!("aws-deletion-{count}-{what}");
    let minutes = self::minutes(fleet.last_settled() - begin);
    book.add(Figure::new(name("gone"), minutes, "min").against("deletes alone", bound / 60.0))?;
    book.add(Figure::new(name("calls-each"), each(fleet.calls().len()), "calls"))?;
    show(&fleet, count);
    book.add(Figure::new(name("throttled"), throttled(&fleet) - refused, "calls"))
}

/// The calls of each kind, for each Service.
fn show(fleet: &Fleet, count: u32) {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for call in fleet.calls() {
        *counts.entry(call.name()).or_default() += 1;
    }
    for (action, number) in counts {
        progress(format_args!("  {action}: {:.2} each", f64::from(number) / f64::from(count)));
    }
}

fn minutes(span: Duration) -> f64 {
    span.as_secs_f64() / 60.0
}

fn throttled(fleet: &Fleet) -> f64 {
    fleet.paced().values().map(|counts| counts.throttled as f64).sum()
}

/// How many minutes after it was asked for a load balancer was known to be as it should be.
fn known_late(fleet: &Fleet, calls: &[CallRecord], number: u32) -> Option<f64> {
    let settled = fleet.settled_at(number)?;
    let (_, inventory) = fleet.record(number)?;
    let name = inventory.of_kind(kind::LOAD_BALANCER).next()?.name.clone();
    let is_it = |call: &&CallRecord| {
        matches!(&call.request, Request::CreateLoadBalancer(create) if create.name == name)
            && call.fate == Fate::Done
    };
    Some(minutes(settled.saturating_sub(calls.iter().find(is_it)?.at)))
}

/// How many seconds after the change the new endpoint was registered with the first of its target groups.
fn registered(fleet: &Fleet, change: &Change) -> Result<f64> {
    let (_, inventory) = fleet.record(change.number).context("the Service is gone")?;
    let groups: BTreeSet<&str> =
        inventory.of_kind(kind::TARGET_GROUP).filter_map(|entry| entry.id.as_deref()).collect();
    let calls = fleet.calls();
    let is_it = |request: &Request| {
        let Request::RegisterTargets(call) = request else { return false };
        groups.contains(&*call.arn) && call.targets.iter().any(|target| target.id == change.instance)
    };
    let found = calls.iter().find(|call| call.fate == Fate::Done && is_it(&call.request));
    let found = found.with_context(|| format!("{} was never registered", change.instance))?;
    // The account was made when the fleet was.
    Ok(found.at.saturating_sub(change.at).as_secs_f64())
}
