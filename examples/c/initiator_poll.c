/* An iSCSI initiator on poll(2): copies a logical unit to a file, or to the standard output.
 *
 *     initiator_poll [--account NAME:FILE] HOST:PORT TARGET LUN [FILE]
 *
 * The library does no I/O: its nexus says when to dial and when to hang up, and takes and gives bytes. Several reads are on
 * their way at a time, each into a buffer of its own: the payload goes there straight from the socket. A connection that is
 * lost is dialed again, and reads that had no answer are sent again, without a line about it here.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common.h"
#include "net.h"

#define DEPTH 8
#define CHUNK (256 * 1024) /* bytes of one read */

struct chunk {
    uint64_t task; /* the read that is on its way; 0: it is done, and waits for those before it to be written */
    size_t len;
    uint8_t *buffer;
};

struct client {
    iscsicore_nexus *nexus;
    uint64_t lun;
    int output;

    struct dial dial;
    int fd;         /* -1: no connection */
    bool connected; /* and not still dialing */
    iscsicore_receiver *rx;
    iscsicore_transmitter *tx;

    uint64_t capacity_task;
    uint32_t block_size;
    uint64_t blocks;
    uint64_t submitted, written;  /* blocks */
    struct chunk chunks[DEPTH];   /* a ring */
    size_t first, count;

    bool failed, ended;
};

/* ---- what is read ---- */

/* Ends it all; the log out is left to the loop. */
static void give_up(struct client *c, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    if (!c->failed)
        require(iscsicore_nexus_logout(c->nexus, now()), "logout");
    c->failed = true;
}

static uint64_t submit(struct client *c, iscsicore_command *command)
{
    uint64_t task;
    require(iscsicore_nexus_submit(c->nexus, now(), command, &task), "submit");
    iscsicore_command_free(command);
    return task;
}

/* Keeps reads on their way, as long as there are buffers and blocks. */
static void read_ahead(struct client *c)
{
    while (c->count < DEPTH && c->submitted < c->blocks) {
        struct chunk *chunk = &c->chunks[(c->first + c->count++) % DEPTH];
        uint64_t left = c->blocks - c->submitted, most = CHUNK / c->block_size;
        uint32_t blocks = (uint32_t)(left < most ? left : most);
        iscsicore_command *command;
        require(iscsicore_command_read(c->lun, c->submitted, blocks, c->block_size, &command), "READ");
        chunk->len = (size_t)blocks * c->block_size;
        require(iscsicore_command_set_buffer(command, chunk->buffer, chunk->len), "buffer");
        chunk->task = submit(c, command);
        c->submitted += blocks;
    }
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno != EINTR)
            return false;
        bytes += written > 0 ? written : 0;
        len -= (size_t)(written > 0 ? written : 0);
    }
    return true;
}

/* Reads end in any order. They are written in theirs. */
static void write_what_is_there(struct client *c)
{
    for (; c->count > 0 && c->chunks[c->first].task == 0; c->count--) {
        const struct chunk *chunk = &c->chunks[c->first];
        if (!write_all(c->output, chunk->buffer, chunk->len)) {
            give_up(c, "output", strerror(errno));
            return;
        }
        c->written += chunk->len / c->block_size;
        c->first = (c->first + 1) % DEPTH;
    }
    if (c->written == c->blocks)
        require(iscsicore_nexus_logout(c->nexus, now()), "logout");
    else
        read_ahead(c);
}

static void take_capacity(struct client *c, const iscsicore_completed_event *answer)
{
    uint8_t bytes[32];
    size_t len = 0;
    for (size_t i = 0; i < answer->data_count; i++) {
        size_t some = answer->data[i].iov_len < sizeof bytes - len ? answer->data[i].iov_len : sizeof bytes - len;
        memcpy(bytes + len, answer->data[i].iov_base, some);
        len += some;
    }
    iscsicore_capacity capacity;
    if (iscsicore_capacity_decode(bytes, len, 1, &capacity) != ISCSICORE_STATUS_OK || capacity.block_size > CHUNK) {
        give_up(c, "READ CAPACITY(16)", "an answer that makes no sense");
        return;
    }
    c->blocks = capacity.blocks;
    c->block_size = capacity.block_size;
    fprintf(stderr, "%llu blocks of %u bytes\n", (unsigned long long)c->blocks, (unsigned)c->block_size);
    read_ahead(c);
}

