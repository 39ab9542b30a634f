/* load: the client side of the benches.
 *
 * It opens many SSE streams, publishes events over a few keep-alive connections, and tells what
 * came back: how many deliveries, how late, in how many reads, and whether any stream lost an event
 * or got one twice. One thread, one epoll; it does nothing per event but find a mark in a line.
 *
 *   load PORT STREAM_HEADS PUBLISH_HEAD EVENT PREFIX SEPARATOR SUFFIX
 *
 * STREAM_HEADS is a file of request heads, one for each stream, so that each may be another user
 * with another token. PUBLISH_HEAD and EVENT are files: the head of a publishing request without
 * its Content-Length, and the text of one event. A batch is PREFIX, the events with SEPARATOR
 * between them, SUFFIX. In both files @MARK@ stands for the mark by which an event is known again,
 * and @USER@ for the number of the stream that an event is for.
 *
 * A mark is "#tw", 19 digits (nanoseconds, when it was written to the socket buffer), ".", 9 digits
 * (its number, counted from the start of the program), "#".
 *
 * Then each line of standard input is a run, in words NAME=VALUE, and is answered by one line of
 * JSON:
 *
 *   close=A-B        close these streams, all at once, before anything else
 *   open=A-B         open these streams; one that saw an id sends it as Last-Event-ID
 *   concurrency=N    as many of them at a time as are not yet ready
 *   ready_after=N    a stream is ready after so many marks; 0: after its first block
 *   leave=1          close each stream as soon as it is ready
 *   events=N         publish so many
 *   batch=N          as many in each request
 *   connections=N    over so many connections
 *   depth=N          as many requests not yet answered on each of them
 *   flight=N         as many events not yet delivered to all; 0: not looked at
 *   rate=R           events a second; 0: as fast as they go
 *   to=all|one       each event for all streams, or for one, drawn from all that are open
 *   until_told=1     publish until there is something more on standard input
 *   follow=1         others publish: each stream must see their events one after the other
 *   reach=N          go on until each stream has seen the first N events of those others
 *   watch=A-B        time these streams apart from the others
 *   must=all|watched|none    who has to get every event before the run is over
 *   hold=S           go on for at least so many seconds
 *   within=S         give up after so many seconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define MARK_START "#tw"
#define MARK_LENGTH 33
#define MAX_ID 256
#define MAX_LINE 65536
#define READ_BYTES (256 * 1024)
#define ROUND_EVENTS 512
/* Between two rounds of reading: a storm of connects must not make the reads late. */
#define ROUND_CONNECTS 32
#define ROUND_REQUESTS 64
#define SOURCE_ADDRESSES 8
#define PUBLISHER_TAG 0x80000000u

