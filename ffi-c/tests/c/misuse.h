/* Every function of the library, used wrongly: a status each. The checks are WANTs of check.h; c.py makes sure that every
 * function occurs, and every pointer of every function as NULL. */
#ifndef MISUSE_H
#define MISUSE_H

#include "pair.h"

/* Not UTF-8. */
#define NOT_TEXT "\xff\xfe"
/* An id that was never given out. */
#define INVENTED UINT64_C(0x7654321012345678)

/* Payload that cannot be: with a release, which is not to be called. */
enum { BAD_PAYLOADS = 3 };
const iscsicore_payload *bad_payload(int which);
int bad_payload_status(int which);
bool bad_payload_released(void);

/* `call` uses `payload`, and answers each bad one with the status that it deserves. */
#define WANT_NO_BAD_PAYLOAD(call)                                                                          \
    do {                                                                                                   \
        for (int which = 0; which < BAD_PAYLOADS; which++) {                                               \
            const iscsicore_payload *payload = bad_payload(which);                                         \
            WANT(bad_payload_status(which), call);                                                         \
        }                                                                                                  \
        CHECK(!bad_payload_released());                                                                    \
    } while (0)

void misuse_basics(void);
void misuse_link(void);
void misuse_host_config(void);
void misuse_host(void);
void misuse_jobs(void);
void misuse_unit(void);
void misuse_target_login(void);
void misuse_target_session(void);
void misuse_scsi(void);
void misuse_vpd(void);
void misuse_command(void);
void misuse_builders(void);
void misuse_nexus(void);
void misuse_simple(void);
void misuse_late(void);
void misuse_callbacks(void);

#endif
