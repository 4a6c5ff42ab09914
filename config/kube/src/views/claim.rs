//! AddressClaims as `daymark-pool` sees them.

use daymark_config::{Problem, crd, native};
use daymark_pool::view::{ClaimView, ResourceVersion};

/// What is kept of an AddressClaim.
///
/// # Errors
/// What is wrong with it, when it claims nothing.
pub fn claim(object: &crd::AddressClaim) -> Result<ClaimView, Vec<Problem>> {
    let meta = &object.metadata;
    Ok(ClaimView {
        claim: native::claim(object)?,
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        resource_version: ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default()),
        created_at: native::created_at(meta),
    })
}
