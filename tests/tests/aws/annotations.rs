//! Annotations of the AWS Load Balancer Controller, each once over the wire.

use std::collections::BTreeMap;

use daymark_tests::{Result, ensure, wait_for};

use crate::stage::{Balancer, PATIENCE, Stage, service};

#[tokio::test(flavor = "multi_thread")]
async fn each_annotation_reaches_aws() -> Result<()> {
    let stage = Stage::set("aws-annotations", "").await?;
    let eips = elastic_ips(&stage, 2).await?;
    let certificates = certificates(&stage, 2).await?;
    let group = own_group(&stage).await?;
    let [p0, p1] = [&stage.ground.public[0], &stage.ground.public[1]];
    let private = &stage.ground.private[0];
    let list = |items: &[&String]| items.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
    let (subnets, eips) = (list(&[p0, p1]), list(&eips.iter().collect::<Vec<_>>()));
    let certs = list(&certificates.iter().collect::<Vec<_>>());
    let yaml = [
        service(
            "edge",
            &[
                ("name", "chosen-name"),
                ("scheme", "internet-facing"),
                ("subnets", &subnets),
                ("eip-allocations", &eips),
                ("ssl-cert", &certs),
                ("ssl-ports", "443"),
                ("ssl-negotiation-policy", "ELBSecurityPolicy-TLS13-1-2-2021-06"),
                ("alpn-policy", "HTTP2Preferred"),
                ("backend-protocol", "ssl"),
                ("attributes", "deletion_protection.enabled=false"),
                ("cross-zone-load-balancing-enabled", "true"),
                ("access-log-enabled", "true"),
                ("access-log-s3-bucket-name", "logs"),
                ("access-log-s3-bucket-prefix", "edge"),
                ("additional-resource-tags", "team=web,stage=prod"),
                ("target-group-attributes", "deregistration_delay.timeout_seconds=30"),
                ("target-group-attributes.80", "preserve_client_ip.enabled=false"),
                ("listener-attributes.TCP-80", "tcp.idle_timeout.seconds=400"),
                ("proxy-protocol-per-target-group", "80"),
                ("enable-icmp-for-path-mtu-discovery", "on"),
                ("inbound-sg-rules-on-private-link-traffic", "off"),
                ("service.beta.kubernetes.io/load-balancer-source-ranges", "198.51.100.0/24"),
                ("healthcheck-protocol", "http"),
                ("healthcheck-port", "8080"),
                ("healthcheck-path", "/ready"),
                ("healthcheck-interval", "20"),
                ("healthcheck-timeout", "5"),
                ("healthcheck-healthy-threshold", "4"),
                ("healthcheck-unhealthy-threshold", "5"),
                ("target-node-labels", "kubernetes.io/hostname=n1"),
            ],
            "[{name: http, port: 80}, {name: tls, port: 443}]",
        ),
        service(
            "inner",
            &[
                ("internal", "true"),
                ("subnets", private),
                ("private-ipv4-addresses", "10.100.100.77"),
                ("security-groups", &group),
                ("manage-backend-security-group-rules", "true"),
                ("proxy-protocol", "*"),
                ("enable-tcp-udp-listener", "true"),
                ("nlb-target-type", "ip"),
            ],
            "[{name: tcp, port: 53, targetPort: 53}, {name: udp, protocol: UDP, port: 53, targetPort: 53}]",
        ),
        service("bare", &[("disable-nlb-sg", "true"), ("ip-address-type", "ipv4")], "[{port: 80}]"),
        service(
            "split",
            &[(
                "service.beta.kubernetes.io/actions.TCP-80",
                r#"{"type":"forward","forwardConfig":{"baseServiceWeight":3,"targetGroups":[{"serviceName":"bare","servicePort":"80","weight":1}]}}"#,
            )],
            "[{port: 80}]",
        ),
    ];
    stage.lab.apply(&yaml.concat()).await?;
    for name in ["edge", "inner", "bare", "split"] {
        stage.hostname(name).await?;
    }
    let all: BTreeMap<String, Balancer> = wait_for("all listeners", PATIENCE, async || {
        let all = stage.balancers().await?;
        let named = all
            .into_iter()
            .map(|b| (b.tags["daymark.dev/owner"].trim_start_matches("default/").to_owned(), b));
        let all: BTreeMap<String, Balancer> = named.collect();
        ensure!(all.len() == 4 && all.values().all(|b| !b.listeners.is_empty()), "{all:?}");
        Ok(all)
    })
    .await?;
    edge(&stage, &all["edge"], &certificates).await?;

    let inner = &all["inner"];
    assert_eq!(inner.listeners, BTreeMap::from([(53, "TCP_UDP".to_owned())]));
    let sent = stage.proxy.log();
    let created = |name: &str| {
        let of = |call: &&daymark_tests::aws::Logged| {
            call.action == "CreateLoadBalancer" && call.form.contains(name)
        };
        sent.iter().find(of).map(|call| call.form.clone()).unwrap_or_default()
    };
    // What moto does not keep is seen in what was sent.
    ensure!(created(&inner.name).contains("10.100.100.77"), "{}", created(&inner.name));
    ensure!(created(&inner.name).contains(&group), "{}", created(&inner.name));
    ensure!(created("chosen-name").contains(eips.split(',').next().unwrap()), "{}", created("chosen-name"));
    ensure!(!created(&all["bare"].name).contains("SecurityGroups"), "{}", created(&all["bare"].name));

    let split = stage.aws().elb("DescribeListeners", &[("LoadBalancerArn", &all["split"].arn)]).await?;
    let mut weights = split.all("Weight");
    weights.sort();
    assert_eq!(weights, ["1", "3"]);

    // An attribute whose annotation goes is what it was before.
    stage
        .annotate(
            "edge",
            "service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled",
            None,
        )
        .await?;
    wait_for("the attribute of before", PATIENCE, async || {
        let now = attributes(&stage, "LoadBalancer", &all["edge"].arn).await?;
        ensure!(now["load_balancing.cross_zone.enabled"] == "false", "{now:?}");
        Ok(())
    })
    .await?;
    for name in ["edge", "inner", "split", "bare"] {
        stage.delete(name).await?;
    }
    let fields = [("GroupId", group.as_str())];
    stage.aws().ec2("DeleteSecurityGroup", &fields).await?;
    stage.nothing_left().await?;
    stage.finish().await
}

