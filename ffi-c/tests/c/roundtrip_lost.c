/* Sessions that do not go as they should: logins that fail, connections that break, commands that are aborted, and ends in the
 * middle of everything. */
#include "pair.h"

static unsigned char pattern[256 << 10];

/* A secret that is another: the login fails, and both ends say why. */
static void wrong_secret(void) {
    struct terms terms = {.user = "alice", .secret = (const uint8_t *)"0123456789abcdef", .secret_len = 16};
    struct pair pair;
    pair_up(&pair, &terms);
    pair_free(&pair);
    iscsicore_host *host = new_host(&terms);
    terms.secret = (const uint8_t *)"0123456789abcdeg";
    pair_up_target(&pair, &terms);
    NEED(iscsicore_target_free(pair.target));
    pair.target = NULL;
    pair.host = host;
    NEED(iscsicore_host_connect(pair.host, pair.now, ADDRESS, seed(), &pair.link));
    const iscsicore_nexus_event *event = pair_wait(&pair, ISCSICORE_NEXUS_EVENT_KIND_ENDED);
    CHECK(event->u.ended.reason == ISCSICORE_NEXUS_END_REASON_FAILED && *event->u.ended.text != 0);
    CHECK(event->u.ended.login_status == ISCSICORE_LOGIN_STATUS_AUTHENTICATION_FAILURE);
    CHECK(pair.target_status == PEER_ERROR);
    pair_free(&pair);
}

/* The connection breaks under a write and a read: the session comes back, and both are done after all. */
static void lost_and_back(void) {
    struct pair pair;
    struct terms terms = {0};
    struct loans loans = {0, 0};
    iscsicore_iovec slices[3];
    pair_up(&pair, &terms);
    pair.keep_jobs = true;
    iscsicore_payload payload = lend(&loans, pattern, 64 << 10, slices, 3);
    iscsicore_command *command;
    uint64_t task;
    NEED(iscsicore_command_write(LUN_0, 8, &payload, BLOCK, &command));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, command, &task));
    NEED(iscsicore_command_free(command));
    while (pair_step(&pair)) {
    }
    const iscsicore_job *job;
    NEED(iscsicore_host_next_job(pair.host, &job));
    NEED_THAT(job != NULL && job->op.kind == ISCSICORE_OP_KIND_WRITE);
    NEED(iscsicore_host_lost(pair.host, pair.now, pair.link));
    NEED(iscsicore_nexus_lost(pair.nexus, pair.now, ISCSICORE_LOSS_FAILED));
    NEED(iscsicore_receiver_free(pair.target_rx));
    NEED(iscsicore_receiver_free(pair.nexus_rx));
    NEED(iscsicore_transmitter_free(pair.target_tx));
    NEED(iscsicore_transmitter_free(pair.nexus_tx));
    /* What the job names lives until it is finished, whatever became of its connection. */
    disk_finish(&pair.disk, pair.host, pair.now, job);
    pair.keep_jobs = false;
    NEED(iscsicore_receiver_new(NULL, &pair.target_rx));
    NEED(iscsicore_receiver_new(NULL, &pair.nexus_rx));
    NEED(iscsicore_transmitter_new(&pair.target_tx));
    NEED(iscsicore_transmitter_new(&pair.nexus_tx));
    NEED(iscsicore_host_connect(pair.host, pair.now, ADDRESS, seed(), &pair.link));
    const iscsicore_nexus_event *event;
    do {
        uint64_t at;
        NEED(iscsicore_nexus_timeout(pair.nexus, &at));
        NEED(iscsicore_nexus_next_event(pair.nexus, &event));
        NEED_THAT(event != NULL || at != ISCSICORE_NEVER);
        if (event == NULL) {
            pair.now = at > pair.now ? at : pair.now;
            NEED(iscsicore_nexus_handle_timeout(pair.nexus, pair.now));
        }
    } while (event == NULL || event->kind != ISCSICORE_NEXUS_EVENT_KIND_DIAL);
    NEED(iscsicore_nexus_connected(pair.nexus, pair.now));
    event = pair_wait(&pair, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED);
    CHECK(event->u.completed.task == task && event->u.completed.outcome == ISCSICORE_OUTCOME_ANSWERED);
    CHECK(event->u.completed.status == 0 && memcmp(pair.disk.bytes + 8 * BLOCK, pattern, 64 << 10) == 0);
    pair_free(&pair);
    CHECK(loans.lent == 1 && loans.released == 1);
}

