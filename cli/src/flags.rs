//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use daymark_config::duration;

use crate::l2::Subject;
use crate::plan::Named;
use crate::purge::Kind;
use crate::speakers::Target;

/// What exit codes mean; part of each help text.
const EXIT_CODES: &str = "Exit codes:
  0  all is well
  1  the question could not be answered (the API server or a speaker is not reached, nothing of that name)
  2  wrong usage
  3  something is wrong: doctor found a problem, or the address that l2 was asked about is answered by no node, by two
     nodes, or by something else; or plan found a plan that waits for consent, something that failed or is refused; or
     something is left in AWS of what purge looks for";

const EXAMPLES: &str = "Examples:
  daymark l2                          who answers for which address
  daymark l2 192.0.2.10               one address: every node, and why it does not answer
  daymark plan                        load balancers in clouds: how they are, and what waits for consent
  daymark plan -f web.yaml            what a Service would get in AWS, before it is applied
  daymark purge --cluster old         what a cluster that is gone left in AWS
  daymark doctor                      what breaks layer 2 and load balancers in clouds, as far as it can be seen from here";

const L2_EXAMPLES: &str = "Where it looks, unless told otherwise: the Speaker objects, with up to 64 addresses per node, as fresh as the status
of a Speaker (up to 13 s old). Running speakers know everything at once, but answer only on their own node: ask the
one on this node with --local, those of all nodes through kubectl with --port-forward, or any that you can reach
(ssh -L, kubectl port-forward) with --speaker.

Examples:
  daymark l2                                     all addresses
  daymark l2 -o wide                             with epoch, and where the knowledge comes from
  daymark l2 192.0.2.10                          one address, with the reason of each node that does not answer
  daymark l2 shop/web --port-forward             the addresses of a Service, asked of the speaker of each node
  daymark l2 --local                             on a node: what its speaker answers for and hears of others
  daymark l2 --speaker n1=http://127.0.0.1:17472 through a tunnel of yours
  daymark l2 -o json | jq -r '.addresses[] | select(.state != \"Owned\") | .address'";

const DOCTOR_EXAMPLES: &str = "Run on a node (in its network namespace) it also looks at the node's interfaces, sysctls, neighbor table and
kube-proxy, asks the node's own speaker, and sends one UDP datagram (port 9, TTL 1) to each address of a Service on
the node's subnets, to see who answers ARP and ND for it, and one to the mesh port of each other node. Elsewhere only
what the API server says is looked at: load balancers in clouds too, and what is left of other controllers. What was skipped is listed, with why.

Examples:
  daymark doctor                                 from anywhere
  kubectl debug node/n1 ... -- daymark doctor    on a node; any shell on the host's network will do
  daymark doctor --node n1                       on node n1, where the node is not found by its addresses
  daymark doctor -o json | jq '.findings[] | select(.result == \"Problem\")'";

const PLAN_EXAMPLES: &str = "Without -f it shows what the controller last wrote into the statuses of CloudLoadBalancers. With -f it works without
a cluster and without AWS: what only AWS or the API server decides is named as that. With --live it asks AWS, at the
place where the load balancer was made (or the profile says) and with the credentials of this shell; nothing is changed.

Examples:
  daymark plan                                   all load balancers in clouds
  daymark plan shop/web                          one: its plan, and the command that consents to it
  daymark plan shop/web -o wide                  with everything that was made for it
  daymark plan shop/web --live                   what differs between AWS and what its Service wants, now
  daymark plan -f web.yaml -f profile.yaml       what would be made for the Services of these files
  kustomize build . | daymark plan -f - --cluster-objects
                                                 with the profiles, nodes and endpoints of the cluster
  daymark plan -f web.yaml --cluster-objects --live
                                                 what changes in AWS if this file is applied
  daymark plan -o json | jq -r '.loadBalancers[] | select(.state == \"ConsentNeeded\") | .name'";

