//! Schemas that the derived ones are made of: bounds, patterns and CEL rules of the values that several kinds have.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// How many addresses and ranges a pool may list.
pub const MAX_BLOCKS: usize = 512;

/// Two IPv6 addresses of 39 characters and a dash.
const MAX_BLOCK_LENGTH: usize = 79;

/// An AS number or another 32-bit value.
pub const MAX_U32: i64 = 4_294_967_295;

const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// CIDRs and ranges, at least one.
pub fn address_blocks(_: &mut SchemaGenerator) -> Schema {
    blocks(1)
}

/// CIDRs and ranges, or none.
pub fn optional_address_blocks(_: &mut SchemaGenerator) -> Schema {
    blocks(0)
}

fn blocks(min: usize) -> Schema {
    let parts = "self.split('-')";
    let mut schema = json_schema!({
        "type": "array",
        "maxItems": MAX_BLOCKS,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "string",
            "maxLength": MAX_BLOCK_LENGTH,
            "x-kubernetes-validations": [
                rule(
                    &format!(
                        "isCIDR(self) || ({parts}.size() == 2 && isIP({parts}[0].trim()) && isIP({parts}[1].trim()))"
                    ),
                    "must be a CIDR such as 192.0.2.0/24 or a range such as 192.0.2.10-192.0.2.20; \
                     one address is written 192.0.2.7/32",
                ),
                rule(
                    "!isCIDR(self) || cidr(self) == cidr(self).masked()",
                    "the CIDR has host bits set: write its network address, or a range, or /32 (IPv6: /128) for \
                     the one address",
                ),
                rule(
                    "!self.contains('-') || !(self.contains('.') && self.contains(':'))",
                    "the range mixes IPv4 and IPv6: write one range per family, and IPv6 addresses without dots",
                ),
            ],
        },
    });
    if min > 0 {
        schema.insert("minItems".into(), min.into());
    }
    schema
}

/// The address of a neighbor.
pub fn neighbor_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 45,
        "x-kubernetes-validations": [
            rule("isIP(self)", "must be an IP address such as 192.0.2.1 or 2001:db8::1"),
            rule(
                "!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLoopback() \
                 || (ip(self).family() == 4 && ip(self).isLinkLocalUnicast())",
                "must be the unicast address of one router; an IPv6 link-local address names no router without its \
                 interface",
            ),
        ],
    })
}

/// An address of the node.
pub fn source_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 45,
        "x-kubernetes-validations": [
            rule("isIP(self)", "must be an IP address of the node, such as 192.0.2.10 or 2001:db8::10"),
        ],
    })
}

/// A BGP identifier.
pub fn router_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 15,
        "x-kubernetes-validations": [
            rule(
                "isIP(self) && ip(self).family() == 4 && self != '0.0.0.0'",
                "must be written like an IPv4 address and must not be 0.0.0.0 (RFC 6286)",
            ),
        ],
    })
}

/// An AS number.
pub fn asn(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_U32 })
}

/// Any number of 32 bits.
pub fn unsigned(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_U32 })
}

/// The name of a network interface (Linux: at most 15 bytes, no slash, colon or white space).
pub fn interface(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 15, "pattern": r"^[^/:\s]+$" })
}

/// Patterns for names of network interfaces, at least one.
pub fn interface_patterns(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 32,
        "x-kubernetes-list-type": "atomic",
        "items": { "type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[!-.0-9;-~]+$" },
    })
}

/// A `loadBalancerClass`: a name such as `example.com/internal`, as the API server takes it in Services.
pub fn load_balancer_class(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 317,
        "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    })
}

/// What a duration looks like; `duration()` fails on others.
const DURATION: &str = "^([0-9]{1,10}([.][0-9]{1,9})?(ms|s|m|h))+$";

/// A duration that keeps `rules`, each with its message; the rules may call `duration(self)`.
fn duration(rules: &[(&str, &str)]) -> Schema {
    let shape = format!("self.matches('{DURATION}')");
    let mut validations = vec![rule(&shape, "must be a duration such as 90s, 1m30s, 500ms or 1.5h")];
    validations.extend(rules.iter().map(|(r, message)| rule(&format!("!{shape} || ({r})"), message)));
    json_schema!({ "type": "string", "maxLength": 32, "x-kubernetes-validations": validations })
}

/// How long a released address rests.
pub fn quarantine(_: &mut SchemaGenerator) -> Schema {
    duration(&[("duration(self) <= duration('720h')", "must be at most 720h (30 days)")])
}

/// A hold time.
pub fn hold_time(_: &mut SchemaGenerator) -> Schema {
    duration(&[
        (
            "duration(self) == duration('0s') \
             || (duration(self) >= duration('3s') && duration(self) <= duration('65535s'))",
            "must be 0s or 3s to 65535s (RFC 4271 section 4.2)",
        ),
        ("duration(self).getMilliseconds() % 1000 == 0", "must be whole seconds"),
    ])
}

/// A keepalive time.
pub fn keepalive_time(_: &mut SchemaGenerator) -> Schema {
    duration(&[(
        "duration(self) >= duration('1s') && duration(self) <= duration('21845s')",
        "must be 1s to 21845s (RFC 4271 section 4.4)",
    )])
}

