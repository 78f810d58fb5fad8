//! Where in the source of the crate each item of the header stands.

use std::collections::BTreeMap;
use std::path::Path;

/// What the crate shows to C, file by file.
pub(crate) struct Source {
    /// The modules, such as `link` or `host/config`, in the order of their names: a module comes before those inside it.
    pub(crate) modules: BTreeMap<String, Module>,
}

pub(crate) struct Module {
    /// The first sentence of its documentation.
    pub(crate) title: String,
    /// The names of its public items, in order.
    pub(crate) items: Vec<String>,
}

impl Source {
    pub(crate) fn read(src: &Path) -> Source {
        let mut modules = BTreeMap::new();
        read_directory(src, "", &mut modules);
        Source { modules }
    }

    /// All names of types: cbindgen leaves out those that no function mentions, as it has to think of an enum that C
    /// hands in as an `int`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.modules.values().flat_map(|module| &module.items)
    }
}

fn read_directory(directory: &Path, prefix: &str, modules: &mut BTreeMap<String, Module>) {
    for entry in std::fs::read_dir(directory).expect("the source is there") {
        let path = entry.expect("the source can be listed").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("modules have plain names");
        let module = format!("{prefix}{name}");
        if path.is_dir() {
            read_directory(&path, &format!("{module}/"), modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") && module != "lib" {
            let text = std::fs::read_to_string(&path).expect("the source can be read");
            modules.insert(module, Module { title: title(&text), items: items(&text) });
        }
    }
}

fn title(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ").replace(['`', '[', ']'], "").trim_end_matches('.').to_owned()
}

fn items(text: &str) -> Vec<String> {
    text.lines().filter_map(item).map(str::to_owned).collect()
}

/// The name of the item that a line begins, if C is to know it. Items begin at the margin: rustfmt sees to that.
fn item(line: &str) -> Option<&str> {
    const KINDS: [&str; 7] = [
        "pub struct ",
        "pub enum ",
        "pub union ",
        "pub type ",
        "pub const ",
        "pub unsafe extern \"C\" fn ",
        "pub extern \"C\" fn ",
    ];
    let rest = KINDS.into_iter().find_map(|kind| line.strip_prefix(kind))?;
    let name = rest.split(|c: char| !super::is_word(c)).next()?;
    name.to_ascii_lowercase().starts_with("iscsicore_").then_some(name)
}
