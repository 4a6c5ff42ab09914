//! From flags to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::aws::{self, Access};
use crate::doctor;
use crate::flags::{Common, Flags, PlanFlags, PurgeFlags, Verb};
use crate::l2::{self, Report, State, Subject};
use crate::output::{self, OutputError};
use crate::plan;
use crate::plan::gather::One;
use crate::purge::{self, guard};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All is well.
    Well,
    /// The question could not be answered.
    Failed,
    /// Wrong usage.
    Usage,
    /// Something is wrong with what was asked about.
    Problem,
}

impl End {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Problem => 3,
        }
    }
}

/// An answer, or why there is none.
type Answer = Result<(String, End), Box<dyn std::error::Error + Send + Sync>>;

/// Runs the tool with the arguments of the process.
pub fn run() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Nothing is to be done when the terminal is gone.
            let _ = error.print();
            let end = if error.use_stderr() { End::Usage } else { End::Well };
            return ExitCode::from(end.code());
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("daymark: the runtime does not start: {error}");
            return ExitCode::from(End::Failed.code());
        }
    };
    let answer = runtime.block_on(answer(&flags));
    runtime.shutdown_background();
    ExitCode::from(tell(answer).code())
}

/// Writes the answer; a reader that has gone (`| head`) is no failure.
fn tell(answer: Answer) -> End {
    match answer {
        Ok((text, end)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            end
        }
        Err(error) => {
            eprintln!("daymark: {error}");
            End::Failed
        }
    }
}

async fn answer(flags: &Flags) -> Answer {
    let format = flags.common.output;
    match &flags.verb {
        Verb::L2(l2_flags) => {
            let sources = l2::gather::gather(&flags.common, l2_flags).await?;
            for silent in &sources.silent {
                eprintln!("daymark: {}: {}", silent.node, silent.message);
            }
            if sources.l2_announced == Some(false) {
                eprintln!("daymark: no Announcement has l2, so no node answers ARP and NDP for a Service");
            }
            let subject = l2_flags.subject.as_ref();
            let report = l2::report::report(&sources, subject, jiff::Timestamp::now().as_second());
            let end = judged(&report, subject)?;
            Ok((
                output::render(&report, format, |report, width| l2::render::tables(report, subject, width))?,
                end,
            ))
        }
        Verb::Plan(plan_flags) => planned(&flags.common, plan_flags).await,
        Verb::Purge(purge_flags) => purged(&flags.common, purge_flags).await,
        Verb::Doctor(doctor_flags) => {
            let facts = doctor::gather::gather(&flags.common, doctor_flags).await;
            if let Some(nothing) = facts.nothing() {
                return Err(nothing.into());
            }
            let diagnosis = doctor::examine(&facts);
            let end = if diagnosis.has_problems() { End::Problem } else { End::Well };
            let text: Result<String, OutputError> = output::render(&diagnosis, format, doctor::render::text);
            Ok((text?, end))
        }
    }
}

async fn planned(common: &Common, flags: &PlanFlags) -> Answer {
    let end = |problem| if problem { End::Problem } else { End::Well };
    let intents = match &flags.subject {
        Some(named) if flags.live => plan::gather::live(common, named).await?,
        Some(named) => {
            return match plan::gather::one(common, named).await? {
                One::Balancer(balancer) => {
                    let text = output::render(&*balancer, common.output, plan::render::detail)?;
                    Ok((text, end(balancer.state.is_problem())))
                }
                One::Service(overview) => {
                    let text = output::render(&overview, common.output, plan::render::overview)?;
                    Ok((text, end(overview.has_problems())))
                }
            };
        }
        None if flags.files.is_empty() => {
            let overview = plan::gather::overview(common).await?;
            let text = output::render(&overview, common.output, plan::render::overview)?;
            return Ok((text, end(overview.has_problems())));
        }
        None => plan::gather::files(common, &flags.files, flags.cluster_objects, flags.live).await?,
    };
    let text = output::render(&intents, common.output, plan::render_intent::text)?;
    Ok((text, end(intents.has_problems())))
}

