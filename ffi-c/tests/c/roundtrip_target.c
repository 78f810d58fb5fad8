/* A target that is put together by the program: iscsicore_target for the session, iscsicore_unit for the disk, and payload that
 * goes from one to the other uncopied. */
#include "pair.h"

enum { NEXUS = 7, LEN = 512 << 10 };

struct server {
    struct pair pair;
    iscsicore_unit *unit;
    /* The command whose payload is waited for. */
    iscsicore_disk_command *writing;
    uint64_t writing_task;
    unsigned kept, commands_freed;
};

struct kept {
    iscsicore_kept_data *data;
    iscsicore_disk_command *command;
    unsigned *count;
};

static void release(void *context) {
    struct kept *kept = context;
    NEED(iscsicore_kept_data_free(kept->data));
    NEED(iscsicore_disk_command_free(kept->command));
    ++*kept->count;
    free(kept);
}

static struct kept *keep(unsigned *count) {
    struct kept *kept = calloc(1, sizeof *kept);
    NEED_THAT(kept != NULL);
    kept->count = count;
    return kept;
}

/* The reply goes on to the session; its memory is the command's, which is freed when that has been sent. */
static void reply(struct server *server, uint64_t task, iscsicore_disk_command *command, const iscsicore_reply *reply) {
    struct kept *kept = keep(&server->commands_freed);
    kept->command = command;
    iscsicore_payload payload = {reply->data, reply->data_count, release, kept};
    NEED(iscsicore_target_complete_with(server->pair.target, task, &payload, reply->status, reply->sense,
                                        reply->sense_len, reply->transfer_len));
}

static void go_on(struct server *server, uint64_t task, iscsicore_disk_command *command) {
    for (;;) {
        const iscsicore_step *step;
        iscsicore_iovec slices[3];
        NEED(iscsicore_disk_command_step(command, &step));
        switch (step->kind) {
        case ISCSICORE_STEP_KIND_DONE:
            CHECK(step->op == NULL);
            reply(server, task, command, step->reply);
            return;
        case ISCSICORE_STEP_KIND_NEED_DATA:
            NEED_THAT(server->writing == NULL);
            server->writing = command;
            server->writing_task = task;
            NEED(iscsicore_target_accept(server->pair.target, task, step->need));
            return;
        case ISCSICORE_STEP_KIND_IO:
            if (step->op->kind == ISCSICORE_OP_KIND_READ) {
                iscsicore_payload payload = disk_read(&server->pair.disk, step->op, slices);
                NEED(iscsicore_unit_resume_read(server->unit, command, &payload));
            } else if (step->op->kind == ISCSICORE_OP_KIND_EXTENTS) {
                iscsicore_extent extents[64];
                size_t count = disk_extents(&server->pair.disk, step->op, extents);
                NEED(iscsicore_unit_resume_extents(server->unit, command, extents, count));
            } else {
                disk_do(&server->pair.disk, step->op);
                NEED(iscsicore_unit_resume(server->unit, command, ISCSICORE_IO_DONE, 0));
            }
            break;
        }
    }
}

static void start(struct server *server, const iscsicore_target_command_event *event) {
    iscsicore_disk_command *command;
    static const uint64_t luns[] = {LUN_0};
    uint16_t number;
    if (event->cdb[0] == 0xa0) {
        NEED(iscsicore_disk_command_report_luns(event->cdb, event->cdb_len, luns, 1, &command));
    } else if (iscsicore_lun_number(event->lun, &number) != OK || number != 0) {
        NEED(iscsicore_disk_command_absent_unit(event->cdb, event->cdb_len, &command));
    } else {
        NEED(iscsicore_unit_start(server->unit, NEXUS, event->cdb, event->cdb_len, (int)event->attribute,
                                  event->data_in, event->data_out, &command));
    }
    go_on(server, event->task, command);
}

static void data_came(struct server *server, const iscsicore_target_data_event *event) {
    NEED_THAT(event->task == server->writing_task);
    struct kept *kept = keep(&server->kept);
    NEED(iscsicore_target_keep_data(server->pair.target, &kept->data));
    WANT_NEW(WRONG_STATE, kept->command,
             iscsicore_target_keep_data(server->pair.target, (iscsicore_kept_data **)(void *)&kept->command));
    iscsicore_payload payload = {event->data, event->data_count, release, kept};
    iscsicore_disk_command *command = server->writing;
    server->writing = NULL;
    NEED(iscsicore_unit_resume_data(server->unit, command, &payload));
    go_on(server, server->writing_task, command);
}