async fn edge(stage: &Stage, edge: &Balancer, certificates: &[String]) -> Result<()> {
    assert_eq!(edge.name, "chosen-name");
    assert_eq!(edge.listeners, BTreeMap::from([(80, "TCP".to_owned()), (443, "TLS".to_owned())]));
    assert_eq!((edge.tags["team"].as_str(), edge.tags["stage"].as_str()), ("web", "prod"));
    let now = attributes(stage, "LoadBalancer", &edge.arn).await?;
    for (key, value) in [
        ("load_balancing.cross_zone.enabled", "true"),
        ("access_logs.s3.enabled", "true"),
        ("access_logs.s3.bucket", "logs"),
        ("access_logs.s3.prefix", "edge"),
        ("deletion_protection.enabled", "false"),
    ] {
        assert_eq!(now.get(key).map(String::as_str), Some(value), "{key}");
    }
    let listeners = stage.aws().elb("DescribeListeners", &[("LoadBalancerArn", &edge.arn)]).await?;
    ensure!(listeners.all("SslPolicy").contains(&"ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()));
    ensure!(listeners.all("CertificateArn").contains(&certificates[0]));
    let groups = stage.aws().elb("DescribeTargetGroups", &[("LoadBalancerArn", &edge.arn)]).await?;
    for (element, value) in [
        ("HealthCheckProtocol", "HTTP"),
        ("HealthCheckPort", "8080"),
        ("HealthCheckPath", "/ready"),
        ("HealthCheckIntervalSeconds", "20"),
        ("HealthCheckTimeoutSeconds", "5"),
        ("HealthyThresholdCount", "4"),
        ("UnhealthyThresholdCount", "5"),
    ] {
        let found = groups.all(element);
        ensure!(found.len() == 2 && found.iter().all(|v| v == value), "{element}: {found:?}");
    }
    let mut protocols = groups.all("Protocol");
    protocols.sort();
    assert_eq!(protocols, ["TCP", "TLS"]);
    for (arn, protocol) in groups.all("TargetGroupArn").iter().zip(groups.all("Protocol")) {
        let now = attributes(stage, "TargetGroup", arn).await?;
        assert_eq!(now["deregistration_delay.timeout_seconds"], "30");
        let plain = protocol == "TCP";
        assert_eq!(now.get("proxy_protocol_v2.enabled").is_some_and(|v| v == "true"), plain, "{now:?}");
        assert_eq!(now.get("preserve_client_ip.enabled").is_some_and(|v| v == "false"), plain, "{now:?}");
        let health = stage.aws().elb("DescribeTargetHealth", &[("TargetGroupArn", arn)]).await?;
        assert_eq!(health.all("Id"), [stage.ground.instances[0].id.clone()]);
    }
    let group = stage.security_groups().await?;
    let mut icmp = false;
    for id in group.values() {
        icmp |= stage.rules(id).await?.iter().any(|rule| rule.0 == "icmp" && rule.3 == "198.51.100.0/24");
    }
    ensure!(icmp, "no ICMP rule in {group:?}");
    Ok(())
}

/// The attributes of a load balancer or target group.
async fn attributes(stage: &Stage, what: &str, arn: &str) -> Result<BTreeMap<String, String>> {
    let field = format!("{what}Arn");
    let answer = stage.aws().elb(&format!("Describe{what}Attributes"), &[(&field, arn)]).await?;
    Ok(answer.all("Key").into_iter().zip(answer.all("Value")).collect())
}

async fn elastic_ips(stage: &Stage, count: usize) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(stage.aws().ec2("AllocateAddress", &[("Domain", "vpc")]).await?.first("allocationId")?);
    }
    Ok(made)
}

async fn certificates(stage: &Stage, count: usize) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for number in 0..count {
        made.push(stage.aws().request_certificate(&format!("host-{number}.example.com")).await?);
    }
    Ok(made)
}

async fn own_group(stage: &Stage) -> Result<String> {
    let fields = [("GroupName", "mine"), ("GroupDescription", "mine"), ("VpcId", stage.ground.vpc.as_str())];
    stage.aws().ec2("CreateSecurityGroup", &fields).await?.first("groupId")
}
