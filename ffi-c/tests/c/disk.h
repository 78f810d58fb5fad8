/* Memory that is lent, and a disk in memory. */
#ifndef DISK_H
#define DISK_H

#include "check.h"

/* How often memory was lent, and how often given back: in the end as often, never more. */
struct loans {
    unsigned lent, released;
};

/* Payload in memory of its own, in as many slices as there is room for (`len` permitting), that is freed when it is given back:
 * who reads it later, or gives it back twice, is caught by a sanitizer. */
iscsicore_payload lend(struct loans *loans, const void *bytes, size_t len, iscsicore_iovec *slices, size_t count);

/* The call that was to take the payload has failed: nothing was lent. */
void lend_failed(const iscsicore_payload *payload);

struct disk {
    unsigned char *bytes;
    size_t len;
    /* One flag for each 4096 bytes: whether there is storage. */
    unsigned char *mapped;
    struct loans loans;
    unsigned flushes, unmaps, zeroes, fua_writes;
    /* The most bytes in one operation. */
    size_t largest;
};

void disk_init(struct disk *disk, size_t len);
void disk_free(struct disk *disk);

/* Does what an operation asks for, but ISCSICORE_OP_KIND_READ and ISCSICORE_OP_KIND_EXTENTS. */
void disk_do(struct disk *disk, const iscsicore_op *op);
/* The bytes of a read, lent. */
iscsicore_payload disk_read(struct disk *disk, const iscsicore_op *op, iscsicore_iovec slices[3]);
/* Says how many extents there are, at most `op->most` and 64. */
size_t disk_extents(const struct disk *disk, const iscsicore_op *op, iscsicore_extent extents[64]);

/* Carries a job of a host out, and finishes it. */
void disk_finish(struct disk *disk, iscsicore_host *host, uint64_t now, const iscsicore_job *job);

#endif
