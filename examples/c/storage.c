#define _GNU_SOURCE /* fallocate, memfd_create, SEEK_DATA */

#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

struct disk {
    int fd;
    uint64_t size;
    bool can_unmap;
    bool is_file;            /* and not a block device: it has holes that can be found */
    bool in_memory;
    atomic_bool writes_lost; /* a flush has failed */
};

static bool complain(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", path, what, strerror(errno));
    return false;
}

/* A new file must have its name, too, when the power fails. */
static bool sync_directory_of(const char *path)
{
    char *real = realpath(path, NULL);
    int fd = real != NULL ? open(dirname(real), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool done = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    free(real);
    return done;
}

static bool open_file(struct disk *disk, const char *path, uint64_t size, bool read_only)
{
    int flags = read_only ? O_RDONLY : size > 0 ? O_RDWR | O_CREAT : O_RDWR;
    disk->fd = open(path, flags | O_CLOEXEC, 0600);
    if (disk->fd < 0)
        return complain(path, "open");
    struct stat is;
    if (fstat(disk->fd, &is) != 0)
        return complain(path, "stat");
    if (!S_ISREG(is.st_mode) && !S_ISBLK(is.st_mode)) {
        fprintf(stderr, "%s: neither a file nor a block device\n", path);
        return false;
    }
    struct statfs on;
    disk->is_file = S_ISREG(is.st_mode);
    disk->in_memory = fstatfs(disk->fd, &on) == 0 && on.f_type == TMPFS_MAGIC;
    if (flock(disk->fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0)
        return complain(path, "lock"); /* another server has it */
    off_t end = lseek(disk->fd, 0, SEEK_END);
    if (end < 0)
        return complain(path, "seek");
    if (end == 0 && size > 0 && !read_only && disk->is_file) {
        if (ftruncate(disk->fd, (off_t)size) != 0 || fsync(disk->fd) != 0 || !sync_directory_of(path))
            return complain(path, "make");
        end = (off_t)size;
    }
    if (end == 0 || (size > 0 && (uint64_t)end != size)) {
        fprintf(stderr, "%s: it has %lld bytes and not %llu\n", path, (long long)end, (unsigned long long)size);
        return false;
    }
    disk->size = (uint64_t)end;
    return true;
}

/* Memory is a file, too: so it has holes, and what was given up is free again. */
static bool open_memory(struct disk *disk, uint64_t size)
{
    disk->size = size;
    disk->is_file = disk->in_memory = true;
    disk->fd = memfd_create("disk", MFD_CLOEXEC);
    return (disk->fd >= 0 && ftruncate(disk->fd, (off_t)size) == 0) || complain("memory", "make");
}

struct disk *disk_open(const char *path, uint64_t size, bool read_only)
{
    struct disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL)
        return NULL;
    disk->fd = -1;
    if (!(path != NULL ? open_file(disk, path, size, read_only) : open_memory(disk, size))) {
        disk_close(disk);
        return NULL;
    }
    /* To punch a hole behind the end changes nothing, and tells whether it can be done. */
    int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    disk->can_unmap = !read_only && disk->is_file && fallocate(disk->fd, how, (off_t)disk->size, 4096) == 0;
    return disk;
}

void disk_close(struct disk *disk)
{
    if (disk != NULL && disk->fd >= 0)
        close(disk->fd);
    free(disk);
}

uint64_t disk_size(const struct disk *disk)
{
    return disk->size;
}

bool disk_can_unmap(const struct disk *disk)
{
    return disk->can_unmap;
}

bool disk_in_memory(const struct disk *disk)
{
    return disk->in_memory;
}

bool disk_read_cached(struct disk *disk, void *buffer, size_t len, uint64_t offset)
{
    struct iovec slice = {.iov_base = buffer, .iov_len = len};
    return preadv2(disk->fd, &slice, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)len;
}

/* What errno means to an initiator. `at` is NULL where the place of an error is not known. */
static iscsicore_io failure(const char *what, uint64_t offset, uint64_t *at)
{
    switch (errno) {
    case EOPNOTSUPP:
    case ENOSYS:
    case ENODEV:
        return ISCSICORE_IO_UNSUPPORTED;
    default:
        break;
    }
    fprintf(stderr, "storage: %s at %llu: %s\n", what, (unsigned long long)offset, strerror(errno));
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
        return ISCSICORE_IO_NO_SPACE;
    case EROFS:
        return ISCSICORE_IO_READ_ONLY;
    case EIO:
    case ENODATA: /* bad sectors, of some drives */
        if (at == NULL)
            return ISCSICORE_IO_FAILED;
        *at = offset;
        return ISCSICORE_IO_MEDIUM_ERROR;
    default:
        return ISCSICORE_IO_FAILED;
    }
}

