use super::*;

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name)
}

fn conditions(
    ready: impl Into<Option<bool>>,
    serving: impl Into<Option<bool>>,
    terminating: impl Into<Option<bool>>,
) -> Conditions {
    Conditions { ready: ready.into(), serving: serving.into(), terminating: terminating.into() }
}

fn ready() -> Conditions {
    conditions(true, true, false)
}

fn slice(service: &str, endpoints: &[(&str, Conditions, &str)]) -> SliceView {
    SliceView {
        service: Some(key(service)),
        endpoints: endpoints
            .iter()
            .map(|(address, conditions, node)| EndpointView {
                address: address.parse().unwrap(),
                conditions: *conditions,
                node: (!node.is_empty()).then(|| NodeName::from(*node)),
            })
            .collect(),
    }
}

struct Bench {
    fold: EndpointFold,
}

impl Bench {
    fn new() -> Self {
        Self { fold: EndpointFold::new("here".into()) }
    }

    fn apply(&mut self, name: &str, slice: &SliceView) -> Vec<String> {
        let mut changed = BTreeSet::new();
        self.fold.apply("shop", name, slice, &mut changed);
        changed.into_iter().map(|k| k.name.to_string()).collect()
    }

    fn remove(&mut self, name: &str) -> Vec<String> {
        let mut changed = BTreeSet::new();
        self.fold.remove("shop", name, &mut changed);
        changed.into_iter().map(|k| k.name.to_string()).collect()
    }

    /// ready here, serving-terminating here, ready anywhere, serving-terminating anywhere.
    fn v4(&self, service: &str) -> [u32; 4] {
        let e = self.fold.of(&key(service), Family::V4);
        [e.ready_here, e.serving_terminating_here, e.ready_anywhere, e.serving_terminating_anywhere]
    }
}

#[test]
fn absent_conditions_have_kubernetes_meaning() {
    let cases = [
        (conditions(None, None, None), [1, 0, 1, 0]),
        (conditions(true, None, None), [1, 0, 1, 0]),
        (conditions(false, None, None), [0, 0, 0, 0]),
        (conditions(false, true, None), [0, 0, 0, 0]),
        (conditions(false, true, true), [0, 1, 0, 1]),
        (conditions(false, None, true), [0, 1, 0, 1]),
        (conditions(false, false, true), [0, 0, 0, 0]),
    ];
    for (conditions, expected) in cases {
        let mut bench = Bench::new();
        bench.apply("web-1", &slice("web", &[("10.0.0.1", conditions, "here")]));
        assert_eq!(bench.v4("web"), expected, "{conditions:?}");
    }
}

#[test]
fn counts_by_node_and_family() {
    let mut bench = Bench::new();
    let v4 = slice(
        "web",
        &[("10.0.0.1", ready(), "here"), ("10.0.0.2", ready(), "there"), ("10.0.0.3", ready(), "")],
    );
    assert_eq!(bench.apply("web-1", &v4), ["web"]);
    bench.apply("web-6", &slice("web", &[("2001:db8::1", ready(), "there")]));
    assert_eq!(bench.v4("web"), [1, 0, 3, 0]);
    let v6 = bench.fold.of(&key("web"), Family::V6);
    assert_eq!((v6.ready_here, v6.ready_anywhere), (0, 1));
}

#[test]
fn an_endpoint_in_two_slices_counts_once_with_its_best_state() {
    let mut bench = Bench::new();
    bench.apply("web-1", &slice("web", &[("10.0.0.1", conditions(false, true, true), "here")]));
    bench.apply("web-2", &slice("web", &[("10.0.0.1", ready(), "here")]));
    assert_eq!(bench.v4("web"), [1, 0, 1, 0]);
    assert!(bench.remove("web-1").is_empty(), "nothing changes when the worse copy goes");
    assert_eq!(bench.remove("web-2"), ["web"]);
    assert_eq!(bench.v4("web"), [0; 4]);
}

#[test]
fn only_changes_of_counts_and_nodes_are_told() {
    let mut bench = Bench::new();
    let one = slice("web", &[("10.0.0.1", ready(), "here")]);
    assert_eq!(bench.apply("web-1", &one), ["web"]);
    assert!(bench.apply("web-1", &one).is_empty());
    assert!(bench.apply("web-1", &slice("web", &[("10.0.0.9", ready(), "here")])).is_empty());
    assert!(bench.remove("never").is_empty());
    let there = |node| slice("web", &[("10.0.0.1", ready(), "here"), ("10.0.0.2", ready(), node)]);
    assert_eq!(bench.apply("web-1", &there("b")), ["web"]);
    assert_eq!(bench.apply("web-1", &there("c")), ["web"], "a pod that moves takes the address with it");
    assert_eq!(bench.apply("web-1", &there("here")), ["web"]);
}

#[test]
fn the_nodes_of_a_local_service_are_those_with_ready_endpoints_else_with_serving_ones() {
    let mut bench = Bench::new();
    let terminating = conditions(false, true, true);
    let nodes = |bench: &Bench, family| bench.fold.nodes(&key("web"), family);
    let hashes = |names: &[&str]| names.iter().map(|n| NodeHash::of(&(*n).into())).collect::<BTreeSet<_>>();
    assert!(nodes(&bench, Family::V4).is_empty());
    bench.apply("web-1", &slice("web", &[("10.0.0.1", terminating, "a"), ("10.0.0.2", ready(), "b")]));
    bench.apply("web-2", &slice("web", &[("10.0.0.2", ready(), "b"), ("10.0.0.3", ready(), "")]));
    bench.apply("web-6", &slice("web", &[("2001:db8::1", terminating, "c")]));
    assert_eq!(nodes(&bench, Family::V4), hashes(&["b"]));
    assert_eq!(nodes(&bench, Family::V6), hashes(&["c"]));
    bench.apply("web-2", &slice("web", &[]));
    bench.apply("web-1", &slice("web", &[("10.0.0.1", terminating, "a"), ("10.0.0.4", terminating, "d")]));
    assert_eq!(nodes(&bench, Family::V4), hashes(&["a", "d"]));
}

#[test]
fn a_slice_may_move_to_another_service() {
    let mut bench = Bench::new();
    let mut moved = slice("web", &[("10.0.0.1", ready(), "here")]);
    bench.apply("x", &moved);
    moved.service = Some(key("api"));
    assert_eq!(bench.apply("x", &moved), ["api", "web"]);
    moved.service = None;
    assert_eq!(bench.apply("x", &moved), ["api"]);
    assert!(bench.fold.services.is_empty() && bench.fold.owners.is_empty());
}

#[test]
fn a_full_list_replaces_everything() {
    let mut bench = Bench::new();
    bench.apply("web-1", &slice("web", &[("10.0.0.1", ready(), "here")]));
    bench.apply("api-1", &slice("api", &[("10.0.0.2", ready(), "here")]));
    let api = slice("api", &[("10.0.0.2", ready(), "here"), ("10.0.0.3", ready(), "here")]);
    let mut changed = BTreeSet::new();
    bench.fold.reset([("shop", "api-1", &api)], &mut changed);
    assert_eq!(changed, [key("api"), key("web")].into());
    assert_eq!((bench.v4("web"), bench.v4("api")), ([0; 4], [2, 0, 2, 0]));
}

#[test]
fn what_is_kept_of_an_endpoint_is_small() {
    assert!(size_of::<Kept<Ipv4Addr>>() <= 16 && size_of::<Kept<Ipv6Addr>>() <= 32);
}
