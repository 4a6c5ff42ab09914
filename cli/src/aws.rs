//! The connection to AWS, with the feature `aws`.

use daymark_model::CloudPlace;

/// Why AWS is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAws {
    /// The tool was built without.
    #[error("this build of daymark has no AWS: cargo install --path cli --features aws")]
    NotBuilt,
    /// There is no connection.
    #[error("AWS is not asked: {0}")]
    NoConnection(String),
}

/// Where AWS is asked, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The region; `None` = what the environment says.
    pub region: Option<String>,
    /// The IAM role to assume; `None` = none.
    pub role_arn: Option<String>,
    /// The URL; `None` = the region's own endpoints.
    pub endpoint: Option<String>,
}

impl From<&CloudPlace> for Access {
    fn from(place: &CloudPlace) -> Self {
        Self {
            region: place.region.clone(),
            role_arn: place.role_arn.clone(),
            endpoint: place.endpoint.clone(),
        }
    }
}

/// Connects with the credentials of this shell.
///
/// # Errors
/// When there is no region, or the settings cannot be right.
#[cfg(feature = "aws")]
pub async fn connect(access: Access) -> Result<daymark_aws::sdk::Sdk, NoAws> {
    let Access { region, role_arn, endpoint } = access;
    let settings = daymark_aws::sdk::Settings { region, role_arn, endpoint };
    daymark_aws::sdk::Sdk::connect(settings).await.map_err(|error| NoAws::NoConnection(error.to_string()))
}

/// Refuses: this build has no AWS.
///
/// # Errors
/// Always.
#[cfg(not(feature = "aws"))]
pub async fn connect(_access: Access) -> Result<Unreachable, NoAws> {
    Err(NoAws::NotBuilt)
}

/// The AWS of a build that has none: there is no value of it.
#[cfg(not(feature = "aws"))]
#[derive(Debug, Clone, Copy)]
pub enum Unreachable {}

#[cfg(not(feature = "aws"))]
impl daymark_aws::api::Api for Unreachable {
    async fn call(
        &self,
        _request: daymark_aws::api::Request,
    ) -> Result<daymark_aws::api::Response, daymark_aws::api::ApiError> {
        match *self {}
    }
}
