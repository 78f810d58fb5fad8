/* A disk by itself, and the commands of it. */
#include "misuse.h"

enum { NEXUS = 7 };

static const uint8_t READ_1[10] = {0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, WRITE_1[10] = {0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0};
static const uint8_t LBA_STATUS[16] = {0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0};
static const uint8_t LUNS[12] = {0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};

static iscsicore_unit *new_unit(const char *serial) {
    iscsicore_unit *unit;
    iscsicore_unit_options options = unit_options(serial);
    NEED(iscsicore_unit_new(&options, &unit));
    NEED(iscsicore_unit_attach(unit, NEXUS, 0));
    return unit;
}

/* A command that the unit takes: the unit attention of power on was told before. */
static iscsicore_disk_command *begun(iscsicore_unit *unit, const uint8_t *cdb, size_t len) {
    static const uint8_t ready[6];
    iscsicore_disk_command *command;
    NEED(iscsicore_unit_start(unit, NEXUS, ready, sizeof ready, ISCSICORE_TASK_ATTRIBUTE_SIMPLE, 0, 0, &command));
    NEED(iscsicore_disk_command_free(command));
    NEED(iscsicore_unit_start(unit, NEXUS, cdb, len, ISCSICORE_TASK_ATTRIBUTE_SIMPLE, BLOCK, BLOCK, &command));
    return command;
}

static iscsicore_step step_of(iscsicore_disk_command *command) {
    const iscsicore_step *step;
    NEED(iscsicore_disk_command_step(command, &step));
    return *step;
}

static void settings(iscsicore_unit *unit) {
    WANT(NULL_POINTER, iscsicore_unit_attach(NULL, NEXUS, 0));
    WANT(OK, iscsicore_unit_attach(unit, NEXUS, 1));
    WANT(NULL_POINTER, iscsicore_unit_detach(NULL, NEXUS));
    WANT(UNKNOWN, iscsicore_unit_detach(unit, NEXUS + 1));
    WANT(NULL_POINTER, iscsicore_unit_set_access(NULL, NEXUS, 0));
    WANT(UNKNOWN, iscsicore_unit_set_access(unit, NEXUS + 1, 0));
    WANT(INVALID, iscsicore_unit_set_access(unit, NEXUS, 2));
    WANT(INVALID, iscsicore_unit_set_access(unit, NEXUS, -1));
    WANT(NULL_POINTER, iscsicore_unit_set_port(NULL, NEXUS, "port", 1));
    WANT(NULL_POINTER, iscsicore_unit_set_port(unit, NEXUS, NULL, 1));
    WANT(INVALID, iscsicore_unit_set_port(unit, NEXUS, "", 1));
    WANT(INVALID, iscsicore_unit_set_port(unit, NEXUS, NOT_TEXT, 1));
    WANT(INVALID, iscsicore_unit_set_port(unit, NEXUS, "port", 0));
    WANT(UNKNOWN, iscsicore_unit_set_port(unit, NEXUS + 1, "port", 1));
    WANT(NULL_POINTER, iscsicore_unit_reset(NULL, 1));
    static const int causes[] = {0, 4, -1, INT32_MAX};
    for (size_t at = 0; at < sizeof causes / sizeof *causes; at++) {
        WANT(INVALID, iscsicore_unit_reset(unit, causes[at]));
    }
    WANT(NULL_POINTER, iscsicore_unit_resize(NULL, 1));
    WANT(INVALID, iscsicore_unit_resize(unit, 0));
    WANT(INVALID, iscsicore_unit_resize(unit, UINT64_C(1) << 55));
    WANT(NULL_POINTER, iscsicore_unit_blocks(NULL, &out.u64, NULL));
    uint32_t block_size;
    WANT(NULL_POINTER, iscsicore_unit_blocks(unit, NULL, &out.u32));
    WANT(OK, iscsicore_unit_blocks(unit, &out.u64, NULL));
    CHECK(out.u64 == BLOCKS);
    WANT(OK, iscsicore_unit_blocks(unit, &out.u64, &block_size));
    CHECK(block_size == BLOCK);
    WANT(NULL_POINTER, iscsicore_unit_tasks_cleared(NULL, NEXUS, NEXUS));
    WANT(OK, iscsicore_unit_tasks_cleared(unit, INVENTED, INVENTED + 1));
    WANT(NULL_POINTER, iscsicore_unit_tasks_terminated(NULL, NEXUS));
    WANT(UNKNOWN, iscsicore_unit_tasks_terminated(unit, INVENTED));
    WANT(NULL_POINTER, iscsicore_unit_luns_changed(NULL, NEXUS, 0));
    WANT(UNKNOWN, iscsicore_unit_luns_changed(unit, INVENTED, 0));
    WANT(UNKNOWN, iscsicore_unit_luns_changed(unit, INVENTED, 1));
}

static void starting(iscsicore_unit *unit) {
    iscsicore_disk_command *command;
    static const uint8_t long_cdb[261] = {0x7f};
    WANT_NEW(NULL_POINTER, command, iscsicore_unit_start(NULL, NEXUS, READ_1, 10, 1, 512, 0, &command));
    WANT_NEW(NULL_POINTER, command, iscsicore_unit_start(unit, NEXUS, NULL, 10, 1, 512, 0, &command));
    WANT(NULL_POINTER, iscsicore_unit_start(unit, NEXUS, READ_1, 10, 1, 512, 0, NULL));
    WANT_NEW(INVALID, command, iscsicore_unit_start(unit, NEXUS, READ_1, 0, 1, 512, 0, &command));
    WANT_NEW(INVALID, command, iscsicore_unit_start(unit, NEXUS, long_cdb, 261, 1, 512, 0, &command));
    WANT_NEW(INVALID, command, iscsicore_unit_start(unit, NEXUS, READ_1, SIZE_MAX, 1, 512, 0, &command));
    static const int attributes[] = {-1, 5, 254, 256};
    for (size_t at = 0; at < sizeof attributes / sizeof *attributes; at++) {
        WANT_NEW(INVALID, command, iscsicore_unit_start(unit, NEXUS, READ_1, 10, attributes[at], 512, 0, &command));
    }
    /* What is wrong with a command itself, its initiator is told. */
    for (size_t len = 1; len <= 260; len += 37) {
        WANT_NEW(OK, command, iscsicore_unit_start(unit, NEXUS, long_cdb, len, 255, UINT32_MAX, UINT32_MAX, &command));
        CHECK(step_of(command).kind == ISCSICORE_STEP_KIND_DONE);
        NEED(iscsicore_disk_command_free(command));
    }
    WANT_NEW(UNKNOWN, command, iscsicore_unit_start(unit, INVENTED, READ_1, 10, 1, 512, 0, &command));
    WANT(OK, iscsicore_disk_command_free(NULL));

    static const uint64_t luns[] = {0};
    WANT_NEW(NULL_POINTER, command, iscsicore_disk_command_report_luns(NULL, 12, luns, 1, &command));
    WANT_NEW(NULL_POINTER, command, iscsicore_disk_command_report_luns(LUNS, 12, NULL, 1, &command));
    WANT(NULL_POINTER, iscsicore_disk_command_report_luns(LUNS, 12, luns, 1, NULL));
    WANT_NEW(INVALID, command, iscsicore_disk_command_report_luns(LUNS, 0, luns, 1, &command));
    WANT_NEW(INVALID, command, iscsicore_disk_command_report_luns(LUNS, 12, luns, SIZE_MAX, &command));
    static const uint64_t many[16385];
    WANT_NEW(INVALID, command, iscsicore_disk_command_report_luns(LUNS, 12, many, 16385, &command));
    WANT_NEW(OK, command, iscsicore_disk_command_report_luns(LUNS, 12, NULL, 0, &command));
    WANT(WRONG_STATE, iscsicore_unit_resume(unit, command, 0, 0));
    NEED(iscsicore_disk_command_free(command));
    WANT_NEW(NULL_POINTER, command, iscsicore_disk_command_absent_unit(NULL, 10, &command));
    WANT(NULL_POINTER, iscsicore_disk_command_absent_unit(READ_1, 10, NULL));
    WANT_NEW(INVALID, command, iscsicore_disk_command_absent_unit(READ_1, 0, &command));
    WANT_NEW(INVALID, command, iscsicore_disk_command_absent_unit(long_cdb, 261, &command));
}

/* A command that waits for neither data nor an operation of this kind. */
static void waits_for_another(iscsicore_unit *unit, iscsicore_disk_command *command) {
    iscsicore_payload empty = {NULL, 0, NULL, NULL};
    iscsicore_extent extent = {BLOCK, 1};
    iscsicore_step step = step_of(command);
    int operation = step.kind == ISCSICORE_STEP_KIND_IO ? (int)INVALID : (int)WRONG_STATE;
    if (step.op == NULL || step.op->kind != ISCSICORE_OP_KIND_READ) {
        WANT(operation, iscsicore_unit_resume_read(unit, command, &empty));
    }
    if (step.op == NULL || step.op->kind != ISCSICORE_OP_KIND_EXTENTS) {
        WANT(operation, iscsicore_unit_resume_extents(unit, command, &extent, 1));
    }
    if (step.kind != ISCSICORE_STEP_KIND_NEED_DATA) {
        WANT(WRONG_STATE, iscsicore_unit_resume_data(unit, command, &empty));
    }
    if (step.kind != ISCSICORE_STEP_KIND_IO) {
        WANT(WRONG_STATE, iscsicore_unit_resume(unit, command, ISCSICORE_IO_DONE, 0));
    }
}

/* The initiator is gone, and so are the blocks: the command goes on all the same. */
static void gone_meanwhile(iscsicore_unit *unit) {
    iscsicore_disk_command *command = begun(unit, READ_1, 10);
    WANT(OK, iscsicore_unit_detach(unit, NEXUS));
    WANT(OK, iscsicore_unit_resize(unit, 1));
    WANT(OK, iscsicore_unit_resume(unit, command, ISCSICORE_IO_MEDIUM_ERROR, UINT64_MAX));
    CHECK(step_of(command).kind == ISCSICORE_STEP_KIND_DONE && step_of(command).reply->status == 2);
    WANT(OK, iscsicore_unit_resize(unit, BLOCKS));
    WANT(OK, iscsicore_unit_attach(unit, NEXUS, 1));
    WANT(OK, iscsicore_disk_command_free(command));
}

static void resuming(iscsicore_unit *unit, iscsicore_unit *other) {
    static unsigned char block[BLOCK];
    iscsicore_iovec slice = {block, BLOCK};
    iscsicore_payload data = {&slice, 1, NULL, NULL};
    iscsicore_extent extent = {UINT64_MAX, 1};
    iscsicore_disk_command *read = begun(unit, READ_1, 10), *write = begun(unit, WRITE_1, 10);
    iscsicore_disk_command *extents = begun(unit, LBA_STATUS, 16);
    CHECK(step_of(read).kind == ISCSICORE_STEP_KIND_IO && step_of(write).kind == ISCSICORE_STEP_KIND_NEED_DATA);
    NEED_THAT(step_of(extents).op != NULL && step_of(extents).op->kind == ISCSICORE_OP_KIND_EXTENTS);
    WANT(NULL_POINTER, iscsicore_disk_command_step(NULL, &out.step));
    WANT(NULL_POINTER, iscsicore_disk_command_step(read, NULL));
    WANT(NULL_POINTER, iscsicore_unit_resume(NULL, read, ISCSICORE_IO_FAILED, 0));
    WANT(NULL_POINTER, iscsicore_unit_resume(unit, NULL, ISCSICORE_IO_FAILED, 0));
    WANT(NULL_POINTER, iscsicore_unit_resume_read(NULL, read, &data));
    WANT(NULL_POINTER, iscsicore_unit_resume_read(unit, NULL, &data));
    WANT(INVALID, iscsicore_unit_resume_read(unit, read, NULL));
    WANT(NULL_POINTER, iscsicore_unit_resume_extents(NULL, extents, &extent, 1));
    WANT(NULL_POINTER, iscsicore_unit_resume_extents(unit, NULL, &extent, 1));
    WANT(NULL_POINTER, iscsicore_unit_resume_extents(unit, extents, NULL, 1));
    WANT(NULL_POINTER, iscsicore_unit_resume_data(NULL, write, &data));
    WANT(NULL_POINTER, iscsicore_unit_resume_data(unit, NULL, &data));
    iscsicore_disk_command *all[] = {read, write, extents};
    for (size_t at = 0; at < 3; at++) {
        waits_for_another(unit, all[at]);
        WANT(INVALID, iscsicore_unit_resume(other, all[at], ISCSICORE_IO_FAILED, 0));
        WANT(INVALID, iscsicore_unit_resume_read(other, all[at], &data));
        WANT(INVALID, iscsicore_unit_resume_extents(other, all[at], &extent, 1));
        WANT(INVALID, iscsicore_unit_resume_data(other, all[at], &data));
    }
    WANT(INVALID, iscsicore_unit_resume(unit, read, ISCSICORE_IO_DONE, 0));
    WANT(INVALID, iscsicore_unit_resume(unit, read, 0, 0));
    WANT(INVALID, iscsicore_unit_resume(unit, read, 7, 0));
    WANT(INVALID, iscsicore_unit_resume(unit, read, -1, 0));
    WANT_NO_BAD_PAYLOAD(iscsicore_unit_resume_read(unit, read, payload));
    WANT_NO_BAD_PAYLOAD(iscsicore_unit_resume_data(unit, write, payload));
    slice.iov_len = BLOCK - 1;
    WANT(INVALID, iscsicore_unit_resume_read(unit, read, &data));
    slice.iov_len = BLOCK;
    WANT(OK, iscsicore_unit_resume_read(unit, read, &data));
    waits_for_another(unit, read);
    WANT(WRONG_STATE, iscsicore_unit_resume(unit, read, ISCSICORE_IO_FAILED, 0));
    gone_meanwhile(unit);
    /* Data that an initiator did not send is its own mistake. */
    WANT(OK, iscsicore_unit_resume_data(unit, write, NULL));
    WANT(OK, iscsicore_disk_command_step(write, &out.step));
    /* Commands from before a reset can only be freed, and so can those of a unit that is gone. */
    WANT(OK, iscsicore_unit_reset(unit, ISCSICORE_RESET_CAUSE_TARGET));
    WANT(WRONG_STATE, iscsicore_unit_resume_extents(unit, extents, &extent, 1));
    for (size_t at = 0; at < 3; at++) {
        WANT(OK, iscsicore_disk_command_free(all[at]));
    }
}

void misuse_unit(void) {
    iscsicore_unit_options options = unit_options("0001");
    iscsicore_unit *unit, *other = new_unit("0002");
    WANT_NEW(NULL_POINTER, unit, iscsicore_unit_new(NULL, &unit));
    WANT(NULL_POINTER, iscsicore_unit_new(&options, NULL));
    WANT_SIZES(iscsicore_unit_options, options, iscsicore_unit_new(options, &unit), NEED(iscsicore_unit_free(unit)));
    options.serial = "";
    WANT_NEW(INVALID, unit, iscsicore_unit_new(&options, &unit));
    unit = new_unit("0001");
    settings(unit);
    starting(unit);
    resuming(unit, other);
    iscsicore_disk_command *command = begun(unit, READ_1, 10);
    WANT(OK, iscsicore_unit_free(NULL));
    WANT(OK, iscsicore_unit_free(unit));
    CHECK(step_of(command).op->len == BLOCK);
    WANT(INVALID, iscsicore_unit_resume(other, command, ISCSICORE_IO_FAILED, 0));
    WANT(OK, iscsicore_disk_command_free(command));
    WANT(OK, iscsicore_unit_free(other));
}
