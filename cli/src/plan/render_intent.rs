//! What Services would get, as tables.

use std::collections::BTreeMap;

use super::intent::{Against, Intent, Intents, Refusal};
use super::render::{consent, numbered, section};
use super::wish::{ListenerView, Wish};
use crate::output::{Table, Width, printable};

/// How many targets are shown by name where not all are.
const SOME: usize = 3;

/// All of it: what cannot be used, then each load balancer, then Services that get none.
pub fn text(intents: &Intents, width: Width) -> String {
    let mut parts = Vec::new();
    if !intents.faults.is_empty() {
        let mut table = Table::new(&["CANNOT BE USED", "WHY"]);
        for fault in &intents.faults {
            table.row([fault.source.clone(), fault.message.clone()]);
        }
        parts.push(table.render());
    }
    parts.extend(intents.load_balancers.iter().map(|intent| one(intent, width)));
    if !intents.services.is_empty() {
        let mut table = Table::new(&["SERVICE", "NOTHING IN A CLOUD, BECAUSE"]);
        for service in &intents.services {
            table.row([service.service.clone(), service.why.clone()]);
        }
        parts.push(table.render());
    }
    parts.join("\n")
}

fn one(intent: &Intent, width: Width) -> String {
    let mut text = printable(&format!(
        "{}/{} (profile {}, serves {})",
        intent.namespace,
        intent.name,
        intent.profile,
        intent.members.join(", ")
    ));
    text.push('\n');
    intent.refused.iter().for_each(|refusal| text.push_str(&refused("REFUSED", refusal)));
    intent.warnings.iter().for_each(|refusal| text.push_str(&refused("warning", refusal)));
    match &intent.wanted {
        Some(wish) => text.push_str(&wanted(wish, width)),
        None if intent.against == Against::Aws && intent.refused.is_empty() => {
            text.push_str("  no Service wants it any more\n");
        }
        None => text.push_str("  nothing would be made\n"),
    }
    text.push_str(&planned(intent));
    if !intent.notes.is_empty() {
        text.push_str("\nNotes:\n");
        intent.notes.iter().for_each(|note| text.push_str(&format!("  - {}\n", printable(note))));
    }
    text
}

fn refused(word: &str, refusal: &Refusal) -> String {
    let service = if refusal.service.is_empty() { String::new() } else { format!("{}: ", refusal.service) };
    let mut text = format!("  {word} {service}{} {}\n", refusal.reason, printable(&refusal.message));
    if let Some(remedy) = &refusal.remedy {
        text.push_str(&format!("    what to do: {}\n", printable(remedy)));
    }
    text
}

fn wanted(wish: &Wish, width: Width) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<15}{}\n", printable(&value)));
        }
    };
    line("name", wish.name.clone().unwrap_or_default());
    line("takes over", wish.adopts.clone().unwrap_or_default());
    line("scheme", format!("{}, {}, in {}", wish.scheme, wish.ip_address_type, wish.vpc));
    line("subnets", wish.subnets.join(", "));
    line("clients", wish.clients.join(", "));
    line("nodes let in", wish.node_ports.join(", "));
    line("attributes", pairs(&wish.attributes));
    line("capacity", wish.capacity.map(|units| format!("{units} units")).unwrap_or_default());
    line("tags", pairs(&wish.tags));
    let mut listeners = Table::new(&["PORT", "PROTOCOL", "TARGET GROUP", "TLS", "ATTRIBUTES"]);
    for listener in &wish.listeners {
        listeners.row([
            listener.port.to_string(),
            listener.protocol.clone(),
            listener.forward.join(", "),
            tls(listener),
            pairs(&listener.attributes),
        ]);
    }
    let mut groups =
        Table::new(&["TARGET GROUP", "PROTOCOL", "PORT", "TARGETS", "HEALTH CHECK", "ATTRIBUTES"]);
    for group in &wish.target_groups {
        groups.row([
            group.role.clone(),
            group.protocol.clone(),
            group.port.to_string(),
            format!("{} {}: {}", group.targets.len(), group.target_type, targets(&group.targets, width)),
            group.health.clone(),
            pairs(&group.attributes),
        ]);
    }
    section(&mut text, "Listeners", &listeners);
    section(&mut text, "Target groups", &groups);
    text
}

fn targets(all: &[String], width: Width) -> String {
    match (all.len(), width) {
        (0, _) => "not known here".to_owned(),
        (count, Width::Usual) if count > SOME => {
            let some: Vec<&str> = all.iter().take(SOME).map(String::as_str).collect();
            format!("{}, …", some.join(", "))
        }
        (_, Width::Usual | Width::Wide) => all.join(", "),
    }
}

fn tls(listener: &ListenerView) -> String {
    let Some(tls) = &listener.tls else { return String::new() };
    let alpn = tls.alpn.as_ref().map(|alpn| format!(", {alpn}")).unwrap_or_default();
    format!("{} ({}{alpn})", tls.certificates.join(", "), tls.policy)
}

fn pairs(all: &BTreeMap<String, String>) -> String {
    all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn planned(intent: &Intent) -> String {
    if let Some(failure) = &intent.failure {
        return refused("\n  NO PLAN", failure);
    }
    if intent.against == Against::Aws && intent.steps.is_empty() && intent.disruptive.is_empty() {
        let wait =
            if intent.waits.is_empty() { "AWS is as wanted: nothing to do" } else { "nothing to do now" };
        return format!("\n{wait}\n{}", others(intent));
    }
    let steps = intent.steps.iter().map(|step| (step.what.clone(), step.why.clone(), step.held));
    let mut text = numbered(steps);
    text.push_str(&others(intent));
    text.push_str(&consent(&intent.disruptive, intent.consent.as_deref()));
    text
}

fn others(intent: &Intent) -> String {
    let waits = intent.waits.iter().map(|wait| format!("then waits: {}\n", printable(wait)));
    let remarks = intent.remarks.iter().map(|remark| format!("left as it is: {}\n", printable(remark)));
    waits.chain(remarks).collect()
}
