//! What goes wrong beside a call's own fault: faults, pace, policies, lag; and what is told about it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::*;
use daymark_aws::api::*;
use daymark_aws_fake::{Aws, CallClass, Consistency, Fate, Fault, On, RandomFaults, Timing, throttle};
use tokio::time::Instant;

fn all() -> DescribeLoadBalancers {
    DescribeLoadBalancers { which: Which::All }
}

fn vpcs() -> DescribeVpcs {
    DescribeVpcs { ids: vec![] }
}

#[tokio::test(start_paused = true)]
async fn a_scripted_fault_happens_as_often_as_it_is_asked_for() {
    let aws = Aws::builder().build();
    aws.fail_after(1, On::action("Describe*"), 2, Fault::error("InternalFailure", 500));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(code(&aws, all()).await);
    }
    assert_eq!(seen, ["ok", "InternalFailure", "InternalFailure", "ok"]);
    aws.fail(On::Writes, 1, Fault::Throttled);
    aws.fail(On::action("ec2:*"), 1, Fault::Throttled);
    assert_eq!(code(&aws, all()).await, "ok");
    let error = ask(&aws, vpcs()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("RequestLimitExceeded", Some(503)));
    let error = ask(&aws, nlb(&aws, "web")).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("Throttling", Some(400)));
    aws.fail(On::Any, 9, Fault::Unavailable);
    assert_eq!(ask(&aws, all()).await.unwrap_err().status, Some(503));
    aws.heal();
    assert_eq!(code(&aws, all()).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_may_have_been_a_deed() {
    for (fault, expected, takes, is_done) in [
        (Fault::Timeout, "RequestTimeout", 30, false),
        (Fault::LostResponse, "RequestTimeout", 30, true),
        (Fault::Disconnected, "ConnectionFailed", 0, false),
        (Fault::Slow(Duration::from_secs(7)), "ok", 7, true),
    ] {
        let aws = Aws::builder().build();
        aws.fail(On::Writes, 1, fault.clone());
        let start = Instant::now();
        let result = ask(&aws, nlb(&aws, "web")).await;
        assert_eq!(start.elapsed(), Duration::from_secs(takes), "{fault:?}");
        assert_eq!(result.as_ref().err().map_or("ok", |error| error.code.as_str()), expected);
        assert!(result.is_ok() || result.unwrap_err().status.is_none());
        assert_eq!(aws.snapshot().load_balancer("web").is_some(), is_done, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_dies_in_a_call_hears_nothing_of_it() {
    for (fault, is_done) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let aws = Aws::builder().build();
        aws.fail_after(1, On::Writes, 1, fault.clone());
        let caller = async {
            done(&aws, pool(&aws, "web")).await;
            done(&aws, nlb(&aws, "web")).await;
        };
        tokio::select! {
            () = caller => panic!("the caller lives after {fault:?}"),
            () = aws.crashed() => {}
        }
        assert!(aws.snapshot().target_group("web").is_some());
        assert_eq!(aws.snapshot().load_balancer("web").is_some(), is_done);
        assert_eq!(aws.calls()[1].fate, Fate::Pending);
        assert_eq!(code(&aws, nlb(&aws, "web")).await, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn the_dice_fall_as_the_seed_has_it() {
    let draw = |seed| async move {
        let aws = Aws::builder().build();
        aws.fail_at_random(Some(RandomFaults::survivable(seed, 300)));
        let mut codes = Vec::new();
        for _ in 0..200 {
            codes.push(code(&aws, all()).await);
        }
        codes
    };
    let first = draw(7).await;
    assert_eq!(first, draw(7).await);
    assert_ne!(first, draw(8).await);
    // Three of ten, of which a sixth are only slow.
    let failed = first.iter().filter(|code| *code != "ok").count();
    assert!((30..80).contains(&failed), "{failed}");
    for expected in ["Throttling", "ServiceUnavailable", "RequestTimeout", "ConnectionFailed"] {
        assert!(first.iter().any(|code| code == expected), "{expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn policies_and_credentials() {
    let aws = Aws::builder().build();
    aws.deny("CreateLoadBalancer");
    aws.deny("ec2:*");
    let error = ask(&aws, nlb(&aws, "web")).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("AccessDenied", Some(403)));
    assert!(error.message.contains("not authorized to perform: elasticloadbalancing:CreateLoadBalancer"));
    let error = ask(&aws, vpcs()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("UnauthorizedOperation", Some(403)));
    assert_eq!(code(&aws, all()).await, "ok");
    aws.allow("CreateLoadBalancer");
    assert_eq!(code(&aws, nlb(&aws, "web")).await, "ok");
    aws.expire_credentials();
    assert_eq!(code(&aws, all()).await, "ExpiredToken");
    assert_eq!(code(&aws, vpcs()).await, "RequestExpired");
    aws.renew_credentials();
    assert_eq!(code(&aws, all()).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn buckets_empty_and_fill() {
    let aws = Aws::builder().throttle(vec![CallClass::new("Describe*", 2.0, 3.0)]).build();
    let burst = || async {
        let mut passed = 0;
        for _ in 0..10 {
            passed += u32::from(code(&aws, all()).await == "ok");
        }
        passed
    };
    assert_eq!(burst().await, 3);
    pass(1).await;
    assert_eq!(burst().await, 2);
    pass(60).await;
    assert_eq!(burst().await, 3);
    assert_eq!(code(&aws, pool(&aws, "web")).await, "ok");
    aws.set_throttle(throttle::like_aws());
    assert_eq!(burst().await, 10);
}

#[tokio::test(start_paused = true)]
async fn calls_take_the_time_they_are_given() {
    let timing =
        Timing { read: Duration::from_millis(40), write: Duration::from_millis(200), ..Timing::default() };
    let aws = Aws::builder().timing(timing).build();
    let start = Instant::now();
    done(&aws, all()).await;
    done(&aws, pool(&aws, "web")).await;
    assert_eq!(start.elapsed(), Duration::from_millis(240));
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_seen_late() {
    let lag = Duration::from_secs(10);
    let aws = Aws::builder().consistency(Consistency::late(lag)).build();
    let made = done(&aws, CreateLoadBalancer { tags: tags(&[("a", "b")]), ..nlb(&aws, "web") }).await.arn;
    let group = CreateSecurityGroup {
        name: "g".into(),
        description: "g".into(),
        vpc: aws.account().vpc.clone(),
        tags: tags(&[("a", "b")]),
    };
    let group = done(&aws, group).await;
    let tagged = || DescribeSecurityGroups {
        filter: Filter { tags: [("a".to_owned(), vec!["b".to_owned()])].into(), ..Filter::default() },
    };
    let by_name = || DescribeLoadBalancers { which: Which::Names(vec!["web".into()]) };
    let tags_of = || DescribeTags { arns: vec![made.clone()] };
    assert!(done(&aws, all()).await.is_empty());
    assert!(done(&aws, tags_of()).await[&made].is_empty());
    assert!(done(&aws, tagged()).await.is_empty());
    assert_eq!(done(&aws, by_name()).await.len(), 1);
    let foreign = aws.foreign_load_balancer("foreign", tags(&[])).unwrap();
    assert_eq!(done(&aws, all()).await[0].arn, foreign);
    pass(10).await;
    assert_eq!(done(&aws, all()).await.len(), 2);
    assert_eq!(done(&aws, tags_of()).await[&made]["a"], "b");
    assert_eq!(done(&aws, tagged()).await[0].id, group);

    let key = "load_balancing.cross_zone.enabled";
    let set = ModifyLoadBalancerAttributes { arn: made.clone(), attributes: tags(&[(key, "true")]) };
    done(&aws, set).await;
    let attributes = || DescribeLoadBalancerAttributes { arn: made.clone() };
    assert_eq!(done(&aws, attributes()).await[key], "false");
    pass(10).await;
    assert_eq!(done(&aws, attributes()).await[key], "true");

    done(&aws, DeleteLoadBalancer { arn: made.clone() }).await;
    assert_eq!(done(&aws, all()).await.len(), 2, "a list still has what is gone");
    assert_eq!(code(&aws, by_name()).await, "LoadBalancerNotFound");
    pass(10).await;
    assert_eq!(done(&aws, all()).await.len(), 1);

    let strict = Consistency { identities: lag, ..Consistency::default() };
    aws.set_consistency(strict);
    let made = done(&aws, pool(&aws, "web")).await.arn;
    let by_arn = || DescribeTargetGroups { which: Which::Arns(vec![made.clone()]) };
    let targets = vec![target(&aws.account().instances[0])];
    let register = || RegisterTargets { arn: made.clone(), targets: targets.clone() };
    assert_eq!(code(&aws, by_arn()).await, "TargetGroupNotFound");
    assert_eq!(code(&aws, register()).await, "TargetGroupNotFound");
    let group = CreateSecurityGroup {
        name: "h".into(),
        description: "h".into(),
        vpc: aws.account().vpc.clone(),
        tags: Tags::new(),
    };
    let group = done(&aws, group).await;
    let tag = || CreateTags { id: group.clone(), tags: tags(&[("a", "b")]) };
    assert_eq!(code(&aws, tag()).await, "InvalidGroup.NotFound");
    pass(10).await;
    assert_eq!(code(&aws, by_arn()).await, "ok");
    assert_eq!(code(&aws, register()).await, "ok");
    assert_eq!(code(&aws, tag()).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_and_forgotten() {
    let aws = Aws::builder().build();
    done(&aws, all()).await;
    pass(3).await;
    done(&aws, all()).await;
    aws.fail(On::Writes, 1, Fault::Unavailable);
    code(&aws, pool(&aws, "web")).await;
    aws.as_other(pool(&aws, "web")).unwrap();
    assert_eq!(aws.counts(), [("CreateTargetGroup", 1), ("DescribeLoadBalancers", 2)].into());
    let calls = aws.calls();
    assert_eq!((calls[1].at, calls[1].name()), (Duration::from_secs(3), "DescribeLoadBalancers"));
    assert_eq!((&calls[1].fate, &calls[2].fate), (&Fate::Done, &Fate::Failed("ServiceUnavailable".into())));
    assert_eq!(aws.writes().len(), 1);
    aws.reset_calls();
    assert_eq!(aws.count("DescribeLoadBalancers"), 0);
}
