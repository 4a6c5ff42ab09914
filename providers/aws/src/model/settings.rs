//! What is written about a load balancer as a whole.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use daymark_model::AwsProfile;
use daymark_providers::CloudError;
use daymark_providers::view::ServiceView;

use super::SubnetWish;
use super::annotations::{refusals, refused_defaults};
use super::attributes::{Of, check};
use super::options::{ServiceOptions, service_options};
use super::security::{SecurityWish, read as read_security};
use super::value::{Bad, addresses, bad, boolean, distinct, ids, list, map, number, on_off, text, word};
use super::written::{Layer, Reader};
use crate::api::{Attributes, IpAddressType, Scheme, Tags};

/// What is written about a load balancer as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadBalancerSettings {
    pub(super) name: Option<String>,
    pub(super) scheme: Option<Scheme>,
    pub(super) ip_address_type: IpAddressType,
    pub(super) subnets: SubnetWish,
    pub(super) security: SecurityWish,
    pub(super) source_nat: Option<bool>,
    pub(super) attributes: Attributes,
    pub(super) capacity: Option<u32>,
    pub(super) tags: Tags,
    pub(super) options: ServiceOptions,
}

/// What was read, with the warnings; or everything that is wrong.
pub(super) type Read<T> = Result<(T, Vec<CloudError>), Vec<CloudError>>;

impl LoadBalancerSettings {
    /// Reads what `service` says, over `profile`.
    pub(super) fn read(profile: &AwsProfile, service: &ServiceView) -> Read<Self> {
        let mut reader = Reader::new(profile, &service.annotations);
        reader.errors.extend(refused_defaults(profile));
        reader.errors.extend(refusals(&service.annotations).into_iter().filter(is_of_aws));
        let options = service_options(service).unwrap_or_else(|errors| {
            reader.errors.extend(errors);
            ServiceOptions::default()
        });
        let name = reader.one("name", load_balancer_name);
        let scheme = scheme(&mut reader);
        let ip_address_type = reader.one("ip-address-type", ip_address_type).unwrap_or(IpAddressType::Ipv4);
        let source_nat = reader.one("enable-prefix-for-ipv6-source-nat", on_off);
        let settings = Self {
            name,
            scheme,
            ip_address_type,
            subnets: subnets(&mut reader, scheme, ip_address_type, source_nat),
            security: read_security(&mut reader, ip_address_type, &service.source_ranges),
            source_nat,
            attributes: attributes(&mut reader),
            capacity: reader.one("minimum-load-balancer-capacity", capacity),
            tags: tags(&mut reader),
            // Consent and membership are each Service's own.
            options: ServiceOptions { group: None, allow_replacement: None, ..options },
        };
        if reader.errors.is_empty() { Ok((settings, reader.warnings)) } else { Err(reader.errors) }
    }
}

/// Our own keys are refused with the options.
fn is_of_aws(error: &CloudError) -> bool {
    !error.message.starts_with(super::annotations::OWN_PREFIX)
}

/// AWS: at most 32 letters, digits and inner hyphens, and nothing that its own names begin with.
fn load_balancer_name(value: &str) -> Result<String, Bad> {
    let value = text(value)?;
    let rule = "write at most 32 letters, digits and inner hyphens, not beginning with internal-";
    if value.len() > 32 {
        return bad(format!("{value:?} is longer than 32 characters"), rule);
    }
    let letters = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !letters || value.starts_with('-') || value.ends_with('-') || value.starts_with("internal-") {
        return bad(format!("{value:?} is no name of a load balancer"), rule);
    }
    Ok(value)
}

