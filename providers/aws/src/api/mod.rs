//! What Daymark asks of AWS: calls and answers as plain values, so that the real thing, a fake, a limiter and a counter are
//! all the same to the rest.

mod calls;
mod error;
mod types;

use std::future::Future;

pub use calls::{Call, Request, Response, *};
pub use error::ApiError;
pub use types::*;

/// Somebody who answers calls.
pub trait Api: Send + Sync {
    /// Makes one call.
    fn call(&self, request: Request) -> impl Future<Output = Result<Response, ApiError>> + Send;
}

impl<A: Api> Api for std::sync::Arc<A> {
    fn call(&self, request: Request) -> impl Future<Output = Result<Response, ApiError>> + Send {
        A::call(self, request)
    }
}

/// Makes one call, with its own answer.
///
/// # Errors
/// AWS's, or `UnexpectedAnswer` when the answer is one to another call.
pub async fn ask<A: Api, C: Call>(api: &A, call: C) -> Result<C::Answer, ApiError> {
    let response = api.call(call.into_request()).await?;
    C::answer(response).ok_or_else(|| ApiError::unexpected(C::ACTION))
}
