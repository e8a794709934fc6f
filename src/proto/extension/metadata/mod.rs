//! `ut_metadata`: peers give each other the torrent's `info` dictionary (BEP 9).
//!
//! The dictionary is divided into pieces of [`PIECE_LENGTH`]; the last may be shorter. Its [`Size`] comes from the peers' handshakes,
//! which may lie: nothing is allocated for a size, only for data.
//!
//! - [`Message`] is what is sent, around the piece's bytes.
//! - [`Assembly`] gathers the pieces of one size; whether they have the torrent's hash is for the caller to see.
//! - [`Source`] answers requests from a dictionary that is there.
//!
//! ```
//! use bip::proto::extension::{Limits, metadata::{Assembly, Message, Piece, Source}};
//! let info = vec![7; 20_000];
//! let source = Source::new(&info).expect("there is something");
//! let mut assembly = Assembly::new(source.size());
//! let missing: Vec<Piece> = assembly.missing().collect();
//! for piece in missing {
//!     let Message::Data { piece, total_size, data } = source.answer(piece) else { panic!("the piece is there") };
//!     assembly.insert(piece, total_size, data)?;
//! }
//! assert_eq!(assembly.into_bytes(), Some(info));
//! # Ok::<(), bip::proto::extension::metadata::Refused>(())
//! ```

mod assembly;
mod message;
mod size;
mod source;

pub use assembly::{Assembly, Refused};
pub use message::Message;
pub use size::{PIECE_LENGTH, Piece, Size};
pub use source::Source;
