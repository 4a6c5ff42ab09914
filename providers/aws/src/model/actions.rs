//! Weighted forwarding: `actions.TCP-80`, the forward action of the AWS Load Balancer Controller as JSON.

use serde_json::{Map, Value};

use super::value::{Bad, arn, bad};

/// To whom a listener forwards, beside the Service's own port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    /// The weight of the Service's own port.
    pub(super) base: u32,
    pub(super) others: Vec<Other>,
}

/// A further backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) to: OtherBackend,
    pub(super) weight: u32,
    /// Whether its targets are spoken to without TLS, behind a TLS listener; `None` = like the others.
    pub(super) decrypt: Option<bool>,
}

/// Whom a further backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OtherBackend {
    /// A target group that somebody else keeps.
    Arn(String),
    /// A port, by name or number, of a Service of the namespace.
    Service { name: String, port: String },
}

/// AWS: target groups of one action.
const MOST: usize = 5;

/// Parses an action.
pub(super) fn action(text: &str) -> Result<Action, Bad> {
    let example = r#"write {"type":"forward","forwardConfig":{"baseServiceWeight":90,"targetGroups":[{"serviceName":"canary","servicePort":80,"weight":10}]}}"#;
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return bad(format!("it is no JSON ({error})"), example),
    };
    let root = object(&value, "the action", &["type", "forwardConfig"])?;
    match get(root, "type").and_then(Value::as_str) {
        Some("forward") => {}
        Some(other) => return bad(format!("{other:?} is no type of action that an NLB has"), example),
        None => return bad("the action has no type", example),
    }
    let Some(config) = get(root, "forwardConfig").filter(|config| !config.is_null()) else {
        return bad("the action has no forwardConfig", example);
    };
    let known = ["baseServiceWeight", "targetGroups", "targetGroupStickinessConfig"];
    let config = object(config, "forwardConfig", &known)?;
    refuse_stickiness(config)?;
    let groups = match get(config, "targetGroups") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(groups)) => groups.iter().collect(),
        Some(_) => return bad("targetGroups is no list", example),
    };
    if groups.len() >= MOST {
        return bad(
            format!("it forwards to {} target groups with the Service's own", groups.len() + 1),
            format!("AWS allows {MOST}"),
        );
    }
    let needs_weight = groups.len() > 1;
    let others: Vec<Other> =
        groups.into_iter().map(|group| other(group, needs_weight)).collect::<Result<_, _>>()?;
    if let Some((_, twice)) = others
        .iter()
        .enumerate()
        .find(|(at, other)| others.iter().take(*at).any(|before| before.to == other.to))
    {
        return bad(format!("{:?} is named twice", twice.to), "name every backend once");
    }
    Ok(Action { base: weight(config, "baseServiceWeight")?.unwrap_or(1), others })
}

/// The controller that these annotations come from takes keys in capitals and small letters.
fn get<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn object<'a>(value: &'a Value, what: &str, known: &[&str]) -> Result<&'a Map<String, Value>, Bad> {
    let Some(object) = value.as_object() else {
        return bad(format!("{what} is no JSON object"), "write {…}");
    };
    let unknown = object.keys().find(|key| known.iter().all(|known| !known.eq_ignore_ascii_case(key)));
    match unknown {
        Some(unknown) => bad(format!("{what} has no {unknown:?}"), format!("known are {}", known.join(", "))),
        None => Ok(object),
    }
}

fn refuse_stickiness(config: &Map<String, Value>) -> Result<(), Bad> {
    let Some(stickiness) = get(config, "targetGroupStickinessConfig").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let known = ["enabled", "durationSeconds"];
    let stickiness = object(stickiness, "targetGroupStickinessConfig", &known)?;
    match get(stickiness, "enabled") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(_) => bad(
            "stickiness between target groups is not supported",
            "remove targetGroupStickinessConfig; stickiness inside one is an attribute of target groups",
        ),
    }
}

fn other(value: &Value, needs_weight: bool) -> Result<Other, Bad> {
    let known = ["targetGroupARN", "serviceName", "servicePort", "weight", "decrypt"];
    let object = object(value, "an item of targetGroups", &known)?;
    let given = |key: &str| get(object, key).filter(|value| !value.is_null());
    let to = match (given("targetGroupARN"), given("serviceName")) {
        (Some(Value::String(text)), None) => OtherBackend::Arn(arn(text, ":targetgroup/", "a target group")?),
        (None, Some(Value::String(name))) => {
            OtherBackend::Service { name: name.clone(), port: port(given("servicePort"))? }
        }
        (Some(_), Some(_)) | (None, None) => {
            return bad(
                "an item of targetGroups names not exactly one backend",
                "write either targetGroupARN, or serviceName and servicePort",
            );
        }
        (Some(_), None) | (None, Some(_)) => {
            return bad("targetGroupARN and serviceName are texts", "write them in quotes");
        }
    };
    let weight = match weight(object, "weight")? {
        Some(weight) => weight,
        None if needs_weight => {
            return bad("an item of several targetGroups has no weight", "write a weight");
        }
        None => 1,
    };
    let decrypt = match given("decrypt") {
        None => None,
        Some(Value::Bool(decrypt)) => Some(*decrypt),
        Some(other) => {
            return bad(format!("decrypt: {other} is neither true nor false"), "write true or false");
        }
    };
    Ok(Other { to, weight, decrypt })
}

fn port(value: Option<&Value>) -> Result<String, Bad> {
    match value {
        Some(Value::String(name)) if !name.is_empty() => Ok(name.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) | None => {
            bad("serviceName comes without a servicePort", "write the number or name of a port")
        }
    }
}

fn weight(object: &Map<String, Value>, key: &str) -> Result<Option<u32>, Bad> {
    let Some(value) = get(object, key).filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_u64().and_then(|weight| u32::try_from(weight).ok()).filter(|weight| *weight <= 999) {
        Some(weight) => Ok(Some(weight)),
        None => bad(format!("{key}: {value} is no weight"), "write a number from 0 to 999"),
    }
}
