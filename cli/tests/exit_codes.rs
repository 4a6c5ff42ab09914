//! What scripts see: exit codes, and which stream says what.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

/// A speaker that answers `/debug/l2/addresses` with `addresses`, and everything else with little. It ends with the test.
fn speaker(addresses: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap();
            let body = match path.split('?').next().unwrap() {
                "/debug/l2" => {
                    r#"{"phase": "Running", "node": {"node": "n1", "segments": [{"interface": 3, "name": "eth1"}]}}"#
                }
                "/debug/l2/addresses" => addresses,
                "/debug/services" => {
                    r#"[{"service": "shop/web", "addresses": [{"address": "192.0.2.10", "reasons": []}]}]"#
                }
                other => panic!("{other}"),
            };
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}").unwrap();
        }
    });
    address
}

fn daymark(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daymark"));
    command.env_clear().env("HOME", "/nonexistent").args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

const OURS: &str = r#"[{"address": "192.0.2.10", "interface": 3, "ours": true}]"#;
const NOBODYS: &str = r#"[{"address": "192.0.2.10", "interface": 3, "notAnswering": {"reason": "Probing"}}]"#;

#[test]
fn zero_when_one_node_answers() {
    let target = format!("http://{}", speaker(OURS));
    let output = daymark(&["l2", "shop/web", "--speaker", &target, "-o", "json"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["addresses"][0]["owners"][0]["node"], "n1");
    assert_eq!(report["addresses"][0]["owners"][0]["interface"], "eth1");
    let yaml = daymark(&["l2", "--speaker", &target, "-o", "yaml"]);
    assert!(String::from_utf8_lossy(&yaml.stdout).contains("state: Owned"), "{yaml:?}");
}

#[test]
fn three_when_nobody_answers_for_what_was_asked_about() {
    let target = format!("n1=http://{}", speaker(NOBODYS));
    let output = daymark(&["l2", "192.0.2.10", "--speaker", &target]);
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Probing"), "{output:?}");
    assert_eq!(code(&daymark(&["l2", "--speaker", &target])), 0);
}

#[test]
fn one_when_there_is_no_answer() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = daymark(&["l2", "--speaker", &format!("n1=http://{closed}")]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not answer"), "{output:?}");
    for arguments in [&["l2"][..], &["doctor"], &["plan"], &["plan", "shop/web"]] {
        let output = daymark(arguments);
        assert_eq!(code(&output), 1, "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("--kubeconfig") && output.stdout.is_empty(), "{told}");
    }
    let target = format!("http://{}", speaker(OURS));
    assert_eq!(code(&daymark(&["l2", "192.0.2.99", "--speaker", &target])), 1);
}

#[test]
fn two_on_wrong_usage_and_zero_for_help() {
    for arguments in [
        &[][..],
        &["l2", "web"],
        &["l2", "-o", "xml"],
        &["explode"],
        &["doctor", "--mesh-port", "x"],
        &["plan", "web"],
        &["purge"],
    ] {
        assert_eq!(code(&daymark(arguments)), 2, "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["l2", "--help"], &["doctor", "--help"], &["--version"]] {
        assert_eq!(code(&daymark(arguments)), 0, "{arguments:?}");
    }
}

#[test]
fn doctor_looks_at_this_host_without_an_api_server() {
    let output = daymark(&["doctor", "--node", "n1", "--metrics-address", "127.0.0.1:1", "-o", "json"]);
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(diagnosis["node"], "n1");
    let findings = diagnosis["findings"].as_array().unwrap();
    let result =
        |check: &str| findings.iter().find(|finding| finding["check"] == check).unwrap()["result"].clone();
    assert_eq!(result("mesh-key"), "Skipped");
    // Nothing listens on the port of the mesh, so this is no node where all is well.
    assert_eq!((result("mesh-port"), code(&output)), ("Problem".into(), 3));
}

const PROFILE: &str = "apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {name: nlb}
spec:
  loadBalancerClass: daymark.dev/aws-nlb
  aws: {clusterName: production-1, vpcId: vpc-0a1b2c3d}
---
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {SUFFIX: internal}}
spec: {type: LoadBalancer, loadBalancerClass: daymark.dev/aws-nlb, ports: [{port: 80}]}
";

fn service(annotation: &str) -> String {
    SERVICE.replace("SUFFIX", &format!("service.beta.kubernetes.io/aws-load-balancer-{annotation}"))
}

#[test]
fn a_plan_of_files_needs_neither_cluster_nor_aws() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let profile = file("profile.yaml", PROFILE.to_owned());
    let good = file("good.yaml", service("scheme"));
    let output = daymark(&["plan", "-f", &profile, "-f", &good, "-o", "json"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let intents: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(intents["loadBalancers"][0]["wanted"]["scheme"], "internal");
    let bad = file("bad.yaml", service("schmee"));
    for arguments in [&["plan", "-f", &profile, "-f", &bad][..], &["plan", "-f", &good]] {
        assert_eq!(code(&daymark(arguments)), 3, "{arguments:?}");
    }
    for arguments in [
        &["plan", "-f", "/nowhere/web.yaml"][..],
        &["plan", "-f", &profile],
        &["plan", "-f", &profile, "-f", &good, "--cluster-objects"],
    ] {
        let output = daymark(arguments);
        assert_eq!((code(&output), output.stdout.len()), (1, 0), "{arguments:?} {output:?}");
    }
}

#[test]
fn standard_input_is_a_file() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daymark"));
    command.env_clear().args(["plan", "-f", "-"]);
    let pipes = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all((PROFILE.to_owned() + &service("scheme")).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("create listener TCP/80"), "{output:?}");
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_build_without_aws_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, PROFILE.to_owned() + &service("scheme")).unwrap();
    for arguments in [&["purge", "--cluster", "c"][..], &["plan", "--live", "-f", file.to_str().unwrap()]] {
        let output = daymark(arguments);
        assert_eq!(code(&output), 1, "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--features aws"), "{output:?}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn aws_that_does_not_answer_is_no_answer() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{closed}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_daymark"));
    command.env_clear().env("AWS_ACCESS_KEY_ID", "t").env("AWS_SECRET_ACCESS_KEY", "t");
    let arguments = ["purge", "--cluster", "c", "--region", "eu-west-1", "--endpoint", &endpoint];
    let output = command.args(arguments).output().unwrap();
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("DescribeLoadBalancers"), "{output:?}");
}
