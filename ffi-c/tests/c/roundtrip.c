/* Both roles in one process, in memory, by receivers and transmitters: what is written is read back, lent memory comes back
 * once, and reading into the program's own buffer goes straight there. */
#include "pair.h"

static const uint8_t SECRET[] = "0123456789abcdef", TARGET_SECRET[] = "fedcba9876543210";
/* What the first MiB of the disk is to hold. */
static unsigned char pattern[1 << 20];

static struct terms authenticated(const iscsicore_offer *offer) {
    struct terms terms = {
        .offer = offer,
        .user = "alice",
        .secret = SECRET,
        .secret_len = sizeof SECRET - 1,
        .target_user = "bob",
        .target_secret = TARGET_SECRET,
        .target_secret_len = sizeof TARGET_SECRET - 1,
    };
    return terms;
}

static iscsicore_offer digests(void) {
    iscsicore_offer offer;
    memset(&offer, 0, sizeof offer);
    offer.size = sizeof offer;
    offer.header_digest = ISCSICORE_DIGEST_CRC32C;
    offer.data_digest = ISCSICORE_DIGEST_CRC32C;
    return offer;
}

/* Writes `len` bytes of the pattern, lent in several slices. */
static void write_at(struct pair *pair, struct loans *loans, uint64_t lba, size_t len, int fua) {
    iscsicore_iovec slices[5];
    iscsicore_payload payload = lend(loans, pattern + lba * BLOCK, len, slices, 5);
    iscsicore_command *command;
    size_t sends;
    NEED(iscsicore_command_write(LUN_0, lba, &payload, BLOCK, &command));
    NEED(iscsicore_command_set_access(command, fua, 0));
    NEED(iscsicore_command_data_out(command, &sends));
    CHECK(sends == len && loans->released + 1 == loans->lent);
    const iscsicore_completed_event *completed = pair_run(pair, command);
    CHECK(completed->residual == 0 && completed->received == 0 && completed->data_count == 0);
    CHECK(memcmp(pair->disk.bytes + lba * BLOCK, pattern + lba * BLOCK, len) == 0);
}

static void read_into_buffer(struct pair *pair, uint64_t lba, size_t len) {
    unsigned char *buffer = malloc(len);
    iscsicore_command *command;
    uint32_t most;
    NEED_THAT(buffer != NULL);
    NEED(iscsicore_command_read(LUN_0, lba, (uint32_t)(len / BLOCK), BLOCK, &command));
    NEED(iscsicore_command_data_in(command, &most));
    CHECK(most == len);
    NEED(iscsicore_command_set_buffer(command, buffer, len));
    NEED(iscsicore_command_set_context(command, buffer));
    pair->direct = 0;
    pair->buffer = buffer;
    pair->buffer_end = buffer + len;
    const iscsicore_completed_event *completed = pair_run(pair, command);
    CHECK(completed->received == len && completed->data == NULL && completed->residual == 0);
    CHECK(completed->context == buffer);
    CHECK(memcmp(buffer, pattern + lba * BLOCK, len) == 0);
    pair->buffer = pair->buffer_end = NULL;
    free(buffer);
}

static void read_collected(struct pair *pair, uint64_t lba, size_t len) {
    iscsicore_command *command;
    NEED(iscsicore_command_read(LUN_0, lba, (uint32_t)(len / BLOCK), BLOCK, &command));
    const iscsicore_completed_event *completed = pair_run(pair, command);
    size_t at = 0;
    CHECK(completed->received == len);
    for (size_t slice = 0; slice < completed->data_count; slice++) {
        const iscsicore_iovec *data = &completed->data[slice];
        NEED_THAT(data->iov_len <= len - at);
        CHECK(memcmp(data->iov_base, pattern + lba * BLOCK + at, data->iov_len) == 0);
        at += data->iov_len;
    }
    CHECK(at == len);
}

