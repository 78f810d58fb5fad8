/* The command line of target_epoll, and the server that it describes. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

#include <iscsicore.h>

#include "common.h"
#include "storage.h"

struct options {
    const char *listen;              /* ADDRESS:PORT */
    iscsicore_host_config *config;   /* the targets and units */
    struct disk **disks;             /* the storage of each unit */
    uint32_t disk_count;
    const char **targets;            /* their names */
    uint32_t target_count;
    uint16_t lun_count;              /* of the last target */
    struct account account, mutual;  /* name NULL: none */
    int algorithms[4];               /* of CHAP */
    size_t algorithm_count;          /* 0: all */
    iscsicore_offer offer;
};

/* Reads the command line, opens the disks, and begins the configuration; ends the program when something is wrong. */
void options_read(struct options *options, int argc, char **argv);

/* Completes the configuration, with the address that the server listens at. */
void options_complete(struct options *options, const char *address);

void options_free(struct options *options);

#endif
