//! Listeners.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    self as aws, Action, ActionTypeEnum, Certificate, ForwardActionConfig, TargetGroupTuple,
};

use super::{or_gone, tags};
use crate::api::{
    ApiError, Call, CreateListener, DeleteListener, DescribeListeners, Forward, Listener, ModifyListener,
    NlbProtocol,
};
use crate::sdk::decode::{Unreadable, elements, number, only, pages, required, text, word};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn describe(
    client: &Client,
    call: DescribeListeners,
) -> Result<Vec<Listener>, ApiError> {
    let request = client.describe_listeners().load_balancer_arn(call.load_balancer);
    let found = pages!(DescribeListeners, request.into_paginator(), listeners);
    let found = or_gone(found, "ListenerNotFound", Vec::new())?;
    elements(found, Unreadable::Fails, read::<DescribeListeners>)
}

pub(in crate::sdk) async fn create(client: &Client, call: CreateListener) -> Result<Listener, ApiError> {
    let request = client
        .create_listener()
        .load_balancer_arn(call.load_balancer)
        .port(call.port.into())
        .protocol(call.protocol.as_str().into())
        .default_actions(action(call.forward))
        .set_certificates(call.certificate.map(certificate))
        .set_ssl_policy(call.policy)
        .set_alpn_policy(call.alpn.map(|policy| vec![policy]))
        .set_tags(tags(call.tags));
    let answer = request.send().await.map_err(failed::<CreateListener, _>)?;
    read::<CreateListener>(only::<CreateListener, _>("Listeners", answer.listeners)?)
}

pub(in crate::sdk) async fn modify(client: &Client, call: ModifyListener) -> Result<(), ApiError> {
    let request = client
        .modify_listener()
        .listener_arn(call.arn)
        .set_protocol(call.protocol.map(|protocol| protocol.as_str().into()))
        .set_default_actions(call.forward.map(|forward| vec![action(forward)]))
        .set_certificates(call.certificate.map(certificate))
        .set_ssl_policy(call.policy)
        .set_alpn_policy(call.alpn.map(|policy| vec![policy]));
    request.send().await.map(drop).map_err(failed::<ModifyListener, _>)
}

pub(in crate::sdk) async fn delete(client: &Client, call: DeleteListener) -> Result<(), ApiError> {
    let result = client.delete_listener().listener_arn(call.arn).send().await;
    or_gone(result.map(drop).map_err(failed::<DeleteListener, _>), "ListenerNotFound", ())
}

fn certificate(arn: String) -> Vec<Certificate> {
    vec![Certificate::builder().certificate_arn(arn).build()]
}

/// Several target groups have weights; a single one is named twice, as AWS itself answers.
fn action(forward: Vec<Forward>) -> Action {
    let only = match forward.as_slice() {
        [only] => Some(only.target_group.clone()),
        _ => None,
    };
    let tuple = |to: Forward| {
        let weight = only.is_none().then(|| i32::try_from(to.weight).unwrap_or(i32::MAX));
        TargetGroupTuple::builder().target_group_arn(to.target_group).set_weight(weight).build()
    };
    let config =
        ForwardActionConfig::builder().set_target_groups(Some(forward.into_iter().map(tuple).collect()));
    Action::builder()
        .r#type(ActionTypeEnum::Forward)
        .set_target_group_arn(only.clone())
        .forward_config(config.build())
        .build()
}

fn read<C: Call>(from: aws::Listener) -> Result<Listener, ApiError> {
    let protocol = required::<C, _>("Protocol", from.protocol)?;
    let protocol = word::<C, _>("Protocol", protocol.as_str(), NlbProtocol::parse)?;
    // Some servers give every listener a policy.
    let only_tls = |text: &String| protocol == NlbProtocol::Tls && !text.is_empty();
    let certificates = from.certificates.unwrap_or_default();
    let default = certificates.into_iter().find(|one| one.is_default != Some(false));
    Ok(Listener {
        arn: required::<C, _>("ListenerArn", from.listener_arn)?,
        load_balancer: required::<C, _>("LoadBalancerArn", from.load_balancer_arn)?,
        port: number::<C, _>("Port", required::<C, _>("Port", from.port)?)?,
        protocol,
        forward: forward::<C>(from.default_actions.unwrap_or_default())?,
        certificate: default.and_then(|one| text(one.certificate_arn)),
        policy: from.ssl_policy.filter(only_tls),
        alpn: from.alpn_policy.unwrap_or_default().into_iter().next().filter(only_tls),
    })
}

fn forward<C: Call>(actions: Vec<Action>) -> Result<Vec<Forward>, ApiError> {
    let mut all = Vec::new();
    for action in actions {
        let groups = action.forward_config.and_then(|config| config.target_groups).unwrap_or_default();
        if groups.is_empty() {
            all.extend(action.target_group_arn.map(|target_group| Forward { target_group, weight: 1 }));
        }
        for group in groups {
            let target_group = required::<C, _>("TargetGroupArn", group.target_group_arn)?;
            let weight = number::<C, _>("Weight", group.weight.unwrap_or(1))?;
            all.push(Forward { target_group, weight });
        }
    }
    if let [only] = all.as_mut_slice() {
        only.weight = 1;
    }
    all.sort();
    Ok(all)
}
