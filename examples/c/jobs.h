/* Between the library and the disks: what a job asks for, on which thread that is done, and what became of it. */
#ifndef JOBS_H
#define JOBS_H

#include <stdbool.h>

#include <iscsicore.h>

#include "storage.h"

/* A job that is being done. What `job` names lives until it is finished, and any thread may read it. */
struct work {
    const iscsicore_job *job;
    struct disk *disk;
    iscsicore_io io;           /* what became of it */
    uint64_t at;               /* where the medium failed */
    void *buffer;              /* of a read: what was read */
    iscsicore_extent *extents; /* of a question for extents: the answer */
    size_t extent_count;
    struct work *next; /* in a list of workers.c */
};

/* Does it, if that takes no time worth mentioning, and returns whether it did. */
bool work_try(struct work *work);

/* Does it, and blocks until it is done. */
void work_do(struct work *work);

/* Tells the host what became of it, on the thread of the host. */
void work_finish(struct work *work, iscsicore_host *host);

/* Forgets what was done, in place of telling it. */
void work_drop(struct work *work);

#endif
