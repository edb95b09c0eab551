/* Who may ask: token, cookie, Host, Origin, how often. */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "http/http_inside.h"

#define COOKIE "memsafe"
#define COOKIE_S (30 * 86400)
#define COOKIE_BYTES (24 + SHA256_HEX_BYTES)
#define A_SECOND 50.0 /* requests of one address, in the long run */
#define AT_ONCE 200.0

/* What the page's cookie holds: until when it counts, and that signed with the token. */
static void write_cookie(const http *h, int64_t until_s, char ret[COOKIE_BYTES]) {
    uint8_t hash[SHA256_BYTES];
    char until[24], hex[SHA256_HEX_BYTES];
    snprintf(until, sizeof(until), "%" PRId64, until_s);
    sha256_hmac(h->p.token, strlen(h->p.token), "cookie of the page until ", until, hash);
    sha256_hex(hash, hex);
    snprintf(ret, COOKIE_BYTES, "%s.%s", until, hex);
}

/* Of IPv4, and of IPv4 as a socket for both has it: ::ffff:127.0.0.1. */
static bool get_v4(const struct sockaddr *a, uint32_t *ret) {
    if (a->sa_family == AF_INET) {
        *ret = ((const struct sockaddr_in *)a)->sin_addr.s_addr;
        return true;
    }
    if (a->sa_family != AF_INET6)
        return false;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;
    memcpy(ret, six->s6_addr + 12, sizeof(*ret));
    return IN6_IS_ADDR_V4MAPPED(six);
}

bool is_loopback(const struct sockaddr *a) {
    uint32_t four;
    if (get_v4(a, &four))
        return ntohl(four) >> 24 == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

uint64_t address_hash(const http *h, const struct sockaddr *a) {
    uint32_t four;
    if (get_v4(a, &four))
        return ms_siphash(h->hash_key, &four, 4);
    return ms_siphash(h->hash_key, &((const struct sockaddr_in6 *)a)->sin6_addr, 8); /* of a net of 2^64 */
}

/* A bucket of tokens for each address; this machine's own programs may ask as often as they like. */
static bool is_too_often(http *h, const struct sockaddr *a) {
    bool refused = false;
    double now = ms_now_s();
    pthread_mutex_lock(&h->rate_lock);
    h->requests++;
    if (a && !is_loopback(a)) {
        /* Addresses that meet in a bucket share it: two that take turns get no more than one. */
        http_bucket *b = &h->bucket[address_hash(h, a) % HTTP_BUCKETS];
        if (b->at_s == 0)
            *b = (http_bucket){.tokens = AT_ONCE, .at_s = now};
        b->tokens += (now - b->at_s) * A_SECOND;
        b->tokens = b->tokens > AT_ONCE ? AT_ONCE : b->tokens;
        b->at_s = now;
        refused = b->tokens < 1;
        b->tokens -= !refused;
    }
    pthread_mutex_unlock(&h->rate_lock);
    return refused;
}

/* "localhost:8080" names `host`, whatever the port. */
static bool names_host(const char *header, const char *host) {
    size_t n = strlen(host);
    return strncasecmp(header, host, n) == 0 && (header[n] == 0 || header[n] == ':');
}

/* A page of somebody else's whose name leads to this machine is not asked for by any of these. Where there is
   a token that page does not know it, nor has the cookie, which is of another name: a proxy may pass any
   on. */
static bool is_our_host(const request *r) {
    const char *host = header_of(r, "Host");
    if (!r->h->loopback || r->h->p.token)
        return true;
    return host && (names_host(host, "localhost") || names_host(host, "127.0.0.1") ||
                    names_host(host, "[::1]") || names_host(host, r->h->host));
}

static bool has_bearer(const request *r) {
    const char *value = header_of(r, "Authorization");
    return value && strncasecmp(value, "Bearer ", 7) == 0 && sha256_same_text(value + 7, r->h->p.token);
}

static bool has_cookie(const request *r) {
    const char *value = MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, COOKIE);
    char right[COOKIE_BYTES];
    const int64_t until_s = value ? strtoll(value, NULL, 10) : 0;
    if (until_s <= time(NULL))
        return false;
    write_cookie(r->h, until_s, right);
    return sha256_same_text(value, right);
}