/* Acts on all events of the target; says whether there was one. */
static bool serve(struct server *server) {
    bool any = false;
    for (;;) {
        const iscsicore_target_event *event;
        const iscsicore_target_record record = {TARGET_NAME, NULL, 0};
        NEED(iscsicore_target_next_event(server->pair.target, &event));
        if (event == NULL) {
            return any;
        }
        any = true;
        switch (event->kind) {
        case ISCSICORE_TARGET_EVENT_KIND_COMMAND:
            start(server, &event->u.command);
            break;
        case ISCSICORE_TARGET_EVENT_KIND_DATA:
            data_came(server, &event->u.data);
            break;
        case ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS:
            CHECK(event->u.send_targets.which == ISCSICORE_SEND_TARGETS_CURRENT);
            NEED(iscsicore_target_answer_send_targets(server->pair.target, event->u.send_targets.request, &record, 1));
            break;
        case ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT:
            NEED(iscsicore_unit_reset(server->unit, ISCSICORE_RESET_CAUSE_LOGICAL_UNIT));
            NEED(iscsicore_target_answer_task_management(server->pair.target, event->u.task_management.request,
                                                         ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE));
            break;
        case ISCSICORE_TARGET_EVENT_KIND_CLOSE:
            break;
        default:
            NEED_THAT(!"an event that is not expected");
        }
    }
}

static const iscsicore_nexus_event *wait_for(struct server *server, iscsicore_nexus_event_kind kind) {
    for (;;) {
        const iscsicore_nexus_event *event;
        NEED(iscsicore_nexus_next_event(server->pair.nexus, &event));
        if (event == NULL) {
            bool moved = pair_step(&server->pair);
            moved |= serve(server);
            NEED_THAT(moved);
        } else if (event->kind == kind) {
            return event;
        }
    }
}

static const iscsicore_completed_event *run(struct server *server, iscsicore_command *command) {
    uint64_t task;
    NEED(iscsicore_nexus_submit(server->pair.nexus, server->pair.now, command, &task));
    NEED(iscsicore_command_free(command));
    const iscsicore_completed_event *completed =
        &wait_for(server, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED)->u.completed;
    CHECK(completed->task == task && completed->outcome == ISCSICORE_OUTCOME_ANSWERED);
    return completed;
}

/* The login with CHAP in both directions, answered step by step. */
static void log_in(struct server *server) {
    struct pair *pair = &server->pair;
    static const uint8_t secret[] = "0123456789abcdef", target_secret[] = "fedcba9876543210";
    struct terms terms = {
        .user = "alice",
        .secret = secret,
        .secret_len = sizeof secret - 1,
        .target_user = "bob",
        .target_secret = target_secret,
        .target_secret_len = sizeof target_secret - 1,
    };
    pair_up_target(pair, &terms);
    const iscsicore_target_event *event = pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_LOGIN);
    CHECK(strcmp(event->u.login.initiator, INITIATOR_NAME) == 0 && !event->u.login.discovery);
    CHECK(strcmp(event->u.login.target, TARGET_NAME) == 0 && event->u.login.tsih == 0);
    iscsicore_account account = {"alice", secret, sizeof secret - 1};
    iscsicore_account mutual = {"bob", target_secret, sizeof target_secret - 1};
    iscsicore_admission admission;
    memset(&admission, 0, sizeof admission);
    admission.size = sizeof admission;
    admission.alias = "a disk";
    admission.accounts = &account;
    admission.account_count = 1;
    admission.mutual = &mutual;
    NEED(iscsicore_target_admit(pair->target, &admission));
    NEED(iscsicore_target_receive(pair->target, pair->now, pair->target_rx));
    event = pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_READY);
    CHECK(event->u.ready.user != NULL && strcmp(event->u.ready.user, "alice") == 0);
    NEED(iscsicore_target_establish(pair->target, pair->now, 1));
    NEED(iscsicore_target_receive(pair->target, pair->now, pair->target_rx));
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_UP);
}

