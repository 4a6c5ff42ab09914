use proptest::prelude::*;

use super::*;

const S: i64 = 1000;

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * S)
}

fn routine(queue: &mut Queue<&'static str>, key: &'static str, depth: Depth, when: i64, urgency: StepClass) {
    queue.mark(&key, depth, at(when), urgency, Cause::Routine);
}

#[test]
fn the_deeper_and_the_earlier_win_and_a_later_look_at_everything_stays_later() {
    let cases = [
        // (marks, what next gives at 10 s, what is left)
        (vec![(Depth::Targets, 5), (Depth::Full, 7)], Depth::Full, None),
        (vec![(Depth::Full, 7), (Depth::Targets, 5)], Depth::Full, None),
        (vec![(Depth::Full, 9), (Depth::Full, 3)], Depth::Full, None),
        (vec![(Depth::Targets, 5), (Depth::Full, 60)], Depth::Targets, Some(60)),
        (vec![(Depth::Full, 5), (Depth::Targets, 60)], Depth::Full, Some(60)),
    ];
    for (marks, depth, left) in cases {
        let mut queue = Queue::new(1);
        for (depth, when) in &marks {
            routine(&mut queue, "a", *depth, *when, StepClass::Change);
        }
        let first = marks.iter().map(|(_, when)| *when).min().unwrap();
        assert_eq!(queue.next_deadline(), Some(at(first)), "{marks:?}");
        assert_eq!(queue.next(at(first - 1)), None, "{marks:?}");
        assert_eq!(queue.next(at(10)), Some(("a", depth)), "{marks:?}");
        queue.done(&"a", None);
        assert_eq!(queue.next_deadline(), left.map(at), "{marks:?}");
    }
}

#[test]
fn the_more_urgent_goes_first_and_among_equals_the_longest_due() {
    let mut queue = Queue::new(9);
    routine(&mut queue, "tags", Depth::Full, 1, StepClass::Cosmetic);
    routine(&mut queue, "young", Depth::Targets, 4, StepClass::Targets);
    routine(&mut queue, "old", Depth::Targets, 3, StepClass::Targets);
    routine(&mut queue, "new", Depth::Full, 2, StepClass::Change);
    let order: Vec<_> = std::iter::from_fn(|| queue.next(at(5))).map(|(key, _)| key).collect();
    assert_eq!(order, ["old", "young", "new", "tags"]);
}

#[test]
fn the_longest_due_is_not_starved_by_the_urgent() {
    let mut queue = Queue::new(1);
    queue.mark(&1000, Depth::Full, at(1), StepClass::Cosmetic, Cause::Routine);
    let mut turns = 0;
    loop {
        queue.mark(&turns, Depth::Targets, at(2), StepClass::Targets, Cause::Routine);
        queue.mark(&(turns + 1), Depth::Targets, at(2), StepClass::Targets, Cause::Routine);
        let (key, _) = queue.next(at(5)).unwrap();
        queue.done(&key, None);
        turns += 1;
        if key == 1000 {
            break;
        }
        assert!(turns < 20, "starved");
    }
    assert!(turns > 10, "urgency counts for nothing");
}

#[test]
fn a_key_is_not_worked_on_twice_and_what_comes_meanwhile_is_done_after() {
    let mut queue = Queue::new(2);
    routine(&mut queue, "a", Depth::Targets, 0, StepClass::Targets);
    assert_eq!(queue.next(at(1)), Some(("a", Depth::Targets)));
    routine(&mut queue, "a", Depth::Full, 0, StepClass::Change);
    assert_eq!(queue.next(at(2)), None);
    assert_eq!(queue.next_deadline(), None);
    queue.done(&"a", Some(at(30)));
    assert_eq!(queue.next(at(2)), Some(("a", Depth::Full)));
    queue.done(&"a", None);
    assert_eq!(queue.next_deadline(), Some(at(30)), "what the first pass asked for");
    assert_eq!(queue.next(at(30)), Some(("a", Depth::Targets)));
}

#[test]
fn no_more_passes_than_the_limit_run_side_by_side() {
    let mut queue = Queue::new(2);
    for key in ["a", "b", "c"] {
        routine(&mut queue, key, Depth::Full, 0, StepClass::Change);
    }
    assert!(queue.next(at(0)).is_some() && queue.next(at(0)).is_some());
    assert_eq!((queue.next(at(0)), queue.next_deadline(), queue.in_flight()), (None, None, 2));
    assert_eq!(queue.overdue(at(0)), 1);
    queue.forget(&"a");
    assert_eq!(queue.next(at(0)), Some(("c", Depth::Full)));
    queue.done(&"a", Some(at(1)));
    assert_eq!(queue.in_flight(), 2, "the end of a forgotten pass changes nothing");
}

#[test]
fn a_failure_is_paused_for_and_a_change_ends_the_pause() {
    let mut queue = Queue::new(1);
    routine(&mut queue, "a", Depth::Full, 0, StepClass::Change);
    queue.next(at(0)).unwrap();
    assert_eq!(queue.failed(&"a", ErrorClass::User, None, at(10), 0), Some(at(310)));
    routine(&mut queue, "a", Depth::Targets, 11, StepClass::Targets);
    assert_eq!(queue.next_deadline(), Some(at(310)), "a mark ended the pause");
    queue.mark(&"a", Depth::Full, at(12), StepClass::Change, Cause::Changed);
    assert_eq!(queue.next(at(12)), Some(("a", Depth::Full)));
    assert_eq!(queue.failed(&"a", ErrorClass::Throttled, None, at(13), 0), Some(at(15)));
    assert_eq!(queue.failures(&"a"), 2);
    queue.next(at(15)).unwrap();
    queue.done(&"a", None);
    assert_eq!((queue.failures(&"a"), queue.next_deadline()), (0, None));
}

