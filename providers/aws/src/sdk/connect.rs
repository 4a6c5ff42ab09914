//! Credentials, region, TLS and timeouts.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::Sdk;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One answer, or one page of it; getting credentials counts.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Finding out the region, where nobody says it: the metadata service gives up after a second, four times at most.
const REGION_TIMEOUT: Duration = Duration::from_secs(10);
/// The name in AWS's logs, and of the session of an assumed role.
const NAME: &str = "daymark";

/// Which AWS is asked, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The region; `None` = `AWS_REGION`, the profile, or that of the instance this runs on.
    pub region: Option<String>,
    /// The URL that everything is asked at instead of AWS's; `None` = AWS's, or what `AWS_ENDPOINT_URL` and
    /// `AWS_ENDPOINT_URL_<SERVICE>` say.
    pub endpoint: Option<String>,
    /// The role that is assumed with the credentials that there are; `None` = those themselves.
    pub role_arn: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody says the region.
    #[error(
        "no AWS region is known: set one in the profile, or AWS_REGION; the instance metadata service does not tell it \
         either (hop limit 1 keeps pods from it)"
    )]
    NoRegion,
    /// The region cannot be one.
    #[error("`{0}` is no AWS region: it is a word like eu-central-1")]
    BadRegion(String),
    /// The endpoint is no URL.
    #[error("the endpoint `{0}` is no URL: it begins with https:// (or http://) and names a host")]
    BadEndpoint(String),
    /// The role is no ARN of one.
    #[error("`{0}` is no ARN of a role: it looks like arn:aws:iam::123456789012:role/daymark")]
    BadRole(String),
}

impl Sdk {
    /// Connects with the credentials that the environment offers: variables, the profile, a web identity token (IRSA), the
    /// container's agent (EKS Pod Identity) or the instance's role. Nothing is asked of them yet: what is wrong with them
    /// is said by the first call, with [`ApiError::CREDENTIALS`](crate::api::ApiError::CREDENTIALS).
    ///
    /// # Errors
    /// When the settings cannot be right, or no region is known.
    pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        Self::build(settings, None).await
    }

    /// Connects with this access key in place of what the environment offers.
    ///
    /// # Errors
    /// As [`Sdk::connect`].
    pub async fn connect_with_key(
        settings: Settings,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Result<Self, ConnectError> {
        let key = Credentials::new(access_key_id, secret_access_key, None, None, NAME);
        Self::build(settings, Some(key)).await
    }

    async fn build(settings: Settings, key: Option<Credentials>) -> Result<Self, ConnectError> {
        settings.check()?;
        let mut loader = loader();
        if let Some(region) = settings.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(key) = key {
            loader = loader.credentials_provider(key);
        }
        let loaded = tokio::time::timeout(REGION_TIMEOUT, loader.load()).await;
        let mut config = loaded.map_err(|_| ConnectError::NoRegion)?;
        let region = config.region().ok_or(ConnectError::NoRegion)?.to_string();
        if let Some(role) = settings.role_arn {
            config = as_role(config, role).await;
        }
        // Only the calls themselves are not retried; getting credentials is.
        let never = RetryConfig::disabled();
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(&config).retry_config(never.clone());
        let ec2 = aws_sdk_ec2::config::Builder::from(&config).retry_config(never);
        Ok(Self {
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(elb.build()),
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            region,
        })
    }
}

fn loader() -> ConfigLoader {
    // With ring, as everywhere in this process: a second crypto provider makes rustls panic.
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(CALL_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let loader =
        aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).timeout_config(timeouts);
    match AppName::new(NAME) {
        Ok(name) => loader.app_name(name),
        Err(_) => loader,
    }
}

async fn as_role(config: SdkConfig, role: String) -> SdkConfig {
    let role = AssumeRoleProvider::builder(role).session_name(NAME).configure(&config).build().await;
    config.into_builder().credentials_provider(SharedCredentialsProvider::new(role)).build()
}

impl Settings {
    fn check(&self) -> Result<(), ConnectError> {
        let is_region = |text: &str| {
            let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            plain && text.contains('-')
        };
        if let Some(region) = self.region.as_ref().filter(|region| !is_region(region)) {
            return Err(ConnectError::BadRegion(region.clone()));
        }
        let is_url = |text: &str| {
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(' '))
        };
        if let Some(endpoint) = self.endpoint.as_ref().filter(|endpoint| !is_url(endpoint)) {
            return Err(ConnectError::BadEndpoint(endpoint.clone()));
        }
        let is_role = |text: &str| text.starts_with("arn:") && text.contains(":role/");
        if let Some(role) = self.role_arn.as_ref().filter(|role| !is_role(role)) {
            return Err(ConnectError::BadRole(role.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_right_are_refused() {
        let region = |text: &str| Settings { region: Some(text.to_owned()), ..Settings::default() }.check();
        assert_eq!(region("eu-central-1"), Ok(()));
        assert_eq!(region("eu central"), Err(ConnectError::BadRegion("eu central".to_owned())));
        assert_eq!(region(""), Err(ConnectError::BadRegion(String::new())));
        let endpoint =
            |text: &str| Settings { endpoint: Some(text.to_owned()), ..Settings::default() }.check();
        assert_eq!(endpoint("http://127.0.0.1:5005"), Ok(()));
        for wrong in ["127.0.0.1:5005", "https://", "http://:80", "ftp://host"] {
            assert_eq!(endpoint(wrong), Err(ConnectError::BadEndpoint(wrong.to_owned())));
        }
        let role = |text: &str| Settings { role_arn: Some(text.to_owned()), ..Settings::default() }.check();
        assert_eq!(role("arn:aws-cn:iam::123456789012:role/path/daymark"), Ok(()));
        assert_eq!(role("daymark"), Err(ConnectError::BadRole("daymark".to_owned())));
    }
}
