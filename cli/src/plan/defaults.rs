//! What the API server would add to a Service when it is applied: known only then, and stood in for until then.

use daymark_kube::Key;
use daymark_kube::slim::Service;
use daymark_kube::views::cloud;
use daymark_model::{Family, Timestamp, TrafficPolicy};
use daymark_providers::view::ServiceView;

use super::objects::Origin;

/// The first port that the API server gives on nodes, where it was not told otherwise (`--service-node-port-range`).
const FIRST_NODE_PORT: i64 = 30_000;
/// Stands for a UID.
pub const NO_UID: &str = "not-yet-applied";

/// A Service with all that the API server adds.
#[derive(Debug, Clone)]
pub struct Completed {
    key: Key,
    service: Service,
    /// Where it comes from.
    pub origin: Origin,
}

/// What stands for something, in sentences.
#[derive(Debug, Default)]
struct Notes {
    families: Option<String>,
    ports: Option<String>,
}

/// A Service out of a file or the cluster.
pub fn complete(key: &Key, mut service: Service, origin: Origin) -> Completed {
    service.metadata.namespace = Some(key.namespace.clone());
    Completed { key: key.clone(), service, origin }
}

impl Completed {
    /// Takes from the Service as the cluster has it what its author does not write.
    pub fn learn(&mut self, stored: &Service) {
        let meta = &mut self.service.metadata;
        meta.uid = meta.uid.take().or_else(|| stored.metadata.uid.clone());
        meta.creation_timestamp =
            meta.creation_timestamp.take().or_else(|| stored.metadata.creation_timestamp.clone());
        let (Some(spec), Some(stored)) = (&mut self.service.spec, &stored.spec) else { return };
        spec.ip_families = spec.ip_families.take().or_else(|| stored.ip_families.clone());
        spec.health_check_node_port = spec.health_check_node_port.or(stored.health_check_node_port);
        for port in spec.ports.iter_mut().flatten() {
            let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let same = stored.ports.iter().flatten().find(|other| {
                other.port == port.port && protocol(&other.protocol) == protocol(&port.protocol)
            });
            port.node_port = port.node_port.or(same.and_then(|same| same.node_port));
        }
    }

    /// Whether it has a UID, on which the names of what is made depend.
    pub fn is_stored(&self) -> bool {
        self.service.metadata.uid.as_ref().is_some_and(|uid| !uid.is_empty())
    }

    /// What clouds see of it, with stand-ins.
    pub fn view(&self) -> ServiceView {
        self.with_notes().0
    }

    /// What stands for something that only the API server decides, in sentences; node ports matter where they are used.
    pub fn notes(&self, uses_node_ports: bool) -> Vec<String> {
        let notes = self.with_notes().1;
        let ports = notes.ports.filter(|_| uses_node_ports);
        notes.families.into_iter().chain(ports).collect()
    }

    fn with_notes(&self) -> (ServiceView, Notes) {
        let mut view = cloud::view(&self.service);
        let mut notes = Notes::default();
        if self.service.metadata.creation_timestamp.is_none() {
            // What is not applied yet will be younger than all that is.
            view.created_at = Timestamp(i64::MAX);
        }
        if !self.is_stored() {
            view.uid = NO_UID.into();
        }
        if !view.is_load_balancer {
            return (view, notes);
        }
        let spec = self.service.spec.clone().unwrap_or_default();
        if view.families.is_empty() {
            let dual = spec.ip_family_policy.as_deref() == Some("RequireDualStack");
            view.families = if dual { vec![Family::V4, Family::V6] } else { vec![Family::V4] };
            if !dual {
                let text = "spec.ipFamilies is decided by the API server: taken as IPv4";
                notes.families = Some(format!("{}: {text}", self.key));
            }
        }
        self.stand_in_ports(&mut view, &spec, &mut notes);
        (view, notes)
    }

    fn stand_in_ports(
        &self,
        view: &mut ServiceView,
        spec: &daymark_kube::slim::ServiceSpec,
        notes: &mut Notes,
    ) {
        let written: Vec<i64> = spec.ports.iter().flatten().filter_map(|port| port.node_port).collect();
        let free = (FIRST_NODE_PORT..).filter(|port| !written.contains(port));
        let mut free = free.map_while(|port| u16::try_from(port).ok());
        let mut stand_ins = Vec::new();
        if spec.allocate_load_balancer_node_ports.unwrap_or(true) {
            for port in view.ports.iter_mut().filter(|port| port.node_port.is_none()) {
                port.node_port = free.next();
                stand_ins.extend(port.node_port);
            }
        }
        if view.traffic_policy == TrafficPolicy::Local && view.health_check_node_port.is_none() {
            view.health_check_node_port = free.next();
            stand_ins.extend(view.health_check_node_port);
        }
        if let (Some(first), Some(last)) = (stand_ins.first(), stand_ins.last()) {
            let which =
                if first == last { format!("{first} stands") } else { format!("{first}-{last} stand") };
            let text = "node ports are decided by the API server";
            notes.ports = Some(format!("{}: {text}: {which} for them", self.key));
        }
    }
}
