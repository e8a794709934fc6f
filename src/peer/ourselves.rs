use super::Config;
use crate::proto::priority::priority;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where we are, as far as we know: for the order of peers (BEP 40).
///
/// BEP 40 means the address at which peers see us. Where the configuration does not say it, the local address of the latest connection
/// stands for it: the same, but behind an address translator. Then the order is still one that no peer can choose, but not the one
/// that the other side comes to.
#[derive(Debug, Default)]
pub(super) struct Ourselves {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    /// Where we listen, once somebody has connected to us.
    port: u16,
}

impl Ourselves {
    /// Takes note of the local address of a connection.
    pub(super) fn on_local(&mut self, local: SocketAddr, listens: bool) {
        match local.ip().to_canonical() {
            IpAddr::V4(ip) => self.v4 = Some(ip),
            IpAddr::V6(ip) => self.v6 = Some(ip),
        }
        if listens {
            self.port = local.port();
        }
    }

    /// Gives the priority of a peer: of two, the one with the higher is to be connected.
    pub(super) fn priority_of(&self, peer: SocketAddr, config: &Config) -> u32 {
        let ip = match peer.ip().to_canonical() {
            IpAddr::V4(_) => config.external_v4.or(self.v4).unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
            IpAddr::V6(_) => config.external_v6.or(self.v6).unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
        };
        priority(SocketAddr::new(ip, self.port), peer)
    }
}
