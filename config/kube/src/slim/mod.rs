//! Objects as Daymark reads them: only the fields that are used, every one optional.
//!
//! The full types refuse what the API server accepts (a foreign condition with a null `lastTransitionTime` is enough) and
//! then nothing of that kind can be read any more. These read whatever has the right JSON shape.

mod endpoint_slice;
mod mesh_secret;
mod meta;
mod namespace;
mod node;
mod service;

pub use endpoint_slice::{Endpoint, EndpointConditions, EndpointSlice};
pub use mesh_secret::{MeshSecret, Soundness};
pub use meta::{Condition, Meta, Writer, lenient_list};
pub use namespace::Namespace;
pub use node::{Node, NodeAddress, NodeSpec, NodeStatus, Taint};
pub use service::{
    LoadBalancerStatus, PortStatus, Service, ServiceIngress, ServicePort, ServiceSpec, ServiceStatus,
};

/// Implements [`crate::Object`] for a slim type.
macro_rules! object {
    ($type:ident, $group:literal, $version:literal, $plural:literal) => {
        impl crate::Object for $type {
            fn kind() -> crate::Kind {
                crate::Kind {
                    name: stringify!($type).into(),
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
