#define _GNU_SOURCE

#include "net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <iscsicore.h>

void address_of(int (*end)(int, struct sockaddr *, socklen_t *), int fd, char text[64])
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    size_t text_len;
    if (end(fd, (struct sockaddr *)&address, &len) != 0 ||
        iscsicore_address_text(&address, len, text, 64, &text_len) != ISCSICORE_STATUS_OK)
        strcpy(text, "0.0.0.0:0");
}

/* The addresses of HOST:PORT, or NULL and why there are none. */
static struct addrinfo *look_up(const char *where, int flags, const char **why)
{
    char host[256];
    const char *colon = strrchr(where, ':');
    size_t len = colon != NULL ? (size_t)(colon - where) : 0;
    bool brackets = len > 2 && where[0] == '[' && where[len - 1] == ']';
    *why = "not ADDRESS:PORT";
    if (len == 0 || len >= sizeof host)
        return NULL;
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? len - 2 : len), brackets ? where + 1 : where);
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    int error = getaddrinfo(host, colon + 1, &hints, &found);
    *why = error != 0 ? gai_strerror(error) : NULL;
    return error != 0 ? NULL : found;
}

int listen_at(const char *where)
{
    const char *why;
    struct addrinfo *found = look_up(where, AI_NUMERICHOST | AI_PASSIVE, &why);
    int yes = 1, fd = -1;
    if (found != NULL) {
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
            bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1024) != 0)
            why = strerror(errno);
        freeaddrinfo(found);
    }
    if (why != NULL) {
        fprintf(stderr, "%s: %s\n", where, why);
        exit(EXIT_FAILURE);
    }
    return fd;
}

const char *dial_begin(struct dial *dial, const char *where)
{
    const char *why;
    dial_end(dial);
    dial->next = dial->all = look_up(where, 0, &why);
    return why;
}

int dial_next(struct dial *dial, const char **why)
{
    while (dial->next != NULL) {
        const struct addrinfo *address = dial->next;
        dial->next = address->ai_next;
        int yes = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        /* What is sent together is gathered before, so that there is nothing to wait for. */
        if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0 &&
            (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS))
            return fd;
        *why = strerror(errno);
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

void dial_end(struct dial *dial)
{
    if (dial->all != NULL)
        freeaddrinfo(dial->all);
    dial->all = dial->next = NULL;
}
