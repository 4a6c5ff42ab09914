//! `daymark plan`: load balancers in clouds, how they are, and what is to be done for them.
//!
//! | module | about |
//! |---|---|
//! | [`status`] | what the controller last wrote about them |
//! | [`objects`] | Services and what belongs to them, out of files or the cluster |
//! | [`yaml`] | files with several documents, good and bad ones |
//! | [`defaults`] | what the API server would add to a Service |
//! | [`intent`] | what each Service would get |
//! | [`wish`] | the load balancer that it would get, for people |
//! | [`operations`] | the steps to it |
//! | [`gather`] | finds out what is needed |
//! | [`render`], [`render_intent`] | tables |

pub mod defaults;
pub mod gather;
pub mod intent;
pub mod objects;
pub mod operations;
pub mod render;
pub mod render_intent;
pub mod status;
#[cfg(test)]
pub(crate) mod tests;
pub mod wish;
pub mod yaml;

use std::fmt;
use std::str::FromStr;

/// An object that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A text that is no [`Named`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no Service: write NAMESPACE/NAME")]
pub struct NamedError(String);

impl FromStr for Named {
    type Err = NamedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            Some(_) | None => Err(NamedError(text.to_owned())),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
