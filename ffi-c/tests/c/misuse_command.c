/* Commands of an initiator: what changes and tells of them, and the functions that make them. */
#include "misuse.h"

static unsigned char blocks[4 * BLOCK];
static const iscsicore_iovec whole = {blocks, sizeof blocks}, part = {blocks, BLOCK + 1};
static const iscsicore_payload data = {&whole, 1, NULL, NULL}, odd = {&part, 1, NULL, NULL}, none = {NULL, 0, NULL, NULL};
static iscsicore_command *command;

/* The call makes a command. */
#define WANT_MADE(call)                                                                                    \
    do {                                                                                                   \
        WANT_NEW(OK, command, call);                                                                       \
        NEED(iscsicore_command_free(command));                                                             \
    } while (0)

#define WANT_NOT_MADE(call) WANT_NEW(INVALID, command, call)

static void setters(void) {
    NEED(iscsicore_command_read(LUN_0, 0, 1, BLOCK, &command));
    WANT(NULL_POINTER, iscsicore_command_set_buffer(NULL, blocks, sizeof blocks));
    WANT(NULL_POINTER, iscsicore_command_set_buffer(command, NULL, 1));
    WANT(INVALID, iscsicore_command_set_buffer(command, blocks, SIZE_MAX));
    WANT(OK, iscsicore_command_set_buffer(command, blocks, 0));
    WANT(OK, iscsicore_command_set_buffer(command, NULL, 0));
    WANT(NULL_POINTER, iscsicore_command_set_context(NULL, blocks));
    WANT(OK, iscsicore_command_set_context(command, NULL));
    WANT(NULL_POINTER, iscsicore_command_set_timeout(NULL, 1));
    WANT(OK, iscsicore_command_set_timeout(command, UINT64_MAX - 1));
    WANT(NULL_POINTER, iscsicore_command_set_attribute(NULL, 1));
    WANT(NULL_POINTER, iscsicore_command_set_priority(NULL, 1));
    WANT(NULL_POINTER, iscsicore_command_set_repeat(NULL, 1));
    WANT(NULL_POINTER, iscsicore_command_set_transient(NULL, 1));
    WANT(NULL_POINTER, iscsicore_command_set_access(NULL, 1, 1));
    static const int numbers[] = {-1, 16, 255, 256, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof numbers / sizeof *numbers; at++) {
        WANT(INVALID, iscsicore_command_set_attribute(command, numbers[at]));
        WANT(INVALID, iscsicore_command_set_priority(command, numbers[at]));
        WANT(INVALID, iscsicore_command_set_repeat(command, numbers[at]));
        WANT(INVALID, iscsicore_command_set_transient(command, numbers[at]));
    }
    WANT(INVALID, iscsicore_command_set_attribute(command, 5));
    WANT(INVALID, iscsicore_command_set_repeat(command, 2));
    WANT(INVALID, iscsicore_command_set_transient(command, 2));
    WANT(NULL_POINTER, iscsicore_command_make_room(NULL, 1));
    WANT(OK, iscsicore_command_make_room(command, UINT32_MAX));
    WANT(OK, iscsicore_command_data_in(command, &out.u32));
    CHECK(out.u32 == BLOCK);
    WANT(OK, iscsicore_command_free(command));
    NEED(iscsicore_command_inquiry(LUN_0, &command));
    WANT(WRONG_STATE, iscsicore_command_set_access(command, 1, 0));
    WANT(OK, iscsicore_command_free(command));
    WANT(OK, iscsicore_command_free(NULL));
}

