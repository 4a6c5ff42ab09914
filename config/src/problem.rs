//! What is wrong with an object: the field, the value, and the remedy.

use std::net::IpAddr;

use daymark_model::announcement::InterfacePatternError;
use daymark_model::bgp::AsnZero;
use daymark_model::{AddressBlock, AddressError, CommunityError, Reason};
use thiserror::Error;

use crate::conditions::{ConditionStatus, Verdict};
use crate::duration::DurationError;
use crate::names::condition::ACCEPTED;

/// One fault of one object. It disables that object and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {fault}")]
pub struct Problem {
    /// The path of the field, such as `spec.addresses[3]`, or the key of the annotation.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The object has not the shape of its kind.
    #[error("{error}: correct it, and install the CRDs of this version, which refuse such objects")]
    Unreadable {
        /// What the reader said.
        error: String,
    },
    /// Nothing stands where something must.
    #[error("is empty: {remedy}")]
    Empty {
        /// What to do.
        remedy: &'static str,
    },
    /// No block of addresses.
    #[error(transparent)]
    Block(#[from] AddressError),
    /// No IP address.
    #[error("{text:?} is no IP address: write it like 192.0.2.1 or 2001:db8::1")]
    Address {
        /// What was written.
        text: String,
    },
    /// An address in an unusual form.
    #[error("{text:?} is not in canonical form: write {canonical}")]
    NotCanonical {
        /// What was written.
        text: String,
        /// How it should be written.
        canonical: IpAddr,
    },
    /// Addresses that no host in the network can be reached by.
    #[error("{block} contains {what} addresses, which cannot be routed to a Service: leave them out")]
    Unroutable {
        /// The addresses as they were read.
        block: AddressBlock,
        /// Their sort.
        what: &'static str,
    },
    /// An address that is no one router's.
    #[error("{address} is {what} address: write the unicast address of the router")]
    NotUnicast {
        /// The address.
        address: IpAddr,
        /// Its sort, with the article.
        what: &'static str,
    },
    /// No BGP identifier.
    #[error("{text:?} is no router id: write it like an IPv4 address other than 0.0.0.0")]
    RouterId {
        /// What was written.
        text: String,
    },
    /// No AS number.
    #[error(transparent)]
    AsnZero(#[from] AsnZero),
    /// A number outside its bounds.
    #[error("{value} is out of range: write {min} to {max}")]
    OutOfRange {
        /// What was written.
        value: i64,
        /// The least that is allowed.
        min: i64,
        /// The most that is allowed.
        max: i64,
    },
    /// No duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// A duration outside its bounds.
    #[error("{text:?} is not allowed: write {allowed}")]
    DurationRange {
        /// What was written.
        text: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// No community.
    #[error(transparent)]
    Community(#[from] CommunityError),
    /// No pattern for names of interfaces.
    #[error(transparent)]
    InterfacePattern(#[from] InterfacePatternError),
    /// A selector's requirement that means nothing.
    #[error("{operator} {verb} values: {remedy}")]
    Selector {
        /// The operator.
        operator: &'static str,
        /// `needs` or `takes no`.
        verb: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Fields of which exactly one must be set.
    #[error("{count} of {fields} are set: set exactly one")]
    ExactlyOne {
        /// The fields.
        fields: &'static str,
        /// How many are set.
        count: usize,
    },
    /// Two addresses that must be of one family.
    #[error("{address} is not of the family of {other}: use two addresses of one family")]
    FamilyMismatch {
        /// The address.
        address: IpAddr,
        /// The address it is used with.
        other: IpAddr,
    },
    /// More than one address of a family.
    #[error("asks for {first} and {second}, two addresses of one family: a Service has at most one of each")]
    SameFamilyTwice {
        /// One.
        first: IpAddr,
        /// The other.
        second: IpAddr,
    },
    /// No name of an object, interface or class.
    #[error("{text:?} is no name of {what}")]
    Name {
        /// What was written.
        text: String,
        /// What it should name.
        what: &'static str,
    },
    /// A text that has not the form of what it should be.
    #[error("{text:?} is no {what}: write it like {like}")]
    Form {
        /// What was written.
        text: String,
        /// What it should be.
        what: &'static str,
        /// An example.
        like: &'static str,
    },
    /// A field that goes only with another value elsewhere.
    #[error("does not go with {other}: {remedy}")]
    Conflict {
        /// The other field with its value.
        other: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A list or map that is too long.
    #[error("has {count} entries: use at most {max}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// What is allowed.
        max: usize,
    },
    /// A claim whose name is not its address.
    #[error(
        "the claim on {address} must be named {expected:?}, not {name:?}: create it anew under that name"
    )]
    ClaimName {
        /// The address.
        address: IpAddr,
        /// The name it must have.
        expected: String,
        /// The name it has.
        name: String,
    },
    /// An entry that may stand in its list only once.
    #[error("{entry} is listed twice: remove one")]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// A text that is too long.
    #[error("has {length} characters: use at most {max}")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        max: usize,
    },
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, fault: impl Into<Fault>) -> Self {
        Self { field: field.into(), fault: fault.into() }
    }

    /// The problem of an object that could not be read at all; `error` is what the reader said, which begins with the
    /// path where it is known.
    pub fn unreadable(error: &str) -> Self {
        let (field, error) = match error.split_once(": ") {
            Some((path, rest)) if path.starts_with("spec") && !path.contains(' ') => (path, rest),
            _ => ("object", error),
        };
        Self::new(field, Fault::Unreadable { error: error.to_owned() })
    }
}

impl Reason for Problem {
    fn code(&self) -> &'static str {
        match &self.fault {
            Fault::Unreadable { .. } => "Unreadable",
            Fault::Empty { .. } => "Empty",
            Fault::Block(_) => "InvalidAddressBlock",
            Fault::Address { .. } | Fault::NotCanonical { .. } => "InvalidAddress",
            Fault::Unroutable { .. } => "UnroutableAddress",
            Fault::NotUnicast { .. } => "NotUnicast",
            Fault::RouterId { .. } => "InvalidRouterId",
            Fault::AsnZero(_) => "InvalidAsn",
            Fault::OutOfRange { .. } => "OutOfRange",
            Fault::Duration(_) | Fault::DurationRange { .. } => "InvalidDuration",
            Fault::Community(_) => "InvalidCommunity",
            Fault::InterfacePattern(_) => "InvalidInterface",
            Fault::Selector { .. } => "InvalidSelector",
            Fault::ExactlyOne { .. } => "ExactlyOne",
            Fault::FamilyMismatch { .. } => "FamilyMismatch",
            Fault::SameFamilyTwice { .. } => "SameFamilyTwice",
            Fault::Name { .. } => "InvalidName",
            Fault::ClaimName { .. } => "NameMismatch",
            Fault::Duplicate { .. } => "Duplicate",
            Fault::TooLong { .. } => "TooLong",
            Fault::Form { .. } => "InvalidValue",
            Fault::Conflict { .. } => "Conflict",
            Fault::TooMany { .. } => "TooMany",
        }
    }
}

/// What the condition `Accepted` says of an object with these problems; none: it is accepted.
pub fn accepted<R: Reason>(problems: &[R]) -> Verdict {
    verdict(ACCEPTED, "Accepted", problems)
}

/// What a condition says that holds while there is no problem; `good` is its reason then.
pub fn verdict<R: Reason>(kind: &'static str, good: &str, problems: &[R]) -> Verdict {
    let Some(first) = problems.first() else {
        return Verdict {
            kind,
            status: ConditionStatus::True,
            reason: good.to_owned(),
            message: String::new(),
        };
    };
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Verdict {
        kind,
        status: ConditionStatus::False,
        reason: first.code().to_owned(),
        message: sentences.join("; "),
    }
}