const PURGE_EXAMPLES: &str = "Finds everything with the tag daymark.dev/cluster=NAME in one region, and shows it. With --yes it is deleted: listeners
and load balancers first, then target groups, then rules and security groups, waiting for what AWS needs time for. It
needs no Kubernetes cluster; where one is reached that still has CloudLoadBalancers of that name, it deletes nothing,
since the controller would make it all again.

Examples:
  daymark purge --cluster old --region eu-central-1               what is left
  daymark purge --cluster old --region eu-central-1 --yes         delete it
  daymark purge --cluster old --kind TargetGroup --yes            only target groups
  daymark purge --cluster old --role-arn arn:aws:iam::123456789012:role/daymark
  daymark purge --cluster old -o json | jq -r '.left[].id'";

/// Shows what Daymark does in a cluster, and what keeps it from doing it
#[derive(Debug, Clone, Parser)]
#[command(name = "daymark", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Flags {
    /// Flags of every verb.
    #[command(flatten)]
    pub common: Common,

    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The kubeconfig [default: ~/.kube/config, else the pod's ServiceAccount]
    #[arg(long, env = "KUBECONFIG", value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,

    /// The namespace of Daymark's own objects
    #[arg(
        short,
        long,
        env = "DAYMARK_NAMESPACE",
        value_name = "NAME",
        default_value = "daymark-system",
        global = true
    )]
    pub namespace: String,

    /// How the answer is written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table, global = true)]
    pub output: Format,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// With more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What is asked for.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Shows which node answers ARP and NDP for which address, and why the others do not
    #[command(after_help = format!("{L2_EXAMPLES}\n\n{EXIT_CODES}"))]
    L2(L2Flags),
    /// Shows what is to be done for load balancers in clouds, and which changes wait for consent
    #[command(after_help = format!("{PLAN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Plan(PlanFlags),
    /// Finds and deletes what a cluster left in AWS, without that cluster
    #[command(after_help = format!("{PURGE_EXAMPLES}\n\n{EXIT_CODES}"))]
    Purge(PurgeFlags),
    /// Looks for what breaks layer 2 and load balancers in clouds, and says what to do about it
    #[command(after_help = format!("{DOCTOR_EXAMPLES}\n\n{EXIT_CODES}"))]
    Doctor(DoctorFlags),
}

/// How running speakers are reached.
#[derive(Debug, Clone, Args)]
pub struct SpeakerFlags {
    /// Where the speaker of this node serves its metrics
    #[arg(long, env = "DAYMARK_METRICS_ADDRESS", value_name = "IP:PORT", default_value = "127.0.0.1:7472")]
    pub metrics_address: SocketAddr,
}

/// Flags of `daymark l2`.
#[derive(Debug, Clone, Args)]
pub struct L2Flags {
    /// An address, or a Service as NAMESPACE/NAME: shows each node, with the reason why it does not answer
    #[arg(value_name = "ADDRESS|NAMESPACE/NAME")]
    pub subject: Option<Subject>,

    /// Ask a running speaker at this URL; may be given several times
    #[arg(long = "speaker", value_name = "[NODE=]URL", conflicts_with_all = ["local", "port_forward"])]
    pub speakers: Vec<Target>,

    /// Ask the speaker of this node
    #[arg(long, conflicts_with = "port_forward")]
    pub local: bool,

    /// Ask the speaker of every node through `kubectl port-forward`
    #[arg(long)]
    pub port_forward: bool,

    /// How speakers are reached.
    #[command(flatten)]
    pub reach: SpeakerFlags,
}

/// Flags of `daymark plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanFlags {
    /// A Service, or a CloudLoadBalancer
    #[arg(value_name = "NAMESPACE/NAME", group = "what")]
    pub subject: Option<Named>,

    /// Services, LoadBalancerProfiles, Nodes, EndpointSlices and CloudLoadBalancers in YAML or JSON, `-` = standard input;
    /// may be given several times
    #[arg(short, long = "file", value_name = "FILE", group = "what")]
    pub files: Vec<PathBuf>,

    /// Take what the files do not have from the cluster: profiles, nodes, endpoints, what was made already
    #[arg(long, requires = "files", conflicts_with = "subject")]
    pub cluster_objects: bool,

    /// Compare with AWS as it is now; nothing is changed
    #[arg(long, requires = "what")]
    pub live: bool,
}

