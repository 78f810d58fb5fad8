/* The smallest iSCSI target: a disk in memory, for a few initiators at a time. `target_simple [PORT]`, and in another window
 *
 *     qemu-io -f raw -c "write -P 7 0 64k" -c "read -P 7 0 64k" iscsi://127.0.0.1:3260/iqn.2026-01.dev.iscsicore:simple/0
 *
 * Three things are to be known of the library. It gives bytes to be sent (take), and takes bytes that have arrived (feed). It has
 * events: jobs for the storage, and the end of a connection. And it is told the time. target_epoll is the next step: nobody waits
 * for anybody, real disks, no copies.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <iscsicore.h>

#define TARGET "iqn.2026-01.dev.iscsicore:simple"
#define BLOCK 512
#define CLIENTS 16

static uint8_t disk[64 << 20];

/* Only a mistake in this program makes these calls fail. */
static void check(iscsicore_status status)
{
    if (status != ISCSICORE_STATUS_OK) {
        fprintf(stderr, "%s\n", iscsicore_error_message());
        exit(EXIT_FAILURE);
    }
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* What the server is: one target with one disk, to be found at one address. */
static iscsicore_host *make_host(const char *address)
{
    iscsicore_host_config *config;
    uint32_t target, unit;
    iscsicore_unit_options options = {
        .size = sizeof options, .serial = "simple-1", .blocks = sizeof disk / BLOCK, .block_size = BLOCK};
    check(iscsicore_host_config_new(&config));
    check(iscsicore_host_config_add_unit(config, &options, &unit));
    check(iscsicore_host_config_add_target(config, TARGET, NULL, &target));
    check(iscsicore_host_config_add_portal(config, target, 1, address, NULL));
    check(iscsicore_host_config_add_lun(config, target, NULL, 0, unit, ISCSICORE_ACCESS_READ_WRITE));

    iscsicore_host *host;
    check(iscsicore_host_new(config, &host));
    iscsicore_host_config_free(config);
    return host;
}

/* Does what the disk is asked for. All offsets and lengths are within it: the library has seen to that. */
static void carry_out(iscsicore_host *host, const iscsicore_job *job)
{
    const iscsicore_op *op = &job->op;
    int outcome = ISCSICORE_IO_DONE;
    if (op->kind == ISCSICORE_OP_KIND_READ) {
        iscsicore_iovec slice = {disk + op->offset, op->len};
        iscsicore_payload data = {.slices = &slice, .count = 1}; /* without `release` it is copied */
        check(iscsicore_host_finish_read(host, now(), job->id, &data));
        return;
    } else if (op->kind == ISCSICORE_OP_KIND_WRITE) {
        uint8_t *to = disk + op->offset;
        for (size_t i = 0; i < op->data_count; i++) {
            memcpy(to, op->data[i].iov_base, op->data[i].iov_len);
            to += op->data[i].iov_len;
        }
    } else if (op->kind != ISCSICORE_OP_KIND_FLUSH) {
        outcome = ISCSICORE_IO_UNSUPPORTED; /* then the library manages with reads and writes */
    }
    check(iscsicore_host_finish(host, now(), job->id, outcome, 0));
}

/* Blocks while the initiator does not read, and all others with it: target_epoll knows better. */
static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* A place for a connection; `fd` is -1 while there is none. */
struct client {
    int fd;
    iscsicore_simple *simple;
};

static void begin(struct client *client, iscsicore_host *host, int fd, const char *address)
{
    uint8_t seed[32]; /* nobody can foresee it: challenges of CHAP are made of it */
    FILE *random = fopen("/dev/urandom", "rb");
    if (random == NULL || fread(seed, sizeof seed, 1, random) != 1)
        exit(EXIT_FAILURE);
    fclose(random);
    client->fd = fd;
    check(iscsicore_simple_target(host, now(), address, seed, &client->simple));
}

static void end(struct client *client)
{
    iscsicore_simple_free(client->simple); /* which tells the host that the connection is gone */
    close(client->fd);
    client->fd = -1;
}

/* One step of what is to be done for a connection; returns false when there is nothing. */
static bool step(struct client *client, iscsicore_host *host)
{
    /* What does the library want to say? */
    uint8_t buffer[65536];
    size_t len;
    check(iscsicore_simple_take(client->simple, now(), buffer, sizeof buffer, &len));
    if (len > 0) {
        if (!send_all(client->fd, buffer, len))
            end(client);
        return true;
    }
    /* What does it want done? */
    const iscsicore_simple_event *event;
    check(iscsicore_simple_next_event(client->simple, &event));
    if (event == NULL)
        return false;
    if (event->kind == ISCSICORE_SIMPLE_EVENT_KIND_JOB)
        carry_out(host, event->job);
    else
        end(client); /* ISCSICORE_SIMPLE_EVENT_KIND_CLOSE */
    return true;
}

/* Hands over what the initiator has sent. */
static void receive(struct client *client)
{
    uint8_t buffer[65536];
    ssize_t got = recv(client->fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
        end(client);
        return;
    }
    iscsicore_status status = iscsicore_simple_feed(client->simple, now(), buffer, (size_t)got);
    if (status != ISCSICORE_STATUS_OK)
        fprintf(stderr, "%s\n", iscsicore_error_message());
    if (status != ISCSICORE_STATUS_OK && status != ISCSICORE_STATUS_PEER_ERROR) /* to that one the library has an answer */
        end(client);
}

/* This is all that there is to driving the library. */
static void serve(iscsicore_host *host, int listener, const char *address)
{
    struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i].fd = -1;
    for (;;) {
        /* 1. Do what is to be done. What is done for one connection may be of use to another. */
        for (bool busy = true; busy;) {
            busy = false;
            for (int i = 0; i < CLIENTS; i++)
                busy |= clients[i].fd >= 0 && step(&clients[i], host);
        }
        /* 2. Wait for an initiator, or for the time at which the library wants to be called. */
        struct pollfd fds[CLIENTS + 1] = {[CLIENTS] = {.fd = -1, .events = POLLIN}};
        struct client *room = NULL;
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
            if (clients[i].fd < 0)
                room = &clients[i];
        }
        if (room != NULL)
            fds[CLIENTS].fd = listener;
        uint64_t at, present = now();
        check(iscsicore_host_timeout(host, &at));
        uint64_t wait = at > present ? (at - present) / 1000000 + 1 : 0;
        if (poll(fds, CLIENTS + 1, wait < 60000 ? (int)wait : 60000) < 0)
            continue; /* a signal */
        check(iscsicore_host_handle_timeout(host, now()));
        /* 3. Hand over what has come. */
        for (int i = 0; i < CLIENTS; i++)
            if (fds[i].revents != 0)
                receive(&clients[i]);
        int fd = fds[CLIENTS].revents != 0 ? accept(listener, NULL, NULL) : -1;
        if (fd >= 0)
            begin(room, host, fd, address);
    }
}

int main(int argc, char **argv)
{
    uint16_t port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 3260);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 16) != 0) {
        perror("listen");
        return EXIT_FAILURE;
    }
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    iscsicore_host *host = make_host(address);
    printf("iscsi://%s/" TARGET "/0\n", address);
    fflush(stdout);
    serve(host, listener, address);
}
