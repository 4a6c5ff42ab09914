//! How the account says no.

/// A call that AWS refuses.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// What a call gives, or why not.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// A refusal with AWS's code.
pub(crate) fn refusal(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

/// Refuses with AWS's code.
pub(crate) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Answer<T> {
    Err(refusal(code, message))
}

/// Refuses with AWS's code unless `holds`.
pub(crate) fn require(holds: bool, code: &'static str, message: impl Into<String>) -> Answer<()> {
    if holds { Ok(()) } else { refuse(code, message) }
}