static void getters(void) {
    uint8_t cdb[16];
    size_t len;
    NEED(iscsicore_command_inquiry(LUN_0, &command));
    WANT(NULL_POINTER, iscsicore_command_stated_len(NULL, blocks, 5, &out.u32));
    WANT(NULL_POINTER, iscsicore_command_stated_len(command, NULL, 5, &out.u32));
    WANT(NULL_POINTER, iscsicore_command_stated_len(command, blocks, 5, NULL));
    WANT(INVALID, iscsicore_command_stated_len(command, blocks, SIZE_MAX, &out.u32));
    WANT(OK, iscsicore_command_stated_len(command, NULL, 0, &out.u32));
    CHECK(out.u32 == 0);
    WANT(NULL_POINTER, iscsicore_command_cdb(NULL, cdb, sizeof cdb, &out.size));
    WANT_LEN(NULL_POINTER, len, 6, iscsicore_command_cdb(command, NULL, sizeof cdb, &len));
    WANT(NULL_POINTER, iscsicore_command_cdb(command, cdb, sizeof cdb, NULL));
    WANT_LEN(TOO_SMALL, len, 6, iscsicore_command_cdb(command, cdb, 5, &len));
    WANT_LEN(TOO_SMALL, len, 6, iscsicore_command_cdb(command, NULL, 0, &len));
    WANT_LEN(OK, len, 6, iscsicore_command_cdb(command, cdb, 6, &len));
    CHECK(cdb[0] == 0x12);
    WANT(NULL_POINTER, iscsicore_command_data_in(NULL, &out.u32));
    WANT(NULL_POINTER, iscsicore_command_data_in(command, NULL));
    WANT(NULL_POINTER, iscsicore_command_data_out(NULL, &out.size));
    WANT(NULL_POINTER, iscsicore_command_data_out(command, NULL));
    WANT(OK, iscsicore_command_free(command));
}

static void any_command(void) {
    static const uint8_t cdb[261] = {0x28};
    WANT_NEW(NULL_POINTER, command, iscsicore_command_new(LUN_0, NULL, 10, 0, NULL, &command));
    WANT(NULL_POINTER, iscsicore_command_new(LUN_0, cdb, 10, 0, NULL, NULL));
    WANT_NOT_MADE(iscsicore_command_new(LUN_0, NULL, 0, 0, NULL, &command));
    WANT_NOT_MADE(iscsicore_command_new(LUN_0, cdb, 261, 0, NULL, &command));
    WANT_NOT_MADE(iscsicore_command_new(LUN_0, cdb, SIZE_MAX, 0, NULL, &command));
    WANT_NO_BAD_PAYLOAD(iscsicore_command_new(LUN_0, cdb, 10, 0, payload, &command));
    WANT_MADE(iscsicore_command_new(UINT64_MAX, cdb, 260, UINT32_MAX, NULL, &command));
    WANT_MADE(iscsicore_command_new(LUN_0, cdb, 1, 0, &data, &command));
    struct loans loans = {0, 0};
    iscsicore_iovec slices[2];
    iscsicore_payload lent = lend(&loans, blocks, BLOCK, slices, 2);
    WANT_NOT_MADE(iscsicore_command_new(LUN_0, cdb, 261, 0, &lent, &command));
    WANT_NOT_MADE(iscsicore_command_write(LUN_0, 0, &lent, 0, &command));
    CHECK(loans.released == 0);
    WANT_MADE(iscsicore_command_new(LUN_0, cdb, 10, 0, &lent, &command));
    CHECK(loans.released == 1);
}

void misuse_command(void) {
    setters();
    getters();
    any_command();
}

