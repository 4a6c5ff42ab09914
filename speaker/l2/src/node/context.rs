//! What the meshes of a node have in common while one of them works.

use std::collections::BTreeSet;
use std::time::Instant;

use super::directory::Directory;
use super::output::Output;
use crate::member::NodeUid;

/// What a segment shares with the rest of the node while it works.
pub(super) struct Context<'a> {
    pub now: Instant,
    pub directory: &'a mut Directory,
    pub out: &'a mut Output,
    /// Nodes whose newest report has changed.
    pub changed: &'a mut BTreeSet<NodeUid>,
    /// Whether the own report may have to change.
    pub stale: &'a mut bool,
}
