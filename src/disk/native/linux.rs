//! Calls that only Linux has: several slices at an offset at once, and reads that never wait.

use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether reading from a file may have to wait for a device.
#[derive(Debug)]
pub(super) struct Waits(AtomicU8);

/// The system is asked with each read.
const PERHAPS: u8 = 0;
/// Never: its file system has no device.
const NEVER: u8 = 1;
/// Its file system cannot tell.
const UNKNOWN: u8 = 2;

/// What statfs(2) calls file systems that live in memory: tmpfs and ramfs. Part of a tmpfs can be swapped out; reading that
/// waits as any use of memory would.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

impl Waits {
    pub(super) fn of(file: &File) -> Self {
        let kind = rustix::fs::fstatfs(file).map(|found| found.f_type as u64 & 0xffff_ffff);
        Waits(AtomicU8::new(if kind.is_ok_and(|kind| IN_MEMORY.contains(&kind)) { NEVER } else { PERHAPS }))
    }

    /// Reads what is in memory.
    pub(super) fn read_now(&self, file: &File, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Option<usize>> {
        match self.0.load(Ordering::Relaxed) {
            NEVER => read(file, offset, bufs).map(Some),
            UNKNOWN => Ok(None),
            _ => match rustix::io::preadv2(file, bufs, offset, ReadWriteFlags::NOWAIT) {
                Ok(read) => Ok(Some(read)),
                Err(Errno::AGAIN) => Ok(None),
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.0.store(UNKNOWN, Ordering::Relaxed);
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            },
        }
    }
}

pub(super) fn read(file: &File, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    rustix::io::preadv(file, bufs, offset).map_err(io::Error::from)
}

/// Writes all slices.
pub(super) fn write(file: &File, mut offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
    let mut copies: Vec<IoSlice<'_>> = slices.to_vec();
    let mut rest = copies.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_slices_is_read_at_once_where_it_is_in_memory() {
        let path = std::env::temp_dir().join(format!("bip-linux-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        write(&file, 5, &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")]).unwrap();
        let (mut one, mut two) = ([0; 4], [0; 9]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        // Just written, so it is in memory; a file system that cannot tell is no fault.
        let read = Waits::of(&file).read_now(&file, 4, &mut bufs).unwrap();
        assert!(read.is_none_or(|read| read == 7), "{read:?}");
        assert_eq!(super::read(&file, 4, &mut bufs).unwrap(), 7);
        assert_eq!((&one, &two[..3]), (b"\0abc", &b"def"[..]));
        let memory = Waits(AtomicU8::new(NEVER));
        assert_eq!(memory.read_now(&file, 100, &mut [IoSliceMut::new(&mut [0; 4])]).unwrap(), Some(0));
        std::fs::remove_file(path).unwrap();
    }
}
