//! The integration tests.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the far side of a test is a plain socket on a plain thread
#![allow(clippy::unwrap_used)] // clippy spares tests themselves, but not what they share

#[cfg(feature = "reactor")]
mod reactor;
