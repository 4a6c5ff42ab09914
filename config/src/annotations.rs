//! What a Service asks for: by our annotations, by those of others where ours are absent, and by `spec.loadBalancerIP`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_model::{Family, PoolName};

use crate::names::annotation;
use crate::native::{address, object_name};
use crate::problem::{Fault, Problem};

/// What the API server calls the field that came before all annotations.
const LOAD_BALANCER_IP: &str = "spec.loadBalancerIP";

/// The longest sharing key that a claim can record.
const MAX_SHARING_KEY: usize = 253;

/// What a Service asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceRequests {
    /// These addresses, at most one per family, in the order written.
    pub addresses: Vec<IpAddr>,
    /// These pools, in this order.
    pub pools: Vec<PoolName>,
    /// To share an address with the Services that have this key.
    pub sharing_key: Option<String>,
}

/// Reads what a Service asks for. A value that is set but empty counts as absent.
pub fn requests(
    annotations: &BTreeMap<String, String>,
    load_balancer_ip: Option<&str>,
) -> Result<ServiceRequests, Vec<Problem>> {
    let mut problems = Vec::new();
    let pools = first(annotations, annotation::POOL, &annotation::POOL_ALIASES);
    let addresses = first(annotations, annotation::ADDRESSES, &annotation::ADDRESSES_ALIASES)
        .or_else(|| load_balancer_ip.and_then(set).map(|text| (LOAD_BALANCER_IP, text)));
    let sharing_key = first(annotations, annotation::SHARING_KEY, &annotation::SHARING_KEY_ALIASES);

    let mut requests = ServiceRequests::default();
    if let Some((key, text)) = pools {
        for name in items(text) {
            match object_name(name, "an AddressPool") {
                Ok(name) => requests.pools.push(name.into()),
                Err(fault) => problems.push(Problem::new(key, fault)),
            }
        }
    }
    if let Some((key, text)) = addresses {
        for item in items(text) {
            match address(item).and_then(|new| one_per_family(&requests.addresses, new)) {
                Ok(new) => requests.addresses.push(new),
                Err(fault) => problems.push(Problem::new(key, fault)),
            }
        }
    }
    if let Some((key, text)) = sharing_key {
        match text.chars().count() {
            length if length > MAX_SHARING_KEY => {
                problems.push(Problem::new(key, Fault::TooLong { length, max: MAX_SHARING_KEY }));
            }
            _ => requests.sharing_key = Some(text.to_owned()),
        }
    }
    if problems.is_empty() { Ok(requests) } else { Err(problems) }
}

fn one_per_family(present: &[IpAddr], new: IpAddr) -> Result<IpAddr, Fault> {
    if new.is_unspecified() {
        return Err(Fault::Address { text: new.to_string() });
    }
    match present.iter().find(|other| Family::of(**other) == Family::of(new)) {
        Some(first) => Err(Fault::SameFamilyTwice { first: *first, second: new }),
        None => Ok(new),
    }
}

fn first<'a>(
    annotations: &'a BTreeMap<String, String>,
    ours: &'static str,
    aliases: &[&'static str],
) -> Option<(&'static str, &'a str)> {
    let value = |key: &'static str| annotations.get(key).and_then(|text| set(text)).map(|text| (key, text));
    value(ours).or_else(|| aliases.iter().find_map(|alias| value(alias)))
}

fn set(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)], ip: Option<&str>) -> Result<ServiceRequests, Vec<Problem>> {
        requests(&annotations.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(), ip)
    }

    fn addresses(annotations: &[(&str, &str)], ip: Option<&str>) -> String {
        let addresses = read(annotations, ip).unwrap().addresses;
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_way_to_ask_for_addresses() {
        for key in [annotation::ADDRESSES].iter().chain(&annotation::ADDRESSES_ALIASES) {
            assert_eq!(addresses(&[(key, "2001:db8::1, 192.0.2.1")], None), "2001:db8::1 192.0.2.1", "{key}");
        }
        assert_eq!(addresses(&[], Some("192.0.2.9")), "192.0.2.9");
        assert_eq!(addresses(&[], Some("")), "");
    }

    #[test]
    fn ours_come_first_and_the_field_last() {
        let ours = (annotation::ADDRESSES, "192.0.2.1");
        let metallb = ("metallb.io/loadBalancerIPs", "192.0.2.2");
        assert_eq!(addresses(&[metallb, ours], Some("192.0.2.3")), "192.0.2.1");
        assert_eq!(addresses(&[metallb], Some("192.0.2.3")), "192.0.2.2");
        assert_eq!(addresses(&[(annotation::ADDRESSES, " "), metallb], None), "192.0.2.2");
    }

    #[test]
    fn pools_and_sharing_keys() {
        let asked =
            read(&[("metallb.universe.tf/address-pool", "a"), ("lbipam.cilium.io/sharing-key", "k")], None)
                .unwrap();
        assert_eq!((asked.pools, asked.sharing_key), (vec!["a".into()], Some("k".to_owned())));
        let asked = read(&[("daymark.dev/pool", "v4, v6"), ("metallb.io/address-pool", "a")], None).unwrap();
        assert_eq!(asked.pools, [PoolName::from("v4"), PoolName::from("v6")]);
    }

    #[test]
    fn garbage_is_named_with_its_key() {
        let said = |key: &str, value: &str| {
            let problems = read(&[(key, value)], None).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            said("daymark.dev/addresses", "192.0.2.300"),
            "daymark.dev/addresses: \"192.0.2.300\" is no IP address: write it like 192.0.2.1 or 2001:db8::1"
        );
        assert!(
            said("metallb.io/loadBalancerIPs", "192.0.2.1,192.0.2.2").contains("two addresses of one family")
        );
        assert!(said("kube-vip.io/loadbalancerIPs", "0.0.0.0").contains("no IP address"));
        assert!(said("daymark.dev/addresses", "::ffff:192.0.2.1").contains("write 192.0.2.1"));
        assert!(said("daymark.dev/pool", "Gold!").contains("\"Gold!\" is no name of an AddressPool"));
        assert!(said("daymark.dev/sharing-key", &"k".repeat(254)).contains("at most 253"));
        assert!(said("purelb.io/addresses", "\u{0} \u{feff}").contains("purelb.io/addresses"));
    }

    #[test]
    fn a_bad_field_does_not_matter_when_an_annotation_holds() {
        assert_eq!(addresses(&[(annotation::ADDRESSES, "192.0.2.1")], Some("garbage")), "192.0.2.1");
        assert_eq!(read(&[], Some("garbage")).unwrap_err()[0].field, "spec.loadBalancerIP");
    }
}
