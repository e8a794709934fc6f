//! The side that opens the connection, and knows the torrent.

use super::dh::{KeyPair, PublicKey, Secret};
use super::error::Error;
use super::intake::Intake;
use super::keys::{StreamKeys, obfuscate, req1, stream_keys, topic_mask};
use super::method::{Established, Methods, Policy, Progress, Stream};
use super::rc4::Rc4;
use super::{MAX_PAD, VC};
use crate::proto::id::InfoHash;

/// The side of an encrypted connection that opened it.
///
/// It sends no pad C: what it sends third has no fixed length anyway, for the initial payload.
#[derive(Debug, Clone)]
pub struct Initiator {
    private: super::dh::PrivateKey,
    info_hash: InfoHash,
    offered: Methods,
    /// What goes with the third step, in clear, until it does.
    initial_payload: Vec<u8>,
    intake: Intake,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// Waits for the public key.
    Key,
    /// Waits for the encrypted zeros, somewhere after pad B.
    Mark {
        keys: StreamKeys,
        mark: [u8; 8],
        outgoing: Box<Rc4>,
    },
    /// Waits for the method and the length of pad D.
    Choice {
        incoming: Box<Rc4>,
        outgoing: Box<Rc4>,
    },
    /// Waits for the end of pad D.
    Pad {
        selected: Methods,
        length: u16,
        incoming: Box<Rc4>,
        outgoing: Box<Rc4>,
    },
    /// Has given all it had.
    Done,
    Failed(Error),
}

impl Initiator {
    /// Starts a connection for a torrent: appends the first bytes to `out`.
    ///
    /// The key and the pad, of 0 to [`MAX_PAD`] bytes of random length, should be random. The initial payload goes with the second bytes
    /// that are sent, encrypted: the handshake saves a round trip so.
    ///
    /// # Errors
    ///
    /// The pad, or the initial payload, is too long ([`Error::Ours`]), or no method is allowed.
    pub fn new(
        keys: &KeyPair,
        info_hash: InfoHash,
        policy: Policy,
        pad_a: &[u8],
        initial_payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let too_long = [(pad_a.len(), MAX_PAD), (initial_payload.len(), usize::from(u16::MAX))];
        if let Some((length, _)) = too_long.into_iter().find(|(length, most)| length > most) {
            return Err(Error::Ours { length });
        }
        let offered = policy.allowed.intersection(Methods::BOTH);
        if offered == Methods::default() {
            return Err(Error::NoMethod);
        }
        out.extend_from_slice(keys.public().as_bytes());
        out.extend_from_slice(pad_a);
        Ok(Self {
            private: *keys.private(),
            info_hash,
            offered,
            initial_payload: initial_payload.to_vec(),
            intake: Intake::default(),
            state: State::Key,
        })
    }

    /// Takes what has come, as far as it belongs to the encryption's handshake, and appends what is to be sent to `out`.
    ///
    /// What is left in `input` when it is done is the start of the stream. It is done once: afterwards it needs a byte that never
    /// comes.
    ///
    /// # Errors
    ///
    /// The other side does not speak this protocol, has not got the torrent, or chose what was not offered. It fails again then, in
    /// every later call.
    pub fn receive(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        self.advance(input, out).inspect_err(|error| self.state = State::Failed(*error))
    }

    fn advance(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        loop {
            match &mut self.state {
                State::Key => match self.intake.array::<{ PublicKey::LEN }>(input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(bytes) => {
                        let secret = self.private.secret(&PublicKey::decode(&bytes)?);
                        self.state = self.answer(&secret, out);
                    }
                },
                State::Mark { keys, mark, outgoing } => {
                    if let Some(missing) = self.intake.mark(mark, input)? {
                        return Ok(Progress::Needs(missing));
                    }
                    let mut incoming = Box::new(Rc4::after_discard(&keys.responder));
                    incoming.skip(VC.len());
                    self.state = State::Choice { incoming, outgoing: outgoing.clone() };
                }
                State::Choice { incoming, outgoing } => match self.intake.array::<6>(input) {
                    Err(missing) => return Ok(Progress::Needs(missing)),
                    Ok(mut bytes) => {
                        incoming.apply(&mut bytes);
                        let [a, b, c, d, e, f] = bytes;
                        let selected = Methods(u32::from_be_bytes([a, b, c, d]));
                        let length = u16::from_be_bytes([e, f]);
                        if selected.single().is_none_or(|method| !self.offered.contains(method)) {
                            return Err(Error::Selection { selected });
                        }
                        if usize::from(length) > MAX_PAD {
                            return Err(Error::PadTooLong { length });
                        }
                        let (incoming, outgoing) = (incoming.clone(), outgoing.clone());
                        self.state = State::Pad { selected, length, incoming, outgoing };
                    }
                },
                State::Pad { selected, length, incoming, outgoing } => {
                    if let Err(missing) = self.intake.run(usize::from(*length), input) {
                        return Ok(Progress::Needs(missing));
                    }
                    incoming.skip(usize::from(*length));
                    let method = selected.single().ok_or(Error::Selection { selected: *selected })?;
                    let established = Established {
                        info_hash: self.info_hash,
                        method,
                        initial_payload: Vec::new(),
                        incoming: Stream::new(method, (**incoming).clone()),
                        outgoing: Stream::new(method, (**outgoing).clone()),
                    };
                    self.state = State::Done;
                    return Ok(Progress::Done(Box::new(established)));
                }
                State::Done => return Ok(Progress::Needs(1)),
                State::Failed(error) => return Err(*error),
            }
        }
    }

    /// Sends the third step.
    fn answer(&mut self, secret: &Secret, out: &mut Vec<u8>) -> State {
        out.extend_from_slice(&req1(secret));
        out.extend_from_slice(&topic_mask(secret, obfuscate(self.info_hash)).0);
        let keys = stream_keys(secret, self.info_hash);
        let payload = std::mem::take(&mut self.initial_payload);
        // `new` takes no longer one.
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        let clear_from = out.len();
        out.extend_from_slice(&VC);
        out.extend_from_slice(&self.offered.0.to_be_bytes());
        out.extend_from_slice(&0_u16.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&payload);
        let mut outgoing = Box::new(Rc4::after_discard(&keys.initiator));
        outgoing.apply(out.get_mut(clear_from..).unwrap_or_default());
        let mut mark = VC;
        Rc4::after_discard(&keys.responder).apply(&mut mark);
        State::Mark { keys, mark, outgoing }
    }
}
