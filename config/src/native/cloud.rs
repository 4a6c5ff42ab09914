//! CloudLoadBalancer, in both directions.
//!
//! What cannot be read whole is refused whole: a resource that were left out would be forgotten in the cloud.

use std::collections::BTreeMap;

use daymark_model::aws::Deletion;
use daymark_model::{
    CloudMember, CloudPlace, CloudProvider, CloudRecord, Inventory, Ownership, Phase, Resource, ResourceKey,
    Timestamp,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::aws;
use super::field::{self, Problems};
use crate::crd::{
    self, CloudInventory, CloudLoadBalancer, CloudLoadBalancerSpec, CloudResource, DeletionMode,
    RecordedSetting, ResourceOwnership, ResourcePhase,
};
use crate::problem::{Fault, Problem};

/// All that a CloudLoadBalancer records.
///
/// # Errors
/// What is wrong with it; nothing of it may be taken for complete then, least of all for empty.
pub fn record(object: &CloudLoadBalancer) -> Result<CloudRecord, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let profile = problems
        .take("spec.profile", field::object_name(&spec.profile, "a LoadBalancerProfile"))
        .unwrap_or_default();
    let service_uid = spec.service_uid.as_deref().filter(|uid| !uid.is_empty());
    let group = spec.group.clone().filter(|group| !group.is_empty());
    let mut members: Vec<CloudMember> = Vec::new();
    for (i, member) in spec.members.iter().enumerate() {
        let member = read_member(member, &members);
        members.extend(problems.take(format!("spec.members[{i}]"), member));
    }
    let place = read_place(&mut problems, &spec.place);
    let inventory = read_inventory(&mut problems, &spec.inventory);
    problems.finish(Some(CloudRecord {
        provider: match spec.provider {
            crd::CloudProvider::Aws => CloudProvider::Aws,
        },
        profile: profile.into(),
        service_uid: service_uid.map(Into::into),
        group,
        members,
        place,
        deletion: aws::deletion(spec.deletion_policy),
        inventory,
    }))
}

/// The inventory in a CloudLoadBalancer.
///
/// # Errors
/// What of it cannot be read; never a part of it.
pub fn inventory(object: &CloudLoadBalancer) -> Result<Inventory, Vec<Problem>> {
    let mut problems = Problems::default();
    let inventory = read_inventory(&mut problems, &object.spec.inventory);
    problems.finish(Some(inventory))
}

/// The CloudLoadBalancer that records `record`, to be created, without finalizers.
pub fn cloud_object(namespace: &str, name: &str, record: &CloudRecord) -> CloudLoadBalancer {
    let mut object = CloudLoadBalancer::new(name, cloud_spec(record));
    object.metadata.namespace = Some(namespace.to_owned());
    object
}

/// The spec that records `record`.
pub fn cloud_spec(record: &CloudRecord) -> CloudLoadBalancerSpec {
    let member = |member: &CloudMember| crd::CloudMember {
        name: member.name.as_str().to_owned(),
        uid: member.uid.as_str().to_owned(),
    };
    CloudLoadBalancerSpec {
        provider: match record.provider {
            CloudProvider::Aws => crd::CloudProvider::Aws,
        },
        profile: record.profile.as_str().to_owned(),
        service_uid: record.service_uid.as_ref().map(|uid| uid.as_str().to_owned()),
        group: record.group.clone(),
        members: record.members.iter().map(member).collect(),
        place: crd::CloudPlace {
            cluster: record.place.cluster.clone(),
            region: record.place.region.clone(),
            vpc: record.place.vpc.clone(),
            role_arn: record.place.role_arn.clone(),
            endpoint: record.place.endpoint.clone(),
        },
        deletion_policy: match record.deletion {
            Deletion::Delete => DeletionMode::Delete,
            Deletion::Retain => DeletionMode::Retain,
        },
        inventory: inventory_spec(&record.inventory),
    }
}

/// The inventory as a CloudLoadBalancer records it.
pub fn inventory_spec(inventory: &Inventory) -> CloudInventory {
    CloudInventory {
        epoch: inventory.epoch.into(),
        granted: inventory.granted.iter().cloned().collect(),
        resources: inventory.resources().map(write_resource).collect(),
    }
}

