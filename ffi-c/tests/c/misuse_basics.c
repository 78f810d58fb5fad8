/* What belongs to no handle, and the two halves of a connection. */
#include "misuse.h"

#include <netinet/in.h>
#include <stdio.h>

static void *allocate(void *context, size_t len, size_t alignment) {
    (void)context, (void)len, (void)alignment;
    return NULL;
}

static void take_back(void *context, void *memory, size_t len, size_t alignment) {
    (void)context, (void)memory, (void)len, (void)alignment;
}

static void texts(void) {
    char version[32];
    int len = snprintf(version, sizeof version, "%d.%d.%d", ISCSICORE_VERSION_MAJOR, ISCSICORE_VERSION_MINOR,
                       ISCSICORE_VERSION_PATCH);
    CHECK(len > 0 && strcmp(iscsicore_version(), version) == 0);
    static const int none[] = {-1, 12, 255, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        CHECK(strcmp(iscsicore_status_text(none[at]), "unknown status") == 0);
        CHECK(strcmp(iscsicore_scsi_status_text(none[at]), "unknown status") == 0);
    }
    for (int status = OK; status <= ISCSICORE_STATUS_PANICKED; status++) {
        CHECK(strlen(iscsicore_status_text(status)) > 5);
        CHECK(strcmp(iscsicore_status_text(status), "unknown status") != 0);
    }
    CHECK(strcmp(iscsicore_scsi_status_text(2), "CHECK CONDITION") == 0);
    CHECK(strcmp(iscsicore_scsi_status_text(258), "unknown status") == 0);
}

static void late_allocator(void) {
    const iscsicore_allocator functions = {sizeof functions, allocate, take_back, NULL, NULL};
    WANT(NULL_POINTER, iscsicore_set_allocator(NULL));
    WANT(WRONG_STATE, iscsicore_set_allocator(&functions));
    iscsicore_allocator other = functions;
    other.allocate = NULL;
    WANT(NULL_POINTER, iscsicore_set_allocator(&other));
    other = functions;
    other.free = NULL;
    WANT(NULL_POINTER, iscsicore_set_allocator(&other));
    other = functions;
    other.size = 0;
    WANT(INVALID_SIZE, iscsicore_set_allocator(&other));
    other.size = 1;
    WANT(INVALID_SIZE, iscsicore_set_allocator(&other));
    other.size = sizeof other - 1;
    WANT(INVALID_SIZE, iscsicore_set_allocator(&other));
}

static void luns(void) {
    WANT(NULL_POINTER, iscsicore_lun(0, NULL));
    WANT(INVALID, iscsicore_lun(16384, &out.u64));
    WANT(OK, iscsicore_lun(16383, &out.u64));
    WANT(NULL_POINTER, iscsicore_lun_number(0, NULL));
    /* Of two levels, and a well known one. */
    WANT(INVALID, iscsicore_lun_number(UINT64_C(0x0001000200000000), &out.u16));
    WANT(INVALID, iscsicore_lun_number(UINT64_C(0xc101000000000000), &out.u16));
}

static void addresses(void) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    char text[80];
    size_t len;
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(3260);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(3260);
    v6.sin6_addr = in6addr_loopback;
    WANT(NULL_POINTER, iscsicore_address_text(NULL, sizeof v4, text, sizeof text, &out.size));
    WANT(NULL_POINTER, iscsicore_address_text(NULL, 0, text, sizeof text, &out.size));
    WANT(NULL_POINTER, iscsicore_address_text(&v4, sizeof v4, text, sizeof text, NULL));
    WANT_LEN(NULL_POINTER, len, 14, iscsicore_address_text(&v4, sizeof v4, NULL, sizeof text, &len));
    WANT_LEN(TOO_SMALL, len, 14, iscsicore_address_text(&v4, sizeof v4, NULL, 0, &len));
    WANT_LEN(TOO_SMALL, len, 14, iscsicore_address_text(&v4, sizeof v4, text, 14, &len));
    WANT_LEN(OK, len, 14, iscsicore_address_text(&v4, sizeof v4, text, 15, &len));
    CHECK(strcmp(text, ADDRESS) == 0);
    WANT_LEN(OK, len, 10, iscsicore_address_text(&v6, sizeof v6, text, sizeof text, &len));
    CHECK(strcmp(text, "[::1]:3260") == 0);
    WANT(INVALID, iscsicore_address_text(&v4, sizeof v4 - 1, text, sizeof text, &out.size));
    WANT(INVALID, iscsicore_address_text(&v6, sizeof v6 - 1, text, sizeof text, &out.size));
    WANT(INVALID, iscsicore_address_text(&v4, 0, text, sizeof text, &out.size));
    WANT(INVALID, iscsicore_address_text(&v4, 1, text, sizeof text, &out.size));
    WANT(INVALID, iscsicore_address_text(&v4, SIZE_MAX, text, sizeof text, &out.size));
    v4.sin_family = AF_UNSPEC;
    WANT(INVALID, iscsicore_address_text(&v4, sizeof v4, text, sizeof text, &out.size));
}

