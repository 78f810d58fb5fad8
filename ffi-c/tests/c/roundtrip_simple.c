/* Both roles in one process, in memory, by iscsicore_simple: bytes are taken on one side and fed on the other. */
#include "pair.h"

enum { LEN = 1 << 20 };

struct line {
    uint64_t now;
    struct disk disk;
    iscsicore_host *host;
    iscsicore_simple *target, *initiator;
    iscsicore_nexus *nexus;
    /* Bytes on their way, which the other end would not take yet. */
    unsigned char waiting[2][4096];
    size_t waits[2];
    bool target_closes, initiator_closes;
    unsigned full;
};

/* Feeds what waits, and what the other end has to send; says whether anything went over. */
static bool carry(struct line *line, iscsicore_simple *from, iscsicore_simple *to, int direction) {
    unsigned char *bytes = line->waiting[direction];
    size_t *len = &line->waits[direction];
    bool moved = false;
    for (;;) {
        if (*len == 0) {
            NEED(iscsicore_simple_take(from, line->now, bytes, sizeof line->waiting[0], len));
        }
        if (*len == 0) {
            return moved;
        }
        int status = iscsicore_simple_feed(to, line->now, bytes, *len);
        if (status == QUEUE_FULL) {
            line->full++;
            return moved;
        }
        NEED(status);
        *len = 0;
        moved = true;
    }
}

static bool serve(struct line *line) {
    bool any = false;
    for (;;) {
        const iscsicore_simple_event *event;
        NEED(iscsicore_simple_next_event(line->target, &event));
        if (event == NULL) {
            return any;
        }
        CHECK(event->nexus == NULL);
        if (event->kind == ISCSICORE_SIMPLE_EVENT_KIND_JOB) {
            disk_finish(&line->disk, line->host, line->now, event->job);
        } else {
            CHECK(event->kind == ISCSICORE_SIMPLE_EVENT_KIND_CLOSE && event->job == NULL);
            CHECK(!line->target_closes);
            line->target_closes = true;
        }
        any = true;
    }
}

/* Goes on until the initiator has an event of this kind. */
static const iscsicore_nexus_event *wait_for(struct line *line, iscsicore_nexus_event_kind kind) {
    for (;;) {
        const iscsicore_simple_event *event;
        NEED(iscsicore_simple_next_event(line->initiator, &event));
        if (event == NULL) {
            line->now += 1000;
            bool moved = carry(line, line->initiator, line->target, 0);
            moved |= serve(line);
            moved |= carry(line, line->target, line->initiator, 1);
            if (!moved) {
                NEED(iscsicore_simple_next_event(line->initiator, &event));
                NEED_THAT(event != NULL);
            }
        }
        if (event != NULL && event->kind == ISCSICORE_SIMPLE_EVENT_KIND_CLOSE) {
            line->initiator_closes = true;
        } else if (event != NULL) {
            CHECK(event->kind == ISCSICORE_SIMPLE_EVENT_KIND_NEXUS && event->job == NULL);
            if (event->nexus->kind == kind) {
                return event->nexus;
            }
        }
    }
}

static const iscsicore_completed_event *run(struct line *line, iscsicore_command *command) {
    uint64_t task;
    NEED(iscsicore_nexus_submit(line->nexus, line->now, command, &task));
    NEED(iscsicore_command_free(command));
    const iscsicore_completed_event *completed =
        &wait_for(line, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED)->u.completed;
    CHECK(completed->task == task);
    CHECK(completed->outcome == ISCSICORE_OUTCOME_ANSWERED && completed->status == 0);
    return completed;
}

static void begin(struct line *line, const struct terms *terms) {
    memset(line, 0, sizeof *line);
    line->now = 1;
    disk_init(&line->disk, (size_t)BLOCKS * BLOCK);
    line->host = new_host(terms);
    iscsicore_initiator_options options = initiator_options(terms);
    NEED(iscsicore_simple_target(line->host, line->now, ADDRESS, seed(), &line->target));
    NEED(iscsicore_simple_initiator(&options, seed(), line->now, &line->initiator));
    NEED(iscsicore_simple_nexus(line->initiator, &line->nexus));
    wait_for(line, ISCSICORE_NEXUS_EVENT_KIND_UP);
}

