#include "disk.h"

enum { PIECE = 4096 };

struct loan {
    struct loans *loans;
    unsigned char *memory;
};

static void release(void *context) {
    struct loan *loan = context;
    loan->loans->released++;
    free(loan->memory);
    free(loan);
}

iscsicore_payload lend(struct loans *loans, const void *bytes, size_t len, iscsicore_iovec *slices, size_t count) {
    struct loan *loan = malloc(sizeof *loan);
    NEED_THAT(loan != NULL);
    loan->loans = loans;
    loan->memory = malloc(len > 0 ? len : 1);
    NEED_THAT(loan->memory != NULL);
    if (len > 0) {
        memcpy(loan->memory, bytes, len);
    }
    loans->lent++;
    size_t used = 0, at = 0;
    for (; at < count && used < len; at++) {
        /* Of different lengths, the last one has the rest. */
        size_t part = at + 1 == count ? len - used : (len - used) / (at + 2) + 1;
        slices[at].iov_base = loan->memory + used;
        slices[at].iov_len = part;
        used += part;
    }
    iscsicore_payload payload = {.slices = slices, .count = at, .release = release, .context = loan};
    return payload;
}

void lend_failed(const iscsicore_payload *payload) {
    struct loan *loan = payload->context;
    loan->loans->lent--;
    free(loan->memory);
    free(loan);
}

void disk_init(struct disk *disk, size_t len) {
    memset(disk, 0, sizeof *disk);
    disk->len = len;
    disk->bytes = calloc(len, 1);
    disk->mapped = calloc(len / PIECE, 1);
    NEED_THAT(disk->bytes != NULL && disk->mapped != NULL);
}

void disk_free(struct disk *disk) {
    free(disk->bytes);
    free(disk->mapped);
}

static void change(struct disk *disk, uint64_t offset, uint64_t len, int mapped) {
    NEED_THAT(offset <= disk->len && len <= disk->len - offset);
    if (!mapped) {
        memset(disk->bytes + offset, 0, len);
    }
    uint64_t first = mapped ? offset / PIECE : (offset + PIECE - 1) / PIECE;
    uint64_t last = mapped ? (offset + len + PIECE - 1) / PIECE : (offset + len) / PIECE;
    for (; first < last; first++) {
        disk->mapped[first] = (unsigned char)mapped;
    }
}

static void write_slices(struct disk *disk, const iscsicore_op *op) {
    uint64_t at = op->offset;
    change(disk, op->offset, op->len, 1);
    for (size_t slice = 0; slice < op->data_count; slice++) {
        memcpy(disk->bytes + at, op->data[slice].iov_base, op->data[slice].iov_len);
        at += op->data[slice].iov_len;
    }
    CHECK(at == op->offset + op->len);
    disk->fua_writes += op->fua;
}

void disk_do(struct disk *disk, const iscsicore_op *op) {
    if (op->len > disk->largest) {
        disk->largest = op->len;
    }
    switch (op->kind) {
    case ISCSICORE_OP_KIND_WRITE:
        write_slices(disk, op);
        break;
    case ISCSICORE_OP_KIND_FLUSH:
        disk->flushes++;
        break;
    case ISCSICORE_OP_KIND_UNMAP:
        for (size_t range = 0; range < op->range_count; range++) {
            change(disk, op->ranges[range].offset, op->ranges[range].len, 0);
        }
        disk->unmaps++;
        break;
    case ISCSICORE_OP_KIND_WRITE_ZEROES:
        change(disk, op->offset, op->len, 0);
        disk->zeroes++;
        break;
    default:
        NEED_THAT(!"an operation that this disk cannot do");
    }
}

iscsicore_payload disk_read(struct disk *disk, const iscsicore_op *op, iscsicore_iovec slices[3]) {
    NEED_THAT(op->offset <= disk->len && op->len <= disk->len - op->offset);
    if (op->len > disk->largest) {
        disk->largest = op->len;
    }
    return lend(&disk->loans, disk->bytes + op->offset, op->len, slices, 3);
}

size_t disk_extents(const struct disk *disk, const iscsicore_op *op, iscsicore_extent extents[64]) {
    size_t count = 0;
    for (uint64_t at = op->offset; at < op->offset + op->len; at += PIECE - at % PIECE) {
        int mapped = disk->mapped[at / PIECE];
        uint64_t len = PIECE - at % PIECE;
        if (count > 0 && extents[count - 1].mapped == mapped) {
            extents[count - 1].len += len;
        } else if (count == op->most || count == 64) {
            break;
        } else {
            extents[count++] = (iscsicore_extent){.len = len, .mapped = mapped};
        }
    }
    return count;
}

void disk_finish(struct disk *disk, iscsicore_host *host, uint64_t now, const iscsicore_job *job) {
    if (job->op.kind == ISCSICORE_OP_KIND_READ) {
        iscsicore_iovec slices[3];
        iscsicore_payload payload = disk_read(disk, &job->op, slices);
        NEED(iscsicore_host_finish_read(host, now, job->id, &payload));
    } else if (job->op.kind == ISCSICORE_OP_KIND_EXTENTS) {
        iscsicore_extent extents[64];
        size_t count = disk_extents(disk, &job->op, extents);
        NEED(iscsicore_host_finish_extents(host, now, job->id, extents, count));
    } else {
        disk_do(disk, &job->op);
        NEED(iscsicore_host_finish(host, now, job->id, ISCSICORE_IO_DONE, 0));
    }
}
