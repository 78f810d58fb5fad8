/* The configuration of a target server. */
#include "misuse.h"

static void units(iscsicore_host_config *config) {
    iscsicore_unit_options options = unit_options("0002");
    WANT(NULL_POINTER, iscsicore_host_config_add_unit(NULL, &options, &out.u32));
    WANT(NULL_POINTER, iscsicore_host_config_add_unit(config, NULL, &out.u32));
    WANT(NULL_POINTER, iscsicore_host_config_add_unit(config, &options, NULL));
    iscsicore_unit_options wrong = options;
    wrong.serial = NULL;
    WANT(NULL_POINTER, iscsicore_host_config_add_unit(config, &wrong, &out.u32));
    static const char *const serials[] = {"", NOT_TEXT, "\n",
                                          "12345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t at = 0; at < sizeof serials / sizeof *serials; at++) {
        wrong.serial = serials[at];
        WANT(INVALID, iscsicore_host_config_add_unit(config, &wrong, &out.u32));
    }
    iscsicore_unit_options wrongs[18];
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        wrongs[at] = options;
    }
    static const uint8_t naa[8] = {0x10};
    wrongs[0].vendor = "123456789";
    wrongs[1].product = NOT_TEXT;
    wrongs[2].revision = "\t";
    wrongs[3].naa = naa, wrongs[3].naa_len = sizeof naa;
    wrongs[4].blocks = 0;
    wrongs[5].blocks = UINT64_C(1) << 55;
    wrongs[6].block_size = 1024;
    wrongs[7].physical_block_size = 768;
    wrongs[8].physical_block_size = 256;
    wrongs[9].write_cache = 3;
    wrongs[10].write_cache = -1;
    wrongs[11].max_transfer = 1;
    wrongs[12].chunk = 4097;
    wrongs[13].max_unmap_descriptors = 4096;
    wrongs[14].task_functions = 0x2;
    wrongs[15].reserved = 1;
    wrongs[16].naa = naa, wrongs[16].naa_len = SIZE_MAX;
    wrongs[17].naa = NULL, wrongs[17].naa_len = 8;
    /* QUERY TASK SET is a function; 8 is none. */
    wrongs[14].task_functions = 0x8;
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        WANT(at == 17 ? (int)NULL_POINTER : (int)INVALID, iscsicore_host_config_add_unit(config, &wrongs[at], &out.u32));
    }
    WANT_SIZES(iscsicore_unit_options, options, iscsicore_host_config_add_unit(config, options, &out.u32), );
    CHECK(out.u32 != 0);
}

static void targets(iscsicore_host_config *config) {
    WANT(NULL_POINTER, iscsicore_host_config_add_target(NULL, TARGET_NAME "2", "x", &out.u32));
    WANT(NULL_POINTER, iscsicore_host_config_add_target(config, NULL, "x", &out.u32));
    WANT(NULL_POINTER, iscsicore_host_config_add_target(config, TARGET_NAME "2", "x", NULL));
    WANT(INVALID, iscsicore_host_config_add_target(config, "a name", "x", &out.u32));
    WANT(INVALID, iscsicore_host_config_add_target(config, NOT_TEXT, "x", &out.u32));
    WANT(INVALID, iscsicore_host_config_add_target(config, TARGET_NAME "2", NOT_TEXT, &out.u32));
    WANT(OK, iscsicore_host_config_add_target(config, TARGET_NAME "2", NULL, &out.u32));
    CHECK(out.u32 == 1);
    WANT(NULL_POINTER, iscsicore_host_config_add_portal(NULL, 1, 1, ADDRESS, ADDRESS));
    WANT(NULL_POINTER, iscsicore_host_config_add_portal(config, 1, 1, NULL, ADDRESS));
    WANT(OK, iscsicore_host_config_add_portal(config, 1, 1, ADDRESS, NULL));
    static const char *const none[] = {"", "localhost:3260", "127.0.0.1", "127.0.0.1:65536", "::1:3260", NOT_TEXT};
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        WANT(INVALID, iscsicore_host_config_add_portal(config, 1, 1, none[at], NULL));
    }
    WANT(INVALID, iscsicore_host_config_add_portal(config, 1, 1, ADDRESS, NOT_TEXT));
    WANT(UNKNOWN, iscsicore_host_config_add_portal(config, 2, 1, ADDRESS, NULL));
    WANT(UNKNOWN, iscsicore_host_config_add_portal(config, ISCSICORE_DISCOVERY, 1, ADDRESS, NULL));
    WANT(NULL_POINTER, iscsicore_host_config_add_lun(NULL, 1, INITIATOR_NAME, 0, 0, 0));
    WANT(OK, iscsicore_host_config_add_lun(config, 1, NULL, 0, 0, ISCSICORE_ACCESS_READ_ONLY));
    WANT(INVALID, iscsicore_host_config_add_lun(config, 1, NULL, 0, 0, 0));
    WANT(INVALID, iscsicore_host_config_add_lun(config, 1, NULL, 16384, 0, 0));
    WANT(INVALID, iscsicore_host_config_add_lun(config, 1, NULL, 1, 0, 2));
    WANT(INVALID, iscsicore_host_config_add_lun(config, 1, NULL, 1, 0, -1));
    WANT(INVALID, iscsicore_host_config_add_lun(config, 1, NOT_TEXT, 1, 0, 0));
    WANT(INVALID, iscsicore_host_config_add_lun(config, 1, "", 1, 0, 0));
    WANT(UNKNOWN, iscsicore_host_config_add_lun(config, 2, NULL, 1, 0, 0));
}

