/* What SCSI answers mean. */
#include "misuse.h"

/* A decoder of a struct: no bytes, too few bytes, too many to be memory, and no place for the result. Those that are given are
 * enough for it. */
#define WANT_DECODES(function, result, bytes, ...)                                                         \
    do {                                                                                                   \
        WANT(INVALID, function(bytes, 0, __VA_ARGS__ result));                                             \
        WANT(INVALID, function(bytes, SIZE_MAX, __VA_ARGS__ result));                                      \
        WANT(OK, function(bytes, sizeof bytes, __VA_ARGS__ result));                                       \
    } while (0)

static void sense(void) {
    static const uint8_t fixed[18] = {0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xc0, 0, 1};
    uint8_t bytes[64];
    char text[512];
    size_t len;
    WANT(NULL_POINTER, iscsicore_sense_decode(NULL, 18, &out.sense));
    WANT(NULL_POINTER, iscsicore_sense_decode(fixed, 18, NULL));
    WANT(INVALID, iscsicore_sense_decode(fixed, 0, &out.sense));
    WANT(INVALID, iscsicore_sense_decode(fixed, 2, &out.sense));
    WANT(INVALID, iscsicore_sense_decode(fixed + 1, 17, &out.sense));
    WANT(INVALID, iscsicore_sense_decode(fixed, SIZE_MAX, &out.sense));
    WANT(OK, iscsicore_sense_decode(fixed, 18, &out.sense));
    iscsicore_sense sense = out.sense;
    CHECK(sense.key == 5 && sense.asc == 0x24);
    WANT(NULL_POINTER, iscsicore_sense_encode(NULL, 0, bytes, sizeof bytes, &out.size));
    WANT_LEN(NULL_POINTER, len, 18, iscsicore_sense_encode(&sense, 0, NULL, sizeof bytes, &len));
    WANT(NULL_POINTER, iscsicore_sense_encode(&sense, 0, bytes, sizeof bytes, NULL));
    WANT_LEN(TOO_SMALL, len, 18, iscsicore_sense_encode(&sense, 0, bytes, 17, &len));
    WANT_LEN(OK, len, 18, iscsicore_sense_encode(&sense, 0, bytes, 18, &len));
    CHECK(memcmp(bytes, fixed, 18) == 0);
    iscsicore_sense wrong = sense;
    wrong.key = 16;
    WANT(INVALID, iscsicore_sense_encode(&wrong, 1, bytes, sizeof bytes, &out.size));
    wrong = sense;
    wrong.field_bit = 8;
    WANT(INVALID, iscsicore_sense_encode(&wrong, 1, bytes, sizeof bytes, &out.size));
    WANT(NULL_POINTER, iscsicore_sense_text(NULL, 18, text, sizeof text, &out.size));
    WANT(NULL_POINTER, iscsicore_sense_text(fixed, 18, text, sizeof text, NULL));
    WANT(INVALID, iscsicore_sense_text(fixed, 1, text, sizeof text, &out.size));
    WANT(OK, iscsicore_sense_text(fixed, 18, text, sizeof text, &out.size));
    len = out.size;
    CHECK(len > 10 && strlen(text) == len);
    size_t needed;
    WANT_LEN(NULL_POINTER, needed, len, iscsicore_sense_text(fixed, 18, NULL, sizeof text, &needed));
    WANT_LEN(TOO_SMALL, needed, len, iscsicore_sense_text(fixed, 18, text, len, &needed));
    WANT_LEN(TOO_SMALL, needed, len, iscsicore_sense_text(fixed, 18, NULL, 0, &needed));
    WANT_LEN(OK, needed, len, iscsicore_sense_text(fixed, 18, text, len + 1, &needed));
}

