//! Objects as Daymark reads them: only the fields that are used, every one optional.
//!
//! The full types refuse what the API server accepts (a foreign condition with a null `lastTransitionTime` is enough) and
//! then nothing of that kind can be read any more. These read whatever has the right JSON shape.

mod cloud_endpoint_slice;
mod endpoint_slice;
mod mesh_secret;
mod meta;
mod namespace;
mod node;
mod service;

pub use cloud_endpoint_slice::{CloudEndpoint, CloudEndpointSlice, EndpointPort};
pub use endpoint_slice::{Endpoint, EndpointConditions, EndpointSlice};
pub use mesh_secret::{MeshSecret, Soundness};
pub use meta::{Condition, Meta, Writer, lenient_list};
pub use namespace::Namespace;
pub use node::{Node, NodeAddress, NodeSpec, NodeStatus, Taint};
pub use service::{
    LoadBalancerStatus, PortStatus, Service, ServiceIngress, ServicePort, ServiceSpec, ServiceStatus,
    TargetPort,
};

/// Implements [`crate::Object`] for a slim type; `as` names its kind where the type is named otherwise.
macro_rules! object {
    ($type:ident, $group:literal, $version:literal, $plural:literal) => {
        crate::slim::object!($type as stringify!($type), $group, $version, $plural);
    };
    ($type:ident as $name:expr, $group:literal, $version:literal, $plural:literal) => {
        impl crate::Object for $type {
            fn kind() -> crate::Kind {
                crate::Kind {
                    name: $name.into(),
                    group: $group.into(),
                    version: $version.into(),
                    plural: $plural.into(),
                }
            }

            fn key(&self) -> crate::Key {
                self.metadata.key()
            }

            fn resource_version(&self) -> Option<&str> {
                self.metadata.resource_version.as_deref()
            }
        }
    };
}
pub(crate) use object;
