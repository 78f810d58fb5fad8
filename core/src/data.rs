//! Payload as a list of shared slices, so that it travels without a copy.

use bytes::{Bytes, BytesMut};

/// Payload bytes in order, as slices that share memory with whoever produced them.
///
/// One slice, the common case, is held without allocating, and takes little to move: commands carry lists through
/// several hands.
#[derive(Clone, Debug, Default)]
pub struct DataList {
    /// Not empty; none stands for an empty list, which costs nothing to drop.
    first: Option<Bytes>,
    /// Only behind a first slice.
    rest: Option<Box<Rest>>,
}

/// The slices after the first; there is at least one, and none is empty.
#[derive(Clone, Debug, Default)]
struct Rest {
    list: Vec<Bytes>,
    len: usize,
}

impl DataList {
    /// An empty list.
    pub const fn new() -> Self {
        DataList { first: None, rest: None }
    }

    /// The total number of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.first.as_ref().map_or(0, Bytes::len) + self.rest.as_ref().map_or(0, |rest| rest.len)
    }

    /// Whether there are no bytes.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Appends `bytes`; an empty slice is dropped.
    #[inline]
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.first.is_none() {
            self.first = Some(bytes);
        } else {
            let rest = self.rest.get_or_insert_default();
            rest.len += bytes.len();
            rest.list.push(bytes);
        }
    }

    /// The slices, in order; none of them is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        let rest = self.rest.as_ref().map_or(&[][..], |rest| &rest.list);
        self.first.iter().chain(rest)
    }

    /// The bytes `at..at + len` as a list that shares this one's memory.
    ///
    /// The range is cut to what there is.
    #[must_use]
    pub fn slice(&self, at: usize, len: usize) -> DataList {
        let mut out = DataList::new();
        let (mut skip, mut left) = (at, len);
        for chunk in self.chunks() {
            if left == 0 {
                break;
            }
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let take = left.min(chunk.len() - skip);
            out.push(chunk.slice(skip..skip + take));
            left -= take;
            skip = 0;
        }
        out
    }

    /// Appends all of `other`.
    #[inline]
    pub fn append(&mut self, other: DataList) {
        if self.is_empty() {
            *self = other;
            return;
        }
        if let Some(rest) = &other.rest {
            self.rest.get_or_insert_default().list.reserve(1 + rest.list.len());
        }
        other.into_iter().for_each(|bytes| self.push(bytes));
    }

    /// Takes the first `len` bytes, or all when there are fewer, off the front.
    #[must_use]
    pub fn split_to(&mut self, len: usize) -> DataList {
        if len >= self.len() {
            return core::mem::take(self);
        }
        let mut front = DataList::new();
        let mut missing = len;
        for mut chunk in core::mem::take(self) {
            let part = missing.min(chunk.len());
            front.push(chunk.split_to(part));
            self.push(chunk);
            missing -= part;
        }
        front
    }

    /// Cuts the list to its first `len` bytes.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        match &mut self.first {
            Some(first) if self.rest.is_none() && len > 0 => first.truncate(len),
            _ => *self = self.slice(0, len),
        }
    }

    /// All bytes in one slice; copies only when there are several.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_none() {
            return self.first.clone().unwrap_or_default();
        }
        let mut out = BytesMut::with_capacity(self.len());
        for chunk in self.chunks() {
            out.extend_from_slice(chunk);
        }
        out.freeze()
    }
}

impl From<Bytes> for DataList {
    fn from(bytes: Bytes) -> Self {
        DataList { first: (!bytes.is_empty()).then_some(bytes), rest: None }
    }
}

impl IntoIterator for DataList {
    type Item = Bytes;
    type IntoIter = IntoChunks;

    /// The slices, in order; none of them is empty.
    fn into_iter(self) -> IntoChunks {
        IntoChunks { first: self.first, rest: self.rest.map(|rest| rest.list.into_iter()) }
    }
}

/// The slices of a [`DataList`].
#[derive(Debug)]
pub struct IntoChunks {
    first: Option<Bytes>,
    rest: Option<std::vec::IntoIter<Bytes>>,
}

impl Iterator for IntoChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.first.take().or_else(|| self.rest.as_mut()?.next())
    }
}

impl From<Vec<u8>> for DataList {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl FromIterator<Bytes> for DataList {
    fn from_iter<I: IntoIterator<Item = Bytes>>(iter: I) -> Self {
        let mut list = DataList::new();
        iter.into_iter().for_each(|b| list.push(b));
        list
    }
}

impl PartialEq for DataList {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.chunks().flatten().eq(other.chunks().flatten())
    }
}

impl Eq for DataList {}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(parts: &[&'static [u8]]) -> DataList {
        parts.iter().map(|p| Bytes::from_static(p)).collect()
    }

    #[test]
    fn slices_at_every_cut() {
        let whole = b"abcdefgh";
        let l = list(&[b"abc", b"", b"de", b"fgh"]);
        assert_eq!(l.len(), 8);
        for at in 0..=9 {
            for len in 0..=9 {
                let end = (at + len).min(8);
                let want = whole.get(at.min(8)..end.max(at.min(8))).unwrap_or(b"");
                assert_eq!(&l.slice(at, len).to_bytes()[..], want, "at {at} len {len}");
            }
        }
    }

    #[test]
    fn splits_and_joins_at_every_cut() {
        let whole = list(&[b"abc", b"de", b"fgh"]);
        for at in 0..=9 {
            let mut back = whole.clone();
            let mut front = back.split_to(at);
            assert_eq!(front, whole.slice(0, at), "at {at}");
            assert_eq!(back, whole.slice(at, 8), "at {at}");
            front.append(back);
            assert_eq!(front, whole, "at {at}");
        }
    }

    #[test]
    fn equality_ignores_how_the_bytes_are_cut() {
        assert_eq!(list(&[b"ab", b"c"]), list(&[b"a", b"bc"]));
        assert_ne!(list(&[b"ab"]), list(&[b"abc"]));
    }
}
