//! Objects from YAML to the API server, as a person applies them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective,
};
use kube::core::TypeMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::wait::wait_for;

/// The field manager of everything that a test applies.
pub const FIELD_MANAGER: &str = "lab";
/// How long the API server may take to serve a kind whose definition was just created.
const DEFINITION: Duration = Duration::from_secs(30);

/// The objects of a YAML stream; lists are opened.
///
/// # Errors
/// When it is not YAML, or a document is no object.
pub fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut objects = Vec::new();
    for mut document in documents.into_iter().filter(|document| !document.is_null()) {
        if document["kind"] == "List" {
            objects.extend(serde_json::from_value::<Vec<DynamicObject>>(document["items"].take())?);
        } else {
            objects.push(serde_json::from_value(document)?);
        }
    }
    Ok(objects)
}

/// Applies the objects in their order, by server-side apply with strict validation (unknown fields are refused), and
/// returns what the server made of them.
///
/// # Errors
/// At the first object that the server refuses, with its message.
pub async fn apply(client: &Client, yaml: &str) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for object in parse(yaml)? {
        applied.push(apply_one(client, &object).await?);
    }
    Ok(applied)
}

/// Deletes the objects. One that is not there is well.
///
/// # Errors
/// When the server refuses.
pub async fn delete(client: &Client, yaml: &str) -> Result<()> {
    for object in parse(yaml)? {
        let api = api(client, &object).await?;
        match api.delete(&object.name_any(), &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error).with_context(|| shown(&object)),
        }
    }
    Ok(())
}

async fn apply_one(client: &Client, object: &DynamicObject) -> Result<DynamicObject> {
    let api = api(client, object).await?;
    let parameters = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(FIELD_MANAGER).force()
    };
    let name = object.metadata.name.clone().with_context(|| format!("{}: no name", shown(object)))?;
    let applied = match api.patch(&name, &parameters, &Patch::Apply(object)).await {
        Ok(applied) => applied,
        Err(kube::Error::Api(status)) => bail!("{}: {}", shown(object), status.message),
        Err(error) => return Err(error).with_context(|| shown(object)),
    };
    if object.types.as_ref().is_some_and(|types| types.kind == "CustomResourceDefinition") {
        established(&api, &name).await?;
    }
    Ok(applied)
}

async fn established(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    wait_for(format_args!("definition {name} to be served"), DEFINITION, async || {
        let definition = api.get(name).await?;
        let conditions = definition.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let served = conditions.iter().any(|one| one["type"] == "Established" && one["status"] == "True");
        ensure!(served, "{conditions:?}");
        Ok(())
    })
    .await
}

/// The API of an object's kind. A kind that is not served yet is waited for: its definition may have come just before.
async fn api(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types: &TypeMeta = object.types.as_ref().with_context(|| format!("{}: no kind", shown(object)))?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, capabilities) = wait_for(format_args!("kind {}", kind.kind), DEFINITION, async || {
        Ok(kube::discovery::pinned_kind(client, &kind).await?)
    })
    .await?;
    Ok(scoped(client, object, &resource, capabilities.scope == kube::discovery::Scope::Namespaced))
}

fn scoped(
    client: &Client,
    object: &DynamicObject,
    resource: &ApiResource,
    namespaced: bool,
) -> Api<DynamicObject> {
    if !namespaced {
        return Api::all_with(client.clone(), resource);
    }
    let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
    Api::namespaced_with(client.clone(), &namespace, resource)
}

fn shown(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    format!("{kind} {}", object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_holds_documents_and_lists() {
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\n\
                    items:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n";
        let names: Vec<String> = parse(yaml).unwrap().iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
