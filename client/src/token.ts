import { answerFailure, thrown, toError } from "./failure.js";
import { type Fetch, requestOf, urlsOf } from "./source.js";
import type { SSEToken } from "./types.js";

export interface TokenRequest {
  /** The path of the streams; that of the tokens lies beside it. */
  endpoint?: string;
  /** The path of the tokens, where it does not. */
  tokenEndpoint?: string;
  /** Further headers. */
  headers?: Record<string, string>;
  /** Whether cookies go to other origins. */
  withCredentials?: boolean;
  fetch?: Fetch;
}

/**
 * Gets a token for streams from the server, by the session of the page.
 *
 * @throws {TidewireError} the server refused, or is not there.
 *
 * @example
 * new SSEClient({ endpoint: "/api/sse", getToken: () => getSSEToken() })
 */
export async function getSSEToken(request: TokenRequest = {}): Promise<SSEToken> {
  const { endpoint = "/api/sse", tokenEndpoint, headers = {}, withCredentials = false } = request;
  const get = request.fetch ?? fetch;
  const url = urlsOf(endpoint, undefined, tokenEndpoint).token;
  const accept = { Accept: "application/json" };
  let response: Response;
  try {
    response = await get(url, requestOf({ headers, withCredentials }, null, accept));
  } catch (error) {
    throw toError(thrown(error, "NETWORK"), false);
  }
  if (!response.ok) throw toError(await answerFailure(response), false);
  return (await response.json()) as SSEToken;
}
