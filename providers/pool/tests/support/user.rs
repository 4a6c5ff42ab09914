//! What people and other controllers do to a cluster.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{
    Assignment, Family, Holder, IpMode, PortProtocol, Protocol, Quarantine, Selector, ServiceKey,
    SharingPolicy, Timestamp, TrafficPolicy,
};
use daymark_pool::{FamilyPolicy, Ingress, Requests, ServiceView};

use super::random::Random;
use super::store::Store;
use super::{brief, build};

const NAMES: [&str; 8] = ["a/a", "a/b", "a/c", "a/d", "b/a", "b/b", "b/c", "b/d"];
const POOLS: [&str; 4] = ["p", "q", "r", "s"];
const BLOCKS: [&str; 12] = [
    "10.0.0.0/30",
    "10.0.0.2-10.0.0.5",
    "10.0.0.4/31",
    "10.0.0.8/30",
    "10.0.0.254-10.0.1.1",
    "10.0.2.0/29",
    "2001:db8::/126",
    "2001:db8::2-2001:db8::5",
    "2001:db8::10/127",
    "2001:db8:1::/64",
    "10.0.0.9/32",
    "10.0.2.1-10.0.2.3",
];
const ADDRESSES: [&str; 12] = [
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.4",
    "10.0.0.9",
    "10.0.0.255",
    "10.0.2.1",
    "10.9.9.9",
    "2001:db8::1",
    "2001:db8::3",
    "2001:db8::10",
    "2001:db8:9::9",
];

/// Does one thing, and says what.
pub fn act(random: &mut Random, store: &mut Store, now: Timestamp) -> String {
    match random.below(20) {
        0..=4 => make_service(random, store, now),
        5..=6 => delete_service(random, store),
        7..=10 => change_service(random, store),
        11..=13 => put_pool(random, store),
        14 => delete_pool(random, store),
        15 => delete_claim(random, store),
        16 => reserve(random, store, now),
        17 => retain(random, store),
        18 => overwrite(random, store),
        _ => label_namespace(random, store),
    }
}

fn key(name: &str) -> ServiceKey {
    build::service(name).key
}

fn address(random: &mut Random) -> IpAddr {
    let text: &&str = random.pick(&ADDRESSES);
    build::ip(text)
}

fn is_seen(store: &Store, address: IpAddr) -> bool {
    store.claims.contains_key(&address)
        || store.services.values().any(|view| view.shown().any(|shown| shown == address))
}

fn make_service(random: &mut Random, store: &mut Store, now: Timestamp) -> String {
    let name = *random.pick(&NAMES);
    if store.services.contains_key(&key(name)) {
        return format!("{name} is there");
    }
    let mut view = build::service(name);
    view.created_at = Timestamp(now.0 / 1000 * 1000);
    shape(random, &mut view);
    if random.one_in(6) {
        let address = address(random);
        if !is_seen(store, address) {
            view.ingress =
                vec![Ingress { ip: Some(address), hostname: None, ip_mode: None, ports: Vec::new() }];
        }
    }
    if random.one_in(10) {
        view.class = Some("other".to_owned());
    }
    let text = format!("create {}", brief::service(&view));
    store.create_service(view);
    text
}

fn shape(random: &mut Random, view: &mut ServiceView) {
    (view.families, view.family_policy) = match random.below(6) {
        0 => (vec![Family::V6], FamilyPolicy::SingleStack),
        1 => (vec![Family::V4, Family::V6], FamilyPolicy::PreferDualStack),
        2 => (vec![Family::V6, Family::V4], FamilyPolicy::RequireDualStack),
        _ => (vec![Family::V4], FamilyPolicy::SingleStack),
    };
    ask(random, view);
    share(random, view);
    if random.one_in(4) {
        view.labels = [("tier".to_owned(), "gold".to_owned())].into();
    }
}

fn ask(random: &mut Random, view: &mut ServiceView) {
    let mut requests = Requests::default();
    match random.below(12) {
        0 | 1 => requests.addresses.push(address(random)),
        2 => requests.pools.push((*random.pick(&POOLS)).into()),
        3 => requests.pools = vec![(*random.pick(&POOLS)).into(), (*random.pick(&POOLS)).into()],
        4 if random.one_in(3) => {
            view.requests = Err("daymark.dev/addresses: \"x\" is no address".to_owned());
            return;
        }
        _ => {}
    }
    view.requests = Ok(requests);
}

