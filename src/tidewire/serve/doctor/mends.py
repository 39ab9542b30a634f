"""How to mend what stands between browsers and the server: the lines, for each proxy.

Each is said of the place that carries the streams, ``/api/sse``.
"""

from typing import Final

BUFFERING: Final = """\
nginx, where it passes the streams on:
    proxy_http_version 1.1;
    proxy_buffering off;
  and no `proxy_ignore_headers X-Accel-Buffering;`
Caddy, in reverse_proxy:
    flush_interval -1
HAProxy holds no answers back, unless a filter or `wait-for-body` makes it."""

COMPRESSION: Final = """\
nginx, where it passes the streams on (or without text/event-stream in gzip_types):
    gzip off;
    proxy_buffering off;
Caddy:
    @rest not path */sse
    encode @rest gzip
HAProxy, without text/event-stream:
    compression type text/html text/css application/json"""

IDLE: Final = """\
Let the proxy wait for longer than the ping interval.
nginx, where it passes the streams on:
    proxy_read_timeout 5m;
HAProxy, in the frontend and in the backend:
    timeout client 5m
    timeout server 5m
Caddy, in the transport http of reverse_proxy: no read_timeout below 5m.
Or have the server ping more often: TIDEWIRE_PING_INTERVAL=15."""

AUTHORIZATION: Final = """\
nginx:
    proxy_set_header Authorization $http_authorization;
  and no `proxy_set_header Authorization "";`
Caddy: no `header_up -Authorization`.
HAProxy: no `http-request del-header Authorization`."""

LAST_EVENT_ID: Final = """\
nginx:
    proxy_set_header Last-Event-ID $http_last_event_id;
  and no `proxy_set_header Last-Event-ID "";`
Caddy: no `header_up -Last-Event-ID`.
HAProxy: no `http-request del-header Last-Event-ID`."""

HTTP2: Final = """\
nginx (from 1.25.1 on it is `listen 443 ssl;` and `http2 on;`):
    listen 443 ssl http2;
HAProxy:
    bind :443 ssl crt FILE alpn h2,http/1.1
Caddy does it by itself, over TLS."""

CACHE_CONTROL: Final = """\
nginx: no `proxy_hide_header`, `add_header` or `expires` for Cache-Control.
Caddy: no `header Cache-Control`.
HAProxy: no `http-response set-header Cache-Control`.
A CDN must neither cache nor transform the path of the streams."""

ACCESS_LOG: Final = """\
Write paths without their query, or send tokens by the Authorization header.
nginx, in the http block, and then in the server:
    log_format tidewire '$remote_addr [$time_iso8601] '
                        '"$request_method $uri" $status';
    access_log /var/log/nginx/tidewire.access.log tidewire;
Caddy, in `log`:
    format filter {
        request>uri query {
            replace token hidden
        }
    }
HAProxy: a log-format with %HPO in place of %r."""


def prefix(path: str) -> str:
    """How to take a prefix off the path, where the server does not know it."""
    return f"""\
nginx, with a slash at the end of both:
    location {path}/ {{ proxy_pass http://tidewire/; }}
Caddy, in place of `handle`:
    handle_path {path}/*
HAProxy:
    http-request replace-path {path}(/.*) \\1"""
