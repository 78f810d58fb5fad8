/* An iSCSI target on epoll: one thread for all connections; disks in files, in memory and on block devices. `--help` tells more.
 *
 * The library does no I/O. A program moves bytes between sockets and the halves of a connection, hands the library what has
 * arrived and the time, and does the jobs that it has for the storage. Begin with `main`, at the end, and read upwards.
 *
 * What the page cache answers is done where the loop is, what may take long on threads of its own (jobs.c, workers.c): a job may
 * be done on any thread, and is finished on that of the host.
 */
#define _GNU_SOURCE /* accept4 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common.h"
#include "net.h"
#include "options.h"
#include "workers.h"

#define SECOND UINT64_C(1000000000)
#define THREADS 8

enum stage {
    OPEN,    /* bytes move, and the library knows of it */
    LEAVING, /* the library has said its last words, which are being written */
    DRAINED, /* they are; what the peer still sends is thrown away */
    CLOSED,  /* to be freed when nobody looks at it any more */
};

struct connection {
    int fd;
    enum stage stage;
    uint32_t interest; /* what epoll was told to look for */
    bool blocked;      /* the socket takes no more for now */
    uint64_t link;     /* its name in the library */
    uint64_t patience; /* when a peer that is leaving is no longer waited for */
    iscsicore_receiver *rx;
    iscsicore_transmitter *tx;
    struct connection *next;
    char peer[64];
};

struct server {
    struct options options;
    iscsicore_host *host;
    iscsicore_buffer_pool *pool; /* read buffers: an idle connection has none */
    struct workers *workers;
    int epoll, listener, signals, done;
    struct connection *connections;
    size_t leaving, closed; /* how many of them are at these stages (LEAVING and DRAINED; CLOSED) */
    uint64_t pause;         /* when to accept again; ISCSICORE_NEVER: now */
    uint64_t stop;          /* when to stop without waiting any longer; ISCSICORE_NEVER: nobody wants that */
};

/* Does the jobs that there are, or has them done by a thread. To finish one may bring about the next. */
static void do_jobs(struct server *s)
{
    for (;;) {
        const iscsicore_job *job;
        require(iscsicore_host_next_job(s->host, &job), "next job");
        if (job == NULL)
            return;
        struct work work = {.job = job, .disk = s->options.disks[job->unit], .io = ISCSICORE_IO_FAILED};
        if (work_try(&work) || !workers_submit(s->workers, &work))
            work_finish(&work, s->host);
    }
}

static void look_for(struct server *s, struct connection *c, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = c};
    if (c->interest != interest && epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event) == 0)
        c->interest = interest;
}

/* Tells the library that a connection is gone. Only the socket is left, to be closed in a way that the peer likes. */
static void lose(struct server *s, struct connection *c)
{
    if (c->stage == OPEN || c->stage == LEAVING)
        require(iscsicore_host_lost(s->host, now(), c->link), "lost");
}

static void close_connection(struct server *s, struct connection *c, const char *why)
{
    if (c->stage == CLOSED)
        return;
    fprintf(stderr, "%s: %s\n", c->peer, why);
    lose(s, c);
    s->leaving -= c->stage != OPEN;
    s->closed++;
    c->stage = CLOSED;
    close(c->fd); /* epoll forgets it with that */
    if (s->pause != ISCSICORE_NEVER)
        s->pause = now(); /* a descriptor is free again */
}

/* Writes what there is, until nothing is left or the socket takes no more: headers and payload go to the system from where they
 * lie. Returns whether anything was written. */
static bool write_some(struct server *s, struct connection *c)
{
    c->blocked = false;
    for (bool wrote = false;;) {
        iscsicore_iovec slices[64];
        size_t count;
        require(iscsicore_transmitter_slices(c->tx, slices, 64, &count), "slices");
        if (count == 0)
            return wrote;
        ssize_t written = writev(c->fd, slices, (int)count);
        if (written >= 0) {
            require(iscsicore_transmitter_advance(c->tx, (size_t)written), "written");
            wrote = true;
        } else if (errno == EAGAIN) {
            c->blocked = true;
            return wrote;
        } else if (errno != EINTR) {
            close_connection(s, c, strerror(errno));
            return wrote;
        }
    }
}

/* Goes on with a connection on which nothing more is to be said: to close a socket with bytes unread would reset it, and the
 * peer might lose our last answer. So it gets a moment to close its end. */
