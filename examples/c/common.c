#define _GNU_SOURCE

#include "common.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int milliseconds_until(uint64_t at)
{
    uint64_t present = now();
    if (at == ISCSICORE_NEVER)
        return -1;
    if (at <= present)
        return 0;
    uint64_t wait = (at - present + 999999) / 1000000;
    return wait < INT_MAX ? (int)wait : INT_MAX;
}

void random_seed(uint8_t seed[32])
{
    if (getrandom(seed, 32, 0) != 32) {
        perror("getrandom");
        exit(EXIT_FAILURE);
    }
}

void require(iscsicore_status status, const char *what)
{
    if (status != ISCSICORE_STATUS_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, iscsicore_status_text((int)status), iscsicore_error_message());
        exit(EXIT_FAILURE);
    }
}

bool read_account(const char *text, struct account *account)
{
    const char *colon = strrchr(text, ':');
    FILE *file = colon != NULL ? fopen(colon + 1, "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", text, colon != NULL ? strerror(errno) : "not NAME:FILE");
        return false;
    }
    account->name = strndup(text, (size_t)(colon - text));
    account->secret_len = fread(account->secret, 1, sizeof account->secret, file);
    fclose(file);
    const uint8_t *end = memchr(account->secret, '\n', account->secret_len);
    if (end != NULL)
        account->secret_len = (size_t)(end - account->secret);
    return account->name != NULL && account->secret_len > 0;
}
