//! Which file each name of the crate comes from: the module tree as `rustc` would build it, tests left out,
//! and paths followed through imports and re-exports to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use syn::{
    Attribute, File, ImplItem, Item, ItemImpl, ItemUse, Type, UseTree, Visibility,
    visit::{self, Visit},
};

/// A path's segments; from the crate's root where it names a module.
pub(super) type Path = Vec<String>;

/// The sources of a crate.
pub(super) struct Crate {
    /// By their paths under `src`, from which a number stands for each.
    pub(super) files: Vec<SourceFile>,
    modules: HashMap<Path, Module>,
    /// Where each inherent function of a type is, by the type's module and name and its own name.
    functions: HashMap<(Path, String, String), usize>,
}

/// One file that is part of the crate.
pub(super) struct SourceFile {
    /// Under `src`, as `delivery/mod.rs`.
    pub(super) name: String,
    /// The module that it holds.
    pub(super) module: Path,
    pub(super) syntax: File,
}

/// What is known of one module.
#[derive(Default)]
struct Module {
    file: usize,
    items: HashSet<String>,
    children: HashSet<String>,
    /// What its `use` lines bring in, by the names they have here.
    imports: HashMap<String, Vec<Path>>,
    globs: Vec<Path>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A module, by its path.
    Module(Path),
    /// An item of a module.
    Item {
        module: Path,
        name: String,
        /// What follows the item's name: a variant, or an associated function.
        rest: Path,
    },
}

impl Crate {
    /// Reads the crate whose root is `lib.rs` out of sources by their paths under `src`.
    pub(super) fn read(sources: &BTreeMap<String, String>) -> Crate {
        let mut read = Crate {
            files: Vec::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
        };
        read.file(sources, "lib.rs", &Path::new());
        for number in 0..read.files.len() {
            let (module, syntax) = (
                read.files[number].module.clone(),
                read.files[number].syntax.clone(),
            );
            read.functions_of(number, &module, &syntax.items);
        }
        read
    }

    fn file(&mut self, sources: &BTreeMap<String, String>, name: &str, module: &Path) {
        let text = sources.get(name).unwrap_or_else(|| panic!("no source {name}"));
        let syntax = syn::parse_file(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let number = self.files.len();
        self.files.push(SourceFile {
            name: name.to_owned(),
            module: module.clone(),
            syntax: syntax.clone(),
        });
        self.module(sources, number, module, &syntax.items);
    }

    fn module(&mut self, sources: &BTreeMap<String, String>, file: usize, path: &Path, items: &[Item]) {
        let mut module = Module {
            file,
            ..Module::default()
        };
        let mut inner = Vec::new();
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            if let Item::Mod(child) = item {
                module.children.insert(child.ident.to_string());
                inner.push(child);
            } else {
                module.items.extend(declared(item));
            }
            // Those within functions are taken for the module's: their names rarely mean two things in one
            // file.
            Imports(&mut module).visit_item(item);
        }
        self.modules.insert(path.clone(), module);
        for child in inner {
            let mut path = path.clone();
            path.push(child.ident.to_string());
            if let Some((_, items)) = &child.content {
                self.module(sources, file, &path, items);
            } else {
                let flat = format!("{}.rs", path.join("/"));
                let folder = format!("{}/mod.rs", path.join("/"));
                let name = if sources.contains_key(&flat) { flat } else { folder };
                self.file(sources, &name, &path);
            }
        }
    }

