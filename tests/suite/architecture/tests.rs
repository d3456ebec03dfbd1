//! The finder of circles, on small made-up crates.

use std::collections::BTreeMap;

use super::{circles::circles, names::Crate, needs};

/// The circles of a crate of these files; `lib.rs` declares the modules of those at the top.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    circles(&needs::of_files(&read(files)))
}

fn read(files: &[(&str, &str)]) -> Crate {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let mut root = String::new();
    for (name, text) in files {
        sources.insert((*name).to_owned(), (*text).to_owned());
        let module = name.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        if !module.contains('/') {
            root = root + "pub mod " + module + ";";
        }
    }
    sources.insert("lib.rs".into(), root);
    Crate::read(&sources)
}

#[test]
fn two_files_that_import_each_other_are_a_circle() {
    let circle = found(&[
        ("a/mod.rs", "mod b; mod c;"),
        ("a/b.rs", "use super::c::Count; pub struct Book(Count);"),
        (
            "a/c.rs",
            "use crate::a::b::{self, Book}; pub struct Count; fn f(_: Book) {}",
        ),
    ]);
    assert_eq!(circle, ["a/b.rs → a/c.rs → a/b.rs by Count, Book"]);
}

#[test]
fn a_longer_circle_is_told_once() {
    let circle = found(&[
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B(crate::c::C);"),
        ("c.rs", "use crate::{a, b as other}; pub enum C { Of(Box<a::A>) }"),
        ("d.rs", "use crate::a::A;"),
    ]);
    assert_eq!(circle, ["a.rs → b.rs → c.rs → a.rs by B, C, A"]);
}

#[test]
fn what_goes_one_way_is_no_circle() {
    assert!(
        found(&[
            ("a/mod.rs", "mod b; pub struct A(b::B);"),
            (
                "a/b.rs",
                "use std::fmt; use crate::low; pub struct B(low::Low); impl fmt::Debug for B {}"
            ),
            ("low.rs", "pub struct Low;"),
        ])
        .is_empty()
    );
}

#[test]
fn a_re_export_stands_for_the_file_that_defines_the_item() {
    let files = [
        (
            "a/mod.rs",
            "mod b; mod c; pub use b::B; pub(crate) use c::*; pub struct Own;",
        ),
        ("a/b.rs", "use super::C; pub struct B(C);"),
        ("a/c.rs", "pub struct C;"),
        ("d.rs", "pub struct D(crate::a::C);"),
    ];
    assert!(found(&files).is_empty());
    let needs = needs::of_files(&read(&files));
    assert_eq!(needs["d.rs"].keys().collect::<Vec<_>>(), ["a/c.rs"]);
    assert!(
        needs["a/mod.rs"].is_empty(),
        "handing a name on needs nothing: {needs:?}"
    );
}

#[test]
fn a_child_that_uses_its_parent_is_a_circle_where_the_parent_uses_it_too() {
    let parent = "mod b; pub struct A; pub fn start() { b::run(A) }";
    let child = "use super::A; pub fn run(_: A) {}";
    let circle = found(&[("a/mod.rs", parent), ("a/b.rs", child)]);
    assert_eq!(circle, ["a/b.rs → a/mod.rs → a/b.rs by A, run"]);
}

#[test]
fn an_impl_block_needs_the_type_and_its_caller_needs_the_block() {
    let types = "mod run; pub struct Engine; pub fn start() { Engine::settle(&Engine); }";
    let block = "use super::Engine; impl Engine { pub fn settle(&self) {} }";
    let circle = found(&[("a/mod.rs", types), ("a/run.rs", block)]);
    assert_eq!(
        circle,
        ["a/mod.rs → a/run.rs → a/mod.rs by Engine::settle, Engine"]
    );

    let far = "use crate::a::Engine; pub fn go() { Engine::settle(&Engine); }";
    let files = [
        ("a/mod.rs", "mod run; pub struct Engine;"),
        ("a/run.rs", block),
        ("b.rs", far),
    ];
    assert!(found(&files).is_empty());
    let needs = needs::of_files(&read(&files));
    assert_eq!(needs["b.rs"].keys().collect::<Vec<_>>(), ["a/mod.rs", "a/run.rs"]);
}

#[test]
fn tests_do_not_count() {
    assert!(
        found(&[
            (
                "a.rs",
                "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }"
            ),
            (
                "b.rs",
                "pub struct B(crate::a::A, #[cfg(test)] crate::c::C); #[cfg(test)] use crate::c;",
            ),
            ("c.rs", "pub struct C(crate::b::B); #[cfg(test)] mod gone;"),
        ])
        .is_empty()
    );
}

#[test]
fn paths_within_macros_count() {
    let circle = found(&[
        (
            "a.rs",
            "pub const LIMIT: u8 = 1; pub fn f() { println!(\"{}\", crate::b::name(1, &[2])); }",
        ),
        (
            "b.rs",
            "use crate::a; pub fn name(n: u8, _: &[u8]) -> bool { matches!(n, a::LIMIT) }",
        ),
    ]);
    assert_eq!(circle, ["a.rs → b.rs → a.rs by name, LIMIT"]);
}

#[test]
fn modules_are_told_by_every_way_out_of_them() {
    let needs = needs::of_modules(&read(&[
        ("a/mod.rs", "mod b; pub use crate::c::C;"),
        (
            "a/b.rs",
            "use super::super::d::D; fn f() { vec![crate::e::E]; super::g(); }",
        ),
        ("c.rs", "pub struct C;"),
        ("d.rs", "pub struct D;"),
        ("e.rs", "pub struct E;"),
    ]));
    assert_eq!(needs["a"].keys().collect::<Vec<_>>(), ["c", "d", "e"]);
}
