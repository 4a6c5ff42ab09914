//! Certificates of a listener beside the default one.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::Certificate;

use crate::api::{
    AddListenerCertificates, ApiError, DescribeListenerCertificates, RemoveListenerCertificates,
};
use crate::sdk::decode::pages;
use crate::sdk::error::failed;

pub(in crate::sdk) async fn describe(
    client: &Client,
    call: DescribeListenerCertificates,
) -> Result<Vec<String>, ApiError> {
    let request = client.describe_listener_certificates().listener_arn(call.arn);
    let found: Vec<Certificate> =
        pages!(DescribeListenerCertificates, request.into_paginator(), certificates)?;
    let others = found.into_iter().filter(|one| one.is_default != Some(true));
    let mut arns: Vec<String> = others.filter_map(|one| one.certificate_arn).collect();
    arns.sort();
    arns.dedup();
    Ok(arns)
}

pub(in crate::sdk) async fn add(client: &Client, call: AddListenerCertificates) -> Result<(), ApiError> {
    if call.certificates.is_empty() {
        return Ok(());
    }
    let request = client.add_listener_certificates().listener_arn(call.arn);
    let request = request.set_certificates(Some(named(call.certificates)));
    request.send().await.map(drop).map_err(failed::<AddListenerCertificates, _>)
}

pub(in crate::sdk) async fn remove(
    client: &Client,
    call: RemoveListenerCertificates,
) -> Result<(), ApiError> {
    if call.certificates.is_empty() {
        return Ok(());
    }
    let request = client.remove_listener_certificates().listener_arn(call.arn);
    let request = request.set_certificates(Some(named(call.certificates)));
    request.send().await.map(drop).map_err(failed::<RemoveListenerCertificates, _>)
}

fn named(arns: Vec<String>) -> Vec<Certificate> {
    arns.into_iter().map(|arn| Certificate::builder().certificate_arn(arn).build()).collect()
}
