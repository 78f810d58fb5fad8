/* Calls that come too late, or at impossible times: buffers of commands that were cancelled, receivers of other connections, and
 * clocks that stand at either end. */
#include "misuse.h"

enum { LEN = 256 << 10 };

/* Brings the first PDU of a read as far as its payload: from then on bytes belong into the buffer of the command. Returns where
 * the first of them are wanted. */
static iscsicore_iovec payload_wanted(struct pair *pair, unsigned char *buffer, uint64_t *task) {
    iscsicore_command *ready, *read;
    iscsicore_iovec from, to[2];
    size_t count;
    /* The unit attention of power on is told to this one. */
    NEED(iscsicore_command_test_unit_ready(LUN_0, &ready));
    pair_run(pair, ready);
    NEED(iscsicore_command_read(LUN_0, 0, LEN / BLOCK, BLOCK, &read));
    NEED(iscsicore_command_set_buffer(read, buffer, LEN));
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, read, task));
    NEED(iscsicore_command_free(read));
    pair->host_silent = true;
    pair_step(pair);
    pair->host_silent = false;
    NEED(iscsicore_host_transmit(pair->host, pair->now, pair->link, pair->target_tx));
    for (;;) {
        NEED(iscsicore_nexus_want(pair->nexus, pair->nexus_rx, to, 2, &count));
        if (count == 0) {
            NEED(iscsicore_nexus_receive(pair->nexus, pair->now, pair->nexus_rx));
            continue;
        }
        if (count == 2) {
            return to[0];
        }
        /* One byte of a header at a time. */
        NEED(iscsicore_transmitter_slices(pair->target_tx, &from, 1, &count));
        NEED_THAT(count == 1);
        memcpy(to[0].iov_base, from.iov_base, 1);
        NEED(iscsicore_nexus_advance(pair->nexus, pair->nexus_rx, 1));
        NEED(iscsicore_transmitter_advance(pair->target_tx, 1));
    }
}

/* From the cancel on the buffer is the program's, which frees it: what still arrives goes elsewhere. */
static void cancelled(void) {
    struct pair pair, other;
    struct terms terms = {0};
    unsigned char *buffer = malloc(LEN);
    iscsicore_iovec to[2];
    uint64_t task;
    size_t count;
    NEED_THAT(buffer != NULL);
    pair_up(&pair, &terms);
    pair_up(&other, &terms);
    iscsicore_iovec first = payload_wanted(&pair, buffer, &task);
    const unsigned char *place = first.iov_base;
    CHECK(place >= buffer && place + first.iov_len <= buffer + LEN);
    /* Only this nexus knows the place. */
    WANT(WRONG_STATE, iscsicore_receiver_want(pair.nexus_rx, &out.memory, &out.size));
    WANT(WRONG_STATE, iscsicore_receiver_advance(pair.nexus_rx, 1));
    NEED(iscsicore_nexus_want(other.nexus, pair.nexus_rx, to, 2, &count));
    CHECK(count == 1 && to[0].iov_base != first.iov_base && to[0].iov_len > 0);
    WANT(INVALID, iscsicore_nexus_advance(other.nexus, pair.nexus_rx, SIZE_MAX));
    WANT(OK, iscsicore_nexus_cancel(pair.nexus, pair.now, task));
    free(buffer);
    NEED(iscsicore_nexus_want(pair.nexus, pair.nexus_rx, to, 2, &count));
    CHECK(count == 1 && to[0].iov_base != first.iov_base);
    while (pair_step(&pair)) {
    }
    iscsicore_command *ready;
    NEED(iscsicore_command_test_unit_ready(LUN_0, &ready));
    pair_run(&pair, ready);
    pair_free(&pair);
    pair_free(&other);
}

/* Bytes that are pushed while payload belongs into a buffer end the connection. */
static void pushed(void) {
    struct pair pair;
    struct terms terms = {0};
    static unsigned char buffer[LEN];
    iscsicore_iovec slice = {buffer, 100};
    uint64_t task;
    pair_up(&pair, &terms);
    payload_wanted(&pair, buffer, &task);
    struct loans loans = {0, 0};
    iscsicore_payload payload = lend(&loans, buffer, sizeof buffer, &slice, 1);
    WANT(INVALID, iscsicore_receiver_push(pair.nexus_rx, &payload));
    CHECK(loans.released == 0);
    lend_failed(&payload);
    WANT(PEER_ERROR, iscsicore_nexus_receive(pair.nexus, pair.now, pair.nexus_rx));
    pair_free(&pair);
}

