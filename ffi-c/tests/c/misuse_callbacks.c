/* Release functions that call back: what is in use answers ISCSICORE_STATUS_BUSY, and nothing is freed under it. */
#include "misuse.h"

/* Everything that a release tries, and how that ended. A handle that is NULL is not tried. */
struct tries {
    iscsicore_host *host;
    iscsicore_nexus *nexus;
    iscsicore_receiver *receiver;
    iscsicore_transmitter *transmitter;
    iscsicore_command *command;
    iscsicore_target *target;
    iscsicore_simple *simple;
    iscsicore_unit *unit;
    unsigned released, tried, busy;
};

static void count(struct tries *tries, int status) {
    tries->tried++;
    tries->busy += status == BUSY && *iscsicore_error_message() != 0;
}

static void release(void *context) {
    struct tries *tries = context;
    size_t size;
    uint64_t number;
    tries->released++;
    if (tries->host != NULL) {
        count(tries, iscsicore_host_timeout(tries->host, &number));
        count(tries, iscsicore_host_free(tries->host));
    }
    if (tries->nexus != NULL) {
        count(tries, iscsicore_nexus_timeout(tries->nexus, &number));
        count(tries, iscsicore_nexus_free(tries->nexus));
    }
    if (tries->receiver != NULL) {
        count(tries, iscsicore_receiver_buffered(tries->receiver, &size));
        count(tries, iscsicore_receiver_free(tries->receiver));
    }
    if (tries->transmitter != NULL) {
        count(tries, iscsicore_transmitter_queued(tries->transmitter, &size));
        count(tries, iscsicore_transmitter_free(tries->transmitter));
    }
    if (tries->command != NULL) {
        count(tries, iscsicore_command_data_out(tries->command, &size));
        count(tries, iscsicore_command_free(tries->command));
    }
    if (tries->target != NULL) {
        count(tries, iscsicore_target_timeout(tries->target, &number));
        count(tries, iscsicore_target_free(tries->target));
    }
    if (tries->simple != NULL) {
        count(tries, iscsicore_simple_timeout(tries->simple, &number));
        count(tries, iscsicore_simple_free(tries->simple));
    }
    if (tries->unit != NULL) {
        count(tries, iscsicore_unit_blocks(tries->unit, &number, NULL));
        count(tries, iscsicore_unit_free(tries->unit));
    }
}

static unsigned char blocks[64 * BLOCK];

static iscsicore_payload payload_of(struct tries *tries, iscsicore_iovec *slice, size_t len) {
    *slice = (iscsicore_iovec){blocks, len};
    iscsicore_payload payload = {slice, 1, release, tries};
    return payload;
}

/* `call` gives the memory back, once, and each try within found its handle busy. */
#define WANT_BUSY(tries, handles, call)                                                                    \
    do {                                                                                                   \
        CHECK((tries).released == 0);                                                                      \
        WANT(OK, call);                                                                                    \
        CHECK((tries).released == 1 && (tries).tried == 2 * (handles) && (tries).busy == (tries).tried);   \
    } while (0)

static iscsicore_command *write_command(struct tries *tries) {
    iscsicore_iovec slice;
    iscsicore_payload payload = payload_of(tries, &slice, BLOCK);
    iscsicore_command *command;
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &command));
    return command;
}

/* A read whose data were lent, at `host`: what waits to be sent is in the host. */
static void lend_to_host(struct pair *pair, struct tries *tries) {
    iscsicore_command *read;
    iscsicore_iovec slice;
    const iscsicore_job *job;
    uint64_t task;
    struct terms terms = {0};
    pair_up(pair, &terms);
    pair->keep_jobs = true;
    NEED(iscsicore_command_read(LUN_0, 0, 64, BLOCK, &read));
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, read, &task));
    NEED(iscsicore_command_free(read));
    while (pair_step(pair)) {
    }
    NEED(iscsicore_host_next_job(pair->host, &job));
    NEED_THAT(job != NULL);
    iscsicore_payload payload = payload_of(tries, &slice, sizeof blocks);
    NEED(iscsicore_host_finish_read(pair->host, pair->now, job->id, &payload));
}

static void of_command(void) {
    struct tries tries = {0};
    tries.command = write_command(&tries);
    WANT_BUSY(tries, 1, iscsicore_command_free(tries.command));
}

static void of_receiver(void) {
    struct tries tries = {0};
    iscsicore_iovec slice;
    NEED(iscsicore_receiver_new(NULL, &tries.receiver));
    iscsicore_payload payload = payload_of(&tries, &slice, 7);
    NEED(iscsicore_receiver_push(tries.receiver, &payload));
    WANT_BUSY(tries, 1, iscsicore_receiver_free(tries.receiver));
}

