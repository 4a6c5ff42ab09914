//! What happens in a schedule: edits, faults, deaths, foreign hands, time.

use std::time::Duration;

use daymark_aws::api::{
    DeleteListener, DeregisterTargets, Ingress, ModifyLoadBalancerAttributes, Peer, RemoveTags,
    RevokeSecurityGroupIngress, RuleProtocol,
};
use daymark_aws_fake::{Aws, Consistency, Fault, On, Quotas, RandomFaults, Timing};
use daymark_model::aws::{CloudMode, Drift, Replacement, SubnetPolicy};
use daymark_providers::Depth;

use crate::controller::Controller;
use crate::dice::Dice;
use crate::shop::{GROUP, NAMES, NODE_ACCESS, Node, base};

/// One thing that happens; `dice` decides the rest, so that it is the same whatever comes before.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub what: What,
    pub dice: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Create,
    Delete,
    Recreate,
    EditFront,
    EditBack,
    Mistake,
    Pods,
    Nodes,
    Group,
    Profile,
    Consent,
    Foreign,
    Sick,
    Faults,
    Deny,
    Quota,
    Lag,
    Conflict,
    Die,
    Restart,
    Lost,
    Time,
}

use What::{
    Conflict, Consent, Create, Delete, Deny, Die, EditBack, EditFront, Faults, Foreign, Group, Lag, Lost,
    Mistake, Nodes, Pods, Profile, Quota, Recreate, Restart, Sick, Time,
};

/// How often each comes.
const WEIGHTS: &[(What, usize)] = &[
    (Create, 6),
    (Delete, 3),
    (Recreate, 2),
    (EditFront, 12),
    (EditBack, 12),
    (Mistake, 4),
    (Pods, 9),
    (Nodes, 3),
    (Group, 4),
    (Profile, 3),
    (Consent, 8),
    (Foreign, 6),
    (Sick, 3),
    (Faults, 4),
    (Deny, 2),
    (Quota, 2),
    (Lag, 2),
    (Conflict, 2),
    (Die, 8),
    (Restart, 1),
    (Lost, 2),
    (Time, 22),
];

/// A schedule.
pub fn schedule(dice: &mut Dice) -> Vec<Step> {
    let all: usize = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut steps = vec![Step { what: Create, dice: dice.number() }];
    for _ in 0..10 + dice.below(30) {
        let mut left = dice.below(all);
        for (what, weight) in WEIGHTS {
            if left < *weight {
                steps.push(Step { what: *what, dice: dice.number() });
                break;
            }
            left -= weight;
        }
    }
    steps
}

