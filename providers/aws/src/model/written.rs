//! What is written for a Service: its annotations, over the defaults of its profile.

use std::collections::BTreeMap;

use daymark_model::AwsProfile;
use daymark_providers::CloudError;

use super::annotations::{AWS_PREFIX, default_name, key};
use super::value::{Bad, bad, map};
use crate::api::Attributes;

/// Annotations, over a profile's defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) profile: &'a AwsProfile,
    pub(super) own: &'a BTreeMap<String, String>,
}

/// Who wrote a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The profile.
    Default,
    /// The Service.
    Own,
}

impl Layer {
    /// Those that are laid over each other, in order.
    pub(super) const ALL: [Self; 2] = [Self::Default, Self::Own];
}

impl<'a> Written<'a> {
    /// The value of one layer.
    pub(super) fn at(&self, layer: Layer, suffix: &str) -> Option<&'a str> {
        match layer {
            Layer::Default => self.profile.defaults.get(suffix).map(String::as_str),
            Layer::Own => self.own.get(&key(suffix)).map(String::as_str),
        }
    }

    /// The value that holds, and who wrote it.
    pub(super) fn get(&self, suffix: &str) -> Option<(Layer, &'a str)> {
        Layer::ALL.iter().rev().find_map(|layer| self.at(*layer, suffix).map(|value| (*layer, value)))
    }

    /// Whether the Service says it itself.
    pub(super) fn is_own(&self, suffix: &str) -> bool {
        self.at(Layer::Own, suffix).is_some()
    }

    /// What a value is called before people.
    pub(super) fn name(&self, layer: Layer, suffix: &str) -> String {
        match layer {
            Layer::Default => default_name(self.profile, suffix),
            Layer::Own => key(suffix),
        }
    }

    /// What the value that holds is called before people.
    pub(super) fn name_of(&self, suffix: &str) -> String {
        let layer = self.get(suffix).map_or(Layer::Own, |(layer, _)| layer);
        self.name(layer, suffix)
    }

    /// What follows `stem.` in the keys of one layer.
    pub(super) fn tails(&self, layer: Layer, stem: &str) -> Vec<&'a str> {
        let tail = |suffix: &'a str| suffix.strip_prefix(stem)?.strip_prefix('.');
        match layer {
            Layer::Default => self.profile.defaults.keys().filter_map(|key| tail(key)).collect(),
            Layer::Own => {
                self.own.keys().filter_map(|key| key.strip_prefix(AWS_PREFIX)).filter_map(tail).collect()
            }
        }
    }
}

/// Reads what is written, and collects what is wrong with it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) written: Written<'a>,
    pub(super) errors: Vec<CloudError>,
    pub(super) warnings: Vec<CloudError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(profile: &'a AwsProfile, own: &'a BTreeMap<String, String>) -> Self {
        Self { written: Written { profile, own }, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The value that holds, parsed.
    pub(super) fn one<T>(&mut self, suffix: &str, parse: impl FnOnce(&str) -> Result<T, Bad>) -> Option<T> {
        let (layer, value) = self.written.get(suffix)?;
        self.parse(layer, suffix, value, parse)
    }

    /// The value of one layer, parsed.
    pub(super) fn at<T>(
        &mut self,
        layer: Layer,
        suffix: &str,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<T> {
        let value = self.written.at(layer, suffix)?;
        self.parse(layer, suffix, value, parse)
    }

    fn parse<T>(
        &mut self,
        layer: Layer,
        suffix: &str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<T> {
        let name = self.written.name(layer, suffix);
        self.take(&name, parse(value))
    }

    /// What was parsed from what is called `name`.
    pub(super) fn take<T>(&mut self, name: &str, parsed: Result<T, Bad>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(bad) => {
                self.errors.push(
                    CloudError::user("InvalidAnnotation", format!("{name}: {}", bad.what)).remedy(bad.remedy),
                );
                None
            }
        }
    }

    /// Map entries of both layers, the Service's over the profile's, each with who wrote it.
    pub(super) fn merged(&mut self, suffix: &str) -> Attributes {
        let mut merged = Attributes::new();
        for layer in Layer::ALL {
            merged.extend(self.at(layer, suffix, map).unwrap_or_default());
        }
        merged
    }

    /// Two settings that cannot both hold.
    pub(super) fn conflict(&mut self, suffix: &str, what: &str, remedy: &str) {
        let name = self.written.name_of(suffix);
        self.errors
            .push(CloudError::user("ConflictingAnnotations", format!("{name}: {what}")).remedy(remedy));
    }

    /// A value that says something else than `suffix` may.
    pub(super) fn wrong(&mut self, suffix: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let name = self.written.name_of(suffix);
        let _: Option<()> = self.take(&name, bad(what, remedy));
    }

    /// Something that holds otherwise than somebody may think.
    pub(super) fn warn(&mut self, reason: &'static str, message: String) {
        self.warnings.push(CloudError::user(reason, message));
    }
}
