/* One session of a target, from the login on. */
#include "misuse.h"

enum { TSIH = 5 };

static const uint8_t SECRET[] = "0123456789abcdef", OTHER_SECRET[] = "fedcba9876543210", SENSE[18] = {0x70, 0, 5, [7] = 10};

/* Nothing here has a session. */
static void no_session(iscsicore_target *target, uint64_t now) {
    static const iscsicore_target_record record = {TARGET_NAME, NULL, 0};
    iscsicore_payload none = {NULL, 0, NULL, NULL};
    iscsicore_kept_data *kept;
    WANT(WRONG_STATE, iscsicore_target_request_logout(target, now, 1));
    WANT(WRONG_STATE, iscsicore_target_terminate(target, now));
    WANT(WRONG_STATE, iscsicore_target_accept(target, 1, 1));
    WANT(WRONG_STATE, iscsicore_target_send_data(target, 1, &none));
    WANT(WRONG_STATE, iscsicore_target_complete(target, 1, 0, NULL, 0, 0));
    WANT(WRONG_STATE, iscsicore_target_complete_with(target, 1, &none, 0, NULL, 0, 0));
    WANT(WRONG_STATE, iscsicore_target_notify_sense(target, LUN_0, SENSE, sizeof SENSE));
    WANT(WRONG_STATE, iscsicore_target_counters(target, &out.counters));
    WANT_NEW(WRONG_STATE, kept, iscsicore_target_keep_data(target, &kept));
    WANT(WRONG_STATE, iscsicore_target_answer_task_management(target, 1, 0));
    WANT(WRONG_STATE, iscsicore_target_abort_tasks(target, now, 0, LUN_0, 0, &out.u64));
    WANT(WRONG_STATE, iscsicore_target_answer_send_targets(target, 1, &record, 1));
}

static iscsicore_admission admission(void) {
    iscsicore_admission terms;
    memset(&terms, 0, sizeof terms);
    terms.size = sizeof terms;
    return terms;
}

static void wrong_terms(iscsicore_target *target) {
    iscsicore_account account = {"alice", SECRET, 16}, empty = {"alice", SECRET, 0}, mutual = {"bob", OTHER_SECRET, 16};
    iscsicore_account nameless = {NULL, SECRET, 16}, secretless = {"alice", NULL, 16};
    iscsicore_offer offer = {.size = sizeof offer, .max_segment = 1};
    iscsicore_admission terms = admission(), wrongs[11];
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        wrongs[at] = terms;
    }
    wrongs[0].offer = &offer;
    wrongs[1].alias = "";
    wrongs[2].alias = NOT_TEXT;
    wrongs[3].account_count = 1;
    wrongs[4].mutual = &mutual;
    wrongs[5].accounts = &empty, wrongs[5].account_count = 1;
    wrongs[6].accounts = &account, wrongs[6].account_count = 1, wrongs[6].mutual = &account;
    wrongs[7].reserved = 1;
    wrongs[8].reserved2 = 1;
    wrongs[9].accounts = &account, wrongs[9].account_count = SIZE_MAX;
    wrongs[10].accounts = &account, wrongs[10].account_count = 1, wrongs[10].mutual = &empty;
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        WANT(INVALID, iscsicore_target_admit(target, &wrongs[at]));
    }
    terms.accounts = &nameless, terms.account_count = 1;
    WANT(NULL_POINTER, iscsicore_target_admit(target, &terms));
    terms.accounts = &secretless;
    WANT(NULL_POINTER, iscsicore_target_admit(target, &terms));
    terms = admission();
    static const size_t sizes[] = {0, 1, sizeof terms - 1};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        terms.size = sizes[at];
        WANT(INVALID_SIZE, iscsicore_target_admit(target, &terms));
    }
    struct {
        iscsicore_admission terms;
        unsigned char tail[8];
    } grown = {admission(), {0, 0, 0, 0, 0, 0, 0, 1}};
    grown.terms.size = sizeof grown;
    WANT(INVALID_SIZE, iscsicore_target_admit(target, &grown.terms));
}

