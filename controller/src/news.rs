//! Events about Services.

use daymark_kube::events::{News, Recorder, Severity};
use daymark_model::{ServiceKey, Uid};
use daymark_pool::{Event, EventKind};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::speakers::Trouble;

/// Publishes what the `Assigner` has to tell.
pub fn publish(recorder: &Recorder, event: Event) {
    let (severity, action) = match event.kind {
        EventKind::Assigned => (Severity::Normal, "Assign"),
        EventKind::Changed => (Severity::Normal, "Change"),
        EventKind::Released => (Severity::Normal, "Release"),
        EventKind::Refused => (Severity::Warning, "Assign"),
    };
    let news = News {
        regarding: service(&event.service, &event.uid),
        severity,
        reason: event.reason.to_owned(),
        action,
        note: event.text,
    };
    match event.kind {
        EventKind::Assigned => recorder.mention(news),
        EventKind::Changed | EventKind::Released | EventKind::Refused => recorder.tell(news),
    }
}

/// Publishes what Speakers say of a Service.
pub fn warn(recorder: &Recorder, uid: &Uid, trouble: &Trouble) {
    recorder.tell(News {
        regarding: service(&trouble.service, uid),
        severity: Severity::Warning,
        reason: trouble.reason.clone(),
        action: "Announce",
        note: trouble.message.clone(),
    });
}

/// A Service, as an event names it.
pub fn service(key: &ServiceKey, uid: &Uid) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        namespace: Some(key.namespace.as_str().to_owned()),
        name: Some(key.name.as_str().to_owned()),
        uid: Some(uid.as_str().to_owned()),
        ..ObjectReference::default()
    }
}
