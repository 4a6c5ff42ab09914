//! Reading single fields, with the problems collected on the way.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{AddressBlock, Asn, Expression, Operator, RouterId, Selector};

use crate::crd::{LabelSelector, Requirement, RequirementOperator};
use crate::duration;
use crate::problem::{Fault, Problem};

/// The problems of one object.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, field: impl Into<String>, fault: impl Into<Fault>) {
        self.0.push(Problem::new(field, fault));
    }

    /// The value, or nothing and one problem more.
    pub(super) fn take<T>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, impl Into<Fault>>,
    ) -> Option<T> {
        result.map_err(|fault| self.add(field, fault)).ok()
    }

    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// A number from `min` to `max`; the bounds must fit into `T`.
pub(super) fn number<T: TryFrom<i64>>(value: i64, min: i64, max: i64) -> Result<T, Fault> {
    let out_of_range = Fault::OutOfRange { value, min, max };
    if (min..=max).contains(&value) {
        T::try_from(value).map_err(|_| out_of_range)
    } else {
        Err(out_of_range)
    }
}

pub(super) fn unsigned(value: i64) -> Result<u32, Fault> {
    number(value, 0, u32::MAX.into())
}

pub(super) fn asn(value: i64) -> Result<Asn, Fault> {
    Ok(Asn::new(unsigned(value)?)?)
}

pub(super) fn router_id(text: &str) -> Result<RouterId, Fault> {
    text.parse().ok().and_then(RouterId::new).ok_or_else(|| Fault::RouterId { text: text.to_owned() })
}

/// Any address but an IPv4 one in the clothes of IPv6 (`::ffff:192.0.2.1`).
pub(crate) fn address(text: &str) -> Result<IpAddr, Fault> {
    let address: IpAddr = text.parse().map_err(|_| Fault::Address { text: text.to_owned() })?;
    match address.to_canonical() {
        canonical if canonical == address => Ok(address),
        canonical => Err(Fault::NotCanonical { text: text.to_owned(), canonical }),
    }
}

pub(super) fn blocks(problems: &mut Problems, field: &str, texts: &[String]) -> Vec<AddressBlock> {
    let block = |text: &String| {
        let block: AddressBlock = text.parse()?;
        match unroutable(&block) {
            Some(what) => Err(Fault::Unroutable { block, what }),
            None => Ok(block),
        }
    };
    texts
        .iter()
        .enumerate()
        .filter_map(|(i, text)| problems.take(format!("{field}[{i}]"), block(text)))
        .collect()
}

const UNROUTABLE: [(&str, &str); 10] = [
    ("0.0.0.0/8", "\"this network\""),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

fn unroutable(block: &AddressBlock) -> Option<&'static str> {
    let meets = |net: &str| net.parse::<AddressBlock>().is_ok_and(|n| n.overlaps(block));
    UNROUTABLE.iter().find(|(net, _)| meets(net)).map(|(_, what)| *what)
}

pub(super) fn duration_within(
    text: &str,
    allowed: &'static str,
    holds: impl Fn(Duration) -> bool,
) -> Result<Duration, Fault> {
    let duration = duration::parse(text)?;
    if holds(duration) { Ok(duration) } else { Err(Fault::DurationRange { text: text.to_owned(), allowed }) }
}

pub(super) fn selector(
    problems: &mut Problems,
    field: &str,
    selector: Option<&LabelSelector>,
) -> Option<Selector> {
    let selector = selector?;
    let expressions = selector.match_expressions.iter().enumerate().filter_map(|(i, requirement)| {
        problems.take(format!("{field}.matchExpressions[{i}]"), expression(requirement))
    });
    Some(Selector { match_expressions: expressions.collect(), match_labels: selector.match_labels.clone() })
}

fn expression(requirement: &Requirement) -> Result<Expression, Fault> {
    let values = || -> BTreeSet<String> { requirement.values.iter().cloned().collect() };
    let (name, wants_values, operator) = match requirement.operator {
        RequirementOperator::In => ("In", true, Operator::In(values())),
        RequirementOperator::NotIn => ("NotIn", true, Operator::NotIn(values())),
        RequirementOperator::Exists => ("Exists", false, Operator::Exists),
        RequirementOperator::DoesNotExist => ("DoesNotExist", false, Operator::DoesNotExist),
    };
    match (wants_values, requirement.values.is_empty()) {
        (true, true) => {
            let remedy = "list at least one value, or use Exists or DoesNotExist";
            Err(Fault::Selector { operator: name, verb: "needs", remedy })
        }
        (false, false) => {
            let remedy = "remove them, or use In or NotIn";
            Err(Fault::Selector { operator: name, verb: "takes no", remedy })
        }
        (true, false) | (false, true) => Ok(Expression { key: requirement.key.clone(), operator }),
    }
}

/// Names of objects; a list that is there but empty is a fault, since "all" is said by leaving it out.
pub(super) fn names<N: From<String> + Ord>(
    problems: &mut Problems,
    field: &str,
    names: Option<&Vec<String>>,
    what: &'static str,
) -> Option<BTreeSet<N>> {
    let names = names?;
    if names.is_empty() {
        problems.add(field, Fault::Empty { remedy: "name at least one, or leave the field out for all" });
    }
    Some(names_in_order(problems, field, names, what).into_iter().collect())
}

pub(super) fn names_in_order<N: From<String>>(
    problems: &mut Problems,
    field: &str,
    names: &[String],
    what: &'static str,
) -> Vec<N> {
    names
        .iter()
        .enumerate()
        .filter_map(|(i, name)| problems.take(format!("{field}[{i}]"), object_name(name, what)).map(N::from))
        .collect()
}

/// The name of a cluster-scoped object (RFC 1123 subdomain).
pub(crate) fn object_name(text: &str, what: &'static str) -> Result<String, Fault> {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err(Fault::Name { text: text.to_owned(), what })
    }
}

/// Exactly one of two, which `fields` names.
pub(super) fn exactly_one<A, B>(
    fields: &'static str,
    a: Option<A>,
    b: Option<B>,
) -> Result<Either<A, B>, Fault> {
    match (a, b) {
        (Some(a), None) => Ok(Either::First(a)),
        (None, Some(b)) => Ok(Either::Second(b)),
        (Some(_), Some(_)) => Err(Fault::ExactlyOne { fields, count: 2 }),
        (None, None) => Err(Fault::ExactlyOne { fields, count: 0 }),
    }
}

pub(super) enum Either<A, B> {
    First(A),
    Second(B),
}

/// `prefix.name`.
pub(super) fn path(prefix: &str, name: impl Display) -> String {
    format!("{prefix}.{name}")
}