static void names(void) {
    static const uint8_t cdb[261] = {0x28};
    char text[128];
    size_t len;
    WANT(NULL_POINTER, iscsicore_cdb_name(NULL, 10, text, sizeof text, &out.size));
    WANT(NULL_POINTER, iscsicore_cdb_name(cdb, 10, text, sizeof text, NULL));
    WANT(INVALID, iscsicore_cdb_name(cdb, 0, text, sizeof text, &out.size));
    WANT(INVALID, iscsicore_cdb_name(cdb, 261, text, sizeof text, &out.size));
    WANT(INVALID, iscsicore_cdb_name(cdb, SIZE_MAX, text, sizeof text, &out.size));
    WANT_LEN(NULL_POINTER, len, 8, iscsicore_cdb_name(cdb, 10, NULL, sizeof text, &len));
    WANT_LEN(TOO_SMALL, len, 8, iscsicore_cdb_name(cdb, 10, text, 8, &len));
    WANT_LEN(OK, len, 8, iscsicore_cdb_name(cdb, 10, text, 9, &len));
    CHECK(strcmp(text, "READ(10)") == 0);
    for (size_t at = 1; at <= 260; at++) {
        WANT(OK, iscsicore_cdb_name(cdb, at, text, sizeof text, &len));
    }
}

static void lists(void) {
    static const uint8_t luns[24] = {0, 0, 0, 16, [17] = 1};
    static const uint8_t status[40] = {0, 0, 0, 36, [19] = 8, [20] = 1, [31] = 8, [35] = 8};
    static const uint8_t keys[24] = {0, 0, 0, 5, 0, 0, 0, 16, [15] = 1, [23] = 2};
    uint64_t numbers[2];
    uint32_t generation;
    iscsicore_lba_status entries[2];
    size_t count;
    WANT(NULL_POINTER, iscsicore_luns_decode(NULL, 24, numbers, 2, &out.size));
    WANT_LEN(NULL_POINTER, count, 2, iscsicore_luns_decode(luns, 24, NULL, 2, &count));
    WANT(NULL_POINTER, iscsicore_luns_decode(luns, 24, numbers, 2, NULL));
    WANT(INVALID, iscsicore_luns_decode(luns, 7, numbers, 2, &out.size));
    WANT(INVALID, iscsicore_luns_decode(luns, SIZE_MAX, numbers, 2, &out.size));
    WANT_LEN(TOO_SMALL, count, 2, iscsicore_luns_decode(luns, 24, numbers, 1, &count));
    WANT_LEN(TOO_SMALL, count, 2, iscsicore_luns_decode(luns, 24, NULL, 0, &count));
    WANT_LEN(OK, count, 0, iscsicore_luns_decode(luns, 8, NULL, 0, &count));
    WANT(NULL_POINTER, iscsicore_lba_status_decode(NULL, 40, entries, 2, &out.size));
    WANT_LEN(NULL_POINTER, count, 2, iscsicore_lba_status_decode(status, 40, NULL, 2, &count));
    WANT(NULL_POINTER, iscsicore_lba_status_decode(status, 40, entries, 2, NULL));
    WANT(INVALID, iscsicore_lba_status_decode(status, 7, entries, 2, &out.size));
    WANT_LEN(TOO_SMALL, count, 2, iscsicore_lba_status_decode(status, 40, entries, 1, &count));
    WANT_LEN(OK, count, 2, iscsicore_lba_status_decode(status, 40, entries, 2, &count));
    WANT(NULL_POINTER, iscsicore_pr_keys_decode(NULL, 24, &out.u32, numbers, 2, &count));
    WANT(NULL_POINTER, iscsicore_pr_keys_decode(keys, 24, NULL, numbers, 2, &out.size));
    WANT(NULL_POINTER, iscsicore_pr_keys_decode(keys, 24, &out.u32, numbers, 2, NULL));
    WANT_LEN(NULL_POINTER, count, 2, iscsicore_pr_keys_decode(keys, 24, &out.u32, NULL, 2, &count));
    WANT_LEN(TOO_SMALL, count, 2, iscsicore_pr_keys_decode(keys, 24, &out.u32, numbers, 1, &count));
    WANT(INVALID, iscsicore_pr_keys_decode(keys, 7, &out.u32, numbers, 2, &count));
    WANT_LEN(OK, count, 2, iscsicore_pr_keys_decode(keys, 24, &generation, numbers, 2, &count));
    CHECK(generation == 5 && numbers[1] == 2);
}

