//! UPDATE as it is received: what it says about prefixes, and the defects found on the way (RFC 4271, 4760, 7606).

use bytes::Bytes;
use daymark_model::Family;
use ipnet::IpNet;

use super::attributes::{AttributeType, EXTENDED_LENGTH, OPTIONAL};
use super::decoder::DecodeContext;
use super::disposition::{Defect, DefectKind, Disposition, inspect, is_known};
use super::error::{UpdateFault, WireError};
use super::family::AfiSafi;
use super::reader::Reader;
use super::zetta;

/// A received UPDATE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Update {
    /// Prefixes announced, of the negotiated families.
    pub announced: Vec<IpNet>,
    /// Prefixes withdrawn, and those of a defective announcement (RFC 7606: treat-as-withdraw).
    pub withdrawn: Vec<IpNet>,
    /// The family whose initial routes are complete with this message (RFC 4724 section 2).
    pub end_of_rib: Option<Family>,
    /// The attributes as they came, MP_REACH_NLRI and MP_UNREACH_NLRI among them, discarded ones not.
    pub attributes: Vec<RawAttribute>,
    /// What is wrong with the message.
    pub defects: Vec<Defect>,
}

/// An attribute that is kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RawAttribute {
    /// Its flags.
    pub flags: u8,
    /// Its type.
    pub kind: AttributeType,
    /// Its value.
    pub value: Bytes,
}

/// The attributes of one message on the way to an [`Update`].
#[derive(Default)]
struct Walk {
    update: Update,
    /// Prefixes stand in the NLRI field.
    classic_reaches: bool,
    /// MP_REACH_NLRI named prefixes, of whatever family.
    reaches: bool,
    /// MP_UNREACH_NLRI was there and empty.
    empty_unreach: Option<AfiSafi>,
}

impl Update {
    /// The length of the body without prefixes and attributes.
    pub(super) const MIN_BODY_LEN: usize = 4;

    pub(super) fn decode(mut body: Bytes, context: &DecodeContext) -> Result<Self, WireError> {
        let lengths = || UpdateFault::Lengths.alone();
        // RFC 7606 section 3 (b): lengths beyond the message leave nothing to rely on.
        let length = body.u16().ok_or_else(lengths)?;
        let withdrawn = body.octets(length.into()).ok_or_else(lengths)?;
        let length = body.u16().ok_or_else(lengths)?;
        let attributes = body.octets(length.into()).ok_or_else(lengths)?;
        let announced = body;

        let empty = withdrawn.is_empty() && attributes.is_empty() && announced.is_empty();
        if empty {
            let end_of_rib = context.families.contains(&Family::V4).then_some(Family::V4);
            return Ok(Self { end_of_rib, ..Self::default() });
        }
        let mut walk = Walk { classic_reaches: !announced.is_empty(), ..Walk::default() };
        walk.attributes(attributes, context)?;
        let classic =
            |list: &Bytes| zetta::prefixes(Family::V4, list).ok_or_else(|| UpdateFault::Prefix.alone());
        let (withdrawn, announced) = (classic(&withdrawn)?, classic(&announced)?);
        if context.families.contains(&Family::V4) {
            walk.update.withdrawn.extend(withdrawn);
            walk.update.announced.extend(announced);
        } else if !announced.is_empty() || !withdrawn.is_empty() {
            walk.update.defects.push(Defect::new(None, DefectKind::FamilyNotNegotiated));
        }
        walk.finish(context)
    }
}

impl Walk {
    fn attributes(&mut self, mut left: Bytes, context: &DecodeContext) -> Result<(), WireError> {
        let mut seen = [false; 256];
        while !left.is_empty() {
            let (kind, attribute) = next_attribute(&mut left);
            let Some(attribute) = attribute else { return self.overrun(kind) };
            let kind = attribute.kind;
            let again = seen.get_mut(usize::from(kind.0)).is_some_and(|seen| std::mem::replace(seen, true));
            if again {
                if matches!(kind, AttributeType::MP_REACH_NLRI | AttributeType::MP_UNREACH_NLRI) {
                    return Err(attribute.fault(UpdateFault::DuplicateMultiprotocol));
                }
                self.update.defects.push(Defect::new(Some(kind), DefectKind::Duplicate));
                continue;
            }
            self.attribute(attribute, context)?;
        }
        Ok(())
    }

    /// RFC 7606 section 4: an overrun ends the walk, and the prefixes behind the attributes still stand. Those inside a
    /// cut attribute do not, so that there is nothing to withdraw (section 3 (j)).
    fn overrun(&mut self, kind: Option<AttributeType>) -> Result<(), WireError> {
        if matches!(kind, Some(AttributeType::MP_REACH_NLRI | AttributeType::MP_UNREACH_NLRI)) {
            return Err(UpdateFault::Multiprotocol.alone());
        }
        self.update.defects.push(Defect::new(kind, DefectKind::Overrun));
        Ok(())
    }

