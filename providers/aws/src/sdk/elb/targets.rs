//! Targets and their health.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetHealthDescription};

use crate::api::{
    ApiError, DeregisterTargets, DescribeTargetHealth, RegisterTargets, Target, TargetHealth, TargetState,
};
use crate::sdk::decode::{Unreadable, elements, number, required, text};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn register(client: &Client, call: RegisterTargets) -> Result<(), ApiError> {
    if call.targets.is_empty() {
        return Ok(());
    }
    let request =
        client.register_targets().target_group_arn(call.arn).set_targets(Some(described(call.targets)));
    request.send().await.map(drop).map_err(failed::<RegisterTargets, _>)
}

pub(in crate::sdk) async fn deregister(client: &Client, call: DeregisterTargets) -> Result<(), ApiError> {
    if call.targets.is_empty() {
        return Ok(());
    }
    let request =
        client.deregister_targets().target_group_arn(call.arn).set_targets(Some(described(call.targets)));
    request.send().await.map(drop).map_err(failed::<DeregisterTargets, _>)
}

pub(in crate::sdk) async fn health(
    client: &Client,
    call: DescribeTargetHealth,
) -> Result<Vec<TargetHealth>, ApiError> {
    let answer = client.describe_target_health().target_group_arn(call.arn).send().await;
    let answer = answer.map_err(failed::<DescribeTargetHealth, _>)?;
    elements(answer.target_health_descriptions.unwrap_or_default(), Unreadable::Fails, read)
}

fn described(targets: Vec<Target>) -> Vec<TargetDescription> {
    let one = |target: Target| {
        TargetDescription::builder()
            .id(target.id)
            .port(target.port.into())
            .set_availability_zone(target.zone)
            .build()
    };
    targets.into_iter().map(one).collect()
}

fn read(from: TargetHealthDescription) -> Result<TargetHealth, ApiError> {
    let target = required::<DescribeTargetHealth, _>("Target", from.target)?;
    let port = required::<DescribeTargetHealth, _>("Target.Port", target.port)?;
    let (state, reason) = from.target_health.map(|health| (health.state, health.reason)).unwrap_or_default();
    let state = state.and_then(|state| TargetState::parse(state.as_str()));
    Ok(TargetHealth {
        target: Target {
            id: required::<DescribeTargetHealth, _>("Target.Id", target.id)?,
            port: number::<DescribeTargetHealth, _>("Target.Port", port)?,
            zone: text(target.availability_zone),
        },
        // Neither healthy nor the opposite may be read out of a word that nobody knows.
        state: state.unwrap_or(TargetState::Unavailable),
        reason: text(reason),
    })
}
