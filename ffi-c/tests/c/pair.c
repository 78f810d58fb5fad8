#include "pair.h"

iscsicore_unit_options unit_options(const char *serial) {
    iscsicore_unit_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.serial = serial;
    options.blocks = BLOCKS;
    options.block_size = BLOCK;
    options.thin = 1;
    return options;
}

iscsicore_host_config *host_config(const struct terms *terms) {
    iscsicore_host_config *config;
    uint32_t unit, target;
    iscsicore_unit_options options = unit_options("0001");
    NEED(iscsicore_host_config_new(&config));
    NEED(iscsicore_host_config_add_unit(config, &options, &unit));
    NEED(iscsicore_host_config_add_target(config, TARGET_NAME, "a disk", &target));
    NEED(iscsicore_host_config_add_portal(config, target, 1, ADDRESS, NULL));
    NEED(iscsicore_host_config_add_lun(config, target, NULL, 0, unit, ISCSICORE_ACCESS_READ_WRITE));
    NEED(iscsicore_host_config_set_limits(config, terms->limits));
    NEED(iscsicore_host_config_set_offer(config, target, terms->offer));
    if (terms->user != NULL) {
        NEED(iscsicore_host_config_add_account(config, target, terms->user, terms->secret, terms->secret_len, NULL));
    }
    if (terms->target_user != NULL) {
        NEED(iscsicore_host_config_set_mutual(config, target, terms->target_user, terms->target_secret,
                                              terms->target_secret_len));
    }
    return config;
}

iscsicore_host *new_host(const struct terms *terms) {
    iscsicore_host_config *config = host_config(terms);
    iscsicore_host *host;
    NEED(iscsicore_host_new(config, &host));
    NEED(iscsicore_host_config_free(config));
    return host;
}

iscsicore_initiator_options initiator_options(const struct terms *terms) {
    iscsicore_initiator_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.address = ADDRESS;
    options.initiator = INITIATOR_NAME;
    options.target = terms->discovery ? NULL : TARGET_NAME;
    options.offer = terms->offer;
    options.limits = terms->limits;
    options.user = terms->user;
    options.secret = terms->secret;
    options.secret_len = terms->secret_len;
    options.target_user = terms->target_user;
    options.target_secret = terms->target_secret;
    options.target_secret_len = terms->target_secret_len;
    return options;
}

static void begin(struct pair *pair, const struct terms *terms) {
    memset(pair, 0, sizeof *pair);
    pair->now = UINT64_C(1000000000);
    disk_init(&pair->disk, (size_t)BLOCKS * BLOCK);
    NEED(iscsicore_receiver_new(terms->limits, &pair->target_rx));
    NEED(iscsicore_transmitter_new(&pair->target_tx));
    NEED(iscsicore_receiver_new(terms->limits, &pair->nexus_rx));
    NEED(iscsicore_transmitter_new(&pair->nexus_tx));
    iscsicore_initiator_options options = initiator_options(terms);
    NEED(iscsicore_nexus_new(&options, seed(), pair->now, &pair->nexus));
    const iscsicore_nexus_event *event;
    NEED(iscsicore_nexus_next_event(pair->nexus, &event));
    NEED_THAT(event != NULL && event->kind == ISCSICORE_NEXUS_EVENT_KIND_DIAL);
    CHECK(strcmp(event->u.dial.address, ADDRESS) == 0 && event->u.dial.attempt == 1);
    NEED(iscsicore_nexus_connected(pair->nexus, pair->now));
}

void pair_up(struct pair *pair, const struct terms *terms) {
    begin(pair, terms);
    pair->host = new_host(terms);
    NEED(iscsicore_host_connect(pair->host, pair->now, ADDRESS, seed(), &pair->link));
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_UP);
}

void pair_up_target(struct pair *pair, const struct terms *terms) {
    begin(pair, terms);
    NEED(iscsicore_target_new(terms->limits, seed(), pair->now, &pair->target));
}

void pair_free(struct pair *pair) {
    NEED(iscsicore_nexus_free(pair->nexus));
    NEED(iscsicore_host_free(pair->host));
    NEED(iscsicore_target_free(pair->target));
    NEED(iscsicore_receiver_free(pair->nexus_rx));
    NEED(iscsicore_transmitter_free(pair->nexus_tx));
    NEED(iscsicore_receiver_free(pair->target_rx));
    NEED(iscsicore_transmitter_free(pair->target_tx));
    CHECK(pair->disk.loans.lent == pair->disk.loans.released);
    disk_free(&pair->disk);
}

/* The target takes what it has received. It may have reasons to close. */
static void target_takes(struct pair *pair) {
    pair->target_status = pair->host != NULL
                              ? (int)iscsicore_host_receive(pair->host, pair->now, pair->link, pair->target_rx)
                              : (int)iscsicore_target_receive(pair->target, pair->now, pair->target_rx);
    NEED_THAT(pair->target_status == OK || pair->target_status == PEER_ERROR);
}

static bool to_target(struct pair *pair) {
    bool moved = false;
    NEED(iscsicore_nexus_transmit(pair->nexus, pair->now, pair->nexus_tx));
    for (;;) {
        iscsicore_iovec from;
        size_t count, room;
        uint8_t *memory;
        NEED(iscsicore_transmitter_slices(pair->nexus_tx, &from, 1, &count));
        if (count == 0) {
            break;
        }
        NEED(iscsicore_receiver_want(pair->target_rx, &memory, &room));
        if (room == 0) {
            target_takes(pair);
            NEED(iscsicore_receiver_want(pair->target_rx, &memory, &room));
            if (room == 0) {
                return moved;
            }
        }
        size_t len = from.iov_len < room ? from.iov_len : room;
        memcpy(memory, from.iov_base, len);
        NEED(iscsicore_receiver_advance(pair->target_rx, len));
        NEED(iscsicore_transmitter_advance(pair->nexus_tx, len));
        moved = true;
    }
    target_takes(pair);
    return moved;
}

