//! LoadBalancerProfile.

use daymark_model::{LoadBalancerProfile, ProfileTarget};

use super::aws;
use super::field::{self, Either, Problems};
use crate::crd;
use crate::problem::{Fault, Problem};

/// The profile that a LoadBalancerProfile describes. What it names need not exist: see [`crate::references`].
pub fn profile(object: &crd::LoadBalancerProfile) -> Result<LoadBalancerProfile, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let class = problems.take("spec.loadBalancerClass", class(&spec.load_balancer_class));
    let one = field::exactly_one("pool and aws", spec.pool.as_ref(), spec.aws.as_ref());
    let target = problems.take("spec", one).map(|one| match one {
        Either::First(pool) => ProfileTarget::Pool {
            pools: field::names_in_order(&mut problems, "spec.pool.pools", &pool.pools, "an AddressPool"),
        },
        Either::Second(settings) => {
            ProfileTarget::Aws(Box::new(aws::profile(&mut problems, &spec.load_balancer_class, settings)))
        }
    });
    let profile = class.zip(target).map(|(class, target)| LoadBalancerProfile {
        name: Some(super::name(&object.metadata).into()),
        created_at: super::created_at(&object.metadata),
        class,
        default: spec.default,
        target,
    });
    problems.finish(profile)
}

/// A qualified name, as the API server takes it in `spec.loadBalancerClass` of a Service.
fn class(text: &str) -> Result<String, Fault> {
    let what = "a loadBalancerClass: write it like daymark.dev/pool or internal-vip";
    let fault = || Fault::Name { text: text.to_owned(), what };
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if let Some(prefix) = prefix {
        field::object_name(prefix, what).map_err(|_| fault())?;
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let sound = bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && name.bytes().all(inner);
    if sound { Ok(text.to_owned()) } else { Err(fault()) }
}