static void gathering(void) {
    char buffer[8] = "";
    size_t len;
    iscsicore_iovec slices[] = {{"one", 3}, {NULL, 0}, {"two", 3}};
    const iscsicore_iovec null = {NULL, 1}, endless[] = {{buffer, SIZE_MAX}, {buffer, SIZE_MAX}};
    WANT(NULL_POINTER, iscsicore_gather(NULL, 1, buffer, sizeof buffer, &out.size));
    WANT(NULL_POINTER, iscsicore_gather(slices, 3, buffer, sizeof buffer, NULL));
    WANT(NULL_POINTER, iscsicore_gather(&null, 1, buffer, sizeof buffer, &out.size));
    WANT(INVALID, iscsicore_gather(slices, SIZE_MAX, buffer, sizeof buffer, &out.size));
    WANT_LEN(NULL_POINTER, len, 6, iscsicore_gather(slices, 3, NULL, sizeof buffer, &len));
    WANT_LEN(TOO_SMALL, len, 6, iscsicore_gather(slices, 3, buffer, 5, &len));
    WANT_LEN(TOO_SMALL, len, SIZE_MAX, iscsicore_gather(endless, 2, buffer, sizeof buffer, &len));
    CHECK(*buffer == 0);
    WANT_LEN(OK, len, 6, iscsicore_gather(slices, 3, buffer, 6, &len));
    CHECK(strcmp(buffer, "onetwo") == 0);
    WANT_LEN(OK, len, 0, iscsicore_gather(NULL, 0, NULL, 0, &len));
}

void misuse_basics(void) {
    gathering();
    texts();
    late_allocator();
    luns();
    addresses();
}

