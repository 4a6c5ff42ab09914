//! Services as `daymark-pool` sees them.

use daymark_config::annotations;
use daymark_model::{IpMode, ServiceKey, Timestamp};
use daymark_pool::view::{
    AddressCondition, ConditionStatus, FamilyPolicy, Ingress, Requests, ResourceVersion, ServiceView,
};

use super::{ADDRESS_ASSIGNED, condition, family, is_load_balancer, port, traffic_policy};
use crate::slim::{Condition, Service, ServiceIngress, ServiceSpec};

/// What is kept of a Service; `None` for one that neither wants an address nor shows one nor carries our condition.
pub fn service(service: &Service) -> Option<ServiceView> {
    let nothing = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&nothing);
    let status = service.status.as_ref();
    let ingress: Vec<Ingress> = status
        .and_then(|s| s.load_balancer.as_ref()?.ingress.as_ref())
        .into_iter()
        .flatten()
        .map(entry)
        .collect();
    let condition = condition(service, ADDRESS_ASSIGNED).map(own_condition);
    let is_load_balancer = is_load_balancer(spec);
    if !is_load_balancer && ingress.is_empty() && condition.is_none() {
        return None;
    }
    let meta = &service.metadata;
    let asked = annotations::requests(
        meta.annotations.as_ref().unwrap_or(&Default::default()),
        spec.load_balancer_ip.as_deref(),
    );
    let sharing_key = asked.as_ref().ok().and_then(|asked| asked.sharing_key.clone());
    Some(ServiceView {
        key: ServiceKey::from(&meta.key()),
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        resource_version: ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default()),
        created_at: meta.created_at(),
        labels: meta.labels(),
        is_load_balancer,
        class: super::class(service),
        families: spec.ip_families.iter().flatten().filter_map(|name| family(name)).collect(),
        family_policy: match spec.ip_family_policy.as_deref() {
            Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
            Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
            _ => FamilyPolicy::SingleStack,
        },
        requests: asked
            .map(|asked| Requests { addresses: asked.addresses, pools: asked.pools })
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        sharing_key,
        ports: spec.ports.iter().flatten().filter_map(|p| port(p.port, p.protocol.as_deref())).collect(),
        traffic_policy: traffic_policy(spec),
        pod_selector: spec.selector.clone().unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ingress,
        condition,
        ingress_manager: meta.foreign_status_writer().map(str::to_owned),
    })
}

fn entry(ingress: &ServiceIngress) -> Ingress {
    Ingress {
        ip: ingress.ip.as_ref().and_then(|ip| ip.parse().ok()),
        hostname: ingress.hostname.clone(),
        ip_mode: match ingress.ip_mode.as_deref() {
            Some("VIP") => Some(IpMode::VIP),
            Some("Proxy") => Some(IpMode::Proxy),
            _ => None,
        },
        ports: ingress.ports.iter().flatten().filter_map(|p| port(p.port, p.protocol.as_deref())).collect(),
    }
}

fn own_condition(condition: &Condition) -> AddressCondition {
    let time = condition.last_transition_time.as_ref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    AddressCondition {
        status: match condition.status.as_deref() {
            Some("True") => ConditionStatus::True,
            Some("False") => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
        last_transition_time: time.map(|t| Timestamp(t.as_millisecond())),
    }
}

#[cfg(test)]
mod tests {
    use daymark_model::{Family, LoadBalancerProfile};
    use daymark_pool::profiles::ProfileTable;
    use serde_json::json;

    use super::*;

    fn view(object: serde_json::Value) -> Option<ServiceView> {
        service(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn everything_that_matters_to_assignment_is_kept() {
        let view = view(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"daymark.dev/pool": "gold"},
                "managedFields": [
                    {"manager": "old", "subresource": "status", "time": "2026-01-01T00:00:00Z"},
                    {"manager": "rival", "subresource": "status", "time": "2026-01-02T00:00:00Z"},
                    {"manager": "daymark-controller", "subresource": "status", "time": "2026-01-02T00:00:00Z"},
                    {"manager": "kubectl", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:x": {}}},
                ],
            },
            "spec": {
                "type": "LoadBalancer", "ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "PreferDualStack",
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 80}, {"port": 99999}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1", "ipMode": "VIP"}]}},
        }))
        .unwrap();
        assert_eq!(view.families, [Family::V6, Family::V4]);
        assert_eq!(view.requests.unwrap().pools, ["gold".into()]);
        let ports: Vec<String> = view.ports.iter().map(ToString::to_string).collect();
        assert_eq!(ports, ["UDP/53", "TCP/80"]);
        assert_eq!(view.ingress_manager.as_deref(), Some("rival"));
        assert_eq!(view.created_at, Timestamp(1_767_225_600_000));
    }

    #[test]
    fn a_request_that_cannot_be_read_is_told_and_not_guessed() {
        let view = view(json!({
            "metadata": {"name": "web", "annotations": {"daymark.dev/addresses": "nonsense"}},
            "spec": {"type": "LoadBalancer"},
        }))
        .unwrap();
        assert!(view.requests.unwrap_err().contains("daymark.dev/addresses"));
    }

    #[test]
    fn a_service_that_asks_for_a_controller_of_aws_is_not_taken_by_a_default_pool() {
        let table = ProfileTable::new(vec![LoadBalancerProfile::built_in(true)], true);
        let of = |annotations: serde_json::Value, class: Option<&str>| {
            let view = view(json!({
                "metadata": {"name": "web", "annotations": annotations},
                "spec": {"type": "LoadBalancer", "loadBalancerClass": class},
            }))
            .unwrap();
            (table.profile_for(view.class.as_deref()).is_some(), view.class)
        };
        let asks = |value: &str| json!({"service.beta.kubernetes.io/aws-load-balancer-type": value});
        for value in ["nlb-ip", "external"] {
            assert_eq!(of(asks(value), None), (false, Some("service.k8s.aws/nlb".to_owned())), "{value}");
        }
        assert_eq!(of(asks("nlb"), None), (false, Some(super::super::IN_TREE_NLB.to_owned())));
        // The field says more than the annotation, and other values say nothing.
        assert_eq!(
            of(asks("external"), Some("daymark.dev/pool")),
            (true, Some("daymark.dev/pool".to_owned()))
        );
        assert_eq!(of(asks("classic"), None), (true, None));
        assert_eq!(of(json!({}), None), (true, None));
    }

    #[test]
    fn no_profile_can_have_the_class_of_the_in_tree_controller() {
        let spec = daymark_config::crd::LoadBalancerProfileSpec {
            load_balancer_class: super::super::IN_TREE_NLB.to_owned(),
            pool: Some(Default::default()),
            ..Default::default()
        };
        let profile = daymark_config::crd::LoadBalancerProfile::new("odd", spec);
        assert!(daymark_config::native::profile(&profile).is_err());
    }

    #[test]
    fn a_service_of_another_type_matters_only_while_it_shows_something_of_ours() {
        let mut object = json!({"metadata": {"name": "web"}, "spec": {"type": "ClusterIP"}});
        assert_eq!(view(object.clone()), None);
        object["status"] = json!({"conditions": [{"type": ADDRESS_ASSIGNED, "status": "True"}]});
        assert!(!view(object).unwrap().is_load_balancer);
    }
}