static void structs(void) {
    static const uint8_t capacity[32] = {[7] = 255, [10] = 2}, small[8] = {[3] = 255, [6] = 2}, no_bytes[8] = {[3] = 255};
    static const uint8_t inquiry[36] = {0, 0, 6, 2, 31}, reservation[8] = {0};
    WANT(NULL_POINTER, iscsicore_capacity_decode(NULL, 32, 1, &out.capacity));
    WANT(NULL_POINTER, iscsicore_capacity_decode(capacity, 32, 1, NULL));
    WANT_DECODES(iscsicore_capacity_decode, &out.capacity, capacity, 1,);
    WANT(INVALID, iscsicore_capacity_decode(capacity, 11, 1, &out.capacity));
    WANT(INVALID, iscsicore_capacity_decode(small, 7, 0, &out.capacity));
    /* Blocks of no bytes. */
    WANT(INVALID, iscsicore_capacity_decode(no_bytes, 8, 0, &out.capacity));
    WANT(OK, iscsicore_capacity_decode(small, 8, 0, &out.capacity));
    CHECK(out.capacity.blocks == 256 && out.capacity.block_size == 512);
    WANT(NULL_POINTER, iscsicore_inquiry_decode(NULL, 36, &out.inquiry));
    WANT(NULL_POINTER, iscsicore_inquiry_decode(inquiry, 36, NULL));
    WANT_DECODES(iscsicore_inquiry_decode, &out.inquiry, inquiry, );
    WANT(INVALID, iscsicore_inquiry_decode(inquiry, 4, &out.inquiry));
    WANT(NULL_POINTER, iscsicore_pr_reservation_decode(NULL, 8, &out.reservation));
    WANT(NULL_POINTER, iscsicore_pr_reservation_decode(reservation, 8, NULL));
    WANT_DECODES(iscsicore_pr_reservation_decode, &out.reservation, reservation, );
    WANT(INVALID, iscsicore_pr_reservation_decode(reservation, 7, &out.reservation));
}

void misuse_scsi(void) {
    sense();
    names();
    lists();
    structs();
}

