//! How a host hangs on the LAN. Whatever it is, the interface with the addresses is named as the network.

use anyhow::Result;

use crate::command::run;

/// How a host's LAN interface comes to its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachment {
    /// It is the cable's end.
    #[default]
    Direct,
    /// It is a bridge; the cable is one of its ports.
    Bridge,
    /// It is a macvlan on the cable.
    Macvlan,
    /// It is an active-backup bond of two cables, `lan0` and `lan1`.
    Bond,
    /// It is a VLAN on the cable.
    Vlan(u16),
}

impl Attachment {
    /// Whether this machine's kernel can do it.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn is_offered(self) -> Result<bool> {
        let device = match self {
            Self::Direct => return Ok(true),
            Self::Bridge => "type bridge",
            Self::Macvlan => "link a type macvlan",
            Self::Bond => "type bond",
            Self::Vlan(_) => "link a type vlan id 1",
        };
        let script = format!(
            "ip link add a type veth peer name b && ip link add name t {device} 2>&1 || echo refused"
        );
        Ok(!run("unshare", &["--net", "sh", "-c", &script]).await?.contains("refused"))
    }

    /// The names of the cables' ends, where the interface itself is named `name`.
    pub(crate) fn cables(self, name: &str) -> Vec<String> {
        match self {
            Self::Direct => vec![name.to_owned()],
            Self::Bridge | Self::Macvlan | Self::Vlan(_) => vec!["lan0".to_owned()],
            Self::Bond => vec!["lan0".to_owned(), "lan1".to_owned()],
        }
    }

    /// Lines of `ip` that make the interface `name` over its cables.
    pub(crate) fn lines(self, name: &str) -> Vec<String> {
        let mut lines = match self {
            Self::Direct => return Vec::new(),
            Self::Bridge => vec![
                format!("link add name {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"),
                format!("link set lan0 master {name}"),
            ],
            Self::Macvlan => vec![format!("link add link lan0 name {name} type macvlan mode bridge")],
            Self::Bond => vec![
                format!("link add name {name} type bond mode active-backup miimon 10"),
                format!("link set lan0 master {name}"),
                format!("link set lan1 master {name}"),
            ],
            Self::Vlan(id) => vec![format!("link add link lan0 name {name} type vlan id {id}")],
        };
        lines.extend(self.cables(name).iter().map(|cable| format!("link set {cable} up")));
        lines
    }
}
