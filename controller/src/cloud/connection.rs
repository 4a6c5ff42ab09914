//! Connections to clouds: one for each region, role and endpoint, with one pace of calls and one cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use daymark_aws::AwsCloud;
use daymark_aws::api::{Api, ApiError, Request, Response};
use daymark_aws::pace::Paced;
use daymark_aws::sdk::{ConnectError, Sdk, Settings};
use daymark_kube::lease::Tenure;
use daymark_model::CloudPlace;
use tokio::sync::Mutex;

use crate::writer::DEADLINE;

/// What tells connections apart: region, role, endpoint.
type Target = (Option<String>, Option<String>, Option<String>);

/// The SDK, for as long as we lead: a call whose answer might come after another replica leads is not made.
pub struct Tenured<A> {
    api: A,
    tenure: Tenure,
}

/// A call that was not made.
const STANDING_BY: &str = "LeadershipMayEnd";

impl<A: Api> Api for Tenured<A> {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        if !self.tenure.allows(DEADLINE) {
            return Err(ApiError {
                status: None,
                ..request.error(STANDING_BY, "leadership may end before an answer")
            });
        }
        let action = request.action();
        match tokio::time::timeout(DEADLINE, self.api.call(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let message = format!("no answer within {} s", DEADLINE.as_secs());
                Err(ApiError { status: None, ..ApiError::new(action, ApiError::TIMEOUT, message) })
            }
        }
    }
}

/// What passes work with.
pub type Connection = AwsCloud<Paced<Tenured<Sdk>>>;

/// All connections of the process.
pub struct Connections {
    tenure: Tenure,
    open: Mutex<BTreeMap<Target, Arc<Connection>>>,
}

impl Connections {
    /// None yet; calls are made while `tenure` lasts.
    pub fn new(tenure: Tenure) -> Self {
        Self { tenure, open: Mutex::default() }
    }

    /// The connection to a place.
    ///
    /// # Errors
    /// When there is no region, or no TLS.
    pub async fn to(&self, place: &CloudPlace) -> Result<Arc<Connection>, ConnectError> {
        let CloudPlace { region, role_arn, endpoint, .. } = place.clone();
        let target = (region.clone(), role_arn.clone(), endpoint.clone());
        let mut open = self.open.lock().await;
        if let Some(connection) = open.get(&target) {
            return Ok(connection.clone());
        }
        let sdk = Sdk::connect(Settings { region, role_arn, endpoint }).await?;
        let api = Tenured { api: sdk, tenure: self.tenure.clone() };
        let connection = Arc::new(AwsCloud::new(Paced::new(api)));
        open.insert(target, connection.clone());
        Ok(connection)
    }
}
