//! The integration tests.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the far side of a test is a plain socket on a plain thread

#[cfg(feature = "reactor")]
mod reactor;
