//! Events about Services.

use daymark_kube::events::{News, Recorder, Severity};
use daymark_pool::{Event, EventKind};
use k8s_openapi::api::core::v1::ObjectReference;

/// Publishes what the `Assigner` has to tell.
pub fn publish(recorder: &Recorder, event: Event) {
    let (severity, action) = match event.kind {
        EventKind::Assigned => (Severity::Normal, "Assign"),
        EventKind::Changed => (Severity::Normal, "Change"),
        EventKind::Released => (Severity::Normal, "Release"),
        EventKind::Refused => (Severity::Warning, "Assign"),
    };
    let news = News {
        regarding: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(event.service.namespace.as_str().to_owned()),
            name: Some(event.service.name.as_str().to_owned()),
            uid: Some(event.uid.as_str().to_owned()),
            ..ObjectReference::default()
        },
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
