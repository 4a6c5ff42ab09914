//! What members tell each other, behind the encryption: holds into an election, reports, and packets into a mesh.

#![no_main]

use std::time::{Duration, Instant};

use daymark_l2::election::{Election, ElectionOutput};
use daymark_l2::hold::HoldMessage;
use daymark_l2::member::{MemberId, NodeUid};
use daymark_l2::mesh::{Key, Mesh, MeshAddress, MeshConfig, MeshKeys, MeshOutput};
use daymark_l2::report::NodeReport;
use daymark_model::{InterfaceIndex, MacAddr, TimingProfile};
use libfuzzer_sys::fuzz_target;

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHERS: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn member(node: u8) -> MemberId {
    MemberId { node: NodeUid([node; 16]), interface: InterfaceIndex(2) }
}

fuzz_target!(|bytes: &[u8]| {
    let now = Instant::now();
    if let Ok(message) = postcard::from_bytes::<HoldMessage>(bytes) {
        let mut election = Election::new(member(1), 7);
        let mut out = ElectionOutput::default();
        election.heard(now, member(2), message, &mut out);
        election.tick(now + Duration::from_secs(1), &mut out);
        assert_eq!(election.answering(), 0);
    }
    if let Ok(report) = postcard::from_bytes::<NodeReport>(bytes) {
        let written = postcard::to_stdvec(&report).expect("a report can be written");
        assert_eq!(postcard::from_bytes(&written), Ok(report));
    }
    let mut mesh = Mesh::new(
        now,
        MeshConfig {
            me: member(1),
            address: MeshAddress::Mac(OURS),
            broadcast: true,
            session: [3; 16],
            keys: MeshKeys { current: Key::new([9; 32]), previous: None },
            seed: 7,
            profile: TimingProfile::Fast,
        },
    );
    let mut out = MeshOutput::default();
    mesh.handle(now, MeshAddress::Mac(OTHERS), bytes, &mut out);
    assert_eq!(mesh.members().count(), 0);
});
