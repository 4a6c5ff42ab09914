//! Connections to clouds: one for each region, role and endpoint, with one pace of calls and one cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_aws::AwsCloud;
use daymark_aws::api::{Api, ApiError, Request, Response};
use daymark_aws::pace::{Counts, Paced};
use daymark_aws::refusal::LEADERSHIP_MAY_END;
use daymark_aws::sdk::{ConnectError, Sdk, Settings};
use daymark_kube::lease::Tenure;
use daymark_model::CloudPlace;
use daymark_providers::plan::StepClass;

use crate::writer::DEADLINE;

/// What tells connections apart: region, role, endpoint.
type Target = (Option<String>, Option<String>, Option<String>);

/// The SDK, for as long as we lead: a call whose answer might come after another replica leads is not made.
pub struct Tenured<A> {
    api: A,
    tenure: Tenure,
}

impl<A: Api> Api for Tenured<A> {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        if !self.tenure.allows(DEADLINE) {
            return Err(ApiError {
                status: None,
                ..request.error(LEADERSHIP_MAY_END, "leadership may end before an answer")
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
pub type Cloud = AwsCloud<Paced<Tenured<Sdk>>>;

/// A place, reached with one pace of calls and one cache.
#[derive(Clone)]
pub struct Connection(Arc<Cloud>);

impl Connection {
    /// For passes of `class`: when many wait for their turn, the urgent ones have it first.
    pub fn cloud(&self, class: StepClass) -> Cloud {
        self.0.through(self.0.api().with_class(class))
    }

    /// What was called so far and what came of it, by action.
    pub fn counts(&self) -> BTreeMap<&'static str, Counts> {
        self.0.api().counts()
    }
}

/// All connections of the process.
pub struct Connections {
    tenure: Tenure,
    open: Mutex<BTreeMap<Target, Connection>>,
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
    pub async fn to(&self, place: &CloudPlace) -> Result<Connection, ConnectError> {
        let CloudPlace { region, role_arn, endpoint, .. } = place.clone();
        let target = (region.clone(), role_arn.clone(), endpoint.clone());
        if let Some(connection) = self.open().get(&target) {
            return Ok(connection.clone());
        }
        let sdk = Sdk::connect(Settings { region, role_arn, endpoint }).await?;
        let api = Tenured { api: sdk, tenure: self.tenure.clone() };
        let made = Connection(Arc::new(AwsCloud::new(Paced::new(api))));
        // Of two that were opened side by side one is used, so that there is one pace.
        Ok(self.open().entry(target).or_insert(made).clone())
    }

    /// All that are open.
    pub fn all(&self) -> Vec<Connection> {
        self.open().values().cloned().collect()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Target, Connection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
