//! Whom to believe who an HTTPS tracker is.

use std::fmt;
use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The certificates of certificate authorities, which alone are trusted to say who an HTTPS tracker is. Clones share them.
///
/// ```
/// use bip::tracker::client::{Config, Roots, RootsError};
///
/// assert_eq!(Roots::from_pem(b"no certificate"), Err(RootsError::None));
/// // Default: the authorities that Mozilla trusts.
/// assert_eq!(Config::default().roots, None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Roots {
    /// In DER.
    certificates: Arc<[Vec<u8>]>,
}

/// Why certificates cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootsError {
    /// The text is longer than [`Roots::MAX_PEM`].
    TooLong,
    /// There is no certificate in it.
    None,
    /// A certificate is malformed.
    Malformed {
        /// Which, counted from 1.
        certificate: usize,
    },
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "more than {} bytes of certificates", Roots::MAX_PEM),
            Self::None => f.write_str("there is no certificate in it (PEM)"),
            Self::Malformed { certificate } => write!(f, "certificate {certificate} is malformed"),
        }
    }
}

impl std::error::Error for RootsError {}

impl Roots {
    /// The most bytes that certificates in PEM may have: 1 MiB, four times all that Mozilla trusts.
    pub const MAX_PEM: usize = 1 << 20;

    /// Reads certificates in PEM, one or more; what is not a certificate is passed over.
    ///
    /// # Errors
    ///
    /// [`RootsError`]. A certificate whose contents make no sense may be noticed only when it is of no use: then servers are not believed.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RootsError> {
        if pem.len() > Self::MAX_PEM {
            return Err(RootsError::TooLong);
        }
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            let malformed = RootsError::Malformed { certificate: certificates.len() + 1 };
            if let PemItem::Certificate(certificate) = item.map_err(|_| malformed)? {
                let der = certificate.der();
                if !is_sequence(der) {
                    return Err(malformed);
                }
                certificates.push(der.to_vec());
            }
        }
        if certificates.is_empty() { Err(RootsError::None) } else { Ok(Self { certificates: certificates.into() }) }
    }

    pub(super) fn tls(&self) -> TlsConfig {
        let certificates = self.certificates.iter().map(|der| Certificate::from_der(der).to_owned());
        TlsConfig::builder().root_certs(RootCerts::from(certificates)).build()
    }
}

/// Says whether bytes are one sequence of DER, whose length goes with theirs: what a certificate is.
fn is_sequence(der: &[u8]) -> bool {
    let (length, rest) = match der {
        [0x30, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        _ => return false,
    };
    length == rest.len()
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({} certificates)", self.certificates.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(base64: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn certificates_are_counted_and_the_malformed_one_is_named() {
        // The sequence of nothing, and one that is longer than it says.
        let (good, bad) = (pem("MAA="), pem("MAAA"));
        assert_eq!(format!("{:?}", Roots::from_pem(good.repeat(3).as_bytes()).unwrap()), "Roots(3 certificates)");
        for wrong in [&bad, &pem("AAAA"), &pem("?"), &good[..40].to_owned()] {
            let found = Roots::from_pem(format!("{good}{wrong}").as_bytes());
            assert_eq!(found, Err(RootsError::Malformed { certificate: 2 }), "{wrong}");
        }
        assert_eq!(Roots::from_pem(b""), Err(RootsError::None));
        assert_eq!(Roots::from_pem(&vec![b'\n'; Roots::MAX_PEM + 1]), Err(RootsError::TooLong));
    }
}
