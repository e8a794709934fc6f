//! Tables of figures that the repository keeps, and that tests compare with what they get.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

/// Tests run side by side and write the same files.
static FILES: Mutex<()> = Mutex::new(());

/// A table in a file below `tests/it`.
pub(crate) struct Golden {
    pub(crate) file: &'static str,
    /// What stands above the table: what it shows and how it is made.
    pub(crate) head: &'static str,
    /// The names of the columns.
    pub(crate) columns: String,
    /// How many characters of a row tell it from others.
    pub(crate) key: usize,
}

impl Golden {
    fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(self.file)
    }

    fn read(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        // The first line is that of the columns, which may have had other names.
        let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
        rows.filter_map(|row| Some((row.get(..self.key)?.to_owned(), row.to_owned()))).collect()
    }

    /// Compares figures with the table, or writes them into it.
    pub(crate) fn compare(&self, key: String, figures: impl Display) {
        let row = format!("{key} {figures}");
        assert_eq!(key.len(), self.key);
        let _one = FILES.lock().unwrap_or_else(|broken| broken.into_inner());
        let mut rows = self.read();
        let known = rows.insert(key, row.clone());
        if std::env::var("BIP_GOLDEN").is_ok_and(|mode| mode == "write") {
            let rows: String = rows.values().map(|row| format!("{row}\n")).collect();
            fs::write(self.path(), format!("{}{}\n{rows}", self.head, self.columns)).unwrap();
            return;
        }
        assert!(
            known.as_ref() == Some(&row),
            "the figures have changed; if that is meant, write the table with BIP_GOLDEN=write\n{}\nwas {}\nis  {row}",
            self.columns,
            known.unwrap_or_default()
        );
    }
}
