/* floor: the least that a server can do for the same bytes on the wire.
 *
 *   floor [join]
 *
 * It listens on a free port of loopback and prints it. One thread, one epoll, no authentication,
 * no log, no queues. GET opens a stream; POST publishes each line of its body as an event, in an
 * envelope of the size that Tidewire's has. Each event is written to each stream at once, with one
 * write(); with "join", all events that one round of epoll brought are one write() to each stream.
 * GET /counters tells what it counted.
 *
 * A stream that cannot take its bytes is waited for: this server loses nothing, and its figures are
 * those of readers that keep up.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FILES 65536
#define ROUND 512
#define READ_BYTES (1 << 20)

typedef struct {
    char *bytes;
    size_t length, room;
} Buffer;

typedef struct {
    Buffer in;
    int place; /* among the streams, plus one; 0 = it is none */
} Connection;

static Connection connections[MAX_FILES];
static int streams[MAX_FILES], stream_count;
static bool join;
static Buffer frames; /* what was published in this round, as chunks */
static uint64_t events, writes, waits;

static void append(Buffer *to, const char *bytes, size_t length) {
    if (to->length + length > to->room) {
        to->room = 2 * (to->length + length);
        to->bytes = realloc(to->bytes, to->room);
        if (to->bytes == NULL) abort();
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

static void drop(int fd) {
    Connection *connection = &connections[fd];
    if (connection->place) {
        int moved = streams[--stream_count];
        streams[connection->place - 1] = moved;
        connections[moved].place = connection->place;
        connection->place = 0;
    }
    connection->in.length = 0;
    close(fd);
}

static void put(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t count = write(fd, bytes, length);
        writes++;
        if (count < 0 && errno != EAGAIN) return; /* its end is told by epoll */
        if (count < 0) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            waits++;
            poll(&full, 1, 1000);
            continue;
        }
        bytes += count;
        length -= (size_t)count;
    }
}

static void put_to_all(void) {
    for (int i = 0; i < stream_count; i++) put(streams[i], frames.bytes, frames.length);
    frames.length = 0;
}

static void publish(const char *line, size_t length) {
    static char frame[1 << 18];
    char size[32];
    if (length > sizeof frame - 1024) return;
    events++;
    int made = snprintf(
        frame, sizeof frame,
        "event: notification\ndata: {\"id\":\"1764000000000-%lu-floor\",\"type\":\"notification\","
        "\"timestamp\":1764000000000,\"priority\":\"normal\",\"source\":\"server\","
        "\"version\":\"1.0\",\"data\":\"%.*s\"}\nid: 1764000000000-%lu-floor\n\n",
        events, (int)length, line, events
    );
    append(&frames, size, (size_t)snprintf(size, sizeof size, "%x\r\n", (unsigned)made));
    append(&frames, frame, (size_t)made);
    append(&frames, "\r\n", 2);
    if (!join) put_to_all();
}

static void answer(int fd, const char *body) {
    char text[512];
    int length = snprintf(
        text, sizeof text,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(body), body
    );
    put(fd, text, (size_t)length);
}

static void open_stream(int fd) {
    static const char first[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
        "Transfer-Encoding: chunked\r\n\r\n6\r\n: hi\n\n\r\n";
    put(fd, first, sizeof first - 1);
    streams[stream_count++] = fd;
    connections[fd].place = stream_count;
}

/* Takes one request from what came in; false if it is not whole yet. */
static bool request(int fd, Buffer *in, size_t *taken) {
    char *start = in->bytes + *taken, *end = in->bytes + in->length;
    char *blank = memmem(start, (size_t)(end - start), "\r\n\r\n", 4);
    if (blank == NULL) return false;
    char *body = blank + 4;
    if (start[0] == 'G') {
        *taken = (size_t)(body - in->bytes);
        if (memmem(start, (size_t)(blank - start), "/counters", 9) != NULL) {
            char text[200];
            snprintf(
                text, sizeof text, "{\"writes\": %lu, \"waits\": %lu, \"events\": %lu}", writes,
                waits, events
            );
            answer(fd, text);
        } else {
            open_stream(fd);
        }
        return true;
    }
    *blank = 0;
    char *told = strcasestr(start, "\r\ncontent-length:");
    size_t length = told == NULL ? 0 : strtoul(told + 17, NULL, 10);
    *blank = '\r';
    if ((size_t)(end - body) < length) return false;
    for (char *line = body, *stop = body + length; line < stop;) {
        char *newline = memchr(line, '\n', (size_t)(stop - line));
        size_t size = (size_t)((newline == NULL ? stop : newline) - line);
        publish(line, size);
        line += size + 1;
    }
    answer(fd, "{}");
    *taken = (size_t)(body - in->bytes) + length;
    return true;
}

static void read_from(int fd) {
    static char space[READ_BYTES];
    Buffer *in = &connections[fd].in;
    ssize_t count = read(fd, space, sizeof space);
    size_t taken = 0;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        drop(fd);
        return;
    }
    append(in, space, (size_t)count);
    append(in, "", 1); /* for the functions that want the end of a text */
    in->length--;
    while (taken < in->length && request(fd, in, &taken)) {}
    in->length -= taken;
    memmove(in->bytes, in->bytes + taken, in->length);
    if (in->length == 0) {
        free(in->bytes);
        memset(in, 0, sizeof *in);
    }
}

static void take_connections(int listener, int epoll) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= MAX_FILES) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    socklen_t size = sizeof address;
    struct epoll_event found[ROUND], event = {.events = EPOLLIN};
    struct rlimit files;
    join = count > 1 && strcmp(arguments[1], "join") == 0;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) {
        perror("floor");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int epoll = epoll_create1(0);
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, found, ROUND, -1);
        for (int i = 0; i < ready; i++) {
            if (found[i].data.fd == listener)
                take_connections(listener, epoll);
            else
                read_from(found[i].data.fd);
        }
        if (frames.length) put_to_all();
    }
}