static void receivers(void) {
    iscsicore_receiver *receiver;
    iscsicore_limits limits;
    uint8_t *memory;
    size_t len;
    memset(&limits, 0, sizeof limits);
    limits.size = sizeof limits;
    WANT_SIZES(iscsicore_limits, limits, iscsicore_receiver_new(options, &receiver),
               NEED(iscsicore_receiver_free(receiver)));
    WANT(NULL_POINTER, iscsicore_receiver_new(&limits, NULL));
    limits.read_buffer = 4095;
    WANT_NEW(INVALID, receiver, iscsicore_receiver_new(&limits, &receiver));
    limits.read_buffer = ((size_t)64 << 20) + 1;
    WANT_NEW(INVALID, receiver, iscsicore_receiver_new(&limits, &receiver));
    limits.read_buffer = 0;
    limits.reserved = 1;
    WANT_NEW(INVALID, receiver, iscsicore_receiver_new(&limits, &receiver));
    WANT_NEW(OK, receiver, iscsicore_receiver_new(NULL, &receiver));
    WANT(OK, iscsicore_receiver_free(NULL));
    WANT(NULL_POINTER, iscsicore_receiver_want(NULL, &out.memory, &out.size));
    WANT(NULL_POINTER, iscsicore_receiver_want(receiver, NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_receiver_want(receiver, &out.memory, NULL));
    WANT(NULL_POINTER, iscsicore_receiver_buffered(NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_receiver_buffered(receiver, NULL));
    WANT(NULL_POINTER, iscsicore_receiver_push(NULL, bad_payload(0)));
    WANT(OK, iscsicore_receiver_push(receiver, NULL));
    WANT_NO_BAD_PAYLOAD(iscsicore_receiver_push(receiver, payload));
    WANT(NULL_POINTER, iscsicore_receiver_advance(NULL, 0));
    WANT(OK, iscsicore_receiver_advance(receiver, 0));
    WANT(OK, iscsicore_receiver_want(receiver, &memory, &len));
    /* More than was wanted changes nothing. */
    WANT(INVALID, iscsicore_receiver_advance(receiver, len + 1));
    WANT(INVALID, iscsicore_receiver_advance(receiver, SIZE_MAX));
    memset(memory, 0, len);
    WANT(OK, iscsicore_receiver_advance(receiver, 1));
    WANT(OK, iscsicore_receiver_buffered(receiver, &out.size));
    CHECK(out.size == 1);
    WANT(OK, iscsicore_receiver_free(receiver));
}

static void transmitters(void) {
    iscsicore_transmitter *transmitter;
    WANT(NULL_POINTER, iscsicore_transmitter_new(NULL));
    WANT_NEW(OK, transmitter, iscsicore_transmitter_new(&transmitter));
    WANT(OK, iscsicore_transmitter_free(NULL));
    WANT(NULL_POINTER, iscsicore_transmitter_slices(NULL, out.slices, 1, &out.size));
    WANT(NULL_POINTER, iscsicore_transmitter_slices(transmitter, NULL, 1, &out.size));
    WANT(NULL_POINTER, iscsicore_transmitter_slices(transmitter, out.slices, 1, NULL));
    WANT(OK, iscsicore_transmitter_slices(transmitter, NULL, 0, &out.size));
    CHECK(out.size == 0);
    WANT(NULL_POINTER, iscsicore_transmitter_advance(NULL, 0));
    WANT(INVALID, iscsicore_transmitter_advance(transmitter, 1));
    WANT(INVALID, iscsicore_transmitter_advance(transmitter, SIZE_MAX));
    WANT(OK, iscsicore_transmitter_advance(transmitter, 0));
    WANT(NULL_POINTER, iscsicore_transmitter_queued(NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_transmitter_queued(transmitter, NULL));
    WANT(OK, iscsicore_transmitter_free(transmitter));
}

static void pools(void) {
    iscsicore_buffer_pool *pool;
    iscsicore_receiver *receiver;
    WANT(NULL_POINTER, iscsicore_buffer_pool_new(0, 1, NULL));
    WANT_NEW(INVALID, pool, iscsicore_buffer_pool_new(4095, 1, &pool));
    WANT_NEW(INVALID, pool, iscsicore_buffer_pool_new(SIZE_MAX, 1, &pool));
    WANT_NEW(INVALID, pool, iscsicore_buffer_pool_new(0, 65537, &pool));
    WANT_NEW(OK, pool, iscsicore_buffer_pool_new(4096, 0, &pool));
    NEED(iscsicore_receiver_new(NULL, &receiver));
    WANT(OK, iscsicore_buffer_pool_free(NULL));
    WANT(NULL_POINTER, iscsicore_buffer_pool_lend(NULL, receiver));
    WANT(NULL_POINTER, iscsicore_buffer_pool_lend(pool, NULL));
    WANT(NULL_POINTER, iscsicore_buffer_pool_take_back(NULL, receiver));
    WANT(NULL_POINTER, iscsicore_buffer_pool_take_back(pool, NULL));
    WANT(OK, iscsicore_buffer_pool_take_back(pool, receiver));
    WANT(OK, iscsicore_buffer_pool_lend(pool, receiver));
    WANT(OK, iscsicore_buffer_pool_lend(pool, receiver));
    /* A buffer that was lent stays with its receiver. */
    WANT(OK, iscsicore_buffer_pool_free(pool));
    uint8_t *memory;
    size_t len;
    WANT(OK, iscsicore_receiver_want(receiver, &memory, &len));
    NEED_THAT(len > 0);
    memset(memory, 0xff, len);
    WANT(OK, iscsicore_receiver_free(receiver));
}

void misuse_link(void) {
    receivers();
    transmitters();
    pools();
}