static void blocks(struct server *server, const unsigned char *pattern, unsigned char *buffer) {
    struct loans loans = {0, 0};
    iscsicore_iovec slices[4];
    iscsicore_command *command;
    for (size_t len = BLOCK; len <= LEN; len *= 32) {
        iscsicore_payload payload = lend(&loans, pattern, len, slices, 4);
        NEED(iscsicore_command_write(LUN_0, 9, &payload, BLOCK, &command));
        CHECK(run(server, command)->status == 0);
        CHECK(memcmp(server->pair.disk.bytes + 9 * BLOCK, pattern, len) == 0);
        memset(buffer, 0, len);
        NEED(iscsicore_command_read(LUN_0, 9, (uint32_t)(len / BLOCK), BLOCK, &command));
        NEED(iscsicore_command_set_buffer(command, buffer, len));
        CHECK(run(server, command)->received == len);
        CHECK(memcmp(buffer, pattern, len) == 0);
    }
    CHECK(loans.lent == 3 && loans.released == loans.lent);
    CHECK(server->kept == loans.lent);
}

static void others(struct server *server) {
    iscsicore_command *command;
    uint64_t lun_1, request;
    NEED(iscsicore_lun(1, &lun_1));
    NEED(iscsicore_command_inquiry(lun_1, &command));
    const iscsicore_completed_event *completed = run(server, command);
    iscsicore_inquiry inquiry;
    NEED_THAT(completed->status == 0 && completed->data_count == 1);
    NEED(iscsicore_inquiry_decode(completed->data->iov_base, completed->data->iov_len, &inquiry));
    CHECK(inquiry.peripheral_qualifier == 3 && inquiry.device_type == 0x1f);
    NEED(iscsicore_command_report_luns(LUN_0, &command));
    completed = run(server, command);
    uint64_t luns[2];
    size_t count;
    NEED_THAT(completed->data_count == 1);
    NEED(iscsicore_luns_decode(completed->data->iov_base, completed->data->iov_len, luns, 2, &count));
    CHECK(count == 1 && luns[0] == LUN_0);
    NEED(iscsicore_command_read(LUN_0, BLOCKS, 1, BLOCK, &command));
    CHECK(run(server, command)->status == 2);
    NEED(iscsicore_nexus_send_targets(server->pair.nexus, server->pair.now, NULL, &request));
    const iscsicore_targets_event *targets = &wait_for(server, ISCSICORE_NEXUS_EVENT_KIND_TARGETS)->u.targets;
    CHECK(targets->target_count == 1 && strcmp(targets->targets[0].name, TARGET_NAME) == 0);
    CHECK(targets->targets[0].addresses == NULL && targets->targets[0].address_count == 0);
    int function = ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET;
    NEED(iscsicore_nexus_task_management(server->pair.nexus, server->pair.now, function, LUN_0, &request));
    const iscsicore_nexus_event *event = wait_for(server, ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE);
    CHECK(event->u.task_management_done.result == ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE);
    NEED(iscsicore_command_test_unit_ready(LUN_0, &command));
    CHECK(run(server, command)->status == 0);
}

static void log_out(struct server *server) {
    struct pair *pair = &server->pair;
    const iscsicore_counters *counters;
    NEED(iscsicore_target_counters(pair->target, &counters));
    CHECK(counters->commands == server->commands_freed && counters->rejects == 0);
    NEED(iscsicore_nexus_logout(pair->nexus, pair->now));
    CHECK(pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_ENDED)->u.ended.reason ==
          ISCSICORE_NEXUS_END_REASON_LOGGED_OUT);
    pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_CLOSE);
    NEED(iscsicore_target_lost(pair->target, pair->now));
    const iscsicore_target_event *event = pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_ENDED);
    CHECK(event->u.ended.reason == ISCSICORE_END_REASON_LOGGED_OUT);
}

int main(void) {
    static unsigned char pattern[LEN], buffer[LEN];
    static struct server server;
    for (size_t at = 0; at < LEN; at++) {
        pattern[at] = (unsigned char)(at * 29 + (at >> 10));
    }
    iscsicore_unit_options options = unit_options("0001");
    NEED(iscsicore_unit_new(&options, &server.unit));
    NEED(iscsicore_unit_attach(server.unit, NEXUS, 0));
    NEED(iscsicore_unit_set_port(server.unit, NEXUS, TARGET_NAME ",t,0x0001", 1));
    log_in(&server);
    blocks(&server, pattern, buffer);
    others(&server);
    log_out(&server);
    NEED(iscsicore_unit_detach(server.unit, NEXUS));
    pair_free(&server.pair);
    NEED(iscsicore_unit_free(server.unit));
    return check_done("roundtrip_target");
}