impl Step {
    pub async fn happen(self, controller: &mut Controller) -> Result<(), String> {
        let mut dice = Dice::new(self.dice);
        let dice = &mut dice;
        match self.what {
            Create => create(controller, dice),
            Delete => {
                if let Some(name) = existing(controller, dice) {
                    delete(controller, name);
                }
            }
            Recreate => {
                if let Some(name) = existing(controller, dice) {
                    delete(controller, name);
                    let now = controller.now();
                    controller.shop.create(name, now);
                    controller.note(format!("Service {name} is there again"));
                    controller.touch(name, Depth::Full);
                }
            }
            EditFront => edit_front(controller, dice),
            EditBack => edit_back(controller, dice),
            Mistake => mistake(controller, dice),
            Pods => pods(controller, dice),
            Nodes => nodes(controller, dice),
            Group => group(controller, dice),
            Profile => profile(controller, dice),
            Consent => {
                controller.note("consent to all that is shown");
                controller.consent_to_all();
            }
            Foreign => foreign(controller, dice),
            Sick => {
                let zone = u8::try_from(dice.below(3)).unwrap_or(0);
                let number = u16::try_from(1 + dice.below(4) + 100 * dice.below(3)).unwrap_or(1);
                let pod = controller.shop.account.pod(zone, number);
                let is_sick = dice.percent(60);
                controller.note(format!("{pod} is {}", if is_sick { "sick" } else { "well" }));
                if is_sick { controller.aws.make_sick(&pod) } else { controller.aws.make_well(&pod) }
            }
            Faults => {
                let on = dice.percent(70);
                let permille = 20 + u32::try_from(dice.below(200)).unwrap_or(0);
                controller.note(format!("faults: {}", if on { permille } else { 0 }));
                let random = on.then(|| RandomFaults::survivable(dice.number(), permille));
                controller.aws.fail_at_random(random);
            }
            Deny => {
                let actions = [
                    "CreateLoadBalancer",
                    "CreateTargetGroup",
                    "CreateListener",
                    "ModifyListener",
                    "ec2:*",
                    "DeleteTargetGroup",
                    "AddTags",
                    "DescribeAccountLimits",
                    "ModifyTargetGroupAttributes",
                    "DeleteSecurityGroup",
                ];
                let action = dice.pick(&actions).copied().unwrap_or_default();
                let denies = dice.percent(60);
                controller.note(format!("{} {action}", if denies { "deny" } else { "allow" }));
                if denies { controller.aws.deny(action) } else { controller.aws.allow(action) }
            }
            Quota => {
                let small = u32::try_from(1 + dice.below(4)).unwrap_or(1);
                let quotas = match dice.below(5) {
                    0 => Quotas { load_balancers: 1 + small, ..Quotas::default() },
                    1 => Quotas { target_groups: 1 + small, ..Quotas::default() },
                    2 => Quotas { targets_per_group: small, ..Quotas::default() },
                    3 => Quotas { rules: small, ..Quotas::default() },
                    _ => Quotas::default(),
                };
                controller.note(format!("quotas: {quotas:?}"));
                // Quotas are known for an hour.
                controller.shared.book().is_tight = true;
                controller.aws.set_quotas(quotas);
            }
            Lag => {
                let seconds = |dice: &mut Dice| Duration::from_secs(dice.below(8) as u64);
                let consistency = Consistency {
                    lists: seconds(dice),
                    identities: seconds(dice),
                    tags: seconds(dice),
                    attributes: seconds(dice),
                };
                controller.note(format!("{consistency:?}"));
                controller.aws.set_consistency(consistency);
            }
            Conflict => {
                controller.note("saves are refused");
                controller.shared.book().conflicts = 1 + dice.below(2);
            }
            Die => {
                let steps = dice.below(90);
                controller.note(format!("the controller is to die after {steps} answers"));
                controller.life.set(Some(steps));
            }
            Restart => {
                controller.note("the controller is restarted");
                controller.restart();
            }
            Lost => {
                let (times, skip) = (1 + u32::from(dice.percent(30)), u32::from(dice.percent(50)));
                let actions = ["Create*", "Delete*", "Modify*", "Set*", "Register*", "Authorize*"];
                let action = dice.pick(&actions).copied().unwrap_or_default();
                controller.note(format!("the answer to {action} is lost"));
                controller.aws.fail_after(skip, On::action(action), times, Fault::LostResponse);
            }
            Time => {
                let spans = [0, 1, 3, 10, 20, 45, 61, 120, 200, 320, 660, 1900, 3700];
                let span = dice.pick(&spans).copied().unwrap_or_default();
                controller.note(format!("{span} s pass"));
                controller.run_for(Duration::from_secs(span)).await?;
            }
        }
        // Something is often still under way when the next thing happens.
        let span = if dice.percent(50) { 0 } else { dice.below(15) as u64 };
        controller.run_for(Duration::from_secs(span)).await
    }
}

fn existing(controller: &Controller, dice: &mut Dice) -> Option<&'static str> {
    let names: Vec<&'static str> = controller.shop.services.keys().copied().collect();
    dice.pick(&names).copied()
}

fn mistake(controller: &mut Controller, dice: &mut Dice) {
    let Some(name) = existing(controller, dice) else { return };
    let Some(entry) = controller.shop.services.get_mut(name) else { return };
    entry.mistaken = dice.percent(60);
    let text = format!("Service {name} has {} mistake", if entry.mistaken { "a" } else { "no" });
    controller.note(text);
    let subject = controller.shop.subject_of(name);
    controller.touch(&subject, Depth::Full);
    controller.touch(NODE_ACCESS, Depth::Full);
}

