//! Listening sockets.
#![allow(clippy::disallowed_types)] // sockets belong here

use super::datagram::{BindOptions, reuse_port};
use crate::machine::Hosted;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

/// Writes an IPv4 address that came in IPv6 dress as what it is.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), v6.port()),
            IpAddr::V6(_) => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// A socket of one machine's that accepts connections.
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) owner: Hosted,
    /// Readiness came, and no accept has met `WouldBlock` since.
    ready: bool,
    /// Resting after an error, until a timer ends it.
    resting: bool,
}

/// What an accept gave.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A connection from there.
    Stream(TcpStream, SocketAddr),
    /// A connection that was gone before we took it.
    Lost,
    /// Nothing now.
    Nothing,
    /// An error: the listener rests.
    Rest(io::Error),
}

/// Opens a listening socket.
pub(super) fn open(address: SocketAddr, options: BindOptions, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(options.only_v6)?;
    }
    if options.reuse_port {
        reuse_port(&socket)?;
    }
    // Not on Windows, where it would let another program take the address away.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Listener {
    pub(super) fn new(socket: TcpListener, owner: Hosted) -> Self {
        Self { socket, owner, ready: false, resting: false }
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpListener {
        &mut self.socket
    }

    /// Notes that somebody may be waiting.
    pub(super) fn on_ready(&mut self) {
        self.ready = true;
    }

    /// Ends a rest.
    pub(super) fn on_rested(&mut self) {
        self.resting = false;
        // No new edge comes for those who have been waiting since before.
        self.ready = true;
    }

    /// Says whether an accept now could give something.
    pub(super) fn is_ready(&self) -> bool {
        self.ready && !self.resting
    }

    pub(super) fn accept(&mut self) -> Arrival {
        if !self.is_ready() {
            return Arrival::Nothing;
        }
        let result = self.socket.accept();
        self.sort(result)
    }

    fn sort(&mut self, result: io::Result<(TcpStream, SocketAddr)>) -> Arrival {
        match result {
            Ok((stream, from)) => Arrival::Stream(stream, canonical(from)),
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock => {
                    self.ready = false;
                    Arrival::Nothing
                }
                // About that connection alone: the next one may be fine. A rest would let strangers slow us down.
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => Arrival::Lost,
                _ => {
                    self.resting = true;
                    Arrival::Rest(e)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_files_rests_a_listener_and_never_ends_it() {
        let mut listener =
            Listener::new(open("127.0.0.1:0".parse().unwrap(), BindOptions::default(), 8).unwrap(), Hosted(0));
        listener.on_ready();
        // EMFILE and ENFILE.
        for code in [24, 23] {
            assert!(matches!(listener.sort(Err(io::Error::from_raw_os_error(code))), Arrival::Rest(_)));
            assert!(!listener.is_ready());
            // An edge meanwhile does not end the rest: it would spin.
            listener.on_ready();
            assert!(!listener.is_ready());
            listener.on_rested();
            assert!(listener.is_ready());
        }
        assert!(matches!(listener.sort(Err(ErrorKind::ConnectionAborted.into())), Arrival::Lost));
        assert!(listener.is_ready());
        assert!(matches!(listener.accept(), Arrival::Nothing));
        assert!(!listener.is_ready());
    }

    #[test]
    fn an_ipv4_address_in_ipv6_dress_is_shown_as_what_it_is() {
        let shown = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(shown("[::ffff:10.0.0.1]:80"), "10.0.0.1:80");
        assert_eq!(shown("[2001:db8::1]:80"), "[2001:db8::1]:80");
        assert_eq!(shown("10.0.0.1:80"), "10.0.0.1:80");
    }
}
