//! The side that the connection came to, and that has to find out for which torrent.

use super::dh::{KeyPair, PublicKey, Secret};
use super::error::Error;
use super::intake::Intake;
use super::keys::{Obfuscated, req1, stream_keys, topic_mask};
use super::method::{Established, Method, Methods, Policy, Progress, Stream};
use super::rc4::Rc4;
use super::{MAX_PAD, VC};
use crate::proto::id::InfoHash;

/// The length of the zeros, the methods and the length of pad C.
const HEADER: usize = VC.len() + 6;

/// The side of an encrypted connection that it came to.
///
/// It sends no pad D: what follows at once, the stream, has no fixed length anyway.
#[derive(Debug, Clone)]
pub struct Responder {
    keys: KeyPair,
    policy: Policy,
    /// Until it is sent.
    pad_b: Vec<u8>,
    intake: Intake,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// Waits for the public key.
    Key,
    /// Waits for the hash of the secret, somewhere after pad A.
    Mark {
        secret: Box<Secret>,
        mark: [u8; 20],
    },
    /// Waits for the torrent's name.
    Topic {
        secret: Box<Secret>,
    },
    /// Waits for the zeros, the methods and the length of pad C.
    Header(Box<Agreed>),
    /// Waits for pad C and the length of the initial payload.
    Pad {
        agreed: Box<Agreed>,
        method: Method,
        length: u16,
    },
    /// Waits for the initial payload.
    Payload {
        agreed: Box<Agreed>,
        method: Method,
        length: u16,
    },
    /// Has given all it had.
    Done,
    Failed(Error),
}

/// The torrent, and the streams.
#[derive(Debug, Clone)]
struct Agreed {
    info_hash: InfoHash,
    incoming: Rc4,
    outgoing: Rc4,
}

impl Responder {
    /// Starts the side of a connection that came in. Nothing is sent before the other side's key is there.
    ///
    /// The key and the pad, of 0 to [`MAX_PAD`] bytes of random length, should be random.
    ///
    /// # Errors
    ///
    /// The pad is too long ([`Error::Ours`]), or no method is allowed.
    pub fn new(keys: KeyPair, policy: Policy, pad_b: &[u8]) -> Result<Self, Error> {
        if pad_b.len() > MAX_PAD {
            return Err(Error::Ours { length: pad_b.len() });
        }
        if policy.choose(Methods::BOTH).is_none() {
            return Err(Error::NoMethod);
        }
        Ok(Self { keys, policy, pad_b: pad_b.to_vec(), intake: Intake::default(), state: State::Key })
    }

    /// Takes what has come, as far as it belongs to the encryption's handshake, and appends what is to be sent to `out`.
    ///
    /// `find` is asked once for the torrent that the initiator names: one of ours whose [`obfuscate`](super::obfuscate)d hash it is.
    /// What is left in `input` when it is done is the start of the stream. It is done once: afterwards it needs a byte that never
    /// comes.
    ///
    /// # Errors
    ///
    /// The other side does not speak this protocol, names no torrent of ours, or offers nothing that is allowed. It fails again then,
    /// in every later call.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        find: impl FnOnce(&Obfuscated) -> Option<InfoHash>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        self.advance(input, Some(find), out).inspect_err(|error| self.state = State::Failed(*error))
    }

    fn advance(
        &mut self,
        input: &mut &[u8],
        mut find: Option<impl FnOnce(&Obfuscated) -> Option<InfoHash>>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        loop {
            let next = match &mut self.state {
                State::Key => match self.intake.array::<{ PublicKey::LEN }>(input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(bytes) => {
                        let secret = Box::new(self.keys.private().secret(&PublicKey::decode(&bytes)?));
                        out.extend_from_slice(self.keys.public().as_bytes());
                        out.append(&mut self.pad_b);
                        let mark = req1(&secret);
                        State::Mark { secret, mark }
                    }
                },
                State::Mark { secret, mark } => match self.intake.mark(mark, input)? {
                    Some(missing) => return Ok(Progress::Needs(missing)),
                    None => State::Topic { secret: secret.clone() },
                },
                State::Topic { secret } => match self.intake.array::<20>(input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(bytes) => {
                        let topic = topic_mask(secret, Obfuscated(bytes));
                        // This state is passed once.
                        let info_hash = find.take().and_then(|find| find(&topic)).ok_or(Error::UnknownTorrent)?;
                        let keys = stream_keys(secret, info_hash);
                        let incoming = Rc4::after_discard(&keys.initiator);
                        let outgoing = Rc4::after_discard(&keys.responder);
                        State::Header(Box::new(Agreed { info_hash, incoming, outgoing }))
                    }
                },
                State::Header(agreed) => match self.intake.array::<HEADER>(input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(mut bytes) => {
                        agreed.incoming.apply(&mut bytes);
                        let [zeros @ .., a, b, c, d, e, f] = bytes;
                        let offered = Methods(u32::from_be_bytes([a, b, c, d]));
                        let length = u16::from_be_bytes([e, f]);
                        if zeros != VC {
                            return Err(Error::Verification);
                        }
                        if usize::from(length) > MAX_PAD {
                            return Err(Error::PadTooLong { length });
                        }
                        let method = self.policy.choose(offered).ok_or(Error::NoCommonMethod { offered })?;
                        State::Pad { agreed: agreed.clone(), method, length }
                    }
                },
                State::Pad { agreed, method, length } => match self.intake.run(usize::from(*length) + 2, input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(mut bytes) => {
                        agreed.incoming.apply(&mut bytes);
                        let length = bytes.last_chunk().map_or(0, |last| u16::from_be_bytes(*last));
                        let limit = self.policy.initial_payload;
                        if usize::from(length) > limit {
                            return Err(Error::PayloadTooLong { length, limit });
                        }
                        State::Payload { agreed: agreed.clone(), method: *method, length }
                    }
                },
                State::Payload { agreed, method, length } => match self.intake.run(usize::from(*length), input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(mut initial_payload) => {
                        agreed.incoming.apply(&mut initial_payload);
                        let mut answer = [0; HEADER];
                        let [.., a, b, c, d, _, _] = &mut answer;
                        [*a, *b, *c, *d] = Methods::from(*method).0.to_be_bytes();
                        agreed.outgoing.apply(&mut answer);
                        out.extend_from_slice(&answer);
                        let established = Established {
                            info_hash: agreed.info_hash,
                            method: *method,
                            initial_payload,
                            incoming: Stream::new(*method, agreed.incoming.clone()),
                            outgoing: Stream::new(*method, agreed.outgoing.clone()),
                        };
                        self.state = State::Done;
                        return Ok(Progress::Done(Box::new(established)));
                    }
                },
                State::Done => return Ok(Progress::Needs(1)),
                State::Failed(error) => return Err(*error),
            };
            self.state = next;
        }
    }
}