static void complete(struct client *c, const iscsicore_completed_event *answer)
{
    if (c->failed)
        return;
    if (answer->outcome != ISCSICORE_OUTCOME_ANSWERED) {
        give_up(c, "command", "it was not answered");
        return;
    }
    if (answer->status != 0) {
        char text[200] = "";
        size_t len;
        iscsicore_sense_text(answer->sense, answer->sense_len, text, sizeof text, &len);
        give_up(c, iscsicore_scsi_status_text(answer->status), text);
        return;
    }
    if (answer->task == c->capacity_task) {
        take_capacity(c, answer);
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        struct chunk *chunk = &c->chunks[(c->first + i) % DEPTH];
        if (chunk->task != answer->task)
            continue;
        if (answer->received != chunk->len) {
            give_up(c, "READ", "the answer is too short");
            return;
        }
        chunk->task = 0;
    }
    write_what_is_there(c);
}

/* ---- the connection ---- */

static void hang_up(struct client *c)
{
    dial_end(&c->dial);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->connected = false;
    iscsicore_receiver_free(c->rx);
    iscsicore_transmitter_free(c->tx);
    c->rx = NULL;
    c->tx = NULL;
}

/* Tries the addresses of the host, one after the other. */
static void dial(struct client *c, const char *why)
{
    c->fd = why == NULL || c->dial.next != NULL ? dial_next(&c->dial, &why) : -1;
    if (c->fd < 0)
        require(iscsicore_nexus_dial_failed(c->nexus, now(), why), "dial failed");
}

static void dialed(struct client *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        close(c->fd);
        dial(c, strerror(error));
        return;
    }
    c->connected = true;
    require(iscsicore_receiver_new(NULL, &c->rx), "receiver");
    require(iscsicore_transmitter_new(&c->tx), "transmitter");
    require(iscsicore_nexus_connected(c->nexus, now()), "connected");
}

/* Tells that the connection is gone. Events say what follows; to hang up is not among them. */
static void lost(struct client *c, int why)
{
    hang_up(c);
    require(iscsicore_nexus_lost(c->nexus, now(), why), "lost");
}

/* Writes what there is. Returns false when there is nothing, or the socket takes no more. */
static bool write_some(struct client *c)
{
    iscsicore_iovec slices[64];
    size_t count;
    require(iscsicore_nexus_transmit(c->nexus, now(), c->tx), "transmit");
    require(iscsicore_transmitter_slices(c->tx, slices, 64, &count), "slices");
    ssize_t written = count > 0 ? writev(c->fd, slices, (int)count) : 0;
    if (written > 0)
        require(iscsicore_transmitter_advance(c->tx, (size_t)written), "written");
    else if (written < 0 && errno != EAGAIN && errno != EINTR)
        lost(c, ISCSICORE_LOSS_FAILED);
    return written > 0 || !c->connected;
}

/* Takes what has arrived: payload to the buffers of reads, everything else to the receiver's own memory. */
static void read_some(struct client *c, const iscsicore_iovec *slices, size_t count)
{
    ssize_t got = readv(c->fd, slices, (int)count);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lost(c, got == 0 ? ISCSICORE_LOSS_CLOSED : ISCSICORE_LOSS_FAILED);
        return;
    }
    if (iscsicore_nexus_advance(c->nexus, c->rx, (size_t)got) != ISCSICORE_STATUS_OK) {
        lost(c, ISCSICORE_LOSS_FAILED);
        return;
    } /* a digest is wrong, say */
    /* What the target has done wrong comes as an event, too. */
    (void)iscsicore_nexus_receive(c->nexus, now(), c->rx);
}

/* Waits until bytes can move, or time has come for something. */
static void wait_for_something(struct client *c)
{
    iscsicore_iovec slices[2];
    size_t count = 0, queued = 0;
    uint64_t until;
    struct pollfd on = {.fd = c->fd, .events = POLLOUT};
    require(iscsicore_nexus_timeout(c->nexus, &until), "timeout");
    if (c->connected) {
        /* Without a place for bytes, those that are there are to be taken first, for which the target has to read its own. */
        require(iscsicore_nexus_want(c->nexus, c->rx, slices, 2, &count), "want");
        require(iscsicore_transmitter_queued(c->tx, &queued), "queued");
        on.events = (short)((count > 0 ? POLLIN : 0) | (queued > 0 ? POLLOUT : 0));
    }
    int ready = poll(&on, 1, milliseconds_until(until));
    if (ready > 0 && !c->connected)
        dialed(c);
    else if (ready > 0 && count > 0 && on.revents & (POLLIN | POLLHUP | POLLERR))
        read_some(c, slices, count);
    require(iscsicore_nexus_handle_timeout(c->nexus, now()), "handle a timeout");
}

