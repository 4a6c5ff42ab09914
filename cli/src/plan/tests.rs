use daymark_kube::slim::Service;
use daymark_model::{Inventory, Timestamp};
use serde_json::{Value, json};

use super::intent::{Against, Intents, drafts};
use super::objects::{Objects, Origin};
use super::status::{Purpose, State, balancer, overview};
use super::yaml::documents;
use super::{render, render_intent};
use crate::output::Width;

const PROFILE: &str = "
apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {name: nlb}
spec:
  loadBalancerClass: daymark.dev/aws-nlb
  aws: {clusterName: production-1, vpcId: vpc-0a1b2c3d, region: eu-central-1}
";

/// A Service of this name with these annotations under the AWS prefix and these lines more in its spec.
fn service(name: &str, annotations: &[(&str, &str)], more: &str) -> String {
    let annotations: Vec<String> = annotations
        .iter()
        .map(|(key, value)| match key.contains('/') {
            true => format!("{key}: {value:?}"),
            false => format!("service.beta.kubernetes.io/aws-load-balancer-{key}: {value:?}"),
        })
        .collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, annotations: {{{}}}}}\nspec:\n  \
         type: LoadBalancer\n  loadBalancerClass: daymark.dev/aws-nlb\n  ports: [{{port: 80}}]\n{more}",
        annotations.join(", ")
    )
}

fn objects(texts: &[&str]) -> Objects {
    let mut objects = Objects::default();
    for (at, text) in texts.iter().enumerate() {
        let (documents, faults) = documents(&format!("{at}.yaml"), text);
        objects.faults.extend(faults);
        documents.into_iter().for_each(|document| objects.take(document, Origin::Files));
    }
    objects
}

fn offline(texts: &[&str]) -> Intents {
    let objects = objects(texts);
    let (drafts, services) = drafts(&objects, "daymark-system", None);
    let load_balancers = drafts.into_iter().map(|draft| draft.offline(Timestamp(0))).collect();
    Intents { faults: objects.faults, load_balancers, services }
}

fn reasons(intents: &Intents) -> Vec<(String, String)> {
    let refused = intents.load_balancers.iter().flat_map(|intent| &intent.refused);
    refused.map(|refusal| (refusal.service.clone(), refusal.reason.clone())).collect()
}

#[test]
fn a_service_that_is_not_applied_yet_has_its_whole_plan() {
    let ip = service("web", &[("nlb-target-type", "ip"), ("scheme", "internet-facing")], "");
    let intents = offline(&[PROFILE, &ip]);
    assert!(!intents.has_problems(), "{intents:?}");
    let intent = &intents.load_balancers[0];
    let steps: Vec<&str> = intent.steps.iter().map(|step| step.what.as_str()).collect();
    let order =
        ["create security group", "create target group", "create load balancer", "create listener TCP/80"];
    let at = order.map(|what| steps.iter().position(|step| step.starts_with(what)).expect(what));
    assert!(at.is_sorted(), "{steps:?}");
    let wanted = intent.wanted.as_ref().unwrap();
    assert_eq!(wanted.scheme, "internet-facing");
    assert_eq!(wanted.subnets, ["(decided at AWS)"]);
    assert_eq!((wanted.target_groups[0].port, wanted.target_groups[0].target_type.as_str()), (80, "ip"));
    let text = render_intent::text(&intents, Width::Usual);
    assert!(text.contains("dm-shop-web-… "), "{text}");
    assert!(text.contains("no EndpointSlices of Service shop/web"), "{text}");
}

#[test]
fn what_the_api_server_decides_is_stood_in_for_and_said() {
    let local = service("web", &[], "  externalTrafficPolicy: Local\n");
    let intent = &offline(&[PROFILE, &local]).load_balancers[0];
    let group = &intent.wanted.as_ref().unwrap().target_groups[0];
    assert_eq!(group.port, 30_000);
    assert!(group.health.starts_with("HTTP 30001 /healthz"), "{}", group.health);
    assert!(
        intent.notes.iter().any(|note| note.contains("30000-30001 stand for them")),
        "{:?}",
        intent.notes
    );
    let none = service("web", &[], "  allocateLoadBalancerNodePorts: false\n");
    assert_eq!(reasons(&offline(&[PROFILE, &none])).len(), 1);
}

