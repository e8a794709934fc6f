//! Reference-counted bytes of a torrent, pooled.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that many can hold and nobody changes: a block on its way between network and disk.
///
/// Cloning shares them. The last one to let go gives the memory back to the pool that it came from.
#[derive(Clone)]
pub struct Block {
    bytes: Arc<Buffer>,
}

struct Buffer {
    bytes: Vec<u8>,
    home: Option<Arc<Store>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give(std::mem::take(&mut self.bytes));
        }
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes.bytes
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Block {
    fn from(bytes: Vec<u8>) -> Self {
        Block { bytes: Arc::new(Buffer { bytes, home: None }) }
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Block {}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes)", self.len())
    }
}

/// Bytes that are still being filled in; [`freeze`](BlockBuf::freeze) makes a [`Block`] of them without a copy.
pub struct BlockBuf {
    buffer: Buffer,
}

impl BlockBuf {
    /// Gives the bytes, to append to or to fill.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer.bytes
    }

    /// Gives the bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.bytes
    }

    /// Makes a block of the bytes.
    pub fn freeze(self) -> Block {
        Block { bytes: Arc::new(self.buffer) }
    }
}

impl fmt::Debug for BlockBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockBuf({} bytes)", self.buffer.bytes.len())
    }
}

/// A store of memory for blocks: what comes back is used again, the latest first, for that is still in the processor's cache.
#[derive(Clone, Debug)]
pub struct BlockPool {
    store: Arc<Store>,
}

/// Buffers that nobody uses.
#[derive(Debug)]
struct Store {
    unused: Mutex<Vec<Vec<u8>>>,
    most: usize,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Nothing between two of its changes can panic.
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Vec<u8>> {
        self.lock().pop()
    }

    fn give(&self, bytes: Vec<u8>) {
        let mut unused = self.lock();
        if unused.len() < self.most {
            unused.push(bytes);
        } else {
            drop(unused);
            // A full pool lets the memory go; the lock is not held meanwhile.
            drop(bytes);
        }
    }
}

impl BlockPool {
    /// Makes a pool that keeps at most that many unused buffers.
    pub fn new(keep: usize) -> Self {
        Self { store: Arc::new(Store { unused: Mutex::default(), most: keep }) }
    }

    /// Gives an empty buffer with room for at least that many bytes.
    pub fn take(&self, capacity: usize) -> BlockBuf {
        let mut buf = self.recall();
        buf.bytes_mut().clear();
        buf.bytes_mut().reserve(capacity);
        buf
    }

    /// Gives a buffer of that many bytes, whose values are any: it is to be overwritten whole, and clearing it would cost as much as
    /// filling it.
    pub fn take_full(&self, length: usize) -> BlockBuf {
        let mut buf = self.recall();
        buf.bytes_mut().resize(length, 0);
        buf
    }

    fn recall(&self) -> BlockBuf {
        let bytes = self.store.take().unwrap_or_default();
        BlockBuf { buffer: Buffer { bytes, home: Some(Arc::clone(&self.store)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_to_the_pool_with_the_last_holder() {
        let pool = BlockPool::new(1);
        let mut buf = pool.take(100);
        buf.bytes_mut().extend_from_slice(b"abc");
        let address = buf.bytes().as_ptr();
        let block = buf.freeze();
        let other = block.clone();
        drop(block);
        assert_ne!(pool.take(10).bytes().as_ptr(), address);
        assert_eq!(&*other, b"abc");
        // The buffer taken above came back and fills the pool of one; empty it first.
        drop(pool.store.take());
        drop(other);
        let again = pool.take(3);
        assert_eq!(again.bytes().as_ptr(), address);
        assert!(again.bytes().is_empty());
    }

    #[test]
    fn a_full_buffer_has_its_length_whatever_came_back() {
        let pool = BlockPool::new(1);
        for (before, length) in [(0, 5), (3, 5), (9, 5), (5, 0)] {
            let mut buf = pool.take(before);
            buf.bytes_mut().resize(before, 7);
            drop(buf.freeze());
            assert_eq!(pool.take_full(length).bytes().len(), length);
        }
    }

    #[test]
    fn blocks_outlive_their_pool() {
        let pool = BlockPool::new(4);
        let mut buf = pool.take(4);
        buf.bytes_mut().push(1);
        let block = buf.freeze();
        drop(pool);
        assert_eq!(block, Block::from(vec![1]));
    }
}
