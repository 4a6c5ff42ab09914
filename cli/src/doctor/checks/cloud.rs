//! Load balancers in clouds, and what another controller of AWS does beside Daymark or left behind.

use crate::doctor::Chart;
use crate::doctor::facts::{CloudFacts, Facts, Known, Rival};
use crate::plan::status::{Balancer, State};

/// What is looked at, where Daymark has anything to do with clouds.
fn facts<'a>(facts: &'a Facts, chart: &mut Chart) -> Option<&'a CloudFacts> {
    let known: Known<&CloudFacts> = match &facts.cluster {
        Ok(cluster) => cluster.cloud.as_ref().map_err(Clone::clone),
        Err(why) => Err(why.clone()),
    };
    match known {
        Ok(cloud) if cloud.is_used() => Some(cloud),
        Ok(_) => {
            chart.ok("", "no LoadBalancerProfile has aws, and nothing was made in a cloud");
            None
        }
        Err(why) => {
            chart.skipped(why);
            None
        }
    }
}

/// Every load balancer is as its Services ask.
pub(super) fn load_balancers(all: &Facts, chart: &mut Chart) {
    let Some(cloud) = facts(all, chart) else { return };
    for balancer in &cloud.overview.load_balancers {
        judge(balancer, chart);
    }
    for word in cloud.overview.services.iter().filter(|word| word.state == State::Failed) {
        chart.problem(
            &format!("Service {}/{}", word.namespace, word.name),
            format!("{}: {}", word.reason, word.message),
            "correct what the message names, in the Service or its LoadBalancerProfile",
        );
    }
    let count = cloud.overview.load_balancers.len();
    chart.unless_found(format!("none of {count} load balancers in clouds fails or waits for consent"));
}

fn judge(balancer: &Balancer, chart: &mut Chart) {
    let subject = format!("{}/{}", balancer.namespace, balancer.name);
    let see = format!("see `daymark plan {subject}`");
    match (balancer.state, &balancer.last_error) {
        (State::Provisioned | State::InProgress | State::Shown, _) => {}
        (State::ConsentNeeded, _) => {
            let changes = balancer.plan.iter().flat_map(|plan| &plan.disruptive);
            let changes: Vec<&str> = changes.map(String::as_str).collect();
            let remedy = match &balancer.consent {
                Some(command) => format!("{see}; to consent: {command}"),
                None => see,
            };
            chart.warning(&subject, format!("waits for consent: {}", changes.join("; ")), remedy);
        }
        (State::Failed, Some(error)) => {
            let action = error.action.as_ref().map(|action| format!("{action}: ")).unwrap_or_default();
            let remedy = error.remedy.clone().map_or(see.clone(), |remedy| format!("{remedy}; {see}"));
            chart.problem(&subject, format!("{}: {action}{}", error.reason, error.message), remedy);
        }
        (State::Failed, None) | (State::Unreadable, _) => {
            chart.problem(&subject, format!("{}: {}", balancer.reason, balancer.message), see);
        }
    }
}

/// Nobody else serves the class of a profile, and nothing is left of who did.
pub(super) fn other_controller(all: &Facts, chart: &mut Chart) {
    let Some(cloud) = facts(all, chart) else { return };
    let shared = cloud.sharing.join(", ");
    match (&cloud.rival, cloud.sharing.is_empty()) {
        (Ok(Rival::Running(holder)), false) => chart.problem(
            "",
            format!(
                "the AWS Load Balancer Controller runs (its Lease is renewed by {holder}), and LoadBalancerProfile \
                 {shared} serves its class"
            ),
            "stop it (scale it to 0, or uninstall it): Daymark touches nothing of that class before, since the two would \
             delete each other's listeners",
        ),
        (Err(why), false) => chart.skipped(format!("the Lease of the AWS Load Balancer Controller: {why}")),
        (Ok(Rival::Running(_) | Rival::Gone), _) | (Err(_), true) => {}
    }
    // While that controller serves classes of its own, its webhooks and bindings are in use.
    let is_gone = matches!(cloud.rival, Ok(Rival::Gone));
    match &cloud.leftovers {
        Ok(left) if is_gone => {
            for webhook in &left.webhooks {
                chart.problem(
                    webhook,
                    "is left of the AWS Load Balancer Controller: with its controller gone, the API server refuses or \
                     delays what it is asked about, new Services among it",
                    format!("kubectl delete {webhook}"),
                );
            }
            if left.bindings > 0 {
                chart.warning(
                    "",
                    format!("{} TargetGroupBindings are left of the AWS Load Balancer Controller", left.bindings),
                    "take their finalizer elbv2.k8s.aws/resources away and delete them: Daymark registers targets \
                     without",
                );
            }
        }
        Ok(_) => {}
        Err(why) => chart.skipped(why),
    }
    chart.unless_found("no other controller of AWS is in the way");
}
