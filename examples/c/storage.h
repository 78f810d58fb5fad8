/* A disk in a file, in memory or on a block device: what a logical unit asks of its storage, on Linux.
 *
 * Every function blocks until it is done, and says how it went as the library wants to hear it. Different threads may use a
 * disk at the same time. Offsets and lengths are in bytes, and lie within the disk: the library has checked them.
 */
#ifndef STORAGE_H
#define STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iscsicore.h>

struct disk;

/* Opens a disk, or says on stderr why it cannot be opened, and returns NULL.
 *
 * `path` NULL is a disk in memory of `size` bytes. A file that does not exist, or is empty, is given `size` bytes, all of them a
 * hole; one with content must have that size, and `size` 0 takes it as it is. The file is locked against other servers. */
struct disk *disk_open(const char *path, uint64_t size, bool read_only);

/* Closes a disk; NULL is taken. It does not flush: what was acknowledged without a flush is in the page cache. */
void disk_close(struct disk *disk);

uint64_t disk_size(const struct disk *disk);

/* Whether space can be given back: what a thin unit needs. */
bool disk_can_unmap(const struct disk *disk);

/* Whether the disk is in memory, so that nothing takes long. */
bool disk_in_memory(const struct disk *disk);

/* Fills `buffer` if the page cache has all that it takes, and returns whether it has. */
bool disk_read_cached(struct disk *disk, void *buffer, size_t len, uint64_t offset);

/* All of these leave in `*at` where the medium failed, when they return ISCSICORE_IO_MEDIUM_ERROR. */

/* Fills `buffer`. */
iscsicore_io disk_read(struct disk *disk, void *buffer, size_t len, uint64_t offset, uint64_t *at);

/* Writes the slices; with `fua` they are on stable storage on return. */
iscsicore_io disk_write(struct disk *disk, const iscsicore_iovec *slices, size_t count, uint64_t offset, bool fua,
                             uint64_t *at);

/* Brings all that was written to stable storage. Once that has failed it fails for ever: the kernel tells of data that it could
 * not write once, and then forgets them, so that a later success would mean nothing. */
iscsicore_io disk_flush(struct disk *disk);

/* Gives up the space behind ranges, which read as zeros then. */
iscsicore_io disk_unmap(struct disk *disk, const iscsicore_range *ranges, size_t count);

/* Makes a range read as zeros. ISCSICORE_IO_UNSUPPORTED: the file system has no better way than to write them. */
iscsicore_io disk_write_zeroes(struct disk *disk, uint64_t offset, uint64_t len, bool may_unmap);

/* Finds what of a range has storage: at most `most` extents, one at least, that begin at `offset`. */
iscsicore_io disk_extents(struct disk *disk, uint64_t offset, uint64_t len, iscsicore_extent *extents, size_t most,
                               size_t *count);

#endif