static void pages_of_text(void) {
    static const uint8_t pages[7] = {0, 0, 0, 3, 0, 0x80, 0x83}, serial[8] = {0, 0x80, 0, 4, '0', '0', '0', '1'};
    static const uint8_t names[16] = {0, 0x83, 0, 12, 1, 3, 0, 8, 0x31, 1, 2, 3, 4, 5, 6, 7};
    uint8_t codes[3];
    char text[640];
    size_t len;
    WANT(NULL_POINTER, iscsicore_vpd_pages_decode(NULL, 7, codes, 3, &out.size));
    WANT_LEN(NULL_POINTER, len, 3, iscsicore_vpd_pages_decode(pages, 7, NULL, 3, &len));
    WANT(NULL_POINTER, iscsicore_vpd_pages_decode(pages, 7, codes, 3, NULL));
    WANT(INVALID, iscsicore_vpd_pages_decode(serial, 8, codes, 3, &out.size));
    WANT(INVALID, iscsicore_vpd_pages_decode(pages, 3, codes, 3, &out.size));
    WANT_LEN(TOO_SMALL, len, 3, iscsicore_vpd_pages_decode(pages, 7, codes, 2, &len));
    WANT_LEN(OK, len, 3, iscsicore_vpd_pages_decode(pages, 7, codes, 3, &len));
    WANT(NULL_POINTER, iscsicore_vpd_serial_decode(NULL, 8, text, sizeof text, &out.size));
    WANT_LEN(NULL_POINTER, len, 4, iscsicore_vpd_serial_decode(serial, 8, NULL, sizeof text, &len));
    WANT(NULL_POINTER, iscsicore_vpd_serial_decode(serial, 8, text, sizeof text, NULL));
    WANT(INVALID, iscsicore_vpd_serial_decode(pages, 7, text, sizeof text, &out.size));
    WANT_LEN(TOO_SMALL, len, 4, iscsicore_vpd_serial_decode(serial, 8, text, 4, &len));
    WANT_LEN(OK, len, 4, iscsicore_vpd_serial_decode(serial, 8, text, 5, &len));
    WANT(NULL_POINTER, iscsicore_vpd_designator_decode(NULL, 16, 0, &out.designator, text, sizeof text, &len));
    WANT(NULL_POINTER, iscsicore_vpd_designator_decode(names, 16, 0, NULL, text, sizeof text, &out.size));
    WANT_LEN(NULL_POINTER, len, 20, iscsicore_vpd_designator_decode(names, 16, 0, &out.designator, NULL, sizeof text, &len));
    WANT(NULL_POINTER, iscsicore_vpd_designator_decode(names, 16, 0, &out.designator, text, sizeof text, NULL));
    WANT(UNKNOWN, iscsicore_vpd_designator_decode(names, 16, 1, &out.designator, text, sizeof text, &len));
    WANT(UNKNOWN, iscsicore_vpd_designator_decode(names, 16, SIZE_MAX, &out.designator, text, sizeof text, &len));
    WANT(INVALID, iscsicore_vpd_designator_decode(pages, 7, 0, &out.designator, text, sizeof text, &len));
    WANT_LEN(TOO_SMALL, len, 20, iscsicore_vpd_designator_decode(names, 16, 0, &out.designator, text, 20, &len));
    WANT_LEN(OK, len, 20, iscsicore_vpd_designator_decode(names, 16, 0, &out.designator, text, 21, &len));
    CHECK(strcmp(text, "naa.3101020304050607") == 0 && out.designator.designator_type == 3);
}

void misuse_vpd(void) {
    static const uint8_t b0[64] = {0, 0xb0, 0, 60}, b1[64] = {0, 0xb1, 0, 60}, b2[8] = {0, 0xb2, 0, 4};
    static const uint8_t extended[64] = {0, 0x86, 0, 60};
    pages_of_text();
    WANT(NULL_POINTER, iscsicore_vpd_block_limits_decode(NULL, 64, &out.block_limits));
    WANT(NULL_POINTER, iscsicore_vpd_block_limits_decode(b0, 64, NULL));
    WANT(INVALID, iscsicore_vpd_block_limits_decode(b1, 64, &out.block_limits));
    WANT_DECODES(iscsicore_vpd_block_limits_decode, &out.block_limits, b0, );
    WANT(NULL_POINTER, iscsicore_vpd_block_characteristics_decode(NULL, 64, &out.characteristics));
    WANT(NULL_POINTER, iscsicore_vpd_block_characteristics_decode(b1, 64, NULL));
    WANT(INVALID, iscsicore_vpd_block_characteristics_decode(b2, 8, &out.characteristics));
    WANT_DECODES(iscsicore_vpd_block_characteristics_decode, &out.characteristics, b1, );
    WANT(NULL_POINTER, iscsicore_vpd_provisioning_decode(NULL, 8, &out.provisioning));
    WANT(NULL_POINTER, iscsicore_vpd_provisioning_decode(b2, 8, NULL));
    WANT(INVALID, iscsicore_vpd_provisioning_decode(b0, 64, &out.provisioning));
    WANT_DECODES(iscsicore_vpd_provisioning_decode, &out.provisioning, b2, );
    WANT(NULL_POINTER, iscsicore_vpd_extended_inquiry_decode(NULL, 64, &out.extended_inquiry));
    WANT(NULL_POINTER, iscsicore_vpd_extended_inquiry_decode(extended, 64, NULL));
    WANT(INVALID, iscsicore_vpd_extended_inquiry_decode(b0, 64, &out.extended_inquiry));
    WANT_DECODES(iscsicore_vpd_extended_inquiry_decode, &out.extended_inquiry, extended, );
}