static void end(struct line *line) {
    NEED(iscsicore_simple_free(line->initiator));
    NEED(iscsicore_simple_free(line->target));
    NEED(iscsicore_host_free(line->host));
    CHECK(line->disk.loans.lent == line->disk.loans.released);
    disk_free(&line->disk);
}

static void log_out(struct line *line) {
    const iscsicore_simple_event *event;
    NEED(iscsicore_nexus_logout(line->nexus, line->now));
    const iscsicore_nexus_event *ended = wait_for(line, ISCSICORE_NEXUS_EVENT_KIND_ENDED);
    CHECK(ended->u.ended.reason == ISCSICORE_NEXUS_END_REASON_LOGGED_OUT);
    for (int turn = 0; turn < 2; turn++) {
        NEED(iscsicore_simple_next_event(line->initiator, &event));
        line->initiator_closes |= event != NULL && event->kind == ISCSICORE_SIMPLE_EVENT_KIND_CLOSE;
        serve(line);
    }
    CHECK(line->target_closes && line->initiator_closes);
    NEED(iscsicore_simple_next_event(line->initiator, &event));
    CHECK(event == NULL);
    WANT(WRONG_STATE, iscsicore_simple_feed(line->initiator, line->now, "more", 4));
}

static void disk_session(const struct terms *terms, unsigned char *pattern, unsigned char *buffer) {
    struct line line;
    struct loans loans = {0, 0};
    iscsicore_iovec slices[4];
    iscsicore_command *command;
    begin(&line, terms);
    iscsicore_payload payload = lend(&loans, pattern, LEN, slices, 4);
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &command));
    run(&line, command);
    CHECK(memcmp(line.disk.bytes, pattern, LEN) == 0);
    NEED(iscsicore_command_read(LUN_0, 0, LEN / BLOCK, BLOCK, &command));
    NEED(iscsicore_command_set_buffer(command, buffer, LEN));
    CHECK(run(&line, command)->received == LEN);
    CHECK(memcmp(buffer, pattern, LEN) == 0);
    NEED(iscsicore_command_read(LUN_0, 3, 2, BLOCK, &command));
    const iscsicore_completed_event *completed = run(&line, command);
    CHECK(completed->received == 2 * BLOCK && completed->data_count == 1);
    CHECK(memcmp(completed->data->iov_base, pattern + 3 * BLOCK, 2 * BLOCK) == 0);
    NEED(iscsicore_command_flush(LUN_0, &command));
    run(&line, command);
    CHECK(line.disk.flushes == 1);
    iscsicore_blocks range = {.lba = 0, .blocks = LEN / BLOCK};
    NEED(iscsicore_command_unmap(LUN_0, &range, 1, &command));
    run(&line, command);
    memset(buffer, 0, LEN);
    CHECK(line.disk.unmaps == 1 && memcmp(line.disk.bytes, buffer, LEN) == 0);
    CHECK(loans.lent == 1 && loans.released == 1);
    log_out(&line);
    end(&line);
}

/* The connections are freed with commands and jobs under way. */
static void abandoned(unsigned char *pattern, unsigned char *buffer) {
    struct line line;
    struct terms terms = {0};
    struct loans loans = {0, 0};
    iscsicore_iovec slices[4];
    iscsicore_command *read, *write;
    uint64_t task;
    begin(&line, &terms);
    iscsicore_payload payload = lend(&loans, pattern, LEN, slices, 4);
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &write));
    NEED(iscsicore_command_read(LUN_0, 0, LEN / BLOCK, BLOCK, &read));
    NEED(iscsicore_command_set_buffer(read, buffer, LEN));
    NEED(iscsicore_nexus_submit(line.nexus, line.now, write, &task));
    NEED(iscsicore_nexus_submit(line.nexus, line.now, read, &task));
    NEED(iscsicore_command_free(write));
    NEED(iscsicore_command_free(read));
    carry(&line, line.initiator, line.target, 0);
    const iscsicore_simple_event *event;
    NEED(iscsicore_simple_next_event(line.target, &event));
    NEED_THAT(event != NULL && event->kind == ISCSICORE_SIMPLE_EVENT_KIND_JOB);
    const iscsicore_job *job = event->job;
    NEED(iscsicore_simple_free(line.target));
    line.target = NULL;
    /* The job outlives its connection. */
    disk_finish(&line.disk, line.host, line.now, job);
    end(&line);
    CHECK(loans.lent == 1 && loans.released == 1);
}

