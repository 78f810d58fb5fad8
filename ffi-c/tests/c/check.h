/* What all tests share: assertions, and places for results that a call which fails must leave alone. */
#ifndef CHECK_H
#define CHECK_H

#include <iscsicore.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define OK ISCSICORE_STATUS_OK
#define NULL_POINTER ISCSICORE_STATUS_NULL_POINTER
#define INVALID ISCSICORE_STATUS_INVALID_ARGUMENT
#define INVALID_SIZE ISCSICORE_STATUS_INVALID_SIZE
#define TOO_SMALL ISCSICORE_STATUS_BUFFER_TOO_SMALL
#define WRONG_STATE ISCSICORE_STATUS_WRONG_STATE
#define UNKNOWN ISCSICORE_STATUS_UNKNOWN
#define QUEUE_FULL ISCSICORE_STATUS_QUEUE_FULL
#define BUSY ISCSICORE_STATUS_BUSY
#define PEER_ERROR ISCSICORE_STATUS_PEER_ERROR
#define REFUSED ISCSICORE_STATUS_REFUSED

/* Places for results. WANT fills them with a pattern before each call, and a call that fails must not change it. */
extern union results {
    unsigned char bytes[256];
    bool flag;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    size_t size;
    uint8_t *memory;
    void *pointer;
    iscsicore_iovec slices[4];
    const iscsicore_job *job;
    const iscsicore_session *session;
    const iscsicore_step *step;
    const iscsicore_counters *counters;
    const iscsicore_target_event *target_event;
    const iscsicore_nexus_event *nexus_event;
    const iscsicore_simple_event *simple_event;
    iscsicore_parameters parameters;
    iscsicore_sense sense;
    iscsicore_capacity capacity;
    iscsicore_inquiry inquiry;
    iscsicore_reservation reservation;
    iscsicore_designator designator;
    iscsicore_block_limits block_limits;
    iscsicore_block_characteristics characteristics;
    iscsicore_provisioning provisioning;
    iscsicore_extended_inquiry extended_inquiry;
} out;

/* The call ends with this very status. If that is a failure, iscsicore_error_message tells of it, and `out` is as it was. */
#define WANT(wanted, call)                                                                                 \
    do {                                                                                                   \
        check_begin(wanted);                                                                               \
        check_end(__FILE__, __LINE__, #call, wanted, call);                                                \
    } while (0)

/* WANT of a call that is to make a handle: if it fails, `place` is NULL afterwards. */
#define WANT_NEW(wanted, place, call)                                                                      \
    do {                                                                                                   \
        memset(&(place), 0xa5, sizeof(place));                                                             \
        WANT(wanted, call);                                                                                \
        check_that(__FILE__, __LINE__, "the place for a handle is NULL after a failure, and only then",    \
                   ((place) == NULL) == ((wanted) != OK));                                                 \
    } while (0)

/* WANT of a call that tells a length: if the buffer was too small, `place` is the length that is needed. */
#define WANT_LEN(wanted, place, needed, call)                                                              \
    do {                                                                                                   \
        (place) = 0;                                                                                       \
        WANT(wanted, call);                                                                                \
        check_that(__FILE__, __LINE__, #place " == " #needed " after " #call, (place) == (size_t)(needed)); \
    } while (0)

#define CHECK(condition) check_that(__FILE__, __LINE__, #condition, condition)

/* Without this a test cannot go on: the program ends. */
#define NEED(call) check_need(__FILE__, __LINE__, #call, call)
#define NEED_THAT(condition) check_need(__FILE__, __LINE__, #condition, (condition) ? OK : -1)

void check_begin(int wanted);
void check_end(const char *file, int line, const char *call, int wanted, int got);
void check_that(const char *file, int line, const char *what, bool holds);
void check_need(const char *file, int line, const char *call, int got);

/* Says what `main` is to return. */
int check_done(const char *name);

/* 32 bytes, others each time. Real programs take them from getrandom. */
const uint8_t *seed(void);

/* The status of an options struct as sizes go: too small, grown with zeros, grown with something that is not known. `call`
 * uses `options`; what it makes, `undo` ends. */
#define WANT_SIZES(type, given, call, undo)                                                                \
    do {                                                                                                   \
        struct grown {                                                                                     \
            type options;                                                                                  \
            unsigned char tail[16];                                                                        \
        } grown;                                                                                           \
        memset(&grown, 0, sizeof grown);                                                                   \
        grown.options = (given);                                                                           \
        const type *options = &grown.options;                                                              \
        static const size_t wrong[] = {0, 1, sizeof(size_t), sizeof(type) - 1};                            \
        for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {                                     \
            grown.options.size = wrong[at];                                                                \
            WANT(INVALID_SIZE, call);                                                                      \
        }                                                                                                  \
        grown.options.size = offsetof(struct grown, tail) + sizeof grown.tail;                           \
        WANT(OK, call);                                                                                    \
        undo;                                                                                              \
        for (size_t at = 0; at < sizeof grown.tail; at += sizeof grown.tail - 1) {                         \
            grown.tail[at] = 1;                                                                            \
            WANT(INVALID_SIZE, call);                                                                      \
            grown.tail[at] = 0;                                                                            \
        }                                                                                                  \
    } while (0)

#endif
