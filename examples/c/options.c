#define _GNU_SOURCE

#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char USAGE[] =
    "target_epoll [OPTION]...\n"
    "  --listen ADDRESS:PORT     where to listen; port 0: one that the system chooses (127.0.0.1:0)\n"
    "  --target NAME             a target; the disks that follow are its LUNs 0, 1, 2 ...\n"
    "  --disk FILE[:SIZE]        a disk; a file that does not exist is made when there is a SIZE (such as 64M)\n"
    "  --disk memory:SIZE        a disk in memory\n"
    "    --read-only, --thick, --block-size 4096    before a --disk: how that one is\n"
    "  --account NAME:FILE       CHAP: whom to let in; the secret is the first line of FILE\n"
    "  --mutual NAME:FILE        CHAP: how the target proves itself to initiators that ask\n"
    "  --chap-algorithm NAME     CHAP: one that is taken; md5, sha1, sha256 or sha3-256; all without this\n"
    "  --offer KEY=VALUE         an operational key, such as InitialR2T=Yes or HeaderDigest=CRC32C\n";

static const char DEFAULT_TARGET[] = "iqn.2026-01.dev.iscsicore:example-c";

static void refuse(const char *option, const char *why)
{
    fprintf(stderr, "%s: %s\n\n%s", option, why, USAGE);
    exit(EXIT_FAILURE);
}

/* More memory for a list, at the end of which one is to be added. */
static void *grown(void *list, size_t count, size_t size)
{
    list = realloc(list, (count + 1) * size);
    if (list == NULL)
        refuse("memory", "there is not enough");
    return list;
}

static uint32_t number(const char *option, const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value > most)
        refuse(option, "not a number, or too large");
    return (uint32_t)value;
}

/* A number of bytes, such as 4096, 512K, 64M, 2G or 1T; 0 when it is none. */
static uint64_t size_of(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    static const char units[] = "KMGT";
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
    bool whole = text[0] >= '0' && text[0] <= '9' && end[unit != NULL] == '\0';
    return whole && value <= (UINT64_MAX >> 1) >> shift ? (uint64_t)value << shift : 0;
}

static void add_target(struct options *options, const char *name)
{
    uint32_t target;
    require(iscsicore_host_config_add_target(options->config, name, NULL, &target), name);
    options->targets = grown(options->targets, options->target_count, sizeof *options->targets);
    options->targets[options->target_count++] = name;
    options->lun_count = 0;
}

/* Initiators tell disks apart by their serial numbers, so that these must be the same after a restart, and nobody else's. */
static void make_serial(char serial[17], const char *target, uint16_t lun)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *text = host; text != NULL; text = text == host ? target : NULL)
        for (const char *byte = text; *byte != '\0'; byte++)
            hash = (hash ^ (uint8_t)*byte) * 0x100000001b3;
    hash = (hash ^ lun) * 0x100000001b3;
    snprintf(serial, 17, "%016llx", (unsigned long long)hash);
}

struct next_disk {
    uint32_t block_size;
    bool read_only, thick;
};

static void add_disk(struct options *options, const char *text, const struct next_disk *how)
{
    if (options->target_count == 0)
        add_target(options, DEFAULT_TARGET);
    uint32_t target = options->target_count - 1;
    const char *colon = strrchr(text, ':');
    uint64_t size = colon != NULL ? size_of(colon + 1) : 0;
    char *path = size > 0 ? strndup(text, (size_t)(colon - text)) : strdup(text);
    if (path == NULL)
        refuse("memory", "there is not enough");
    bool memory = size > 0 && strcmp(path, "memory") == 0;
    struct disk *disk = disk_open(memory ? NULL : path, size, how->read_only && !memory);
    free(path);
    if (disk == NULL)
        exit(EXIT_FAILURE);
    if (disk_size(disk) % how->block_size != 0)
        refuse(text, "not a multiple of the block size");

    /* What initiators see of the disk. It holds no data: those are the program's affair. */
    char serial[17];
    make_serial(serial, options->targets[target], options->lun_count);
    iscsicore_unit_options unit = {
        .size = sizeof unit,
        .serial = serial,
        .blocks = disk_size(disk) / how->block_size,
        .block_size = how->block_size,
        .read_only = how->read_only,
        .thin = !how->thick && disk_can_unmap(disk),
    };
    uint32_t index;
    require(iscsicore_host_config_add_unit(options->config, &unit, &index), text);
    require(iscsicore_host_config_add_lun(options->config, target, NULL, options->lun_count++, index,
                                          ISCSICORE_ACCESS_READ_WRITE), text);
    options->disks = grown(options->disks, options->disk_count, sizeof(struct disk *));
    options->disks[options->disk_count++] = disk; /* units are numbered in their order */
}

static int word(const char *option, const char *value, const char *const *words)
{
    for (int i = 1; words[i] != NULL; i++)
        if (strcmp(value, words[i]) == 0)
            return i;
    refuse(option, "not a value of this key");
    return 0;
}

