#include "check.h"

#include <stdio.h>

union results out;

static unsigned checks, failures;
static union results untouched;
/* What iscsicore_error_message said before the call. */
static char before[256];

static const char *name_of(int status) {
    return status < 0 ? "not so" : iscsicore_status_text(status);
}

static void fail(const char *file, int line, const char *what) {
    failures++;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

void check_begin(int wanted) {
    memset(&out, 0xa5, sizeof out);
    untouched = out;
    if (wanted != OK) {
        /* Words of another failure, so that words that are left over are told from those of this call. */
        uint64_t lun;
        iscsicore_lun(65535, &lun);
        snprintf(before, sizeof before, "%s", iscsicore_error_message());
    }
}

void check_end(const char *file, int line, const char *call, int wanted, int got) {
    checks++;
    if (got != wanted) {
        fail(file, line, call);
        fprintf(stderr, "    is %d (%s), and not %d (%s): %s\n", got, name_of(got), wanted, name_of(wanted),
                got == OK ? "" : iscsicore_error_message());
        return;
    }
    if (got == OK) {
        return;
    }
    const char *why = iscsicore_error_message();
    if (why == NULL || *why == 0 || strcmp(why, before) == 0) {
        fail(file, line, call);
        fprintf(stderr, "    fails as it should, but iscsicore_error_message does not say why\n");
    }
    if (memcmp(&out, &untouched, sizeof out) != 0) {
        fail(file, line, call);
        fprintf(stderr, "    fails as it should, but has written a result\n");
    }
}

void check_that(const char *file, int line, const char *what, bool holds) {
    checks++;
    if (!holds) {
        fail(file, line, what);
        fprintf(stderr, "    does not hold\n");
    }
}

void check_need(const char *file, int line, const char *call, int got) {
    if (got != OK) {
        fail(file, line, call);
        fprintf(stderr, "    is %d (%s): %s\n", got, name_of(got), iscsicore_error_message());
        exit(1);
    }
}

int check_done(const char *name) {
    fprintf(failures == 0 ? stdout : stderr, "%s: %u checks, %u failed\n", name, checks, failures);
    return failures != 0;
}

const uint8_t *seed(void) {
    static uint8_t bytes[32];
    for (size_t at = 0; at < sizeof bytes; at++) {
        bytes[at] = (uint8_t)(bytes[at] * 5 + at * 7 + 1);
    }
    bytes[0]++;
    return bytes;
}
