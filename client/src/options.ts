import type { SSEClientOptions } from "./client.js";
import { urlsOf, withParams } from "./source.js";
import { getSSEToken } from "./token.js";
import type { KnownEvents } from "./types.js";

/** What a client can be told where views use it: all that `SSEClient` takes, and some shorthands. */
export interface HybridRealtimeOptions<Events = KnownEvents> extends SSEClientOptions<Events> {
  /** Whether tokens are got by `getSSEToken`, by the session of the page. `getToken` wins. */
  enableTokenAuth?: boolean;
  /** The same as `autoReconnect`, which wins. */
  retryOnError?: boolean;
}

/** What `SSEClient` is given for them. */
export function clientOptionsOf<Events>(
  options: HybridRealtimeOptions<Events>,
): SSEClientOptions<Events> {
  const { enableTokenAuth, retryOnError, getToken, autoReconnect, ...rest } = options;
  const tokens = getToken ?? (enableTokenAuth ? () => sessionToken(options) : undefined);
  return {
    ...rest,
    autoReconnect: autoReconnect ?? retryOnError ?? true,
    ...(tokens && { getToken: tokens }),
  };
}

function sessionToken<Events>(options: HybridRealtimeOptions<Events>) {
  const { endpoint = "/api/sse", userId, params, headers, withCredentials, fetch } = options;
  const { token } = urlsOf(endpoint, undefined, options.tokenEndpoint);
  return getSSEToken({
    endpoint,
    // In development there is no session: these say who asks.
    tokenEndpoint: withParams(token, { userId, ...params }),
    ...(headers && { headers }),
    ...(withCredentials && { withCredentials }),
    ...(fetch && { fetch }),
  });
}
