/* The page and the description of the API, which are in the program (serve/embed.cmake). */
#include <stdio.h>
#include <string.h>

#include "http/http_inside.h"
#include "serve_embedded.h"

/* The hash of what stands between two tags, as a policy names it; "" where they are not there. */
static void hash_between(const char *begin_tag, const char *end_tag, char ret[SHA256_BASE64_BYTES]) {
    const char *begin = strstr((const char *)serve_page, begin_tag);
    const char *end = begin ? strstr(begin, end_tag) : NULL;
    uint8_t hash[SHA256_BYTES];
    ret[0] = 0;
    if (!end)
        return;
    begin += strlen(begin_tag);
    sha256(begin, (size_t)(end - begin), hash);
    sha256_base64(hash, ret);
}

void page_init(http *h) {
    char script[SHA256_BASE64_BYTES], style[SHA256_BASE64_BYTES];
    hash_between("<script>", "</script>", script);
    hash_between("<style>", "</style>", style);
    snprintf(h->policy, sizeof(h->policy),
             "default-src 'self'; script-src 'sha256-%s'; style-src 'sha256-%s'; img-src 'self' blob: data:; "
             "media-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action "
             "'self'; frame-ancestors 'none'",
             script, style);
}

http_result answer_page(request *r) {
    if (serve_page_bytes == 0) {
        refuse(r, MHD_HTTP_NOT_FOUND, "not-found", "this build has no page; /openapi.json has the interface");
        return answer_problem(r);
    }
    return answer_text(r, "text/html; charset=utf-8", (const char *)serve_page, serve_page_bytes,
                       r->h->policy);
}

http_result answer_openapi(request *r) {
    return answer_text(r, "application/json", (const char *)serve_openapi, serve_openapi_bytes, NULL);
}
