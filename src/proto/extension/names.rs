use super::{DontHave, Error, Handshake, Id, Limits, UploadOnly, holepunch, metadata, pex};
use std::borrow::Cow;
use std::fmt;

/// Which extension a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `ut_metadata` (BEP 9).
    Metadata,
    /// `ut_pex` (BEP 11).
    Pex,
    /// `lt_donthave` (BEP 54).
    DontHave,
    /// `ut_holepunch` (BEP 55).
    Holepunch,
    /// `upload_only` (libtorrent).
    UploadOnly,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Metadata, Self::Pex, Self::DontHave, Self::Holepunch, Self::UploadOnly];

    /// Gives the extension's name.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Metadata => b"ut_metadata",
            Self::Pex => b"ut_pex",
            Self::DontHave => b"lt_donthave",
            Self::Holepunch => b"ut_holepunch",
            Self::UploadOnly => b"upload_only",
        }
    }

    /// Gives the extension that has a name.
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An extended message from a peer, by what our number for it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The extension handshake.
    Handshake(Handshake<'a>),
    /// A message of `ut_metadata`.
    Metadata(metadata::Message<'a>),
    /// A message of `ut_pex`.
    Pex(pex::Pex),
    /// The message of `lt_donthave`.
    DontHave(DontHave),
    /// A message of `ut_holepunch`.
    Holepunch(holepunch::Message<'a>),
    /// The message of `upload_only`.
    UploadOnly(UploadOnly),
    /// A message of an extension that somebody else speaks.
    Custom {
        /// The extension's name.
        name: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
    /// A message with a number that we gave to no extension.
    Unknown {
        /// The number.
        id: u8,
        /// The payload.
        payload: &'a [u8],
    },
}

/// Why a name cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is empty or longer than [`Limits::name_length`].
    NameLength(usize),
    /// The name is there already.
    NameTaken,
    /// There are [`Limits::names`] names.
    TooMany,
    /// The id belongs to another name, or all ids do.
    IdTaken,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameLength(length) => write!(f, "the name of an extension of {length} bytes"),
            Self::NameTaken => f.write_str("the extension is registered already"),
            Self::TooMany => f.write_str("too many extensions"),
            Self::IdTaken => f.write_str("the id belongs to another extension"),
        }
    }
}

impl std::error::Error for RegisterError {}

/// The extensions that we speak, and the ids that we want their messages to have.
///
/// Fixed before the first connection, and shared by all of them: names can be added, but nothing changes that is there.
///
/// Tracks, in the order of registration, each name with its id. [`Theirs`](super::Theirs) keeps a peer's ids in the same order, so that a
/// connection holds a byte for each name and no name that we do not speak.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: Cow<'static, [u8]>,
    id: Option<Id>,
}

impl Names {
    /// Gives all extensions of [`Kind`], with the ids from 1.
    pub fn standard() -> Self {
        let entry = |(kind, id): (Kind, u8)| Entry { name: Cow::Borrowed(kind.name()), id: Id::new(id) };
        Self { entries: Kind::ALL.into_iter().zip(1..).map(entry).collect() }
    }

    /// Adds a name, with the lowest id that is free.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`].
    pub fn register(&mut self, name: impl Into<Cow<'static, str>>, limits: &Limits) -> Result<Id, RegisterError> {
        let free = (1..=255).filter_map(Id::new).find(|id| self.by_id(*id).is_none()).ok_or(RegisterError::IdTaken)?;
        self.add(name.into(), Some(free), limits)?;
        Ok(free)
    }

    /// Adds a name with an id of one's choice.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`].
    pub fn register_as(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        id: Id,
        limits: &Limits,
    ) -> Result<(), RegisterError> {
        if self.by_id(id).is_some() {
            return Err(RegisterError::IdTaken);
        }
        self.add(name.into(), Some(id), limits)
    }

    /// Adds the name of an extension whose messages are sent to peers that want them, and are not wanted here.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`].
    pub fn register_outgoing(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        limits: &Limits,
    ) -> Result<(), RegisterError> {
        self.add(name.into(), None, limits)
    }

    fn add(&mut self, name: Cow<'static, str>, id: Option<Id>, limits: &Limits) -> Result<(), RegisterError> {
        let name = match name {
            Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
            Cow::Owned(name) => Cow::Owned(name.into_bytes()),
        };
        if name.is_empty() || name.len() > limits.name_length {
            return Err(RegisterError::NameLength(name.len()));
        }
        if self.position(&name).is_some() {
            return Err(RegisterError::NameTaken);
        }
        if self.entries.len() >= limits.names {
            return Err(RegisterError::TooMany);
        }
        self.entries.push(Entry { name, id });
        Ok(())
    }

    /// Gives our id for an extension.
    pub fn id(&self, name: &[u8]) -> Option<Id> {
        self.position(name).and_then(|at| self.entries.get(at)?.id)
    }

