//! What goes wrong between here and AWS.

use std::time::Duration;

use daymark_aws::api::{ApiError, DescribeAccountLimits, DescribeVpcs, ask};
use daymark_aws::sdk::{Sdk, Settings};

use super::server::{Answer, Server, call, ec2_error, elb_error};
use super::strings;

async fn limits(answer: Answer) -> ApiError {
    call(DescribeAccountLimits {}, answer).await.0.unwrap_err()
}

#[tokio::test]
async fn throttling_says_how_long_and_is_not_tried_again() {
    let error = limits(elb_error(400, "Throttling", "Retry-After: 7\r\n")).await;
    let expected = ApiError {
        retry_after: Some(Duration::from_secs(7)),
        ..ApiError::new("elasticloadbalancing:DescribeAccountLimits", "Throttling", "no, Throttling")
    };
    assert_eq!(error, expected);
    let error = limits(elb_error(503, "ServiceUnavailable", "Retry-After: 999999\r\n")).await;
    assert_eq!((error.status, error.retry_after), (Some(503), Some(Duration::from_secs(3600))));
    let error = limits(elb_error(400, "Throttling", "Retry-After: Fri, 01 Jan 2027 00:00:00 GMT\r\n")).await;
    assert_eq!(error.retry_after, None);
    let (result, _) =
        call(DescribeVpcs { ids: strings(["vpc-1"]) }, ec2_error(503, "RequestLimitExceeded")).await;
    let error = result.unwrap_err();
    assert_eq!((error.action, error.code.as_str()), ("ec2:DescribeVpcs", "RequestLimitExceeded"));
    assert_eq!((error.status, error.message.as_str()), (Some(503), "no, RequestLimitExceeded"));
}

#[tokio::test]
async fn an_answer_that_is_none_of_aws_is_shown() {
    let page =
        Answer::Http(500, "content-type: text/html\r\n".to_owned(), "<html>\n Oops </html>".to_owned());
    let error = limits(page).await;
    assert_eq!((error.code.as_str(), error.status), (ApiError::GARBLED, Some(500)));
    assert_eq!(error.message, "the answer cannot be read, it begins with `<html> Oops </html>`");
    for body in ["", "no xml", "<DescribeAccountLimitsResponse><Describe"] {
        let error = limits(Answer::Http(200, String::new(), body.to_owned())).await;
        assert_eq!((error.code.as_str(), error.status), (ApiError::GARBLED, Some(200)), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_told() {
    for answer in [Answer::Cut, Answer::Broken] {
        let error = limits(answer).await;
        assert_eq!(error.code, ApiError::CONNECTION, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let endpoint = Some("http://127.0.0.1:9".to_owned());
    let settings = Settings { region: Some("eu-central-1".to_owned()), endpoint, role_arn: None };
    let sdk = Sdk::connect_with_key(settings, "AKIDTEST", "secret").await.unwrap();
    assert_eq!(sdk.region(), "eu-central-1");
    let error = ask(&sdk, DescribeAccountLimits {}).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), (ApiError::CONNECTION, None), "{error}");
    assert!(error.message.to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::that_answers([Answer::Silence]).await;
    let sdk = server.sdk().await;
    let asking = tokio::spawn(async move { ask(&sdk, DescribeAccountLimits {}).await });
    while server.sent().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Nothing moves any more but the clock, which from here on jumps to what is waited for.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let error = asking.await.unwrap().unwrap_err();
    assert_eq!((error.code.as_str(), error.status), (ApiError::TIMEOUT, None), "{error}");
    assert!(begin.elapsed() <= Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(server.sent().len(), 1);
}

#[tokio::test]
async fn calls_are_signed_for_their_service_and_name_daymark() {
    let server = Server::that_answers([]).await;
    let sdk = server.sdk().await;
    let _ = ask(&sdk, DescribeAccountLimits {}).await;
    let _ = ask(&sdk, DescribeVpcs { ids: strings(["vpc-1"]) }).await;
    let sent = server.sent();
    for (sent, service) in sent.iter().zip(["elasticloadbalancing", "ec2"]) {
        assert!(sent.first_line.starts_with("POST / "), "{}", sent.first_line);
        assert!(sent.head.contains("Credential=AKIDTEST/"), "{}", sent.head);
        assert!(sent.head.contains(&format!("/eu-central-1/{service}/aws4_request")), "{}", sent.head);
        assert!(sent.head.contains("app/daymark"), "{}", sent.head);
    }
    assert_eq!(sent.len(), 2);
}