iscsicore_io disk_read(struct disk *disk, void *buffer, size_t len, uint64_t offset, uint64_t *at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(disk->fd, (char *)buffer + done, len - done, (off_t)(offset + done));
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) { /* somebody has cut the file short */
            *at = offset + done;
            return ISCSICORE_IO_MEDIUM_ERROR;
        } else if (errno != EINTR) {
            return failure("read", offset + done, at);
        }
    }
    return ISCSICORE_IO_DONE;
}

iscsicore_io disk_write(struct disk *disk, const iscsicore_iovec *slices, size_t count, uint64_t offset, bool fua,
                             uint64_t *at)
{
    size_t skip = 0; /* bytes of the first slice that are written already */
    for (;;) {
        while (count > 0 && skip >= slices->iov_len) {
            skip -= slices->iov_len;
            slices++;
            count--;
        }
        if (count == 0)
            break;
        ssize_t put;
        if (skip > 0)
            put = pwrite(disk->fd, (const char *)slices->iov_base + skip, slices->iov_len - skip, (off_t)offset);
        else
            put = pwritev(disk->fd, slices, count < IOV_MAX ? (int)count : IOV_MAX, (off_t)offset);
        if (put > 0) {
            offset += (uint64_t)put;
            skip += (size_t)put;
        } else if (put == 0) {
            errno = EIO;
            return failure("write", offset, at);
        } else if (errno != EINTR) {
            return failure("write", offset, at);
        }
    }
    return fua ? disk_flush(disk) : ISCSICORE_IO_DONE;
}

iscsicore_io disk_flush(struct disk *disk)
{
    if (!atomic_load(&disk->writes_lost) && fdatasync(disk->fd) != 0) {
        atomic_store(&disk->writes_lost, true);
        fprintf(stderr, "storage: flush: %s; acknowledged writes may be lost\n", strerror(errno));
    }
    return atomic_load(&disk->writes_lost) ? ISCSICORE_IO_FAILED : ISCSICORE_IO_DONE;
}

static iscsicore_io allocate(struct disk *disk, int how, uint64_t offset, uint64_t len)
{
    while (fallocate(disk->fd, how | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) != 0)
        if (errno != EINTR)
            return failure("fallocate", offset, NULL);
    return ISCSICORE_IO_DONE;
}

iscsicore_io disk_unmap(struct disk *disk, const iscsicore_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        iscsicore_io io = allocate(disk, FALLOC_FL_PUNCH_HOLE, ranges[i].offset, ranges[i].len);
        if (io != ISCSICORE_IO_DONE)
            return io;
    }
    return ISCSICORE_IO_DONE;
}

iscsicore_io disk_write_zeroes(struct disk *disk, uint64_t offset, uint64_t len, bool may_unmap)
{
    bool punch = may_unmap && disk->can_unmap;
    return allocate(disk, punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, offset, len);
}

/* Where the next data (or hole) begins at or behind `at`: at `end` when there is none before. */
static int64_t seek(const struct disk *disk, uint64_t at, int whence, uint64_t end)
{
    off_t found = lseek(disk->fd, (off_t)at, whence);
    if (found < 0)
        return errno == ENXIO ? (int64_t)end : -1;
    return (uint64_t)found < at ? (int64_t)at : (uint64_t)found > end ? (int64_t)end : (int64_t)found;
}

iscsicore_io disk_extents(struct disk *disk, uint64_t offset, uint64_t len, iscsicore_extent *extents, size_t most,
                               size_t *count)
{
    uint64_t end = offset + len;
    *count = 0;
    /* Of a file that somebody has cut short the rest is no hole: to read it must fail. */
    if (lseek(disk->fd, 0, SEEK_END) < (off_t)disk->size)
        return ISCSICORE_IO_UNSUPPORTED;
    for (; offset < end && *count < most; (*count)++) {
        /* Others write meanwhile: each extent is looked for anew, and one that is empty ends the list. */
        int64_t data = disk->is_file ? seek(disk, offset, SEEK_DATA, end) : (int64_t)offset;
        bool mapped = data == (int64_t)offset;
        int64_t next = !mapped ? data : disk->is_file ? seek(disk, offset, SEEK_HOLE, end) : (int64_t)end;
        if (data < 0 || next < 0)
            return errno == EINVAL ? ISCSICORE_IO_UNSUPPORTED : failure("seek", offset, NULL);
        if (next == (int64_t)offset)
            break;
        extents[*count] = (iscsicore_extent){.len = (uint64_t)next - offset, .mapped = mapped};
        offset = (uint64_t)next;
    }
    return *count > 0 ? ISCSICORE_IO_DONE : ISCSICORE_IO_UNSUPPORTED;
}
