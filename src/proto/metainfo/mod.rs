//! Torrent files (BEP 3, BEP 12): parsing, building, and names that are safe to store.
//!
//! [`Metainfo::parse`] reads version 1, and the version 1 side of a hybrid; a torrent of version 2 alone (BEP 52) is refused as
//! unsupported. [`Builder`] writes version 1. Neither touches a file: walking folders and hashing are the disk's.
//!
//! What the bytes and names of a torrent look like on disk is its [`Layout`], which is shared by all who need it.
//!
//! ```
//! use bip::proto::metainfo::{Builder, Limits, Metainfo};
//! use bip::proto::sha1::Sha1;
//!
//! let bytes = Builder::single_file("hello.txt", 5)
//!     .piece_hashes([Sha1::digest(b"hello")])
//!     .tracker_tier(["http://tracker.example/announce"])
//!     .build()?;
//! let torrent = Metainfo::parse(&bytes, &Limits::default())?;
//! assert_eq!(torrent.info_hash().to_string(), "0eb2d544ef0c9ae3c0fbba90a71cd742a44aa81d");
//! assert_eq!(torrent.files()[0].path.to_string(), "hello.txt");
//! assert_eq!(torrent.layout().geometry().total_length(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names
//!
//! A name from a torrent is never trusted and never a reason to refuse the torrent. What could leave the torrent's folder or
//! cannot be stored is repaired, each repair is a [`Warning`], and the name as given is kept. [`Names`] says how much is
//! repaired. Two files never share a path: of files with the same path all but the first are renamed (`name.1.ext`), and so is
//! a file that stands where another's folder must be.

mod builder;
mod edit;
mod entry;
mod error;
mod files;
#[cfg(feature = "v2")]
mod layers;
mod layout;
mod limits;
mod outer;
mod path;
mod piece_hash;
mod piece_length;
mod places;
mod safe_path;
#[cfg(test)]
mod tests;
mod torrent;
#[cfg(feature = "v2")]
mod tree;
mod warning;

pub use builder::Builder;
pub use edit::Edit;
pub use entry::Entry;
pub use error::{BuildError, Disagreement, Error, LayerError};
pub use layout::{File, FileSpan, Layout, Version};
pub use limits::Limits;
pub use path::{Names, PathError};
pub use piece_hash::{PieceHash, PieceRoot};
pub use piece_length::{PieceLength, piece_length_for};
pub use safe_path::SafePath;
pub use torrent::Metainfo;
pub use warning::Warning;