async fn purged(common: &Common, flags: &PurgeFlags) -> Answer {
    let order = purge::Order {
        cluster: flags.cluster.clone(),
        kinds: flags.kinds.iter().copied().collect(),
        timeout: flags.timeout,
    };
    let access = Access {
        region: flags.region.clone(),
        role_arn: flags.role_arn.clone(),
        endpoint: flags.endpoint.clone(),
    };
    let api = aws::connect(access).await?;
    let mut may_delete = flags.yes;
    if flags.yes && !flags.force {
        let cares = guard::ask(common, &flags.cluster).await;
        if let guard::Cares::NotReached(why) = &cares {
            eprintln!("daymark: whether the cluster still lives is not asked: {why}");
        }
        if let Some(objection) = cares.objection(&flags.cluster) {
            eprintln!("daymark: {objection}");
            may_delete = false;
        }
    }
    let report = match may_delete {
        true => purge::purge(&api, &order, |line| eprintln!("{}", output::printable(line))).await?,
        false => purge::find(&api, &order).await?,
    };
    let end = if report.left.is_empty() { End::Well } else { End::Problem };
    Ok((output::render(&report, common.output, purge::render::text)?, end))
}

/// Nothing of that name.
#[derive(Debug, thiserror::Error)]
enum NotFound {
    #[error("no Service has the address {0}, and no speaker knows it")]
    Address(String),
    #[error("the Service {0} has no address: see its condition daymark.dev/AddressAssigned")]
    Service(String),
}

/// How well the address is that was asked about.
fn judged(report: &Report, subject: Option<&Subject>) -> Result<End, NotFound> {
    let Some(subject) = subject else { return Ok(End::Well) };
    if report.addresses.is_empty() {
        return Err(match subject {
            Subject::Address(address) => NotFound::Address(address.to_string()),
            Subject::Service(..) => NotFound::Service(subject.to_string()),
        });
    }
    let ends = report.addresses.iter().map(|address| match address.state {
        State::Owned => End::Well,
        State::Unknown => End::Failed,
        State::TwoOwners | State::Conflict | State::NoOwner | State::NotOffered => End::Problem,
    });
    Ok(ends.max_by_key(|end| end.code()).unwrap_or(End::Well))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l2::report::{AddressReport, Sources, report};

    fn of(states: &[State]) -> Report {
        let addresses = states.iter().map(|state| AddressReport {
            address: "192.0.2.1".parse().unwrap(),
            services: Vec::new(),
            state: *state,
            owners: Vec::new(),
            conflicts: Vec::new(),
            nodes: Vec::new(),
        });
        Report { addresses: addresses.collect(), silent: Vec::new() }
    }

    #[test]
    fn the_exit_code_speaks_of_what_was_asked_about() {
        let subject: Subject = "192.0.2.1".parse().unwrap();
        let code = |states: &[State], subject| judged(&of(states), subject).unwrap().code();
        assert_eq!(code(&[State::NoOwner], None), 0);
        assert_eq!(code(&[State::Owned], Some(&subject)), 0);
        assert_eq!(code(&[State::Owned, State::Unknown], Some(&subject)), 1);
        for wrong in [State::NoOwner, State::NotOffered, State::Conflict, State::TwoOwners] {
            assert_eq!(code(&[State::Owned, State::Unknown, wrong], Some(&subject)), 3, "{wrong:?}");
        }
    }

    #[test]
    fn what_nobody_knows_is_a_failure_with_a_sentence() {
        let sources = Sources::default();
        let subject: Subject = "shop/web".parse().unwrap();
        let failure = judged(&report(&sources, Some(&subject), 0), Some(&subject)).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the Service shop/web has no address: see its condition daymark.dev/AddressAssigned"
        );
        assert_eq!(tell(Err(failure.into())).code(), 1);
    }
}
