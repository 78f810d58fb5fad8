//! Payload as a list of shared slices, so that it travels without a copy.

use bytes::{Bytes, BytesMut};

/// Payload bytes in order, as slices that share memory with whoever produced them.
///
/// One slice, the common case, is held without allocating.
#[derive(Clone, Debug, Default)]
pub struct DataList {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl DataList {
    /// An empty list.
    pub const fn new() -> Self {
        DataList { first: Bytes::new(), rest: Vec::new(), len: 0 }
    }

    /// The total number of bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `bytes`; an empty slice is dropped.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        if self.first.is_empty() {
            self.first = bytes;
        } else {
            self.rest.push(bytes);
        }
    }

    /// The slices, in order; none of them is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        core::iter::once(&self.first).filter(|b| !b.is_empty()).chain(self.rest.iter())
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
    pub fn append(&mut self, other: DataList) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let DataList { first, rest, .. } = other;
        self.rest.reserve(rest.len() + 1);
        self.push(first);
        rest.into_iter().for_each(|bytes| self.push(bytes));
    }

    /// Takes the first `len` bytes, or all when there are fewer, off the front.
    #[must_use]
    pub fn split_to(&mut self, len: usize) -> DataList {
        if len >= self.len {
            return core::mem::take(self);
        }
        let mut front = DataList::new();
        let mut chunks = core::iter::once(core::mem::take(&mut self.first)).chain(self.rest.drain(..));
        let mut back = DataList::new();
        for mut chunk in chunks.by_ref() {
            let missing = len - front.len;
            if chunk.len() <= missing {
                front.push(chunk);
                continue;
            }
            front.push(chunk.split_to(missing));
            back.push(chunk);
            break;
        }
        chunks.for_each(|chunk| back.push(chunk));
        *self = back;
        front
    }

    /// Cuts the list to its first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            *self = self.slice(0, len);
        }
    }

    /// All bytes in one slice; copies only when there are several.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut out = BytesMut::with_capacity(self.len);
        for chunk in self.chunks() {
            out.extend_from_slice(chunk);
        }
        out.freeze()
    }
}

impl From<Bytes> for DataList {
    fn from(bytes: Bytes) -> Self {
        let mut list = DataList::new();
        list.push(bytes);
        list
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
        self.len == other.len && self.chunks().flatten().eq(other.chunks().flatten())
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