static void set_offer(iscsicore_offer *offer, char *text)
{
    static const char *const choices[] = {[ISCSICORE_CHOICE_YES] = "Yes", [ISCSICORE_CHOICE_NO] = "No", NULL};
    static const char *const digests[] = {
        [ISCSICORE_DIGEST_NONE] = "None",
        [ISCSICORE_DIGEST_PREFER_NONE] = "None,CRC32C",
        [ISCSICORE_DIGEST_PREFER_CRC32C] = "CRC32C,None",
        [ISCSICORE_DIGEST_CRC32C] = "CRC32C",
        NULL,
    };
    char *value = strchr(text, '=');
    if (value == NULL)
        refuse(text, "not KEY=VALUE");
    *value++ = '\0';
    if (strcmp(text, "HeaderDigest") == 0)
        offer->header_digest = word(text, value, digests);
    else if (strcmp(text, "DataDigest") == 0)
        offer->data_digest = word(text, value, digests);
    else if (strcmp(text, "InitialR2T") == 0)
        offer->initial_r2t = word(text, value, choices);
    else if (strcmp(text, "ImmediateData") == 0)
        offer->immediate_data = word(text, value, choices);
    else if (strcmp(text, "MaxRecvDataSegmentLength") == 0)
        offer->max_segment = number(text, value, UINT32_MAX);
    else if (strcmp(text, "MaxBurstLength") == 0)
        offer->max_burst = number(text, value, UINT32_MAX);
    else if (strcmp(text, "FirstBurstLength") == 0)
        offer->first_burst = number(text, value, UINT32_MAX);
    else if (strcmp(text, "MaxOutstandingR2T") == 0)
        offer->max_outstanding_r2t = (uint16_t)number(text, value, UINT16_MAX);
    else
        refuse(text, "not a key that can be offered");
}

static void add_algorithm(struct options *options, const char *name)
{
    static const char *const names[] = {
        [ISCSICORE_CHAP_ALGORITHM_MD5] = "md5",
        [ISCSICORE_CHAP_ALGORITHM_SHA1] = "sha1",
        [ISCSICORE_CHAP_ALGORITHM_SHA256] = "sha256",
        [ISCSICORE_CHAP_ALGORITHM_SHA3_256] = "sha3-256",
    };
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (names[i] != NULL && strcmp(name, names[i]) == 0 && options->algorithm_count < 4) {
            options->algorithms[options->algorithm_count++] = i;
            return;
        }
    }
    refuse("--chap-algorithm", "not an algorithm, or too many");
}

void options_read(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},     {"target", required_argument, NULL, 't'},
        {"disk", required_argument, NULL, 'd'},       {"read-only", no_argument, NULL, 'r'},
        {"thick", no_argument, NULL, 'k'},            {"block-size", required_argument, NULL, 'b'},
        {"account", required_argument, NULL, 'a'},    {"mutual", required_argument, NULL, 'm'},
        {"chap-algorithm", required_argument, NULL, 'c'},
        {"offer", required_argument, NULL, 'o'},      {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const struct next_disk plain = {.block_size = 512};
    struct next_disk next = plain;
    *options = (struct options){.listen = "127.0.0.1:0", .offer = {.size = sizeof options->offer}};
    require(iscsicore_host_config_new(&options->config), "configuration");
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'l': options->listen = optarg; break;
        case 't': add_target(options, optarg); break;
        case 'd': add_disk(options, optarg, &next); next = plain; break;
        case 'r': next.read_only = true; break;
        case 'k': next.thick = true; break;
        case 'b': next.block_size = number("--block-size", optarg, 4096); break;
        case 'a': if (!read_account(optarg, &options->account)) exit(EXIT_FAILURE); break;
        case 'm': if (!read_account(optarg, &options->mutual)) exit(EXIT_FAILURE); break;
        case 'c': add_algorithm(options, optarg); break;
        case 'o': set_offer(&options->offer, optarg); break;
        case 'h': fputs(USAGE, stdout); exit(EXIT_SUCCESS);
        default: refuse(argv[0], "what is that?");
        }
        if (next.block_size != 512 && next.block_size != 4096)
            refuse("--block-size", "it can be 512 or 4096");
    }
    if (optind < argc)
        refuse(argv[optind], "what is that?");
    if (options->disk_count == 0)
        add_disk(options, "memory:64M", &plain);
}

/* The accounts of a target, or of discovery. */
static void add_accounts(struct options *options, uint32_t target)
{
    const struct account *account = &options->account, *mutual = &options->mutual;
    if (account->name != NULL)
        require(iscsicore_host_config_add_account(options->config, target, account->name, account->secret,
                                                  account->secret_len, NULL), "--account");
    if (mutual->name != NULL)
        require(iscsicore_host_config_set_mutual(options->config, target, mutual->name, mutual->secret,
                                                 mutual->secret_len), "--mutual");
    if (options->algorithm_count > 0)
        require(iscsicore_host_config_set_chap_algorithms(options->config, target, options->algorithms,
                                                          options->algorithm_count), "--chap-algorithm");
}

void options_complete(struct options *options, const char *address)
{
    add_accounts(options, ISCSICORE_DISCOVERY);
    require(iscsicore_host_config_set_offer(options->config, ISCSICORE_DISCOVERY, &options->offer), "--offer");
    for (uint32_t target = 0; target < options->target_count; target++) {
        require(iscsicore_host_config_add_portal(options->config, target, 1, address, NULL), address);
        require(iscsicore_host_config_set_offer(options->config, target, &options->offer), "--offer");
        add_accounts(options, target);
    }
}

void options_free(struct options *options)
{
    for (uint32_t unit = 0; unit < options->disk_count; unit++)
        disk_close(options->disks[unit]);
    free(options->disks);
    free(options->targets);
    free(options->account.name);
    free(options->mutual.name);
    iscsicore_host_config_free(options->config);
}
