/** A real nginx with the configuration that is shipped. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { freePort } from "./port.js";

const SHIPPED = fileURLToPath(new URL("../../../deploy/nginx/tidewire.conf", import.meta.url));

/** It lies where the paths of others often do not. */
const PATH = `${process.env.PATH}:/usr/sbin`;

export interface NginxOptions {
  /** The address and port of the server. */
  upstream: string;
  /** Has it hold streams back, as it does where nobody has thought of them. */
  buffering?: boolean;
}

export class Nginx {
  readonly url: string;
  readonly #folder: string;
  readonly #port: number;
  #process: ChildProcess | null = null;

  private constructor(folder: string, port: number) {
    this.url = `https://localhost:${port}`;
    this.#folder = folder;
    this.#port = port;
  }

  static async start(options: NginxOptions): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), "tidewire-nginx-"));
    const [port, plainPort] = [await freePort(), await freePort()];
    certify(folder);
    writeFileSync(join(folder, "tidewire.conf"), site(folder, port, plainPort, options));
    writeFileSync(join(folder, "nginx.conf"), main(folder));
    const nginx = new Nginx(folder, port);
    try {
      await nginx.resume();
    } catch (error) {
      await nginx.stop();
      throw error;
    }
    return nginx;
  }

  /** Starts it again, after `cut`. */
  async resume(): Promise<void> {
    const child = spawn("nginx", ["-e", "stderr", "-c", join(this.#folder, "nginx.conf")], {
      env: { PATH },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    let complaint = "";
    child.stderr?.on("data", (text) => {
      if (complaint.length < 10_000) complaint += text;
    });
    await expect
      .poll(
        async () => {
          if (child.exitCode !== null) throw new Error(`nginx did not start:\n${complaint}`);
          return accepts(this.#port);
        },
        { timeout: 10_000 },
      )
      .toBe(true);
  }

  /** Ends it, and with it every connection through it. */
  async cut(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  }

  /** Lines of the access log; one for each request that has ended. */
  log(): string {
    return readFileSync(join(this.#folder, "tidewire.access.log"), "utf8");
  }

  async stop(): Promise<void> {
    await this.cut();
    rmSync(this.#folder, { recursive: true });
  }
}

/** The file that is shipped, with the ports and paths of a test. */
function site(folder: string, port: number, plainPort: number, options: NginxOptions): string {
  const changes: [string, string][] = [
    ["server 127.0.0.1:8000;", `server ${options.upstream};`],
    ["listen 80;", `listen 127.0.0.1:${plainPort};`],
    ["listen 443 ", `listen 127.0.0.1:${port} `],
    ["/etc/ssl/certs/events.example.com.pem", join(folder, "certificate.pem")],
    ["/etc/ssl/private/events.example.com.key", join(folder, "key.pem")],
    ["/var/log/nginx/", `${folder}/`],
  ];
  if (options.buffering) {
    const forced = [
      "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;",
      // The chunks of HTTP/1.1 it passes on even then. Its default is 1.0.
      "proxy_http_version 1.0;",
      // And what fills a buffer: smaller ones make events late, not lost.
      "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;",
    ];
    changes.push(["proxy_buffering off;", forced.join(" ")]);
  }
  return changes.reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${SHIPPED} has no ${from}`);
      return text.replaceAll(from, to);
    },
    readFileSync(SHIPPED, "utf8"),
  );
}

/** What surrounds it. Of what a site may have set for everything else, the worst for streams. */
function main(folder: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join("\n  ");
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 256; }
http {
  ${temporary}
  gzip on;
  gzip_types *;
  gzip_proxied any;
  proxy_read_timeout 1s;
  proxy_ignore_headers X-Accel-Buffering;
  include ${folder}/tidewire.conf;
}
`;
}

/** A certificate for `localhost` that vouches for itself. */
function certify(folder: string): void {
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1";
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "certificate.pem")];
  execFileSync("openssl", [...words.split(" "), "-subj", "/CN=localhost", ...files], {
    stdio: "pipe",
  });
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
