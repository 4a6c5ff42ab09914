//! Sealing: ChaCha20-Poly1305 under a key of each session's own, HKDF-SHA256(secret, salt = session).
//!
//! A packet is `version (1) | key id (1) | session (16) | counter (8) | sealed body | tag (16)`. The header and the
//! kind of mesh are authenticated, so that no packet passes in a mesh of the other kind. The counter, never used
//! twice in a session, is the nonce.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};
use ring::{digest, hkdf};

/// The version of the protocol that we speak.
pub const VERSION: u8 = 1;
/// Bytes before the sealed body.
pub const HEADER_LEN: usize = 26;
/// The longest packet that is looked at.
pub const MAX_PACKET: usize = 1_472;

/// A secret of a mesh. Its text form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    secret: [u8; 32],
    id: u8,
}

impl Key {
    /// The secret with these bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        let mut labelled = b"daymark mesh key id".to_vec();
        labelled.extend_from_slice(&secret);
        let id = digest::digest(&digest::SHA256, &labelled).as_ref().first().copied().unwrap_or_default();
        Self { secret, id }
    }

    /// A byte by which packets name their secret, so that others' packets can be told from ours without arithmetic.
    pub(super) fn id(&self) -> u8 {
        self.id
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Which of a node's meshes a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MeshKind {
    Segment,
    NodeNetwork,
}

/// A process's part in one mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SessionId(pub(super) [u8; 16]);

impl SessionId {
    /// The session of `member` (in bytes) in a process with these random bytes: one per mesh, even where a driver
    /// gives all meshes the same bytes, since a counter must never count twice under one key.
    pub(super) fn derive(random: [u8; 16], member: &[u8], kind: MeshKind) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&random);
        context.update(&[kind as u8]);
        context.update(member);
        let mut id = [0; 16];
        id.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

/// What can be read of a packet before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key_id: u8,
    pub(super) session: SessionId,
    pub(super) counter: u64,
}

/// Why a packet is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    Length,
    Version,
}

impl Header {
    pub(super) fn read(packet: &[u8]) -> Result<Self, HeaderError> {
        if packet.first().is_some_and(|version| *version != VERSION) {
            return Err(HeaderError::Version);
        }
        if packet.len() < HEADER_LEN + MAX_TAG_LEN || packet.len() > MAX_PACKET {
            return Err(HeaderError::Length);
        }
        let mut session = [0; 16];
        let mut counter = [0; 8];
        session.copy_from_slice(packet.get(2..18).ok_or(HeaderError::Length)?);
        counter.copy_from_slice(packet.get(18..26).ok_or(HeaderError::Length)?);
        let key_id = packet.get(1).copied().ok_or(HeaderError::Length)?;
        Ok(Self { key_id, session: SessionId(session), counter: u64::from_be_bytes(counter) })
    }

    fn write(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = VERSION;
        bytes[1] = self.key_id;
        bytes[2..18].copy_from_slice(&self.session.0);
        bytes[18..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    fn authenticated(&self, kind: MeshKind) -> Aad<[u8; HEADER_LEN + 1]> {
        let mut bytes = [kind as u8; HEADER_LEN + 1];
        bytes[..HEADER_LEN].copy_from_slice(&self.write());
        Aad::from(bytes)
    }
}

/// The key of one session under one secret.
#[derive(Debug)]
pub(super) struct SessionKey {
    key: LessSafeKey,
    id: u8,
    kind: MeshKind,
}

impl SessionKey {
    /// `None` would mean that the algorithms do not fit each other, which they do.
    pub(super) fn derive(secret: &Key, session: SessionId, kind: MeshKind) -> Option<Self> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &session.0).extract(&secret.secret);
        let okm = prk.expand(&[b"daymark mesh"], &CHACHA20_POLY1305).ok()?;
        Some(Self { key: LessSafeKey::new(UnboundKey::from(okm)), id: secret.id(), kind })
    }

    /// Which secret it comes from.
    pub(super) fn id(&self) -> u8 {
        self.id
    }

    /// The packet with `body` sealed, `counter` used up.
    pub(super) fn seal(&self, session: SessionId, counter: u64, body: &[u8]) -> Option<Vec<u8>> {
        let header = Header { key_id: self.id, session, counter };
        let mut packet = Vec::with_capacity(HEADER_LEN + body.len() + MAX_TAG_LEN);
        packet.extend_from_slice(&header.write());
        packet.extend_from_slice(body);
        let sealed = packet.get_mut(HEADER_LEN..)?;
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(counter), header.authenticated(self.kind), sealed)
            .ok()?;
        packet.extend_from_slice(tag.as_ref());
        Some(packet)
    }

    /// The body of `packet`; `None` when it is not what was sealed.
    pub(super) fn open(&self, header: &Header, packet: &[u8]) -> Option<Vec<u8>> {
        let mut body = packet.get(HEADER_LEN..)?.to_vec();
        let aad = header.authenticated(self.kind);
        let len = self.key.open_in_place(nonce(header.counter), aad, &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId([7; 16]);

    fn key(secret: u8, kind: MeshKind) -> SessionKey {
        SessionKey::derive(&Key::new([secret; 32]), SESSION, kind).unwrap()
    }

    #[test]
    fn opens_only_what_was_sealed() {
        let packet = key(1, MeshKind::Segment).seal(SESSION, 9, b"hello").unwrap();
        let header = Header::read(&packet).unwrap();
        assert_eq!((header.session, header.counter), (SESSION, 9));
        assert_eq!(key(1, MeshKind::Segment).open(&header, &packet).unwrap(), b"hello");
        assert_eq!(key(1, MeshKind::NodeNetwork).open(&header, &packet), None, "another mesh");
        assert_eq!(key(2, MeshKind::Segment).open(&header, &packet), None, "another secret");
        for byte in 1..packet.len() {
            let mut forged = packet.clone();
            forged[byte] ^= 1;
            let header = Header::read(&forged).unwrap();
            assert_eq!(key(1, MeshKind::Segment).open(&header, &forged), None, "byte {byte}");
        }
    }

    #[test]
    fn refuses_other_versions_and_lengths_unopened() {
        let packet = key(1, MeshKind::Segment).seal(SESSION, 9, b"").unwrap();
        assert_eq!(Header::read(&packet[..packet.len() - 1]), Err(HeaderError::Length));
        assert_eq!(Header::read(&[]), Err(HeaderError::Length));
        assert_eq!(Header::read(&vec![VERSION; MAX_PACKET + 1]), Err(HeaderError::Length));
        assert_eq!(Header::read(&[2; 100]), Err(HeaderError::Version));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Key::new([42; 32])), "Key(redacted)");
    }
}
