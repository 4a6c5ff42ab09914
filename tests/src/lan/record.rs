//! What a capture proves: who answered for an address and from when to when, who overlapped with whom, and when nobody did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use daymark_model::MacAddr;

use super::frame::{Cast, Packet};

/// A time, in nanoseconds since 1970 by the kernel's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// Now.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after `earlier` it is; nothing when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time so long before.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Seconds of the hour: enough to tell frames of one test apart.
        let (seconds, micros) = (self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000);
        write!(f, "{:02}:{:02}.{micros:06}", seconds / 60 % 60, seconds % 60)
    }
}

/// A frame as it came from a host into the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Time,
    /// The host that sent it: `n1`, `l1`, …
    pub host: Arc<str>,
    /// The Ethernet address of its sender.
    pub source: MacAddr,
    /// To whom.
    pub cast: Cast,
    /// What it says.
    pub packet: Packet,
}

/// An uninterrupted time in which one host answered for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Who.
    pub host: Arc<str>,
    /// The Ethernet addresses that it gave.
    pub macs: BTreeSet<MacAddr>,
    /// Its first frame.
    pub first: Time,
    /// Its last frame.
    pub last: Time,
    /// How many there were.
    pub frames: usize,
}

/// The address went from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The new host's first frame.
    pub at: Time,
    /// The old host, with its last Ethernet address.
    pub from: (Arc<str>, Option<MacAddr>),
    /// The new host, with its first Ethernet address.
    pub to: (Arc<str>, Option<MacAddr>),
    /// How long both answered.
    pub overlap: Duration,
    /// How long nobody did.
    pub gap: Duration,
}

/// A time in which several hosts answered for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// Who.
    pub hosts: BTreeSet<String>,
    /// The first second answer.
    pub from: Time,
    /// The last.
    pub to: Time,
}

impl Contest {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// A time in which nobody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The last answer before.
    pub from: Time,
    /// The first answer after, or the end of the record.
    pub to: Time,
}

impl Silence {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// What was seen on the LAN.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The frames, in the order of their times; those of a host in the dark are not among them.
    pub frames: Vec<Seen>,
    /// When the record ends.
    pub end: Time,
}

impl Record {
    /// The least time within which a host that answers is seen to answer.
    const SOON: Duration = Duration::from_millis(50);
    /// Moments in which two hosts answered belong together when they are no further apart.
    const CONTEST_GAP: Duration = Duration::from_millis(500);

    /// The time within which whoever answers for `address` is seen to do so: that of five requests.
    fn soon(&self, address: IpAddr) -> Duration {
        let asked = || self.frames.iter().filter(|seen| seen.packet.asks_for() == Some(address));
        let length = asked().next_back().zip(asked().next()).map(|(last, first)| last.at.since(first.at));
        let count = u32::try_from(asked().count()).unwrap_or(u32::MAX);
        length.map_or(Self::SOON, |length| (5 * length / count.max(1)).max(Self::SOON))
    }

    /// The frames that claim `address`.
    pub fn claims(&self, address: IpAddr) -> impl Iterator<Item = &Seen> {
        self.frames.iter().filter(move |seen| seen.packet.claim().is_some_and(|claim| claim.0 == address))
    }

    /// The frames that claim `address` without having been asked.
    pub fn gratuitous(&self, address: IpAddr) -> impl Iterator<Item = &Seen> {
        self.claims(address).filter(|seen| seen.packet.is_gratuitous())
    }

    /// The first frame by which somebody other than `host` claims `address` after `time`.
    pub fn first_other(&self, address: IpAddr, host: &str, time: Time) -> Option<&Seen> {
        self.claims(address).find(|seen| seen.at > time && &*seen.host != host)
    }

    /// The hosts that claimed `address` after `since`.
    pub fn answerers(&self, address: IpAddr, since: Time) -> BTreeSet<String> {
        self.claims(address).filter(|seen| seen.at > since).map(|seen| seen.host.to_string()).collect()
    }

    /// The part of the record between two times.
    #[must_use]
    pub fn between(&self, from: Time, to: Time) -> Self {
        let inside = self.frames.iter().filter(|seen| seen.at >= from && seen.at <= to);
        Self { frames: inside.cloned().collect(), end: to.min(self.end) }
    }

