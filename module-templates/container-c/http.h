/* Requests of HTTP/1.1 (RFC 9112), read from bytes that may have come in part. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum { MAX_HEAD = 4096, MAX_BODY = 4096, MAX_REQUEST = MAX_HEAD + 2 + MAX_BODY };

struct span {
    const char *at;
    size_t length;
};

struct request {
    struct span method, path, body; /* Parts of the bytes that were read. */
};

/* Read a request from LENGTH bytes.
 * Returns 0 if more bytes are needed, 200 if it is whole, else the status to refuse it with. */
int read_request(const char *data, size_t length, struct request *request);

/* Say whether SPAN holds TEXT, or TEXT in other capitals. */
bool is(struct span span, const char *text);
bool is_caseless(struct span span, const char *text);

#endif
