//! Where credentials come from. The environment belongs to a process: each test starts this program again with another one.

use std::io::Write;
use std::process::Stdio;

use daymark_aws::api::{ApiError, DescribeAccountLimits, ask};
use daymark_aws::sdk::{ConnectError, Sdk, Settings};
use tokio::process::Command;

use super::server::{Answer, Server, elb, elb_error, ok};

const ROLE: &str = "arn:aws:iam::123456789012:role/daymark";

/// What the program that is started again does: one call, and its outcome on standard output.
#[tokio::test]
#[ignore = "a part of the others"]
async fn child() {
    let settings = Settings { role_arn: std::env::var("TEST_ROLE").ok(), ..Settings::default() };
    let outcome = match Sdk::connect(settings).await {
        Err(ConnectError::NoRegion) => "no region".to_owned(),
        Err(error) => error.to_string(),
        Ok(sdk) => match ask(&sdk, DescribeAccountLimits {}).await {
            Ok(limits) => format!("{} limits in {}", limits.len(), sdk.region()),
            Err(error) => format!("{}: {}", error.code, error.message),
        },
    };
    println!("outcome: {outcome}");
}

/// What a program with that environment gets.
async fn outcome(environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "credentials::child", "--ignored", "--nocapture"]);
    command.env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs(environment.iter().copied()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let outcome = text.lines().find_map(|line| line.split_once("outcome: "));
    outcome.unwrap_or_else(|| panic!("no outcome in {text}")).1.to_owned()
}

fn limits() -> Answer {
    elb("DescribeAccountLimits", "<Limits><member><Name>a</Name><Max>1</Max></member></Limits>")
}

fn session(action: &str, id: &str) -> Answer {
    ok(format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         <AssumedRoleUser><Arn>{ROLE}</Arn><AssumedRoleId>x:daymark</AssumedRoleId></AssumedRoleUser>\
         </{action}Result></{action}Response>"
    ))
}

#[tokio::test]
async fn without_a_region_nothing_begins() {
    assert_eq!(outcome(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")]).await, "no region");
}

#[tokio::test]
async fn without_credentials_the_first_call_says_so() {
    let outcome = outcome(&[("AWS_REGION", "eu-central-1")]).await;
    assert!(outcome.starts_with(ApiError::CREDENTIALS), "{outcome}");
}

/// A metadata service that is filtered away, as it is for pods behind a hop limit of 1.
#[tokio::test]
async fn a_silent_metadata_service_is_given_up() {
    let silent = Server::that_answers([const { Answer::Silence }; 16]).await;
    let metadata =
        [("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &silent.url)];
    let region = [metadata.as_slice(), &[("AWS_REGION", "eu-central-1")]].concat();
    let (without, with) = tokio::join!(outcome(&metadata), outcome(&region));
    assert!(silent.sent().len() >= 2, "both ask it");
    assert_eq!(without, "no region");
    assert!(with.starts_with(ApiError::CREDENTIALS), "{with}");
}

#[tokio::test]
async fn the_environment_is_enough() {
    let server = Server::that_answers([limits()]).await;
    let environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", &server.url),
    ];
    assert_eq!(outcome(&environment).await, "1 limits in eu-west-1");
    assert!(server.sent()[0].head.contains("Credential=AKIDENV/"));
}

#[tokio::test]
async fn a_role_is_assumed() {
    let server = Server::that_answers([session("AssumeRole", "AKIDROLE"), limits()]).await;
    let environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", &server.url),
        ("TEST_ROLE", ROLE),
    ];
    assert_eq!(outcome(&environment).await, "1 limits in eu-west-1");
    let sent = server.sent();
    assert_eq!(sent[0].form["Action"], "AssumeRole");
    assert_eq!(
        (sent[0].form["RoleArn"].as_str(), sent[0].form["RoleSessionName"].as_str()),
        (ROLE, "daymark")
    );
    assert!(sent[0].head.contains("Credential=AKIDENV/"), "{}", sent[0].head);
    assert!(sent[1].head.contains("Credential=AKIDROLE/"), "{}", sent[1].head);
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_told() {
    let refused = elb_error(403, "AccessDenied", "");
    let server = Server::that_answers([refused.clone(), refused.clone(), refused]).await;
    let environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", &server.url),
        ("TEST_ROLE", ROLE),
    ];
    let outcome = outcome(&environment).await;
    assert!(outcome.starts_with(ApiError::CREDENTIALS), "{outcome}");
    assert!(outcome.contains("AccessDenied"), "{outcome}");
}

/// IAM roles for service accounts: a token in a file, and STS.
#[tokio::test]
async fn a_web_identity_is_enough() {
    let server = Server::that_answers([session("AssumeRoleWithWebIdentity", "AKIDWEB"), limits()]).await;
    let token = token("web-token");
    let environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path.as_str()),
        ("AWS_ENDPOINT_URL", &server.url),
    ];
    assert_eq!(outcome(&environment).await, "1 limits in eu-west-1");
    let sent = server.sent();
    assert_eq!(sent[0].form["WebIdentityToken"], "web-token");
    assert!(sent[1].head.contains("Credential=AKIDWEB/"), "{}", sent[1].head);
}

/// EKS Pod Identity: a token in a file, and an agent on the node.
#[tokio::test]
async fn a_pod_identity_is_enough() {
    let credentials =
        r#"{"AccessKeyId":"AKIDPOD","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    let agent = Answer::Http(200, "content-type: application/json\r\n".to_owned(), credentials.to_owned());
    let agent = Server::that_answers([agent]).await;
    let server = Server::that_answers([limits()]).await;
    let token = token("pod-token");
    let uri = format!("{}/v1/credentials", agent.url);
    let environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path.as_str()),
        ("AWS_ENDPOINT_URL", &server.url),
    ];
    assert_eq!(outcome(&environment).await, "1 limits in eu-west-1");
    let asked = &agent.sent()[0];
    assert_eq!(asked.first_line, "GET /v1/credentials HTTP/1.1");
    assert!(asked.head.contains("pod-token"), "{}", asked.head);
    assert!(server.sent()[0].head.contains("Credential=AKIDPOD/"));
}

/// A file that goes when this is dropped.
struct Token {
    path: String,
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn token(text: &str) -> Token {
    let path = std::env::temp_dir().join(format!("daymark-{text}-{}", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    Token { path: path.display().to_string() }
}
