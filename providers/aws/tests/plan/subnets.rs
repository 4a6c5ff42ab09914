//! Which subnets are chosen.

use daymark_aws::api::{RouteTable, Scheme, Subnet};
use daymark_aws::model::SubnetWish;
use daymark_aws::subnets::{Purpose, mappings};

fn subnet(number: u8, zone: &str, tags: &[(&str, &str)]) -> Subnet {
    Subnet {
        id: format!("subnet-{number}"),
        vpc: "vpc-1".into(),
        zone: zone.into(),
        ipv4: format!("10.0.{number}.0/24").parse().unwrap(),
        ipv6: if number.is_multiple_of(2) {
            vec![format!("2001:db8:0:{number}::/64").parse().unwrap()]
        } else {
            vec![]
        },
        available: 200,
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

const ELB: (&str, &str) = ("kubernetes.io/role/elb", "1");

fn chosen(
    wish: &SubnetWish,
    dualstack: bool,
    subnets: &[Subnet],
    routes: &[RouteTable],
) -> Result<Vec<String>, &'static str> {
    let purpose = Purpose { scheme: Scheme::InternetFacing, dualstack, cluster: "test" };
    let found = mappings(wish, purpose, subnets, routes).map_err(|error| {
        assert!(error.remedy.is_some(), "{error}");
        error.reason
    })?;
    Ok(found.into_iter().map(|mapping| mapping.subnet).collect())
}

#[test]
fn one_per_zone_is_found_by_tag() {
    let own = ("kubernetes.io/cluster/test", "shared");
    let others = ("kubernetes.io/cluster/other", "shared");
    let mut full = subnet(9, "c", &[ELB]);
    full.available = 7;
    let subnets = [
        subnet(1, "a", &[ELB]),
        subnet(2, "a", &[ELB, own]),
        subnet(3, "b", &[ELB, others]),
        subnet(4, "b", &[("kubernetes.io/role/elb", "")]),
        subnet(5, "b", &[ELB]),
        subnet(6, "d", &[("kubernetes.io/role/internal-elb", "1")]),
        full,
    ];
    let any = SubnetWish::default();
    assert_eq!(chosen(&any, false, &subnets, &[]), Ok(vec!["subnet-2".into(), "subnet-4".into()]));
    assert_eq!(chosen(&any, true, &subnets[..1], &[]), Err("NoSubnets"));
}

#[test]
fn without_tags_routes_decide() {
    let subnets = [subnet(1, "a", &[]), subnet(2, "b", &[])];
    let routes = [
        RouteTable { subnets: vec!["subnet-1".into()], is_main: false, is_public: true },
        RouteTable { subnets: vec![], is_main: true, is_public: false },
    ];
    let any = SubnetWish::default();
    assert_eq!(chosen(&any, false, &subnets, &routes), Ok(vec!["subnet-1".into()]));
    assert_eq!(chosen(&any, false, &subnets, &[]), Err("NoSubnets"));
}

#[test]
fn named_ones_keep_their_order_and_their_addresses() {
    let subnets = [subnet(1, "a", &[("Name", "first")]), subnet(2, "b", &[]), subnet(3, "b", &[])];
    let wish = |named: &[&str]| SubnetWish {
        named: named.iter().map(|name| (*name).to_owned()).collect(),
        ..SubnetWish::default()
    };
    assert_eq!(
        chosen(&wish(&["subnet-2", "first"]), false, &subnets, &[]),
        Ok(vec!["subnet-2".into(), "subnet-1".into()])
    );
    assert_eq!(chosen(&wish(&["subnet-7"]), false, &subnets, &[]), Err("SubnetNotFound"));
    assert_eq!(chosen(&wish(&["subnet-2", "subnet-3"]), false, &subnets, &[]), Err("SubnetsInOneZone"));
    assert_eq!(chosen(&wish(&["first"]), true, &subnets, &[]), Err("NoIpv6"));
    let addressed = SubnetWish { private: vec!["10.0.1.9".parse().unwrap()], ..wish(&["subnet-2", "first"]) };
    assert_eq!(chosen(&addressed, false, &subnets, &[]), Err("AddressCount"));
    let two = |a: &str, b: &str| SubnetWish {
        private: vec![a.parse().unwrap(), b.parse().unwrap()],
        ..wish(&["subnet-2", "first"])
    };
    assert_eq!(chosen(&two("10.0.1.9", "10.0.9.9"), false, &subnets, &[]), Err("AddressOutsideSubnets"));
    assert_eq!(chosen(&two("10.0.1.9", "10.0.1.8"), false, &subnets, &[]), Err("AddressCount"));
    let purpose = Purpose { scheme: Scheme::Internal, dualstack: false, cluster: "test" };
    let found = mappings(&two("10.0.1.9", "10.0.2.9"), purpose, &subnets, &[]).unwrap();
    assert_eq!(found[0].private, Some("10.0.2.9".parse().unwrap()));
}
