//! Plans that wait for consent, and modes in which nothing is done.

use std::time::Duration;

use daymark_tests::{Result, ensure, stays, wait_for};

use crate::stage::{PATIENCE, Stage, service};

const SCHEME: &str = "service.beta.kubernetes.io/aws-load-balancer-scheme";
const CONSENT: &str = "daymark.dev/allow-replacement";

#[tokio::test(flavor = "multi_thread")]
async fn another_scheme_waits_for_consent_to_that_very_plan() -> Result<()> {
    let stage = Stage::set("aws-consent", "replacementGrace: 5s").await?;
    stage.lab.apply(&service("web", &[("scheme", "internal")], "[{port: 80}]")).await?;
    let old = stage.hostname("web").await?;
    let before = stage.only_balancer("internal", |b| b.scheme == "internal").await?;
    stage.annotate("web", CONSENT, Some("0000000000")).await?;
    stage.annotate("web", SCHEME, Some("internet-facing")).await?;
    let message = stage.told("web", "True", "PlanPending").await?;
    ensure!(message.contains("internal") && message.contains("kubectl annotate"), "{message}");
    stays("the load balancer", Duration::from_secs(3), async || {
        let all = stage.balancers().await?;
        ensure!(all == [before.clone()], "{all:?}");
        Ok(())
    })
    .await?;
    let hash = stage.consent("web").await?;
    let plan = stage.objects().await?["default/web"]["status"]["plan"].clone();
    ensure!(plan["steps"].as_array().is_some_and(|steps| steps.iter().any(|s| s["held"] == true)), "{plan}");
    ensure!(message.contains(&hash), "{message}, not {hash}");

    stage.annotate("web", CONSENT, Some(&hash)).await?;
    let after = stage.only_balancer("internet-facing", |b| b.scheme == "internet-facing").await?;
    ensure!(after.arn != before.arn, "{after:?}");
    wait_for("only the new host name", PATIENCE, async || {
        let now = stage.hostname("web").await?;
        ensure!(now != old && now.starts_with(&after.name), "{now}");
        Ok(())
    })
    .await?;
    // Back: the consent of before holds no more.
    stage.annotate("web", SCHEME, Some("internal")).await?;
    let message = stage.told("web", "True", "PlanPending").await?;
    ensure!(!message.contains(&hash), "{message}");
    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_only_to_be_shown_is_shown() -> Result<()> {
    let stage = Stage::set("aws-mode", "mode: Plan").await?;
    stage.lab.apply(&service("web", &[], "[{port: 80}]")).await?;
    stage.told("web", "False", "PlanShown").await?;
    wait_for("a plan with a load balancer", PATIENCE, async || {
        let plan = stage.objects().await?["default/web"]["status"]["plan"].clone();
        let mut steps =
            plan["steps"].as_array().into_iter().flatten().filter_map(|step| step["what"].as_str());
        ensure!(steps.any(|step| step.contains("load balancer")), "{plan}");
        Ok(())
    })
    .await?;
    ensure!(stage.balancers().await?.is_empty());
    let writes: Vec<String> =
        stage.proxy.log().into_iter().map(|c| c.action).filter(|a| !a.starts_with("Describe")).collect();
    ensure!(writes.is_empty(), "{writes:?}");
    // This Service is to be served all the same.
    stage.annotate("web", "daymark.dev/mode", Some("apply")).await?;
    stage.hostname("web").await?;
    stage.delete("web").await?;
    stage.profile("nlb", crate::stage::CLASS, "mode: Apply").await?;
    stage.nothing_left().await?;
    stage.finish().await
}
