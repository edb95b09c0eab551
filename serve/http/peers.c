/* How long a client may take until it has said what it wants. libmicrohttpd counts from the last byte that
   came: one that sends a byte now and then would hold its place for days. */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/http_inside.h"

#define PATIENCE_S 20.0
#define CROWDED_S 3.0

struct peer {
    int fd;
    double since_s; /* that it has not asked; 0 = it has */
    peer *next;
};

void peer_notify(void *arg, struct MHD_Connection *connection, void **context,
                 enum MHD_ConnectionNotificationCode code) {
    http *h = arg;
    pthread_mutex_lock(&h->peers_lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer *p = fd ? malloc(sizeof(*p)) : NULL;
        if (p) {
            *p = (peer){.fd = (int)fd->connect_fd, .since_s = ms_now_s(), .next = h->peers};
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

static double patience_s(const http *h) {
    return h->n_peers > HTTP_CONNECTIONS / 2 ? CROWDED_S : PATIENCE_S;
}

double peer_patience_s(http *h) {
    pthread_mutex_lock(&h->peers_lock);
    double s = patience_s(h);
    pthread_mutex_unlock(&h->peers_lock);
    return s;
}

/* The socket is closed after its peer has left the list, so it is still this one's. */
void peers_look(http *h) {
    double now = ms_now_s();
    pthread_mutex_lock(&h->peers_lock);
    for (peer *p = h->peers; p; p = p->next)
        if (p->since_s > 0 && now - p->since_s > patience_s(h))
            shutdown(p->fd, SHUT_RDWR);
    pthread_mutex_unlock(&h->peers_lock);
}