/* The last part of a range is given up, and GET LBA STATUS tells. */
static void unmap(struct pair *pair) {
    iscsicore_blocks range = {.lba = 64, .blocks = 64};
    iscsicore_command *command;
    NEED(iscsicore_command_unmap(LUN_0, &range, 1, &command));
    pair_run(pair, command);
    CHECK(pair->disk.unmaps + pair->disk.zeroes > 0);
    for (size_t at = 0; at < 64 * BLOCK; at++) {
        NEED_THAT(pair->disk.bytes[64 * BLOCK + at] == 0);
    }
    NEED(iscsicore_command_get_lba_status(LUN_0, 0, 24 + 16 * 8, &command));
    const iscsicore_completed_event *completed = pair_run(pair, command);
    NEED_THAT(completed->data_count == 1);
    iscsicore_lba_status entries[8];
    size_t count;
    NEED(iscsicore_lba_status_decode(completed->data->iov_base, completed->data->iov_len, entries, 8, &count));
    NEED_THAT(count >= 2);
    CHECK(entries[0].lba == 0 && entries[0].blocks == 64 && entries[0].status == 0);
    CHECK(entries[1].lba == 64 && entries[1].blocks == 64 && entries[1].status == 1);
}

static void what_it_is(struct pair *pair) {
    iscsicore_command *command;
    NEED(iscsicore_command_read_capacity_16(LUN_0, &command));
    const iscsicore_completed_event *completed = pair_run(pair, command);
    iscsicore_capacity capacity;
    NEED_THAT(completed->data_count == 1);
    NEED(iscsicore_capacity_decode(completed->data->iov_base, completed->data->iov_len, 1, &capacity));
    CHECK(capacity.blocks == BLOCKS && capacity.block_size == BLOCK && capacity.thin);
}

/* A command that the disk refuses: sense data, as it is and in words. */
static void refused(struct pair *pair) {
    iscsicore_command *command;
    uint64_t task;
    NEED(iscsicore_command_read(LUN_0, BLOCKS, 1, BLOCK, &command));
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, command, &task));
    NEED(iscsicore_command_free(command));
    const iscsicore_completed_event *completed =
        &pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED)->u.completed;
    CHECK(completed->task == task && completed->outcome == ISCSICORE_OUTCOME_ANSWERED && completed->status == 2);
    iscsicore_sense sense;
    NEED(iscsicore_sense_decode(completed->sense, completed->sense_len, &sense));
    CHECK(sense.key == 5 && sense.asc == 0x21);
}

static void ping(struct pair *pair) {
    struct loans loans = {0, 0};
    iscsicore_iovec slices[2];
    iscsicore_payload payload = lend(&loans, "there and back", 14, slices, 2);
    uint64_t request;
    NEED(iscsicore_nexus_ping(pair->nexus, pair->now, &payload, &request));
    const iscsicore_pong_event *pong = &pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_PONG)->u.pong;
    CHECK(pong->request == request && pong->cause == ISCSICORE_CAUSE_NONE);
    CHECK(pong->data_len == 14 && memcmp(pong->data, "there and back", 14) == 0);
    CHECK(loans.lent == 1 && loans.released == 1);
}

static void reset(struct pair *pair) {
    uint64_t request;
    int function = ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET;
    NEED(iscsicore_nexus_task_management(pair->nexus, pair->now, function, LUN_0, &request));
    const iscsicore_nexus_event *event = pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE);
    CHECK(event->u.task_management_done.request == request);
    CHECK(event->u.task_management_done.cause == ISCSICORE_CAUSE_NONE);
    CHECK(event->u.task_management_done.result == ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE);
}

static void log_out(struct pair *pair) {
    bool closing;
    NEED(iscsicore_nexus_logout(pair->nexus, pair->now));
    const iscsicore_nexus_event *event = pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_ENDED);
    CHECK(event->u.ended.reason == ISCSICORE_NEXUS_END_REASON_LOGGED_OUT);
    NEED(iscsicore_host_is_closing(pair->host, pair->link, &closing));
    CHECK(closing);
    NEED(iscsicore_host_lost(pair->host, pair->now, pair->link));
    size_t sessions;
    NEED(iscsicore_host_session_count(pair->host, &sessions));
    CHECK(sessions == 0);
}

