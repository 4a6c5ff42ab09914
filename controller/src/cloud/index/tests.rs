//! Objects in, tasks out.

use std::collections::BTreeMap;

use daymark_aws::model::Surplus;
use daymark_config::crd;
use daymark_config::native;
use daymark_kube::views::cloud;
use daymark_model::{CloudMember, CloudProvider, CloudRecord, Inventory, Phase, Resource, Timestamp};
use serde_json::{Value, json};

use super::*;

const CLASS: &str = "daymark.dev/aws-nlb";

fn key(name: &str) -> Key {
    Key { namespace: "shop".into(), name: name.into() }
}

fn profile(name: &str, class: &str, more: Value) -> Option<LoadBalancerProfile> {
    let mut aws = json!({"clusterName": "c", "vpcId": "vpc-0123456789abcdef0"});
    aws.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let object: crd::LoadBalancerProfile = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"loadBalancerClass": class, "aws": aws},
    }))
    .unwrap();
    Some(native::profile(&object).unwrap())
}

/// A Service with UID `uid-NAME`, changed by `more` (merged over it).
fn mk_service(name: &str, more: Value) -> CloudService {
    let mut object = json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": CLASS, "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "nodePort": 30080}],
        },
    });
    merge(&mut object, more);
    cloud::service(&serde_json::from_value(object).unwrap()).unwrap()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn mk_object(name: &str, uid: &str, version: &str, with_group: bool) -> CloudObject {
    let mut inventory = Inventory::default();
    if with_group {
        let key = daymark_model::ResourceKey::new("SecurityGroup", "backend", 1);
        let made = Resource {
            id: Some("sg-1".into()),
            phase: Phase::Present,
            ..Resource::intended(key, "n".into(), Timestamp(1))
        };
        inventory.put(made);
    }
    let record = CloudRecord {
        provider: CloudProvider::Aws,
        profile: "nlb".into(),
        service_uid: Some(uid.into()),
        group: None,
        members: vec![CloudMember { name: name.into(), uid: uid.into() }],
        place: AwsProfile::new("c", "vpc-0123456789abcdef0").place(),
        deletion: Deletion::Delete,
        inventory,
    };
    let mut object = native::cloud::cloud_object("shop", name, &record);
    object.metadata.resource_version = Some(version.into());
    object.metadata.uid = Some(format!("object-{name}"));
    CloudObject::read(object)
}

/// An index with everything listed, these Services and these objects.
fn index(services: Vec<CloudService>, objects: Vec<CloudObject>) -> Index {
    let mut index = Index::new("daymark-system");
    let named = |name: &str| Key { name: name.into(), ..Key::default() };
    index.take_profiles(Update::Reset([(named("nlb"), profile("nlb", CLASS, json!({})))].into()));
    let services = services.into_iter().map(|s| (Key::default(), s)).enumerate();
    let services = services.map(|(i, (_, s))| (key(&i.to_string()), Seen::Balancer(Box::new(s))));
    index.take_services(Update::Reset(services.collect()));
    index.take_nodes(Update::Reset(BTreeMap::new()));
    index.take_slices(Update::Reset(BTreeMap::new()));
    index.take_objects(Update::Reset(objects.into_iter().map(|o| (o.key.clone(), o)).collect()));
    index
}

fn apply(index: &mut Index, service: CloudService) -> Touched {
    index.take_services(Update::Apply(Key::default(), Seen::Balancer(Box::new(service))))
}

fn served(task: Task) -> Box<Serve> {
    match task {
        Task::Serve(serve) => serve,
        other @ (Task::Nothing | Task::Remove(_) | Task::Leave(_)) => panic!("{other:?}"),
    }
}

