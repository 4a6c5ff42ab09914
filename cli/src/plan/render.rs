//! What the controller wrote, as tables.

use daymark_config::crd::{CloudFailure, CloudPlan};

use super::status::{Balancer, Overview, Purpose};
use crate::output::{Table, Width, printable};

/// All load balancers, then Services that are refused.
pub fn overview(overview: &Overview, width: Width) -> String {
    let mut headers =
        vec!["NAMESPACE", "NAME", "FOR", "PROFILE", "HOSTNAME", "PROVISIONED", "HEALTHY", "PLAN", "CONSENT"];
    if width == Width::Wide {
        headers.extend(["CLUSTER", "REGION", "MESSAGE"]);
    }
    let mut table = Table::new(&headers);
    for balancer in &overview.load_balancers {
        table.row(row(balancer, width));
    }
    let mut text = match table.is_empty() {
        true => "no CloudLoadBalancer\n".to_owned(),
        false => table.render(),
    };
    if !overview.services.is_empty() {
        let mut table = Table::new(&["NAMESPACE", "SERVICE", "REASON", "MESSAGE"]);
        for word in &overview.services {
            table.row([word.namespace.clone(), word.name.clone(), word.reason.clone(), word.message.clone()]);
        }
        text.push_str(&format!("\nServices:\n{}", table.render()));
    }
    text
}

fn row(balancer: &Balancer, width: Width) -> Vec<String> {
    let first = balancer.hostnames.first().or(balancer.addresses.first());
    let more = (balancer.hostnames.len() + balancer.addresses.len()).saturating_sub(1);
    let hostname = match (first, more, width) {
        (None, _, _) => String::new(),
        (Some(first), 0, _) => first.clone(),
        (Some(first), more, Width::Usual) => format!("{first} (+{more})"),
        (Some(_), _, Width::Wide) => [&balancer.hostnames[..], &balancer.addresses].concat().join(","),
    };
    let hash = balancer.plan.as_ref().and_then(|plan| plan.consent.clone());
    let mut cells = vec![
        balancer.namespace.clone(),
        balancer.name.clone(),
        purpose(balancer),
        balancer.profile.clone(),
        hostname,
        reason(balancer),
        balancer.healthy.clone().unwrap_or_default(),
        balancer.steps().map(|(all, held)| counted(all, held)).unwrap_or_default(),
        hash.unwrap_or_default(),
    ];
    if width == Width::Wide {
        let place = balancer.place.as_ref();
        cells.push(place.map(|place| place.cluster.clone()).unwrap_or_default());
        cells.push(place.and_then(|place| place.region.clone()).unwrap_or_default());
        cells.push(balancer.message.clone());
    }
    cells
}

/// The word under which the state is known: that of the condition, or of the last error where the condition is silent.
fn reason(balancer: &Balancer) -> String {
    let error = balancer.last_error.as_ref().map(|error| error.reason.clone());
    match (balancer.reason.as_str(), error) {
        ("" | "Provisioned", Some(error)) => error,
        ("", None) => String::new(),
        (reason, _) => reason.to_owned(),
    }
}

fn purpose(balancer: &Balancer) -> String {
    match &balancer.purpose {
        Purpose::Service => "service".to_owned(),
        Purpose::Group(group) => format!("group {group}: {}", balancer.members.join(",")),
        Purpose::NodeAccess(profile) => format!("nodes of {profile}"),
    }
}

fn counted(all: i64, held: usize) -> String {
    match held {
        0 => format!("{all} steps"),
        held => format!("{all} steps, {held} held"),
    }
}