/* Answers wait to be taken: the target listens no more, says so, and goes on when they were. */
static void full(const iscsicore_limits *limits, const unsigned char *pattern) {
    struct line line;
    struct terms terms = {.limits = limits};
    struct loans loans = {0, 0};
    iscsicore_iovec slice;
    uint64_t request;
    enum { PINGS = 8, PING = 8192 };
    begin(&line, &terms);
    for (int at = 0; at < PINGS; at++) {
        iscsicore_payload payload = lend(&loans, pattern, PING, &slice, 1);
        NEED(iscsicore_nexus_ping(line.nexus, line.now, &payload, &request));
        carry(&line, line.initiator, line.target, 0);
    }
    CHECK(line.full > 0);
    WANT(QUEUE_FULL, iscsicore_simple_feed(line.target, line.now, "more", 4));
    for (int at = 0; at < PINGS; at++) {
        const iscsicore_pong_event *pong = &wait_for(&line, ISCSICORE_NEXUS_EVENT_KIND_PONG)->u.pong;
        CHECK(pong->cause == ISCSICORE_CAUSE_NONE && pong->data_len == PING);
        CHECK(memcmp(pong->data, pattern, PING) == 0);
    }
    CHECK(loans.lent == PINGS && loans.released == PINGS);
    log_out(&line);
    end(&line);
}

/* The socket closes: every command ends, and nothing dials. */
static void closed(void) {
    struct line line;
    struct terms terms = {0};
    iscsicore_command *read;
    uint64_t task;
    begin(&line, &terms);
    NEED(iscsicore_command_read(LUN_0, 0, 1, BLOCK, &read));
    NEED(iscsicore_nexus_submit(line.nexus, line.now, read, &task));
    NEED(iscsicore_command_free(read));
    NEED(iscsicore_simple_lost(line.initiator, line.now));
    const iscsicore_nexus_event *event = wait_for(&line, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED);
    CHECK(event->u.completed.task == task && event->u.completed.outcome == ISCSICORE_OUTCOME_NOT_SENT);
    event = wait_for(&line, ISCSICORE_NEXUS_EVENT_KIND_ENDED);
    CHECK(event->u.ended.reason == ISCSICORE_NEXUS_END_REASON_LOST);
    end(&line);
}

int main(void) {
    static unsigned char pattern[LEN], buffer[LEN];
    static const uint8_t secret[] = "0123456789abcdef", target_secret[] = "fedcba9876543210";
    for (size_t at = 0; at < LEN; at++) {
        pattern[at] = (unsigned char)(at * 13 + (at >> 9));
    }
    iscsicore_offer offer;
    memset(&offer, 0, sizeof offer);
    offer.size = sizeof offer;
    offer.header_digest = offer.data_digest = ISCSICORE_DIGEST_CRC32C;
    struct terms terms = {
        .offer = &offer,
        .user = "alice",
        .secret = secret,
        .secret_len = sizeof secret - 1,
        .target_user = "bob",
        .target_secret = target_secret,
        .target_secret_len = sizeof target_secret - 1,
    };
    disk_session(&terms, pattern, buffer);
    /* A target that lets little wait takes bytes late. */
    iscsicore_limits limits;
    memset(&limits, 0, sizeof limits);
    limits.size = sizeof limits;
    limits.transmit_bytes = 4096;
    limits.read_buffer = 4096;
    terms.limits = &limits;
    disk_session(&terms, pattern, buffer);
    full(&limits, pattern);
    abandoned(pattern, buffer);
    closed();
    return check_done("roundtrip_simple");
}
