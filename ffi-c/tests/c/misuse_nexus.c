/* The initiator, and simple connections. */
#include "misuse.h"

static const uint8_t SECRET[] = "0123456789abcdef";

static void wrong_options(void) {
    struct terms terms = {0};
    iscsicore_nexus *nexus;
    iscsicore_initiator_options options = initiator_options(&terms);
    WANT_SIZES(iscsicore_initiator_options, options, iscsicore_nexus_new(options, seed(), 1, &nexus),
               NEED(iscsicore_nexus_free(nexus)));
    WANT_NEW(NULL_POINTER, nexus, iscsicore_nexus_new(NULL, seed(), 1, &nexus));
    WANT_NEW(NULL_POINTER, nexus, iscsicore_nexus_new(&options, NULL, 1, &nexus));
    WANT(NULL_POINTER, iscsicore_nexus_new(&options, seed(), 1, NULL));
    static const iscsicore_offer wrong_offer = {.size = sizeof wrong_offer, .max_burst = 1};
    static const iscsicore_limits wrong_limits = {.size = sizeof wrong_limits, .read_buffer = 1};
    static const iscsicore_limits small_limits = {.size = 1};
    static const int wrong_algorithms[] = {5, 9};
    iscsicore_initiator_options wrongs[18];
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        wrongs[at] = options;
    }
    wrongs[0].address = "";
    wrongs[1].address = NOT_TEXT;
    wrongs[2].initiator = "me";
    wrongs[3].initiator = NOT_TEXT;
    wrongs[4].initiator_alias = NOT_TEXT;
    wrongs[5].target = "it";
    wrongs[6].user = NOT_TEXT, wrongs[6].secret = SECRET, wrongs[6].secret_len = 16;
    wrongs[7].secret = SECRET, wrongs[7].secret_len = 16;
    wrongs[8].target_user = "bob", wrongs[8].target_secret = SECRET, wrongs[8].target_secret_len = 16;
    wrongs[9] = wrongs[8], wrongs[9].user = "alice", wrongs[9].secret = SECRET, wrongs[9].secret_len = 16;
    wrongs[10].user = "alice";
    wrongs[11].chap_algorithms = wrong_algorithms, wrongs[11].chap_algorithm_count = 2;
    wrongs[12].offer = &wrong_offer;
    wrongs[13].limits = &wrong_limits;
    wrongs[14].reconnect = 3;
    wrongs[15].allow_none = -1;
    wrongs[16].reserved = 1;
    wrongs[17].secret = SECRET, wrongs[17].secret_len = SIZE_MAX;
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        WANT_NEW(INVALID, nexus, iscsicore_nexus_new(&wrongs[at], seed(), 1, &nexus));
    }
    iscsicore_initiator_options null = options;
    null.address = NULL;
    WANT_NEW(NULL_POINTER, nexus, iscsicore_nexus_new(&null, seed(), 1, &nexus));
    null = options;
    null.initiator = NULL;
    WANT_NEW(NULL_POINTER, nexus, iscsicore_nexus_new(&null, seed(), 1, &nexus));
    null = options;
    null.user = "alice", null.secret_len = 16;
    WANT_NEW(NULL_POINTER, nexus, iscsicore_nexus_new(&null, seed(), 1, &nexus));
    null = options;
    null.limits = &small_limits;
    WANT_NEW(INVALID_SIZE, nexus, iscsicore_nexus_new(&null, seed(), 1, &nexus));
}

