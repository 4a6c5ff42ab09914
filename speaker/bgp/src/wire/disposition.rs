//! RFC 7606 as tables: the form of each attribute, and what becomes of an UPDATE whose attribute lacks it.

use std::fmt;

use bytes::Bytes;

use super::attributes::{AttributeType, OPTIONAL, TRANSITIVE};
use super::decoder::DecodeContext;
use super::reader::Reader;

/// A defect that the session survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Defect {
    /// The attribute, where its type could be read.
    pub attribute: Option<AttributeType>,
    /// What is wrong with it.
    pub kind: DefectKind,
    /// What became of it.
    pub disposition: Disposition,
}

/// What is wrong with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefectKind {
    /// Optional or Transitive contradict the attribute's type.
    Flags,
    /// A length that the type does not have.
    Length,
    /// A value that the type does not have.
    Value,
    /// It appears again.
    Duplicate,
    /// It exceeds the attributes' total length.
    Overrun,
    /// A mandatory attribute is missing.
    Missing,
    /// This kind of peer must not send it.
    Unexpected,
    /// Its family has not been negotiated.
    FamilyNotNegotiated,
}

/// What becomes of an UPDATE with a defect. (The third answer of RFC 7606, a reset, is a `WireError`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// The attribute is ignored, the rest stands.
    Discard,
    /// The announced prefixes count as withdrawn.
    Withdraw,
}

impl Defect {
    pub(super) fn new(attribute: Option<AttributeType>, kind: DefectKind) -> Self {
        Self { attribute, kind, disposition: disposition(attribute, kind) }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attribute {
            Some(attribute) => attribute.fmt(f),
            None => f.write_str("an attribute"),
        }?;
        f.write_str(match self.kind {
            DefectKind::Flags => " has wrong flags",
            DefectKind::Length => " has a wrong length",
            DefectKind::Value => " has an invalid value",
            DefectKind::Duplicate => " appears more than once",
            DefectKind::Overrun => " exceeds the message",
            DefectKind::Missing => " is missing",
            DefectKind::Unexpected => " must not come from this peer",
            DefectKind::FamilyNotNegotiated => " is of a family that was not negotiated",
        })?;
        f.write_str(match self.disposition {
            Disposition::Discard => ": ignored",
            Disposition::Withdraw => ": treated as withdraw",
        })
    }
}

fn disposition(attribute: Option<AttributeType>, kind: DefectKind) -> Disposition {
    match (attribute, kind) {
        // Section 3 (c) and (d), section 4.
        (_, DefectKind::Flags | DefectKind::Missing | DefectKind::Overrun) => Disposition::Withdraw,
        // Section 3 (g); sections 7.5, 7.9, 7.10 and RFC 6793 section 6 for what a peer must not send; RFC 4760
        // section 7 for the family.
        (_, DefectKind::Duplicate | DefectKind::Unexpected | DefectKind::FamilyNotNegotiated) => {
            Disposition::Discard
        }
        // Sections 7.6 and 7.7, RFC 6793 section 6.
        (
            Some(
                AttributeType::ATOMIC_AGGREGATE
                | AttributeType::AGGREGATOR
                | AttributeType::AS4_PATH
                | AttributeType::AS4_AGGREGATOR,
            ),
            DefectKind::Length | DefectKind::Value,
        ) => Disposition::Discard,
        // The rest of section 7, RFC 8092 section 6, RFC 9234 section 5, RFC 7607, RFC 9774.
        (_, DefectKind::Length | DefectKind::Value) => Disposition::Withdraw,
    }
}

/// The length an attribute must have.
enum Length {
    Any,
    Exactly(usize),
    /// That many times a number that is not 0.
    MultipleOf(usize),
    /// An AS number and four octets.
    AsnAndAddress,
}

/// Which peers may send an attribute.
enum Source {
    Anyone,
    /// Peers in the own AS.
    Internal,
    /// Peers that write AS numbers of two octets.
    TwoOctetAsn,
}

struct Form {
    attribute: AttributeType,
    flags: u8,
    length: Length,
    from: Source,
}

const fn form(attribute: AttributeType, flags: u8, length: Length, from: Source) -> Form {
    Form { attribute, flags, length, from }
}