static size_t wanted(struct pair *pair, iscsicore_iovec to[2]) {
    size_t count;
    NEED(iscsicore_nexus_want(pair->nexus, pair->nexus_rx, to, 2, &count));
    if (count == 0) {
        NEED(iscsicore_nexus_receive(pair->nexus, pair->now, pair->nexus_rx));
        NEED(iscsicore_nexus_want(pair->nexus, pair->nexus_rx, to, 2, &count));
    }
    return count;
}

/* What readv would do. */
static size_t scatter(struct pair *pair, const iscsicore_iovec *to, size_t count, const iscsicore_iovec *from) {
    size_t used = 0;
    for (size_t at = 0; at < count; at++) {
        const unsigned char *base = to[at].iov_base;
        size_t len = from->iov_len - used < to[at].iov_len ? from->iov_len - used : to[at].iov_len;
        memcpy(to[at].iov_base, (const unsigned char *)from->iov_base + used, len);
        if (pair->buffer != NULL && base >= pair->buffer && base < pair->buffer_end) {
            CHECK(base + len <= pair->buffer_end);
            pair->direct += len;
        }
        used += len;
    }
    return used;
}

static bool to_nexus(struct pair *pair) {
    bool moved = false;
    if (pair->host != NULL) {
        NEED(iscsicore_host_transmit(pair->host, pair->now, pair->link, pair->target_tx));
    } else {
        NEED(iscsicore_target_transmit(pair->target, pair->now, pair->target_tx));
    }
    for (;;) {
        iscsicore_iovec from, to[2];
        size_t count;
        NEED(iscsicore_transmitter_slices(pair->target_tx, &from, 1, &count));
        if (count == 0) {
            break;
        }
        size_t places = wanted(pair, to);
        if (places == 0) {
            return moved;
        }
        size_t len = scatter(pair, to, places, &from);
        NEED(iscsicore_nexus_advance(pair->nexus, pair->nexus_rx, len));
        NEED(iscsicore_transmitter_advance(pair->target_tx, len));
        moved = true;
    }
    NEED(iscsicore_nexus_receive(pair->nexus, pair->now, pair->nexus_rx));
    return moved;
}

static bool do_jobs(struct pair *pair) {
    bool any = false;
    while (pair->host != NULL && !pair->keep_jobs) {
        const iscsicore_job *job;
        NEED(iscsicore_host_next_job(pair->host, &job));
        if (job == NULL) {
            break;
        }
        disk_finish(&pair->disk, pair->host, pair->now, job);
        any = true;
    }
    return any;
}

bool pair_step(struct pair *pair) {
    pair->now += 1000;
    bool moved = to_target(pair);
    moved |= do_jobs(pair);
    moved |= !pair->host_silent && to_nexus(pair);
    return moved;
}

const iscsicore_nexus_event *pair_next(struct pair *pair) {
    for (;;) {
        const iscsicore_nexus_event *event;
        NEED(iscsicore_nexus_next_event(pair->nexus, &event));
        if (event != NULL) {
            return event;
        }
        if (!pair_step(pair)) {
            /* What has arrived may not have been taken before. */
            NEED(iscsicore_nexus_next_event(pair->nexus, &event));
            return event;
        }
    }
}

const iscsicore_nexus_event *pair_wait(struct pair *pair, iscsicore_nexus_event_kind kind) {
    const iscsicore_nexus_event *event;
    do {
        event = pair_next(pair);
        NEED_THAT(event != NULL);
    } while (event->kind != kind);
    return event;
}

const iscsicore_completed_event *pair_run(struct pair *pair, iscsicore_command *command) {
    uint64_t task;
    NEED(iscsicore_nexus_submit(pair->nexus, pair->now, command, &task));
    NEED(iscsicore_command_free(command));
    const iscsicore_nexus_event *event = pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_COMPLETED);
    CHECK(event->u.completed.task == task);
    CHECK(event->u.completed.outcome == ISCSICORE_OUTCOME_ANSWERED && event->u.completed.status == 0);
    return &event->u.completed;
}

const iscsicore_target_event *pair_target_wait(struct pair *pair, iscsicore_target_event_kind kind) {
    for (;;) {
        const iscsicore_target_event *event;
        NEED(iscsicore_target_next_event(pair->target, &event));
        if (event == NULL) {
            NEED_THAT(pair_step(pair));
        } else if (event->kind == kind) {
            return event;
        }
    }
}

void pair_establish(struct pair *pair, uint16_t tsih) {
    iscsicore_admission admission;
    memset(&admission, 0, sizeof admission);
    admission.size = sizeof admission;
    pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_LOGIN);
    NEED(iscsicore_target_admit(pair->target, &admission));
    NEED(iscsicore_target_receive(pair->target, pair->now, pair->target_rx));
    pair_target_wait(pair, ISCSICORE_TARGET_EVENT_KIND_READY);
    NEED(iscsicore_target_establish(pair->target, pair->now, tsih));
    NEED(iscsicore_target_receive(pair->target, pair->now, pair->target_rx));
    pair_wait(pair, ISCSICORE_NEXUS_EVENT_KIND_UP);
}
