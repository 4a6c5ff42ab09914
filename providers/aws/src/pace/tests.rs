use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::Duration;

use daymark_model::Family;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::api::{
    Call, DescribeAccountLimits, DescribeLoadBalancers, DescribeSecurityGroupRules, DescribeTags,
    DescribeTargetGroups, DescribeTargetHealth, HealthCheck, HealthProtocol, Ingress, IngressRule,
    MAX_DESCRIBED, NlbProtocol, Peer, RegisterTargets, RuleProtocol, SetSubnets, Tags, TargetGroup,
    TargetType, Which, ask,
};

/// An AWS that knows target groups `tg-0` to `tg-99`, counts what it is asked and refuses what it is told to.
#[derive(Default)]
struct Stub {
    asked: Mutex<Vec<(Duration, Request)>>,
    refuse: Mutex<Vec<(&'static str, &'static str)>>,
    hangs: bool,
    began: Option<Instant>,
}

fn group(arn: &str) -> TargetGroup {
    let health = HealthCheck {
        protocol: HealthProtocol::Tcp,
        port: None,
        path: None,
        codes: None,
        interval: 10,
        timeout: 10,
        healthy: 3,
        unhealthy: 3,
    };
    TargetGroup {
        arn: arn.to_owned(),
        name: arn.to_owned(),
        protocol: NlbProtocol::Tcp,
        port: 80,
        target_type: TargetType::Ip,
        family: Family::V4,
        vpc: "vpc-1".into(),
        health,
        load_balancers: vec![],
    }
}

fn rule(group: &str, port: i32) -> IngressRule {
    let any = ipnet::IpNet::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).unwrap();
    let ingress = Ingress { protocol: RuleProtocol::Tcp, from: port, to: port, peer: Peer::Cidr(any) };
    IngressRule {
        id: format!("sgr-{group}-{port}"),
        group: group.to_owned(),
        ingress,
        description: String::new(),
    }
}

impl Api for Stub {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        let at = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        self.asked.lock().unwrap().push((at, request.clone()));
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let refused = {
            let mut refuse = self.refuse.lock().unwrap();
            let found = refuse.iter().position(|(action, _)| *action == request.action());
            found.map(|index| refuse.remove(index).1)
        };
        if let Some(code) = refused {
            return Err(request.error(code, "as told"));
        }
        #[allow(clippy::wildcard_enum_match_arm, reason = "a stub")]
        match request {
            Request::DescribeTargetGroups(DescribeTargetGroups { which: Which::Arns(arns) }) => {
                assert!(arns.len() <= MAX_DESCRIBED, "AWS takes no more");
                let known = |arn: &String| arn.starts_with("tg-");
                if let Some(unknown) = arns.iter().find(|arn| !known(arn)) {
                    let code = if unknown == "junk" { "ValidationError" } else { "TargetGroupNotFound" };
                    return Err(ApiError::new(DescribeTargetGroups::ACTION, code, unknown));
                }
                Ok(Response::DescribeTargetGroups(arns.iter().rev().map(|arn| group(arn)).collect()))
            }
            // Three pages.
            Request::DescribeTargetGroups(_) => {
                Ok(Response::DescribeTargetGroups((0..801).map(|_| group("all")).collect()))
            }
            Request::DescribeTags(call) => {
                let known = call.arns.iter().filter(|arn| arn.starts_with("tg-"));
                let tags = known.map(|arn| (arn.clone(), Tags::from([("of".into(), arn.clone())])));
                Ok(Response::DescribeTags(tags.collect()))
            }
            Request::DescribeSecurityGroupRules(call) => {
                let rules = call.groups.iter().flat_map(|group| [rule(group, 80), rule(group, 443)]);
                Ok(Response::DescribeSecurityGroupRules(rules.collect()))
            }
            Request::DescribeTargetHealth(_) => Ok(Response::DescribeTargetHealth(vec![])),
            Request::RegisterTargets(_) => Ok(Response::RegisterTargets(())),
            Request::SetSubnets(_) => Ok(Response::SetSubnets(())),
            // An answer to another call.
            Request::DescribeLoadBalancers(_) => Ok(Response::SetSubnets(())),
            Request::DescribeAccountLimits(_) => Ok(Response::DescribeAccountLimits(vec![])),
            other => panic!("not in this stub: {other:?}"),
        }
    }
}

fn paced() -> (Arc<Stub>, Paced<Arc<Stub>>) {
    let stub = Arc::new(Stub { began: Some(Instant::now()), ..Stub::default() });
    (Arc::clone(&stub), Paced::new(stub))
}

fn groups(arns: &[&str]) -> DescribeTargetGroups {
    DescribeTargetGroups { which: Which::Arns(arns.iter().map(|arn| (*arn).to_owned()).collect()) }
}

fn health(arn: &str) -> DescribeTargetHealth {
    DescribeTargetHealth { arn: arn.to_owned() }
}