#[test]
fn changes_do_not_hurry_a_throttled_key_past_two_seconds() {
    let mut queue = Queue::new(1);
    routine(&mut queue, "a", Depth::Full, 0, StepClass::Change);
    for now in [0, 2, 4, 6, 8] {
        assert!(queue.next(at(now)).is_some(), "at {now}");
        // One change while it runs, one after it.
        queue.mark(&"a", Depth::Full, at(now), StepClass::Change, Cause::Changed);
        queue.failed(&"a", ErrorClass::Throttled, Some(Duration::from_secs(50)), at(now), 7);
        queue.mark(&"a", Depth::Full, at(now), StepClass::Change, Cause::Changed);
        assert_eq!(queue.next_deadline(), Some(at(now + 2)));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Mark(u8, bool, i64, u8, bool),
    Next,
    Done(u8, Option<i64>),
    Failed(u8, u8),
    Forget(u8),
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, any::<bool>(), 0..90_i64, 0..4_u8, any::<bool>())
            .prop_map(|(k, full, after, urgency, changed)| Step::Mark(k, full, after, urgency, changed)),
        4 => Just(Step::Next),
        2 => (0..6_u8, proptest::option::of(0..60_i64)).prop_map(|(k, again)| Step::Done(k, again)),
        1 => (0..6_u8, 0..6_u8).prop_map(|(k, class)| Step::Failed(k, class)),
        1 => (0..6_u8).prop_map(Step::Forget),
        2 => (0..40_i64).prop_map(Step::Pass),
    ]
}

const CLASSES: [StepClass; 4] =
    [StepClass::Targets, StepClass::Change, StepClass::Delete, StepClass::Cosmetic];

type Wanted = BTreeSet<(u8, Timestamp, Depth)>;

fn want(wanted: &mut Wanted, key: u8, at: Timestamp, depth: Depth) {
    let same = wanted.iter().find(|mark| mark.0 == key && mark.2 == depth).copied();
    if same.is_none_or(|before| at < before.1) {
        same.map(|before| wanted.remove(&before));
        wanted.insert((key, at, depth));
    }
}

proptest! {
    /// Whatever happens: no key runs twice at once, never more than the limit, no mark is lost, the deadline is true.
    #[test]
    fn nothing_is_lost_and_nothing_runs_twice(steps in proptest::collection::vec(step(), 1..200)) {
        let mut queue = Queue::new(3);
        let mut running: BTreeMap<u8, Depth> = BTreeMap::new();
        // The earliest mark of each depth that no pass has answered.
        let mut wanted = Wanted::new();
        let mut now = at(0);
        for step in steps {
            match step {
                Step::Mark(key, full, after, urgency, changed) => {
                    let depth = if full { Depth::Full } else { Depth::Targets };
                    let cause = if changed { Cause::Changed } else { Cause::Routine };
                    let due = now + Duration::from_secs(after as u64);
                    queue.mark(&key, depth, due, CLASSES[usize::from(urgency)], cause);
                    want(&mut wanted, key, due, depth);
                }
                Step::Next => {
                    let deadline = queue.next_deadline();
                    let given = queue.next(now);
                    prop_assert_eq!(given.is_some(), deadline.is_some_and(|at| at <= now));
                    if let Some((key, depth)) = given {
                        prop_assert!(running.insert(key, depth).is_none(), "{key} runs twice");
                        let due = |mark: &(u8, Timestamp, Depth)| mark.0 == key && mark.1 <= now;
                        let deepest = wanted.iter().filter(|mark| due(mark)).map(|mark| mark.2).max();
                        prop_assert_eq!(deepest, Some(depth));
                        wanted.retain(|mark| !due(mark));
                    }
                }
                Step::Done(key, again) => {
                    let again = again.map(|after| now + Duration::from_secs(after as u64));
                    if let (Some(depth), Some(at)) = (running.remove(&key), again) {
                        want(&mut wanted, key, at, depth);
                    }
                    queue.done(&key, again);
                }
                Step::Failed(key, class) => {
                    let class = ErrorClass::ALL[usize::from(class)];
                    let due = queue.failed(&key, class, None, now, 1);
                    if let Some(depth) = running.remove(&key) {
                        prop_assert!(due.is_some());
                        want(&mut wanted, key, now, depth);
                    }
                }
                Step::Forget(key) => {
                    queue.forget(&key);
                    running.remove(&key);
                    wanted.retain(|mark| mark.0 != key);
                }
                Step::Pass(seconds) => now = now + Duration::from_secs(seconds as u64),
            }
            prop_assert_eq!(queue.in_flight(), running.len());
            prop_assert!(running.len() <= 3);
        }
        // In the end all that was wanted is done, once all passes end.
        for key in running.keys() {
            queue.done(key, None);
        }
        now = now + Duration::from_secs(100_000);
        while let Some((key, depth)) = queue.next(now) {
            let deepest = wanted.iter().filter(|mark| mark.0 == key).map(|mark| mark.2).max();
            prop_assert_eq!(deepest, Some(depth));
            wanted.retain(|mark| mark.0 != key);
            queue.done(&key, None);
        }
        prop_assert!(wanted.is_empty(), "lost: {wanted:?}");
        prop_assert_eq!(queue.next_deadline(), None);
        prop_assert!(queue.keys.is_empty() && queue.later.is_empty());
    }
}