const FORMS: [Form; 18] = [
    form(AttributeType::ORIGIN, TRANSITIVE, Length::Exactly(1), Source::Anyone),
    form(AttributeType::AS_PATH, TRANSITIVE, Length::Any, Source::Anyone),
    form(AttributeType::NEXT_HOP, TRANSITIVE, Length::Exactly(4), Source::Anyone),
    form(AttributeType::MULTI_EXIT_DISC, OPTIONAL, Length::Exactly(4), Source::Anyone),
    form(AttributeType::LOCAL_PREF, TRANSITIVE, Length::Exactly(4), Source::Internal),
    form(AttributeType::ATOMIC_AGGREGATE, TRANSITIVE, Length::Exactly(0), Source::Anyone),
    form(AttributeType::AGGREGATOR, OPTIONAL | TRANSITIVE, Length::AsnAndAddress, Source::Anyone),
    form(AttributeType::COMMUNITIES, OPTIONAL | TRANSITIVE, Length::MultipleOf(4), Source::Anyone),
    form(AttributeType::ORIGINATOR_ID, OPTIONAL, Length::Exactly(4), Source::Internal),
    form(AttributeType::CLUSTER_LIST, OPTIONAL, Length::MultipleOf(4), Source::Internal),
    form(AttributeType::MP_REACH_NLRI, OPTIONAL, Length::Any, Source::Anyone),
    form(AttributeType::MP_UNREACH_NLRI, OPTIONAL, Length::Any, Source::Anyone),
    form(AttributeType::EXTENDED_COMMUNITIES, OPTIONAL | TRANSITIVE, Length::MultipleOf(8), Source::Anyone),
    form(AttributeType::AS4_PATH, OPTIONAL | TRANSITIVE, Length::Any, Source::TwoOctetAsn),
    form(AttributeType::AS4_AGGREGATOR, OPTIONAL | TRANSITIVE, Length::Exactly(8), Source::TwoOctetAsn),
    form(
        AttributeType::IPV6_EXTENDED_COMMUNITIES,
        OPTIONAL | TRANSITIVE,
        Length::MultipleOf(20),
        Source::Anyone,
    ),
    form(AttributeType::LARGE_COMMUNITIES, OPTIONAL | TRANSITIVE, Length::MultipleOf(12), Source::Anyone),
    form(AttributeType::ONLY_TO_CUSTOMER, OPTIONAL | TRANSITIVE, Length::Exactly(4), Source::Anyone),
];

/// Whether the type is known here.
pub(super) fn is_known(attribute: AttributeType) -> bool {
    FORMS.iter().any(|form| form.attribute == attribute)
}

/// What is wrong with an attribute that stands alone, if anything. An unknown one has nothing to violate.
pub(super) fn inspect(
    attribute: AttributeType,
    flags: u8,
    value: &Bytes,
    context: &DecodeContext,
) -> Option<DefectKind> {
    let form = FORMS.iter().find(|form| form.attribute == attribute)?;
    let expected = match form.from {
        Source::Anyone => true,
        Source::Internal => context.internal,
        Source::TwoOctetAsn => !context.four_octet_asn,
    };
    if !expected {
        return Some(DefectKind::Unexpected);
    }
    if flags & (OPTIONAL | TRANSITIVE) != form.flags {
        return Some(DefectKind::Flags);
    }
    let length_fits = match form.length {
        Length::Any => true,
        Length::Exactly(length) => value.len() == length,
        Length::MultipleOf(unit) => !value.is_empty() && value.len().checked_rem(unit) == Some(0),
        Length::AsnAndAddress => value.len() == if context.four_octet_asn { 8 } else { 6 },
    };
    if !length_fits {
        return Some(DefectKind::Length);
    }
    (!value_fits(attribute, value.clone(), context)).then_some(DefectKind::Value)
}

fn value_fits(attribute: AttributeType, mut value: Bytes, context: &DecodeContext) -> bool {
    match attribute {
        AttributeType::ORIGIN => value.u8().is_some_and(|origin| origin <= 2),
        AttributeType::AS_PATH => {
            // An external peer has put at least its own AS there (RFC 4271 section 5.1.2).
            let complete = context.internal || !value.is_empty();
            complete && is_as_path(value, context.four_octet_asn).is_some()
        }
        AttributeType::AS4_PATH => !value.is_empty() && is_as_path(value, true).is_some(),
        // RFC 4271 section 6.3: the route is ignored when no host can have the address.
        AttributeType::NEXT_HOP => value.u8().is_some_and(|first| !matches!(first, 0 | 127 | 224..)),
        AttributeType(_) => true,
    }
}

/// AS_SEQUENCE segments alone, none empty, no AS 0 (RFC 7607). AS_SET is deprecated (RFC 9774); confederation segments
/// come from no peer outside one (RFC 5065 section 5.3).
fn is_as_path(mut path: Bytes, four_octet: bool) -> Option<()> {
    const AS_SEQUENCE: u8 = 2;
    while !path.is_empty() {
        let kind = path.u8()?;
        let count = path.u8()?;
        if kind != AS_SEQUENCE || count == 0 {
            return None;
        }
        for _ in 0..count {
            let asn = if four_octet { path.u32()? } else { u32::from(path.u16()?) };
            if asn == 0 {
                return None;
            }
        }
    }
    Some(())
}
