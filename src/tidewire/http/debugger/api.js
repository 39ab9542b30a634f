/** Requests to the server, each noted in the log. */
import { asAdministrator, credentialsOf, headersOf, paramsOf, redacted } from "./identity.js";
import { troubleOf } from "./trouble.js";
import { duration } from "./units.js";

/**
 * @typedef {import("./identity.js").Who} Who
 * @typedef {import("./trouble.js").Trouble} Trouble
 * @typedef {{ body: any, trouble: null, took: number }
 *   | { body: null, trouble: Trouble, took: number }} Answer `took`: milliseconds
 * @typedef {(source: import("./activity.js").Source, what: string, detail?: string) => void} Note
 */

const TIMEOUT_MS = 10_000;

export class Api {
  #base;
  #note;
  /** What was told of each address the last time, if that was a failure.
   *  @type {Map<string, string>} */
  #told = new Map();

  /**
   * @param {URL} base under which the server has its paths
   * @param {Note} note
   */
  constructor(base, note) {
    this.#base = base;
    this.#note = note;
  }

  /**
   * What only administrators get.
   *
   * @param {string} path
   * @param {Who} who
   * @param {Record<string, string>} [query]
   */
  read(path, who, query = {}) {
    return this.#request("GET", path, asAdministrator(who), query, undefined);
  }

  /**
   * @param {string} path
   * @param {Who} who
   * @param {unknown} body
   */
  post(path, who, body) {
    return this.#request("POST", path, who, {}, body);
  }

  /**
   * An action of an administrator.
   *
   * @param {Who} who
   * @param {string} action
   * @param {Record<string, string>} [parameters]
   */
  act(who, action, parameters = {}) {
    return this.post("api/sse/health", asAdministrator(who), { action, parameters });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Who} who
   * @param {Record<string, string>} query
   * @param {unknown} body
   * @returns {Promise<Answer>}
   */
  async #request(method, path, who, query, body) {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries({ ...query, ...paramsOf(who) })) {
      url.searchParams.set(name, value);
    }
    const begun = performance.now();
    let status = 0;
    let content = null;
    try {
      const answer = await fetch(url, {
        method,
        cache: "no-store",
        credentials: credentialsOf(who),
        headers: {
          ...headersOf(who),
          ...(body !== undefined && { "Content-Type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      status = answer.status;
      content = await answer.json().catch(() => null);
    } catch {
      status = 0;
    }
    const took = performance.now() - begun;
    const ok = status >= 200 && status < 300 && content !== null;
    const what = `${method} ${url.pathname} → ${status === 0 ? "no answer" : status}`;
    const detail = ok ? "" : (content?.detail ?? "");
    if (this.#isNews(url.href, method === "GET", ok, what + detail)) {
      const told = [duration(took), detail].filter(Boolean).join(" · ");
      this.#note(ok ? "request" : "error", what, redacted(told, who.token));
    }
    return ok
      ? { body: content, trouble: null, took }
      : { body: null, trouble: troubleOf(status, content), took };
  }

  /**
   * What is asked again and again would fill the log: of that only a new failure is noted.
   *
   * @param {string} address
   * @param {boolean} repeated
   * @param {boolean} ok
   * @param {string} told
   */
  #isNews(address, repeated, ok, told) {
    if (!repeated) return true;
    const news = !ok && this.#told.get(address) !== told;
    if (ok) this.#told.delete(address);
    else this.#told.set(address, told);
    return news;
  }
}