static void of_blocks(void) {
    WANT(NULL_POINTER, iscsicore_command_read(LUN_0, 0, 1, BLOCK, NULL));
    WANT_NOT_MADE(iscsicore_command_read(LUN_0, 0, 0, BLOCK, &command));
    WANT_NOT_MADE(iscsicore_command_read(LUN_0, 0, UINT32_MAX, BLOCK, &command));
    WANT_NOT_MADE(iscsicore_command_read(LUN_0, 0, 1, 0, &command));
    WANT_MADE(iscsicore_command_read(UINT64_MAX, UINT64_MAX, 1, UINT32_MAX, &command));
    WANT(NULL_POINTER, iscsicore_command_write(LUN_0, 0, &data, BLOCK, NULL));
    WANT_NOT_MADE(iscsicore_command_write(LUN_0, 0, NULL, BLOCK, &command));
    WANT_NOT_MADE(iscsicore_command_write(LUN_0, 0, &none, BLOCK, &command));
    WANT_NOT_MADE(iscsicore_command_write(LUN_0, 0, &odd, BLOCK, &command));
    WANT_NOT_MADE(iscsicore_command_write(LUN_0, 0, &data, 0, &command));
    WANT_NO_BAD_PAYLOAD(iscsicore_command_write(LUN_0, 0, payload, BLOCK, &command));
    WANT(NULL_POINTER, iscsicore_command_flush(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_flush_range(LUN_0, 0, 0, NULL));
    WANT_MADE(iscsicore_command_flush_range(UINT64_MAX, UINT64_MAX, UINT32_MAX, &command));
    WANT(NULL_POINTER, iscsicore_command_verify(LUN_0, 0, 1, NULL));
    WANT_NOT_MADE(iscsicore_command_verify(LUN_0, 0, 0, &command));
    WANT(NULL_POINTER, iscsicore_command_verify_data(LUN_0, 0, &data, BLOCK, NULL));
    WANT_NOT_MADE(iscsicore_command_verify_data(LUN_0, 0, NULL, BLOCK, &command));
    WANT_NOT_MADE(iscsicore_command_verify_data(LUN_0, 0, &odd, BLOCK, &command));
    WANT_NO_BAD_PAYLOAD(iscsicore_command_verify_data(LUN_0, 0, payload, BLOCK, &command));
    WANT(NULL_POINTER, iscsicore_command_compare_and_write(LUN_0, 0, &data, 2, NULL));
    WANT_NOT_MADE(iscsicore_command_compare_and_write(LUN_0, 0, NULL, 1, &command));
    WANT_NOT_MADE(iscsicore_command_compare_and_write(LUN_0, 0, &data, 0, &command));
    WANT_NOT_MADE(iscsicore_command_compare_and_write(LUN_0, 0, &odd, 2, &command));
    WANT_NO_BAD_PAYLOAD(iscsicore_command_compare_and_write(LUN_0, 0, payload, 1, &command));
}

static void of_space(void) {
    static const iscsicore_blocks range = {0, 1, 0};
    static iscsicore_blocks many[4096];
    WANT_NEW(NULL_POINTER, command, iscsicore_command_unmap(LUN_0, NULL, 1, &command));
    WANT(NULL_POINTER, iscsicore_command_unmap(LUN_0, &range, 1, NULL));
    WANT_NOT_MADE(iscsicore_command_unmap(LUN_0, NULL, 0, &command));
    WANT_NOT_MADE(iscsicore_command_unmap(LUN_0, many, 4096, &command));
    WANT_NOT_MADE(iscsicore_command_unmap(LUN_0, many, SIZE_MAX, &command));
    WANT_MADE(iscsicore_command_unmap(LUN_0, many, 4095, &command));
    WANT(NULL_POINTER, iscsicore_command_write_same(LUN_0, 0, 1, &data, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_write_same(LUN_0, 0, 1, NULL, 0, &command));
    WANT_NOT_MADE(iscsicore_command_write_same(LUN_0, 0, 0, &data, 0, &command));
    WANT_NOT_MADE(iscsicore_command_write_same(LUN_0, 0, 1, &data, 3, &command));
    WANT_NOT_MADE(iscsicore_command_write_same(LUN_0, 0, 1, &data, -1, &command));
    WANT_NO_BAD_PAYLOAD(iscsicore_command_write_same(LUN_0, 0, 1, payload, 0, &command));
    WANT(NULL_POINTER, iscsicore_command_write_zeroes(LUN_0, 0, 1, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_write_zeroes(LUN_0, 0, 0, 0, &command));
    WANT_NOT_MADE(iscsicore_command_write_zeroes(LUN_0, 0, 1, 3, &command));
    WANT(NULL_POINTER, iscsicore_command_get_lba_status(LUN_0, 0, 24, NULL));
    WANT_NOT_MADE(iscsicore_command_get_lba_status(LUN_0, 0, 23, &command));
}

static void of_information(void) {
    WANT(NULL_POINTER, iscsicore_command_test_unit_ready(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_inquiry(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_vpd(LUN_0, 0x83, NULL));
    WANT(NULL_POINTER, iscsicore_command_read_capacity_10(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_read_capacity_16(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_report_luns(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_request_sense(LUN_0, 1, NULL));
    WANT_MADE(iscsicore_command_request_sense(LUN_0, INT32_MIN, &command));
    WANT(NULL_POINTER, iscsicore_command_report_supported_opcodes(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_report_opcode_support(LUN_0, 0x12, -1, NULL));
    WANT_NOT_MADE(iscsicore_command_report_opcode_support(LUN_0, 0x12, -2, &command));
    WANT_NOT_MADE(iscsicore_command_report_opcode_support(LUN_0, 0x12, 65536, &command));
}

static void of_modes(void) {
    static uint8_t page[300] = {0x08, 18};
    WANT(NULL_POINTER, iscsicore_command_mode_sense_6(LUN_0, 0x08, 0, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_mode_sense_6(LUN_0, 0x08, 0, 4, &command));
    WANT_NOT_MADE(iscsicore_command_mode_sense_6(LUN_0, 0x08, 0, -1, &command));
    WANT(NULL_POINTER, iscsicore_command_mode_sense_10(LUN_0, 0x08, 0, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_mode_sense_10(LUN_0, 0x08, 0, 4, &command));
    WANT_NEW(NULL_POINTER, command, iscsicore_command_mode_select_6(LUN_0, NULL, 20, 0, &command));
    WANT(NULL_POINTER, iscsicore_command_mode_select_6(LUN_0, page, 20, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_mode_select_6(LUN_0, page, 19, 0, &command));
    WANT_NOT_MADE(iscsicore_command_mode_select_6(LUN_0, NULL, 0, 0, &command));
    WANT_NOT_MADE(iscsicore_command_mode_select_6(LUN_0, page, SIZE_MAX, 0, &command));
    WANT_NEW(NULL_POINTER, command, iscsicore_command_mode_select_10(LUN_0, NULL, 20, 0, &command));
    WANT(NULL_POINTER, iscsicore_command_mode_select_10(LUN_0, page, 20, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_mode_select_10(LUN_0, page, 21, 0, &command));
    WANT(NULL_POINTER, iscsicore_command_start_stop(LUN_0, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_start_stop(LUN_0, 4, &command));
    WANT_NOT_MADE(iscsicore_command_start_stop(LUN_0, -1, &command));
}

static void of_reservations(void) {
    WANT(NULL_POINTER, iscsicore_command_pr_in(LUN_0, 0, NULL));
    WANT_NOT_MADE(iscsicore_command_pr_in(LUN_0, 4, &command));
    WANT_NOT_MADE(iscsicore_command_pr_in(LUN_0, -1, &command));
    iscsicore_pr_out what;
    memset(&what, 0, sizeof what);
    WANT_SIZES(iscsicore_pr_out, what, iscsicore_command_pr_out(LUN_0, options, &command),
               NEED(iscsicore_command_free(command)));
    what.size = sizeof what;
    WANT_NEW(NULL_POINTER, command, iscsicore_command_pr_out(LUN_0, NULL, &command));
    WANT(NULL_POINTER, iscsicore_command_pr_out(LUN_0, &what, NULL));
    static const iscsicore_initiator_port ports[] = {
        {INITIATOR_NAME, NULL}, {INITIATOR_NAME, "00023d00000"}, {NOT_TEXT, NULL}, {INITIATOR_NAME, "00023d00000g"}};
    static const iscsicore_initiator_port nameless = {NULL, NULL};
    iscsicore_pr_out wrongs[11];
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        wrongs[at] = what;
    }
    wrongs[0].action = 9;
    wrongs[1].action = -1;
    wrongs[2].action = ISCSICORE_PR_OUT_ACTION_RESERVE, wrongs[2].reservation_type = 2;
    wrongs[3].action = ISCSICORE_PR_OUT_ACTION_RESERVE, wrongs[3].reservation_type = 256 + 1;
    wrongs[4].action = ISCSICORE_PR_OUT_ACTION_CLEAR, wrongs[4].initiators = ports, wrongs[4].initiator_count = 1;
    wrongs[5].action = ISCSICORE_PR_OUT_ACTION_REGISTER_AND_MOVE;
    wrongs[6].reserved = 1;
    wrongs[7].initiators = ports, wrongs[7].initiator_count = 2;
    wrongs[8].initiators = ports + 2, wrongs[8].initiator_count = 1;
    wrongs[9].initiators = ports + 3, wrongs[9].initiator_count = 1;
    wrongs[10].initiators = ports, wrongs[10].initiator_count = SIZE_MAX;
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        WANT_NOT_MADE(iscsicore_command_pr_out(LUN_0, &wrongs[at], &command));
    }
    what.initiator_count = 1;
    WANT_NEW(NULL_POINTER, command, iscsicore_command_pr_out(LUN_0, &what, &command));
    what.initiators = &nameless;
    WANT_NEW(NULL_POINTER, command, iscsicore_command_pr_out(LUN_0, &what, &command));
    WANT(NULL_POINTER, iscsicore_command_reserve_6(LUN_0, NULL));
    WANT(NULL_POINTER, iscsicore_command_release_6(LUN_0, NULL));
}

void misuse_builders(void) {
    of_blocks();
    of_space();
    of_information();
    of_modes();
    of_reservations();
}
