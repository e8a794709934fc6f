//! The integration tests.

mod peer;
