//! The report as tables.

use super::Subject;
use super::report::{AddressReport, OwnerReport, Report};
use crate::output::{Table, Width, age};

/// The tables: all addresses, and below them, when one was asked about, what each node says.
pub fn tables(report: &Report, subject: Option<&Subject>, width: Width) -> String {
    let mut text = overview(report, width);
    if subject.is_some() {
        for address in &report.addresses {
            text.push_str(&format!("\n{}:\n{}", address.address, nodes(address)));
        }
    }
    text
}

fn overview(report: &Report, width: Width) -> String {
    let mut headers = vec!["ADDRESS", "SERVICE", "NODE", "INTERFACE", "MAC", "SINCE", "STATE"];
    if width == Width::Wide {
        headers.extend(["EPOCH", "SOURCE"]);
    }
    let mut table = Table::new(&headers);
    for address in &report.addresses {
        for owner in owners(address) {
            table.row(cells(address, owner, width));
        }
    }
    table.render()
}

/// Its owners, or a row without one.
fn owners(address: &AddressReport) -> impl Iterator<Item = Option<&OwnerReport>> {
    let none = address.owners.is_empty().then_some(None);
    address.owners.iter().map(Some).chain(none)
}

fn cells(address: &AddressReport, owner: Option<&OwnerReport>, width: Width) -> Vec<String> {
    let of = |cell: fn(&OwnerReport) -> Option<String>| owner.and_then(cell).unwrap_or_default();
    let services = match (address.services.split_first(), width) {
        (None, _) => String::new(),
        (Some((first, [])), _) => first.clone(),
        (Some((first, rest)), Width::Usual) => format!("{first} (+{})", rest.len()),
        (Some(_), Width::Wide) => address.services.join(","),
    };
    let mut cells = vec![
        address.address.to_string(),
        services,
        of(|owner| Some(owner.node.clone())),
        of(|owner| owner.interface.clone()),
        of(|owner| owner.mac.map(|mac| mac.to_string())),
        of(|owner| owner.seconds.map(age)),
        state(address),
    ];
    if width == Width::Wide {
        cells.push(of(|owner| owner.epoch.map(|epoch| epoch.to_string())));
        cells.push(of(|owner| Some(owner.source.name().to_owned())));
    }
    cells
}

fn state(address: &AddressReport) -> String {
    let macs: Vec<String> = address.conflicts.iter().map(ToString::to_string).collect();
    match macs.is_empty() {
        true => address.state.name().to_owned(),
        false => format!("{} with {}", address.state.name(), macs.join(",")),
    }
}

fn nodes(address: &AddressReport) -> String {
    let mut table = Table::new(&["NODE", "INTERFACE", "ANSWERS", "REASON", "MESSAGE"]);
    for node in &address.nodes {
        table.row([
            node.node.clone(),
            node.interface.clone().unwrap_or_default(),
            node.answers.map(|answers| if answers { "yes" } else { "no" }.to_owned()).unwrap_or_default(),
            node.reason.clone().unwrap_or_default(),
            node.message.clone(),
        ]);
    }
    table.render()
}