    /// The part of the record after a time.
    #[must_use]
    pub fn after(&self, from: Time) -> Self {
        self.between(from, self.end)
    }

    /// Who answered for `address`, in the order of first frames.
    pub fn terms(&self, address: IpAddr) -> Vec<Term> {
        let together = 2 * self.soon(address);
        let mut terms: Vec<Term> = Vec::new();
        for seen in self.claims(address) {
            let mac = seen.packet.claim().and_then(|claim| claim.1);
            let last = terms.iter_mut().rev().find(|term| term.host == seen.host);
            match last.filter(|term| seen.at.since(term.last) <= together) {
                Some(term) => {
                    term.last = seen.at;
                    term.frames += 1;
                    term.macs.extend(mac);
                }
                None => terms.push(Term {
                    host: Arc::clone(&seen.host),
                    macs: mac.into_iter().collect(),
                    first: seen.at,
                    last: seen.at,
                    frames: 1,
                }),
            }
        }
        terms
    }

    /// Times in which several hosts answered one and the same question for `address`. Hosts that only follow each other,
    /// however quickly, do not.
    pub fn contests(&self, address: IpAddr) -> Vec<Contest> {
        let mut answered: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
        let mut contests: Vec<Contest> = Vec::new();
        for seen in &self.frames {
            if seen.packet.asks_for() == Some(address)
                && let Some((asker, _)) = seen.packet.claim()
            {
                answered.insert(asker, BTreeSet::new());
            }
            let answers = seen.packet.claim().is_some_and(|claim| claim.0 == address);
            let Some(hosts) =
                seen.packet.answers_to().filter(|_| answers).and_then(|to| answered.get_mut(&to))
            else {
                continue;
            };
            hosts.insert(&seen.host);
            if hosts.len() < 2 {
                continue;
            }
            let hosts = hosts.iter().map(|host| (*host).to_owned());
            match contests.last_mut().filter(|last| seen.at.since(last.to) <= Self::CONTEST_GAP) {
                Some(contest) => {
                    contest.to = seen.at;
                    contest.hosts.extend(hosts);
                }
                None => contests.push(Contest { hosts: hosts.collect(), from: seen.at, to: seen.at }),
            }
        }
        contests
    }

    /// When `address` went from one host to another.
    pub fn changes(&self, address: IpAddr) -> Vec<Change> {
        let terms = self.terms(address);
        let pairs = terms.windows(2).filter_map(|pair| match pair {
            [old, new] if old.host != new.host => Some((old, new)),
            _ => None,
        });
        pairs
            .map(|(old, new)| Change {
                at: new.first,
                from: (Arc::clone(&old.host), old.macs.last().copied()),
                to: (Arc::clone(&new.host), new.macs.first().copied()),
                overlap: old.last.min(new.last).since(new.first),
                gap: new.first.since(old.last),
            })
            .collect()
    }

    /// Fails when two hosts answered for `address` side by side for longer than `grace`; without grace, when they did at all.
    ///
    /// # Errors
    /// With all terms of the address.
    pub fn check_single(&self, address: IpAddr, grace: Duration) -> Result<()> {
        let mut contests = self.contests(address).into_iter();
        if let Some(contest) = contests.find(|contest| contest.length() > grace || grace.is_zero()) {
            let Contest { hosts, from, .. } = &contest;
            let (length, story) = (contest.length(), self.story(address));
            bail!("{hosts:?} all answered for {address} for {length:.1?}, from {from} on:\n{story}");
        }
        Ok(())
    }

    /// Times longer than `limit` without an answer for `address`, after the first answer.
    pub fn silences(&self, address: IpAddr, limit: Duration) -> Vec<Silence> {
        let mut times: Vec<Time> = self.claims(address).map(|seen| seen.at).collect();
        if !times.is_empty() {
            times.push(self.end);
        }
        let pairs = times.windows(2).map(|pair| Silence { from: pair[0], to: pair[1] });
        pairs.filter(|silence| silence.length() > limit).collect()
    }