static void wrong_answers(iscsicore_target *target) {
    static const int statuses[] = {0, 0x101, 0x1ff, 0x400, -1, 0x10200};
    for (size_t at = 0; at < sizeof statuses / sizeof *statuses; at++) {
        WANT(INVALID, iscsicore_target_refuse(target, statuses[at], NULL));
    }
    WANT(NULL_POINTER, iscsicore_target_refuse(NULL, 0x203, "why"));
    WANT(INVALID, iscsicore_target_refuse(target, 0x203, NOT_TEXT));
    WANT(NULL_POINTER, iscsicore_target_redirect(NULL, 0, ADDRESS));
    WANT(NULL_POINTER, iscsicore_target_redirect(target, 0, NULL));
    static const char *const nowhere[] = {"", "a b", "host:3260,1", NOT_TEXT};
    for (size_t at = 0; at < sizeof nowhere / sizeof *nowhere; at++) {
        WANT(INVALID, iscsicore_target_redirect(target, 0, nowhere[at]));
    }
}

static void nobody_asks(iscsicore_target *target) {
    iscsicore_admission terms = admission();
    WANT(WRONG_STATE, iscsicore_target_admit(target, &terms));
    WANT(WRONG_STATE, iscsicore_target_refuse(target, 0x203, NULL));
    WANT(WRONG_STATE, iscsicore_target_redirect(target, 0, ADDRESS));
    WANT(WRONG_STATE, iscsicore_target_establish(target, 1, TSIH));
    WANT(WRONG_STATE, iscsicore_target_parameters(target, &out.parameters));
}

