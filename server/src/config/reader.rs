//! Typed access to a parsed TOML document that goes on after a mistake, so that all of them are found at once.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostics;
use crate::size;

/// A table, and which of its keys somebody knows.
pub(crate) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// The keys that lead here, joined with dots.
    pub(crate) path: String,
    /// Where the table begins.
    pub(crate) span: Range<usize>,
    known: Vec<&'static str>,
}

/// A value, and where it stands.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    value: &'a DeValue<'a>,
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub(crate) fn root(document: &'a Spanned<DeTable<'a>>) -> Self {
        Section { table: document.get_ref(), path: String::new(), span: 0..0, known: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        Some(Value { value: value.get_ref(), path: self.key(key), span: value.span() })
    }

    /// The value of `key`; a mistake when it is not there.
    pub(crate) fn required(
        &mut self,
        key: &'static str,
        remedy: &str,
        d: &mut Diagnostics,
    ) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            d.error(&self.span, &self.key(key), format!("is missing; {remedy}"));
        }
        value
    }

    /// The table `key`, if it is there and is one.
    pub(crate) fn section(&mut self, key: &'static str, d: &mut Diagnostics) -> Option<Section<'a>> {
        self.get(key)?.section(d)
    }

    /// The tables of the array `key`.
    pub(crate) fn sections(&mut self, key: &'static str, d: &mut Diagnostics) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.value.as_array() else {
            d.error(&value.span, &value.path, format!("is not a list of tables; write [[{}]]", value.path));
            return Vec::new();
        };
        let items = array.iter().map(|item| Value {
            value: item.get_ref(),
            path: value.path.clone(),
            span: item.span(),
        });
        items.filter_map(|item| item.section(d)).collect()
    }

    /// Names the keys that nobody asked for, with the nearest one that there is.
    pub(crate) fn finish(self, d: &mut Diagnostics) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let remedy = match nearest(name, &self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", self.known.join(", ")),
            };
            d.error(&key.span(), &self.key(name), format!("is not a known key; {remedy}"));
        }
    }

    /// The full name of a key of this table.
    pub(crate) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'a> Value<'a> {
    /// Notes a mistake in this value.
    pub(crate) fn wrong(&self, message: impl Into<String>, d: &mut Diagnostics) {
        d.error(&self.span, &self.path, message);
    }

    /// Its text.
    pub(crate) fn string(&self, d: &mut Diagnostics) -> Option<&'a str> {
        if self.value.as_str().is_none() {
            self.wrong(format!("is {}, not a string; put it in quotes", self.kind()), d);
        }
        self.value.as_str()
    }

    /// Its truth.
    pub(crate) fn boolean(&self, d: &mut Diagnostics) -> Option<bool> {
        if self.value.as_bool().is_none() {
            self.wrong(format!("is {}, not a boolean; write true or false", self.kind()), d);
        }
        self.value.as_bool()
    }

    /// Its number, when it lies in the range.
    pub(crate) fn integer<T>(&self, range: RangeInclusive<T>, d: &mut Diagnostics) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let Some(number) = self.number() else {
            self.wrong(format!("is {}, not a number; write digits without quotes", self.kind()), d);
            return None;
        };
        let (least, most) = (range.start(), range.end());
        match T::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.wrong(format!("{number} is out of range; write {least} to {most}"), d);
                None
            }
        }
    }

    /// Its number of bytes: an integer, or a string such as "10G".
    pub(crate) fn size(&self, d: &mut Diagnostics) -> Option<u64> {
        let size = match (self.value.as_str(), self.number()) {
            (Some(text), _) => size::parse(text),
            (None, Some(number)) => u64::try_from(number).ok(),
            (None, None) => None,
        };
        if size.is_none() {
            let shown = match (self.value.as_str(), self.number()) {
                (Some(text), _) => format!("{text:?}"),
                (_, Some(number)) => number.to_string(),
                _ => self.kind().to_owned(),
            };
            self.wrong(format!("{shown} is not a size; write bytes or a number with K, M, G or T"), d);
        }
        size
    }

    /// What `choices` has for its text.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)], d: &mut Diagnostics) -> Option<T> {
        let text = self.string(d)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.wrong(format!("{text:?} is not a choice; write {}", names.join(" or ")), d);
        }
        found
    }

    /// Its items; a mistake when there is none.
    pub(crate) fn items(&self, when_empty: &str, d: &mut Diagnostics) -> Vec<Value<'a>> {
        let Some(array) = self.value.as_array() else {
            self.wrong(format!("is {}, not a list; put it in [ ]", self.kind()), d);
            return Vec::new();
        };
        if array.is_empty() {
            self.wrong(when_empty, d);
        }
        let item = |item: &'a Spanned<DeValue<'a>>| Value {
            value: item.get_ref(),
            path: self.path.clone(),
            span: item.span(),
        };
        array.iter().map(item).collect()
    }

    /// Its keys and values.
    pub(crate) fn section(self, d: &mut Diagnostics) -> Option<Section<'a>> {
        let Some(table) = self.value.as_table() else {
            self.wrong(format!("is {}, not a table; write [{}]", self.kind(), self.path), d);
            return None;
        };
        Some(Section { table, path: self.path, span: self.span, known: Vec::new() })
    }

    fn number(&self) -> Option<i128> {
        let integer = self.value.as_integer()?;
        i128::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn kind(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}

/// The name that is most like `word`, when it is like it at all.
pub(crate) fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    let near = names.iter().map(|name| (distance(word, name), *name)).min()?;
    (near.0 <= most).then_some(near.1)
}

/// The edits that make `b` of `a`: a character added, dropped, changed, or swapped with its neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["size", "serial", "read_only"];
        assert_eq!(nearest("sise", &names), Some("size"));
        assert_eq!(nearest("readonly", &names), Some("read_only"));
        assert_eq!(nearest("colour", &names), None);
        assert_eq!(nearest("x", &[]), None);
        assert_eq!(nearest("alais", &["alias", "name"]), Some("alias"));
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("ab", "ba")), (3, 3, 1));
    }
}
