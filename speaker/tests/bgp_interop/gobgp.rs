//! What GoBGP holds.

use std::process::{Child, Stdio};

use daymark_model::Family;
use serde_json::{Value, json};

use crate::lab::{
    Lab, NODE, NODE_AS, Node, ROUTER, ROUTER_AS, attributes, eventually, in_lab, neighbor, said, write,
};

/// A running gobgpd; killed when dropped.
struct Gobgp(Child);

impl Gobgp {
    async fn start(lab: &Lab) -> Self {
        let config = lab.file("gobgpd.toml");
        let mut text = format!("[global.config]\n as = {ROUTER_AS}\n router-id = \"{}\"\n", ROUTER[0]);
        text += &format!(
            "[[neighbors]]\n [neighbors.config]\n  neighbor-address = \"{}\"\n  peer-as = {NODE_AS}\n \
             [neighbors.transport.config]\n  passive-mode = true\n",
            NODE[0]
        );
        for family in ["ipv4-unicast", "ipv6-unicast"] {
            text += &format!(
                " [[neighbors.afi-safis]]\n  [neighbors.afi-safis.config]\n   afi-safi-name = \"{family}\"\n"
            );
        }
        write(&config, &text);
        let mut command = lab.on_router("gobgpd");
        command.args(["--pprof-disable", "-f"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let gobgp = Self(command.spawn().unwrap());
        let answers = || lab.on_router("gobgp").arg("neighbor").output().unwrap().status.success();
        eventually("GoBGP answers", answers, |ok| *ok).await;
        gobgp
    }
}

impl Drop for Gobgp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The only path of a prefix.
fn path(lab: &Lab, prefix: &str) -> Option<Value> {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    let text = said(&lab.on_router("gobgp").args(["global", "rib", "-a", family, "-j"]).output().unwrap());
    let table: Value = serde_json::from_str(&text).ok()?;
    table[prefix].as_array()?.first().cloned()
}

fn attribute(path: &Value, kind: u64) -> Value {
    let attributes = path["attrs"].as_array().unwrap();
    attributes.iter().find(|attribute| attribute["type"] == json!(kind)).cloned().unwrap_or_default()
}

#[test]
fn gobgp_learns_both_families() {
    in_lab("gobgp::gobgp_learns_both_families", |lab| async move {
        let _gobgp = Gobgp::start(&lab).await;
        let node = Node::start(0).await;
        node.handle.configure(vec![neighbor("tor", Family::V4)]);
        let (v4, v6) = ("198.51.100.1/32", "2001:db8:5::1/128");
        node.announce("tor", &[v4, v6], &attributes(&["65010:7", "4200000001:1:2"]));
        node.handle.synced();
        node.up("tor").await;
        for prefix in [v4, v6] {
            let path =
                eventually("the route in GoBGP", || path(&lab, prefix), Option::is_some).await.unwrap();
            let segments = attribute(&path, 2)["as_paths"].clone();
            assert_eq!(segments, json!([{"segment_type": 2, "num": 1, "asns": [NODE_AS]}]), "{path}");
            assert_eq!(attribute(&path, 8)["communities"], json!([65010_u32 * 65536 + 7]), "{path}");
        }
        node.withdraw("tor", &[v6]);
        eventually("the withdrawal in GoBGP", || path(&lab, v6), Option::is_none).await;
        assert!(path(&lab, v4).is_some());
    });
}
