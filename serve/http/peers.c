/* How long a client may take until it has said what it wants, and to read what it asked for. libmicrohttpd
   counts from the last byte that came or went: one that sends or reads a byte now and then would hold its
   place for days. */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/http_inside.h"

#define PATIENCE_S 20.0
#define CROWDED_S 3.0
/* Connections of an address, where it is not this machine's. Each thread of the server asks before what it
   has accepted is counted, so it may be as many more as there are others. */
#define MOST_OF_ONE 128
#define READ_BYTES_A_SECOND 8192.0 /* where it is crowded */
#define SPARE_PLACES 32            /* that a long answer does not get: short ones stay possible */

struct peer {
    int fd;
    uint64_t address; /* its hash */
    double since_s;   /* that it has not asked; 0 = it has */
    double behind_s;  /* since when it has not read all that was sent; 0 = it has, or it is not crowded */
    uint64_t behind_bytes; /* of the connection, that it had then */
    bool let_go;           /* its connection is closed soon */
    peer *next;
};

http_result peer_may_connect(void *arg, const struct sockaddr *address, socklen_t bytes) {
    http *h = arg;
    int n = 0;
    (void)bytes;
    if (is_loopback(address))
        return MHD_YES;
    const uint64_t hash = address_hash(h, address);
    pthread_mutex_lock(&h->peers_lock);
    for (const peer *p = h->peers; p; p = p->next)
        n += p->address == hash;
    pthread_mutex_unlock(&h->peers_lock);
    return n < MOST_OF_ONE ? MHD_YES : MHD_NO;
}

void peer_notify(void *arg, struct MHD_Connection *connection, void **context,
                 enum MHD_ConnectionNotificationCode code) {
    http *h = arg;
    pthread_mutex_lock(&h->peers_lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        /* libmicrohttpd may give both answers in one place: each is taken before the other is asked for. */
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        const int fd = info ? (int)info->connect_fd : -1;
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        peer *p = fd >= 0 && info ? malloc(sizeof(*p)) : NULL;
        if (p) {
            *p = (peer){.fd = fd,
                        .address = address_hash(h, info->client_addr),
                        .since_s = ms_now_s(),
                        .next = h->peers};
            h->peers = *context = p;
            h->n_peers++;
        }
    } else {
        for (peer **at = &h->peers; *at; at = &(*at)->next)
            if (*at == *context) {
                *at = (*at)->next;
                h->n_peers--;
                break;
            }
        free(*context);
        *context = NULL;
    }
    pthread_mutex_unlock(&h->peers_lock);
}

void peer_asks(http *h, struct MHD_Connection *connection, bool asks) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    peer *p = info ? info->socket_context : NULL;
    pthread_mutex_lock(&h->peers_lock);
    if (p)
        p->since_s = asks ? 0 : ms_now_s();
    pthread_mutex_unlock(&h->peers_lock);
}

static bool is_crowded(const http *h) {
    return h->n_peers > HTTP_CONNECTIONS / 2;
}

static double patience_s(const http *h) {
    return is_crowded(h) ? CROWDED_S : PATIENCE_S;
}

bool peers_are_full(http *h) {
    pthread_mutex_lock(&h->peers_lock);
    bool full = h->n_peers > HTTP_CONNECTIONS - SPARE_PLACES;
    pthread_mutex_unlock(&h->peers_lock);
    return full;
}

double peer_patience_s(http *h) {
    pthread_mutex_lock(&h->peers_lock);
    double s = patience_s(h);
    pthread_mutex_unlock(&h->peers_lock);
    return s;
}

/* Of what was sent: whether some is not at the client yet, and how much is. False: not known. */
static bool get_sent(int fd, bool *ret_behind, uint64_t *ret_bytes) {
    struct tcp_info info = {0};
    socklen_t bytes = sizeof(info);
    int left = 0;
    if (ioctl(fd, SIOCOUTQ, &left) != 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0)
        return false;
    *ret_behind = left > 0;
    *ret_bytes = info.tcpi_bytes_acked;
    return true;
}

/* Whether it holds a place that others wait for, and reads too little. */
static bool reads_too_slowly(const http *h, peer *p, double now) {
    bool behind;
    uint64_t bytes;
    if (!is_crowded(h) || !get_sent(p->fd, &behind, &bytes) || !behind) {
        p->behind_s = 0;
        return false;
    }
    if (p->behind_s == 0) {
        p->behind_s = now;
        p->behind_bytes = bytes;
    }
    const double wanted = (now - p->behind_s - CROWDED_S) * READ_BYTES_A_SECOND;
    return (double)(bytes - p->behind_bytes) < wanted;
}

/* The socket is closed after its peer has left the list, so it is still this one's. */
void peers_look(http *h) {
    double now = ms_now_s();
    pthread_mutex_lock(&h->peers_lock);
    for (peer *p = h->peers; p; p = p->next) {
        const bool asks = p->since_s > 0;
        if (p->let_go || !(asks ? now - p->since_s > patience_s(h) : reads_too_slowly(h, p, now)))
            continue;
        p->let_go = true;
        h->slow_readers += !asks;
        shutdown(p->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&h->peers_lock);
}

uint64_t peers_slow_readers(http *h) {
    pthread_mutex_lock(&h->peers_lock);
    uint64_t n = h->slow_readers;
    pthread_mutex_unlock(&h->peers_lock);
    return n;
}
