//! Tags of what EC2 has.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Tag;

use super::tag_list;
use crate::api::{ApiError, CreateTags, DeleteTags};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn create(client: &Client, call: CreateTags) -> Result<(), ApiError> {
    let Some(tags) = tag_list(call.tags) else { return Ok(()) };
    let request = client.create_tags().resources(call.id).set_tags(Some(tags));
    request.send().await.map(drop).map_err(failed::<CreateTags, _>)
}

pub(in crate::sdk) async fn delete(client: &Client, call: DeleteTags) -> Result<(), ApiError> {
    // Without keys EC2 removes every tag.
    if call.keys.is_empty() {
        return Ok(());
    }
    // Without a value a tag goes whatever its value is.
    let tags = call.keys.into_iter().map(|key| Tag::builder().key(key).build()).collect();
    let request = client.delete_tags().resources(call.id).set_tags(Some(tags));
    request.send().await.map(drop).map_err(failed::<DeleteTags, _>)
}