#[test]
fn static_addresses_get_their_subnets() {
    let named = [
        ("subnets", "subnet-a, subnet-b"),
        ("private-ipv4-addresses", "10.0.0.9, 10.0.1.9"),
        ("scheme", "internal"),
    ];
    let intents = offline(&[PROFILE, &service("web", &named, "")]);
    assert!(!intents.has_problems(), "{intents:?}");
    assert!(!intents.load_balancers[0].steps.is_empty());
    let wrong =
        [("subnets", "subnet-a, subnet-b"), ("private-ipv4-addresses", "10.0.0.9"), ("scheme", "internal")];
    let intents = offline(&[PROFILE, &service("web", &wrong, "")]);
    assert!(intents.has_problems(), "{intents:?}");
}

#[test]
fn every_fault_is_told_and_the_others_go_on() {
    let texts = [
        PROFILE,
        &service("typo", &[("schmee", "internal")], ""),
        &service("slow", &[("healthcheck-interval", "1")], ""),
        &service("own", &[("daymark.dev/mode", "perhaps")], ""),
        &service("good", &[], ""),
        "---\nkind: Service\napiVersion: v1\nmetadata: {name: num, annotations: {a: 5}}\n",
        "---\nkind: Service\napiVersion: v1\nmetadata: {}\n",
        "---\na: [\n---\n- 1\n---\n7\n---\nkind: Service\napiVersion: v2\nmetadata: {name: n}\n",
        "---\nkind: LoadBalancerProfile\napiVersion: daymark.dev/v1alpha1\nmetadata: {name: bad}\nspec: {loadBalancerClass: 'x y', aws: {clusterName: c, vpcId: v}}\n",
        "---\nkind: CloudLoadBalancer\napiVersion: daymark.dev/v1alpha1\nmetadata: {name: good, namespace: shop}\nspec: {}\n",
        "---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\n",
    ];
    let intents = offline(&texts);
    let told: Vec<&str> = intents.faults.iter().map(|fault| fault.source.as_str()).collect();
    assert_eq!(
        told,
        [
            "5.yaml, line 1, Service num",
            "6.yaml, line 1, Service ",
            "7.yaml, line 1",
            "7.yaml, line 3",
            "7.yaml, line 5",
            "7.yaml, line 7, Service",
            "8.yaml, line 1, LoadBalancerProfile bad",
            "9.yaml, line 1, CloudLoadBalancer good",
        ]
    );
    assert!(
        intents.faults[0].message.ends_with("expected a string: write it in quotes"),
        "{:?}",
        intents.faults
    );
    let refused = reasons(&intents);
    for (service, reason) in
        [("typo", "UnknownAnnotation"), ("slow", "InvalidAnnotation"), ("own", "InvalidAnnotation")]
    {
        assert!(refused.contains(&(service.to_owned(), reason.to_owned())), "{service}: {refused:?}");
    }
    let good = intents.load_balancers.iter().find(|intent| intent.name == "good").unwrap();
    assert!(good.refused.is_empty() && good.wanted.is_some() && good.failure.is_some(), "{good:?}");
    let text = render_intent::text(&intents, Width::Wide);
    assert!(text.contains("aws-load-balancer-schmee") && text.contains("did you mean scheme"), "{text}");
}

#[test]
fn no_text_panics() {
    let good = service("web", &[], "");
    for cut in (0..good.len()).filter(|at| good.is_char_boundary(*at)) {
        offline(&[PROFILE, &good[..cut]]);
    }
    for odd in
        ["---\n---", "\0", "kind: List\nitems: 3", "&a [*a]", "%\n---\n%", "kind: Service", "{\"kind\": 3}"]
    {
        offline(&[odd]);
    }
}

