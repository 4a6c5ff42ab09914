//! Errors of the SDK as [`ApiError`].

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use crate::api::{ApiError, Call};

/// Nobody has to wait longer, whatever an answer says.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How much of an answer that cannot be read is shown.
const SHOWN: usize = 120;

/// The error of call `C`.
pub(super) fn failed<C: Call, E>(error: SdkError<E>) -> ApiError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let retry_after = error.raw_response().and_then(|response| {
        wait(response.headers().get("x-amz-retry-after"), Duration::from_millis)
            .or_else(|| wait(response.headers().get("retry-after"), Duration::from_secs))
    });
    let (code, message) = match &error {
        SdkError::ServiceError(context) => match context.err().code() {
            Some(code) => (code, context.err().message().unwrap_or("AWS says no more").to_owned()),
            None => (ApiError::GARBLED, garbled(&error)),
        },
        SdkError::TimeoutError(_) => (ApiError::TIMEOUT, chain(&error)),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (ApiError::TIMEOUT, chain(&error)),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) if lacks_credentials(&error) => {
            (ApiError::CREDENTIALS, chain(&error))
        }
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => (ApiError::CONNECTION, chain(&error)),
        // The call was never sent: the SDK refuses what it was given.
        SdkError::ConstructionFailure(_) => ("InvalidRequest", chain(&error)),
        _ => (ApiError::CONNECTION, chain(&error)),
    };
    ApiError { status, retry_after, ..ApiError::new(C::ACTION, code, message) }
}

/// An answer of call `C` that lacks `what`.
pub(super) fn unreadable<C: Call>(what: impl std::fmt::Display) -> ApiError {
    ApiError {
        status: None,
        ..ApiError::new(C::ACTION, ApiError::GARBLED, format!("the answer cannot be read: {what}"))
    }
}

fn wait(header: Option<&str>, unit: fn(u64) -> Duration) -> Option<Duration> {
    header?.trim().parse().ok().map(|number| unit(number).min(LONGEST_WAIT))
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .any(|cause| cause.is::<CredentialsError>() || cause.to_string().contains("there was no identity"))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What an error says, and its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = words(&cause.to_string());
        // The SDK's own layers, which say nothing of the matter.
        let is_empty = matches!(text.as_str(), "" | "dispatch failure" | "other");
        if !is_empty && parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

fn garbled<E: Error + 'static>(error: &SdkError<E>) -> String {
    let body = error.raw_response().and_then(|response| response.body().bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let begin: String = words(&text).chars().take(SHOWN).collect();
    format!("the answer cannot be read, it begins with `{begin}`")
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
