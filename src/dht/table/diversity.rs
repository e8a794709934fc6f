//! Where the nodes of a table are, so that no one party has too many of them.

use super::contact::Address;
use crate::dht::memory::Heap as _;

/// An address, ordered by its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// A /24 or a /64.
    network: u64,
    host: u64,
    port: u16,
}

impl Place {
    fn of(address: Address) -> Self {
        let (network, host) = address.network_and_host();
        Self { network, host, port: address.port() }
    }
}

/// The addresses of all nodes of a table, spares included: 24 bytes each. It is a sorted list rather than counts, so that
/// it holds exactly what was put in and not taken out, and counting is looking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Diversity {
    places: Vec<Place>,
}

impl Diversity {
    pub(super) fn heap(&self) -> usize {
        self.places.heap()
    }

    pub(super) fn insert(&mut self, address: Address) {
        let place = Place::of(address);
        let at = self.places.partition_point(|other| *other < place);
        self.places.insert(at, place);
    }

    pub(super) fn remove(&mut self, address: Address) {
        if let Ok(at) = self.places.binary_search(&Place::of(address)) {
            self.places.remove(at);
        }
    }

    pub(super) fn contains(&self, address: Address) -> bool {
        self.places.binary_search(&Place::of(address)).is_ok()
    }

    /// Says whether an IP address is here, on any port.
    pub(super) fn has_ip(&self, address: Address) -> bool {
        let first = Place { port: 0, ..Place::of(address) };
        let at = self.places.partition_point(|place| *place < first);
        self.places.get(at).is_some_and(|place| (place.network, place.host) == (first.network, first.host))
    }

    /// Gives how many addresses of the same network there are.
    pub(super) fn of_network(&self, address: Address) -> usize {
        let (network, _) = address.network_and_host();
        let from = self.places.partition_point(|place| place.network < network);
        self.places[from..].iter().take_while(|place| place.network == network).count()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Rng;
    use std::collections::BTreeMap;
    use std::net::{IpAddr, SocketAddr};

    fn address(text: &str) -> Address {
        Address::of(text.parse().unwrap())
    }

    #[test]
    fn networks_are_the_first_24_bits_of_ipv4_and_64_of_ipv6() {
        let network = |text| address(text).network_and_host().0;
        assert_eq!(network("192.0.2.1:1"), network("192.0.2.255:2"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.3.1:1"));
        assert_eq!(network("[2001:db8:0:1::1]:1"), network("[2001:db8:0:1:ffff::]:2"));
        assert_ne!(network("[2001:db8:0:1::1]:1"), network("[2001:db8:0:2::1]:1"));
    }

    #[test]
    fn counts_are_those_of_a_naive_model_after_any_insertions_and_removals() {
        for family in ["v4", "v6"] {
            let mut rng = Rng::new(7);
            let mut diversity = Diversity::default();
            let mut model: BTreeMap<SocketAddr, usize> = BTreeMap::new();
            let draw = |rng: &mut Rng| -> SocketAddr {
                let (network, host, port) = (rng.below(4), rng.below(4), 1 + rng.below(3));
                match family {
                    "v4" => format!("10.0.{network}.{host}:{port}").parse().unwrap(),
                    _ => format!("[2001:db8:0:{network}::{host}]:{port}").parse().unwrap(),
                }
            };
            let network = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => u128::from(ip.to_bits() >> 8),
                IpAddr::V6(ip) => ip.to_bits() >> 64,
            };
            for _ in 0..20_000 {
                let drawn = draw(&mut rng);
                if rng.below(2) == 0 {
                    diversity.insert(Address::of(drawn));
                    *model.entry(drawn).or_default() += 1;
                } else {
                    diversity.remove(Address::of(drawn));
                    if let Some(count) = model.get_mut(&drawn) {
                        *count = count.saturating_sub(1);
                    }
                }
                let asked = draw(&mut rng);
                let count = |is: &dyn Fn(&SocketAddr) -> bool| {
                    model.iter().filter(|(a, _)| is(a)).map(|(_, n)| n).sum::<usize>()
                };
                assert_eq!(diversity.len(), count(&|_| true));
                assert_eq!(diversity.contains(Address::of(asked)), count(&|a| *a == asked) > 0);
                assert_eq!(diversity.has_ip(Address::of(asked)), count(&|a| a.ip() == asked.ip()) > 0);
                let same = count(&|a| network(a.ip()) == network(asked.ip()));
                assert_eq!(diversity.of_network(Address::of(asked)), same);
            }
        }
    }
}
