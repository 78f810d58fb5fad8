//! How the header is laid out: items of one module together, each after the types that it needs, comments in lines of
//! equal length.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::is_word;
use super::source::Source;

const WIDTH: usize = 100;

/// Puts the items that cbindgen wrote into the sections of a template.
///
/// A line `@section MODULE: TITLE@` of the template becomes the items of that module, and of the modules inside it that
/// have no line of their own. `@sections@` becomes all other modules, under the titles that they have in the source.
pub(crate) fn arrange(template: &str, written: &str, source: &Source) -> String {
    let mut page = Page::new(written, source);
    let sections: Vec<&str> =
        template.lines().filter_map(section).map(|(module, _)| module.trim_end()).collect();
    let mut header = String::new();
    for line in template.lines() {
        if let Some((module, title)) = section(line) {
            page.section(&mut header, module, title, &sections);
        } else if line == "@sections@" {
            for (module, found) in &source.modules {
                let top = module.split('/').next().unwrap_or(module);
                if !sections.contains(&module.as_str()) && !sections.contains(&top) {
                    page.section(&mut header, module, &found.title, &sections);
                }
            }
        } else {
            header.push_str(line);
            header.push('\n');
        }
    }
    let header = header.replace("\n\n\n", "\n\n");
    assert!(page.items.is_empty(), "items of no module: {:?}", page.items.keys());
    header
}

fn section(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("@section ")?.strip_suffix('@')?.split_once(": ")
}

/// The items that are not in the header yet.
struct Page<'a> {
    source: &'a Source,
    items: BTreeMap<String, String>,
}

impl<'a> Page<'a> {
    fn new(written: &str, source: &'a Source) -> Self {
        let blocks = written.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
        let items = blocks.map(|block| (name(block), tidy(block))).collect();
        Page { source, items }
    }

    fn section(&mut self, header: &mut String, module: &str, title: &str, sections: &[&str]) {
        let inside = format!("{module}/");
        let source = self.source;
        let own =
            |name: &String| name == module || name.starts_with(&inside) && !sections.contains(&name.as_str());
        let modules = source.modules.iter().filter(|(name, _)| own(name));
        let names: Vec<&String> = modules.flat_map(|(_, module)| &module.items).collect();
        let (functions, types): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| self.items.get(*name).is_some_and(|item| is_function(item)));
        let mut text = String::new();
        for name in types.into_iter().chain(functions) {
            self.item(&mut text, name);
        }
        if !text.is_empty() {
            let rule = "=".repeat(WIDTH - 6);
            writeln!(header, "/* {rule}\n * {title}\n * {rule} */\n\n{text}").expect("a String takes it");
        }
    }

    /// Writes an item, after those that it names.
    fn item(&mut self, text: &mut String, name: &str) {
        let Some(item) = self.items.remove(name) else { return };
        let code = code(&item);
        let needed: BTreeSet<&str> = code.split(|c: char| !is_word(c)).collect();
        for name in needed {
            self.item(text, name);
        }
        text.push_str(&item);
        text.push_str("\n\n");
    }
}

/// An item without its comments.
fn code(item: &str) -> String {
    let lines = item.lines().filter(|line| !line.trim_start().starts_with(['*', '/']));
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) fn is_function(item: &str) -> bool {
    let code = code(item);
    !code.starts_with("typedef") && !code.starts_with('#') && code.contains('(')
}

/// The name that an item defines.
pub(crate) fn name(block: &str) -> String {
    let code = code(block);
    let word =
        |text: &str| text.rsplit(|c: char| !is_word(c)).find(|word| !word.is_empty()).map(str::to_owned);
    let name = if let Some(define) = code.strip_prefix("#define ") {
        define.split_whitespace().next().map(str::to_owned)
    } else if code.ends_with("};") || code.contains("\n}") {
        word(&code)
    } else if let Some((_, rest)) = code.split_once("(*") {
        // A type of functions: typedef void (*name)(..).
        rest.split(')').next().map(str::to_owned)
    } else if code.starts_with("typedef") {
        word(&code)
    } else {
        code.split('(').next().and_then(word)
    };
    name.unwrap_or_else(|| panic!("no name in:\n{block}"))
}

/// Names of types without `struct` before them, parameters without the underscore that tells them from a function in
/// Rust, and comments as long as the lines are.
fn tidy(block: &str) -> String {
    let own = name(block);
    let function = is_function(block);
    let mut lines = block.lines();
    let (mut tidy, mut declaration) = (String::new(), String::new());
    while let Some(line) = lines.next() {
        if line.trim_start() == "/**" {
            let indent = &line[..line.len() - 3];
            let words = lines.by_ref().map(str::trim_start).take_while(|line| *line != "*/");
            let words: Vec<&str> = words.map(|line| line.strip_prefix('*').unwrap_or(line)).collect();
            comment(&mut tidy, indent, &words);
            continue;
        }
        let mut line = line.to_owned();
        if !line.starts_with("typedef") || line.ends_with(';') && line.contains('(') {
            for kind in ["struct ", "enum ", "union "] {
                let tag = format!("{kind}{own} ");
                line = line.replace(&tag, "\0").replace(&format!("{kind}iscsicore_"), "iscsicore_");
                line = line.replace('\0', &tag);
            }
        }
        if function {
            declaration.push_str(line.trim());
            declaration.push(' ');
            continue;
        }
        tidy.push_str(&line);
        tidy.push('\n');
    }
    tidy.push_str(&function_lines(declaration.trim_end()));
    tidy.trim_end().to_owned()
}

/// A declaration of a function, in as many lines as it needs.
fn function_lines(declaration: &str) -> String {
    let line = declaration.replace("_,", ",").replace("_)", ")");
    if line.len() <= WIDTH {
        return line;
    }
    let open = line.find('(').expect("functions have parameters");
    line.replace(", ", &format!(",\n{}", " ".repeat(open + 1)))
}

/// Writes a comment: its paragraphs and the items of its lists are filled anew; indented lines stay as they are.
fn comment(text: &mut String, indent: &str, lines: &[&str]) {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)) {
        let fixed = line.starts_with("    ");
        if open && !fixed && !line.is_empty() && !line.starts_with("- ") {
            let last = paragraphs.last_mut().expect("a paragraph is open");
            last.push(' ');
            last.push_str(line.trim());
        } else {
            paragraphs.push(line.to_owned());
        }
        open = !line.is_empty() && !fixed;
    }
    if let [only] = &paragraphs[..]
        && indent.len() + only.len() + 7 <= WIDTH
    {
        writeln!(text, "{indent}/** {} */", only.trim()).expect("a String takes it");
        return;
    }
    writeln!(text, "{indent}/**").expect("a String takes it");
    for paragraph in &paragraphs {
        for line in fill(paragraph, WIDTH - indent.len() - 3) {
            writeln!(text, "{}", format!("{indent} * {line}").trim_end()).expect("a String takes it");
        }
    }
    writeln!(text, "{indent} */").expect("a String takes it");
}

fn fill(paragraph: &str, width: usize) -> Vec<String> {
    if paragraph.starts_with("    ") {
        return vec![paragraph.to_owned()];
    }
    let hang = if paragraph.starts_with("- ") { "  " } else { "" };
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("{hang}{word}"));
        }
    }
    lines
}
