/* A whole target server, its connections and its jobs. */
#include "misuse.h"

/* Links that never were, or are no more, and each pointer of the functions about links. `link` was lost. */
static void about_links(iscsicore_host *host, uint64_t link, uint64_t other, iscsicore_receiver *rx,
                        iscsicore_transmitter *tx) {
    int context;
    const uint64_t none[] = {0, link, INVENTED, UINT64_MAX, other + 1, other ^ UINT64_C(1) << 63};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        WANT(UNKNOWN, iscsicore_host_receive(host, 1, none[at], rx));
        WANT(UNKNOWN, iscsicore_host_transmit(host, 1, none[at], tx));
        WANT(UNKNOWN, iscsicore_host_is_closing(host, none[at], &out.flag));
        WANT(UNKNOWN, iscsicore_host_session(host, none[at], &out.session));
        WANT(UNKNOWN, iscsicore_host_set_context(host, none[at], &context));
        WANT(UNKNOWN, iscsicore_host_context(host, none[at], &out.pointer));
        WANT(UNKNOWN, iscsicore_host_lost(host, 1, none[at]));
    }
    WANT(NULL_POINTER, iscsicore_host_receive(NULL, 1, other, rx));
    WANT(NULL_POINTER, iscsicore_host_receive(host, 1, other, NULL));
    WANT(NULL_POINTER, iscsicore_host_transmit(NULL, 1, other, tx));
    WANT(NULL_POINTER, iscsicore_host_transmit(host, 1, other, NULL));
    WANT(NULL_POINTER, iscsicore_host_is_closing(NULL, other, &out.flag));
    WANT(NULL_POINTER, iscsicore_host_is_closing(host, other, NULL));
    WANT(NULL_POINTER, iscsicore_host_session(NULL, other, &out.session));
    WANT(NULL_POINTER, iscsicore_host_session(host, other, NULL));
    WANT(OK, iscsicore_host_session(host, other, &out.session));
    CHECK(out.session == NULL);
    WANT(NULL_POINTER, iscsicore_host_set_context(NULL, other, &context));
    WANT(OK, iscsicore_host_set_context(host, other, NULL));
    WANT(NULL_POINTER, iscsicore_host_context(NULL, other, &out.pointer));
    WANT(NULL_POINTER, iscsicore_host_context(host, other, NULL));
    WANT(OK, iscsicore_host_context(host, other, &out.pointer));
    CHECK(out.pointer == NULL);
    WANT(OK, iscsicore_host_set_context(host, other, &context));
    WANT(OK, iscsicore_host_context(host, other, &out.pointer));
    CHECK(out.pointer == &context);
    WANT(NULL_POINTER, iscsicore_host_session_count(NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_host_session_count(host, NULL));
    WANT(NULL_POINTER, iscsicore_host_lost(NULL, 1, other));
}

