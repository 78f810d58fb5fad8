/* An initiator and a target with a connection between them, all in memory. */
#ifndef PAIR_H
#define PAIR_H

#include "disk.h"

#define TARGET_NAME "iqn.2001-04.com.example:target"
#define INITIATOR_NAME "iqn.2001-04.com.example:initiator"
#define ADDRESS "127.0.0.1:3260"
/* The disks: unit 0 is LUN 0, thinly provisioned. */
enum { BLOCK = 512, BLOCKS = 16384 };
/* LUN 0 in 64 bits. */
#define LUN_0 UINT64_C(0)

struct pair {
    uint64_t now;
    struct disk disk;
    /* One of the two is the target. */
    iscsicore_host *host;
    uint64_t link;
    iscsicore_target *target;
    iscsicore_receiver *target_rx;
    iscsicore_transmitter *target_tx;

    iscsicore_nexus *nexus;
    iscsicore_receiver *nexus_rx;
    iscsicore_transmitter *nexus_tx;
    /* Bytes that went straight to between these two addresses. */
    const unsigned char *buffer, *buffer_end;
    uint64_t direct;
    /* What the last receive of the target said. */
    int target_status;
    /* Jobs are left where they are. */
    bool keep_jobs;
    /* What the target has to say waits in it. */
    bool host_silent;
};

/* What differs from the defaults; all of it may be NULL. */
struct terms {
    const iscsicore_offer *offer;
    const iscsicore_limits *limits;
    const char *user;
    const uint8_t *secret;
    size_t secret_len;
    const char *target_user;
    const uint8_t *target_secret;
    size_t target_secret_len;
    bool discovery;
};

iscsicore_unit_options unit_options(const char *serial);
/* A configuration with unit 0, target 0 with its portal, and LUN 0. */
iscsicore_host_config *host_config(const struct terms *terms);
iscsicore_host *new_host(const struct terms *terms);
iscsicore_initiator_options initiator_options(const struct terms *terms);

/* A host and a nexus, connected and logged in. */
void pair_up(struct pair *pair, const struct terms *terms);
/* A nexus that is connected to an iscsicore_target, from which no event was taken yet. */
void pair_up_target(struct pair *pair, const struct terms *terms);
void pair_free(struct pair *pair);

/* Moves bytes, once, and has jobs carried out; says whether anything was moved. */
bool pair_step(struct pair *pair);
/* Goes on until the nexus has an event; NULL when it has none and nothing moves any more. */
const iscsicore_nexus_event *pair_next(struct pair *pair);
/* Goes on until the nexus has an event of this kind; events of others are dropped. */
const iscsicore_nexus_event *pair_wait(struct pair *pair, iscsicore_nexus_event_kind kind);
/* Submits a command, waits for its end, which is to be GOOD, and frees it. */
const iscsicore_completed_event *pair_run(struct pair *pair, iscsicore_command *command);
/* The same for the event of the target, of a pair that has one. */
const iscsicore_target_event *pair_target_wait(struct pair *pair, iscsicore_target_event_kind kind);
/* Has the target admit the login and make a session of it. */
void pair_establish(struct pair *pair, uint16_t tsih);

#endif
