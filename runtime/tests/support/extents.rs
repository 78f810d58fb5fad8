//! Asking a disk for its extents.

use std::ops::Range;

use iscsicore::disk::Allocation;
use iscsicore_runtime::backend::Backend;

/// All extents of a range, found with questions for `most` of them at a time; neighbours differ.
pub(crate) async fn extents(
    disk: &(impl Backend + ?Sized),
    mut offset: u64,
    len: u64,
    most: usize,
) -> Vec<(Range<u64>, Allocation)> {
    let end = offset + len;
    let mut all: Vec<(Range<u64>, Allocation)> = Vec::new();
    while offset < end {
        let found = disk.extents(offset, end - offset, most).wait().await.unwrap();
        assert!((1..=most.max(1)).contains(&found.len()), "{found:?} of {most}");
        assert!(found.windows(2).all(|pair| pair[0].1 != pair[1].1), "{found:?}");
        for (len, allocation) in found {
            assert!(len > 0 && len <= end - offset, "{len} bytes at {offset} before {end}");
            match all.last_mut() {
                Some(last) if last.1 == allocation => last.0.end += len,
                _ => all.push((offset..offset + len, allocation)),
            }
            offset += len;
        }
    }
    all
}
