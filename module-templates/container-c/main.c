/* A module without Python: it speaks what an agent asks of a module, over HTTP. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "model.h"

/* Each listener has places of its own: whoever fills those of TCP does not keep the agent out. */
enum { AGENT, NETWORK, LISTENERS };
enum { PLACES = 16, DEADLINE_MS = 10000, DEFAULT_PORT = 5001 };
enum { OK = 0, FAULT = 1, BAD_SETTING = 2 };

struct connection {
    int socket; /* -1: the place is free. */
    bool answered;
    int64_t until_ms;
    size_t length;
    char data[MAX_REQUEST];
};

static struct connection connections[LISTENERS][PLACES];
static int listeners[LISTENERS] = {-1, -1};
static struct {
    unsigned long scored, failed;
    bool serving;
} state;
static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int answer_score(struct span body, char text[ANSWER_BYTES]) {
    if (score(body.at, body.length, text)) {
        state.scored++;
        return 200;
    }
    state.failed++;
    return 400;
}

/* Answer a whole request: writes the body to TEXT and returns the status. */
static int answer(int listener, const struct request *request, char text[ANSWER_BYTES]) {
    bool get = is(request->method, "GET"), post = is(request->method, "POST");
    struct span path = request->path;
    snprintf(text, ANSWER_BYTES, "{}");
    if (get && (is(path, "/") || is(path, "/healthz") || is(path, "/readyz"))) {
        snprintf(text, ANSWER_BYTES, "Healthy");
    } else if (post && is(path, "/score")) {
        return answer_score(request->body, text);
    } else if (get && is(path, "/skerry/status")) {
        snprintf(text, ANSWER_BYTES,
                 "{\"ready\": true, \"serving\": %s, \"scored\": %lu, \"failed\": %lu, "
                 "\"waiting\": 0, \"busy_s\": 0.0}",
                 state.serving ? "true" : "false", state.scored, state.failed);
    } else if (post && is(path, "/skerry/golden")) {
        prove(text);
    } else if (post && listener == AGENT && is(path, "/skerry/serve")) {
        state.serving = true;
    } else if (post && listener == AGENT && is(path, "/skerry/hold")) {
        state.serving = false;
    } else {
        snprintf(text, ANSWER_BYTES, "there is no such thing here");
        return 404;
    }
    return 200;
}

/* The answer fits into an empty socket's buffer, so nothing waits for a slow reader. */
static void reply(int socket, int status, const char *text) {
    char whole[ANSWER_BYTES + 256];
    const char *type = *text == '{' ? "application/json" : "text/plain; charset=utf-8";
    int length = snprintf(whole, sizeof whole,
                          "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                          "Connection: close\r\n\r\n%s",
                          status, status == 200 ? "OK" : "Refused", type, strlen(text), text);
    if (send(socket, whole, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) == length) {
        shutdown(socket, SHUT_WR);
    }
}

static void leave(struct connection *one) {
    close(one->socket);
    one->socket = -1;
}

/* After the answer, what still comes is read and dropped: closing at once could lose the answer. */
static void receive(int listener, struct connection *one) {
    char *to = one->answered ? one->data : one->data + one->length;
    size_t room = one->answered ? sizeof one->data : sizeof one->data - one->length;
    ssize_t got = recv(one->socket, to, room, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            leave(one);
        }
        return;
    }
    if (one->answered) {
        return;
    }
    one->length += (size_t)got;
    struct request request;
    int status = read_request(one->data, one->length, &request);
    if (status == 0) {
        return;
    }
    char text[ANSWER_BYTES] = "this request cannot be taken";
    reply(one->socket, status == 200 ? answer(listener, &request, text) : status, text);
    one->answered = true;
}

static void welcome(int listener) {
    int socket = accept4(listeners[listener], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) {
        return;
    }
    for (int n = 0; n < PLACES; n++) {
        struct connection *one = &connections[listener][n];
        if (one->socket < 0) {
            one->socket = socket;
            one->answered = false;
            one->length = 0;
            one->until_ms = now_ms() + DEADLINE_MS;
            return;
        }
    }
    reply(socket, 503, "too many connections");
    close(socket);
}

/* Wait for something to come, at most a second, and deal with it. */
static void turn(const sigset_t *signals) {
    struct pollfd waiting[LISTENERS * (PLACES + 1)];
    for (int n = 0; n < LISTENERS; n++) {
        struct pollfd *here = waiting + n * (PLACES + 1);
        here[PLACES] = (struct pollfd){.fd = listeners[n], .events = POLLIN};
        for (int i = 0; i < PLACES; i++) {
            here[i] = (struct pollfd){.fd = connections[n][i].socket, .events = POLLIN};
        }
    }
    struct timespec second = {.tv_sec = 1};
    int found = ppoll(waiting, LISTENERS * (PLACES + 1), &second, signals);
    for (int n = 0; n < LISTENERS; n++) {
        for (int i = 0; i < PLACES; i++) {
            struct connection *one = &connections[n][i];
            if (found > 0 && waiting[n * (PLACES + 1) + i].revents != 0) {
                receive(n, one);
            }
            if (one->socket >= 0 && now_ms() > one->until_ms) {
                leave(one);
            }
        }
        if (found > 0 && waiting[n * (PLACES + 1) + PLACES].revents != 0) {
            welcome(n);
        }
    }
}

static int fault(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return FAULT;
}

/* From inside the folder the socket's path is short, however long the folder's own is. */
static int listen_for_agent(const char *folder) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "host.sock"};
    if (chdir(folder) != 0 || (unlink("host.sock") != 0 && errno != ENOENT)) {
        return fault(folder);
    }
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0 || bind(made, (struct sockaddr *)&address, sizeof address) != 0 ||
        chmod("host.sock", 0666) != 0 || listen(made, PLACES) != 0) {
        return fault("host.sock");
    }
    listeners[AGENT] = made;
    return OK;
}

static int listen_on_network(long port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (made < 0 || setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(made, (struct sockaddr *)&address, size) != 0 || listen(made, PLACES) != 0 ||
        getsockname(made, (struct sockaddr *)&address, &size) != 0) {
        return fault("SKERRY_PORT");
    }
    fprintf(stderr, "listening on port %d\n", ntohs(address.sin_port));
    listeners[NETWORK] = made;
    return OK;
}

static int listen_everywhere(void) {
    const char *folder = getenv("SKERRY_RUN_DIR"), *port = getenv("SKERRY_PORT");
    long number = DEFAULT_PORT;
    if (port != NULL) {
        char *end;
        number = strtol(port, &end, 10);
        if (end == port || *end != '\0' || number < 0 || number > 65535) {
            fprintf(stderr, "SKERRY_PORT must be a number from 0 to 65535\n");
            return BAD_SETTING;
        }
    }
    int status = folder == NULL ? OK : listen_for_agent(folder);
    if (status == OK && (folder == NULL || port != NULL)) {
        status = listen_on_network(number);
    }
    return status;
}

int main(void) {
    /* The signals come while it waits, and at no other time. */
    sigset_t ending, before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, &before);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigdelset(&before, SIGTERM);
    sigdelset(&before, SIGINT);
    for (int n = 0; n < LISTENERS * PLACES; n++) {
        connections[n / PLACES][n % PLACES].socket = -1;
    }
    int status = listen_everywhere();
    while (status == OK && !stopped) {
        turn(&before);
    }
    return status;
}