/// Flags of `daymark purge`.
#[derive(Debug, Clone, Args)]
pub struct PurgeFlags {
    /// The cluster's name in the tags: `clusterName` of its LoadBalancerProfiles
    #[arg(long, value_name = "NAME")]
    pub cluster: String,

    /// The region [default: AWS_REGION, the AWS profile, or the instance's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// The IAM role to assume
    #[arg(long, value_name = "ARN")]
    pub role_arn: Option<String>,

    /// Reach AWS at this URL
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,

    /// Only this kind; may be given several times
    #[arg(long = "kind", value_enum, value_name = "KIND")]
    pub kinds: Vec<Kind>,

    /// Delete what is found
    #[arg(long)]
    pub yes: bool,

    /// Delete although the cluster that is reached still has CloudLoadBalancers of that name
    #[arg(long, requires = "yes")]
    pub force: bool,

    /// How long to go on with what AWS needs time for
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Flags of `daymark doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorFlags {
    /// The node that this runs on [default: the one with an address of this host]
    #[arg(long, env = "DAYMARK_NODE_NAME", value_name = "NAME")]
    pub node: Option<String>,

    /// The UDP port of the speakers' mesh over the node network
    #[arg(long, env = "DAYMARK_MESH_PORT", value_name = "PORT", default_value_t = 7947)]
    pub mesh_port: u16,

    /// Where kube-proxy serves /healthz
    #[arg(
        long,
        env = "DAYMARK_PROXY_HEALTH_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:10256"
    )]
    pub proxy_health_address: SocketAddr,

    /// How speakers are reached.
    #[command(flatten)]
    pub reach: SpeakerFlags,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, clap::Error> {
        Flags::try_parse_from(std::iter::once("daymark").chain(line.split_whitespace()))
    }

    #[test]
    fn flags_may_stand_on_either_side_of_the_verb() {
        for line in ["-o json --kubeconfig f l2", "l2 --kubeconfig f -o json"] {
            let flags = parse(line).unwrap();
            assert_eq!(flags.common.output, Format::Json, "{line}");
            assert_eq!(flags.common.kubeconfig, Some("f".into()), "{line}");
        }
    }

    #[test]
    fn a_subject_is_an_address_or_a_service() {
        let subject = |line: &str| match parse(line).unwrap().verb {
            Verb::L2(flags) => flags.subject,
            Verb::Doctor(_) | Verb::Plan(_) | Verb::Purge(_) => None,
        };
        assert_eq!(subject("l2"), None);
        assert_eq!(subject("l2 192.0.2.1"), Some(Subject::Address("192.0.2.1".parse().unwrap())));
        assert_eq!(subject("l2 shop/web"), Some(Subject::Service("shop".into(), "web".into())));
        for wrong in
            ["l2 web", "l2 a/b/c", "l2 /web", "l2 --local --speaker http://h:1", "l2 --speaker n1=ftp://h"]
        {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn a_plan_is_of_one_thing() {
        for right in ["plan", "plan shop/web --live", "plan -f a -f - --cluster-objects", "plan -f a --live"]
        {
            parse(right).unwrap();
        }
        for wrong in [
            "plan web",
            "plan shop/web -f a",
            "plan --live",
            "plan shop/web --cluster-objects",
            "purge",
            "purge --cluster c --kind Pod",
            "purge --cluster c --timeout 5",
            "purge --cluster c --force",
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn every_help_text_has_examples_and_exit_codes() {
        for line in ["--help", "l2 --help", "plan --help", "purge --help", "doctor --help"] {
            let text = parse(line).unwrap_err().to_string();
            assert!(text.contains("Examples:") && text.contains("Exit codes:"), "{line}: {text}");
        }
    }
}