static void connections(void) {
    struct terms terms = {0};
    iscsicore_host_config *config = host_config(&terms);
    iscsicore_node_limits of_all;
    iscsicore_host *host;
    uint64_t link, other;
    memset(&of_all, 0, sizeof of_all);
    of_all.size = sizeof of_all;
    of_all.connections_in_login = 1;
    NEED(iscsicore_host_config_set_node_limits(config, &of_all));
    WANT_NEW(NULL_POINTER, host, iscsicore_host_new(NULL, &host));
    WANT(NULL_POINTER, iscsicore_host_new(config, NULL));
    WANT_NEW(OK, host, iscsicore_host_new(config, &host));
    NEED(iscsicore_host_config_free(config));
    WANT(NULL_POINTER, iscsicore_host_connect(NULL, 1, ADDRESS, seed(), &out.u64));
    WANT(NULL_POINTER, iscsicore_host_connect(host, 1, NULL, seed(), &out.u64));
    WANT(NULL_POINTER, iscsicore_host_connect(host, 1, ADDRESS, NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_host_connect(host, 1, ADDRESS, seed(), NULL));
    WANT(INVALID, iscsicore_host_connect(host, 1, "localhost:3260", seed(), &out.u64));
    WANT(INVALID, iscsicore_host_connect(host, 1, NOT_TEXT, seed(), &out.u64));
    WANT(OK, iscsicore_host_connect(host, 1, ADDRESS, seed(), &link));
    CHECK(link != 0);
    WANT(REFUSED, iscsicore_host_connect(host, 1, ADDRESS, seed(), &out.u64));
    WANT(OK, iscsicore_host_lost(host, 1, link));
    WANT(OK, iscsicore_host_connect(host, 1, ADDRESS, seed(), &other));
    CHECK(other != 0 && other != link);
    iscsicore_receiver *rx;
    iscsicore_transmitter *tx;
    NEED(iscsicore_receiver_new(NULL, &rx));
    NEED(iscsicore_transmitter_new(&tx));
    about_links(host, link, other, rx, tx);
    /* Not a word of iSCSI. */
    static unsigned char bytes[64];
    memset(bytes, 0xff, sizeof bytes);
    iscsicore_iovec garbage = {bytes, sizeof bytes};
    iscsicore_payload payload = {&garbage, 1, NULL, NULL};
    WANT(OK, iscsicore_receiver_push(rx, &payload));
    WANT(PEER_ERROR, iscsicore_host_receive(host, 1, other, rx));
    WANT(PEER_ERROR, iscsicore_host_receive(host, 1, other, rx));
    WANT(OK, iscsicore_host_transmit(host, 1, other, tx));
    WANT(OK, iscsicore_host_is_closing(host, other, &out.flag));
    CHECK(out.flag);
    WANT(OK, iscsicore_host_free(NULL));
    WANT(OK, iscsicore_host_free(host));
    NEED(iscsicore_receiver_free(rx));
    NEED(iscsicore_transmitter_free(tx));
}

void misuse_host(void) {
    connections();
    struct terms terms = {0};
    iscsicore_host *host = new_host(&terms);
    WANT(NULL_POINTER, iscsicore_host_next_wake(NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_host_next_wake(host, NULL));
    WANT(OK, iscsicore_host_next_wake(host, &out.u64));
    CHECK(out.u64 == 0);
    WANT(NULL_POINTER, iscsicore_host_timeout(NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_host_timeout(host, NULL));
    WANT(OK, iscsicore_host_timeout(host, &out.u64));
    CHECK(out.u64 == ISCSICORE_NEVER);
    WANT(NULL_POINTER, iscsicore_host_handle_timeout(NULL, 1));
    WANT(NULL_POINTER, iscsicore_host_request_logout(NULL, 1, 1));
    WANT(OK, iscsicore_host_request_logout(host, UINT64_MAX, UINT64_MAX));
    WANT(OK, iscsicore_host_handle_timeout(host, UINT64_MAX));
    WANT(OK, iscsicore_host_handle_timeout(host, 0));
    WANT(NULL_POINTER, iscsicore_host_resize(NULL, 0, 1));
    WANT(UNKNOWN, iscsicore_host_resize(host, 1, 1));
    WANT(UNKNOWN, iscsicore_host_resize(host, UINT32_MAX, 1));
    WANT(INVALID, iscsicore_host_resize(host, 0, 0));
    WANT(INVALID, iscsicore_host_resize(host, 0, UINT64_C(1) << 55));
    WANT(NULL_POINTER, iscsicore_host_set_service(NULL, TARGET_NAME, 0));
    WANT(NULL_POINTER, iscsicore_host_set_service(host, NULL, 0));
    WANT(INVALID, iscsicore_host_set_service(host, TARGET_NAME, 3));
    WANT(INVALID, iscsicore_host_set_service(host, TARGET_NAME, -1));
    WANT(INVALID, iscsicore_host_set_service(host, NOT_TEXT, 0));
    WANT(UNKNOWN, iscsicore_host_set_service(host, TARGET_NAME "2", 0));
    iscsicore_host_config *config = host_config(&terms);
    WANT(NULL_POINTER, iscsicore_host_reconfigure(NULL, config));
    WANT(NULL_POINTER, iscsicore_host_reconfigure(host, NULL));
    NEED(iscsicore_host_config_add_lun(config, 0, NULL, 1, 1, 0));
    WANT(INVALID, iscsicore_host_reconfigure(host, config));
    WANT(OK, iscsicore_host_config_free(config));
    WANT(OK, iscsicore_host_free(host));
}

/* The job of a command that is on its way. */
static const iscsicore_job *job_of(struct pair *pair, iscsicore_command *command) {
    const iscsicore_job *job;
    uint64_t task;
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, command, &task));
    NEED(iscsicore_command_free(command));
    while (pair_step(pair)) {
    }
    NEED(iscsicore_host_next_job(pair->host, &job));
    NEED_THAT(job != NULL);
    return job;
}

static void wrong_outcomes(struct pair *pair, const iscsicore_job *job) {
    static const iscsicore_extent extent = {BLOCK, 1};
    iscsicore_host *host = pair->host;
    uint64_t id = job->id;
    CHECK(id != 0);
    WANT(NULL_POINTER, iscsicore_host_finish(NULL, pair->now, id, 0, 0));
    WANT(NULL_POINTER, iscsicore_host_finish_read(NULL, pair->now, id, bad_payload(0)));
    WANT(NULL_POINTER, iscsicore_host_finish_extents(NULL, pair->now, id, &extent, 1));
    static const int none[] = {0, -1, 7, 256, INT32_MIN};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        WANT(INVALID, iscsicore_host_finish(host, pair->now, id, none[at], 0));
    }
    const uint64_t unknown[] = {0, INVENTED, UINT64_MAX, id + 1, id + (UINT64_C(1) << 32)};
    for (size_t at = 0; at < sizeof unknown / sizeof *unknown; at++) {
        WANT(UNKNOWN, iscsicore_host_finish(host, pair->now, unknown[at], 0, 0));
        WANT(UNKNOWN, iscsicore_host_finish_read(host, pair->now, unknown[at], bad_payload(0)));
        WANT(UNKNOWN, iscsicore_host_finish_extents(host, pair->now, unknown[at], &extent, 1));
    }
    bool read = job->op.kind == ISCSICORE_OP_KIND_READ, extents = job->op.kind == ISCSICORE_OP_KIND_EXTENTS;
    if (read || extents) {
        WANT(INVALID, iscsicore_host_finish(host, pair->now, id, ISCSICORE_IO_DONE, 0));
    }
    if (!read) {
        iscsicore_payload empty = {NULL, 0, NULL, NULL};
        WANT(INVALID, iscsicore_host_finish_read(host, pair->now, id, &empty));
        WANT(INVALID, iscsicore_host_finish_read(host, pair->now, id, bad_payload(0)));
    }
    if (!extents) {
        WANT(INVALID, iscsicore_host_finish_extents(host, pair->now, id, &extent, 1));
    }
}