fn read_member(member: &crd::CloudMember, present: &[CloudMember]) -> Result<CloudMember, Fault> {
    if member.name.is_empty() || member.uid.is_empty() {
        return Err(Fault::Empty { remedy: "write the name and the UID of the Service" });
    }
    if present.iter().any(|other| other.name.as_str() == member.name) {
        return Err(Fault::Duplicate { entry: member.name.clone() });
    }
    Ok(CloudMember { name: member.name.as_str().into(), uid: member.uid.as_str().into() })
}

fn read_place(problems: &mut Problems, place: &crd::CloudPlace) -> CloudPlace {
    problems.take("spec.place.cluster", aws::cluster_name(&place.cluster));
    problems.take("spec.place.vpc", aws::vpc_id(&place.vpc));
    for (name, value, read) in [
        ("region", &place.region, aws::region as fn(&str) -> Result<(), Fault>),
        ("roleArn", &place.role_arn, aws::role_arn),
        ("endpoint", &place.endpoint, aws::endpoint),
    ] {
        if let Some(value) = value {
            problems.take(field::path("spec.place", name), read(value));
        }
    }
    CloudPlace {
        cluster: place.cluster.clone(),
        region: place.region.clone(),
        vpc: place.vpc.clone(),
        role_arn: place.role_arn.clone(),
        endpoint: place.endpoint.clone(),
    }
}

fn read_inventory(problems: &mut Problems, spec: &CloudInventory) -> Inventory {
    let mut inventory = Inventory::default();
    for (i, written) in spec.resources.iter().enumerate() {
        let at = format!("spec.inventory.resources[{i}]");
        let Some(resource) = read_resource(problems, &at, written) else { continue };
        let key = resource.key.clone();
        if !inventory.intend(resource) {
            problems.add(at, Fault::Duplicate { entry: key.to_string() });
        }
    }
    inventory.epoch = problems.take("spec.inventory.epoch", field::unsigned(spec.epoch)).unwrap_or_default();
    inventory.granted = spec.granted.iter().cloned().collect();
    inventory
}

fn read_resource(problems: &mut Problems, at: &str, written: &CloudResource) -> Option<Resource> {
    for (name, text) in [("kind", &written.kind), ("role", &written.role)] {
        if text.is_empty() {
            let remedy = "restore the object from a backup: what it names is not found without";
            problems.add(field::path(at, name), Fault::Empty { remedy });
        }
    }
    let generation = problems.take(field::path(at, "generation"), field::unsigned(written.generation))?;
    let mut recorded: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (i, setting) in written.recorded.iter().enumerate() {
        if recorded.insert(setting.name.clone(), setting.value.clone()).is_some() {
            let entry = setting.name.clone();
            problems.add(format!("{at}.recorded[{i}]"), Fault::Duplicate { entry });
        }
    }
    Some(Resource {
        key: ResourceKey::new(&written.kind, &written.role, generation),
        name: written.name.clone(),
        id: written.id.clone().filter(|id| !id.is_empty()),
        phase: match written.phase {
            ResourcePhase::Intended => Phase::Intended,
            ResourcePhase::Present => Phase::Present,
            ResourcePhase::Leaving => Phase::Leaving,
        },
        since: Timestamp(written.since.0.as_millisecond()),
        ownership: match written.ownership {
            ResourceOwnership::Owned => Ownership::Owned,
            ResourceOwnership::Borrowed => Ownership::Borrowed,
        },
        facts: written.facts.clone(),
        recorded,
    })
}

fn write_resource(resource: &Resource) -> CloudResource {
    CloudResource {
        kind: resource.key.kind.clone(),
        role: resource.key.role.clone(),
        generation: resource.key.generation.into(),
        name: resource.name.clone(),
        id: resource.id.clone().filter(|id| !id.is_empty()),
        phase: match resource.phase {
            Phase::Intended => ResourcePhase::Intended,
            Phase::Present => ResourcePhase::Present,
            Phase::Leaving => ResourcePhase::Leaving,
        },
        since: MicroTime(time(resource.since)),
        ownership: match resource.ownership {
            Ownership::Owned => ResourceOwnership::Owned,
            Ownership::Borrowed => ResourceOwnership::Borrowed,
        },
        facts: resource.facts.clone(),
        recorded: resource
            .recorded
            .iter()
            .map(|(name, value)| RecordedSetting { name: name.clone(), value: value.clone() })
            .collect(),
    }
}