/* ---- small things ------------------------------------------------------------------------- */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void fail(const char *form, ...) {
    char text[1024];
    va_list values;
    va_start(values, form);
    vsnprintf(text, sizeof text, form, values);
    va_end(values);
    for (char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = ' ';
    printf("{\"error\": \"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

static void *grown(void *old, size_t size) {
    void *new = realloc(old, size);
    if (new == NULL) fail("no memory for %zu bytes", size);
    return new;
}

typedef struct {
    char *bytes;
    size_t length, room;
} Buffer;

static void append(Buffer *to, const char *bytes, size_t length) {
    if (to->length + length > to->room) {
        to->room = 2 * (to->length + length);
        to->bytes = grown(to->bytes, to->room);
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

static Buffer file(const char *path) {
    Buffer found = {0};
    char part[65536];
    size_t count;
    FILE *opened = fopen(path, "r");
    if (opened == NULL) fail("cannot read %s: %s", path, strerror(errno));
    while ((count = fread(part, 1, sizeof part, opened)) > 0) append(&found, part, count);
    fclose(opened);
    return found;
}

/* ---- times: a histogram that is exact to 1/256 --------------------------------------------- */

#define SUB 256

typedef struct {
    uint64_t buckets[56 * SUB], count;
    int64_t most;
} Times;

static void timed(Times *times, int64_t ns) {
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns, index = value;
    if (value >= SUB) {
        int shift = 63 - __builtin_clzll(value) - 8;
        index = ((uint64_t)shift + 1) * SUB + (value >> shift) - SUB;
    }
    times->buckets[index]++;
    times->count++;
    if (ns > times->most) times->most = ns;
}

static double quantile(const Times *times, double share) {
    uint64_t wanted = (uint64_t)(share * (double)times->count), passed = 0;
    if (times->count == 0) return 0;
    for (uint64_t index = 0; index < 56 * SUB; index++) {
        passed += times->buckets[index];
        if (passed > wanted) {
            if (index < SUB) return (double)index / 1e6;
            int shift = (int)(index / SUB) - 1;
            return (double)((index % SUB + SUB) << shift) / 1e6;
        }
    }
    return (double)times->most / 1e6;
}

static void tell_times(const char *name, const Times *times) {
    printf(
        "\"%s\": {\"count\": %lu, \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"max\": %.4f}, ",
        name, times->count, quantile(times, 0.5), quantile(times, 0.9), quantile(times, 0.99),
        (double)times->most / 1e6
    );
}

/* ---- what is published: text with marks in it ------------------------------------------------ */


static void append_filled(
    Buffer *to, const Buffer *template, int64_t stamp, uint64_t number, uint32_t user
) {
    const char *at = template->bytes, *end = at + template->length, *token;
    char made[64];
    while ((token = memchr(at, '@', (size_t)(end - at))) != NULL) {
        append(to, at, (size_t)(token - at));
        if (end - token >= 6 && memcmp(token, "@MARK@", 6) == 0) {
            int length = snprintf(
                made, sizeof made, MARK_START "%019ld.%09lu#", stamp, number % 1000000000
            );
            append(to, made, (size_t)length);
            at = token + 6;
        } else if (end - token >= 6 && memcmp(token, "@USER@", 6) == 0) {
            append(to, made, (size_t)snprintf(made, sizeof made, "%u", user));
            at = token + 6;
        } else {
            append(to, token, 1);
            at = token + 1;
        }
    }
    append(to, at, (size_t)(end - at));
}

/* ---- a run ------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t first, end;
} Range;

typedef enum { MUST_ALL, MUST_WATCHED, MUST_NONE } Must;

typedef struct {
    Range close, open, watch;
    uint32_t concurrency, ready_after, batch, connections, depth, flight;
    uint64_t events;
    double rate, hold, within;
    bool leave, to_one, until_told, follow;
    uint64_t reach;
    Must must;
} Asked;

static struct {
    Asked asked;
    int64_t began;
    uint64_t base; /* the number of the first event of this run */

    /* opening */
    uint32_t next, opening, opened;
    int64_t opened_at;
    Times opens;

    /* publishing */
    uint64_t sent, events, requests, answered;
    int64_t answered_at;

    /* reading */
    uint32_t members; /* streams that were open, or are opened in this run */
    uint64_t got, got_watched, repeated, disordered, strangers, missed, reads, bytes, cut;
    uint32_t behind; /* streams that have not seen what they have to reach */
    int64_t got_at;
    Times late, late_watched;
    uint64_t *seen; /* a bit for each stream and event; for to=one, a bit for each event */
    uint32_t *owner; /* for to=one: the stream that an event is for */
    size_t words;
} run;

/* ---- streams ---------------------------------------------------------------------------------- */

typedef enum { CLOSED, CONNECTING, IN_HEAD, IN_BODY } Phase;

typedef struct {
    int fd;
    Phase phase;
    bool ready, member, in_block, status_read;
    uint32_t marks; /* since it was opened */
    uint64_t last;  /* the number of the last event, plus one */
    uint64_t following; /* the same of the events of others */
    int64_t asked_at;
    Buffer rest; /* of a line that has not ended yet */
    uint16_t id_length, new_id_length;
    char id[MAX_ID], new_id[MAX_ID];
    const char *head;
    size_t head_length;
} Stream;

static Stream *streams;
static uint32_t stream_count;
static int epoll_fd;
static struct sockaddr_in server;
static uint64_t all_sent;
static Buffer publish_head, event_text;
static const char *prefix, *separator, *suffix;

static bool in(Range range, uint32_t number) {
    return number >= range.first && number < range.end;
}

static void watch_fd(int operation, int fd, uint32_t tag, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = tag};
    if (epoll_ctl(epoll_fd, operation, fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

/* The heads stand one after the other, each with the empty line at its end. */
static void take_heads(const Buffer *heads) {
    const char *at = heads->bytes, *end = at + heads->length, *blank;
    size_t room = 0;
    while (at < end && (blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4)) != NULL) {
        if (stream_count == room) {
            room = room ? 2 * room : 1024;
            streams = grown(streams, room * sizeof *streams);
        }
        Stream *stream = &streams[stream_count++];
        memset(stream, 0, sizeof *stream);
        stream->fd = -1;
        stream->head = at;
        stream->head_length = (size_t)(blank - at) + 2;
        at = blank + 4;
    }
}

static int connected_socket(uint32_t number) {
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in source = {.sin_family = AF_INET};
    if (fd < 0) fail("socket: %s", strerror(errno));
    /* Several addresses: one of them has no more than 28,000 ports. */
    source.sin_addr.s_addr = htonl(0x7f000001u + ((1 + number % SOURCE_ADDRESSES) << 8));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    return fd;
}

static void close_stream(Stream *stream) {
    if (stream->phase == CLOSED) return;
    close(stream->fd);
    stream->fd = -1;
    stream->phase = CLOSED;
    free(stream->rest.bytes);
    memset(&stream->rest, 0, sizeof stream->rest);
}

/* On loopback a connection is mostly there when connect() returns. */
static bool send_head(Stream *stream, uint32_t number) {
    static Buffer request;
    request.length = 0;
    append(&request, stream->head, stream->head_length);
    if (stream->id_length) {
        append(&request, "Last-Event-ID: ", 15);
        append(&request, stream->id, stream->id_length);
        append(&request, "\r\n", 2);
    }
    append(&request, "\r\n", 2);
    stream->asked_at = now();
    ssize_t count = send(stream->fd, request.bytes, request.length, MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == ENOTCONN)) return false;
    /* A new socket takes a head whole. */
    if (count != (ssize_t)request.length)
        fail("stream %u: the request was not taken: %s", number, strerror(errno));
    stream->phase = IN_HEAD;
    return true;
}

static void open_stream(uint32_t number) {
    Stream *stream = &streams[number];
    stream->fd = connected_socket(number);
    stream->phase = CONNECTING;
    stream->ready = stream->in_block = stream->status_read = false;
    stream->marks = 0;
    stream->rest.length = 0;
    stream->new_id_length = 0;
    run.opening++;
    bool sent = send_head(stream, number);
    watch_fd(EPOLL_CTL_ADD, stream->fd, number, sent ? EPOLLIN : EPOLLOUT);
}

static void stream_ready(Stream *stream, int64_t at) {
    stream->ready = true;
    run.opening--;
    run.opened++;
    run.opened_at = at;
    timed(&run.opens, at - stream->asked_at);
    if (run.asked.leave) close_stream(stream);
}

static void followed(Stream *stream, uint64_t event, int64_t stamp, int64_t at) {
    if (event < stream->following) {
        run.repeated++;
        return;
    }
    run.missed += event - stream->following;
    if (run.asked.reach && stream->following < run.asked.reach && event + 1 >= run.asked.reach)
        run.behind--;
    stream->following = event + 1;
    run.got++;
    run.got_at = at;
    timed(&run.late, at - stamp);
}

static void delivered(Stream *stream, uint32_t number, uint64_t event, int64_t stamp, int64_t at) {
    stream->marks++;
    if (run.asked.follow) {
        followed(stream, event, stamp, at);
        return;
    }
    if (event < run.base || event >= run.base + run.sent) return; /* of an earlier run */
    uint64_t index = event - run.base;
    uint64_t *word = &run.seen[index / 64], bit = 1ULL << (index % 64);
    if (run.owner != NULL) {
        if (run.owner[index] != number) {
            run.strangers++;
            return;
        }
    } else {
        word += number * run.words;
    }
    if (*word & bit) {
        run.repeated++;
        return;
    }
    *word |= bit;
    /* What several connections publish has no order of its own. */
    if (event < stream->last && run.asked.connections == 1) run.disordered++;
    stream->last = event + 1;
    if (!stream->member) return;
    run.got++;
    run.got_at = at;
    timed(&run.late, at - stamp);
    if (in(run.asked.watch, number)) {
        run.got_watched++;
        timed(&run.late_watched, at - stamp);
    }
}

static bool digits(const char *at, int count, uint64_t *value) {
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        *value = *value * 10 + (uint64_t)(at[i] - '0');
    }
    return true;
}

static bool starts(const char *line, size_t length, const char *with, size_t count) {
    return length >= count && memcmp(line, with, count) == 0;
}

/* One line of a body. What frames its chunks is among the lines, and looks like no field. */
static void body_line(Stream *stream, uint32_t number, const char *line, size_t length, int64_t at) {
    if (length == 0) {
        if (!stream->in_block) return;
        stream->in_block = false;
        if (stream->new_id_length) {
            memcpy(stream->id, stream->new_id, stream->new_id_length);
            stream->id_length = stream->new_id_length;
            stream->new_id_length = 0;
        }
        if (!stream->ready && stream->marks >= run.asked.ready_after) stream_ready(stream, at);
        return;
    }
    if (starts(line, length, "data:", 5)) {
        uint64_t stamp, event;
        const char *mark = memmem(line, length, MARK_START, 3);
        stream->in_block = true;
        if (mark != NULL && line + length - mark >= MARK_LENGTH && digits(mark + 3, 19, &stamp) &&
            digits(mark + 23, 9, &event))
            delivered(stream, number, event, (int64_t)stamp, at);
    } else if (starts(line, length, "id:", 3)) {
        size_t skip = length > 3 && line[3] == ' ' ? 4 : 3;
        stream->in_block = true;
        if (length - skip <= MAX_ID) {
            stream->new_id_length = (uint16_t)(length - skip);
            memcpy(stream->new_id, line + skip, length - skip);
        }
    } else if (line[0] == ':' || memchr(line, ':', length < 8 ? length : 8) != NULL) {
        stream->in_block = true;
    }
}

static void head_line(Stream *stream, uint32_t number, const char *line, size_t length) {
    if (!stream->status_read) {
        if (length < 12 || memcmp(line + 8, " 200", 4) != 0)
            fail("stream %u was answered: %.*s", number, (int)(length < 100 ? length : 100), line);
        stream->status_read = true;
    } else if (length == 0) {
        stream->phase = IN_BODY;
    }
}

static void read_stream(Stream *stream, uint32_t number) {
    static char space[MAX_LINE + READ_BYTES];
    char *fresh = space + MAX_LINE, *at = fresh - stream->rest.length, *newline;
    ssize_t count = read(stream->fd, fresh, READ_BYTES);
    int64_t when = now();
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        if (!stream->ready) fail("stream %u was cut before it was ready", number);
        run.cut++;
        close_stream(stream);
        return;
    }
    run.reads++;
    run.bytes += (uint64_t)count;
    if (stream->rest.length) memcpy(at, stream->rest.bytes, stream->rest.length);
    stream->rest.length = 0;
    char *end = fresh + count;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        size_t length = (size_t)(newline - at);
        if (length && at[length - 1] == '\r') length--;
        if (stream->phase == IN_BODY)
            body_line(stream, number, at, length, when);
        else
            head_line(stream, number, at, length);
        if (stream->phase == CLOSED) return;
        at = newline + 1;
    }
    if (at < end) {
        if (end - at > MAX_LINE) fail("stream %u has a line without an end", number);
        append(&stream->rest, at, (size_t)(end - at));
    } else if (stream->rest.room) {
        free(stream->rest.bytes);
        memset(&stream->rest, 0, sizeof stream->rest);
    }
}

static void stream_event(uint32_t number) {
    Stream *stream = &streams[number];
    if (stream->phase == CONNECTING) {
        if (send_head(stream, number)) watch_fd(EPOLL_CTL_MOD, stream->fd, number, EPOLLIN);
    } else if (stream->phase != CLOSED) {
        read_stream(stream, number);
    }
}

/* ---- publishing ------------------------------------------------------------------------------- */

typedef struct {
    int fd;
    uint32_t flight; /* requests not yet answered */
    Buffer out;
    size_t written;
    bool waiting; /* for room in the socket */
    /* the answer that is being read */
    bool in_body, good;
    char line[512];
    size_t line_length, body_left;
} Publisher;

static Publisher *publishers;
static uint32_t publisher_count;

/* Connections for one run: servers close those that are idle for some seconds. */
static void open_publishers(uint32_t count) {
    publishers = grown(publishers, count * sizeof *publishers);
    memset(publishers, 0, count * sizeof *publishers);
    for (publisher_count = 0; publisher_count < count; publisher_count++) {
        Publisher *publisher = &publishers[publisher_count];
        publisher->fd = connected_socket(publisher_count);
        watch_fd(EPOLL_CTL_ADD, publisher->fd, PUBLISHER_TAG | publisher_count, EPOLLIN);
    }
}

static void close_publishers(void) {
    while (publisher_count) {
        Publisher *publisher = &publishers[--publisher_count];
        close(publisher->fd);
        free(publisher->out.bytes);
    }
}

static void write_out(Publisher *publisher, uint32_t number) {
    while (publisher->written < publisher->out.length) {
        ssize_t count = write(
            publisher->fd, publisher->out.bytes + publisher->written,
            publisher->out.length - publisher->written
        );
        if (count < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
            if (!publisher->waiting)
                watch_fd(
                    EPOLL_CTL_MOD, publisher->fd, PUBLISHER_TAG | number, EPOLLIN | EPOLLOUT
                );
            publisher->waiting = true;
            return;
        }
        if (count < 0) fail("publishing: %s", strerror(errno));
        publisher->written += (size_t)count;
    }
    publisher->out.length = publisher->written = 0;
    if (publisher->waiting)
        watch_fd(EPOLL_CTL_MOD, publisher->fd, PUBLISHER_TAG | number, EPOLLIN);
    publisher->waiting = false;
}

static uint32_t drawn(void) {
    static uint64_t state = 88172645463325252ULL;
    do {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    } while (!streams[state % stream_count].member);
    return (uint32_t)(state % stream_count);
}

static void send_request(Publisher *publisher, uint32_t number) {
    static Buffer body;
    char length[64];
    uint64_t left = run.events - run.sent;
    uint32_t count = left < run.asked.batch ? (uint32_t)left : run.asked.batch, user = 0;
    int64_t stamp = now();
    bool in_batch = run.asked.batch > 1;
    body.length = 0;
    if (in_batch) append(&body, prefix, strlen(prefix));
    for (uint32_t i = 0; i < count; i++) {
        if (i) append(&body, separator, strlen(separator));
        if (run.asked.to_one) run.owner[run.sent] = user = drawn();
        append_filled(&body, &event_text, stamp, run.base + run.sent, user);
        run.sent++;
    }
    if (in_batch) append(&body, suffix, strlen(suffix));
    append_filled(&publisher->out, &publish_head, stamp, 0, user);
    int size = snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", body.length);
    append(&publisher->out, length, (size_t)size);
    append(&publisher->out, body.bytes, body.length);
    publisher->flight++;
    run.requests++;
    write_out(publisher, number);
}

/* How long until another request may be sent: 0 = it was; -1 = something must come in first. */
static int64_t publish_more(void) {
    static uint32_t turn;
    const Asked *asked = &run.asked;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (asked->until_told && run.sent < run.events && poll(&input, 1, 0) > 0)
        run.events = run.sent;
    for (int request = 0; request < ROUND_REQUESTS; request++) {
        if (run.sent >= run.events) return -1;
        if (asked->flight && run.members &&
            run.sent + asked->batch - run.got / (asked->to_one ? 1 : run.members) > asked->flight)
            return -1;
        if (asked->rate > 0) {
            int64_t due = run.began + (int64_t)((double)run.sent / asked->rate * SECOND);
            if (due > now()) return due - now();
        }
        uint32_t tried = 0;
        while (publishers[turn % asked->connections].flight >= asked->depth) {
            turn++;
            if (++tried >= asked->connections) return -1;
        }
        send_request(&publishers[turn % asked->connections], turn % asked->connections);
        turn++;
    }
    return 0;
}

static void answer_line(Publisher *publisher) {
    const char *line = publisher->line;
    size_t length = publisher->line_length;
    if (starts(line, length, "HTTP/1.", 7)) {
        publisher->good = length >= 12 && line[9] == '2';
        publisher->body_left = 0;
        if (!publisher->good) fail("an event was answered: %.*s", (int)length, line);
    } else if (length > 15 && strncasecmp(line, "content-length:", 15) == 0) {
        publisher->body_left = strtoul(line + 15, NULL, 10);
    } else if (length == 0) {
        publisher->in_body = true;
    }
}

static void read_answers(Publisher *publisher) {
    static char space[65536];
    ssize_t count = read(publisher->fd, space, sizeof space);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) fail("the server closed a publisher's connection");
    for (char *at = space, *end = space + count; at < end || publisher->in_body;) {
        if (publisher->in_body) {
            size_t part = (size_t)(end - at);
            if (part < publisher->body_left) {
                publisher->body_left -= part;
                return;
            }
            at += publisher->body_left;
            publisher->in_body = false;
            publisher->flight--;
            run.answered++;
            run.answered_at = now();
            continue;
        }
        if (*at == '\n') {
            if (publisher->line_length && publisher->line[publisher->line_length - 1] == '\r')
                publisher->line_length--;
            publisher->line[publisher->line_length] = 0;
            answer_line(publisher);
            publisher->line_length = 0;
        } else if (publisher->line_length < sizeof publisher->line - 1) {
            publisher->line[publisher->line_length++] = *at;
        }
        at++;
    }
}