fn create(controller: &mut Controller, dice: &mut Dice) {
    let missing: Vec<&'static str> =
        NAMES.iter().filter(|name| !controller.shop.services.contains_key(**name)).copied().collect();
    let Some(name) = dice.pick(&missing).copied() else { return };
    let now = controller.now();
    controller.shop.create(name, now);
    if let Some(entry) = controller.shop.services.get_mut(name) {
        for _ in 0..dice.below(4) {
            entry.front.edit(dice);
            entry.back.edit(dice, base(name));
        }
    }
    controller.note(format!("Service {name} comes: {:?}", controller.shop.services.get(name)));
    let subject = controller.shop.subject_of(name);
    touch(controller, &subject);
}

/// A Service changed: its load balancer, and what lets it reach the nodes.
fn touch(controller: &mut Controller, subject: &str) {
    controller.touch(subject, Depth::Full);
    controller.touch(NODE_ACCESS, Depth::Full);
}

fn delete(controller: &mut Controller, name: &'static str) {
    controller.note(format!("Service {name} goes"));
    let subject = controller.shop.subject_of(name);
    controller.shop.services.remove(name);
    touch(controller, &subject);
}

fn edit_front(controller: &mut Controller, dice: &mut Dice) {
    let Some(name) = existing(controller, dice) else { return };
    let subject = controller.shop.subject_of(name);
    let front = if subject == GROUP {
        Some(&mut controller.shop.group_front)
    } else {
        controller.shop.services.get_mut(name).map(|entry| &mut entry.front)
    };
    let Some(front) = front else { return };
    front.edit(dice);
    let text = format!("{subject}: {front:?}");
    controller.note(text);
    touch(controller, &subject);
}

fn edit_back(controller: &mut Controller, dice: &mut Dice) {
    let Some(name) = existing(controller, dice) else { return };
    let Some(entry) = controller.shop.services.get_mut(name) else { return };
    entry.back.edit(dice, base(name));
    let text = format!("{name}: {:?}", entry.back);
    controller.note(text);
    let subject = controller.shop.subject_of(name);
    touch(controller, &subject);
}

fn pods(controller: &mut Controller, dice: &mut Dice) {
    let Some(name) = existing(controller, dice) else { return };
    let Some(entry) = controller.shop.services.get_mut(name) else { return };
    for _ in 0..=dice.below(3) {
        let pod = u16::try_from(1 + dice.below(6)).unwrap_or(1);
        match dice.below(3) {
            0 => {
                entry.pods.remove(&pod);
            }
            1 => {
                entry.pods.insert(pod, true);
            }
            _ => {
                entry.pods.entry(pod).and_modify(|ready| *ready = !*ready);
            }
        }
    }
    let text = format!("pods of {name}: {:?}", entry.pods);
    controller.note(text);
    let subject = controller.shop.subject_of(name);
    controller.touch(&subject, if dice.percent(80) { Depth::Targets } else { Depth::Full });
}

fn nodes(controller: &mut Controller, dice: &mut Dice) {
    let names: Vec<String> = controller.shop.nodes.keys().cloned().collect();
    match dice.below(3) {
        0 => {
            let zone = dice.below(2);
            let Some(instance) = controller.aws.add_instance(zone) else { return };
            let zone = controller.shop.account.zones.get(zone).cloned().unwrap_or_default();
            controller.note(format!("node {instance} comes"));
            let node = Node { instance: instance.clone(), zone, excluded: false };
            controller.shop.nodes.insert(instance, node);
        }
        1 if names.len() > 1 => {
            let Some(name) = dice.pick(&names) else { return };
            if let Some(node) = controller.shop.nodes.remove(name) {
                controller.note(format!("node {} goes", node.instance));
                controller.aws.terminate_instance(&node.instance);
            }
        }
        _ => {
            let Some(node) = dice.pick(&names).and_then(|name| controller.shop.nodes.get_mut(name)) else {
                return;
            };
            node.excluded = !node.excluded;
            let text = format!("node {} is excluded: {}", node.instance, node.excluded);
            controller.note(text);
        }
    }
    controller.touch_all(Depth::Targets);
}

