//! What each file needs: the files that define what it names, and the modules that it imports from.
//!
//! A file needs the file that defines what it names: in an import, in a path, in the type of an `impl` block,
//! or as `Type::function` where that function's `impl` block is in another file than the type. A re-export
//! alone needs nothing: it only hands a name on. Method calls are not followed: what they reach is known to
//! the compiler alone.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Arm, Expr, Field, ImplItem, Item, ItemImpl, ItemMod, ItemUse, Macro, Stmt, Visibility,
    buffer::{Cursor, TokenBuffer},
    visit::{self, Visit},
};

use super::names::{self, Crate, Path, Target, is_test, segments};

/// Who needs whom: for each file or module the others, and the names that it needs them for.
pub(super) type Needs = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What the files of a crate need of each other.
pub(super) fn of_files(of: &Crate) -> Needs {
    let files = (0..of.files.len()).map(|number| {
        let found = Reader::read(of, number).files.into_iter();
        let found = found.map(|(other, names)| (of.files[other].name.clone(), names));
        (of.files[number].name.clone(), found.collect())
    });
    files.collect()
}

/// What the modules at the crate's top import of each other, and the files that do.
pub(super) fn of_modules(of: &Crate) -> Needs {
    let mut needs = Needs::new();
    for (number, file) in of.files.iter().enumerate() {
        let Some(own) = file.module.first() else { continue };
        let others = needs.entry(own.clone()).or_default();
        for module in Reader::read(of, number).modules {
            if module != *own {
                others.entry(module).or_default().insert(file.name.clone());
            }
        }
    }
    needs
}

/// Reads one file.
struct Reader<'a> {
    of: &'a Crate,
    file: usize,
    /// The module that is being read.
    module: Path,
    /// The module and the name of the type whose `impl` block is being read.
    type_of_block: Option<(Path, String)>,
    /// The files that are needed, and what for.
    files: BTreeMap<usize, BTreeSet<String>>,
    /// The modules at the crate's top whose paths are written.
    modules: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn read(of: &'a Crate, file: usize) -> Reader<'a> {
        let mut reader = Reader {
            of,
            file,
            module: of.files[file].module.clone(),
            type_of_block: None,
            files: BTreeMap::new(),
            modules: BTreeSet::new(),
        };
        for item in &of.files[file].syntax.items {
            reader.visit_item(item);
        }
        reader
    }

    fn need(&mut self, file: usize, name: &str) {
        if file != self.file {
            self.files.entry(file).or_default().insert(name.to_owned());
        }
    }

    fn path(&mut self, path: &[String]) {
        self.modules.extend(names::at_the_top(&self.module, path));
        let own = self.type_of_block.clone();
        let target = match (path.split_first(), own) {
            (Some((first, rest)), Some((module, name))) if first == "Self" => Some(Target::Item {
                module,
                name,
                rest: rest.to_vec(),
            }),
            _ => self.of.resolve(&self.module, path),
        };
        let Some(Target::Item { module, name, rest }) = target else {
            return;
        };
        if let Some(file) = self.of.file_of(&module)
            && path.first().is_some_and(|first| first != "Self")
        {
            self.need(file, &name);
        }
        if let Some(function) = rest.first() {
            self.function(&module, &name, function);
        }
    }

    fn function(&mut self, module: &Path, of: &str, name: &str) {
        if let Some(file) = self.of.function(module, of, name) {
            self.need(file, &format!("{of}::{name}"));
        }
    }

    /// What is handed to a macro is not parsed; paths are read as they stand there.
    fn tokens(&mut self, mut at: Cursor) {
        let mut path = Path::new();
        // Whether what comes next goes on with the path.
        let mut open = false;
        while !at.eof() {
            if let Some((name, next)) = at.ident() {
                if !open {
                    self.path(&std::mem::take(&mut path));
                }
                path.push(name.to_string());
                open = false;
                at = next;
                continue;
            }
            if let Some((first, next)) = at.punct()
                && first.as_char() == ':'
                && let Some((second, next)) = next.punct()
                && second.as_char() == ':'
            {
                open = !path.is_empty();
                at = next;
                continue;
            }
            self.path(&std::mem::take(&mut path));
            open = false;
            if let Some((inside, _, _, next)) = at.any_group() {
                self.tokens(inside);
                at = next;
            } else if let Some((_, next)) = at.token_tree() {
                at = next;
            }
        }
        self.path(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        names::unless_test(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (_, path) in names::imports(&item.tree) {
            if matches!(item.vis, Visibility::Inherited) {
                self.path(&path);
            } else {
                self.modules.extend(names::at_the_top(&self.module, &path));
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if let Some((_, items)) = &item.content {
            self.module.push(item.ident.to_string());
            for item in items {
                self.visit_item(item);
            }
            self.module.pop();
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let own = self.of.type_of(&self.module, block);
        let around = std::mem::replace(&mut self.type_of_block, own);
        visit::visit_item_impl(self, block);
        self.type_of_block = around;
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let for_tests = match item {
            ImplItem::Fn(item) => is_test(&item.attrs),
            ImplItem::Const(item) => is_test(&item.attrs),
            _ => false,
        };
        if !for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let for_tests = match statement {
            Stmt::Local(local) => is_test(&local.attrs),
            Stmt::Expr(Expr::Block(block), _) => is_test(&block.attrs),
            Stmt::Macro(call) => is_test(&call.attrs),
            _ => false,
        };
        if !for_tests {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.path(&segments(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }
}