/// `at`, or the epoch for a time that no calendar has.
fn time(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(kind: &str, role: &str, generation: u32) -> Resource {
        let key = ResourceKey::new(kind, role, generation);
        Resource::intended(key, "dm-shop-web-0123456789".into(), Timestamp(1_700_000_000_123))
    }

    fn full() -> Inventory {
        let mut group = resource("TargetGroup", "web/tcp-80", u32::MAX);
        group.id = Some("arn:aws:elasticloadbalancing:::targetgroup/a/b".into());
        group.phase = Phase::Leaving;
        group.ownership = Ownership::Borrowed;
        group.facts = [("zone".to_owned(), "Z1".to_owned()), ("empty".to_owned(), String::new())].into();
        group.recorded = [("a".to_owned(), Some(String::new())), ("b".to_owned(), None)].into();
        let mut balancer = resource("LoadBalancer", "nlb", 0);
        balancer.phase = Phase::Present;
        let mut inventory: Inventory =
            [group, balancer, resource("LoadBalancer", "nlb", 1)].into_iter().collect();
        inventory.epoch = 7;
        inventory.granted = ["replace nlb".to_owned()].into();
        inventory
    }

    fn example(inventory: Inventory) -> CloudRecord {
        CloudRecord {
            provider: CloudProvider::Aws,
            profile: "nlb".into(),
            service_uid: Some("u-1".into()),
            group: Some("edge".into()),
            members: vec![CloudMember { name: "web".into(), uid: "u-1".into() }],
            place: CloudPlace {
                cluster: "production-1".into(),
                region: Some("eu-central-1".into()),
                vpc: "vpc-0a1b2c3d".into(),
                role_arn: Some("arn:aws:iam::123456789012:role/daymark".into()),
                endpoint: Some("http://127.0.0.1:5005".into()),
            },
            deletion: Deletion::Retain,
            inventory,
        }
    }

    fn stored(record: &CloudRecord) -> CloudLoadBalancer {
        let text = serde_json::to_string(&cloud_object("shop", "web", record)).unwrap();
        assert!(!text.contains("null"), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_record_survives_the_way_to_the_server_and_back() {
        for inventory in [Inventory::default(), full()] {
            let written = example(inventory);
            let object = stored(&written);
            assert_eq!(object.metadata.namespace.as_deref(), Some("shop"));
            assert_eq!(super::inventory(&object), Ok(written.inventory.clone()));
            assert_eq!(record(&object), Ok(written));
        }
    }

    /// Each phase, ownership, id, fact and setting in every combination, two resources at a time.
    #[test]
    fn no_resource_changes_on_the_way() {
        let ids = [None, Some("sg-0a".to_owned())];
        let settings = [None, Some(String::new()), Some("on".to_owned())];
        let mut all = Inventory::default();
        for (i, phase) in [Phase::Intended, Phase::Present, Phase::Leaving].into_iter().enumerate() {
            for ownership in [Ownership::Owned, Ownership::Borrowed] {
                for id in &ids {
                    for setting in &settings {
                        let generation = u32::try_from(all.resources().count()).unwrap();
                        let mut one = resource("SecurityGroup", &format!("frontend-{i}"), generation);
                        (one.phase, one.ownership, one.id) = (phase, ownership, id.clone());
                        one.since = Timestamp(-1 + i64::from(generation));
                        one.recorded.insert("k".into(), setting.clone());
                        all.put(one);
                    }
                }
            }
        }
        assert_eq!(all.resources().count(), 36);
        assert_eq!(super::inventory(&stored(&example(all.clone()))), Ok(all));
    }

    #[test]
    fn an_inventory_with_one_bad_resource_is_refused_whole() {
        let good = serde_json::to_value(cloud_object("shop", "web", &example(full()))).unwrap();
        for (at, value) in [
            ("/spec/inventory/resources/0/role", json!("")),
            ("/spec/inventory/resources/2/generation", json!(-1)),
            ("/spec/inventory/resources/1/generation", json!(0)),
            ("/spec/inventory/epoch", json!(1_i64 << 32)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(at).unwrap() = value;
            let problems = super::inventory(&serde_json::from_value(bad).unwrap()).unwrap_err();
            assert_eq!(problems.len(), 1, "{at}: {problems:?}");
        }
        for at in ["/spec/inventory", "/spec/inventory/resources/1"] {
            for field in good.pointer(at).unwrap().as_object().unwrap().keys() {
                if ["granted", "facts", "recorded", "id"].contains(&field.as_str()) {
                    continue;
                }
                let mut bad = good.clone();
                bad.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(field);
                let read = serde_json::from_value::<CloudLoadBalancer>(bad);
                assert!(read.is_err(), "{at} is read without {field}");
            }
        }
    }
}