/* Nothing ends: everything is freed in the middle of it, in any order. */
static void abandoned(bool host_first) {
    struct pair pair;
    struct terms terms = {0};
    struct loans loans = {0, 0};
    iscsicore_iovec slices[3];
    static unsigned char buffer[256 << 10];
    pair_up(&pair, &terms);
    iscsicore_command *read, *write;
    iscsicore_payload payload = lend(&loans, pattern, 256 << 10, slices, 3);
    uint64_t task;
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &write));
    NEED(iscsicore_command_read(LUN_0, 0, 512, BLOCK, &read));
    NEED(iscsicore_command_set_buffer(read, buffer, sizeof buffer));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, write, &task));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, read, &task));
    /* The commands arrive, and the answer of the read waits in the transmitter of the host. */
    pair_step(&pair);
    NEED(iscsicore_host_transmit(pair.host, pair.now, pair.link, pair.target_tx));
    if (host_first) {
        NEED(iscsicore_host_free(pair.host));
        pair.host = NULL;
    }
    CHECK(loans.released == 0);
    NEED(iscsicore_command_free(write));
    NEED(iscsicore_command_free(read));
    pair_free(&pair);
    CHECK(loans.lent == 1 && loans.released == 1);
}

/* A write whose job is under way is aborted: it ends when the job has, and its memory comes back once. With `cancel` nobody is
 * told of the end. */
static void aborted(bool cancel) {
    struct pair pair;
    struct terms terms = {0};
    struct loans loans = {0, 0};
    iscsicore_iovec slices[3];
    iscsicore_payload payload = lend(&loans, pattern, sizeof pattern, slices, 3);
    iscsicore_command *command;
    const iscsicore_job *job;
    uint64_t task;
    pair_up(&pair, &terms);
    /* The unit attention of power on is told to this one. */
    NEED(iscsicore_command_test_unit_ready(LUN_0, &command));
    pair_run(&pair, command);
    pair.keep_jobs = true;
    NEED(iscsicore_command_write(LUN_0, 8, &payload, BLOCK, &command));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, command, &task));
    NEED(iscsicore_command_free(command));
    while (pair_step(&pair)) {
    }
    NEED(iscsicore_host_next_job(pair.host, &job));
    NEED_THAT(job != NULL && job->op.kind == ISCSICORE_OP_KIND_WRITE);
    if (cancel) {
        NEED(iscsicore_nexus_cancel(pair.nexus, pair.now, task));
    } else {
        NEED(iscsicore_nexus_abort(pair.nexus, pair.now, task));
    }
    while (pair_step(&pair)) {
    }
    const iscsicore_nexus_event *event;
    NEED(iscsicore_nexus_next_event(pair.nexus, &event));
    CHECK(event == NULL);
    /* The job is as it was, and its data are there. */
    disk_finish(&pair.disk, pair.host, pair.now, job);
    CHECK(memcmp(pair.disk.bytes + 8 * BLOCK, pattern, sizeof pattern) == 0);
    event = pair_next(&pair);
    if (cancel) {
        CHECK(event == NULL);
    } else {
        NEED_THAT(event != NULL && event->kind == ISCSICORE_NEXUS_EVENT_KIND_COMPLETED);
        CHECK(event->u.completed.task == task && event->u.completed.outcome == ISCSICORE_OUTCOME_ABORTED);
    }
    CHECK(loans.lent == 1 && loans.released == 1);
    pair_free(&pair);
}

/* The server wants to end: initiators are asked, and log out. */
static void asked_to_leave(void) {
    struct pair pair;
    struct terms terms = {0};
    bool closing;
    pair_up(&pair, &terms);
    NEED(iscsicore_host_set_service(pair.host, TARGET_NAME, ISCSICORE_SERVICE_UNAVAILABLE));
    NEED(iscsicore_host_request_logout(pair.host, pair.now, UINT64_C(5000000000)));
    const iscsicore_nexus_event *event = pair_wait(&pair, ISCSICORE_NEXUS_EVENT_KIND_DOWN);
    CHECK(event->u.down.reason == ISCSICORE_DOWN_REASON_ASKED_BY_TARGET && *event->u.down.text != 0);
    NEED(iscsicore_host_is_closing(pair.host, pair.link, &closing));
    CHECK(closing);
    pair_free(&pair);
}

int main(void) {
    for (size_t at = 0; at < sizeof pattern; at++) {
        pattern[at] = (unsigned char)(at * 31 + (at >> 8) * 7);
    }
    wrong_secret();
    lost_and_back();
    abandoned(false);
    abandoned(true);
    aborted(false);
    aborted(true);
    asked_to_leave();
    return check_done("roundtrip_lost");
}