/// `scheme`, else `internal`, its older form; what the Service says of either, else the profile.
fn scheme(reader: &mut Reader<'_>) -> Option<Scheme> {
    let words: Vec<(&str, Scheme)> = Scheme::ALL.iter().map(|scheme| (scheme.as_str(), *scheme)).collect();
    let mut found = None;
    for layer in Layer::ALL {
        let named = reader.at(layer, "scheme", |value| word(value, &words));
        let older = reader.at(layer, "internal", boolean);
        let older = older.map(|yes| if yes { Scheme::Internal } else { Scheme::InternetFacing });
        if let (Some(named), Some(older)) = (named, older)
            && named != older
        {
            let (name, other) =
                (reader.written.name(layer, "scheme"), reader.written.name(layer, "internal"));
            reader.warn("ConflictingAnnotations", format!("{name}: it holds, and {other} says otherwise"));
        }
        found = named.or(older).or(found);
    }
    found
}

fn ip_address_type(value: &str) -> Result<IpAddressType, Bad> {
    if value.trim() == "dualstack-without-public-ipv4" {
        return bad(
            "network load balancers cannot be dualstack-without-public-ipv4",
            "write dualstack, or ipv4",
        );
    }
    word(value, &[("ipv4", IpAddressType::Ipv4), ("dualstack", IpAddressType::Dualstack)])
}

fn subnets(
    reader: &mut Reader<'_>,
    scheme: Option<Scheme>,
    families: IpAddressType,
    source_nat: Option<bool>,
) -> SubnetWish {
    let wish = SubnetWish {
        named: reader.one("subnets", distinct).unwrap_or_default(),
        allocations: reader.one("eip-allocations", |v| ids(v, "eipalloc-")).unwrap_or_default(),
        private: reader
            .one("private-ipv4-addresses", |v| addresses::<Ipv4Addr>(v, "IPv4"))
            .unwrap_or_default(),
        ipv6: reader.one("ipv6-addresses", |v| addresses::<Ipv6Addr>(v, "IPv6")).unwrap_or_default(),
        source_nat_prefixes: reader.one("source-nat-ipv6-prefixes", source_nat_prefixes).unwrap_or_default(),
    };
    if !wish.allocations.is_empty() && scheme == Some(Scheme::Internal) {
        reader.conflict(
            "eip-allocations",
            "an internal load balancer has no Elastic IPs",
            "remove it, or set aws-load-balancer-scheme: internet-facing",
        );
    }
    if !wish.private.is_empty() && scheme == Some(Scheme::InternetFacing) {
        reader.conflict(
            "private-ipv4-addresses",
            "the addresses of an internet-facing load balancer cannot be chosen so",
            "use aws-load-balancer-eip-allocations, or set aws-load-balancer-scheme: internal",
        );
    }
    let dualstack = families == IpAddressType::Dualstack;
    let remedy = "set aws-load-balancer-ip-address-type: dualstack, or remove it";
    if !wish.ipv6.is_empty() && !dualstack {
        reader.conflict("ipv6-addresses", "the load balancer has no IPv6 addresses", remedy);
    }
    if source_nat == Some(true) && !dualstack {
        let suffix = "enable-prefix-for-ipv6-source-nat";
        reader.conflict(suffix, "the load balancer has no IPv6 addresses", remedy);
    }
    if !wish.source_nat_prefixes.is_empty() && source_nat != Some(true) {
        reader.conflict(
            "source-nat-ipv6-prefixes",
            "IPv6 source NAT is not on",
            "set aws-load-balancer-enable-prefix-for-ipv6-source-nat: on, or remove it",
        );
    }
    // Without named subnets only the plan knows how many there are.
    if !wish.named.is_empty() {
        for (suffix, count) in [
            ("eip-allocations", wish.allocations.len()),
            ("private-ipv4-addresses", wish.private.len()),
            ("ipv6-addresses", wish.ipv6.len()),
            ("source-nat-ipv6-prefixes", wish.source_nat_prefixes.len()),
        ] {
            if count > 0 && count != wish.named.len() {
                let what = format!("it has {count} items for {} subnets", wish.named.len());
                reader.conflict(suffix, &what, "write one for each of aws-load-balancer-subnets");
            }
        }
    }
    wish
}