static void rules(iscsicore_host_config *config) {
    static const uint8_t secret[] = "0123456789abcdef";
    static const int algorithms[] = {5, 7}, twice[] = {5, 5}, none[] = {5, 4}, negative[] = {-5};
    WANT(NULL_POINTER, iscsicore_host_config_allow_initiator(NULL, 1, INITIATOR_NAME));
    WANT(NULL_POINTER, iscsicore_host_config_allow_initiator(config, 1, NULL));
    WANT(INVALID, iscsicore_host_config_allow_initiator(config, 1, NOT_TEXT));
    WANT(UNKNOWN, iscsicore_host_config_allow_initiator(config, 9, INITIATOR_NAME));
    WANT(UNKNOWN, iscsicore_host_config_allow_initiator(config, ISCSICORE_DISCOVERY, INITIATOR_NAME));
    WANT(NULL_POINTER, iscsicore_host_config_add_account(NULL, 1, "a", secret, 16, NULL));
    WANT(NULL_POINTER, iscsicore_host_config_add_account(config, 1, NULL, secret, 16, NULL));
    WANT(NULL_POINTER, iscsicore_host_config_add_account(config, 1, "a", NULL, 16, NULL));
    WANT(INVALID, iscsicore_host_config_add_account(config, 1, "a", secret, SIZE_MAX, NULL));
    WANT(INVALID, iscsicore_host_config_add_account(config, 1, NOT_TEXT, secret, 16, NULL));
    WANT(INVALID, iscsicore_host_config_add_account(config, 1, "a", secret, 16, NOT_TEXT));
    WANT(UNKNOWN, iscsicore_host_config_add_account(config, 9, "a", secret, 16, NULL));
    WANT(NULL_POINTER, iscsicore_host_config_set_mutual(NULL, 1, "b", secret, 16));
    WANT(NULL_POINTER, iscsicore_host_config_set_mutual(config, 1, NULL, secret, 16));
    WANT(NULL_POINTER, iscsicore_host_config_set_mutual(config, 1, "b", NULL, 16));
    WANT(INVALID, iscsicore_host_config_set_mutual(config, 1, NOT_TEXT, secret, 16));
    WANT(UNKNOWN, iscsicore_host_config_set_mutual(config, 9, "b", secret, 16));
    WANT(NULL_POINTER, iscsicore_host_config_set_chap_algorithms(NULL, 1, algorithms, 2));
    WANT(NULL_POINTER, iscsicore_host_config_set_chap_algorithms(config, 1, NULL, 2));
    WANT(INVALID, iscsicore_host_config_set_chap_algorithms(config, 1, NULL, 0));
    WANT(INVALID, iscsicore_host_config_set_chap_algorithms(config, 1, twice, 2));
    WANT(INVALID, iscsicore_host_config_set_chap_algorithms(config, 1, none, 2));
    WANT(INVALID, iscsicore_host_config_set_chap_algorithms(config, 1, negative, 1));
    WANT(INVALID, iscsicore_host_config_set_chap_algorithms(config, 1, algorithms, SIZE_MAX));
    WANT(UNKNOWN, iscsicore_host_config_set_chap_algorithms(config, 9, algorithms, 2));
}

