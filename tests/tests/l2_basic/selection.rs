//! Which Announcements cover a Service on which nodes, and which node is preferred.

use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::lan::watch::Watch;
use daymark_tests::{Result, stays};

use super::common::l2::{POOL, announcement, answered, label, owners, refused_by_all, unanswered, web};
use super::common::{SOON, service};
use super::lab;

const N1_OR_N2: &str = "matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [n1, n2]}]";

fn on(node: &str) -> String {
    format!("matchLabels: {{kubernetes.io/hostname: {node}}}")
}

fn from(nodes: &str, l2: &str) -> String {
    format!("nodeSelector: {{{nodes}}}, l2: {{{l2}}}")
}

async fn never_two(watch: &Watch<'_>, vips: &[IpAddr]) -> Result<()> {
    let record = watch.record().await?;
    vips.iter().try_for_each(|vip| record.check_single(*vip, Duration::ZERO))
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_say_which_services_and_which_nodes() -> Result<()> {
    let lab = lab("l2-selectors").await?;
    lab.apply(POOL).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let watch = lab.watch(&vips).await?;
    for vip in &vips {
        watch.stays_silent(*vip, Duration::from_secs(1)).await?;
    }
    refused_by_all(&lab, "web", "NoAnnouncement").await?;

    // One node at a time; a set of nodes; none, until one gets the label.
    for node in ["n1", "n2", "n3"] {
        lab.apply(&announcement("lan", &from(&on(node), "failback: Immediate"))).await?;
        answered(&watch, &vips, node).await?;
    }
    lab.apply(&announcement("lan", &from(N1_OR_N2, "failback: Immediate"))).await?;
    for owner in owners_other_than(&watch, &vips, "n3").await? {
        assert!(["n1", "n2"].contains(&owner.as_str()), "{owner}");
    }
    lab.apply(&announcement("lan", &from("matchLabels: {lan: 'yes'}", ""))).await?;
    unanswered(&watch, &vips).await?;
    label(&lab, "n2", "lan=yes").await?;
    answered(&watch, &vips, "n2").await?;
    label(&lab, "n2", "lan-").await?;
    unanswered(&watch, &vips).await?;

    // Pool and Service must both fit.
    let chosen = |pool: &str, app: &str| {
        announcement(
            "lan",
            &format!(
                "poolSelector: {{matchLabels: {{on: {pool}}}}}, serviceSelector: {{matchLabels: {{tier: {app}}}}}, l2: {{}}"
            ),
        )
    };
    lab.kubectl(&["label", "service", "web", "tier=front"]).await?;
    for (pool, tier, fits) in [("lan", "front", true), ("lan", "back", false), ("wan", "front", false)] {
        lab.apply(&chosen(pool, tier)).await?;
        if fits {
            owners(&watch, &vips).await?;
        } else {
            unanswered(&watch, &vips).await?;
        }
    }
    // An Announcement for other Services on this node, and one for this Service on no node: neither covers it here.
    lab.apply(
        &[
            announcement(
                "lan",
                &format!("serviceSelector: {{matchLabels: {{tier: back}}}}, {}", from(&on("n1"), "")),
            ),
            announcement(
                "nowhere",
                &format!("serviceSelector: {{matchLabels: {{tier: front}}}}, {}", from(&on("n9"), "")),
            ),
        ]
        .concat(),
    )
    .await?;
    for vip in &vips {
        watch.stays_silent(*vip, Duration::from_secs(1)).await?;
    }
    // Two that fit on different nodes: one node answers.
    lab.apply(
        &[announcement("lan", &from(&on("n1"), "")), announcement("nowhere", &from(&on("n2"), ""))].concat(),
    )
    .await?;
    let owners = owners(&watch, &vips).await?;
    for (vip, owner) in vips.iter().zip(&owners) {
        assert!(["n1", "n2"].contains(&owner.as_str()), "{owner}");
        watch.stays_with(*vip, owner, Duration::from_secs(1)).await?;
    }
    lab.delete(&announcement("nowhere", "l2: {}")).await?;
    answered(&watch, &vips, "n1").await?;
    never_two(&watch, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}

async fn owners_other_than(watch: &Watch<'_>, vips: &[IpAddr], node: &str) -> Result<Vec<String>> {
    let mut owners = Vec::new();
    for vip in vips {
        owners.push(watch.answered_by_other(*vip, node, SOON).await?);
    }
    Ok(owners)
}

/// Preferences, each a weight and the node.
fn preferring(entries: &[(u32, &str)]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(weight, node)| format!("{{weight: {weight}, selector: {{{}}}}}", on(node)))
        .collect();
    format!("preferredNodes: [{}], failback: Immediate", entries.join(", "))
}

fn preference(name: &str, spec: &str, entries: &[(u32, &str)]) -> String {
    announcement(name, &format!("{spec} l2: {{{}}}", preferring(entries)))
}

#[tokio::test(flavor = "multi_thread")]
async fn preferred_nodes_answer_as_long_as_they_can() -> Result<()> {
    let lab = lab("l2-preferred").await?;
    lab.apply(&[POOL, &preference("lan", "", &[])].concat()).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let watch = lab.watch(&vips).await?;
    let baseline = owners(&watch, &vips).await?;
    let wanted = ["n1", "n2", "n3"].into_iter().find(|node| *node != baseline[0]).unwrap();
    let second = ["n1", "n2", "n3"].into_iter().find(|n| *n != wanted && *n != baseline[0]).unwrap();

    // The preferred node answers; without the preference, or with one that fits nobody, all is as before.
    lab.apply(&preference("lan", "", &[(10, wanted)])).await?;
    answered(&watch, &vips, wanted).await?;
    lab.apply(&preference("lan", "", &[(10, "n9")])).await?;
    for (vip, owner) in vips.iter().zip(&baseline) {
        watch.answered_by(*vip, owner, SOON).await?;
    }
    // By a label that comes and goes.
    let labelled = announcement(
        "lan",
        "l2: {preferredNodes: [{weight: 5, selector: {matchLabels: {best: 'yes'}}}], failback: Immediate}",
    );
    lab.apply(&labelled).await?;
    label(&lab, wanted, "best=yes").await?;
    answered(&watch, &vips, wanted).await?;
    label(&lab, wanted, "best-").await?;
    for (vip, owner) in vips.iter().zip(&baseline) {
        watch.answered_by(*vip, owner, SOON).await?;
    }

    // The greater weight wins; when its node is taken out the next one answers, and gives back.
    lab.apply(&preference("lan", "", &[(10, wanted), (5, second)])).await?;
    answered(&watch, &vips, wanted).await?;
    let exclude = "node.kubernetes.io/exclude-from-external-load-balancers";
    label(&lab, wanted, &format!("{exclude}=")).await?;
    answered(&watch, &vips, second).await?;
    label(&lab, wanted, &format!("{exclude}-")).await?;
    answered(&watch, &vips, wanted).await?;

    // Weights add up, within an Announcement and over several.
    lab.apply(&preference("lan", "", &[(10, wanted), (6, second), (6, second)])).await?;
    answered(&watch, &vips, second).await?;
    lab.apply(
        &[preference("lan", "", &[(10, wanted), (6, second)]), preference("more", "", &[(7, wanted)])]
            .concat(),
    )
    .await?;
    answered(&watch, &vips, wanted).await?;
    lab.apply(&preference("more", "", &[(7, second)])).await?;
    answered(&watch, &vips, second).await?;
    // A preference for other Services is none for this one.
    lab.apply(&preference("more", "serviceSelector: {matchLabels: {tier: back}},", &[(90, second)])).await?;
    answered(&watch, &vips, wanted).await?;

    // The node selector stays a filter, whatever is preferred.
    lab.delete(&announcement("more", "l2: {}")).await?;
    lab.apply(&preference("lan", &format!("nodeSelector: {{{}}},", on(second)), &[(100, wanted)])).await?;
    answered(&watch, &vips, second).await?;
    never_two(&watch, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_goes_back_stays() -> Result<()> {
    let lab = lab("l2-failback").await?;
    lab.apply(&[POOL, &announcement("lan", "l2: {failback: Never}")].concat()).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let watch = lab.watch(&vips).await?;
    let home = owners(&watch, &vips).await?;
    let mut now = home.clone();
    let speaker = lab.speaker(&home[0]).await?;
    speaker.kill().await?;
    for (vip, owner) in vips.iter().zip(&mut now) {
        if *owner == home[0] {
            *owner = watch.answered_by_other(*vip, &home[0], SOON).await?;
        }
    }
    speaker.start().await?;
    lab.apply(&service("unrelated", "")).await?;
    stays("every address with its new owner", Duration::from_secs(8), async || {
        for (vip, owner) in vips.iter().zip(&now) {
            let found = watch.answerers(*vip).await?;
            daymark_tests::ensure!(
                found.len() == 1 && found.contains(owner),
                "{vip}: {found:?}, not {owner}"
            );
        }
        Ok(())
    })
    .await?;
    never_two(&watch, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}
