/* Handles and threads: a handle in use by another thread is BUSY, nothing but OK and BUSY comes of two threads that do not look,
 * words of errors belong to their thread, and jobs are read and carried out elsewhere while the host is used. */
#include "pair.h"

#include <pthread.h>

enum { TURNS = 2000, WORKERS = 2, COMMANDS = 64, LEN = 64 << 10 };

/* Two threads that wait for each other. */
struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stage;
    /* What is in use while its memory is given back. */
    iscsicore_transmitter *transmitter;
    int status_within, free_within, status_after;
};

static void reach(struct meeting *meeting, int stage) {
    pthread_mutex_lock(&meeting->lock);
    meeting->stage = stage;
    pthread_cond_broadcast(&meeting->changed);
    pthread_mutex_unlock(&meeting->lock);
}

static void await(struct meeting *meeting, int stage) {
    pthread_mutex_lock(&meeting->lock);
    while (meeting->stage < stage) {
        pthread_cond_wait(&meeting->changed, &meeting->lock);
    }
    pthread_mutex_unlock(&meeting->lock);
}

static void release(void *context) {
    reach(context, 1);
    await(context, 2);
}

static void *other_thread(void *context) {
    struct meeting *meeting = context;
    size_t size;
    await(meeting, 1);
    meeting->status_within = iscsicore_transmitter_queued(meeting->transmitter, &size);
    meeting->free_within = iscsicore_transmitter_free(meeting->transmitter);
    reach(meeting, 2);
    await(meeting, 3);
    meeting->status_after = iscsicore_transmitter_queued(meeting->transmitter, &size);
    return NULL;
}

/* One thread is within a call, and stays there until the other one has tried the same handle. */
static void in_use_elsewhere(void) {
    struct pair pair;
    struct terms terms = {0};
    static unsigned char bytes[64 * BLOCK];
    iscsicore_iovec slice = {bytes, sizeof bytes};
    iscsicore_command *read;
    const iscsicore_job *job;
    uint64_t task;
    size_t queued;
    pthread_t thread;
    pair_up(&pair, &terms);
    pair.keep_jobs = true;
    struct meeting meeting = {
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, pair.target_tx, -1, -1, -1,
    };
    iscsicore_payload payload = {&slice, 1, release, &meeting};
    NEED(iscsicore_command_read(LUN_0, 0, 64, BLOCK, &read));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, read, &task));
    NEED(iscsicore_command_free(read));
    while (pair_step(&pair)) {
    }
    NEED(iscsicore_host_next_job(pair.host, &job));
    NEED(iscsicore_host_finish_read(pair.host, pair.now, job->id, &payload));
    NEED(iscsicore_host_transmit(pair.host, pair.now, pair.link, pair.target_tx));
    NEED(iscsicore_transmitter_queued(pair.target_tx, &queued));
    NEED_THAT(pthread_create(&thread, NULL, other_thread, &meeting) == 0);
    NEED(iscsicore_transmitter_advance(pair.target_tx, queued));
    reach(&meeting, 3);
    NEED_THAT(pthread_join(thread, NULL) == 0);
    CHECK(meeting.status_within == BUSY && meeting.free_within == BUSY && meeting.status_after == OK);
    pair_free(&pair);
}

struct clash {
    iscsicore_host *host;
    iscsicore_nexus *nexus;
    iscsicore_transmitter *transmitter;
    uint64_t link;
    unsigned long ok, busy, others;
};

static void count(struct clash *clash, int status) {
    clash->ok += status == OK;
    clash->busy += status == BUSY;
    clash->others += status != OK && status != BUSY;
}

static void *clash(void *context) {
    struct clash *clash = context;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        uint64_t number;
        size_t size;
        const iscsicore_job *job;
        const iscsicore_nexus_event *event;
        count(clash, iscsicore_host_timeout(clash->host, &number));
        count(clash, iscsicore_host_transmit(clash->host, 1, clash->link, clash->transmitter));
        count(clash, iscsicore_host_next_job(clash->host, &job));
        count(clash, iscsicore_nexus_next_event(clash->nexus, &event));
        count(clash, iscsicore_nexus_outstanding(clash->nexus, &size));
        count(clash, iscsicore_transmitter_queued(clash->transmitter, &size));
    }
    return NULL;
}

static void without_looking(void) {
    struct pair pair;
    struct terms terms = {0};
    struct clash clashes[WORKERS];
    pthread_t threads[WORKERS];
    unsigned long ok = 0;
    pair_up(&pair, &terms);
    for (int at = 0; at < WORKERS; at++) {
        clashes[at] = (struct clash){pair.host, pair.nexus, pair.target_tx, pair.link, 0, 0, 0};
        NEED_THAT(pthread_create(&threads[at], NULL, clash, &clashes[at]) == 0);
    }
    for (int at = 0; at < WORKERS; at++) {
        NEED_THAT(pthread_join(threads[at], NULL) == 0);
        CHECK(clashes[at].others == 0 && clashes[at].ok + clashes[at].busy == 6 * TURNS);
        ok += clashes[at].ok;
    }
    CHECK(ok > 0);
    pair_free(&pair);
}