static void check_session(struct pair *pair, bool digest, const char *user) {
    const iscsicore_session *session;
    NEED(iscsicore_host_session(pair->host, pair->link, &session));
    NEED_THAT(session != NULL);
    CHECK(strcmp(session->initiator, INITIATOR_NAME) == 0 && strcmp(session->target, TARGET_NAME) == 0);
    CHECK(user == NULL ? session->user == NULL : session->user != NULL && strcmp(session->user, user) == 0);
    CHECK(session->parameters.header_digest == digest && session->parameters.data_digest == digest);
    iscsicore_parameters parameters;
    NEED(iscsicore_nexus_parameters(pair->nexus, &parameters));
    CHECK(parameters.header_digest == digest && parameters.data_digest == digest);
    CHECK(parameters.local_max_segment == session->parameters.peer_max_segment);
}

/* `direct` is how many bytes of a read of 1 MiB are to go straight into the program's buffer, at least. */
static void disk_session(const struct terms *terms, bool digest, uint64_t direct) {
    struct pair pair;
    struct loans loans = {0, 0};
    pair_up(&pair, terms);
    check_session(&pair, digest, terms->user);
    what_it_is(&pair);
    write_at(&pair, &loans, 0, BLOCK, 1);
    CHECK(pair.disk.fua_writes == 1);
    write_at(&pair, &loans, 7, 9 * BLOCK, 0);
    write_at(&pair, &loans, 0, 512 << 10, 0);
    write_at(&pair, &loans, 1024, 512 << 10, 0);
    read_collected(&pair, 0, BLOCK);
    read_collected(&pair, 3, 300 << 10);
    read_into_buffer(&pair, 5, BLOCK);
    read_into_buffer(&pair, 0, 512 << 10);
    CHECK(pair.direct >= direct);
    iscsicore_command *flush;
    unsigned flushes = pair.disk.flushes;
    NEED(iscsicore_command_flush(LUN_0, &flush));
    CHECK(pair_run(&pair, flush)->coverage == ISCSICORE_FLUSH_COVERAGE_ALL);
    CHECK(pair.disk.flushes > flushes);
    unmap(&pair);
    refused(&pair);
    ping(&pair);
    reset(&pair);
    CHECK(loans.lent == 4);
    log_out(&pair);
    pair_free(&pair);
    CHECK(loans.released == loans.lent);
}

static void discovery(void) {
    struct pair pair;
    struct terms terms = {.discovery = true};
    pair_up(&pair, &terms);
    uint64_t request;
    NEED(iscsicore_nexus_send_targets(pair.nexus, pair.now, NULL, &request));
    const iscsicore_targets_event *targets = &pair_wait(&pair, ISCSICORE_NEXUS_EVENT_KIND_TARGETS)->u.targets;
    CHECK(targets->request == request && targets->cause == ISCSICORE_CAUSE_NONE);
    NEED_THAT(targets->target_count == 1 && targets->targets[0].address_count == 1);
    CHECK(strcmp(targets->targets[0].name, TARGET_NAME) == 0);
    CHECK(strcmp(targets->targets[0].addresses[0].address, ADDRESS) == 0);
    CHECK(targets->targets[0].addresses[0].portal_group_tag == 1);
    log_out(&pair);
    pair_free(&pair);
}

int main(void) {
    for (size_t at = 0; at < sizeof pattern; at++) {
        pattern[at] = (unsigned char)(at * 31 + (at >> 8) * 7);
    }
    iscsicore_offer offer = digests();
    struct terms terms = authenticated(&offer);
    iscsicore_limits limits;
    disk_session(&terms, true, 256 << 10);
    /* Small segments, and no slot: every byte goes through the library's memory. */
    memset(&limits, 0, sizeof limits);
    limits.size = sizeof limits;
    limits.slot_bytes = UINT32_MAX;
    offer.max_segment = 8192;
    terms.limits = &limits;
    disk_session(&terms, true, 0);
    /* Without digests, and with slots for everything. */
    limits.slot_bytes = 512;
    memset(&offer, 0, sizeof offer);
    offer.size = sizeof offer;
    offer.header_digest = ISCSICORE_DIGEST_NONE;
    offer.data_digest = ISCSICORE_DIGEST_NONE;
    terms = (struct terms){.offer = &offer, .limits = &limits};
    disk_session(&terms, false, 256 << 10);
    discovery();
    return check_done("roundtrip");
}