    /// Who answered for `address`, for a person to read.
    pub fn story(&self, address: IpAddr) -> String {
        let terms = self.terms(address);
        if terms.is_empty() {
            return format!("nobody answered for {address}");
        }
        let lines = terms.iter().map(|term| {
            let macs: Vec<String> = term.macs.iter().map(MacAddr::to_string).collect();
            let Term { host, first, last, frames, .. } = term;
            format!("{first} - {last}  {host} ({}), {frames} frames", macs.join(" "))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);
    const MILLI: u64 = 1_000_000;

    /// Answers at milliseconds, each a little after the question of that moment.
    fn record(answers: impl IntoIterator<Item = (u64, &'static str)>) -> Record {
        let asker = (MacAddr([2, 0, 0, 0, 1, 1]), Ipv4Addr::new(10, 20, 0, 201));
        let seen =
            |at, host: &str, cast, packet| Seen { at, host: host.into(), source: asker.0, cast, packet };
        let mut frames: Vec<Seen> = answers
            .into_iter()
            .map(|(milli, host)| {
                let mac = MacAddr([2, 0, 0, 0, 0, host.as_bytes()[1]]);
                let packet = Packet::Arp { request: false, sender: (mac, VIP), target: asker };
                seen(Time(milli * MILLI + 100), host, Cast::Unicast, packet)
            })
            .collect();
        let target = (MacAddr::default(), VIP);
        frames.extend((0..500).map(|number| {
            let packet = Packet::Arp { request: true, sender: asker, target };
            seen(Time(number * 10 * MILLI), "probe", Cast::Broadcast, packet)
        }));
        frames.sort_by_key(|seen| seen.at);
        let end = frames.iter().filter(|seen| &*seen.host != "probe").map(|seen| seen.at).max();
        Record { frames, end: end.unwrap_or_default() }
    }

    fn steady(host: &'static str, from: u64, to: u64) -> impl Iterator<Item = (u64, &'static str)> {
        (from..to).step_by(10).map(move |at| (at, host))
    }

    #[test]
    fn a_clean_change_has_a_gap_and_no_overlap() {
        let record = record(steady("n1", 0, 1000).chain(steady("n2", 1400, 3000)));
        let changes = record.changes(VIP.into());
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!((&*changes[0].from.0, &*changes[0].to.0), ("n1", "n2"));
        assert_eq!(changes[0].overlap, Duration::ZERO);
        assert_eq!(changes[0].gap, Duration::from_millis(410));
        record.check_single(VIP.into(), Duration::ZERO).unwrap();
        let silences = record.silences(VIP.into(), Duration::from_millis(50));
        assert_eq!(silences.len(), 1, "{silences:?}");
    }

    #[test]
    fn two_answerers_are_found_however_long_ago_one_began() {
        let record = record(steady("n1", 0, 3000).chain(steady("n2", 1000, 1500)));
        record.check_single(VIP.into(), Duration::from_millis(600)).unwrap();
        let error = record.check_single(VIP.into(), Duration::from_millis(400)).unwrap_err().to_string();
        assert!(error.contains("n1") && error.contains("n2"), "{error}");
    }

    #[test]
    fn an_address_that_comes_back_is_two_changes() {
        let record =
            record(steady("n1", 0, 1000).chain(steady("n2", 1000, 4000)).chain(steady("n1", 4000, 5000)));
        assert_eq!(record.changes(VIP.into()).len(), 2);
        record.check_single(VIP.into(), Duration::ZERO).unwrap();
    }

    #[test]
    fn an_address_that_is_sent_back_at_once_had_one_answerer_at_any_time() {
        let record = record(steady("n1", 0, 1000).chain([(1001, "n2")]).chain(steady("n1", 1010, 2000)));
        record.check_single(VIP.into(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_second_answer_to_one_question_is_a_contest() {
        let record = record(steady("n1", 0, 1010).chain(steady("n2", 1000, 2000)));
        let contests = record.contests(VIP.into());
        assert_eq!(contests.len(), 1, "{contests:?}");
        assert!(contests[0].length() < Duration::from_millis(10), "{contests:?}");
        record.check_single(VIP.into(), Duration::ZERO).unwrap_err();
        record.check_single(VIP.into(), Duration::from_millis(10)).unwrap();
    }
}
