//! Several at once; AWS fails as a whole where one of them does not exist, and then each is asked for alone.

use crate::api::{Api, ApiError, Call, MAX_DESCRIBED, ask};
use crate::refusal::is_gone;

/// Those of `ids` that exist.
///
/// # Errors
/// AWS's, but none that says that one does not exist.
pub async fn existing<A, C, T>(
    api: &A,
    ids: &[String],
    call: impl Fn(Vec<String>) -> C,
) -> Result<Vec<T>, ApiError>
where
    A: Api,
    C: Call<Answer = Vec<T>>,
{
    let mut found = Vec::new();
    for chunk in ids.chunks(MAX_DESCRIBED) {
        match ask(api, call(chunk.to_vec())).await {
            Ok(some) => found.extend(some),
            Err(error) if is_gone(&error) && chunk.len() == 1 => {}
            Err(error) if is_gone(&error) => {
                for id in chunk {
                    match ask(api, call(vec![id.clone()])).await {
                        Ok(one) => found.extend(one),
                        Err(error) if is_gone(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
