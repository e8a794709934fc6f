//! Datagrams that leave one by one, each as soon as a machine asks for it.

use mio::net::UdpSocket;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// What a socket has to send: nothing, ever.
#[derive(Default)]
pub(super) struct Outgoing(());

impl Outgoing {
    /// Sends a datagram, or drops it.
    pub(super) fn push(&mut self, socket: &UdpSocket, bytes: &[u8], to: SocketAddr, dropped: &mut u64) -> bool {
        if let Err(e) = socket.send_to(bytes, to) {
            *dropped += 1;
            if e.kind() != ErrorKind::WouldBlock {
                log::debug!("a datagram of {} bytes to {to} was dropped: {e}", bytes.len());
            }
        }
        false
    }

    pub(super) fn flush(&mut self, _socket: &UdpSocket, _dropped: &mut u64) {}
}

/// Reads one datagram.
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    socket.recv_from(buffer)
}