fn group(controller: &mut Controller, dice: &mut Dice) {
    let Some(name) = existing(controller, dice).filter(|name| *name != "web") else { return };
    let before = controller.shop.subject_of(name);
    let Some(entry) = controller.shop.services.get_mut(name) else { return };
    entry.grouped = !entry.grouped;
    let text = format!("{name} is in the group: {}", entry.grouped);
    controller.note(text);
    let after = controller.shop.subject_of(name);
    touch(controller, &before);
    touch(controller, &after);
}

fn profile(controller: &mut Controller, dice: &mut Dice) {
    let shop = &mut controller.shop;
    match dice.below(5) {
        0 => {
            let policies = [SubnetPolicy::Sticky, SubnetPolicy::AddOnly, SubnetPolicy::Exact];
            shop.profile.subnet_policy = dice.pick(&policies).copied().unwrap_or_default();
        }
        1 => shop.profile.drift = if dice.percent(50) { Drift::Report } else { Drift::Repair },
        2 => {
            let modes = [CloudMode::Apply, CloudMode::Apply, CloudMode::Observe, CloudMode::Plan];
            shop.mode = dice.pick(&modes).copied().unwrap_or_default();
        }
        3 => {
            let graces = [0, 60, 600];
            let grace = dice.pick(&graces).copied().unwrap_or_default();
            shop.profile.replacement_grace = Duration::from_secs(grace);
        }
        _ => {
            let policies = [Replacement::OnConsent, Replacement::CreateBeforeDestroy];
            shop.replacement = dice.pick(&policies).copied().unwrap_or_default();
        }
    }
    let text = format!(
        "profile: {:?}, {:?}, {:?}, {:?}, {:?}",
        shop.profile.subnet_policy,
        shop.profile.drift,
        shop.mode,
        shop.profile.replacement_grace,
        shop.replacement
    );
    controller.note(text);
    controller.touch_all(Depth::Full);
}

/// Somebody else does something to what is ours.
fn foreign(controller: &mut Controller, dice: &mut Dice) {
    let aws = controller.aws.clone();
    let snapshot = aws.snapshot();
    let book = controller.shared.clone();
    let is_ours = |id: &&String| !book.book().foreign.contains(*id);
    let balancers: Vec<String> = snapshot.load_balancers.keys().filter(is_ours).cloned().collect();
    let Some(arn) = dice.pick(&balancers).cloned() else { return };
    let Some(found) = snapshot.load_balancers.get(&arn) else { return };
    let listeners: Vec<_> = found.listeners.values().collect();
    match dice.below(7) {
        0 => {
            controller.note(format!("somebody deletes {arn}"));
            aws.lose_load_balancer(&arn);
        }
        1 => {
            let Some(listener) = dice.pick(&listeners) else { return };
            controller.note(format!("somebody deletes {}", listener.listener.arn));
            let _ = aws.as_other(DeleteListener { arn: listener.listener.arn.clone() });
        }
        2 | 3 => {
            let Some(to) = dice.pick(&listeners).and_then(|listener| listener.listener.forward.first())
            else {
                return;
            };
            let Some(pool) = snapshot.target_groups.get(&to.target_group) else { return };
            let Some(health) = dice.pick(&pool.targets) else { return };
            controller.note(format!("somebody deregisters {:?}", health.target));
            let targets = vec![health.target.clone()];
            let _ = aws.as_other(DeregisterTargets { arn: to.target_group.clone(), targets });
        }
        4 => {
            let Some(group) = found.load_balancer.security_groups.first().filter(|id| is_ours(id)).cloned()
            else {
                return;
            };
            let rules: Vec<String> = snapshot
                .security_groups
                .get(&group)
                .map(|found| found.rules.iter().map(|rule| rule.id.clone()).collect())
                .unwrap_or_default();
            if dice.percent(50) {
                let Some(rule) = dice.pick(&rules).cloned() else { return };
                controller.note(format!("somebody revokes {rule}"));
                let _ = aws.as_other(RevokeSecurityGroupIngress { group, rules: vec![rule] });
            } else {
                controller.note(format!("somebody adds a rule to {group}"));
                let peer = Peer::Cidr("172.16.0.0/12".parse().unwrap());
                let rules = vec![Ingress { protocol: RuleProtocol::Tcp, from: 22, to: 22, peer }];
                let description = String::new();
                let call = daymark_aws::api::AuthorizeSecurityGroupIngress { group, rules, description };
                let _ = aws.as_other(call);
            }
        }
        5 => {
            let (name, value) = match dice.below(2) {
                0 => ("load_balancing.cross_zone.enabled", if dice.percent(50) { "true" } else { "false" }),
                _ => ("dns_record.client_routing_policy", "partial_availability_zone_affinity"),
            };
            controller.note(format!("somebody sets {name}={value} of {arn}"));
            let attributes = [(name.to_owned(), value.to_owned())].into();
            let _ = aws.as_other(ModifyLoadBalancerAttributes { arn: arn.clone(), attributes });
            forget_before(controller, &arn, name);
        }
        _ => {
            controller.note(format!("somebody removes tags of {arn}"));
            let _ = aws.as_other(RemoveTags { arn, keys: vec!["team".to_owned()] });
        }
    }
    controller.touch_all(Depth::Full);
}

