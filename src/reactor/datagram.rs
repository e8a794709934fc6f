//! Datagram sockets.
#![allow(clippy::disallowed_types)] // sockets belong here

use super::Config;
use super::listener::canonical;
use crate::machine::{Hosted, SocketId};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

#[cfg(all(target_os = "linux", feature = "batched-io"))]
mod batched;
#[cfg(all(target_os = "linux", feature = "batched-io"))]
mod segments;
#[cfg(not(all(target_os = "linux", feature = "batched-io")))]
mod single;

#[cfg(all(target_os = "linux", feature = "batched-io"))]
use batched::{Outgoing, receive};
#[cfg(not(all(target_os = "linux", feature = "batched-io")))]
use single::{Outgoing, receive};

/// How a socket for datagrams or for connections is bound, beside its address. Both are off by default.
///
/// ```
/// use bip::reactor::BindOptions;
///
/// // One of two sockets on one port: `0.0.0.0:6881` takes IPv4, and this one beside it, on `[::]:6881`, IPv6 (BEP 32).
/// let beside = BindOptions { only_v6: true, ..BindOptions::default() };
/// assert!(!beside.reuse_port);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BindOptions {
    /// A socket on an IPv6 address takes IPv6 alone, so that another can have the same port for IPv4. Without it, one
    /// on `[::]` takes both. On an IPv4 address it means nothing.
    pub only_v6: bool,
    /// Other sockets of the same user's may be bound to the same address, if they ask for it too: several workers of one server
    /// (`SO_REUSEPORT`). Linux spreads the senders over them, each always to the same as long as they are the same sockets; other
    /// systems may give everything to one. Refused with [`Unsupported`](ErrorKind::Unsupported) where there is no such thing.
    pub reuse_port: bool,
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A datagram of that many bytes from there.
    Datagram(usize, SocketAddr),
    /// One that is not to be handed on, or an error in the place of one.
    Skipped,
    /// Nothing now.
    Nothing,
}

/// A bound socket of one machine's.
pub(super) struct Datagrams {
    socket: UdpSocket,
    pub(super) owner: Hosted,
    /// The machine's name for it.
    pub(super) id: SocketId,
    v6: bool,
    /// Readiness came, and no read has met `WouldBlock` since.
    ready: bool,
    /// The system tells of its readiness.
    armed: bool,
    /// The last read met an error that says nothing about one datagram.
    failing: bool,
    outgoing: Outgoing,
    /// How many datagrams of ours were dropped.
    pub(super) dropped: u64,
}

/// A datagram socket that is bound and belongs to no machine yet: for a machine that is made with its address.
///
/// ```
/// use bip::reactor::{BindOptions, Config, DatagramSocket};
///
/// let socket = DatagramSocket::bind("127.0.0.1:0".parse()?, BindOptions::default(), &Config::default())?;
/// assert_ne!(socket.local().port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    local: SocketAddr,
    v6: bool,
}

impl DatagramSocket {
    /// Binds a socket; the config has the sizes of its buffers.
    pub fn bind(address: SocketAddr, options: BindOptions, config: &Config) -> io::Result<Self> {
        let socket = open(address, options, config)?;
        let local = socket.local_addr().map(canonical)?;
        Ok(Self { socket, local, v6: address.is_ipv6() })
    }

    /// Gives its address, with the port that the system chose for port 0.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn into_parts(self) -> (UdpSocket, bool) {
        (self.socket, self.v6)
    }
}

/// Opens a datagram socket.
fn open(address: SocketAddr, options: BindOptions, config: &Config) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(options.only_v6)?;
    }
    if options.reuse_port {
        reuse_port(&socket)?;
    }
    // A system that has less to give says so, or gives less: no reason to go without a socket.
    if config.datagram_receive_buffer > 0 {
        if let Err(e) = socket.set_recv_buffer_size(config.datagram_receive_buffer) {
            log::debug!("a receive buffer of {} bytes for {address}: {e}", config.datagram_receive_buffer);
        }
    }
    if config.datagram_send_buffer > 0 {
        if let Err(e) = socket.set_send_buffer_size(config.datagram_send_buffer) {
            log::debug!("a send buffer of {} bytes for {address}: {e}", config.datagram_send_buffer);
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

#[cfg(all(
    unix,
    not(any(
        target_os = "solaris",
        target_os = "illumos",
        target_os = "cygwin",
        target_os = "nuttx",
        target_os = "wasi"
    ))
))]
pub(super) fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(
    unix,
    not(any(
        target_os = "solaris",
        target_os = "illumos",
        target_os = "cygwin",
        target_os = "nuttx",
        target_os = "wasi"
    ))
)))]
pub(super) fn reuse_port(_socket: &Socket) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::Unsupported, "this system does not share a port between sockets"))
}

