//! The variants of an enum, as its source declares them. The enums are open to new ones, so that no `match` here would miss one.

use std::collections::BTreeSet;
use std::fmt::Debug;

/// Gives the name of a value's variant.
pub(super) fn name(value: &impl Debug) -> String {
    format!("{value:?}").chars().take_while(|c| c.is_ascii_alphanumeric()).collect()
}

/// Gives the names of an enum's variants.
pub(super) fn declared<'a>(source: &'a str, name: &str) -> BTreeSet<&'a str> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).expect("the source declares the enum");
    let (body, _) = rest.split_once("\n}").expect("the enum ends");
    let indented = body.lines().filter_map(|line| line.strip_prefix("    "));
    let starts = indented.filter(|line| line.starts_with(|c: char| c.is_ascii_alphanumeric()));
    starts.filter_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next()).collect()
}

#[test]
fn the_variants_of_an_enum_are_read_from_its_source() {
    let source = "/// It.\npub enum Command {\n    /// A.\n    Add {\n        /// Which.\n        one: u32,\n    },\n    \
        #[cfg(unix)]\n    Stop,\n    News(Event),\n}\n\npub enum Event {\n    Told,\n}\n";
    assert_eq!(declared(source, "Command"), BTreeSet::from(["Add", "News", "Stop"]));
    assert_eq!(declared(source, "Event"), BTreeSet::from(["Told"]));
}
