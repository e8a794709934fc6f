//! Hash maps keyed from the seed: repeatable runs, and no collisions that an outsider could plan.
#![allow(clippy::disallowed_types)] // this is where the wrapped map lives

use super::Rng;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{BuildHasher, Hash, Hasher};

#[derive(Clone)]
struct Keys(u64, u64);

impl BuildHasher for Keys {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        // The keys go in first: whoever does not know them cannot choose colliding keys.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write_u64(self.1);
        hasher
    }
}

/// A hash map whose hash is keyed from the machine's [`Rng`].
///
/// Its order means nothing and must not be seen in what a machine does; whoever walks it must not act on the order.
#[derive(Clone)]
pub struct Map<K, V> {
    inner: HashMap<K, V, Keys>,
}

impl<K: Hash + Eq, V> Map<K, V> {
    /// Makes an empty map.
    pub fn new(rng: &mut Rng) -> Self {
        Self { inner: HashMap::with_hasher(Keys(rng.next_u64(), rng.next_u64())) }
    }

    /// Gives the number of entries.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Gives how many entries there is room for without taking more memory.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// Gives the value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.inner.get(key)
    }

    /// Gives the value of a key, to change it.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.inner.get_mut(key)
    }

    /// Says whether there is a value for a key.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.inner.contains_key(key)
    }

    /// Puts a value in; gives the one it replaces.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.inner.insert(key, value)
    }

    /// Takes a value out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.inner.remove(key)
    }

    /// Gives a key's place in the map, to look and change in one go.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        self.inner.entry(key)
    }

    /// Gives the entries in an order that means nothing: for sums, and for lists that are sorted afterwards.
    pub fn iter_unordered(&self) -> impl Iterator<Item = (&K, &V)> {
        self.inner.iter()
    }

    /// Keeps the entries that the test accepts.
    pub fn retain(&mut self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.inner.retain(keep);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.inner.clear();
    }
}

impl<K, V> std::fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Map({} entries)", self.inner.len())
    }
}

/// A hash set whose hash is keyed from the machine's [`Rng`].
#[derive(Clone, Debug)]
pub struct Set<K> {
    map: Map<K, ()>,
}

impl<K: Hash + Eq> Set<K> {
    /// Makes an empty set.
    pub fn new(rng: &mut Rng) -> Self {
        Self { map: Map::new(rng) }
    }

    /// Gives the number of members.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Says whether the key is a member.
    pub fn contains(&self, key: &K) -> bool {
        self.map.contains_key(key)
    }

    /// Adds a member; says whether it is new.
    pub fn insert(&mut self, key: K) -> bool {
        self.map.insert(key, ()).is_none()
    }

    /// Takes a member out; says whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.map.remove(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_keyed_from_the_seed() {
        let order = |seed| {
            let mut map = Map::new(&mut Rng::new(seed));
            (0..50).for_each(|i| assert_eq!(map.insert(i, i), None));
            map.iter_unordered().map(|(k, _)| *k).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