static void publisher_event(uint32_t number, uint32_t events) {
    Publisher *publisher = &publishers[number];
    if (events & EPOLLOUT) write_out(publisher, number);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_answers(publisher);
}

/* ---- the loop --------------------------------------------------------------------------------- */

static bool complete(void) {
    uint64_t watched = run.asked.watch.end - run.asked.watch.first;
    switch (run.asked.must) {
    case MUST_NONE:
        return true;
    case MUST_WATCHED:
        return run.got_watched >= run.sent * watched;
    default:
        return run.got >= (run.asked.to_one ? run.sent : run.sent * run.members);
    }
}

static bool over(void) {
    return run.next >= run.asked.open.end && run.opening == 0 && run.sent >= run.events &&
           run.answered >= run.requests && complete() && run.behind == 0 &&
           now() >= run.began + (int64_t)(run.asked.hold * SECOND);
}

static void prepare(void) {
    const Asked *asked = &run.asked;
    for (uint32_t i = asked->close.first; i < asked->close.end; i++) close_stream(&streams[i]);
    for (uint32_t i = 0; i < stream_count; i++) {
        streams[i].member = !asked->leave && (streams[i].phase != CLOSED || in(asked->open, i));
        run.members += streams[i].member;
        run.behind += streams[i].member && streams[i].following < asked->reach;
    }
    if (asked->events == 0) return;
    open_publishers(asked->connections);
    run.words = (size_t)(asked->events + 63) / 64;
    size_t rows = asked->to_one ? 1 : stream_count;
    if ((double)run.words * 8 * (double)rows > 2e9) fail("too many streams and events for one run");
    run.seen = calloc(run.words * rows + 1, 8);
    if (asked->to_one) {
        if (run.members == 0) fail("there is no stream to publish to");
        run.owner = calloc(asked->events, sizeof *run.owner);
    }
}

