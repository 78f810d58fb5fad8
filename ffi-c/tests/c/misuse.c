#include "misuse.h"

static bool released;

static void release(void *context) {
    (void)context;
    released = true;
}

const iscsicore_payload *bad_payload(int which) {
    static char byte;
    static const iscsicore_iovec null = {NULL, 1}, endless[] = {{&byte, SIZE_MAX / 2}, {&byte, SIZE_MAX / 2}};
    static const iscsicore_payload payloads[BAD_PAYLOADS] = {
        {NULL, 1, release, NULL},
        {&null, 1, release, NULL},
        {endless, 2, release, NULL},
    };
    return &payloads[which];
}

int bad_payload_status(int which) {
    return which < 2 ? (int)NULL_POINTER : (int)INVALID;
}

bool bad_payload_released(void) {
    return released;
}

int main(void) {
    misuse_basics();
    misuse_link();
    misuse_host_config();
    misuse_host();
    misuse_jobs();
    misuse_unit();
    misuse_target_login();
    misuse_target_session();
    misuse_scsi();
    misuse_vpd();
    misuse_command();
    misuse_builders();
    misuse_nexus();
    misuse_simple();
    misuse_late();
    misuse_callbacks();
    return check_done("misuse");
}
