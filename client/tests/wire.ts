/** A network in the hands of a test: what is asked, and what is answered. */
import { type KnownEvents, SSEClient, type SSEClientOptions } from "../src/index.js";
import { connected, event, ping } from "./model.js";

export class Request {
  readonly answered: Promise<Response>;
  #respond!: (response: Response) => void;
  #fail!: (error: Error) => void;
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(
    readonly url: URL,
    readonly init: RequestInit,
  ) {
    this.answered = new Promise((respond, fail) => {
      this.#respond = respond;
      this.#fail = fail;
    });
    init.signal?.addEventListener("abort", () => {
      this.#fail(new DOMException("aborted", "AbortError"));
      this.#body?.error(new DOMException("aborted", "AbortError"));
    });
  }

  get aborted(): boolean {
    return this.init.signal?.aborted ?? false;
  }

  header(name: string): string | null {
    return new Headers(this.init.headers).get(name);
  }

  /** Answers with a stream, which goes on with what is written. */
  async stream(): Promise<this> {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller;
      },
    });
    const headers = { "Content-Type": "text/event-stream; charset=utf-8" };
    this.#respond(new Response(body, { headers }));
    await settle();
    return this;
  }

  async write(data: string | Uint8Array): Promise<this> {
    this.#body?.enqueue(typeof data === "string" ? new TextEncoder().encode(data) : data);
    await settle();
    return this;
  }

  async end(): Promise<void> {
    this.#body?.close();
    await settle();
  }

  async json(body: unknown, status = 200, headers: Record<string, string> = {}): Promise<void> {
    const type = status < 400 ? "application/json" : "application/problem+json";
    const all = { "Content-Type": type, ...headers };
    this.#respond(new Response(JSON.stringify(body), { status, headers: all }));
    await settle();
  }

  async text(body: string, status = 200, type = "text/html"): Promise<void> {
    this.#respond(new Response(body, { status, headers: { "Content-Type": type } }));
    await settle();
  }

  async fail(): Promise<void> {
    this.#fail(new TypeError("fetch failed"));
    await settle();
  }

  /** Answers a poll. */
  events(ids: string[]): Promise<void> {
    return this.json({
      userId: "alice",
      events: ids.map((id) => event(id)),
      cursor: ids.at(-1) ?? "c0",
      hasMore: false,
      gap: null,
      meta: { nextPollIn: 10_000 },
    });
  }
}

export class Wire {
  readonly requests: Request[] = [];

  readonly fetch = (url: string, init: RequestInit): Promise<Response> => {
    const request = new Request(new URL(url), init);
    this.requests.push(request);
    return request.answered;
  };

  get last(): Request {
    const request = this.requests.at(-1);
    if (request === undefined) throw new Error("Nothing was asked.");
    return request;
  }

  client<Events = KnownEvents>(options: SSEClientOptions<Events> = {}): SSEClient<Events> {
    return new SSEClient<Events>({
      endpoint: "http://server.test/api/sse",
      fetch: this.fetch,
      shareConnection: false,
      ...options,
    });
  }

  /** A client whose stream is open, and what it asked for. */
  async streaming<Events = KnownEvents>(
    options: SSEClientOptions<Events> = {},
  ): Promise<{ client: SSEClient<Events>; stream: Request }> {
    const client = this.client(options);
    client.connect();
    await settle();
    const stream = await this.last.stream();
    await stream.write(OPENING);
    return { client, stream };
  }
}

/** That of the machine, also where a test has the time in its hands. */
const soon = setImmediate;

/** Lets everything happen that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((go) => soon(go));
}

export function block(signal: ReturnType<typeof connected>): string {
  if (signal.type === "control") {
    const { control, cursor } = signal;
    const data = JSON.stringify(control);
    return `event: ${control.type}\ndata: ${data}\n${cursor === null ? "" : `id: ${cursor}\n`}\n`;
  }
  if (signal.type !== "event") throw new Error("not on a stream");
  const data = JSON.stringify(signal.event);
  return `event: ${signal.event.type}\ndata: ${data}\nid: ${signal.cursor}\n\n`;
}

export const OPENING = block(connected());
export const PINGED = block(ping("c1"));
