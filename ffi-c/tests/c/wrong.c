/* Programs with mistakes that sanitizers and valgrind are to find: without them nobody would know whether they look. */
#include "pair.h"

#include <pthread.h>
#include <stdio.h>

/* The job of a write that is on its way. */
static const iscsicore_job *writing(struct pair *pair) {
    static unsigned char bytes[256 << 10];
    iscsicore_iovec slice = {bytes, sizeof bytes};
    iscsicore_payload payload = {&slice, 1, NULL, NULL};
    struct terms terms = {0};
    iscsicore_command *command;
    const iscsicore_job *job;
    uint64_t task;
    pair_up(pair, &terms);
    pair->keep_jobs = true;
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &command));
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, command, &task));
    NEED(iscsicore_command_free(command));
    while (pair_step(pair)) {
    }
    NEED(iscsicore_host_next_job(pair->host, &job));
    NEED_THAT(job != NULL && job->op.kind == ISCSICORE_OP_KIND_WRITE && job->op.data_count > 0);
    return job;
}

/* What a job names is read after it was finished. */
static int use_after_finish(void) {
    struct pair pair;
    const iscsicore_job *job = writing(&pair);
    const volatile unsigned char *data = job->op.data[0].iov_base;
    /* The receiver holds on to its last buffer. */
    NEED(iscsicore_receiver_free(pair.target_rx));
    pair.target_rx = NULL;
    int byte = *data;
    NEED(iscsicore_host_finish(pair.host, pair.now, job->id, ISCSICORE_IO_DONE, 0));
    byte += *data;
    pair_free(&pair);
    return byte;
}

/* A handle is used after it was freed. */
static int use_after_free(void) {
    iscsicore_receiver *receiver;
    size_t size;
    NEED(iscsicore_receiver_new(NULL, &receiver));
    NEED(iscsicore_receiver_free(receiver));
    return iscsicore_receiver_buffered(receiver, &size) == OK;
}

/* Memory is given back before the library has said so. */
static int give_back_early(void) {
    static struct loans loans;
    iscsicore_iovec slice;
    unsigned char bytes[BLOCK] = {1};
    iscsicore_payload payload = lend(&loans, bytes, sizeof bytes, &slice, 1);
    iscsicore_command *command;
    uint64_t task;
    struct terms terms = {0};
    struct pair pair;
    pair_up(&pair, &terms);
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &command));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, command, &task));
    free(slice.iov_base);
    return pair_step(&pair);
}

/* A host is never freed. */
static int leak(void) {
    struct terms terms = {0};
    iscsicore_host *host = new_host(&terms);
    uint64_t at;
    NEED(iscsicore_host_timeout(host, &at));
    host = NULL;
    return host != NULL;
}

/* An overflow, which is undefined in C. */
static int undefined(void) {
    volatile int number = INT32_MAX;
    number = number + 1;
    return number > 0;
}

static void *look(void *context) {
    const iscsicore_job *job = context;
    return job->op.len == 0 ? context : NULL;
}

/* One thread looks at a job that another one finishes. */
static int race(void) {
    struct pair pair;
    const iscsicore_job *job = writing(&pair);
    pthread_t thread;
    void *found;
    NEED_THAT(pthread_create(&thread, NULL, look, (void *)(uintptr_t)job) == 0);
    NEED(iscsicore_host_finish(pair.host, pair.now, job->id, ISCSICORE_IO_DONE, 0));
    NEED_THAT(pthread_join(thread, &found) == 0);
    pair_free(&pair);
    return found != NULL;
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(void);
    } wrongs[] = {
        {"use-after-finish", use_after_finish},
        {"use-after-free", use_after_free},
        {"give-back-early", give_back_early},
        {"leak", leak},
        {"undefined", undefined},
        {"race", race},
    };
    for (size_t at = 0; count == 2 && at < sizeof wrongs / sizeof *wrongs; at++) {
        if (strcmp(arguments[1], wrongs[at].name) == 0) {
            printf("%s: %d\n", wrongs[at].name, wrongs[at].run());
            return 0;
        }
    }
    fprintf(stderr, "which mistake?\n");
    return 2;
}
