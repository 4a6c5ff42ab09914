//! Many speakers come to a segment where addresses are answered for.

use std::time::Duration;

use daymark_tests::{Lab, Result, Time, wait_for};

use super::common::l2::{everything, served};
use super::{agree, hears, services};

const HOME: u8 = 2;
const JOINERS: u8 = 30;
/// Speakers of a test's build, all on one machine.
const CROWD: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn thirty_speakers_join_and_nothing_moves() -> Result<()> {
    let lab = Lab::builder("l2-joins").nodes(HOME + JOINERS).lan_clients(1).start().await?;
    let names: Vec<&str> = lab.nodes().iter().map(|node| node.name()).collect();
    let (home, joiners) = names.split_at(HOME.into());
    // They have done their work: no Service changes from here on but for those that the first two nodes serve.
    for node in lab.nodes().iter().skip(HOME.into()) {
        node.proxy().kill().await?;
    }
    lab.apply(&everything("")).await?;
    lab.start_controller("a").await?;
    for node in home {
        lab.start_speaker(node).await?;
    }
    let vips = services(&lab, 4, home).await?;
    let watch = lab.watch(&vips).await?;
    let before = agree(&lab, &watch, &vips, home).await?;
    served(&lab, &vips).await?;

    let since = Time::now();
    let mut load = lab.lan_client("l1")?.load((vips[0], 80).into()).rate(50).start().await?;
    for node in joiners {
        lab.start_speaker(node).await?;
    }
    for node in home.iter().chain(joiners.last()) {
        wait_for(format_args!("{node} to hear all others"), CROWD, async || {
            hears(&lab, node, names.len() - 1).await
        })
        .await?;
    }
    load.until_sent(100).await?;
    let after = agree(&lab, &watch, &vips, &names).await?;
    assert_eq!(after, before);
    let report = load.stop().await?;
    assert_eq!((report.failed, report.syn_retrans()), (0, 0), "{report:?}");
    let record = watch.stop().await?.after(since);
    for vip in &vips {
        record.check_single(*vip, Duration::ZERO)?;
        let terms = record.terms(*vip);
        assert!(terms.iter().all(|term| *term.host == *before[vip]), "{}", record.story(*vip));
    }
    lab.finish().await
}