fn removed(task: Task) -> Box<Remove> {
    match task {
        Task::Remove(remove) => remove,
        other @ (Task::Nothing | Task::Serve(_) | Task::Leave(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_service_of_our_class_is_served_and_one_of_another_is_not() {
    let index = index(
        vec![
            mk_service("web", json!({})),
            mk_service("other", json!({"spec": {"loadBalancerClass": "x/y"}})),
        ],
        vec![],
    );
    let task = served(index.task(&key("web")));
    assert_eq!(task.uid, "uid-web");
    assert!(task.desired.is_some() && task.refused.is_empty());
    assert!(matches!(index.task(&key("other")), Task::Nothing));
}

#[test]
fn a_service_without_class_that_names_another_controller_of_aws_is_never_the_defaults() {
    let say = |kind: &str| {
        let annotations = json!({"service.beta.kubernetes.io/aws-load-balancer-type": kind});
        mk_service(
            "web",
            json!({"metadata": {"annotations": annotations}, "spec": {"loadBalancerClass": null}}),
        )
    };
    for kind in ["nlb", "external", "nlb-ip"] {
        let mut index = index(vec![say(kind)], vec![]);
        let mut default = profile("all", "x/all", json!({})).unwrap();
        default.default = true;
        let named = Key { name: "all".into(), ..Key::default() };
        index.take_profiles(Update::Apply(named, Some(default)));
        assert!(matches!(index.task(&key("web")), Task::Nothing), "{kind}");
    }
}

#[test]
fn a_service_that_goes_or_is_no_load_balancer_any_more_lets_its_load_balancer_go() {
    let held = json!({
        "metadata": {"finalizers": ["service.kubernetes.io/load-balancer-cleanup"]},
        "status": {"conditions": [{"type": "daymark.dev/Provisioned", "status": "True"}]},
    });
    for change in [
        json!({"metadata": {"deletionTimestamp": "2026-01-02T00:00:00Z"}}),
        json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
    ] {
        let mut service = held.clone();
        merge(&mut service, change);
        let index = index(vec![mk_service("web", service)], vec![mk_object("web", "uid-web", "1", false)]);
        let task = removed(index.task(&key("web")));
        assert!(task.object.is_some() && task.waiting.is_empty());
        assert_eq!(task.leaving.len(), 1);
    }
    // Its object alone is enough: the Service is gone.
    let task = removed(index(vec![], vec![mk_object("web", "uid-web", "1", false)]).task(&key("web")));
    assert!(task.object.is_some() && task.leaving.is_empty());
}

#[test]
fn a_finalizer_that_is_not_ours_is_left_alone() {
    let held = json!({
        "metadata": {
            "finalizers": ["service.kubernetes.io/load-balancer-cleanup"],
            "deletionTimestamp": "2026-01-02T00:00:00Z",
        },
        "spec": {"loadBalancerClass": null},
    });
    assert!(matches!(index(vec![mk_service("web", held)], vec![]).task(&key("web")), Task::Nothing));
}

#[test]
fn a_new_service_of_the_same_name_waits_for_the_old_ones_end() {
    let index = index(vec![mk_service("web", json!({}))], vec![mk_object("web", "uid-before", "1", false)]);
    let task = removed(index.task(&key("web")));
    assert!(task.object.is_some());
    assert_eq!(task.waiting.len(), 1);
}

#[test]
fn a_profile_that_is_gone_takes_nothing_with_it() {
    let marked = json!({
        "metadata": {"finalizers": ["service.kubernetes.io/load-balancer-cleanup"]},
        "status": {"conditions": [{"type": "daymark.dev/Provisioned", "status": "True"}]},
    });
    let mut index =
        index(vec![mk_service("web", marked.clone())], vec![mk_object("web", "uid-web", "1", false)]);
    let touched = index.take_profiles(Update::Delete(Key { name: "nlb".into(), ..Key::default() }));
    assert!(touched.contains_key(&key("web")));
    assert!(matches!(index.task(&key("web")), Task::Leave(error) if error.reason == "ProfileGone"));
    // But a Service that goes lets it go.
    let mut going = marked;
    merge(
        &mut going,
        json!({"metadata": {"deletionTimestamp": "2026-01-02T00:00:00Z", "resourceVersion": "2"}}),
    );
    apply(&mut index, mk_service("web", going));
    assert_eq!(removed(index.task(&key("web"))).leaving.len(), 1);
}

#[test]
fn members_of_a_group_share_an_object_and_the_oldest_comes_first() {
    let of = |name: &str, port: u16, created: &str| {
        let ports = json!([{"port": port, "nodePort": 30000 + port}]);
        let meta = json!({"annotations": {"daymark.dev/group": "edge"}, "creationTimestamp": created});
        mk_service(name, json!({"metadata": meta, "spec": {"ports": ports}}))
    };
    let index = index(
        vec![
            of("b", 80, "2026-01-02T00:00:00Z"),
            of("a", 443, "2026-01-03T00:00:00Z"),
            of("c", 80, "2026-01-04T00:00:00Z"),
        ],
        vec![],
    );
    let task = served(index.task(&key("group.edge")));
    let names: Vec<&str> = task.members.iter().map(|m| m.view.key.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    assert_eq!(task.refused.keys().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["c"]);
    assert!(matches!(index.task(&key("a")), Task::Nothing));
}

#[test]
fn only_what_a_change_can_concern_is_looked_at() {
    let mut index = index(vec![mk_service("a", json!({})), mk_service("b", json!({}))], vec![]);
    assert_eq!(
        apply(&mut index, mk_service("a", json!({"metadata": {"resourceVersion": "2"}}))),
        Touched::new()
    );
    let changed =
        mk_service("a", json!({"metadata": {"resourceVersion": "3"}, "spec": {"ports": [{"port": 81}]}}));
    assert_eq!(apply(&mut index, changed), Touched::from([(key("a"), Depth::Full)]));
    let slice = |address: &str| CloudSlice {
        service: ServiceKey::new("shop", "b"),
        family: daymark_model::Family::V4,
        created_at: Timestamp(0),
        endpoints: vec![daymark_providers::view::EndpointView {
            address: address.parse().unwrap(),
            ports: BTreeMap::new(),
            state: daymark_providers::view::EndpointState::Ready,
            node: None,
            zone: None,
        }],
    };
    let targets = Touched::from([(key("b"), Depth::Targets)]);
    assert_eq!(index.take_slices(Update::Apply(key("b-1"), slice("10.0.0.1"))), targets);
    assert_eq!(index.take_slices(Update::Apply(key("b-1"), slice("10.0.0.1"))), Touched::new());
    assert_eq!(index.take_slices(Update::Apply(key("b-1"), slice("10.0.0.2"))), targets);
    let node = NodeView { name: "n1".into(), labels: BTreeMap::new(), provider_id: None, excluded: false };
    let named = Key { name: "n1".into(), ..Key::default() };
    assert_eq!(index.take_nodes(Update::Apply(named.clone(), node.clone())).len(), 2);
    assert_eq!(index.take_nodes(Update::Apply(named, node)), Touched::new());
}

#[test]
fn the_way_to_the_nodes_lasts_as_long_as_anything_needs_it() {
    let way = Key { namespace: "daymark-system".into(), name: "node-access.nlb".into() };
    assert!(matches!(index(vec![], vec![]).task(&way), Task::Nothing));
    let index_with = index(vec![mk_service("web", json!({}))], vec![]);
    let task = served(index_with.task(&way));
    let Some(Desired::NodeAccess(access)) = &task.desired else { panic!("{:?}", task.desired) };
    assert!(
        access.ranges.iter().any(|range| range.from <= 30080 && range.to >= 30080),
        "{:?}",
        access.ranges
    );
    assert_eq!(access.surplus, Surplus::Revoke);
    // The Service is gone, its load balancer not yet.
    let mut object = mk_object("x", "u", "1", true);
    object.key = way.clone();
    let both = index(vec![], vec![mk_object("web", "uid-web", "1", false), object.clone()]);
    assert!(matches!(both.task(&way), Task::Serve(_)));
    assert!(matches!(index(vec![], vec![object]).task(&way), Task::Remove(_)));
    // A Service that is refused: what its load balancer needs is not known.
    let refused = mk_service("web", json!({"metadata": {"annotations": {"daymark.dev/grup": "x"}}}));
    let kept =
        index(vec![refused, mk_service("b", json!({}))], vec![mk_object("web", "uid-web", "1", false)]);
    let Some(Desired::NodeAccess(access)) = served(kept.task(&way)).desired else { panic!() };
    assert_eq!(access.surplus, Surplus::Keep);
}

#[test]
fn a_refused_service_keeps_what_it_has() {
    let mistaken = json!({"metadata": {"annotations": {"daymark.dev/grup": "x"}}});
    let nothing = index(vec![mk_service("web", mistaken.clone())], vec![]);
    let task = served(nothing.task(&key("web")));
    assert!(task.desired.is_none() && !task.stands() && task.refused.len() == 1);

    let mut object = mk_object("web", "uid-web", "1", false);
    let mut record = object.record.clone().unwrap();
    let group = daymark_model::ResourceKey::new("TargetGroup", "web/tcp-80", 1);
    let facts = [("target-type", "instance"), ("family", "ipv4")];
    record.deletion = Deletion::Retain;
    record.inventory.put(Resource {
        id: Some("arn:group".into()),
        phase: Phase::Present,
        facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Resource::intended(group.clone(), "n".into(), Timestamp(1))
    });
    object.record = Ok(record);
    let standing = index(vec![mk_service("web", mistaken)], vec![object]);
    let task = served(standing.task(&key("web")));
    let Some(Desired::Standing(stands)) = &task.desired else { panic!("{:?}", task.desired) };
    assert!(stands.targets.contains_key(&group) && stands.concerns(&group));
    assert!(task.only_stands() && task.stands());
    assert_eq!(task.deletion(), None, "what becomes of it in the end was said before");
}

#[test]
fn old_news_about_an_object_is_no_news() {
    let mut index = index(vec![mk_service("web", json!({}))], vec![mk_object("web", "uid-web", "7", false)]);
    index.wrote(mk_object("web", "uid-web", "9", true));
    assert_eq!(
        index.take_objects(Update::Apply(key("web"), mk_object("web", "uid-web", "8", false))),
        Touched::new()
    );
    assert!(!index.object(&key("web")).unwrap().record.as_ref().unwrap().inventory.is_empty());
    let echo = mk_object("web", "uid-web", "9", true);
    assert_eq!(index.take_objects(Update::Apply(key("web"), echo)), Touched::new());
    let foreign = mk_object("web", "uid-web", "10", false);
    assert_eq!(index.take_objects(Update::Apply(key("web"), foreign)).len(), 1);
}

#[test]
fn the_service_decides_about_mode_and_consent() {
    let annotations = json!({"daymark.dev/mode": "plan", "daymark.dev/allow-replacement": "0123456789"});
    let index = index(vec![mk_service("web", json!({"metadata": {"annotations": annotations}}))], vec![]);
    let policy = served(index.task(&key("web"))).policy;
    assert_eq!((policy.mode, policy.consent.as_deref()), (CloudMode::Plan, Some("0123456789")));
}