#[test]
fn a_service_without_a_profile_is_told_what_to_do() {
    let intents = offline(&[&service("web", &[], "")]);
    assert!(intents.has_problems() && intents.load_balancers.is_empty());
    assert!(intents.services[0].why.contains("--cluster-objects"), "{:?}", intents.services);
    let pool = "apiVersion: daymark.dev/v1alpha1\nkind: LoadBalancerProfile\nmetadata: {name: lan}\nspec: {loadBalancerClass: daymark.dev/aws-nlb, pool: {}}\n";
    let intents = offline(&[pool, &service("web", &[], "")]);
    assert!(!intents.has_problems() && intents.services[0].why.contains("lan"), "{:?}", intents.services);
}

#[test]
fn a_group_is_one_load_balancer_led_by_its_oldest() {
    let group = [("daymark.dev/group", "edge")];
    let second = service("b", &group, "").replace("port: 80", "port: 81");
    let intents = offline(&[PROFILE, &service("a", &group, ""), &second]);
    assert_eq!(intents.load_balancers.len(), 1);
    let intent = &intents.load_balancers[0];
    assert_eq!((intent.name.as_str(), intent.members.len()), ("group.edge", 2));
    assert_eq!(intent.wanted.as_ref().unwrap().listeners.len(), 2);
    let stored = service("z", &group, "")
        .replace("namespace: shop", "namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'");
    let intents = offline(&[PROFILE, &service("a", &group, ""), &stored.replace("port: 80", "port: 82")]);
    assert_eq!(intents.load_balancers[0].members, ["z", "a"]);
}

#[test]
fn files_come_before_the_cluster_which_adds_what_it_decided() {
    let mut objects = objects(&[PROFILE, &service("web", &[("scheme", "internal")], "")]);
    let stored = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-7", "annotations": {"daymark.dev/mode": "plan"}},
        "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"port": 80, "nodePort": 31234}]},
    });
    let document = super::yaml::Document { source: "the cluster".into(), value: stored };
    objects.take(document, Origin::Cluster);
    let (drafts, _) = drafts(&objects, "daymark-system", None);
    let intent = drafts.into_iter().next().unwrap().offline(Timestamp(0));
    let wanted = intent.wanted.unwrap();
    assert_eq!(wanted.target_groups[0].port, 31_234);
    assert!(
        !intent.notes.iter().any(|note| note.contains("decided by the API server")),
        "{:?}",
        intent.notes
    );
    assert!(intent.steps.iter().all(|step| !step.what.contains('…')), "{:?}", intent.steps);
}

fn spec(members: &[&str], resources: Value) -> Value {
    json!({
        "provider": "aws", "profile": "nlb", "serviceUID": "u-1",
        "members": members.iter().map(|name| json!({"name": name, "uid": "u-1"})).collect::<Vec<_>>(),
        "place": {"cluster": "production-1", "region": "eu-central-1", "vpc": "vpc-0a1b2c3d"},
        "inventory": {"epoch": 0, "resources": resources},
    })
}

fn recorded() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": spec(&["web"], json!([{
            "kind": "LoadBalancer", "role": "nlb", "generation": 1, "name": "dm-shop-web-0123456789", "id": "arn:lb",
            "phase": "Present", "since": "2026-01-01T00:00:00.000000Z", "ownership": "Owned",
        }])),
        "status": {
            "conditions": [{
                "type": "daymark.dev/Provisioned", "status": "True", "reason": "PlanPending", "message": "see the plan",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
            "hostnames": ["dm-shop-web.elb.eu-central-1.amazonaws.com"],
            "healthy": "5/6",
            "ports": [{"service": "web", "port": 80, "protocol": "TCP", "healthy": 5, "total": 6, "draining": 1}],
            "remarks": [{"reason": "Drift", "message": "somebody changed it"}],
            "plan": {
                "consent": "0a1b2c3d4e",
                "disruptive": ["load balancer dm-shop-web-0123456789 is replaced: another scheme"],
                "steps": [
                    {"what": "register 1 target", "why": "it is new", "held": false},
                    {"what": "create load balancer", "why": "another scheme", "held": true},
                ],
                "more": 3,
            },
        },
    })
}