/// Everything about one load balancer.
pub fn detail(balancer: &Balancer, width: Width) -> String {
    let mut text = format!("{}/{}", balancer.namespace, balancer.name);
    let place = balancer.place.as_ref().map(|place| {
        let region = place.region.as_deref().unwrap_or("the controller's region");
        format!(", cluster {}, {region}, {}", place.cluster, place.vpc)
    });
    text.push_str(&format!(
        " ({}, profile {}{})\n",
        purpose(balancer),
        balancer.profile,
        place.unwrap_or_default()
    ));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12}{}\n", printable(value)));
        }
    };
    let said = [reason(balancer), balancer.message.clone()];
    line("state", &said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": "));
    line("reached at", &[&balancer.hostnames[..], &balancer.addresses].concat().join(", "));
    line("serves", &balancer.members.join(", "));
    for (name, value) in &balancer.facts {
        line(name, value);
    }
    line("looked at", balancer.last_sync.as_deref().unwrap_or_default());
    if let Some(error) = &balancer.last_error {
        text.push_str(&failure(error));
    }
    if let Some(plan) = &balancer.plan {
        text.push_str(&steps(plan));
    }
    text.push_str(&consent(
        balancer.plan.as_ref().map_or(&[], |plan| &plan.disruptive),
        balancer.consent.as_deref(),
    ));
    let mut remarks = Table::new(&["REASON", "WHAT IS LEFT SO"]);
    for remark in &balancer.remarks {
        remarks.row([remark.reason.clone(), remark.message.clone()]);
    }
    let mut ports = Table::new(&["SERVICE", "PORT", "HEALTHY", "DRAINING"]);
    for port in &balancer.ports {
        ports.row([
            port.service.clone(),
            format!("{}/{}", port.protocol, port.port),
            format!("{}/{}", port.healthy, port.total),
            port.draining.to_string(),
        ]);
    }
    section(&mut text, "Remarks", &remarks);
    section(&mut text, "Health", &ports);
    if width == Width::Wide {
        section(&mut text, "Inventory", &inventory(balancer));
    }
    text
}

fn inventory(balancer: &Balancer) -> Table {
    let mut table = Table::new(&["KIND", "ROLE", "GENERATION", "NAME", "ID", "PHASE", "OWNERSHIP"]);
    for resource in &balancer.inventory {
        table.row([
            resource.kind.clone(),
            resource.role.clone(),
            resource.generation.to_string(),
            resource.name.clone(),
            resource.id.clone().unwrap_or_default(),
            format!("{:?}", resource.phase),
            format!("{:?}", resource.ownership),
        ]);
    }
    table
}

fn failure(error: &CloudFailure) -> String {
    let action = error.action.as_ref().map(|action| format!("{action}: ")).unwrap_or_default();
    let code = error.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let mut text = format!(
        "\nLast error: {}\n  {}{}{}\n",
        error.reason,
        printable(&action),
        printable(&error.message),
        printable(&code)
    );
    if let Some(remedy) = &error.remedy {
        text.push_str(&format!("  what to do: {}\n", printable(remedy)));
    }
    if let Some(at) = &error.retry_at {
        text.push_str(&format!("  tried again at {}\n", at.0));
    }
    text
}

fn steps(plan: &CloudPlan) -> String {
    let lines = plan.steps.iter().map(|step| (step.what.clone(), step.why.clone(), step.held));
    let mut text = numbered(lines);
    if plan.more > 0 {
        text.push_str(&format!("{} more steps\n", plan.more));
    }
    text
}

/// Steps in order: what, why, and whether it waits for consent.
pub fn numbered(steps: impl Iterator<Item = (String, String, bool)>) -> String {
    let mut table = Table::new(&["#", "STEP", "WHY", "WHEN"]);
    for (at, (what, why, held)) in steps.enumerate() {
        let when = if held { "HELD until consent" } else { "at once" };
        table.row([(at + 1).to_string(), what, why, when.to_owned()]);
    }
    if table.is_empty() { String::new() } else { format!("\nPlan:\n{}", table.render()) }
}

/// The changes that wait for consent, and the command that consents.
pub fn consent(disruptive: &[String], command: Option<&str>) -> String {
    let mut text = String::new();
    if !disruptive.is_empty() {
        text.push_str("\nWaits for consent:\n");
        disruptive.iter().for_each(|change| text.push_str(&format!("  - {}\n", printable(change))));
    }
    if let Some(command) = command {
        text.push_str(&format!("\nTo consent:\n  {}\n", printable(command)));
    }
    text
}

/// A table with a title, unless it is empty.
pub fn section(text: &mut String, title: &str, table: &Table) {
    if !table.is_empty() {
        text.push_str(&format!("\n{title}:\n{}", table.render()));
    }
}