static bool loop(void) {
    struct epoll_event events[ROUND_EVENTS];
    int64_t limit = run.began + (int64_t)(run.asked.within * SECOND);
    while (!over()) {
        if (now() > limit) return false;
        int64_t wait = SECOND / 5;
        for (int i = 0; i < ROUND_CONNECTS; i++) {
            if (run.next >= run.asked.open.end || run.opening >= run.asked.concurrency) break;
            if (streams[run.next].phase == CLOSED) open_stream(run.next);
            run.next++;
            if (i == ROUND_CONNECTS - 1) wait = 0;
        }
        int64_t due = publish_more();
        if (due >= 0 && due < wait) wait = due;
        int count = epoll_wait(epoll_fd, events, ROUND_EVENTS, (int)((wait + 999999) / 1000000));
        for (int i = 0; i < count; i++) {
            uint32_t tag = events[i].data.u32;
            if (tag & PUBLISHER_TAG)
                publisher_event(tag & ~PUBLISHER_TAG, events[i].events);
            else
                stream_event(tag);
        }
    }
    return true;
}

static double since(int64_t at) {
    return at ? (double)(at - run.began) / 1e9 : 0;
}

static void perform(const Asked *asked) {
    memset(&run, 0, sizeof run);
    run.asked = *asked;
    run.base = all_sent;
    run.events = asked->events;
    run.next = asked->open.first;
    prepare();
    double spent = cpu_seconds();
    run.began = now();
    bool ended = loop();
    double wall = since(now()), cpu = cpu_seconds() - spent;
    close_publishers();
    all_sent += run.sent;
    uint64_t expected = asked->to_one ? run.sent : run.sent * run.members;
    printf("{");
    tell_times("opens", &run.opens);
    tell_times("late", &run.late);
    tell_times("late_watched", &run.late_watched);
    printf(
        "\"ended\": %s, \"wall\": %.6f, \"cpu\": %.6f, \"members\": %u, \"opened\": %u, "
        "\"open_seconds\": %.6f, \"sent\": %lu, \"requests\": %lu, \"answer_seconds\": %.6f, "
        "\"deliveries\": %lu, \"expected\": %lu, \"delivery_seconds\": %.6f, "
        "\"watched_deliveries\": %lu, \"repeated\": %lu, "
        "\"disordered\": %lu, \"strangers\": %lu, \"missed\": %lu, \"cut\": %lu, \"reads\": %lu, \"bytes\": %lu}\n",
        ended ? "true" : "false", wall, cpu, run.members, run.opened, since(run.opened_at),
        run.sent, run.requests, since(run.answered_at), run.got, expected, since(run.got_at),
        run.got_watched, run.repeated, run.disordered, run.strangers, run.missed, run.cut, run.reads,
        run.bytes
    );
    fflush(stdout);
    free(run.seen);
    free(run.owner);
}