static void bounds(iscsicore_host_config *config) {
    iscsicore_limits limits;
    iscsicore_node_limits of_all;
    iscsicore_offer offer;
    memset(&limits, 0, sizeof limits);
    memset(&of_all, 0, sizeof of_all);
    memset(&offer, 0, sizeof offer);
    WANT(NULL_POINTER, iscsicore_host_config_set_limits(NULL, NULL));
    WANT(OK, iscsicore_host_config_set_limits(config, NULL));
    WANT_SIZES(iscsicore_limits, limits, iscsicore_host_config_set_limits(config, options), );
    WANT(NULL_POINTER, iscsicore_host_config_set_node_limits(NULL, NULL));
    WANT(OK, iscsicore_host_config_set_node_limits(config, NULL));
    WANT_SIZES(iscsicore_node_limits, of_all, iscsicore_host_config_set_node_limits(config, options), );
    of_all.size = sizeof of_all;
    of_all.sessions = 65536;
    WANT(INVALID, iscsicore_host_config_set_node_limits(config, &of_all));
    WANT(NULL_POINTER, iscsicore_host_config_set_offer(NULL, 0, NULL));
    WANT(OK, iscsicore_host_config_set_offer(config, 0, NULL));
    WANT(UNKNOWN, iscsicore_host_config_set_offer(config, 9, NULL));
    WANT_SIZES(iscsicore_offer, offer, iscsicore_host_config_set_offer(config, 0, options), );
    offer.size = sizeof offer;
    iscsicore_offer wrongs[12];
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        wrongs[at] = offer;
    }
    wrongs[0].header_digest = 5;
    wrongs[1].header_digest = -1;
    wrongs[2].data_digest = INT32_MAX;
    wrongs[3].initial_r2t = 3;
    wrongs[4].immediate_data = INT32_MIN;
    wrongs[5].max_segment = 511;
    wrongs[6].max_burst = 1 << 24;
    wrongs[7].first_burst = 1;
    wrongs[8].time2wait = 3601;
    wrongs[9].time2retain = 3601;
    wrongs[10].max_burst = 512, wrongs[10].first_burst = 513;
    wrongs[11].reserved = 1;
    for (size_t at = 0; at < sizeof wrongs / sizeof *wrongs; at++) {
        WANT(INVALID, iscsicore_host_config_set_offer(config, ISCSICORE_DISCOVERY, &wrongs[at]));
    }
}

/* What a configuration says may contradict itself. */
static void contradictions(void) {
    struct terms terms = {0};
    static const uint8_t secret[] = "0123456789abcdef";
    iscsicore_host *host;
    iscsicore_unit_options options = unit_options("0001");
    for (int what = 0; what < 5; what++) {
        iscsicore_host_config *config = host_config(&terms);
        switch (what) {
        case 0: /* The serial number is taken. */
            NEED(iscsicore_host_config_add_unit(config, &options, &out.u32));
            break;
        case 1: /* There is no such unit. */
            NEED(iscsicore_host_config_add_lun(config, 0, INITIATOR_NAME, 1, 1, 0));
            break;
        case 2: /* The name is taken. */
            NEED(iscsicore_host_config_add_target(config, TARGET_NAME, NULL, &out.u32));
            NEED(iscsicore_host_config_add_portal(config, 1, 1, ADDRESS, NULL));
            break;
        case 3: /* It proves itself to those who need not. */
            NEED(iscsicore_host_config_set_mutual(config, 0, "b", secret, 16));
            break;
        default: /* One secret for both. */
            NEED(iscsicore_host_config_add_account(config, 0, "a", secret, 16, NULL));
            NEED(iscsicore_host_config_set_mutual(config, 0, "b", secret, 16));
        }
        WANT_NEW(INVALID, host, iscsicore_host_new(config, &host));
        NEED(iscsicore_host_config_free(config));
    }
}

void misuse_host_config(void) {
    struct terms terms = {0};
    iscsicore_host_config *config = host_config(&terms);
    WANT(NULL_POINTER, iscsicore_host_config_new(NULL));
    WANT(OK, iscsicore_host_config_free(NULL));
    units(config);
    targets(config);
    rules(config);
    bounds(config);
    contradictions();
    WANT(OK, iscsicore_host_config_free(config));
}
