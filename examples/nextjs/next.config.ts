import type { NextConfig } from "next";

const tidewire = process.env.TIDEWIRE_URL ?? "http://127.0.0.1:8000";

export default {
  // The same origin for pages and streams: so the cookie of NextAuth goes along by itself.
  rewrites: async () => ({
    // Before NextAuth's own route, which would take /api/auth/sse-token.
    beforeFiles: ["/api/sse", "/api/realtime/:path*", "/api/auth/sse-token/:path*"].map(
      (source) => ({ source, destination: tidewire + source }),
    ),
    afterFiles: [],
    fallback: [],
  }),
  // A stream is silent for up to 30 s, between two pings.
  experimental: { proxyTimeout: 120_000 },
  // The client is linked from this repository. With the package from npm, leave this out.
  turbopack: { root: `${import.meta.dirname}/../..` },
} satisfies NextConfig;
