/* What a program does first: it is compiled against the installed header and linked with the installed library in every
 * way that there is. Valid C11 and C++17. It exits with 0 when the library answered as the header says. */
#include <iscsicore.h>

#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
#define ASSERT_LAYOUT(condition) static_assert(condition, #condition)
#else
#define ASSERT_LAYOUT(condition) _Static_assert(condition, #condition)
#endif

/* The library is built with a struct iovec of its own: that of the system must be the same. */
ASSERT_LAYOUT(sizeof(iscsicore_iovec) == sizeof(void *) + sizeof(size_t));
ASSERT_LAYOUT(offsetof(struct iovec, iov_base) == 0);
ASSERT_LAYOUT(offsetof(struct iovec, iov_len) == sizeof(void *));
/* Enums are as large as an int: compilers have options to make them smaller, with which the header cannot be used. */
ASSERT_LAYOUT(sizeof(iscsicore_status) == sizeof(int));
ASSERT_LAYOUT(offsetof(iscsicore_limits, size) == 0);
ASSERT_LAYOUT(offsetof(iscsicore_offer, size) == 0);

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, iscsicore_error_message()); \
            return 1;                                                                            \
        }                                                                                        \
    } while (0)

#ifdef __cplusplus
extern "C" {
#endif
static void give_back(void *context) { ++*(int *)context; }
#ifdef __cplusplus
}
#endif

static int version(void) {
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", ISCSICORE_VERSION_MAJOR, ISCSICORE_VERSION_MINOR, ISCSICORE_VERSION_PATCH);
    CHECK(strcmp(text, iscsicore_version()) == 0);
    return 0;
}

static int failures(void) {
    iscsicore_receiver *receiver = NULL;
    iscsicore_limits limits;
    memset(&limits, 0, sizeof limits);
    CHECK(iscsicore_receiver_new(&limits, &receiver) == ISCSICORE_STATUS_INVALID_SIZE);
    CHECK(receiver == NULL);
    CHECK(strstr(iscsicore_error_message(), "iscsicore_limits") != NULL);
    CHECK(strcmp(iscsicore_status_text(ISCSICORE_STATUS_INVALID_SIZE), iscsicore_status_text(-1)) != 0);
    CHECK(iscsicore_receiver_new(NULL, NULL) == ISCSICORE_STATUS_NULL_POINTER);
    return 0;
}

/* Half a header read in place, then one that is lent in two pieces. */
static int halves(void) {
    iscsicore_receiver *receiver = NULL;
    iscsicore_transmitter *transmitter = NULL;
    iscsicore_limits limits;
    iscsicore_iovec slices[4];
    iscsicore_payload payload;
    char header[48] = {0};
    uint8_t *memory = NULL;
    size_t len = 0;
    int released = 0;

    memset(&limits, 0, sizeof limits);
    limits.size = sizeof limits;
    limits.read_buffer = 8192;
    CHECK(iscsicore_receiver_new(&limits, &receiver) == ISCSICORE_STATUS_OK);
    CHECK(iscsicore_receiver_want(receiver, &memory, &len) == ISCSICORE_STATUS_OK);
    CHECK(memory != NULL && len >= 24);
    memset(memory, 0, 24);
    CHECK(iscsicore_receiver_advance(receiver, 24) == ISCSICORE_STATUS_OK);
    CHECK(iscsicore_receiver_buffered(receiver, &len) == ISCSICORE_STATUS_OK);
    CHECK(len == 24);

    slices[0].iov_base = header;
    slices[0].iov_len = 7;
    slices[1].iov_base = header + 7;
    slices[1].iov_len = 10;
    payload.slices = slices;
    payload.count = 2;
    payload.release = give_back;
    payload.context = &released;
    CHECK(iscsicore_receiver_push(receiver, &payload) == ISCSICORE_STATUS_OK);
    CHECK(iscsicore_receiver_buffered(receiver, &len) == ISCSICORE_STATUS_OK);
    CHECK(len == 24 + 17);
    CHECK(iscsicore_receiver_free(receiver) == ISCSICORE_STATUS_OK);
    CHECK(released == 1);

    CHECK(iscsicore_transmitter_new(&transmitter) == ISCSICORE_STATUS_OK);
    len = 1;
    CHECK(iscsicore_transmitter_slices(transmitter, slices, 4, &len) == ISCSICORE_STATUS_OK);
    CHECK(len == 0);
    CHECK(iscsicore_transmitter_advance(transmitter, 1) == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(iscsicore_transmitter_free(transmitter) == ISCSICORE_STATUS_OK);
    return 0;
}

int main(void) {
    if (version() || failures() || halves())
        return 1;
    printf("libiscsicore %s\n", iscsicore_version());
    return 0;
}
