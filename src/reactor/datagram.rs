//! Datagram sockets.
#![allow(clippy::disallowed_types)] // sockets belong here

use super::listener::canonical;
use crate::machine::{Hosted, SocketId};
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

/// A bound socket of one machine's.
pub(super) struct Datagrams {
    socket: UdpSocket,
    pub(super) owner: Hosted,
    /// The machine's name for it.
    pub(super) id: SocketId,
    v6: bool,
    /// Readiness came, and no read has met `WouldBlock` since.
    ready: bool,
}

/// Opens a datagram socket. One on the unspecified IPv6 address takes IPv4 datagrams too.
pub(super) fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket, owner: Hosted, id: SocketId, v6: bool) -> Self {
        Self { socket, owner, id, v6, ready: false }
    }

    pub(super) fn socket_mut(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr().map(canonical)
    }

    pub(super) fn on_ready(&mut self) {
        self.ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Reads one datagram. `Some(None)`: an error that concerns one datagram was in its place.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Option<Option<(usize, SocketAddr)>> {
        if !self.ready {
            return None;
        }
        match self.socket.recv_from(buffer) {
            Ok((len, from)) => Some(Some((len, canonical(from)))),
            Err(e) => match e.kind() {
                // Somebody we wrote to is not there; Windows says it as a reset.
                ErrorKind::Interrupted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Some(None),
                kind => {
                    // After another error the next datagram brings new readiness.
                    self.ready = false;
                    if kind != ErrorKind::WouldBlock {
                        log::warn!("reading datagrams: {e}");
                    }
                    None
                }
            },
        }
    }

    /// Sends a datagram, or drops it as the network may.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddr) {
        let to = match to {
            SocketAddr::V4(v4) if self.v6 => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
            to if !self.v6 => canonical(to),
            to => to,
        };
        if let Err(e) = self.socket.send_to(bytes, to) {
            if e.kind() != ErrorKind::WouldBlock {
                log::debug!("a datagram of {} bytes to {to} was dropped: {e}", bytes.len());
            }
        }
    }
}
