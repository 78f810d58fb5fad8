/* Addresses and sockets, with getaddrinfo. */
#ifndef NET_H
#define NET_H

#include <netdb.h>
#include <sys/socket.h>

/* The address of an end of a socket, for which `end` is getsockname or getpeername, as text. */
void address_of(int (*end)(int, struct sockaddr *, socklen_t *), int fd, char text[64]);

/* Listens at ADDRESS:PORT or [ADDRESS]:PORT, or ends the program. The socket does not block. */
int listen_at(const char *where);

/* The addresses of a host that are still to be tried. Begin with zeroes. */
struct dial {
    struct addrinfo *all, *next;
};

/* Looks up HOST:PORT or [ADDRESS]:PORT, while the caller waits; returns NULL, or why there is no address. */
const char *dial_begin(struct dial *dial, const char *where);

/* Begins to connect to the next address; returns a socket that does not block, or -1 and in `*why` what was wrong with the last
 * one. When the socket can be written to, SO_ERROR tells what became of it. */
int dial_next(struct dial *dial, const char **why);

void dial_end(struct dial *dial);

#endif
