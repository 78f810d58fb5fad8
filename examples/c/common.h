/* What the examples share: time, chance, and what to do when the library says no. */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iscsicore.h>

/* The present, in nanoseconds. The library has no clock: it is told the time, since an origin that the program chooses. */
uint64_t now(void);

/* The time of poll(2) and epoll_wait(2) until `at`, in milliseconds: rounded up, and -1 for ever. */
int milliseconds_until(uint64_t at);

/* Fills a seed with what nobody can foresee: the library makes CHAP challenges and identifiers of it. */
void random_seed(uint8_t seed[32]);

/* Ends the program, with the library's words, when a call has failed that only a mistake in this program can make fail. */
void require(iscsicore_status status, const char *what);

/* A name and a secret for CHAP. */
struct account {
    char *name;
    uint8_t secret[256];
    size_t secret_len;
};

/* Reads NAME:FILE, where the first line of FILE is the secret. (On a command line itself everybody could see it.) */
bool read_account(const char *text, struct account *account);

#endif