/* A clock that runs to its end, or back, is no reason for anything worse than a timeout. */
static void clocks(uint64_t now) {
    struct pair pair;
    struct terms terms = {0};
    iscsicore_command *command;
    uint64_t task;
    pair_up(&pair, &terms);
    NEED(iscsicore_command_test_unit_ready(LUN_0, &command));
    for (uint64_t nanos = 1; nanos != 0; nanos = nanos == 1 ? UINT64_MAX - 1 : 0) {
        NEED(iscsicore_command_set_timeout(command, nanos));
        WANT(OK, iscsicore_nexus_submit(pair.nexus, now, command, &task));
        WANT(OK, iscsicore_nexus_submit(pair.nexus, now, command, &task));
        WANT(OK, iscsicore_nexus_abort(pair.nexus, now, task));
    }
    WANT(OK, iscsicore_nexus_ping(pair.nexus, now, NULL, &task));
    WANT(OK, iscsicore_nexus_task_management(pair.nexus, now, 5, LUN_0, &task));
    WANT(OK, iscsicore_nexus_transmit(pair.nexus, now, pair.nexus_tx));
    WANT(OK, iscsicore_nexus_receive(pair.nexus, now, pair.nexus_rx));
    WANT(OK, iscsicore_nexus_handle_timeout(pair.nexus, now));
    WANT(OK, iscsicore_nexus_timeout(pair.nexus, &out.u64));
    WANT(OK, iscsicore_host_request_logout(pair.host, now, UINT64_MAX));
    WANT(OK, iscsicore_host_receive(pair.host, now, pair.link, pair.target_rx));
    WANT(OK, iscsicore_host_transmit(pair.host, now, pair.link, pair.target_tx));
    WANT(OK, iscsicore_host_timeout(pair.host, &out.u64));
    WANT(OK, iscsicore_host_handle_timeout(pair.host, now));
    WANT(OK, iscsicore_host_handle_timeout(pair.host, 0));
    WANT(OK, iscsicore_host_handle_timeout(pair.host, UINT64_MAX));
    WANT(OK, iscsicore_nexus_logout(pair.nexus, now));
    WANT(OK, iscsicore_nexus_lost(pair.nexus, now, ISCSICORE_LOSS_FAILED));
    WANT(OK, iscsicore_nexus_handle_timeout(pair.nexus, UINT64_MAX));
    WANT(OK, iscsicore_nexus_handle_timeout(pair.nexus, 0));
    WANT(OK, iscsicore_host_lost(pair.host, now, pair.link));
    NEED(iscsicore_command_free(command));
    pair_free(&pair);
}

/* Limits that are as long as can be. */
static void endless(void) {
    struct pair pair;
    iscsicore_limits limits;
    memset(&limits, 0, sizeof limits);
    limits.size = sizeof limits;
    limits.login_timeout = limits.ping_interval = limits.ping_timeout = limits.ping_grace = UINT64_MAX - 1;
    limits.management_timeout = limits.abort_data_timeout = UINT64_MAX;
    struct terms terms = {.limits = &limits};
    pair_up(&pair, &terms);
    WANT(OK, iscsicore_nexus_ping(pair.nexus, pair.now, NULL, &out.u64));
    pair_wait(&pair, ISCSICORE_NEXUS_EVENT_KIND_PONG);
    WANT(OK, iscsicore_host_handle_timeout(pair.host, UINT64_MAX - 1));
    WANT(OK, iscsicore_nexus_handle_timeout(pair.nexus, UINT64_MAX - 1));
    pair_free(&pair);
    struct terms plain = {0};
    iscsicore_initiator_options options = initiator_options(&plain);
    options.first_pause = options.longest_pause = options.attempt_timeout = options.give_up_after = UINT64_MAX - 1;
    options.persist_at_first = ISCSICORE_CHOICE_YES;
    iscsicore_nexus *nexus;
    NEED(iscsicore_nexus_new(&options, seed(), UINT64_MAX - 1, &nexus));
    const iscsicore_nexus_event *event;
    for (int turn = 0; turn < 70; turn++) {
        WANT(OK, iscsicore_nexus_dial_failed(nexus, UINT64_MAX, "no"));
        WANT(OK, iscsicore_nexus_next_event(nexus, &event));
        WANT(OK, iscsicore_nexus_handle_timeout(nexus, UINT64_MAX));
        WANT(OK, iscsicore_nexus_timeout(nexus, &out.u64));
    }
    NEED(iscsicore_nexus_free(nexus));
}

void misuse_late(void) {
    cancelled();
    pushed();
    clocks(UINT64_MAX);
    clocks(UINT64_MAX - 1);
    clocks(0);
    endless();
}
