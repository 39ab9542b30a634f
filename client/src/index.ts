export { SSEClient, type SSEClientOptions } from "./client.js";
export { AuthenticationError, type Failure, TidewireError } from "./failure.js";
export type { Method } from "./model.js";
export type { EventSourceConstructor, EventSourceLike, Fetch, GivenToken } from "./source.js";
export type { ConnectionStatus, Status } from "./status.js";
export { getSSEToken, type TokenRequest } from "./token.js";
export type * from "./types.js";