static void creation(void) {
    iscsicore_target *target;
    iscsicore_receiver *rx;
    iscsicore_transmitter *tx;
    iscsicore_limits limits;
    memset(&limits, 0, sizeof limits);
    WANT(NULL_POINTER, iscsicore_target_new(NULL, seed(), 1, NULL));
    WANT_NEW(NULL_POINTER, target, iscsicore_target_new(NULL, NULL, 1, &target));
    WANT_SIZES(iscsicore_limits, limits, iscsicore_target_new(options, seed(), 1, &target),
               NEED(iscsicore_target_free(target)));
    WANT_NEW(OK, target, iscsicore_target_new(NULL, seed(), 1, &target));
    NEED(iscsicore_receiver_new(NULL, &rx));
    NEED(iscsicore_transmitter_new(&tx));
    WANT(OK, iscsicore_target_free(NULL));
    WANT(NULL_POINTER, iscsicore_target_receive(NULL, 1, rx));
    WANT(NULL_POINTER, iscsicore_target_receive(target, 1, NULL));
    WANT(NULL_POINTER, iscsicore_target_transmit(NULL, 1, tx));
    WANT(NULL_POINTER, iscsicore_target_transmit(target, 1, NULL));
    WANT(NULL_POINTER, iscsicore_target_lost(NULL, 1));
    WANT(NULL_POINTER, iscsicore_target_timeout(NULL, &out.u64));
    WANT(NULL_POINTER, iscsicore_target_timeout(target, NULL));
    WANT(NULL_POINTER, iscsicore_target_handle_timeout(NULL, 1));
    WANT(NULL_POINTER, iscsicore_target_next_event(NULL, &out.target_event));
    WANT(NULL_POINTER, iscsicore_target_next_event(target, NULL));
    WANT(NULL_POINTER, iscsicore_target_parameters(NULL, &out.parameters));
    WANT(NULL_POINTER, iscsicore_target_outstanding(NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_target_outstanding(target, NULL));
    no_session(target, 1);
    nobody_asks(target);
    WANT(OK, iscsicore_target_timeout(target, &out.u64));
    uint64_t at = out.u64;
    CHECK(at != ISCSICORE_NEVER);
    WANT(OK, iscsicore_target_handle_timeout(target, 1));
    WANT(PEER_ERROR, iscsicore_target_handle_timeout(target, at));
    WANT(OK, iscsicore_target_handle_timeout(target, UINT64_MAX));
    WANT(OK, iscsicore_target_lost(target, at));
    WANT(WRONG_STATE, iscsicore_target_receive(target, at, rx));
    nobody_asks(target);
    WANT(OK, iscsicore_target_free(target));
    NEED(iscsicore_receiver_free(rx));
    NEED(iscsicore_transmitter_free(tx));
}

void misuse_target_login(void) {
    creation();
    struct pair pair;
    struct terms terms = {0};
    pair_up_target(&pair, &terms);
    iscsicore_target *target = pair.target;
    pair_target_wait(&pair, ISCSICORE_TARGET_EVENT_KIND_LOGIN);
    WANT(NULL_POINTER, iscsicore_target_admit(NULL, NULL));
    WANT(NULL_POINTER, iscsicore_target_admit(target, NULL));
    wrong_terms(target);
    wrong_answers(target);
    no_session(target, pair.now);
    WANT(WRONG_STATE, iscsicore_target_establish(target, pair.now, TSIH));
    iscsicore_admission taken = admission();
    WANT(OK, iscsicore_target_admit(target, &taken));
    WANT(WRONG_STATE, iscsicore_target_admit(target, &taken));
    NEED(iscsicore_target_receive(target, pair.now, pair.target_rx));
    pair_target_wait(&pair, ISCSICORE_TARGET_EVENT_KIND_READY);
    WANT(WRONG_STATE, iscsicore_target_admit(target, &taken));
    wrong_answers(target);
    no_session(target, pair.now);
    WANT(NULL_POINTER, iscsicore_target_parameters(target, NULL));
    WANT(OK, iscsicore_target_parameters(target, &out.parameters));
    WANT(NULL_POINTER, iscsicore_target_establish(NULL, pair.now, TSIH));
    WANT(INVALID, iscsicore_target_establish(target, pair.now, 0));
    WANT(OK, iscsicore_target_refuse(target, ISCSICORE_LOGIN_STATUS_SERVICE_UNAVAILABLE, "another time"));
    WANT(WRONG_STATE, iscsicore_target_refuse(target, 0x203, NULL));
    WANT(WRONG_STATE, iscsicore_target_establish(target, pair.now, TSIH));
    pair_target_wait(&pair, ISCSICORE_TARGET_EVENT_KIND_CLOSE);
    const iscsicore_target_event *event = pair_target_wait(&pair, ISCSICORE_TARGET_EVENT_KIND_ENDED);
    CHECK(event->u.ended.reason == ISCSICORE_END_REASON_LOGIN_FAILED);
    CHECK(event->u.ended.login_status == ISCSICORE_LOGIN_STATUS_SERVICE_UNAVAILABLE);
    CHECK(event->u.ended.text != NULL && strcmp(event->u.ended.text, "another time") == 0);
    pair_free(&pair);
}

/* Ids that name no command, task management request or question. */
static void no_such_task(iscsicore_target *target, uint64_t id) {
    static const iscsicore_target_record record = {TARGET_NAME, NULL, 0};
    struct loans loans = {0, 0};
    iscsicore_iovec slices[2];
    iscsicore_payload lent = lend(&loans, "data", 4, slices, 2);
    WANT(UNKNOWN, iscsicore_target_accept(target, id, 1));
    WANT(UNKNOWN, iscsicore_target_send_data(target, id, &lent));
    WANT(UNKNOWN, iscsicore_target_complete(target, id, 0, NULL, 0, 0));
    WANT(UNKNOWN, iscsicore_target_complete_with(target, id, &lent, 0, NULL, 0, 0));
    WANT(UNKNOWN, iscsicore_target_answer_task_management(target, id, 0));
    WANT(UNKNOWN, iscsicore_target_answer_send_targets(target, id, &record, 1));
    CHECK(loans.released == 0);
    lend_failed(&lent);
}

static void nulls(struct pair *pair) {
    iscsicore_target *target = pair->target;
    static const iscsicore_target_record record = {TARGET_NAME, NULL, 0};
    iscsicore_payload none = {NULL, 0, NULL, NULL};
    iscsicore_kept_data *kept;
    WANT(NULL_POINTER, iscsicore_target_request_logout(NULL, 1, 1));
    WANT(NULL_POINTER, iscsicore_target_terminate(NULL, 1));
    WANT(NULL_POINTER, iscsicore_target_accept(NULL, 1, 1));
    WANT(NULL_POINTER, iscsicore_target_send_data(NULL, 1, &none));
    WANT(NULL_POINTER, iscsicore_target_complete(NULL, 1, 0, NULL, 0, 0));
    WANT(NULL_POINTER, iscsicore_target_complete_with(NULL, 1, NULL, 0, NULL, 0, 0));
    WANT(NULL_POINTER, iscsicore_target_notify_sense(NULL, LUN_0, SENSE, sizeof SENSE));
    WANT(NULL_POINTER, iscsicore_target_notify_sense(target, LUN_0, NULL, 18));
    WANT(INVALID, iscsicore_target_notify_sense(target, LUN_0, SENSE, 0));
    WANT(INVALID, iscsicore_target_notify_sense(target, LUN_0, SENSE, 253));
    WANT(NULL_POINTER, iscsicore_target_counters(NULL, &out.counters));
    WANT(NULL_POINTER, iscsicore_target_counters(target, NULL));
    WANT_NEW(NULL_POINTER, kept, iscsicore_target_keep_data(NULL, &kept));
    WANT(NULL_POINTER, iscsicore_target_keep_data(target, NULL));
    WANT_NEW(WRONG_STATE, kept, iscsicore_target_keep_data(target, &kept));
    WANT(OK, iscsicore_kept_data_free(NULL));
    WANT(NULL_POINTER, iscsicore_target_answer_task_management(NULL, 1, 0));
    WANT(NULL_POINTER, iscsicore_target_abort_tasks(NULL, 1, 0, LUN_0, 0, &out.u64));
    WANT(NULL_POINTER, iscsicore_target_abort_tasks(target, 1, 0, LUN_0, 0, NULL));
    WANT(INVALID, iscsicore_target_abort_tasks(target, 1, 3, LUN_0, 0, &out.u64));
    WANT(INVALID, iscsicore_target_abort_tasks(target, 1, -1, LUN_0, 0, &out.u64));
    WANT(OK, iscsicore_target_abort_tasks(target, pair->now, 2, LUN_0, INVENTED, &out.u64));
    CHECK(out.u64 != 0);
    WANT(NULL_POINTER, iscsicore_target_answer_send_targets(NULL, 1, &record, 1));
    WANT(NULL_POINTER, iscsicore_target_answer_send_targets(target, 1, NULL, 1));
    WANT(INVALID, iscsicore_target_answer_send_targets(target, 1, &record, SIZE_MAX));
    static const iscsicore_target_address nowhere = {"a b", 1}, null = {NULL, 1};
    const iscsicore_target_record wrongs[] = {{"a name", NULL, 0}, {NOT_TEXT, NULL, 0}, {TARGET_NAME, &nowhere, 1},
                                              {NULL, NULL, 0},     {TARGET_NAME, NULL, 1}, {TARGET_NAME, &null, 1}};
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        int wanted = at < 3 ? (int)INVALID : (int)NULL_POINTER;
        WANT(wanted, iscsicore_target_answer_send_targets(target, 1, &wrongs[at], 1));
    }
}

