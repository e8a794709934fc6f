use super::{Handshake, Id, Names};

/// The ids that a peer wants the messages of our extensions to have.
///
/// Tracks an id for each of our [`Names`], in their order. Extensions that we do not speak are not kept.
///
/// ```
/// use bip::proto::extension::{Handshake, Id, Kind, Limits, Names, Theirs};
/// let (names, limits) = (Names::standard(), Limits::default());
/// let (metadata, pex) = (Kind::Metadata.name(), Kind::Pex.name());
///
/// let mut theirs = Theirs::default();
/// theirs.merge(&names, &Handshake::decode(b"d1:md11:ut_metadatai3e6:ut_pexi1eee", &limits)?);
/// assert_eq!((theirs.id(&names, metadata), theirs.id(&names, pex)), (Id::new(3), Id::new(1)));
///
/// // What a later handshake does not name stays as it is.
/// theirs.merge(&names, &Handshake::decode(b"d1:md6:ut_pexi0eee", &limits)?);
/// assert_eq!((theirs.id(&names, metadata), theirs.id(&names, pex)), (Id::new(3), None));
/// # Ok::<(), bip::proto::extension::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Theirs {
    ids: Vec<Option<Id>>,
}

impl Theirs {
    /// Takes what a handshake of the peer's says: an extension that it names has the new id, or none where it is switched off; all
    /// others stay as they were (BEP 10). Says whether anything changed.
    ///
    /// `names` must be the same in every call, but for names that were added.
    pub fn merge(&mut self, names: &Names, handshake: &Handshake<'_>) -> bool {
        let mut changed = false;
        for (at, (name, _)) in names.iter().enumerate() {
            let Some(new) = handshake.name(name) else { continue };
            if self.ids.len() <= at {
                self.ids.resize(at + 1, None);
            }
            if let Some(id) = self.ids.get_mut(at) {
                changed |= std::mem::replace(id, new) != new;
            }
        }
        changed
    }

    /// Gives the id to send an extension's messages with; `None` where the peer does not speak it, or we do not.
    pub fn id(&self, names: &Names, name: &[u8]) -> Option<Id> {
        self.ids.get(names.position(name)?).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::extension::{Kind, Limits};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn merge(theirs: &mut Theirs, names: &Names, payload: &[u8]) -> bool {
        theirs.merge(names, &Handshake::decode(payload, &Limits::default()).unwrap())
    }

    #[test]
    fn a_later_handshake_changes_only_what_it_names() {
        let (names, mut theirs) = (Names::standard(), Theirs::default());
        let ids = |theirs: &Theirs| Kind::ALL.map(|kind| theirs.id(&names, kind.name()).map_or(0, Id::get));
        assert!(merge(&mut theirs, &names, b"d1:md11:ut_metadatai3e6:ut_pexi1e7:unknowni9eee"));
        assert_eq!(ids(&theirs), [3, 1, 0, 0, 0]);
        assert!(!merge(&mut theirs, &names, b"d1:v3:newe"));
        assert!(!merge(&mut theirs, &names, b"d1:mdee"));
        assert!(!merge(&mut theirs, &names, b"d1:md6:ut_pexi1eee"));
        assert_eq!(ids(&theirs), [3, 1, 0, 0, 0]);
        assert!(merge(&mut theirs, &names, b"d1:md11:ut_metadatai4e12:ut_holepunchi200eee"));
        assert_eq!(ids(&theirs), [4, 1, 0, 200, 0]);
        // A number that is none does not switch off what was there.
        assert!(!merge(&mut theirs, &names, b"d1:md11:ut_metadatai256e6:ut_pexi-1eee"));
        assert!(merge(&mut theirs, &names, b"d1:md11:ut_metadatai0eee"));
        assert_eq!(ids(&theirs), [0, 1, 0, 200, 0]);
    }

    #[test]
    fn a_name_that_is_added_later_has_no_id_yet() {
        let (mut names, mut theirs) = (Names::standard(), Theirs::default());
        merge(&mut theirs, &names, b"d1:md6:ut_pexi1e7:xy_chati2eee");
        names.register("xy_chat", &Limits::default()).unwrap();
        assert_eq!(theirs.id(&names, b"xy_chat"), None);
        merge(&mut theirs, &names, b"d1:md7:xy_chati2eee");
        assert_eq!(theirs.id(&names, b"xy_chat"), Id::new(2));
        assert_eq!(theirs.id(&names, b"ut_pex"), Id::new(1));
    }

    proptest! {
        #[test]
        fn handshakes_add_up_as_a_map_would(
            handshakes in prop::collection::vec(prop::collection::vec((0..8usize, 0..5u8), 0..6), 0..8),
        ) {
            let mut names = Names::standard();
            names.register("xy_chat", &Limits::default()).unwrap();
            let all = [b"ut_metadata", &b"ut_pex"[..], b"lt_donthave", b"ut_holepunch", b"upload_only", b"xy_chat", b"x", b"y"];
            let (mut theirs, mut model) = (Theirs::default(), BTreeMap::new());
            for entries in &handshakes {
                let (mut handshake, before) = (Handshake::default(), model.clone());
                for (name, id) in entries {
                    handshake.set_name(all[*name], Id::new(*id));
                    if *name < 6 {
                        model.insert(all[*name], Id::new(*id));
                    }
                }
                let off = |model: &BTreeMap<&[u8], Option<Id>>| all.map(|name| model.get(name).copied().flatten());
                prop_assert_eq!(theirs.merge(&names, &handshake), off(&before) != off(&model));
                for name in all {
                    prop_assert_eq!(theirs.id(&names, name), model.get(name).copied().flatten());
                }
            }
        }
    }
}
