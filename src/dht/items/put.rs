use crate::proto::krpc::code;
use std::fmt;

/// Why an item is not stored. The fault is the sender's, but for the last two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // without the feature no signature is verified, and with it none is unsupported
pub(crate) enum PutError {
    /// The value is longer than the limit.
    ValueTooBig,
    /// The salt is longer than 64 bytes.
    SaltTooBig,
    /// The sequence number is negative.
    NegativeSequence,
    /// The signature is not the owner's.
    InvalidSignature,
    /// What is stored is not what is to be replaced.
    CasMismatch,
    /// What is stored is newer, or another value with the same number.
    SequenceTooLow,
    /// An item of the other kind is stored there.
    OtherKind,
    /// The sender's address has as many items as it may.
    Full,
    /// Signatures cannot be verified (without the feature `mutable-items`).
    Unsupported,
}

impl PutError {
    /// Gives the code to answer with.
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::ValueTooBig => code::VALUE_TOO_BIG,
            Self::SaltTooBig => code::SALT_TOO_BIG,
            Self::NegativeSequence | Self::OtherKind => code::PROTOCOL,
            Self::InvalidSignature => code::INVALID_SIGNATURE,
            Self::CasMismatch => code::CAS_MISMATCH,
            Self::SequenceTooLow => code::SEQUENCE_TOO_LOW,
            Self::Full | Self::Unsupported => code::SERVER,
        }
    }

    /// Gives the text to answer with.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::ValueTooBig => "v is too long",
            Self::SaltTooBig => "salt is too long",
            Self::NegativeSequence => "seq is negative",
            Self::InvalidSignature => "invalid signature",
            Self::CasMismatch => "cas mismatch",
            Self::SequenceTooLow => "seq is not newer",
            Self::OtherKind => "an item of the other kind is stored there",
            Self::Full => "too many items of one address",
            Self::Unsupported => "mutable items are not stored here",
        }
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