static bool is_our_origin(const char *origin, const char *host) {
    const char *name = strncmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncmp(origin, "https://", 8) == 0 ? origin + 8
                                                             : NULL;
    return name && host && strcasecmp(name, host) == 0;
}

/* Browsers say where a request comes from, programs do not. A cookie counts only with that. A login has no
   cookie yet, and shows the token itself: a page of others neither has that, nor gets its POST out of a
   browser without Origin. */
static bool may_change(const request *r, bool bearer) {
    const char *origin = header_of(r, "Origin"), *site = header_of(r, "Sec-Fetch-Site");
    if (bearer)
        return true;
    if (origin)
        return is_our_origin(origin, header_of(r, "Host"));
    if (!site && r->route && r->route->open)
        return true;
    return !r->h->p.token && (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0);
}

/* What a page of somebody else's has the browser ask for. A link that people follow is not of these. */
static bool is_for_others(const request *r) {
    const char *site = header_of(r, "Sec-Fetch-Site"), *what = header_of(r, "Sec-Fetch-Dest");
    return site && strcmp(site, "cross-site") == 0 && !(what && strcmp(what, "document") == 0) && r->route &&
           strncmp(r->route->path, "/v1/", 4) == 0;
}

void guard(request *r, bool changes) {
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (is_too_often(r->h, from ? from->client_addr : NULL)) {
        refuse(r, 429, "too-often", "more than %.0f requests a second of one address", A_SECOND);
        return;
    }
    if (!is_our_host(r)) {
        refuse(r, MHD_HTTP_FORBIDDEN, "wrong-host", "this server is not called so");
        return;
    }
    bool bearer = r->h->p.token && has_bearer(r);
    if (r->h->p.token && !bearer && !has_cookie(r) && !(r->route && r->route->open)) {
        refuse(r, MHD_HTTP_UNAUTHORIZED, "no-token", "`Authorization: Bearer TOKEN` is needed, or a login");
        return;
    }
    if (changes ? !may_change(r, bearer) : !bearer && is_for_others(r))
        refuse(r, MHD_HTTP_FORBIDDEN, "wrong-origin", "%s",
               header_of(r, "Origin") || header_of(r, "Sec-Fetch-Site")
                   ? "the request comes from a page of somebody else's"
                   : "a request with the cookie needs Origin, which browsers send; programs send "
                     "`Authorization: Bearer TOKEN`");
}

http_result guard_login(request *r) {
    ms_json_doc *doc = NULL;
    const ms_json *token = NULL;
    char cookie[COOKIE_BYTES], header[COOKIE_BYTES + 100];
    const char *origin = header_of(r, "Origin");
    if (ms_json_parse(NULL, r->body.data ? r->body.data : "", r->body.length, &doc, NULL) == MS_OK)
        token = ms_json_get(ms_json_root(doc), "token");
    bool told = token && token->type == MS_JSON_STRING;
    if (!told)
        refuse(r, 400, "bad-request", "the body must be {\"token\": \"...\"}");
    else if (r->h->p.token && !sha256_same_text(token->string, r->h->p.token))
        refuse(r, MHD_HTTP_UNAUTHORIZED, "no-token", "this is not the server's token");
    ms_json_doc_destroy(&doc);
    if (r->problem.status)
        return answer_problem(r);
    struct MHD_Response *response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (response && r->h->p.token) {
        write_cookie(r->h, time(NULL) + COOKIE_S, cookie);
        snprintf(header, sizeof(header), COOKIE "=%s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%d%s",
                 cookie, COOKIE_S, origin && strncmp(origin, "https://", 8) == 0 ? "; Secure" : "");
        MHD_add_response_header(response, "Set-Cookie", header);
    }
    return answer_response(r, MHD_HTTP_NO_CONTENT, response, NULL);
}

http_result guard_logout(request *r) {
    struct MHD_Response *response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (response)
        MHD_add_response_header(response, "Set-Cookie",
                                COOKIE "=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    return answer_response(r, MHD_HTTP_NO_CONTENT, response, NULL);
}