fn source_nat_prefixes(value: &str) -> Result<Vec<String>, Bad> {
    let items = list(value)?;
    let fits = |item: &String| {
        item == "auto_assigned" || item.parse::<ipnet::Ipv6Net>().is_ok_and(|net| net.prefix_len() == 80)
    };
    match items.iter().find(|item| !fits(item)) {
        Some(other) => {
            bad(format!("{other:?} is no IPv6 prefix of 80 bits"), "write a /80, or auto_assigned")
        }
        None => Ok(items),
    }
}

/// `attributes`, with the older annotations that name one attribute each over them, layer by layer.
fn attributes(reader: &mut Reader<'_>) -> Attributes {
    const CROSS_ZONE: &str = "cross-zone-load-balancing-enabled";
    let mut all = Attributes::new();
    for layer in Layer::ALL {
        let written = reader.at(layer, "attributes", map).unwrap_or_default();
        let name = reader.written.name(layer, "attributes");
        check(reader, &name, Of::LoadBalancer, &written);
        all.extend(written);
        if let Some(cross_zone) = reader.at(layer, CROSS_ZONE, boolean) {
            all.insert("load_balancing.cross_zone.enabled".to_owned(), cross_zone.to_string());
        }
        if let Some(logs) = reader.at(layer, "access-log-enabled", boolean) {
            all.insert("access_logs.s3.enabled".to_owned(), logs.to_string());
        }
        // Meant for logs that are on; a bucket alone says nothing.
        if all.get("access_logs.s3.enabled").is_some_and(|on| on == "true") {
            if let Some(bucket) = reader.at(layer, "access-log-s3-bucket-name", text) {
                all.insert("access_logs.s3.bucket".to_owned(), bucket);
            }
            if let Some(prefix) = reader.at(layer, "access-log-s3-bucket-prefix", |v| Ok(v.trim().to_owned()))
            {
                all.insert("access_logs.s3.prefix".to_owned(), prefix);
            }
        }
    }
    let logs_on = all.get("access_logs.s3.enabled").is_some_and(|on| on == "true");
    if logs_on && all.get("access_logs.s3.bucket").is_none_or(|bucket| bucket.is_empty()) {
        let suffix = if reader.written.get("access-log-enabled").is_some() {
            "access-log-enabled"
        } else {
            "attributes"
        };
        reader.conflict(
            suffix,
            "access logs are on, and no bucket is named",
            "set aws-load-balancer-access-log-s3-bucket-name",
        );
    }
    all
}

fn capacity(value: &str) -> Result<u32, Bad> {
    let remedy = "write CapacityUnits=NUMBER";
    let pairs = map(value)?;
    if let Some(other) = pairs.keys().find(|key| *key != "CapacityUnits") {
        return bad(format!("{other:?} is no capacity"), remedy);
    }
    match pairs.get("CapacityUnits") {
        Some(units) => number(units, 0..=u32::MAX),
        None => bad("it is empty", remedy),
    }
}

/// The Service's tags under those of the profile.
fn tags(reader: &mut Reader<'_>) -> Tags {
    const SUFFIX: &str = "additional-resource-tags";
    let mut tags = reader.merged(SUFFIX);
    let refused: Vec<String> = tags.keys().filter(|key| is_reserved(key)).cloned().collect();
    for key in refused {
        reader.wrong(SUFFIX, format!("the tag {key:?} is not for users to set"), "remove the tag");
    }
    let long: Vec<String> = tags
        .iter()
        .filter(|(k, v)| k.chars().count() > 128 || v.chars().count() > 256)
        .map(|(k, _)| k.clone())
        .collect();
    for key in long {
        let remedy = "keep keys within 128 characters and values within 256";
        reader.wrong(SUFFIX, format!("the tag {key:?} is too long"), remedy);
    }
    let profile: &BTreeMap<String, String> = &reader.written.profile.tags;
    tags.extend(profile.clone());
    tags
}

fn is_reserved(key: &str) -> bool {
    key.starts_with("aws:") || key.starts_with(super::annotations::OWN_PREFIX)
}
