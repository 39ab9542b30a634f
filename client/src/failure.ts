import type { Category, Problem, Recovery } from "./types.js";

/** Why a connection failed: what the server said, or what we noticed. */
export interface Failure {
  /** Of the server's problem, or one of ours: see the table in the docs. */
  code: string;
  detail: string;
  category: Category;
  recovery: Recovery;
  /** The HTTP status, if there was an answer. */
  status: number | null;
  /** Milliseconds. */
  retryAfter: number | null;
}

/** A failure that we noticed ourselves. */
export function failure(code: string, detail: string, recovery: Recovery = "retry"): Failure {
  return { code, detail, category: "connection", recovery, status: null, retryAfter: null };
}

/**
 * What an HTTP answer means that is no success. A problem of the server says it itself. Anything
 * else comes from something in between, a proxy or a page to log in at: a 401 and a 429 mean what
 * they always mean, and no other status is a reason to give up.
 */
export async function answerFailure(response: Response): Promise<Failure> {
  const { status } = response;
  const told = await readProblem(response);
  if (told !== null) return told;
  const [category, recovery]: [Category, Recovery] =
    status === 401
      ? ["authentication", "refresh_token"]
      : status === 429
        ? ["rate_limit", "fallback_polling"]
        : status >= 500
          ? ["server", "restart_connection"]
          : ["connection", "retry"];
  const seconds = Number(response.headers.get("retry-after"));
  return {
    code: `HTTP_${status}`,
    detail: `The answer was ${status}.`,
    category,
    recovery,
    status,
    // A date is as good as nothing: the clocks may differ.
    retryAfter: seconds > 0 ? seconds * 1000 : null,
  };
}

async function readProblem(response: Response): Promise<Problem | null> {
  if (!response.headers.get("content-type")?.includes("json")) return null;
  try {
    const body = await response.json();
    return body?.code && body.recovery ? body : null;
  } catch {
    return null;
  }
}

/** A failure as an error, for `onError` and for those who await a token. */
export class TidewireError extends Error implements Failure {
  override name = "TidewireError";
  declare readonly code: string;
  declare readonly detail: string;
  declare readonly category: Category;
  declare readonly recovery: Recovery;
  declare readonly status: number | null;
  declare readonly retryAfter: number | null;
  /** Whether the client has stopped because of it, and does not come back by itself. */
  declare readonly fatal: boolean;

  constructor(reason: Failure, fatal: boolean) {
    super(reason.detail);
    // With whatever else the server's problem says.
    Object.assign(this, reason, { fatal });
  }
}

/** Nobody, or nobody who may do this: a 401 that a new token did not mend, or a 403. */
export class AuthenticationError extends TidewireError {
  override name = "AuthenticationError";
}

export function toError(reason: Failure, fatal: boolean): TidewireError {
  const Kind = reason.category === "authentication" ? AuthenticationError : TidewireError;
  return new Kind(reason, fatal);
}

/** What somebody threw, as a failure. */
export function thrown(error: unknown, code: string, recovery: Recovery = "retry"): Failure {
  if (error instanceof TidewireError) return error;
  return failure(code, error instanceof Error ? error.message : String(error), recovery);
}