fn share(random: &mut Random, view: &mut ServiceView) {
    view.sharing_key = match random.below(5) {
        0 | 1 => Some("one".to_owned()),
        2 => Some("two".to_owned()),
        _ => None,
    };
    let protocol = if random.one_in(3) { Protocol::Udp } else { Protocol::Tcp };
    let port = *random.pick(&[53, 80, 443]);
    view.ports = vec![PortProtocol { protocol, port }];
    view.traffic_policy = if random.one_in(5) { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
    view.pod_selector = [("app".to_owned(), (*random.pick(&["x", "y"])).to_owned())].into();
}

fn any_service(random: &mut Random, store: &Store) -> Option<ServiceView> {
    let all: Vec<&ServiceView> = store.services.values().collect();
    if all.is_empty() { None } else { Some((*random.pick(&all)).clone()) }
}

fn delete_service(random: &mut Random, store: &mut Store) -> String {
    let Some(mut view) = any_service(random, store) else { return "nothing to delete".to_owned() };
    if !view.deleting && random.one_in(4) {
        view.deleting = true;
        let text = format!("{} gets a deletion timestamp", view.key);
        store.put_service(view);
        return text;
    }
    store.delete_service(&view.key);
    format!("delete {}", view.key)
}

fn change_service(random: &mut Random, store: &mut Store) -> String {
    let Some(mut view) = any_service(random, store) else { return "nothing to change".to_owned() };
    match random.below(8) {
        0 => view.is_load_balancer = !view.is_load_balancer,
        1 | 2 => ask(random, &mut view),
        3 | 4 => share(random, &mut view),
        5 => view.labels = [("tier".to_owned(), "gold".to_owned())].into(),
        6 => {
            (view.families, view.family_policy) = if view.families.len() == 1 {
                let first = view.families[0];
                (vec![first, first.other()], FamilyPolicy::PreferDualStack)
            } else {
                (vec![view.families[0]], FamilyPolicy::SingleStack)
            };
        }
        _ => view.ports = vec![build::tcp(8080)],
    }
    let text = format!("change {}", brief::service(&view));
    store.put_service(view);
    text
}

fn put_pool(random: &mut Random, store: &mut Store) -> String {
    let name: &&str = random.pick(&POOLS);
    let mut pool = build::pool(name, &[]);
    for _ in 0..=random.below(3) {
        pool.addresses.push(random.pick(&BLOCKS[..]).parse().unwrap());
    }
    if random.one_in(4) {
        pool.exclude.push(random.pick(&BLOCKS[..]).parse().unwrap());
    }
    if random.one_in(5) {
        pool.assignment = Assignment::OnRequest;
    }
    pool.avoid_edge_addresses = random.one_in(4);
    pool.priority = *random.pick(&[10, 100, 100, 200]);
    if random.one_in(5) {
        let gold =
            Selector { match_labels: [("tier".to_owned(), "gold".to_owned())].into(), ..Selector::default() };
        if random.one_in(2) {
            pool.service_selector = Some(gold);
        } else {
            pool.namespace_selector = Some(gold);
        }
    }
    pool.sharing =
        *random.pick(&[SharingPolicy::Never, SharingPolicy::SameNamespace, SharingPolicy::AnyNamespace]);
    pool.quarantine = *random.pick(&[
        Quarantine::DEFAULT,
        Quarantine::Strict(Duration::ZERO),
        Quarantine::Strict(Duration::from_secs(20)),
        Quarantine::Lenient(Duration::from_secs(5)),
    ]);
    if random.one_in(5) {
        pool.ip_mode = IpMode::Proxy;
    }
    let text = format!("put pool {}", brief::pool(&pool));
    store.put_pool(pool);
    text
}

fn delete_pool(random: &mut Random, store: &mut Store) -> String {
    let name = *random.pick(&POOLS);
    store.delete_pool(&name.into());
    format!("delete pool {name}")
}

fn any_claim(random: &mut Random, store: &Store) -> Option<IpAddr> {
    let all: Vec<IpAddr> = store.claims.keys().copied().collect();
    if all.is_empty() { None } else { Some(*random.pick(&all)) }
}

fn delete_claim(random: &mut Random, store: &mut Store) -> String {
    let Some(address) = any_claim(random, store) else { return "no claim to delete".to_owned() };
    store.delete_claim(address);
    format!("delete claim {address}")
}

fn reserve(random: &mut Random, store: &mut Store, now: Timestamp) -> String {
    let address = address(random);
    let name = *random.pick(&NAMES);
    let mut claim = build::claim(&address.to_string(), &[]).claim;
    if !random.one_in(4) {
        claim.holders.push(Holder { service: key(name), uid: None });
    }
    claim.retain = random.one_in(3);
    let made = store.create_claim(claim, now).is_some();
    format!("reserve {address} for {name}: {made}")
}

fn retain(random: &mut Random, store: &mut Store) -> String {
    let Some(address) = any_claim(random, store) else { return "no claim to retain".to_owned() };
    let view = store.claims[&address].clone();
    let mut claim = view.claim;
    claim.retain = !claim.retain;
    let text = format!("claim {address} retain {}", claim.retain);
    store.put_claim(claim, view.uid, view.created_at);
    text
}

/// Another controller writes its own idea of a Service's addresses.
fn overwrite(random: &mut Random, store: &mut Store) -> String {
    let Some(mut view) = any_service(random, store) else { return "nothing to overwrite".to_owned() };
    if !view.is_load_balancer {
        return format!("{} has no status to overwrite", view.key);
    }
    let foreign = build::ip("10.9.9.8");
    view.ingress = if random.one_in(2) {
        Vec::new()
    } else {
        vec![Ingress { ip: Some(foreign), hostname: None, ip_mode: None, ports: Vec::new() }]
    };
    view.ingress_manager = Some("rival".to_owned());
    let text = format!("overwrite {} with {:?}", view.key, view.ingress);
    store.put_service(view);
    text
}

fn label_namespace(random: &mut Random, store: &mut Store) -> String {
    let name = *random.pick(&["a", "b"]);
    let labels =
        if random.one_in(2) { [("tier".to_owned(), "gold".to_owned())].into() } else { Default::default() };
    let text = format!("namespace {name} {labels:?}");
    store.put_namespace(name.into(), labels);
    text
}