static void of_nexus(void) {
    struct tries tries = {0};
    struct terms terms = {0};
    iscsicore_initiator_options options = initiator_options(&terms);
    uint64_t task;
    NEED(iscsicore_nexus_new(&options, seed(), 1, &tries.nexus));
    iscsicore_command *command = write_command(&tries);
    NEED(iscsicore_nexus_submit(tries.nexus, 1, command, &task));
    NEED(iscsicore_command_free(command));
    WANT_BUSY(tries, 1, iscsicore_nexus_free(tries.nexus));
}

static void of_transmitter(void) {
    struct pair pair;
    struct tries tries = {0};
    lend_to_host(&pair, &tries);
    NEED(iscsicore_host_transmit(pair.host, pair.now, pair.link, pair.target_tx));
    size_t queued;
    NEED(iscsicore_transmitter_queued(pair.target_tx, &queued));
    NEED_THAT(queued > sizeof blocks);
    tries.transmitter = pair.target_tx;
    WANT_BUSY(tries, 1, iscsicore_transmitter_advance(pair.target_tx, queued));
    pair_free(&pair);
}

static void of_host(void) {
    struct pair pair;
    struct tries tries = {0};
    lend_to_host(&pair, &tries);
    tries.host = pair.host;
    /* A simple connection needs its host for everything, and does not go without it. */
    NEED(iscsicore_simple_target(pair.host, pair.now, ADDRESS, seed(), &tries.simple));
    WANT_BUSY(tries, 2, iscsicore_host_lost(pair.host, pair.now, pair.link));
    NEED(iscsicore_simple_free(tries.simple));
    pair_free(&pair);
    tries = (struct tries){0};
    lend_to_host(&pair, &tries);
    tries.host = pair.host;
    WANT_BUSY(tries, 1, iscsicore_host_free(pair.host));
    pair.host = NULL;
    pair_free(&pair);
}

/* Two handles are in use by a call of a simple connection. */
static void of_simple(void) {
    struct tries tries = {0};
    struct terms terms = {0};
    iscsicore_initiator_options options = initiator_options(&terms);
    uint64_t task;
    NEED(iscsicore_simple_initiator(&options, seed(), 1, &tries.simple));
    NEED(iscsicore_simple_nexus(tries.simple, &tries.nexus));
    iscsicore_command *command = write_command(&tries);
    NEED(iscsicore_nexus_submit(tries.nexus, 1, command, &task));
    NEED(iscsicore_command_free(command));
    WANT_BUSY(tries, 2, iscsicore_simple_free(tries.simple));
}

static void of_target(void) {
    struct pair pair;
    struct tries tries = {0};
    struct terms terms = {0};
    iscsicore_command *read;
    iscsicore_iovec slice;
    uint64_t task;
    pair_up_target(&pair, &terms);
    pair_establish(&pair, 1);
    NEED(iscsicore_command_read(LUN_0, 0, 64, BLOCK, &read));
    NEED(iscsicore_nexus_submit(pair.nexus, pair.now, read, &task));
    NEED(iscsicore_command_free(read));
    const iscsicore_target_event *event = pair_target_wait(&pair, ISCSICORE_TARGET_EVENT_KIND_COMMAND);
    iscsicore_payload payload = payload_of(&tries, &slice, sizeof blocks);
    NEED(iscsicore_target_complete_with(pair.target, event->u.command.task, &payload, 0, NULL, 0, sizeof blocks));
    tries.target = pair.target;
    WANT_BUSY(tries, 1, iscsicore_target_free(pair.target));
    pair.target = NULL;
    pair_free(&pair);
}

/* The unit gives data back that its command needs no more. */
static void of_unit(void) {
    static const uint8_t ready[6], write[10] = {0x2a, [8] = 1};
    struct tries tries = {0};
    iscsicore_unit_options options = unit_options("0001");
    iscsicore_disk_command *command;
    iscsicore_iovec slice;
    NEED(iscsicore_unit_new(&options, &tries.unit));
    NEED(iscsicore_unit_attach(tries.unit, 1, 0));
    NEED(iscsicore_unit_start(tries.unit, 1, ready, sizeof ready, 1, 0, 0, &command));
    NEED(iscsicore_disk_command_free(command));
    NEED(iscsicore_unit_start(tries.unit, 1, write, sizeof write, 1, 0, BLOCK, &command));
    iscsicore_payload payload = payload_of(&tries, &slice, BLOCK);
    NEED(iscsicore_unit_resume_data(tries.unit, command, &payload));
    WANT_BUSY(tries, 1, iscsicore_unit_resume(tries.unit, command, ISCSICORE_IO_DONE, 0));
    NEED(iscsicore_disk_command_free(command));
    NEED(iscsicore_unit_free(tries.unit));
}

void misuse_callbacks(void) {
    of_command();
    of_receiver();
    of_nexus();
    of_transmitter();
    of_host();
    of_simple();
    of_target();
    of_unit();
}