static void leave(struct server *s, struct connection *c)
{
    if (c->stage == OPEN) {
        c->stage = LEAVING;
        c->patience = now() + SECOND;
        s->leaving++;
        require(iscsicore_host_transmit(s->host, now(), c->link, c->tx), "transmit");
    }
    if (c->stage == LEAVING)
        write_some(s, c);
    if (c->stage == LEAVING && !c->blocked) {
        lose(s, c);
        c->stage = DRAINED;
        shutdown(c->fd, SHUT_WR);
    }
    if (c->stage != CLOSED)
        look_for(s, c, c->stage == LEAVING ? EPOLLOUT : EPOLLIN);
}

/* One turn of an open connection: the library takes what has arrived, and what it has to say is written. */
static void turn(struct server *s, struct connection *c)
{
    iscsicore_status received;
    bool room, closing;
    do {
        received = iscsicore_host_receive(s->host, now(), c->link, c->rx);
        if (received == ISCSICORE_STATUS_PEER_ERROR)
            fprintf(stderr, "%s: %s\n", c->peer, iscsicore_error_message());
        else
            require(received, "receive");
        do_jobs(s);
        require(iscsicore_host_transmit(s->host, now(), c->link, c->tx), "transmit");
        /* The library holds commands back while too much waits to be written. */
        room = write_some(s, c) && !c->blocked;
    } while (room && received == ISCSICORE_STATUS_OK && c->stage == OPEN);
    if (c->stage != OPEN)
        return;
    require(iscsicore_buffer_pool_take_back(s->pool, c->rx), "take a buffer back");
    require(iscsicore_host_is_closing(s->host, c->link, &closing), "closing");
    if (closing || received != ISCSICORE_STATUS_OK)
        leave(s, c);
    else
        look_for(s, c, c->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* What threads have done. Connections that waited for it are woken. */
static void finish_jobs(struct server *s)
{
    for (struct work *work; (work = workers_done(s->workers)) != NULL; free(work))
        work_finish(work, s->host);
}

/* Takes what has arrived. Returns whether there is something for a turn. */
static bool read_some(struct server *s, struct connection *c)
{
    uint8_t scrap[4096], *memory = scrap;
    size_t len = sizeof scrap;
    if (c->stage == OPEN) {
        require(iscsicore_buffer_pool_lend(s->pool, c->rx), "lend a buffer");
        require(iscsicore_receiver_want(c->rx, &memory, &len), "want");
        if (len == 0) {
            /* The library is to make room first, for which the peer has to read its answers. The next turn looks again. */
            look_for(s, c, c->interest & ~(uint32_t)EPOLLIN);
            return false;
        }
    }
    ssize_t got = read(c->fd, memory, len);
    if (got == 0)
        close_connection(s, c, "closed");
    else if (got < 0 && errno != EAGAIN && errno != EINTR)
        close_connection(s, c, strerror(errno));
    if (got <= 0 || c->stage != OPEN)
        return false;
    if (iscsicore_receiver_advance(c->rx, (size_t)got) == ISCSICORE_STATUS_OK)
        return true;
    close_connection(s, c, iscsicore_error_message());
    return false;
}

static void serve(struct server *s, struct connection *c, uint32_t events)
{
    if (c->stage == CLOSED)
        return; /* by what happened to another, a moment ago */
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN)) {
            close_connection(s, c, "reset");
            return;
        }
        if (!read_some(s, c) && !(events & EPOLLOUT))
            return;
    }
    if (c->stage == OPEN)
        turn(s, c);
    else if (c->stage == LEAVING)
        leave(s, c);
}

/* Does jobs, and turns the connections for which something happened that they did not bring about. */
static void settle(struct server *s)
{
    for (;;) {
        uint64_t link;
        do_jobs(s);
        require(iscsicore_host_next_wake(s->host, &link), "next wake");
        if (link == 0)
            return;
        void *c;
        if (iscsicore_host_context(s->host, link, &c) == ISCSICORE_STATUS_OK && ((struct connection *)c)->stage == OPEN)
            turn(s, c);
    }
}

/* Frees what is closed, and closes what has been leaving for too long. */
static void sweep(struct server *s)
{
    uint64_t present = now();
    if (s->closed == 0 && s->leaving == 0)
        return;
    for (struct connection **place = &s->connections, *c = *place; c != NULL; c = *place) {
        if ((c->stage == LEAVING || c->stage == DRAINED) && c->patience <= present)
            close_connection(s, c, "it does not close its end");
        if (c->stage != CLOSED) {
            place = &c->next;
            continue;
        }
        *place = c->next;
        s->closed--;
        iscsicore_receiver_free(c->rx);
        iscsicore_transmitter_free(c->tx);
        free(c);
    }
}