    /// Notes where the inherent functions of types are.
    fn functions_of(&mut self, file: usize, module: &Path, items: &[Item]) {
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(child) => {
                    if let Some((_, items)) = &child.content {
                        let mut module = module.clone();
                        module.push(child.ident.to_string());
                        self.functions_of(file, &module, items);
                    }
                }
                Item::Impl(block) if block.trait_.is_none() => {
                    let Some((home, name)) = self.type_of(module, block) else {
                        continue;
                    };
                    for part in &block.items {
                        if let ImplItem::Fn(function) = part
                            && !is_test(&function.attrs)
                        {
                            let key = (home.clone(), name.clone(), function.sig.ident.to_string());
                            self.functions.insert(key, file);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The module and the name of the type that an `impl` block is for, where it is one of the crate's.
    pub(super) fn type_of(&self, module: &Path, block: &ItemImpl) -> Option<(Path, String)> {
        let Type::Path(of) = block.self_ty.as_ref() else {
            return None;
        };
        match self.resolve(module, &segments(&of.path))? {
            Target::Item { module, name, .. } => Some((module, name)),
            Target::Module(_) => None,
        }
    }

    /// Where a function of a type is, which may be another file than the type's.
    pub(super) fn function(&self, module: &Path, of: &str, name: &str) -> Option<usize> {
        let key = (module.clone(), of.to_owned(), name.to_owned());
        self.functions.get(&key).copied()
    }

    /// The number of the file that holds a module's own code.
    pub(super) fn file_of(&self, module: &Path) -> Option<usize> {
        self.modules.get(module).map(|module| module.file)
    }

    /// What a path means that is written in `module`; nothing where it leads out of the crate.
    pub(super) fn resolve(&self, module: &Path, path: &[String]) -> Option<Target> {
        self.resolve_unseen(module, path, &mut BTreeSet::new())
    }

    fn resolve_unseen(
        &self,
        module: &Path,
        path: &[String],
        seen: &mut BTreeSet<(Path, String)>,
    ) -> Option<Target> {
        let mut at = module.clone();
        let mut rest = path;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => return self.within(&at, first, others, seen),
            }
            rest = others;
        }
        Some(Target::Module(at))
    }

    /// What `name`, and `rest` behind it, mean in a module.
    fn within(
        &self,
        at: &Path,
        name: &String,
        rest: &[String],
        seen: &mut BTreeSet<(Path, String)>,
    ) -> Option<Target> {
        let module = self.modules.get(at)?;
        let item = || Target::Item {
            module: at.clone(),
            name: name.clone(),
            rest: rest.to_vec(),
        };
        if module.children.contains(name) && !(rest.is_empty() && module.items.contains(name)) {
            let mut child = at.clone();
            child.push(name.clone());
            return match rest.split_first() {
                Some((next, others)) => self.within(&child, next, others, seen),
                None => Some(Target::Module(child)),
            };
        }
        if module.items.contains(name) {
            return Some(item());
        }
        if !seen.insert((at.clone(), name.clone())) {
            return None;
        }
        let imported = module.imports.get(name).into_iter().flatten();
        let from_globs = module.globs.iter().map(|glob| {
            let mut path = glob.clone();
            path.push(name.clone());
            path
        });
        for mut path in imported.cloned().chain(from_globs) {
            path.extend_from_slice(rest);
            if let Some(target) = self.resolve_unseen(at, &path, seen) {
                return Some(target);
            }
        }
        None
    }
}

/// Collects the `use` lines of an item that is no module.
struct Imports<'a>(&'a mut Module);

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (name, path) in imports(&item.tree) {
            if name == "*" {
                self.0.globs.push(path);
            } else {
                self.0.imports.entry(name).or_default().push(path);
            }
        }
    }

    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}
}

/// The module at the crate's top that a path leads to which is written in `module` and leaves it by `crate`
/// or `super`.
pub(super) fn at_the_top(module: &Path, path: &[String]) -> Option<String> {
    let mut at = module.clone();
    let mut rest = path.iter();
    let mut left = false;
    loop {
        match rest.next()?.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()?),
            "self" => continue,
            name => return (left && at.is_empty()).then(|| name.to_owned()),
        }
        left = true;
    }
}

/// Each name that a `use` brings in, and the path it stands for. The name of a glob is `*`.
pub(super) fn imports(tree: &UseTree) -> Vec<(String, Path)> {
    fn walk(tree: &UseTree, before: &Path, found: &mut Vec<(String, Path)>) {
        let with = |name: &syn::Ident| {
            let mut path = before.clone();
            // `{self}` stands for the path before it.
            if name != "self" || path.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(part) => walk(&part.tree, &with(&part.ident), found),
            UseTree::Name(part) => {
                let path = with(&part.ident);
                found.push((path.last().cloned().unwrap_or_default(), path));
            }
            UseTree::Rename(part) => found.push((part.rename.to_string(), with(&part.ident))),
            UseTree::Glob(_) => found.push(("*".to_owned(), before.clone())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, before, found)),
        }
    }
    let mut found = Vec::new();
    walk(tree, &Path::new(), &mut found);
    found
}

/// A path's names, without generics.
pub(super) fn segments(path: &syn::Path) -> Path {
    path.segments.iter().map(|part| part.ident.to_string()).collect()
}

/// The name that an item declares in its module.
fn declared(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// A struct, enum or union that more than its own module can see.
pub(super) struct VisibleType {
    pub(super) name: String,
    /// Whether it is `pub`, and not for some modules alone.
    pub(super) public: bool,
}

/// The type that an item declares, if others can see it.
pub(super) fn visible_type(item: &Item) -> Option<VisibleType> {
    let (visibility, name) = match item {
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Union(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    let seen = !matches!(visibility, Visibility::Inherited) && !is_test(attributes(item));
    seen.then(|| VisibleType {
        name: name.to_string(),
        public: matches!(visibility, Visibility::Public(_)),
    })
}

/// Whether something is there for tests alone.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|condition| condition.is_ident("test")))
    })
}

pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// For a visitor that reads production code: goes into an item unless it is for tests.
pub(super) fn unless_test<'ast>(visitor: &mut impl Visit<'ast>, item: &'ast Item) {
    if !is_test(attributes(item)) {
        visit::visit_item(visitor, item);
    }
}