static Range range(const char *text) {
    unsigned first, end;
    if (sscanf(text, "%u-%u", &first, &end) != 2 || first > end || end > stream_count)
        fail("no such range of streams: %s", text);
    return (Range){first, end};
}

static Asked parsed(char *line) {
    Asked asked = {
        .concurrency = 256, .batch = 1, .connections = 1, .depth = 1, .within = 60, .must = MUST_ALL
    };
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        char *value = strchr(word, '=');
        if (value == NULL) fail("not NAME=VALUE: %s", word);
        *value++ = 0;
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (!strcmp(word, "close")) asked.close = range(value);
        else if (!strcmp(word, "open")) asked.open = range(value);
        else if (!strcmp(word, "watch")) asked.watch = range(value);
        else if (!strcmp(word, "concurrency")) asked.concurrency = number;
        else if (!strcmp(word, "ready_after")) asked.ready_after = number;
        else if (!strcmp(word, "leave")) asked.leave = number;
        else if (!strcmp(word, "events")) asked.events = strtoul(value, NULL, 10);
        else if (!strcmp(word, "batch")) asked.batch = number;
        else if (!strcmp(word, "connections")) asked.connections = number;
        else if (!strcmp(word, "depth")) asked.depth = number;
        else if (!strcmp(word, "flight")) asked.flight = number;
        else if (!strcmp(word, "rate")) asked.rate = strtod(value, NULL);
        else if (!strcmp(word, "to")) asked.to_one = !strcmp(value, "one");
        else if (!strcmp(word, "until_told")) asked.until_told = number;
        else if (!strcmp(word, "follow")) asked.follow = number;
        else if (!strcmp(word, "reach")) asked.reach = strtoul(value, NULL, 10);
        else if (!strcmp(word, "hold")) asked.hold = strtod(value, NULL);
        else if (!strcmp(word, "within")) asked.within = strtod(value, NULL);
        else if (!strcmp(word, "must"))
            asked.must = !strcmp(value, "none")      ? MUST_NONE
                         : !strcmp(value, "watched") ? MUST_WATCHED
                                                     : MUST_ALL;
        else fail("no such word: %s", word);
    }
    return asked;
}

int main(int count, char **arguments) {
    char line[4096];
    struct rlimit files;
    if (count != 8) fail("usage: load PORT HEADS PUBLISH_HEAD EVENT PREFIX SEPARATOR SUFFIX");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    server = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(arguments[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    Buffer heads = file(arguments[2]);
    take_heads(&heads);
    publish_head = file(arguments[3]);
    event_text = file(arguments[4]);
    prefix = arguments[5], separator = arguments[6], suffix = arguments[7];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    while (fgets(line, sizeof line, stdin) != NULL) {
        Asked asked = parsed(line);
        perform(&asked);
    }
    return 0;
}