static void *fails_elsewhere(void *context) {
    char *words = context;
    uint64_t lun;
    /* None has failed in this thread yet. */
    NEED_THAT(*iscsicore_error_message() == 0);
    NEED_THAT(iscsicore_lun(20000, &lun) == INVALID);
    strncpy(words, iscsicore_error_message(), 255);
    return NULL;
}

static void words_of_threads(void) {
    char here[256] = "", there[256] = "";
    uint64_t lun;
    pthread_t thread;
    CHECK(iscsicore_lun(30000, &lun) == INVALID);
    strncpy(here, iscsicore_error_message(), sizeof here - 1);
    NEED_THAT(pthread_create(&thread, NULL, fails_elsewhere, there) == 0);
    NEED_THAT(pthread_join(thread, NULL) == 0);
    CHECK(strcmp(here, iscsicore_error_message()) == 0 && strcmp(here, there) != 0);
    CHECK(strstr(here, "30000") != NULL && strstr(there, "20000") != NULL);
}

/* Jobs go to threads, which carry them out, and come back to be finished: a handle at a time, under a lock. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const iscsicore_job *todo[COMMANDS], *done[COMMANDS];
    unsigned todo_count, done_count, taken, finished;
    bool over;
    struct disk *disk;
};

static void *work(void *context) {
    struct pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->taken == pool->todo_count && !pool->over) {
            pthread_cond_wait(&pool->changed, &pool->lock);
        }
        if (pool->taken == pool->todo_count) {
            break;
        }
        const iscsicore_job *job = pool->todo[pool->taken++];
        pthread_mutex_unlock(&pool->lock);
        /* While others use the host. Each writes to a place of its own. */
        uint64_t at = job->op.offset;
        for (size_t slice = 0; slice < job->op.data_count; slice++) {
            memcpy(pool->disk->bytes + at, job->op.data[slice].iov_base, job->op.data[slice].iov_len);
            at += job->op.data[slice].iov_len;
        }
        pthread_mutex_lock(&pool->lock);
        pool->done[pool->done_count++] = job;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void finish_done(struct pair *pair, struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    unsigned done = pool->done_count;
    pthread_mutex_unlock(&pool->lock);
    for (; pool->finished < done; pool->finished++) {
        NEED(iscsicore_host_finish(pair->host, pair->now, pool->done[pool->finished]->id, ISCSICORE_IO_DONE, 0));
    }
}

static void jobs_elsewhere(void) {
    struct pair pair;
    struct terms terms = {0};
    static unsigned char bytes[LEN];
    iscsicore_iovec slice = {bytes, LEN};
    iscsicore_payload payload = {&slice, 1, NULL, NULL};
    pthread_t threads[WORKERS];
    unsigned ended = 0;
    pair_up(&pair, &terms);
    pair.keep_jobs = true;
    struct pool pool = {.disk = &pair.disk};
    NEED_THAT(pthread_mutex_init(&pool.lock, NULL) == 0 && pthread_cond_init(&pool.changed, NULL) == 0);
    for (int at = 0; at < WORKERS; at++) {
        NEED_THAT(pthread_create(&threads[at], NULL, work, &pool) == 0);
    }
    for (unsigned at = 0; at < COMMANDS; at++) {
        iscsicore_command *command;
        uint64_t task;
        memset(bytes, (int)at + 1, LEN);
        NEED(iscsicore_command_write(LUN_0, (uint64_t)at * (LEN / BLOCK), &payload, BLOCK, &command));
        NEED(iscsicore_nexus_submit(pair.nexus, pair.now, command, &task));
        NEED(iscsicore_command_free(command));
    }
    while (ended < COMMANDS) {
        const iscsicore_job *job;
        const iscsicore_nexus_event *event;
        pair_step(&pair);
        for (;;) {
            NEED(iscsicore_host_next_job(pair.host, &job));
            if (job == NULL) {
                break;
            }
            pthread_mutex_lock(&pool.lock);
            NEED_THAT(pool.todo_count < COMMANDS && job->op.kind == ISCSICORE_OP_KIND_WRITE);
            pool.todo[pool.todo_count++] = job;
            pthread_cond_signal(&pool.changed);
            pthread_mutex_unlock(&pool.lock);
        }
        finish_done(&pair, &pool);
        do {
            NEED(iscsicore_nexus_next_event(pair.nexus, &event));
            if (event != NULL && event->kind == ISCSICORE_NEXUS_EVENT_KIND_COMPLETED) {
                CHECK(event->u.completed.outcome == ISCSICORE_OUTCOME_ANSWERED && event->u.completed.status == 0);
                ended++;
            }
        } while (event != NULL);
    }
    pthread_mutex_lock(&pool.lock);
    pool.over = true;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    for (int at = 0; at < WORKERS; at++) {
        NEED_THAT(pthread_join(threads[at], NULL) == 0);
    }
    for (unsigned at = 0; at < COMMANDS; at++) {
        CHECK(pair.disk.bytes[at * LEN] == at + 1 && pair.disk.bytes[at * LEN + LEN - 1] == at + 1);
    }
    pair_free(&pair);
}

int main(void) {
    words_of_threads();
    in_use_elsewhere();
    without_looking();
    jobs_elsewhere();
    return check_done("threads");
}