/// How many ids each Describe named that the stub was asked.
fn sizes(stub: &Stub) -> Vec<usize> {
    let asked = stub.asked.lock().unwrap();
    let mut sizes = Vec::new();
    for (_, request) in asked.iter() {
        if let Request::DescribeTargetGroups(DescribeTargetGroups { which: Which::Arns(arns) }) = request {
            sizes.push(arns.len());
        }
    }
    sizes.sort_unstable();
    sizes
}

#[tokio::test(start_paused = true)]
async fn questions_of_one_moment_are_one_call_and_everybody_gets_their_own_answer() {
    let (stub, paced) = paced();
    let mut tasks = JoinSet::new();
    for n in 0..30 {
        let paced = paced.clone();
        tasks.spawn(async move {
            // Each asks for two, one of which its neighbor asks for too.
            let (own, next) = (format!("tg-{n}"), format!("tg-{}", n + 1));
            let found = ask(&paced, groups(&[&own, &next])).await.unwrap();
            let names: BTreeSet<_> = found.into_iter().map(|group| group.arn).collect();
            assert_eq!(names, BTreeSet::from([own, next]));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(sizes(&stub), [11, 20]);
    let counts = paced.counts()[DescribeTargetGroups::ACTION];
    assert_eq!((counts.calls, counts.errors, counts.shared), (2, 0, 28));

    // Later is another batch.
    ask(&paced, groups(&["tg-1"])).await.unwrap();
    assert_eq!(sizes(&stub), [1, 11, 20]);
}

#[tokio::test(start_paused = true)]
async fn the_scarcer_turns_are_the_more_is_asked_with_each() {
    let (stub, paced) = paced();
    for _ in 0..40 {
        ask(&paced, health("tg")).await.unwrap();
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    // One every 8 ms: each would be a batch of its own. The next turn comes after 100 ms.
    for n in 0..10 {
        let paced = paced.with_class(if n == 9 { StepClass::Targets } else { StepClass::Cosmetic });
        tasks.spawn(async move { ask(&paced, groups(&[&format!("tg-{n}")])).await.map(|found| found.len()) });
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap(), Ok(1));
    }
    assert_eq!(sizes(&stub), [10]);
    assert!(began.elapsed() < Duration::from_millis(110), "{:?}", began.elapsed());
    // The turn that the others lined up for was not needed.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    ask(&paced, health("tg")).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    ask(&paced, groups(&["tg-1"])).await.unwrap();
    assert_eq!(sizes(&stub), [1, 10]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_spoils_only_its_own_question() {
    let (stub, paced) = paced();
    let (good, gone, junk, more) = tokio::join!(
        ask(&paced, groups(&["tg-1", "tg-2"])),
        ask(&paced, groups(&["gone"])),
        ask(&paced, groups(&["tg-3", "junk"])),
        ask(&paced, groups(&["tg-4"])),
    );
    assert_eq!((good.unwrap().len(), more.unwrap().len()), (2, 1));
    assert_eq!(gone.unwrap_err().code, "TargetGroupNotFound");
    assert_eq!(junk.unwrap_err().code, "ValidationError");
    assert_eq!(sizes(&stub), [1, 1, 1, 1, 1, 1, 6]);
    // Another error is everybody's, and is not asked again for each.
    stub.refuse.lock().unwrap().push((DescribeTargetGroups::ACTION, "AccessDenied"));
    let (one, two) = tokio::join!(ask(&paced, groups(&["tg-1"])), ask(&paced, groups(&["tg-2"])));
    assert_eq!([one, two].map(|answer| answer.unwrap_err().code), ["AccessDenied", "AccessDenied"]);
    assert_eq!(sizes(&stub).len(), 8);
}

#[tokio::test(start_paused = true)]
async fn tags_and_rules_are_split_by_what_they_belong_to() {
    let (stub, paced) = paced();
    let tags = |arns: &[&str]| DescribeTags { arns: arns.iter().map(|arn| (*arn).to_owned()).collect() };
    let rules = |group: &str| DescribeSecurityGroupRules { groups: vec![group.to_owned()] };
    let (one, two, a, b) = tokio::join!(
        ask(&paced, tags(&["tg-1", "stranger"])),
        ask(&paced, tags(&["tg-2"])),
        ask(&paced, rules("sg-a")),
        ask(&paced, rules("sg-b")),
    );
    assert_eq!(one.unwrap().into_keys().collect::<Vec<_>>(), ["tg-1"]);
    assert_eq!(two.unwrap()["tg-2"]["of"], "tg-2");
    assert_eq!(a.unwrap(), [rule("sg-a", 80), rule("sg-a", 443)]);
    assert_eq!(b.unwrap(), [rule("sg-b", 80), rule("sg-b", 443)]);
    assert_eq!(stub.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_and_none_are_asked_as_they_are() {
    let (stub, paced) = paced();
    let all = ask(&paced, DescribeTargetGroups { which: Which::All }).await.unwrap();
    assert_eq!(all.first().map(|group| group.arn.as_str()), Some("all"));
    assert!(ask(&paced, groups(&[])).await.unwrap().is_empty());
    assert_eq!(stub.asked.lock().unwrap().len(), 2);
    // Four tokens of forty are gone.
    let began = Instant::now();
    for _ in 0..37 {
        ask(&paced, health("tg")).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(50), "pages cost nothing");
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_takes_nobody_along() {
    let (stub, paced) = paced();
    let first = tokio::time::timeout(Duration::from_millis(2), ask(&paced, groups(&["tg-1"])));
    let (gave_up, stayed) = tokio::join!(first, ask(&paced, groups(&["tg-2"])));
    assert!(gave_up.is_err());
    assert_eq!(stayed.unwrap().len(), 1);
    assert_eq!(sizes(&stub), [1], "what nobody waits for is not asked");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_question_is_an_error() {
    let (_, paced) = paced();
    let which = Which::Arns(vec!["lb-1".into()]);
    let error = ask(&paced, DescribeLoadBalancers { which }).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.action), (ApiError::GARBLED, DescribeLoadBalancers::ACTION));
}

#[tokio::test(start_paused = true)]
async fn calls_keep_to_their_bucket_and_to_that_of_the_account() {
    let (stub, paced) = paced();
    let began = Instant::now();
    for _ in 0..12 {
        ask(&paced, SetSubnets { arn: "lb".into(), subnets: vec![], source_nat: None }).await.unwrap();
    }
    let heavy = began.elapsed();
    assert!(heavy >= Duration::from_secs(10) && heavy < Duration::from_millis(10_100), "{heavy:?}");
    assert!(paced.counts()[SetSubnets::ACTION].waited >= Duration::from_secs(10));

    // 40 at once, then 10 in each second, whichever action it is.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let began = Instant::now();
    for n in 0..30 {
        ask(&paced, health("tg")).await.unwrap();
        if n < 20 {
            ask(&paced, RegisterTargets { arn: "tg".into(), targets: vec![] }).await.unwrap();
        }
    }
    let all = began.elapsed();
    assert!(all >= Duration::from_millis(990) && all < Duration::from_millis(1100), "{all:?}");
    assert_eq!(stub.asked.lock().unwrap().len(), 62);
}

#[tokio::test(start_paused = true)]
async fn targets_overtake_what_is_less_urgent() {
    let (stub, paced) = paced();
    for _ in 0..40 {
        ask(&paced, health("first")).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for (name, class) in
        [("tags", StepClass::Cosmetic), ("change", StepClass::Change), ("targets", StepClass::Targets)]
    {
        let paced = paced.with_class(class);
        tasks.spawn(async move { ask(&paced, health(name)).await.map(drop) });
        tokio::task::yield_now().await;
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let asked = stub.asked.lock().unwrap();
    let order: Vec<Request> = asked.iter().skip(40).map(|(_, request)| request.clone()).collect();
    assert_eq!(order, ["targets", "change", "tags"].map(|name| health(name).into_request()));
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_its_class_down_and_is_counted() {
    let (stub, paced) = paced();
    for code in ["ThrottlingException", "Throttling"] {
        stub.refuse.lock().unwrap().push((DescribeTargetHealth::ACTION, code));
        assert_eq!(ask(&paced, health("tg")).await.unwrap_err().code, code);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let rates = paced.rates();
    assert_eq!((rates[&CallClass::ElbDescribe], rates[&CallClass::ElbAccount]), (2.5, 10.0));
    stub.refuse.lock().unwrap().push((DescribeTargetHealth::ACTION, "AccessDenied"));
    assert!(ask(&paced, health("tg")).await.is_err());
    let counts = paced.counts()[DescribeTargetHealth::ACTION];
    assert_eq!((counts.calls, counts.throttled, counts.errors, counts.timeouts), (3, 2, 1, 0));
    while paced.rates()[&CallClass::ElbDescribe] < 10.0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ask(&paced, health("tg")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_at_its_deadline() {
    let stub = Arc::new(Stub { hangs: true, ..Stub::default() });
    let paced = Paced::new(stub);
    let began = Instant::now();
    let (alone, batched) =
        tokio::join!(ask(&paced, DescribeAccountLimits {}), ask(&paced, groups(&["tg-1"])));
    for error in [alone.unwrap_err(), batched.unwrap_err()] {
        assert_eq!((error.code.as_str(), error.status), (ApiError::TIMEOUT, None));
    }
    assert!(began.elapsed() < CALL_DEADLINE + Duration::from_millis(50));
    assert_eq!(paced.counts()[DescribeAccountLimits::ACTION].timeouts, 1);
}