static void act(struct client *c, const iscsicore_nexus_event *event)
{
    switch (event->kind) {
    case ISCSICORE_NEXUS_EVENT_KIND_DIAL:
        dial(c, dial_begin(&c->dial, event->u.dial.address));
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_HANG_UP:
        hang_up(c);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_UP:
        fprintf(stderr, "%s: logged in\n", event->u.up.address);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_DOWN:
        fprintf(stderr, "down: %s\n", event->u.down.text);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_ATTEMPT_FAILED:
        fprintf(stderr, "%s\n", event->u.attempt_failed.text);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_COMPLETED:
        complete(c, &event->u.completed);
        break;
    case ISCSICORE_NEXUS_EVENT_KIND_ENDED:
        c->ended = true;
        if (event->u.ended.reason != ISCSICORE_NEXUS_END_REASON_LOGGED_OUT) {
            fprintf(stderr, "ended: %s\n", event->u.ended.text);
            c->failed = true;
        }
        break;
    default: /* redirects, unit attentions and the like: the library has acted on them */
        break;
    }
}

/* This is how the library is driven: act on its events, take what it wants to send, hand it what has arrived, tell it the time.
 * None of this has to be in a certain order. */
static void run(struct client *c)
{
    while (!c->ended) {
        const iscsicore_nexus_event *event;
        require(iscsicore_nexus_next_event(c->nexus, &event), "next event");
        bool wrote = event == NULL && c->connected && write_some(c);
        if (event == NULL && !wrote)
            require(iscsicore_nexus_next_event(c->nexus, &event), "next event"); /* to transmit may have brought some */
        if (event != NULL)
            act(c, event);
        else if (!wrote)
            wait_for_something(c);
        else if (c->connected)
            (void)iscsicore_nexus_receive(c->nexus, now(), c->rx); /* it may have waited for room */
    }
}

int main(int argc, char **argv)
{
    struct account account = {.name = NULL};
    const char *program = argv[0];
    if (argc > 2 && strcmp(argv[1], "--account") == 0) {
        if (!read_account(argv[2], &account))
            return EXIT_FAILURE;
        argc -= 2;
        argv += 2;
    }
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "%s [--account NAME:FILE] HOST:PORT TARGET LUN [FILE]\n", program);
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN); /* writev tells, too */
    struct client c = {.fd = -1, .output = STDOUT_FILENO};
    if (argc == 5 && (c.output = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        perror(argv[4]);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < DEPTH; i++)
        if ((c.chunks[i].buffer = malloc(CHUNK)) == NULL)
            return EXIT_FAILURE;

    uint8_t seed[32];
    random_seed(seed);
    iscsicore_initiator_options options = {
        .size = sizeof options,
        .address = argv[1],
        .initiator = "iqn.2026-01.dev.iscsicore:example-c",
        .target = argv[2],
        .user = account.name,
        .secret = account.secret,
        .secret_len = account.secret_len,
    };
    iscsicore_command *capacity;
    require(iscsicore_nexus_new(&options, seed, now(), &c.nexus), "nexus");
    char *end;
    unsigned long number = strtoul(argv[3], &end, 10);
    require(iscsicore_lun(*end == '\0' && number < 16384 ? (uint16_t)number : UINT16_MAX, &c.lun), argv[3]);
    require(iscsicore_command_read_capacity_16(c.lun, &capacity), "READ CAPACITY(16)");
    c.capacity_task = submit(&c, capacity); /* connected or not: it waits */

    run(&c);

    hang_up(&c);
    iscsicore_nexus_free(c.nexus);
    for (size_t i = 0; i < DEPTH; i++)
        free(c.chunks[i].buffer);
    free(account.name);
    if (close(c.output) != 0) {
        perror("output");
        c.failed = true;
    }
    return c.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
