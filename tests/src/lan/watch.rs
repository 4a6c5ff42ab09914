//! A capture of the LAN, or of another network, together with a prober: a station of its own that asks for addresses all the time, so that the
//! record shows at every moment who answers. No other station's cache is touched by it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::frame::request;
use super::inject::Injection;
use super::record::{Record, Time};
use super::station::Station;
use super::wire::Wire;
use crate::network::Network;
use crate::wait::{stays, wait_for};

/// How often each address is asked for.
pub const PACE: Duration = Duration::from_millis(10);
/// Who has answered within this time answers now.
const NOW: Duration = Duration::from_millis(300);

/// A running capture with its prober.
#[derive(Debug)]
pub struct Watch<'a> {
    wire: Wire,
    prober: &'a Station,
    network: Network,
    probing: Option<Injection>,
    addresses: Vec<IpAddr>,
}

impl<'a> Watch<'a> {
    pub(crate) async fn start(
        wire: Wire,
        prober: &'a Station,
        network: Network,
        addresses: &[IpAddr],
    ) -> Result<Self> {
        let mut watch = Self { wire, prober, network, probing: None, addresses: Vec::new() };
        watch.probe(addresses).await?;
        Ok(watch)
    }

    /// Asks for these addresses from now on, and for no others.
    ///
    /// # Errors
    /// When the prober cannot be started.
    pub async fn probe(&mut self, addresses: &[IpAddr]) -> Result<()> {
        if let Some(probing) = self.probing.take() {
            probing.stop().await?;
        }
        self.addresses = addresses.to_vec();
        let sender = self.prober.sender_on(self.network).await?;
        let frames: Vec<_> = addresses.iter().map(|address| request(sender, *address)).collect();
        let pause = PACE / u32::try_from(frames.len().max(1)).unwrap_or(1);
        if !frames.is_empty() {
            self.probing = Some(self.prober.repeat_on(self.network, &frames, pause)?);
        }
        Ok(())
    }

    /// The addresses that it asks for.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The capture.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// What has been seen so far.
    ///
    /// # Errors
    /// When the capture has failed.
    pub async fn record(&self) -> Result<Record> {
        self.wire.record().await
    }

    /// Who answers for `address` now.
    ///
    /// # Errors
    /// When the capture has failed.
    pub async fn answerers(&self, address: IpAddr) -> Result<BTreeSet<String>> {
        let since = Time::now().before(NOW);
        Ok(self.wire.record_after(since).await?.answerers(address, since))
    }

    /// Waits until exactly one host answers for `address`, and returns it.
    ///
    /// # Errors
    /// When the deadline passes; with who answered.
    pub async fn answerer(&self, address: IpAddr, deadline: Duration) -> Result<String> {
        wait_for(format_args!("one answerer for {address}"), deadline, async || {
            let found = self.answerers(address).await?;
            ensure!(found.len() == 1, "{found:?}");
            Ok(found.into_iter().next().unwrap_or_default())
        })
        .await
    }

    /// Waits until `host` and nobody else answers for `address`.
    ///
    /// # Errors
    /// When the deadline passes; with who answered.
    pub async fn answered_by(&self, address: IpAddr, host: &str, deadline: Duration) -> Result<()> {
        wait_for(format_args!("{host} to answer for {address}"), deadline, async || {
            let found = self.answerers(address).await?;
            ensure!(found == BTreeSet::from([host.to_owned()]), "{found:?}");
            Ok(())
        })
        .await
    }

    /// Waits until somebody other than `host`, and one only, answers for `address`; returns who.
    ///
    /// # Errors
    /// When the deadline passes; with who answered.
    pub async fn answered_by_other(&self, address: IpAddr, host: &str, deadline: Duration) -> Result<String> {
        wait_for(format_args!("another than {host} to answer for {address}"), deadline, async || {
            let found = self.answerers(address).await?;
            ensure!(found.len() == 1 && !found.contains(host), "{found:?}");
            Ok(found.into_iter().next().unwrap_or_default())
        })
        .await
    }

    /// Waits until nobody answers for `address`.
    ///
    /// # Errors
    /// When the deadline passes; with who answered.
    pub async fn silent(&self, address: IpAddr, deadline: Duration) -> Result<()> {
        wait_for(format_args!("nobody to answer for {address}"), deadline, async || {
            let found = self.answerers(address).await?;
            ensure!(found.is_empty(), "{found:?}");
            Ok(())
        })
        .await
    }

    /// Nobody answers for `address` all this time.
    ///
    /// # Errors
    /// At the first look that finds somebody.
    pub async fn stays_silent(&self, address: IpAddr, duration: Duration) -> Result<()> {
        stays(format_args!("nobody answers for {address}"), duration, async || {
            let found = self.answerers(address).await?;
            ensure!(found.is_empty(), "{found:?}");
            Ok(())
        })
        .await
    }

    /// `host` alone answers for `address` all this time.
    ///
    /// # Errors
    /// At the first look that finds another.
    pub async fn stays_with(&self, address: IpAddr, host: &str, duration: Duration) -> Result<()> {
        stays(format_args!("{host} alone answers for {address}"), duration, async || {
            let found = self.answerers(address).await?;
            ensure!(found == BTreeSet::from([host.to_owned()]), "{found:?}");
            Ok(())
        })
        .await
    }

    /// Ends prober and capture and returns what was seen.
    ///
    /// # Errors
    /// When one of them had failed.
    pub async fn stop(self) -> Result<Record> {
        if let Some(probing) = self.probing {
            probing.stop().await?;
        }
        self.wire.stop().await
    }
}