impl Datagrams {
    /// Takes a socket in; `v6` says of which family it is.
    pub(super) fn new(socket: UdpSocket, owner: Hosted, id: SocketId, v6: bool) -> Self {
        Self {
            socket,
            owner,
            id,
            v6,
            ready: false,
            armed: true,
            failing: false,
            outgoing: Outgoing::default(),
            dropped: 0,
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    pub(super) fn on_ready(&mut self) {
        self.ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Has the system tell no more of its readiness until it is [armed](Self::arm) again: it is known to be ready, and the system takes a tenth longer
    /// for each datagram that comes or goes where it has to look for somebody to be told.
    pub(super) fn disarm(&mut self, registry: &Registry) {
        if self.armed && registry.deregister(&mut self.socket).is_ok() {
            self.armed = false;
        }
    }

    /// Has the system tell of its readiness, at once if something has come meanwhile.
    pub(super) fn arm(&mut self, registry: &Registry, token: Token) {
        if self.armed || self.ready {
            return;
        }
        match registry.register(&mut self.socket, token, Interest::READABLE) {
            Ok(()) => self.armed = true,
            Err(e) => {
                // It is read from again in the next turn, told or not.
                log::warn!("waiting for datagrams: {e}");
                self.ready = true;
            }
        }
    }

    /// Reads one datagram.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        if !self.ready {
            return Received::Nothing;
        }
        let result = receive(&self.socket, buffer);
        self.sort(result, buffer.len())
    }

    fn sort(&mut self, result: io::Result<(usize, SocketAddr)>, room: usize) -> Received {
        let e = match result {
            Ok((len, from)) => {
                self.failing = false;
                if len < room {
                    return Received::Datagram(len, canonical(from));
                }
                // The system cuts what is longer and does not say so.
                log::debug!("a datagram from {from} of at least {len} bytes was dropped: there is no room for it");
                return Received::Skipped;
            }
            Err(e) => e,
        };
        match e.kind() {
            ErrorKind::WouldBlock => {
                (self.ready, self.failing) = (false, false);
                Received::Nothing
            }
            // Somebody we wrote to is not there; Windows says it as a reset.
            ErrorKind::Interrupted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Received::Skipped,
            // It may be about one datagram too, and others wait behind it for which no readiness comes again. One that
            // stays must not keep the reactor busy: the next datagram brings new readiness.
            _ => {
                log::warn!("reading datagrams: {e}");
                self.ready = !self.failing;
                self.failing = true;
                if self.ready { Received::Skipped } else { Received::Nothing }
            }
        }
    }

    /// Sends a datagram or keeps it for the next [`flush`](Self::flush); what cannot be sent is dropped, as the network may. Says
    /// whether it is the first that is kept.
    pub(super) fn send(&mut self, bytes: &[u8], to: SocketAddr) -> bool {
        let to = match to {
            SocketAddr::V4(v4) if self.v6 => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
            to if !self.v6 => canonical(to),
            to => to,
        };
        self.outgoing.push(&self.socket, bytes, to, &mut self.dropped)
    }

    /// Sends what was kept, in order.
    pub(super) fn flush(&mut self) {
        self.outgoing.flush(&self.socket, &mut self.dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Datagrams {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let socket = open(address, BindOptions::default(), &Config::default()).unwrap();
        Datagrams::new(socket, Hosted(0), SocketId(0), false)
    }

    /// Reads until there is nothing.
    fn drain(datagrams: &mut Datagrams, room: usize) -> Vec<Received> {
        let mut buffer = vec![0; room];
        datagrams.on_ready();
        let mut all = Vec::new();
        loop {
            match datagrams.receive(&mut buffer) {
                Received::Nothing => return all,
                other => all.push(other),
            }
        }
    }

    #[test]
    fn a_datagram_that_does_not_fit_is_dropped_and_not_handed_on_cut() {
        let mut datagrams = socket();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (from, to) = (sender.local_addr().unwrap(), datagrams.socket.local_addr().unwrap());
        for len in [99, 100, 101, 5000, 0, 1] {
            sender.send_to(&vec![7; len], to).unwrap();
        }
        let whole = |len| Received::Datagram(len, from);
        let skipped = Received::Skipped;
        assert_eq!(drain(&mut datagrams, 100), [whole(99), skipped, skipped, skipped, whole(0), whole(1)]);
    }

    #[test]
    fn an_error_is_passed_over_and_one_that_stays_waits_for_new_readiness() {
        let mut datagrams = socket();
        let from: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let mut sort = |result: Result<usize, ErrorKind>| {
            datagrams.on_ready();
            let sorted = datagrams.sort(result.map(|len| (len, from)).map_err(Into::into), 100);
            (sorted, datagrams.is_ready())
        };
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::Interrupted] {
            // Each is about one datagram, however many come.
            assert_eq!(sort(Err(kind)), (Received::Skipped, true));
            assert_eq!(sort(Err(kind)), (Received::Skipped, true));
        }
        assert_eq!(sort(Err(ErrorKind::HostUnreachable)), (Received::Skipped, true));
        assert_eq!(sort(Ok(5)), (Received::Datagram(5, from), true));
        assert_eq!(sort(Err(ErrorKind::NetworkDown)), (Received::Skipped, true));
        assert_eq!(sort(Err(ErrorKind::NetworkDown)), (Received::Nothing, false));
        assert_eq!(sort(Err(ErrorKind::WouldBlock)), (Received::Nothing, false));
        assert_eq!(sort(Err(ErrorKind::NetworkDown)), (Received::Skipped, true));
    }
}