static void nulls(struct pair *pair) {
    iscsicore_nexus *nexus = pair->nexus;
    iscsicore_iovec slices[2];
    size_t count;
    WANT(OK, iscsicore_nexus_free(NULL));
    WANT(NULL_POINTER, iscsicore_nexus_next_event(NULL, &out.nexus_event));
    WANT(NULL_POINTER, iscsicore_nexus_next_event(nexus, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_connected(NULL, 1));
    WANT(OK, iscsicore_nexus_connected(nexus, pair->now));
    WANT(NULL_POINTER, iscsicore_nexus_dial_failed(NULL, 1, "why"));
    WANT(NULL_POINTER, iscsicore_nexus_dial_failed(nexus, 1, NULL));
    WANT(INVALID, iscsicore_nexus_dial_failed(nexus, 1, NOT_TEXT));
    WANT(NULL_POINTER, iscsicore_nexus_want(NULL, pair->nexus_rx, out.slices, 2, &out.size));
    WANT(NULL_POINTER, iscsicore_nexus_want(nexus, NULL, out.slices, 2, &out.size));
    WANT(NULL_POINTER, iscsicore_nexus_want(nexus, pair->nexus_rx, NULL, 2, &out.size));
    WANT(NULL_POINTER, iscsicore_nexus_want(nexus, pair->nexus_rx, out.slices, 2, NULL));
    WANT(INVALID, iscsicore_nexus_want(nexus, pair->nexus_rx, out.slices, 0, &out.size));
    WANT(INVALID, iscsicore_nexus_want(nexus, pair->nexus_rx, NULL, 0, &out.size));
    WANT(OK, iscsicore_nexus_want(nexus, pair->nexus_rx, slices, 1, &count));
    CHECK(count == 1 && slices[0].iov_len > 0);
    WANT(NULL_POINTER, iscsicore_nexus_advance(NULL, pair->nexus_rx, 0));
    WANT(NULL_POINTER, iscsicore_nexus_advance(nexus, NULL, 0));
    WANT(INVALID, iscsicore_nexus_advance(nexus, pair->nexus_rx, slices[0].iov_len + 1));
    WANT(INVALID, iscsicore_nexus_advance(nexus, pair->nexus_rx, SIZE_MAX));
    WANT(OK, iscsicore_nexus_advance(nexus, pair->nexus_rx, 0));
    WANT(NULL_POINTER, iscsicore_nexus_receive(NULL, 1, pair->nexus_rx));
    WANT(NULL_POINTER, iscsicore_nexus_receive(nexus, 1, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_transmit(NULL, 1, pair->nexus_tx));
    WANT(NULL_POINTER, iscsicore_nexus_transmit(nexus, 1, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_lost(NULL, 1, 0));
    WANT(INVALID, iscsicore_nexus_lost(nexus, 1, 2));
    WANT(INVALID, iscsicore_nexus_lost(nexus, 1, -1));
    WANT(NULL_POINTER, iscsicore_nexus_timeout(NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_timeout(nexus, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_handle_timeout(NULL, 1));
    WANT(OK, iscsicore_nexus_handle_timeout(nexus, 0));
    WANT(NULL_POINTER, iscsicore_nexus_reconnect(NULL, 1));
    WANT(NULL_POINTER, iscsicore_nexus_logout(NULL, 1));
    WANT(NULL_POINTER, iscsicore_nexus_end(NULL, 1));
    WANT(NULL_POINTER, iscsicore_nexus_is_up(NULL, &out.flag));
    WANT(NULL_POINTER, iscsicore_nexus_is_up(nexus, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_window(NULL, &out.u32));
    WANT(NULL_POINTER, iscsicore_nexus_window(nexus, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_outstanding(NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_nexus_outstanding(nexus, NULL));
    WANT(NULL_POINTER, iscsicore_nexus_parameters(NULL, &out.parameters));
    WANT(NULL_POINTER, iscsicore_nexus_parameters(nexus, NULL));
    WANT(OK, iscsicore_nexus_is_up(nexus, &out.flag));
    CHECK(out.flag);
}

static void commands(struct pair *pair) {
    iscsicore_nexus *nexus = pair->nexus;
    iscsicore_command *command;
    static unsigned char buffer[BLOCK];
    uint64_t task;
    NEED(iscsicore_command_read(LUN_0, 0, 1, BLOCK, &command));
    WANT(NULL_POINTER, iscsicore_nexus_submit(NULL, 1, command, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_submit(nexus, 1, NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_submit(nexus, 1, command, NULL));
    NEED(iscsicore_command_set_buffer(command, buffer, BLOCK - 1));
    WANT(INVALID, iscsicore_nexus_submit(nexus, pair->now, command, &out.u64));
    NEED(iscsicore_command_set_buffer(command, buffer, BLOCK));
    WANT(OK, iscsicore_nexus_submit(nexus, pair->now, command, &task));
    CHECK(task != 0);
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED);
    WANT(NULL_POINTER, iscsicore_nexus_abort(NULL, 1, task));
    const uint64_t none[] = {task, 0, INVENTED, UINT64_MAX, task ^ UINT64_C(1) << 32};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        WANT(UNKNOWN, iscsicore_nexus_abort(nexus, pair->now, none[at]));
        WANT(OK, iscsicore_nexus_cancel(nexus, pair->now, none[at]));
    }
    WANT(NULL_POINTER, iscsicore_nexus_cancel(NULL, 1, task));
    /* As many as the queue takes, and one. */
    for (int taken = 0; taken < 3; taken++) {
        WANT(OK, iscsicore_nexus_submit(nexus, pair->now, command, &task));
    }
    WANT(QUEUE_FULL, iscsicore_nexus_submit(nexus, pair->now, command, &out.u64));
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_ROOM_AGAIN);
    WANT(OK, iscsicore_command_free(command));
}

static void requests(struct pair *pair) {
    iscsicore_nexus *nexus = pair->nexus;
    int reset = ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET;
    WANT(NULL_POINTER, iscsicore_nexus_task_management(NULL, 1, reset, LUN_0, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_task_management(nexus, 1, reset, LUN_0, NULL));
    static const int functions[] = {0, 13, 255, -1, 256 + 5, ISCSICORE_TASK_MANAGEMENT_FUNCTION_ABORT_TASK,
                                    ISCSICORE_TASK_MANAGEMENT_FUNCTION_QUERY_TASK,
                                    ISCSICORE_TASK_MANAGEMENT_FUNCTION_TASK_REASSIGN};
    for (size_t at = 0; at < sizeof functions / sizeof *functions; at++) {
        WANT(INVALID, iscsicore_nexus_task_management(nexus, pair->now, functions[at], LUN_0, &out.u64));
    }
    WANT(NULL_POINTER, iscsicore_nexus_send_targets(NULL, 1, NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_send_targets(nexus, 1, NULL, NULL));
    WANT(INVALID, iscsicore_nexus_send_targets(nexus, 1, NOT_TEXT, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_ping(NULL, 1, NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_nexus_ping(nexus, 1, NULL, NULL));
    WANT_NO_BAD_PAYLOAD(iscsicore_nexus_ping(nexus, pair->now, payload, &out.u64));
    WANT(OK, iscsicore_nexus_send_targets(nexus, pair->now, NULL, &out.u64));
    WANT(WRONG_STATE, iscsicore_nexus_send_targets(nexus, pair->now, NULL, &out.u64));
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_TARGETS);
}

/* Before it is up, and when it is over. */
static void wrong_times(void) {
    struct terms terms = {0};
    iscsicore_nexus *nexus;
    iscsicore_command *command;
    iscsicore_initiator_options options = initiator_options(&terms);
    struct loans loans = {0, 0};
    iscsicore_iovec slices[2];
    iscsicore_payload payload = lend(&loans, "x", 1, slices, 2);
    int reset = ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET;
    NEED(iscsicore_nexus_new(&options, seed(), 1, &nexus));
    NEED(iscsicore_command_test_unit_ready(LUN_0, &command));
    for (int over = 0; over < 2; over++) {
        if (over) {
            WANT(OK, iscsicore_nexus_end(nexus, 1));
            WANT(WRONG_STATE, iscsicore_nexus_submit(nexus, 1, command, &out.u64));
            WANT(OK, iscsicore_nexus_connected(nexus, 1));
            WANT(OK, iscsicore_nexus_dial_failed(nexus, 1, "late"));
            WANT(OK, iscsicore_nexus_logout(nexus, 1));
            WANT(OK, iscsicore_nexus_reconnect(nexus, 1));
            WANT(OK, iscsicore_nexus_lost(nexus, 1, ISCSICORE_LOSS_CLOSED));
        }
        WANT(WRONG_STATE, iscsicore_nexus_task_management(nexus, 1, reset, LUN_0, &out.u64));
        WANT(WRONG_STATE, iscsicore_nexus_send_targets(nexus, 1, NULL, &out.u64));
        WANT(WRONG_STATE, iscsicore_nexus_ping(nexus, 1, &payload, &out.u64));
        WANT(WRONG_STATE, iscsicore_nexus_parameters(nexus, &out.parameters));
        WANT(OK, iscsicore_nexus_window(nexus, &out.u32));
        CHECK(out.u32 == 0 && loans.released == 0);
    }
    lend_failed(&payload);
    WANT(OK, iscsicore_nexus_free(nexus));
    WANT(OK, iscsicore_command_free(command));
    /* Nobody answers here but the program's own end: what it was handed is no iSCSI. */
    struct pair pair;
    pair_up(&pair, &terms);
    static unsigned char garbage[64];
    memset(garbage, 0xff, sizeof garbage);
    iscsicore_iovec slice = {garbage, sizeof garbage};
    iscsicore_payload bytes = {&slice, 1, NULL, NULL};
    NEED(iscsicore_receiver_push(pair.nexus_rx, &bytes));
    WANT(PEER_ERROR, iscsicore_nexus_receive(pair.nexus, pair.now, pair.nexus_rx));
    pair_free(&pair);
}

void misuse_nexus(void) {
    struct pair pair;
    iscsicore_limits limits;
    memset(&limits, 0, sizeof limits);
    limits.size = sizeof limits;
    limits.queue_depth = 3;
    struct terms terms = {.limits = &limits};
    wrong_options();
    pair_up(&pair, &terms);
    nulls(&pair);
    commands(&pair);
    requests(&pair);
    pair_free(&pair);
    wrong_times();
}

static void simple_nulls(iscsicore_host *host, iscsicore_simple *target, iscsicore_simple *initiator) {
    struct terms terms = {0};
    iscsicore_initiator_options options = initiator_options(&terms);
    iscsicore_simple *simple;
    iscsicore_nexus *nexus;
    uint8_t buffer[64];
    WANT_NEW(NULL_POINTER, simple, iscsicore_simple_target(NULL, 1, ADDRESS, seed(), &simple));
    WANT_NEW(NULL_POINTER, simple, iscsicore_simple_target(host, 1, NULL, seed(), &simple));
    WANT_NEW(NULL_POINTER, simple, iscsicore_simple_target(host, 1, ADDRESS, NULL, &simple));
    WANT(NULL_POINTER, iscsicore_simple_target(host, 1, ADDRESS, seed(), NULL));
    WANT_NEW(INVALID, simple, iscsicore_simple_target(host, 1, "nowhere", seed(), &simple));
    WANT_NEW(NULL_POINTER, simple, iscsicore_simple_initiator(NULL, seed(), 1, &simple));
    WANT_NEW(NULL_POINTER, simple, iscsicore_simple_initiator(&options, NULL, 1, &simple));
    WANT(NULL_POINTER, iscsicore_simple_initiator(&options, seed(), 1, NULL));
    WANT_SIZES(iscsicore_initiator_options, options, iscsicore_simple_initiator(options, seed(), 1, &simple),
               NEED(iscsicore_simple_free(simple)));
    WANT(OK, iscsicore_simple_free(NULL));
    WANT(NULL_POINTER, iscsicore_simple_nexus(NULL, &nexus));
    WANT(NULL_POINTER, iscsicore_simple_nexus(initiator, NULL));
    WANT_NEW(WRONG_STATE, nexus, iscsicore_simple_nexus(target, &nexus));
    WANT(NULL_POINTER, iscsicore_simple_feed(NULL, 1, buffer, 1));
    WANT(NULL_POINTER, iscsicore_simple_feed(initiator, 1, NULL, 1));
    WANT(OK, iscsicore_simple_feed(initiator, 1, NULL, 0));
    WANT(INVALID, iscsicore_simple_feed(initiator, 1, buffer, SIZE_MAX));
    WANT(NULL_POINTER, iscsicore_simple_take(NULL, 1, buffer, sizeof buffer, &out.size));
    WANT(NULL_POINTER, iscsicore_simple_take(initiator, 1, NULL, sizeof buffer, &out.size));
    WANT(NULL_POINTER, iscsicore_simple_take(initiator, 1, buffer, sizeof buffer, NULL));
    WANT(OK, iscsicore_simple_take(initiator, 1, NULL, 0, &out.size));
    CHECK(out.size == 0);
    WANT(INVALID, iscsicore_simple_take(initiator, 1, buffer, SIZE_MAX, &out.size));
    /* What is not written is left as it was. */
    memset(buffer, 0x5a, sizeof buffer);
    WANT(OK, iscsicore_simple_take(target, 1, buffer, sizeof buffer, &out.size));
    CHECK(out.size == 0 && buffer[0] == 0x5a && buffer[sizeof buffer - 1] == 0x5a);
    WANT(NULL_POINTER, iscsicore_simple_next_event(NULL, &out.simple_event));
    WANT(NULL_POINTER, iscsicore_simple_next_event(initiator, NULL));
    WANT(NULL_POINTER, iscsicore_simple_lost(NULL, 1));
    WANT(NULL_POINTER, iscsicore_simple_timeout(NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_simple_timeout(initiator, NULL));
    WANT(NULL_POINTER, iscsicore_simple_handle_timeout(NULL, 1));
    WANT(OK, iscsicore_simple_handle_timeout(initiator, 1));
    WANT(OK, iscsicore_simple_handle_timeout(target, 1));
}

void misuse_simple(void) {
    struct terms terms = {0};
    iscsicore_host *host = new_host(&terms);
    iscsicore_simple *target, *initiator;
    iscsicore_nexus *nexus;
    iscsicore_initiator_options options = initiator_options(&terms);
    NEED(iscsicore_simple_target(host, 1, ADDRESS, seed(), &target));
    NEED(iscsicore_simple_initiator(&options, seed(), 1, &initiator));
    NEED(iscsicore_simple_nexus(initiator, &nexus));
    simple_nulls(host, target, initiator);
    /* What belongs to a connection is not freed before it. */
    WANT(WRONG_STATE, iscsicore_host_free(host));
    WANT(WRONG_STATE, iscsicore_nexus_free(nexus));
    WANT(OK, iscsicore_nexus_is_up(nexus, &out.flag));
    WANT(OK, iscsicore_simple_timeout(target, &out.u64));
    /* Both ends meet garbage. */
    unsigned char garbage[64];
    memset(garbage, 0xff, sizeof garbage);
    WANT(PEER_ERROR, iscsicore_simple_feed(target, 1, garbage, sizeof garbage));
    WANT(PEER_ERROR, iscsicore_simple_feed(initiator, 1, garbage, sizeof garbage));
    WANT(OK, iscsicore_simple_lost(target, 1));
    WANT(OK, iscsicore_simple_lost(target, 1));
    WANT(WRONG_STATE, iscsicore_simple_feed(target, 1, garbage, sizeof garbage));
    WANT(OK, iscsicore_simple_lost(initiator, 1));
    WANT(WRONG_STATE, iscsicore_simple_feed(initiator, 1, garbage, sizeof garbage));
    WANT(OK, iscsicore_simple_free(target));
    WANT(OK, iscsicore_simple_free(initiator));
    WANT(OK, iscsicore_host_free(host));
}