static bool begin(struct server *s, int fd)
{
    char local[64];
    uint8_t seed[32];
    int yes = 1;
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return false;
    *c = (struct connection){.fd = fd, .interest = EPOLLIN};
    address_of(getpeername, fd, c->peer);
    address_of(getsockname, fd, local);
    random_seed(seed);
    /* Answers are gathered before they are written, so that there is nothing to wait for. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    /* The host counts connections that have not logged in, and takes only so many. */
    if (iscsicore_host_connect(s->host, now(), local, seed, &c->link) != ISCSICORE_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", c->peer, iscsicore_error_message());
        free(c);
        return false;
    }
    require(iscsicore_receiver_new(NULL, &c->rx), "receiver");
    require(iscsicore_transmitter_new(&c->tx), "transmitter");
    require(iscsicore_host_set_context(s->host, c->link, c), "context");
    c->next = s->connections;
    s->connections = c;
    struct epoll_event event = {.events = c->interest, .data.ptr = c};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        close_connection(s, c, strerror(errno));
    return true;
}

static void watch_listener(struct server *s, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &s->listener};
    epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listener, &event);
}

static void accept_all(struct server *s)
{
    for (;;) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (!begin(s, fd))
                close(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* To try again at once would not help. */
            perror("accept");
            s->pause = now() + SECOND / 10;
            watch_listener(s, 0);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* Stops listening, and asks the initiators to log out, for which they have three seconds. A second signal does not wait. */
static void stop(struct server *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof info) != sizeof info)
        return;
    if (s->stop == ISCSICORE_NEVER) {
        close(s->listener);
        s->pause = ISCSICORE_NEVER;
        s->stop = now() + 4 * SECOND;
        require(iscsicore_host_request_logout(s->host, now(), 3 * SECOND), "ask for logouts");
    } else {
        s->stop = now();
    }
}

/* What is due after events, or because of the time. Tells when it is to be looked at again. */
static uint64_t catch_up(struct server *s)
{
    uint64_t next, present = now();
    require(iscsicore_host_timeout(s->host, &next), "timeout");
    if (next <= present)
        require(iscsicore_host_handle_timeout(s->host, present), "handle a timeout");
    if (s->pause <= present) {
        s->pause = ISCSICORE_NEVER;
        watch_listener(s, EPOLLIN);
    }
    sweep(s);
    settle(s);
    require(iscsicore_host_timeout(s->host, &next), "timeout"); /* any other call may have changed it */
    if (s->leaving > 0 && next > present + SECOND / 10)
        next = present + SECOND / 10;
    next = next < s->pause ? next : s->pause;
    return next < s->stop ? next : s->stop;
}

/* Whether there is nobody left to be waited for. */
static bool is_over(struct server *s)
{
    size_t sessions;
    require(iscsicore_host_session_count(s->host, &sessions), "sessions");
    return s->stop != ISCSICORE_NEVER && (now() >= s->stop || (sessions == 0 && s->leaving == 0));
}

static void run(struct server *s)
{
    for (uint64_t next; next = catch_up(s), !is_over(s);) {
        struct epoll_event events[64];
        int count = epoll_wait(s->epoll, events, 64, milliseconds_until(next));
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &s->listener)
                accept_all(s);
            else if (events[i].data.ptr == &s->signals)
                stop(s);
            else if (events[i].data.ptr == &s->done)
                finish_jobs(s);
            else
                serve(s, events[i].data.ptr, events[i].events);
        }
    }
}

static void watch(struct server *s, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    if (*fd < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, *fd, &event) != 0) {
        perror("epoll");
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return EXIT_FAILURE;
    s->pause = s->stop = ISCSICORE_NEVER;
    options_read(&s->options, argc, argv);

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* writev tells, too */
    s->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    s->listener = listen_at(s->options.listen);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->workers = workers_new(THREADS);
    s->done = workers_fd(s->workers);
    watch(s, &s->signals);
    watch(s, &s->listener);
    watch(s, &s->done);

    char address[64];
    address_of(getsockname, s->listener, address);
    options_complete(&s->options, address);
    require(iscsicore_host_new(s->options.config, &s->host), "host");
    require(iscsicore_buffer_pool_new(0, 16, &s->pool), "buffers");
    for (uint32_t target = 0; target < s->options.target_count; target++)
        printf("iscsi://%s/%s/0\n", address, s->options.targets[target]);
    fflush(stdout);

    run(s);

    for (struct connection *c = s->connections; c != NULL; c = c->next)
        close_connection(s, c, "stopped");
    sweep(s);
    workers_free(s->workers); /* before the host, whose jobs they do */
    iscsicore_host_free(s->host);
    iscsicore_buffer_pool_free(s->pool);
    options_free(&s->options);
    close(s->epoll);
    close(s->signals);
    free(s);
    return EXIT_SUCCESS;
}
