#include "http.h"

#include <string.h>
#include <strings.h>

bool is(struct span span, const char *text) {
    return span.length == strlen(text) && memcmp(span.at, text, span.length) == 0;
}

bool is_caseless(struct span span, const char *text) {
    return span.length == strlen(text) && strncasecmp(span.at, text, span.length) == 0;
}

/* Cut what stands before STOP off the begin of REST; everything if there is none. */
static struct span cut(struct span *rest, char stop) {
    const char *end = memchr(rest->at, stop, rest->length);
    size_t length = end == NULL ? rest->length : (size_t)(end - rest->at);
    size_t gone = end == NULL ? length : length + 1;
    struct span found = {rest->at, length};
    rest->at += gone;
    rest->length -= gone;
    return found;
}

static struct span trimmed(struct span span) {
    while (span.length > 0 && (*span.at == ' ' || *span.at == '\t')) {
        span.at++;
        span.length--;
    }
    while (span.length > 0 && strchr(" \t", span.at[span.length - 1]) != NULL) {
        span.length--;
    }
    return span;
}

/* Cut a line off, without its CR LF. Returns false if LF stands alone, or CR or NUL is within. */
static bool cut_line(struct span *rest, struct span *line) {
    *line = cut(rest, '\n');
    if (line->length == 0 || line->at[line->length - 1] != '\r') {
        return false;
    }
    line->length--;
    return memchr(line->at, '\r', line->length) == NULL &&
           memchr(line->at, '\0', line->length) == NULL;
}

static int read_length(struct span value, size_t *length) {
    *length = 0;
    if (value.length == 0) {
        return 400;
    }
    for (size_t n = 0; n < value.length; n++) {
        if (value.at[n] < '0' || value.at[n] > '9') {
            return 400;
        }
        if (*length <= MAX_BODY) { /* More is too much, however much. */
            *length = *length * 10 + (size_t)(value.at[n] - '0');
        }
    }
    return *length > MAX_BODY ? 413 : 200;
}

/* Two lengths, or a length and an encoding, are how requests are smuggled: neither is let in. */
static int read_fields(struct span rest, size_t *length) {
    bool seen = false;
    *length = 0;
    while (rest.length > 0) {
        struct span line;
        if (!cut_line(&rest, &line) || memchr(line.at, ':', line.length) == NULL) {
            return 400;
        }
        struct span name = cut(&line, ':');
        if (name.length == 0 || memchr(name.at, ' ', name.length) || memchr(name.at, '\t', name.length)) {
            return 400;
        }
        if (is_caseless(name, "transfer-encoding")) {
            return 501;
        }
        if (is_caseless(name, "content-length")) {
            int status = seen ? 400 : read_length(trimmed(line), length);
            if (status != 200) {
                return status;
            }
            seen = true;
        }
    }
    return 200;
}

static int read_head(struct span head, struct request *request, size_t *length) {
    struct span line;
    if (!cut_line(&head, &line)) {
        return 400;
    }
    request->method = cut(&line, ' ');
    request->path = cut(&line, ' ');
    if (request->method.length == 0 || request->path.length == 0 || *request->path.at != '/') {
        return 400;
    }
    if (!is(line, "HTTP/1.1") && !is(line, "HTTP/1.0")) {
        return is(line, "") ? 400 : 505;
    }
    struct span path = request->path;
    request->path = cut(&path, '?');
    return read_fields(head, length);
}

int read_request(const char *data, size_t length, struct request *request) {
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    size_t head = end == NULL ? length : (size_t)(end - data) + 2;
    if (head > MAX_HEAD) {
        return 431;
    }
    if (end == NULL) {
        return 0;
    }
    size_t body;
    int status = read_head((struct span){data, head}, request, &body);
    if (status != 200) {
        return status;
    }
    request->body = (struct span){end + 4, body};
    return length - (head + 2) < body ? 0 : 200;
}