/* The job was finished: it is no more. */
static void finished_twice(struct pair *pair, uint64_t id) {
    iscsicore_payload empty = {NULL, 0, NULL, NULL};
    WANT(UNKNOWN, iscsicore_host_finish(pair->host, pair->now, id, ISCSICORE_IO_FAILED, 0));
    WANT(UNKNOWN, iscsicore_host_finish_read(pair->host, pair->now, id, &empty));
    WANT(UNKNOWN, iscsicore_host_finish_extents(pair->host, pair->now, id, NULL, 0));
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED);
}

void misuse_jobs(void) {
    struct pair pair;
    struct terms terms = {0};
    iscsicore_command *command;
    struct loans loans = {0, 0};
    static unsigned char block[BLOCK + 1];
    iscsicore_iovec slices[2], whole = {block, BLOCK};
    pair_up(&pair, &terms);
    pair.keep_jobs = true;
    WANT(NULL_POINTER, iscsicore_host_next_job(NULL, &out.job));
    WANT(NULL_POINTER, iscsicore_host_next_job(pair.host, NULL));
    WANT(OK, iscsicore_host_next_job(pair.host, &out.job));
    CHECK(out.job == NULL);

    NEED(iscsicore_command_read(LUN_0, 0, 1, BLOCK, &command));
    const iscsicore_job *job = job_of(&pair, command);
    uint64_t id = job->id;
    wrong_outcomes(&pair, job);
    WANT(INVALID, iscsicore_host_finish_read(pair.host, pair.now, id, NULL));
    WANT_NO_BAD_PAYLOAD(iscsicore_host_finish_read(pair.host, pair.now, id, payload));
    for (size_t len = BLOCK - 1; len <= BLOCK + 1; len += 2) {
        iscsicore_payload wrong = lend(&loans, block, len, slices, 2);
        WANT(INVALID, iscsicore_host_finish_read(pair.host, pair.now, id, &wrong));
        lend_failed(&wrong);
    }
    disk_finish(&pair.disk, pair.host, pair.now, job);
    finished_twice(&pair, id);

    iscsicore_payload data = {&whole, 1, NULL, NULL};
    NEED(iscsicore_command_write(LUN_0, 0, &data, BLOCK, &command));
    job = job_of(&pair, command);
    CHECK(job->id != id);
    id = job->id;
    wrong_outcomes(&pair, job);
    WANT(OK, iscsicore_host_finish(pair.host, pair.now, id, ISCSICORE_IO_MEDIUM_ERROR, UINT64_MAX));
    finished_twice(&pair, id);

    NEED(iscsicore_command_get_lba_status(LUN_0, 0, 64, &command));
    job = job_of(&pair, command);
    id = job->id;
    wrong_outcomes(&pair, job);
    WANT(NULL_POINTER, iscsicore_host_finish_extents(pair.host, pair.now, id, NULL, 1));
    iscsicore_extent extent = {UINT64_MAX, INT32_MIN};
    WANT(INVALID, iscsicore_host_finish_extents(pair.host, pair.now, id, &extent, SIZE_MAX));
    WANT(OK, iscsicore_host_finish_extents(pair.host, pair.now, id, &extent, 1));
    finished_twice(&pair, id);

    /* A job whose connection is gone is finished like any other, once. */
    NEED(iscsicore_command_read(LUN_0, 0, 1, BLOCK, &command));
    job = job_of(&pair, command);
    id = job->id;
    NEED(iscsicore_host_lost(pair.host, pair.now, pair.link));
    WANT(OK, iscsicore_host_finish(pair.host, pair.now, id, ISCSICORE_IO_FAILED, 0));
    WANT(UNKNOWN, iscsicore_host_finish(pair.host, pair.now, id, ISCSICORE_IO_FAILED, 0));
    pair_free(&pair);
}