#[test]
fn the_overview_says_what_waits_and_what_failed() {
    let failed = json!({
        "metadata": {"name": "api", "namespace": "shop"}, "spec": spec(&["api"], json!([])),
        "status": {"lastError": {
            "class": "PermissionDenied", "reason": "PermissionDenied", "message": "not allowed",
            "action": "elasticloadbalancing:CreateLoadBalancer", "remedy": "allow it\u{1b}[2J",
        }},
    });
    let broken = json!({"metadata": {"name": "old", "namespace": "shop"}, "spec": {"profile": "nlb"}});
    let refused: Service = serde_json::from_value(json!({
        "metadata": {"name": "typo", "namespace": "shop"},
        "status": {"conditions": [
            {"type": "daymark.dev/Provisioned", "status": "False", "reason": "UnknownAnnotation", "message": "schmee"}]},
    }))
    .unwrap();
    let all = overview(&[recorded(), failed.clone(), broken], &[refused]);
    let states: Vec<(&str, State)> = all.load_balancers.iter().map(|b| (b.name.as_str(), b.state)).collect();
    assert_eq!(states, [("api", State::Failed), ("old", State::Unreadable), ("web", State::ConsentNeeded)]);
    assert_eq!((all.services[0].name.as_str(), all.services[0].state), ("typo", State::Failed));
    let table = render::overview(&all, Width::Usual);
    let cells = |row: usize| {
        table
            .lines()
            .nth(row)
            .unwrap()
            .split("   ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(cells(1), ["shop", "api", "service", "nlb", "-", "PermissionDenied", "-", "-", "-"]);
    assert_eq!(
        cells(3),
        [
            "shop",
            "web",
            "service",
            "nlb",
            "dm-shop-web.elb.eu-central-1.amazonaws.com",
            "PlanPending",
            "5/6",
            "5 steps, 1 held",
            "0a1b2c3d4e",
        ]
    );
    let detail = render::detail(&balancer(&failed), Width::Usual);
    assert!(detail.contains("elasticloadbalancing:CreateLoadBalancer: not allowed"), "{detail}");
    assert!(detail.contains("what to do: allow it [2J"), "{detail}");
}

#[test]
fn one_load_balancer_with_the_command_that_consents() {
    let one = balancer(&recorded());
    let text = render::detail(&one, Width::Wide);
    let command = "kubectl annotate --overwrite service -n shop web daymark.dev/allow-replacement=0a1b2c3d4e";
    assert!(text.contains(&format!("\n  {command}\n")), "{text}");
    for said in
        ["HELD until consent", "3 more steps", "somebody changed it", "TCP/80", "5/6", "arn:lb", "Owned"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!render::detail(&one, Width::Usual).contains("arn:lb"));
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!(json["plan"]["steps"][1]["held"], true);
    assert_eq!(json["consent"], command);
}

#[test]
fn purposes_are_known_by_name() {
    let purpose =
        |name: &str| balancer(&json!({"metadata": {"name": name}, "spec": spec(&[], json!([]))})).purpose;
    assert_eq!(purpose("web"), Purpose::Service);
    assert_eq!(purpose("group.edge"), Purpose::Group("edge".into()));
    assert_eq!(purpose("node-access.nlb"), Purpose::NodeAccess("nlb".into()));
}

#[test]
fn what_goes_on_by_itself_is_no_problem() {
    let state = |status: &str, reason: &str| {
        let condition = json!({
            "type": "daymark.dev/Provisioned", "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        balancer(&json!({
            "metadata": {"name": "web"}, "spec": spec(&["web"], json!([])), "status": {"conditions": [condition]},
        }))
        .state
    };
    assert_eq!(state("True", "Provisioned"), State::Provisioned);
    assert_eq!(state("False", "Provisioning"), State::InProgress);
    assert_eq!(state("False", "WaitingForTargets"), State::InProgress);
    assert_eq!(state("True", "PlanShown"), State::Shown);
    assert_eq!(state("False", "NoSubnets"), State::Failed);
}

/// An account in which the load balancer of a Service was made, and the inventory of it.
pub(crate) async fn provisioned(account: &daymark_aws_fake::Aws, text: &str) -> Inventory {
    use daymark_aws::cloud::AwsCloud;
    use daymark_aws::model::{Desired, NodeAccess, NodeAccessState};
    use daymark_aws::naming::{BACKEND_ROLE, Owner, kind};
    use daymark_model::ResourceKey;
    use daymark_providers::Depth;
    use daymark_providers::pass::{self, InventoryStore, Policy, StoreError};

    struct Kept;
    impl InventoryStore for Kept {
        async fn save(&mut self, _: &Inventory) -> Result<(), StoreError> {
            Ok(())
        }
    }
    async fn settle(account: &daymark_aws_fake::Aws, desired: &Desired) -> Inventory {
        let cloud = AwsCloud::new(account.clone());
        let mut inventory = Inventory::default();
        for turn in 0..12 {
            let (now, policy) = (Timestamp(turn * 60_000), Policy::default());
            let report =
                pass::run(&cloud, &mut Kept, Some(desired), inventory, Depth::Full, &policy, now).await;
            inventory = report.inventory;
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        }
        inventory
    }
    let (drafts, _) = drafts(&objects(&[&fake_profile(account), text]), "daymark-system", None);
    let mut nlb = drafts.into_iter().next().unwrap().nlb.unwrap();
    let access = NodeAccess {
        owner: Owner {
            cluster: nlb.owner.cluster.clone(),
            namespace: "daymark-system".into(),
            name: "node-access.nlb".into(),
            uid: "node-access.nlb".into(),
        },
        vpc: nlb.vpc.clone(),
        node_groups: Vec::new(),
        ranges: nlb.node_ranges(),
        surplus: Default::default(),
        tags: Default::default(),
    };
    let access = settle(account, &Desired::NodeAccess(access)).await;
    let group = access.id(&ResourceKey::new(kind::SECURITY_GROUP, BACKEND_ROLE, 1)).unwrap().to_owned();
    nlb.node_access = NodeAccessState::Group(group);
    settle(account, &Desired::LoadBalancer(Box::new(nlb))).await
}

/// A profile for the account.
pub(crate) fn fake_profile(account: &daymark_aws_fake::Aws) -> String {
    PROFILE
        .replace("production-1", &account.account().cluster)
        .replace("vpc-0a1b2c3d", &account.account().vpc)
        .replace("eu-central-1", &account.account().region)
}

/// A Service that the account can serve.
pub(crate) fn fake_service(more: &[(&str, &str)]) -> String {
    let annotations = [&[("nlb-target-type", "ip")], more].concat();
    service("web", &annotations, "").replace("namespace: shop", "namespace: shop, uid: u-1")
}

#[tokio::test(start_paused = true)]
async fn a_file_is_compared_with_aws() {
    let aws = daymark_aws_fake::Aws::builder().build();
    let inventory = provisioned(&aws, &fake_service(&[])).await;
    aws.reset_calls();
    let live = async |more: &[(&str, &str)]| {
        let objects = objects(&[&fake_profile(&aws), &fake_service(more)]);
        let (drafts, _) = drafts(&objects, "daymark-system", None);
        let mut draft = drafts.into_iter().next().unwrap();
        draft.inventory = inventory.clone();
        // It is known by now which group nodes let in; the draft's record of it is not among these objects.
        let group = aws.snapshot();
        let group = group
            .load_balancers
            .values()
            .next()
            .unwrap()
            .load_balancer
            .security_groups
            .last()
            .unwrap()
            .clone();
        draft.nlb.as_mut().unwrap().node_access = daymark_aws::model::NodeAccessState::Group(group);
        draft.live(aws.clone(), Timestamp(3_600_000)).await.unwrap()
    };
    let same = live(&[]).await;
    assert_eq!((same.against, same.steps.len(), &same.consent), (Against::Aws, 0, &None), "{same:?}");
    let changed = live(&[("attributes", "load_balancing.cross_zone.enabled=true")]).await;
    assert_eq!(changed.steps.len(), 1, "{changed:?}");
    let replaced = live(&[("scheme", "internet-facing")]).await;
    assert_eq!(replaced.disruptive.len(), 1, "{replaced:?}");
    assert!(replaced.steps.iter().any(|step| step.held));
    let command = replaced.consent.unwrap();
    assert!(
        command
            .starts_with("kubectl annotate --overwrite service -n shop web daymark.dev/allow-replacement=")
    );
    assert!(aws.writes().is_empty(), "{:?}", aws.writes());
}