    /// Gives the extension that we gave an id to.
    pub fn by_id(&self, id: Id) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.id == Some(id)).map(|entry| &*entry.name)
    }

    /// Goes over the names and ids, in the order of registration.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<Id>)> {
        self.entries.iter().map(|entry| (&*entry.name, entry.id))
    }

    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| *entry.name == *name)
    }

    /// Gives a handshake that says which extensions we speak, and nothing else.
    pub fn handshake(&self) -> Handshake<'_> {
        let mut handshake = Handshake::default();
        self.iter().filter(|(_, id)| id.is_some()).for_each(|(name, id)| handshake.set_name(name, id));
        handshake
    }

    /// Reads the payload of an extended message that a peer sent us.
    ///
    /// # Errors
    ///
    /// Fails where it is not a message of the extension that the id belongs to.
    pub fn decode<'a>(&'a self, id: u8, payload: &'a [u8], limits: &Limits) -> Result<Incoming<'a>, Error> {
        let Some(id) = Id::new(id) else {
            return Handshake::decode(payload, limits).map(Incoming::Handshake);
        };
        let Some(name) = self.by_id(id) else { return Ok(Incoming::Unknown { id: id.get(), payload }) };
        match Kind::of(name) {
            Some(Kind::Metadata) => metadata::Message::decode(payload, limits).map(Incoming::Metadata),
            Some(Kind::Pex) => pex::Pex::decode(payload, limits).map(Incoming::Pex),
            Some(Kind::DontHave) => DontHave::decode(payload).map(Incoming::DontHave),
            Some(Kind::Holepunch) => holepunch::Message::decode(payload).map(Incoming::Holepunch),
            Some(Kind::UploadOnly) => UploadOnly::decode(payload).map(Incoming::UploadOnly),
            None => Ok(Incoming::Custom { name, payload }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::PieceIndex;

    fn limits() -> Limits {
        Limits::default()
    }

    #[test]
    fn messages_are_read_by_our_numbers() {
        let names = Names::standard();
        let id = |kind: Kind| names.id(kind.name()).unwrap().get();
        let read = |id, payload| names.decode(id, payload, &limits()).unwrap();
        assert_eq!(read(0, b"de"), Incoming::Handshake(Handshake::default()));
        assert_eq!(read(id(Kind::DontHave), &[0, 0, 0, 5]), Incoming::DontHave(DontHave(PieceIndex(5))));
        assert_eq!(read(id(Kind::UploadOnly), &[1]), Incoming::UploadOnly(UploadOnly(true)));
        let request = metadata::Message::Request(metadata::Piece(3));
        assert_eq!(read(id(Kind::Metadata), b"d8:msg_typei0e5:piecei3ee"), Incoming::Metadata(request));
        assert!(matches!(read(id(Kind::Pex), b"d5:added0:e"), Incoming::Pex(pex) if pex.is_empty()));
        assert!(matches!(read(id(Kind::Holepunch), b"\x09"), Incoming::Holepunch(_)));
        assert!(names.decode(id(Kind::DontHave), b"", &limits()).is_err());
    }

    #[test]
    fn an_extension_of_somebody_elses_is_heard_and_an_unknown_number_is_carried() {
        let mut names = Names::standard();
        let id = names.register("xy_chat".to_string(), &limits()).unwrap();
        assert_eq!(id.get(), 6);
        let heard = Incoming::Custom { name: b"xy_chat", payload: b"\xff\xff" };
        assert_eq!(names.decode(6, b"\xff\xff", &limits()), Ok(heard));
        for id in 7..=255 {
            assert_eq!(names.decode(id, b"x", &limits()), Ok(Incoming::Unknown { id, payload: b"x" }));
        }
    }

    #[test]
    fn names_and_ids_are_given_once() {
        let mut names = Names::default();
        let id = |id| Id::new(id).unwrap();
        names.register_as("ut_pex", id(2), &limits()).unwrap();
        assert_eq!(names.register("a", &limits()), Ok(id(1)));
        assert_eq!(names.register("b", &limits()), Ok(id(3)));
        assert_eq!(names.register("a", &limits()), Err(RegisterError::NameTaken));
        assert_eq!(names.register_outgoing("a", &limits()), Err(RegisterError::NameTaken));
        assert_eq!(names.register_as("c", id(2), &limits()), Err(RegisterError::IdTaken));
        assert_eq!(names.handshake().payload(), b"d1:md1:ai1e1:bi3e6:ut_pexi2eee");
    }

    #[test]
    fn names_are_bounded() {
        let (mut names, few) = (Names::default(), Limits { names: 3, ..limits() });
        assert_eq!(names.register("", &few), Err(RegisterError::NameLength(0)));
        assert_eq!(names.register("x".repeat(65), &few), Err(RegisterError::NameLength(65)));
        for at in 0..3 {
            names.register(format!("x{at}"), &few).unwrap();
        }
        assert_eq!(names.register("y", &few), Err(RegisterError::TooMany));
        let many = Limits { names: 1000, ..limits() };
        for at in 3..255 {
            names.register(format!("x{at}"), &many).unwrap();
        }
        assert_eq!(names.register("y", &many), Err(RegisterError::IdTaken));
        assert_eq!(names.register_outgoing("y", &many), Ok(()));
    }

    #[test]
    fn what_we_only_send_is_not_asked_for() {
        let mut names = Names::default();
        names.register_outgoing("lt_donthave", &limits()).unwrap();
        assert_eq!(names.handshake().payload(), b"d1:mdee");
        assert_eq!(names.decode(1, b"", &limits()), Ok(Incoming::Unknown { id: 1, payload: b"" }));
    }
}
