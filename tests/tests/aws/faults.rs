//! What AWS and the controller's own end do in the middle of things.

use std::time::Duration;

use daymark_tests::aws::{Fault, Rule};
use daymark_tests::{Result, ensure, wait_for};

use crate::stage::{PATIENCE, Stage, service};

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_aws_and_ends_of_the_controller_leave_neither_gaps_nor_leaks() -> Result<()> {
    let stage = Stage::set("aws-faults", "").await?;
    for rule in [
        Rule::on("CreateLoadBalancer", Fault::Throttled).times(2),
        Rule::on("CreateLoadBalancer", Fault::AnswerLost).times(1),
        Rule::on("CreateTargetGroup", Fault::AnswerLost).times(1),
        Rule::on("CreateSecurityGroup", Fault::AnswerLost).times(1),
        Rule::on("CreateListener", Fault::INTERNAL).times(1),
        Rule::on("RegisterTargets", Fault::Cut).times(1),
        Rule::on("AuthorizeSecurityGroupIngress", Fault::AnswerLost).times(1),
    ] {
        stage.proxy.inject(rule);
    }
    stage.lab.apply(&service("one", &[], "[{name: a, port: 80}, {name: b, port: 81}]")).await?;
    stage.lab.apply(&service("two", &[], "[{port: 80}]")).await?;
    stage.hostname("one").await?;
    stage.hostname("two").await?;
    complete(&stage).await?;
    ensure!(stage.proxy.log().iter().any(|call| call.action == "CreateLoadBalancer"), "no call came by");

    // The controller dies while a call is on its way, again and again.
    let controller = stage.lab.controller("a").await?;
    for action in ["CreateLoadBalancer", "CreateTargetGroup", "CreateListener"] {
        stage.proxy.heal();
        stage.proxy.inject(Rule::on(action, Fault::Delay(Duration::from_secs(3))).times(1));
        stage.proxy.take_log();
        let name = format!("dies-{}", action.to_lowercase());
        stage.lab.apply(&service(&name, &[], "[{port: 80}]")).await?;
        wait_for(format_args!("{action} on its way"), PATIENCE, async || {
            ensure!(stage.proxy.count(action) > 0, "{:?}", stage.proxy.counts());
            Ok(())
        })
        .await?;
        controller.kill().await?;
        controller.start().await?;
        stage.hostname(&name).await?;
    }
    wait_for("five load balancers", PATIENCE, async || {
        let all = stage.balancers().await?;
        ensure!(all.len() == 5, "{all:?}");
        ensure!(all.iter().all(|balancer| !balancer.listeners.is_empty()), "{all:?}");
        Ok(())
    })
    .await?;

    // And while it deletes.
    stage.proxy.heal();
    stage.proxy.inject(Rule::on("DeleteLoadBalancer", Fault::AnswerLost).times(2));
    stage.proxy.inject(Rule::on("DeleteTargetGroup", Fault::Throttled).times(2));
    let all = ["one", "two", "dies-createloadbalancer", "dies-createtargetgroup", "dies-createlistener"];
    for (number, name) in all.iter().enumerate() {
        if number == 2 {
            controller.kill().await?;
            controller.start().await?;
        }
        stage.delete(name).await?;
    }
    stage.nothing_left().await?;
    stage.finish().await
}

async fn complete(stage: &Stage) -> Result<()> {
    wait_for("two load balancers with all listeners and targets", PATIENCE, async || {
        let all = stage.balancers().await?;
        let listeners: usize = all.iter().map(|balancer| balancer.listeners.len()).sum();
        ensure!(all.len() == 2 && listeners == 3, "{all:?}");
        let groups = stage.target_groups().await?;
        ensure!(groups.len() == 3 && groups.values().all(|targets| targets.len() == 2), "{groups:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_take_away_comes_back_when_it_is_looked_at() -> Result<()> {
    let stage = Stage::set("aws-drift", "").await?;
    stage.lab.apply(&service("web", &[], "[{name: a, port: 80}, {name: b, port: 81}]")).await?;
    stage.hostname("web").await?;
    let before = stage.only_balancer("two listeners", |b| b.listeners.len() == 2).await?;
    let listener = stage.aws().elb("DescribeListeners", &[("LoadBalancerArn", &before.arn)]).await?;
    stage.aws().elb("DeleteListener", &[("ListenerArn", &listener.first("ListenerArn")?)]).await?;
    let (group, targets) = stage.target_groups().await?.pop_first().unwrap();
    let (id, port) = targets.first().unwrap();
    let fields = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", id),
        ("Targets.member.1.Port", &port.to_string()),
    ];
    stage.aws().elb("DeregisterTargets", &fields).await?;
    // A new controller looks at everything once; one that runs does within ten minutes.
    let controller = stage.lab.controller("a").await?;
    controller.kill().await?;
    controller.start().await?;
    let after = stage.only_balancer("two listeners again", |b| b.listeners.len() == 2).await?;
    assert_eq!(after.arn, before.arn);
    wait_for("all targets again", PATIENCE, async || {
        let groups = stage.target_groups().await?;
        ensure!(groups.values().all(|targets| targets.len() == 2), "{groups:?}");
        Ok(())
    })
    .await?;
    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}
