//! One interface of a node: answers ARP and NDP for the addresses that are owned there, tells the segment of them, asks
//! for addresses before they are taken, and says who else claims them.
//!
//! Who owns what is decided elsewhere (see [`election`](crate::election)). A [`Responder`] answers from the moment of
//! [`own`](Responder::own) to that of [`disown`](Responder::disown), for nothing else, and never while
//! [paused](Responder::pause).
//!
//! Answers go out at once, one for each request, found by one hash lookup. All else waits for its turn in one
//! schedule with one deadline and one rate, in this order: the first word of an address just taken, probes
//! that have begun, new probes, the other form of that first word (ARP has two), further rounds of bursts, refreshes. So 5,000 addresses taken at once are known to the
//! segment after 0.7 s.
//!
//! The time is an argument, as is the seed of the random parts of waits.

mod announce;
mod groups;
mod interface;
mod outbox;
mod probe;
mod schedule;

pub use announce::Ownership;
pub use interface::{Counters, Responder};
pub use outbox::{GroupChange, Outbox, ResponderEvent};
pub use probe::ProbePlan;
