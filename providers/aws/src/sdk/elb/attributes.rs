//! Attributes of load balancers, target groups and listeners: the same three times, with types of their own in the SDK.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{ListenerAttribute, LoadBalancerAttribute, TargetGroupAttribute};

use crate::api::{
    ApiError, Attributes, DescribeListenerAttributes, DescribeLoadBalancerAttributes,
    DescribeTargetGroupAttributes, ModifyListenerAttributes, ModifyLoadBalancerAttributes,
    ModifyTargetGroupAttributes,
};
use crate::sdk::error::failed;

macro_rules! attributes {
    (
        $describe:ident: $describe_call:ident => $describe_method:ident,
        $modify:ident: $modify_call:ident => $modify_method:ident,
        $arn:ident, $attribute:ident
    ) => {
        pub(in crate::sdk) async fn $describe(
            client: &Client,
            call: $describe_call,
        ) -> Result<Attributes, ApiError> {
            let answer = client.$describe_method().$arn(call.arn).send().await;
            let answer = answer.map_err(failed::<$describe_call, _>)?;
            let pairs = answer.attributes.unwrap_or_default().into_iter();
            Ok(pairs.filter_map(|pair| Some((pair.key?, pair.value.unwrap_or_default()))).collect())
        }

        pub(in crate::sdk) async fn $modify(client: &Client, call: $modify_call) -> Result<(), ApiError> {
            if call.attributes.is_empty() {
                return Ok(());
            }
            let pairs = call.attributes.into_iter();
            let pairs = pairs.map(|(key, value)| $attribute::builder().key(key).value(value).build());
            let request = client.$modify_method().$arn(call.arn).set_attributes(Some(pairs.collect()));
            request.send().await.map(drop).map_err(failed::<$modify_call, _>)
        }
    };
}

attributes!(
    describe_load_balancer: DescribeLoadBalancerAttributes => describe_load_balancer_attributes,
    modify_load_balancer: ModifyLoadBalancerAttributes => modify_load_balancer_attributes,
    load_balancer_arn, LoadBalancerAttribute
);
attributes!(
    describe_target_group: DescribeTargetGroupAttributes => describe_target_group_attributes,
    modify_target_group: ModifyTargetGroupAttributes => modify_target_group_attributes,
    target_group_arn, TargetGroupAttribute
);
attributes!(
    describe_listener: DescribeListenerAttributes => describe_listener_attributes,
    modify_listener: ModifyListenerAttributes => modify_listener_attributes,
    listener_arn, ListenerAttribute
);
