//! How many calls load balancers cost.

use std::time::Duration;

use daymark_providers::Depth;
use daymark_tests::Result;

use crate::aws_fleet::Fleet;
use crate::aws_lbc::{self, Account, Calls, TagCache};
use crate::aws_services::{PORTS, account};
use crate::figure::{Book, Budget, Figure};

const LBC: &str = "LBC, computed";
/// Others in the account while load balancers are made and changed.
const OTHERS: u32 = 100;
/// After it, new targets are healthy, and nothing is looked at but once in eight minutes.
const REST: Duration = Duration::from_secs(600);

/// A load balancer that is as it should be, in an account with others.
pub async fn settled(book: &mut Book) -> Result<()> {
    let mut first = [None, None];
    for others in [1, 100, 1000] {
        let mut fleet = single(others).await?;
        let account = Account { load_balancers: others + 1, target_groups: others + PORTS };
        for (place, (depth, name)) in
            [(Depth::Full, "full"), (Depth::Targets, "targets")].into_iter().enumerate()
        {
            fleet.forget_calls();
            fleet.look_at_all(depth);
            fleet.settle().await?;
            let calls = f64::from(fleet.counts().all());
            let figure = Figure::new(format!("aws-calls-{name}-beside-{others}"), calls, "calls");
            let lbc = match depth {
                Depth::Full => aws_lbc::settled(account, PORTS, TagCache::Cold).all(),
                Depth::Targets => 0,
            };
            book.add(if lbc > 0 { figure.against(LBC, f64::from(lbc)) } else { figure })?;
            let first = *first[place].get_or_insert(calls);
            if others == 1000 {
                let growth = Figure::new(format!("aws-calls-{name}-growth-1-to-1000"), calls, "calls");
                book.add(growth.against("beside 1", first).budget(Budget::RatioAtMost(1.0)))?;
            }
        }
    }
    Ok(())
}

/// All load balancers of a cluster in a row: for each, how many calls.
pub async fn together(book: &mut Book, count: u32) -> Result<()> {
    let mut fleet = Fleet::new(&account()).await?;
    for number in 0..count {
        fleet.wish(number, &fleet.service(number), Depth::Full)?;
    }
    fleet.settle().await?;
    rest(&mut fleet).await;
    fleet.stop_periodic().await;
    let account = Account { load_balancers: count, target_groups: count * PORTS };
    let each = |calls: u32| f64::from(calls) / f64::from(count);
    // The tags of everything are read once for all.
    let [cold, warm] =
        [TagCache::Cold, TagCache::Warm].map(|cache| aws_lbc::settled(account, PORTS, cache).all());
    let lbc = f64::from(warm) + each(cold - warm);
    for (depth, name) in [(Depth::Full, "full"), (Depth::Targets, "targets")] {
        fleet.forget_calls();
        fleet.look_at_all(depth);
        fleet.settle().await?;
        let figure =
            Figure::new(format!("aws-calls-{name}-each-of-{count}"), each(fleet.counts().all()), "calls");
        book.add(if depth == Depth::Full { figure.against(LBC, lbc) } else { figure })?;
    }
    Ok(())
}

/// One load balancer is made, changed and deleted.
pub async fn changes(book: &mut Book) -> Result<()> {
    let aws = account();
    aws.crowd(OTHERS)?;
    let mut fleet = Fleet::new(&aws).await?;
    let mut service = fleet.service(0);
    let (before, after) = (
        Account { load_balancers: OTHERS, target_groups: OTHERS },
        Account { load_balancers: OTHERS + 1, target_groups: OTHERS + PORTS },
    );

    fleet.forget_calls();
    fleet.wish(0, &service, Depth::Full)?;
    fleet.settle().await?;
    let calls = fleet.calls();
    let is_read = |name: &str| name.starts_with("Describe");
    let last_write = calls.iter().rposition(|call| !is_read(call.name())).unwrap_or_default();
    let waiting = calls.iter().skip(last_write).filter(|call| is_read(call.name())).count();
    let all = fleet.counts();
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    let made = Calls { reads: all.reads - waiting, ..all };
    report(book, "create", made, aws_lbc::create(before, PORTS))?;
    book.add(Figure::new("aws-create-reads-until-active", f64::from(waiting), "calls"))?;
    rest(&mut fleet).await;

    service.add_port();
    let calls = change(&mut fleet, &service, Depth::Full).await?;
    report(book, "add-port", calls, aws_lbc::add_port(after, PORTS))?;
    let after = Account { target_groups: after.target_groups + 1, ..after };

    service.replace_node(&aws.add_instance(0).unwrap_or_default());
    let calls = change(&mut fleet, &service, Depth::Targets).await?;
    report(book, "replace-target", calls, aws_lbc::replace_target(PORTS + 1))?;

    service.set_attribute("load_balancing.cross_zone.enabled", "true");
    let calls = change(&mut fleet, &service, Depth::Full).await?;
    report(book, "set-attribute", calls, aws_lbc::set_attribute(after, PORTS + 1))?;

    fleet.forget_calls();
    fleet.remove(0);
    fleet.settle().await?;
    fleet.check_gone()?;
    report(book, "delete", fleet.counts(), aws_lbc::delete(after, PORTS + 1))
}

async fn single(others: u32) -> Result<Fleet> {
    let aws = account();
    aws.crowd(others)?;
    let mut fleet = Fleet::new(&aws).await?;
    fleet.wish(0, &fleet.service(0), Depth::Full)?;
    fleet.settle().await?;
    fleet.check(1, PORTS as usize)?;
    rest(&mut fleet).await;
    fleet.stop_periodic().await;
    Ok(fleet)
}

async fn rest(fleet: &mut Fleet) {
    fleet.work_until(fleet.elapsed() + REST).await;
}

/// The calls until a changed wish is carried out and seen to be.
async fn change(fleet: &mut Fleet, service: &crate::aws_services::Service, depth: Depth) -> Result<Calls> {
    fleet.forget_calls();
    fleet.wish(0, service, depth)?;
    fleet.settle().await?;
    let calls = fleet.counts();
    rest(fleet).await;
    Ok(calls)
}

fn report(book: &mut Book, name: &str, ours: Calls, lbc: Calls) -> Result<()> {
    for (kind, ours, lbc) in [("writes", ours.writes, lbc.writes), ("reads", ours.reads, lbc.reads)] {
        let figure = Figure::new(format!("aws-{name}-{kind}"), f64::from(ours), "calls");
        book.add(figure.against(LBC, f64::from(lbc)))?;
    }
    Ok(())
}