    fn attribute(&mut self, attribute: RawAttribute, context: &DecodeContext) -> Result<(), WireError> {
        let kind = attribute.kind;
        if !is_known(kind) && attribute.flags & OPTIONAL == 0 {
            return Err(attribute.fault(UpdateFault::UnknownWellKnown));
        }
        // RFC 4760 section 3: NEXT_HOP without an NLRI field means nothing.
        let meaningless = kind == AttributeType::NEXT_HOP && !self.classic_reaches;
        let defect = inspect(kind, attribute.flags, &attribute.value, context).filter(|_| !meaningless);
        if let Some(defect) = defect {
            self.update.defects.push(Defect::new(Some(kind), defect));
        }
        match kind {
            AttributeType::MP_REACH_NLRI => self.reach(&attribute, context)?,
            AttributeType::MP_UNREACH_NLRI => self.unreach(&attribute, context)?,
            AttributeType(_) => {}
        }
        let discarded = self
            .update
            .defects
            .last()
            .is_some_and(|last| last.attribute == Some(kind) && last.disposition == Disposition::Discard);
        if !discarded {
            self.update.attributes.push(attribute);
        }
        Ok(())
    }

    fn reach(&mut self, attribute: &RawAttribute, context: &DecodeContext) -> Result<(), WireError> {
        let unreadable = || attribute.fault(UpdateFault::Multiprotocol);
        let mut value = attribute.value.clone();
        let family = family(&mut value).ok_or_else(unreadable)?;
        let length = value.u8().ok_or_else(unreadable)?;
        value.octets(length.into()).ok_or_else(unreadable)?;
        // RFC 4760 section 3: one reserved octet, to be ignored.
        value.u8().ok_or_else(unreadable)?;
        self.reaches = !value.is_empty();
        match family.family().filter(|family| context.families.contains(family)) {
            Some(family) => {
                // RFC 7606 section 7.11: a next hop of an impossible length makes the prefixes unreliable.
                let possible = match family {
                    Family::V4 => matches!(length, 4 | 16 | 32),
                    Family::V6 => matches!(length, 16 | 32),
                };
                let prefixes = zetta::prefixes(family, &value).filter(|_| possible).ok_or_else(unreadable)?;
                self.update.announced.extend(prefixes);
            }
            None => self.not_negotiated(AttributeType::MP_REACH_NLRI),
        }
        Ok(())
    }

    fn unreach(&mut self, attribute: &RawAttribute, context: &DecodeContext) -> Result<(), WireError> {
        let unreadable = || attribute.fault(UpdateFault::Multiprotocol);
        let mut value = attribute.value.clone();
        let family = family(&mut value).ok_or_else(unreadable)?;
        self.empty_unreach = value.is_empty().then_some(family);
        match family.family().filter(|family| context.families.contains(family)) {
            Some(family) => {
                self.update.withdrawn.extend(zetta::prefixes(family, &value).ok_or_else(unreadable)?);
            }
            None => self.not_negotiated(AttributeType::MP_UNREACH_NLRI),
        }
        Ok(())
    }

    fn not_negotiated(&mut self, kind: AttributeType) {
        self.update.defects.push(Defect::new(Some(kind), DefectKind::FamilyNotNegotiated));
    }

    fn finish(mut self, context: &DecodeContext) -> Result<Update, WireError> {
        let reaches = self.classic_reaches || self.reaches;
        if reaches {
            // RFC 7606 section 3 (d).
            let mandatory = [
                (AttributeType::ORIGIN, true),
                (AttributeType::AS_PATH, true),
                (AttributeType::NEXT_HOP, self.classic_reaches),
                (AttributeType::LOCAL_PREF, context.internal),
            ];
            for (kind, applies) in mandatory {
                if applies && !self.update.attributes.iter().any(|attribute| attribute.kind == kind) {
                    self.update.defects.push(Defect::new(Some(kind), DefectKind::Missing));
                }
            }
        }
        let withdraw = self.update.defects.iter().any(|defect| defect.disposition == Disposition::Withdraw);
        if withdraw && !reaches {
            return Err(UpdateFault::NothingToWithdraw.alone());
        }
        if withdraw {
            let announced = std::mem::take(&mut self.update.announced);
            self.update.withdrawn.extend(announced);
        }
        let alone = !reaches && self.update.withdrawn.is_empty() && self.update.attributes.len() == 1;
        self.update.end_of_rib = self
            .empty_unreach
            .filter(|_| alone)
            .and_then(AfiSafi::family)
            .filter(|family| context.families.contains(family));
        Ok(self.update)
    }
}

impl RawAttribute {
    fn fault(&self, fault: UpdateFault) -> WireError {
        fault.in_attribute(self.flags, self.kind.0, &self.value)
    }
}

/// The next attribute, or as much of its head as could be read.
fn next_attribute(left: &mut Bytes) -> (Option<AttributeType>, Option<RawAttribute>) {
    let flags = left.u8();
    let kind = left.u8().map(AttributeType);
    let attribute = flags.zip(kind).and_then(|(flags, kind)| {
        let length = if flags & EXTENDED_LENGTH != 0 { left.u16()? } else { u16::from(left.u8()?) };
        Some(RawAttribute { flags, kind, value: left.octets(length.into())? })
    });
    (kind, attribute)
}

fn family(value: &mut Bytes) -> Option<AfiSafi> {
    let afi = value.u16()?;
    Some(AfiSafi::new(afi, value.u8()?))
}
