#include "jobs.h"

#include <stdlib.h>

#include "common.h"

#define INLINE (256 * 1024) /* bytes that move while others wait */
#define MOST_EXTENTS 256

static bool read_disk(struct work *work, bool cached)
{
    const iscsicore_op *op = &work->job->op;
    work->io = ISCSICORE_IO_FAILED;
    if (work->buffer == NULL)
        work->buffer = malloc(op->len);
    if (work->buffer == NULL)
        return !cached;
    if (cached && !disk_read_cached(work->disk, work->buffer, op->len, op->offset))
        return false;
    work->io = cached ? ISCSICORE_IO_DONE : disk_read(work->disk, work->buffer, op->len, op->offset, &work->at);
    return true;
}

static void find_extents(struct work *work)
{
    const iscsicore_op *op = &work->job->op;
    size_t most = op->most < MOST_EXTENTS ? op->most : MOST_EXTENTS;
    work->io = ISCSICORE_IO_FAILED;
    work->extents = calloc(most, sizeof *work->extents);
    if (work->extents != NULL)
        work->io = disk_extents(work->disk, op->offset, op->len, work->extents, most, &work->extent_count);
}

bool work_try(struct work *work)
{
    const iscsicore_op *op = &work->job->op;
    if (op->kind == ISCSICORE_OP_KIND_READ && op->len <= INLINE && !disk_in_memory(work->disk))
        return read_disk(work, true);
    /* A write ends up in the page cache, which as a rule takes it at once. */
    bool quick = op->kind == ISCSICORE_OP_KIND_WRITE && !op->fua && op->len <= INLINE;
    if (quick || disk_in_memory(work->disk)) {
        work_do(work);
        return true;
    }
    return false;
}

void work_do(struct work *work)
{
    struct disk *disk = work->disk;
    const iscsicore_op *op = &work->job->op;
    switch (op->kind) {
    case ISCSICORE_OP_KIND_READ:
        read_disk(work, false);
        break;
    case ISCSICORE_OP_KIND_WRITE:
        work->io = disk_write(disk, op->data, op->data_count, op->offset, op->fua, &work->at);
        break;
    case ISCSICORE_OP_KIND_FLUSH:
        work->io = disk_flush(disk);
        break;
    case ISCSICORE_OP_KIND_UNMAP:
        work->io = disk_unmap(disk, op->ranges, op->range_count);
        break;
    case ISCSICORE_OP_KIND_WRITE_ZEROES:
        work->io = disk_write_zeroes(disk, op->offset, op->len, op->may_unmap);
        break;
    case ISCSICORE_OP_KIND_EXTENTS:
        find_extents(work);
        break;
    default: /* a kind that only a later library has */
        work->io = ISCSICORE_IO_UNSUPPORTED;
        break;
    }
}

void work_finish(struct work *work, iscsicore_host *host)
{
    const iscsicore_job *job = work->job;
    bool done = work->io == ISCSICORE_IO_DONE;
    if (done && job->op.kind == ISCSICORE_OP_KIND_READ) {
        /* Lent, not copied: it goes to the socket from where it is, and is freed when the library needs it no more. */
        iscsicore_iovec slice = {.iov_base = work->buffer, .iov_len = job->op.len};
        iscsicore_payload data = {.slices = &slice, .count = 1, .release = free, .context = work->buffer};
        require(iscsicore_host_finish_read(host, now(), job->id, &data), "finish a read");
        work->buffer = NULL;
    } else if (done && job->op.kind == ISCSICORE_OP_KIND_EXTENTS) {
        require(iscsicore_host_finish_extents(host, now(), job->id, work->extents, work->extent_count), "finish extents");
    } else {
        require(iscsicore_host_finish(host, now(), job->id, (int)work->io, work->at), "finish");
    }
    work_drop(work);
}

void work_drop(struct work *work)
{
    free(work->buffer);
    free(work->extents);
    work->buffer = NULL;
    work->extents = NULL;
}