static uint64_t command_of(struct pair *pair, iscsicore_command *command) {
    uint64_t task;
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, command, &task));
    NEED(iscsicore_command_free(command));
    return pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_COMMAND)->u.command.task;
}

static void ends_of_commands(struct pair *pair) {
    iscsicore_target *target = pair->target;
    iscsicore_command *command;
    static unsigned char block[BLOCK];
    iscsicore_iovec slice = {block, BLOCK};
    iscsicore_payload data = {&slice, 1, NULL, NULL};
    NEED(iscsicore_command_write(LUN_0, 0, &data, BLOCK, &command));
    uint64_t task = command_of(pair, command);
    const uint64_t none[] = {0, INVENTED, UINT64_MAX, task ^ UINT64_C(1) << 32, task + 1};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        no_such_task(target, none[at]);
    }
    WANT(INVALID, iscsicore_target_complete(target, task, 2, NULL, 0, 0));
    WANT(NULL_POINTER, iscsicore_target_complete(target, task, 2, NULL, 18, 0));
    WANT(INVALID, iscsicore_target_complete(target, task, 0, SENSE, 18, 0));
    WANT(INVALID, iscsicore_target_complete(target, task, 2, SENSE, 253, 0));
    WANT(INVALID, iscsicore_target_complete(target, task, 2, SENSE, SIZE_MAX, 0));
    WANT(INVALID, iscsicore_target_complete_with(target, task, &data, 2, NULL, 0, 0));
    WANT(NULL_POINTER, iscsicore_target_complete_with(target, task, &data, 2, NULL, 18, 0));
    WANT_NO_BAD_PAYLOAD(iscsicore_target_complete_with(target, task, payload, 0, NULL, 0, 0));
    WANT_NO_BAD_PAYLOAD(iscsicore_target_send_data(target, task, payload));
    WANT(UNKNOWN, iscsicore_target_answer_task_management(target, task, 0));
    static const int results[] = {-1, 8, 254, 256};
    for (size_t at = 0; at < sizeof results / sizeof *results; at++) {
        WANT(INVALID, iscsicore_target_answer_task_management(target, task, results[at]));
    }
    WANT(OK, iscsicore_target_accept(target, task, BLOCK));
    WANT(WRONG_STATE, iscsicore_target_accept(target, task, BLOCK));
    pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_DATA);
    iscsicore_kept_data *kept, *again;
    WANT_NEW(OK, kept, iscsicore_target_keep_data(target, &kept));
    WANT_NEW(WRONG_STATE, again, iscsicore_target_keep_data(target, &again));
    WANT(OK, iscsicore_kept_data_free(kept));
    WANT(OK, iscsicore_target_send_data(target, task, NULL));
    WANT(OK, iscsicore_target_complete_with(target, task, NULL, 0, NULL, 0, BLOCK));
    no_such_task(target, task);
    CHECK(pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED)->u.completed.status == 0);
    no_such_task(target, task);
}

