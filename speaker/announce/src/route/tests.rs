use super::*;

fn source(name: &str, created: i64, med: Option<u32>) -> Arc<Source> {
    let bgp = BgpAnnouncement { med, ..BgpAnnouncement::default() };
    Arc::new(Source::new(&name.into(), Timestamp(created), &bgp))
}

fn route(prefix: &str, neighbor: &str, sources: &[Arc<Source>]) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        neighbor: neighbor.into(),
        attributes: Arc::new(merge(sources, Standing::Normal).0),
        sources: sources.into(),
        standing: Standing::Normal,
    }
}

#[test]
fn an_aggregate_has_the_attributes_of_all_that_give_it() {
    let (old, new) = (source("old", 1, Some(10)), source("new", 2, Some(20)));
    let by_new = route("192.0.2.0/24", "tor-a", std::slice::from_ref(&new));
    let by_old = route("192.0.2.0/24", "tor-a", std::slice::from_ref(&old));
    let elsewhere = route("192.0.2.0/24", "tor-b", std::slice::from_ref(&new));
    let folded = fold([by_new.clone(), by_old.clone(), elsewhere.clone()]);
    let [a, b] = folded.as_slice() else { panic!("{folded:?}") };
    assert_eq!((a.neighbor.as_str(), a.attributes.med), ("tor-a", Some(10)));
    assert_eq!(&*a.sources, [old, new]);
    assert_eq!(b, &elsewhere);
    assert_eq!(fold([by_new.clone(), by_new.clone()]), [by_new], "it lives as long as one address");
}

#[test]
fn an_aggregate_is_the_last_resort_only_for_all_of_it() {
    let source = source("all", 1, None);
    let normal = route("192.0.2.0/24", "tor-a", std::slice::from_ref(&source));
    let attributes = Arc::new(merge(std::slice::from_ref(&source), Standing::LastResort).0);
    let last = Route { attributes, standing: Standing::LastResort, ..normal.clone() };
    assert_eq!(fold([last.clone(), normal.clone()]), std::slice::from_ref(&normal));
    assert_eq!(fold([normal.clone(), last.clone()]), [normal]);
    assert_eq!(fold([last.clone(), last.clone()]), [last]);
}

#[test]
fn prepends_have_a_limit() {
    let bgp = BgpAnnouncement { prepend: 254, ..BgpAnnouncement::default() };
    let source = Arc::new(Source::new(&"a".into(), Timestamp(0), &bgp));
    assert_eq!(merge(&[source], Standing::LastResort).0.prepend, 255);
}
