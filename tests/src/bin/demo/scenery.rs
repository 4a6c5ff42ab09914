//! The lab of the demo, and the objects that are applied.

use daymark_tests::lab::LabBuilder;
use daymark_tests::{Lab, RouterSpec};

/// The lab's name; its logs go under it when a step fails.
pub const NAME: &str = "demo";
/// The FRR router.
pub const FRR: &str = "r1";
/// The BIRD router.
pub const BIRD: &str = "r2";
/// The node that is drained.
pub const DRAINED: &str = "n3";
/// The pods, with their nodes.
pub const PODS: [(&str, &str); 3] = [("web-1", "n1"), ("web-2", "n2"), ("web-3", "n3")];
/// The port on which the pods answer.
pub const POD_PORT: u16 = 8080;
/// The port of the Service.
pub const PORT: u16 = 80;

/// What runs where.
pub const PICTURE: &str = "\
Daymark: Services of type LoadBalancer get addresses, and routers learn where they are.
Everything below is real and runs on this machine, in network namespaces:

        client c1
         /      \\
    r1 (FRR)   r2 (BIRD)     AS 65001, AS 65002
      |  \\  /\\  /  |         BGP: r1 over IPv4, r2 over IPv6
      n1    n2    n3         AS 64512: kube-proxy and daymark-speaker, one pod each
          |
    kube-apiserver, kube-controller-manager, etcd; daymark-controller
";

/// Three nodes, an FRR and a BIRD router, one client.
pub fn lab() -> LabBuilder {
    Lab::builder(NAME).router(RouterSpec::frr(65001)).router(RouterSpec::bird(65002))
}

/// Which addresses may be given.
pub const POOL: &str = r#"
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: public}
spec: {addresses: [203.0.113.10-203.0.113.99, "2001:db8::10-2001:db8::99"]}
"#;

/// What wants one.
pub const SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
";

/// Whom to tell, and what. The addresses and AS numbers are those that the lab gives its routers.
pub const NETWORK: &str = r#"
apiVersion: daymark.dev/v1alpha1
kind: BgpNeighbor
metadata: {name: frr}
spec:
  address: 10.20.0.1
  asn: 65001
  localAsn: 64512
  timers: {hold: 9s, keepalive: 3s, connectRetry: 1s}
---
apiVersion: daymark.dev/v1alpha1
kind: BgpNeighbor
metadata: {name: bird}
spec:
  address: "fd00:20::2"
  asn: 65002
  localAsn: 64512
  timers: {hold: 9s, keepalive: 3s, connectRetry: 1s}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: everything}
spec: {bgp: {}}
"#;
