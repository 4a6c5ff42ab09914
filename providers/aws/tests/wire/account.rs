//! Tags and quotas.

use std::collections::BTreeMap;

use daymark_aws::api::{
    AddTags, CreateTags, DeleteTags, DescribeAccountLimits, DescribeTags, Limit, RemoveTags, ask,
};

use super::server::{Server, call, ec2, elb};
use super::{map, strings};

#[tokio::test]
async fn tags_of_load_balancing_are_read_set_and_removed() {
    let one = |arn: &str, tags: &str| {
        format!("<member><ResourceArn>{arn}</ResourceArn><Tags>{tags}</Tags></member>")
    };
    let pair = "<member><Key>k</Key><Value>v</Value></member><member><Key>empty</Key></member>";
    let list = format!("<TagDescriptions>{}{}</TagDescriptions>", one("arn:a", pair), one("arn:b", ""));
    let wanted = DescribeTags { arns: strings(["arn:a", "arn:b"]) };
    let (result, form) = call(wanted, elb("DescribeTags", &list)).await;
    let expected: BTreeMap<_, _> =
        [("arn:a".to_owned(), map([("k", "v"), ("empty", "")])), ("arn:b".to_owned(), map([]))].into();
    assert_eq!(result.unwrap(), expected);
    let sent =
        [("Action", "DescribeTags"), ("ResourceArns.member.1", "arn:a"), ("ResourceArns.member.2", "arn:b")];
    assert_eq!(form, map(sent));

    let (result, form) =
        call(AddTags { arn: "arn:a".to_owned(), tags: map([("k", "v")]) }, elb("AddTags", "")).await;
    assert_eq!(result, Ok(()));
    let sent = [
        ("Action", "AddTags"),
        ("ResourceArns.member.1", "arn:a"),
        ("Tags.member.1.Key", "k"),
        ("Tags.member.1.Value", "v"),
    ];
    assert_eq!(form, map(sent));
    let (result, form) =
        call(RemoveTags { arn: "arn:a".to_owned(), keys: strings(["k"]) }, elb("RemoveTags", "")).await;
    assert_eq!(result, Ok(()));
    let sent = [("Action", "RemoveTags"), ("ResourceArns.member.1", "arn:a"), ("TagKeys.member.1", "k")];
    assert_eq!(form, map(sent));
}

#[tokio::test]
async fn tags_of_ec2_are_set_and_removed_whatever_their_value() {
    let (result, form) =
        call(CreateTags { id: "sg-1".to_owned(), tags: map([("k", "v")]) }, ec2("CreateTags", "")).await;
    assert_eq!(result, Ok(()));
    let sent = [("Action", "CreateTags"), ("ResourceId.1", "sg-1"), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")];
    assert_eq!(form, map(sent));
    let (result, form) =
        call(DeleteTags { id: "sg-1".to_owned(), keys: strings(["k"]) }, ec2("DeleteTags", "")).await;
    assert_eq!(result, Ok(()));
    assert_eq!(form, map([("Action", "DeleteTags"), ("ResourceId.1", "sg-1"), ("Tag.1.Key", "k")]));
}

/// EC2 takes no keys for all of them.
#[tokio::test]
async fn no_tags_are_no_call() {
    let server = Server::that_answers([]).await;
    let sdk = server.sdk().await;
    let id = || "x".to_owned();
    assert_eq!(ask(&sdk, DeleteTags { id: id(), keys: Vec::new() }).await, Ok(()));
    assert_eq!(ask(&sdk, CreateTags { id: id(), tags: map([]) }).await, Ok(()));
    assert_eq!(ask(&sdk, RemoveTags { arn: id(), keys: Vec::new() }).await, Ok(()));
    assert_eq!(ask(&sdk, AddTags { arn: id(), tags: map([]) }).await, Ok(()));
    assert_eq!(ask(&sdk, DescribeTags { arns: Vec::new() }).await, Ok(BTreeMap::new()));
    assert!(server.sent().is_empty());
}

#[tokio::test]
async fn quotas_are_read_and_those_that_are_no_number_left_out() {
    let limit = |name: &str, max: &str| format!("<member><Name>{name}</Name><Max>{max}</Max></member>");
    let first =
        format!("<Limits>{}{}</Limits><NextMarker>m</NextMarker>", limit("a", "3000"), limit("b", "many"));
    let second = format!("<Limits>{}</Limits>", limit("c", "50"));
    let answers = [elb("DescribeAccountLimits", &first), elb("DescribeAccountLimits", &second)];
    let server = Server::that_answers(answers).await;
    let found = ask(&server.sdk().await, DescribeAccountLimits {}).await.unwrap();
    let expected = [("a", 3000), ("c", 50)].map(|(name, max)| Limit { name: name.to_owned(), max });
    assert_eq!(found, expected);
}
