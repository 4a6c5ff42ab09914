//! Follows the kernel: one dump, then events; a new dump when events were lost or leave something in doubt.

use std::io;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{NLM_F_REPLACE, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, IpVersion, MulticastGroup, RouteMessageBuilder};
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::sync::watch;
use tokio::time::Instant;

use super::HostNetwork;
use super::table::Effect;

/// The least time between two dumps: a node whose routing daemon changes many routes is not read without end.
const DUMP_INTERVAL: Duration = Duration::from_secs(10);

/// Why the kernel cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("cannot open a netlink socket to read the node's addresses and routes: {0}")]
    Socket(#[from] io::Error),
    /// A dump failed.
    #[error("cannot read the node's addresses and routes: {0}")]
    Dump(#[from] rtnetlink::Error),
    /// The connection's task ended.
    #[error("the netlink connection closed")]
    Closed,
}

type Events = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// Follows the kernel and publishes [`HostNetwork`] snapshots.
#[derive(Debug)]
pub struct Watcher {
    handle: Handle,
    events: Events,
    network: HostNetwork,
    published: watch::Sender<HostNetwork>,
}

impl Watcher {
    /// Opens the socket and reads everything once.
    ///
    /// # Errors
    /// When the kernel gives no socket or no answer.
    pub async fn start() -> Result<(Self, watch::Receiver<HostNetwork>), NetlinkError> {
        let (published, receiver) = watch::channel(HostNetwork::default());
        Ok((Self::publishing(published).await?, receiver))
    }

    async fn publishing(published: watch::Sender<HostNetwork>) -> Result<Self, NetlinkError> {
        let (connection, handle, events) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        tokio::spawn(connection);
        let network = dump(&handle).await?;
        let watcher = Self { handle, events, network, published };
        watcher.publish();
        Ok(watcher)
    }

    /// Follows until the connection closes or nobody listens.
    async fn run(&mut self) -> Result<(), NetlinkError> {
        let mut last_dump = Instant::now();
        let mut in_doubt = false;
        loop {
            let event = tokio::select! {
                event = self.events.next() => Some(event.ok_or(NetlinkError::Closed)?.0),
                () = self.published.closed() => return Ok(()),
                () = tokio::time::sleep_until(last_dump + DUMP_INTERVAL), if in_doubt => None,
            };
            in_doubt |= event.as_ref().is_some_and(replaces_a_route);
            match event.map(|event| self.apply(event)) {
                None => {
                    self.network = dump(&self.handle).await?;
                    (last_dump, in_doubt) = (Instant::now(), false);
                    self.publish();
                }
                Some(Effect::Changed) => self.publish(),
                Some(Effect::Doubtful) => in_doubt = true,
                Some(Effect::Unchanged) => {}
            }
        }
    }

    fn publish(&self) {
        self.published.send_if_modified(|published| {
            let changed = *published != self.network;
            if changed {
                published.clone_from(&self.network);
            }
            changed
        });
    }

    fn apply(&mut self, event: NetlinkMessage<RouteNetlinkMessage>) -> Effect {
        match event.payload {
            NetlinkPayload::Overrun(_) => Effect::Doubtful,
            NetlinkPayload::InnerMessage(message) => apply(&mut self.network, &message),
            _ => Effect::Unchanged,
        }
    }
}

/// Follows the kernel as long as somebody listens; a lost connection is made again.
pub async fn follow(mut watcher: Watcher) {
    while let Err(error) = watcher.run().await {
        tracing::warn!(%error, "the node's addresses and routes are no longer followed: beginning again");
        tokio::time::sleep(DUMP_INTERVAL).await;
        match Watcher::publishing(watcher.published.clone()).await {
            Ok(again) => watcher = again,
            Err(error) => tracing::warn!(%error, "the node's addresses and routes cannot be read"),
        }
    }
}

/// Whether a route came in place of another: the kernel does not tell of the end of that one.
fn replaces_a_route(event: &NetlinkMessage<RouteNetlinkMessage>) -> bool {
    let is_route = matches!(event.payload, NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(_)));
    is_route && event.header.flags & NLM_F_REPLACE != 0
}

fn apply(network: &mut HostNetwork, message: &RouteNetlinkMessage) -> Effect {
    match message {
        RouteNetlinkMessage::NewLink(link) => network.link_added(link),
        RouteNetlinkMessage::DelLink(link) => network.link_removed(link),
        RouteNetlinkMessage::NewAddress(address) => network.address_added(address),
        RouteNetlinkMessage::DelAddress(address) => network.address_removed(address),
        RouteNetlinkMessage::NewRoute(route) => network.route_added(route),
        RouteNetlinkMessage::DelRoute(route) => network.route_removed(route),
        _ => Effect::Unchanged,
    }
}

async fn dump(handle: &Handle) -> Result<HostNetwork, NetlinkError> {
    let mut network = HostNetwork::default();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await? {
        network.link_added(&link);
    }
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await? {
        network.address_added(&address);
    }
    for version in [IpVersion::V4, IpVersion::V6] {
        let mut routes = handle.route().get(every_route(version)).execute();
        while let Some(route) = routes.try_next().await? {
            network.route_added(&route);
        }
    }
    Ok(network)
}

fn every_route(version: IpVersion) -> RouteMessage {
    match version {
        IpVersion::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
        IpVersion::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
    }
}