/// What somebody else sets is what it was before, unless Daymark has noted another value already.
fn forget_before(controller: &Controller, arn: &str, name: &str) {
    let mut book = controller.shared.book();
    let recorded = book.holder(arn).is_some_and(|(_, entry)| {
        let name = format!("{}{name}", daymark_aws::naming::record::ATTRIBUTE_PREFIX);
        entry.recorded.contains_key(&name)
    });
    if !recorded {
        book.before.remove(&(arn.to_owned(), name.to_owned()));
    }
}

/// All is well again: whoever was denied is allowed, and so on.
pub fn heal(controller: &mut Controller) {
    let aws: Aws = controller.aws.clone();
    aws.heal();
    for action in [
        "CreateLoadBalancer",
        "CreateTargetGroup",
        "CreateListener",
        "ModifyListener",
        "ec2:*",
        "DeleteTargetGroup",
        "AddTags",
        "DescribeAccountLimits",
        "ModifyTargetGroupAttributes",
        "DeleteSecurityGroup",
    ] {
        aws.allow(action);
    }
    aws.set_quotas(Quotas::default());
    aws.set_consistency(Consistency::default());
    aws.set_timing(Timing { provisioning: Duration::from_secs(30), ..Timing::default() });
    for zone in 0..3 {
        for service in 0..3 {
            for number in 1..8 {
                aws.make_well(&controller.shop.account.pod(zone, 100 * service + number));
            }
        }
    }
    controller.shared.book().conflicts = 0;
    controller.shared.book().is_tight = false;
    controller.shop.mode = CloudMode::Apply;
    controller.shop.profile.drift = Drift::Repair;
    controller.shop.services.values_mut().for_each(|entry| entry.mistaken = false);
    // What is protected by its Service's own wish is not replaced.
    let fronts = controller.shop.services.values_mut().map(|entry| &mut entry.front);
    for front in fronts.chain([&mut controller.shop.group_front]) {
        if front.attributes == 2 {
            front.attributes = 0;
        }
    }
    // What nobody wants any longer is protected until somebody lets go of it.
    let off = [("deletion_protection.enabled".to_owned(), "false".to_owned())];
    for arn in aws.snapshot().load_balancers.keys() {
        let _ =
            aws.as_other(ModifyLoadBalancerAttributes { arn: arn.clone(), attributes: off.clone().into() });
    }
    controller.note("all is well again");
    controller.restart();
}