static void reinstatement(struct pair *pair) {
    struct terms terms = {0};
    iscsicore_target *target = pair->target, *fresh;
    struct pair other;
    NEED(iscsicore_target_new(NULL, seed(), pair->now, &fresh));
    WANT(NULL_POINTER, iscsicore_target_reinstate(NULL, pair->now, fresh));
    WANT(NULL_POINTER, iscsicore_target_reinstate(target, pair->now, NULL));
    WANT(BUSY, iscsicore_target_reinstate(target, pair->now, target));
    WANT(WRONG_STATE, iscsicore_target_reinstate(target, pair->now, fresh));
    WANT(WRONG_STATE, iscsicore_target_reinstate(fresh, pair->now, target));
    NEED(iscsicore_target_free(fresh));
    /* A login that wants a session of its own. */
    iscsicore_admission taken = admission();
    pair_up_target(&other, &terms);
    pair_target_wait(&other, ISCSICORE_TARGET_EVENT_KIND_LOGIN);
    NEED(iscsicore_target_admit(other.target, &taken));
    NEED(iscsicore_target_receive(other.target, other.now, other.target_rx));
    pair_target_wait(&other, ISCSICORE_TARGET_EVENT_KIND_READY);
    WANT(INVALID, iscsicore_target_reinstate(target, pair->now, other.target));
    WANT(OK, iscsicore_target_establish(other.target, other.now, TSIH + 1));
    WANT(WRONG_STATE, iscsicore_target_reinstate(target, pair->now, other.target));
    pair_free(&other);
}

void misuse_target_session(void) {
    struct pair pair;
    struct terms terms = {0};
    pair_up_target(&pair, &terms);
    pair_establish(&pair, TSIH);
    WANT(WRONG_STATE, iscsicore_target_establish(pair.target, pair.now, TSIH));
    iscsicore_admission taken = admission();
    WANT(WRONG_STATE, iscsicore_target_admit(pair.target, &taken));
    WANT(WRONG_STATE, iscsicore_target_refuse(pair.target, 0x203, NULL));
    WANT(WRONG_STATE, iscsicore_target_redirect(pair.target, 0, ADDRESS));
    nulls(&pair);
    ends_of_commands(&pair);
    reinstatement(&pair);
    WANT(OK, iscsicore_target_terminate(pair.target, pair.now));
    WANT(OK, iscsicore_target_terminate(pair.target, pair.now));
    WANT(OK, iscsicore_target_request_logout(pair.target, pair.now, UINT64_MAX));
    WANT(OK, iscsicore_target_lost(pair.target, pair.now));
    const iscsicore_target_event *event = pair_target_wait(&pair, ISCSICORE_TARGET_EVENT_KIND_ENDED);
    CHECK(event->u.ended.reason == ISCSICORE_END_REASON_TERMINATED);
    no_such_task(pair.target, INVENTED);
    pair_free(&pair);
}