/// The rule on a session's timers; a hold time of zero needs no keepalives.
pub const KEEPALIVE_BELOW_HOLD: &str = "!has(self.keepalive) || !has(self.hold) \
     || !self.keepalive.matches('^([0-9]{1,10}([.][0-9]{1,9})?(ms|s|m|h))+$') \
     || !self.hold.matches('^([0-9]{1,10}([.][0-9]{1,9})?(ms|s|m|h))+$') \
     || duration(self.hold) == duration('0s') || duration(self.keepalive) < duration(self.hold)";

/// A time between two attempts.
pub fn connect_retry_time(_: &mut SchemaGenerator) -> Schema {
    duration(&[("duration(self) >= duration('1s') && duration(self) <= duration('1h')", "must be 1s to 1h")])
}

/// A time between two periodic gratuitous frames.
pub fn refresh_time(_: &mut SchemaGenerator) -> Schema {
    duration(&[(
        "duration(self) == duration('0s') || (duration(self) >= duration('1s') && duration(self) <= duration('24h'))",
        "must be 0s (none) or 1s to 24h",
    )])
}

/// How long an old load balancer stays beside its replacement.
pub fn replacement_grace(_: &mut SchemaGenerator) -> Schema {
    duration(&[("duration(self) <= duration('24h')", "must be at most 24h")])
}

/// The name of a cluster in the tags of a cloud.
pub fn cloud_cluster_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    })
}

/// The id of a VPC.
pub fn vpc_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64, "pattern": "^vpc-[0-9a-f]+$" })
}

/// The name of a region of AWS.
pub fn aws_region(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64, "pattern": "^[a-z]+(-[a-z0-9]+)+$" })
}

/// The ARN of an IAM role.
pub fn role_arn(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "maxLength": 2048, "pattern": r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+$",
    })
}

/// The URL of an API.
pub fn endpoint_url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "maxLength": 512, "pattern": r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$",
    })
}

/// Ids of security groups.
pub fn security_groups(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "items": { "type": "string", "maxLength": 64, "pattern": "^sg-[0-9a-f]+$" },
    })
}

/// A map of at most `entries` texts of at most `length` characters.
fn texts(entries: usize, length: usize) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": entries,
        "additionalProperties": { "type": "string", "maxLength": length },
    })
}

/// Values of annotations by their suffixes.
pub fn annotation_defaults(_: &mut SchemaGenerator) -> Schema {
    texts(128, 4096)
}

/// How many tags a profile may set; AWS permits 50 on a resource, and those of Services and of Daymark are among them.
pub const MAX_TAGS: usize = 40;

/// Tags in a cloud.
pub fn cloud_tags(_: &mut SchemaGenerator) -> Schema {
    texts(MAX_TAGS, 256)
}

/// How many facts may be told of one resource.
pub const MAX_FACTS: usize = 64;

/// The length of the longest fact.
pub const MAX_FACT: usize = 4096;

/// What a cloud said, by name.
pub fn cloud_facts(_: &mut SchemaGenerator) -> Schema {
    texts(MAX_FACTS, MAX_FACT)
}

/// The name of a cluster-scoped object.
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 253, "pattern": NAME })
}

/// Names of cluster-scoped objects, at least one.
pub fn object_names(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = optional_object_names(generator);
    schema.insert("minItems".into(), 1.into());
    schema
}

/// Names of cluster-scoped objects, or none.
pub fn optional_object_names(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 128,
        "x-kubernetes-list-type": "atomic",
        "items": object_name(generator),
    })
}

/// BGP communities.
pub fn communities(_: &mut SchemaGenerator) -> Schema {
    let part = "self.split(':')";
    let community = format!(
        "self in ['graceful-shutdown', 'no-export', 'no-advertise', 'no-export-subconfed', 'no-peer', 'blackhole', \
         'no-llgr', 'accept-own'] \
         || (self.matches('^[0-9]{{1,5}}:[0-9]{{1,5}}$') && {part}.all(n, int(n) <= 65535)) \
         || (self.matches('^[0-9]{{1,10}}(:[0-9]{{1,10}}){{2}}$') && {part}.all(n, int(n) <= 4294967295)) \
         || (self.matches('^(rt|soo)(:[0-9]{{1,10}}){{2}}$') \
         && int({part}[1]) <= 4294967295 && int({part}[2]) <= (int({part}[1]) <= 65535 ? 4294967295 : 65535))"
    );
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "string",
            "maxLength": 40,
            "x-kubernetes-validations": [
                rule(
                    &community,
                    "must be a community: 65000:100 (standard), 65000:1:2 (large), rt:65000:100 or soo:65000:100 \
                     (extended), or a well-known name such as no-export",
                ),
            ],
        },
    })
}

/// Conditions, as `meta/v1` has them.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "What the condition is about.",
                    "type": "string", "maxLength": 316,
                },
                "status": {
                    "description": "Whether it holds.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The generation of the object that it speaks of.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When `status` last changed.",
                    "type": "string", "format": "date-time",
                },
                "reason": {
                    "description": "Why, in one CamelCase word.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Why, in a sentence.",
                    "type": "string", "maxLength": 32768,
                },
            },
        },
    })
}

/// A generation.
pub fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0 })
}

/// A time.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// An object with any fields.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Takes out `nullable`, so that a null is no value of its own but the same as an absent field, and the line ends inside
/// the paragraphs of descriptions.
pub(super) fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            finish_schema(schema);
        }
    }
    crd
}

fn finish_schema(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        let paragraphs: Vec<String> = description.split("\n\n").map(|p| p.replace('\n', " ")).collect();
        *description = paragraphs.join("\n\n");
    }
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        finish_schema(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        finish_schema(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        finish_schema(values);
    }
}
