/** One poll. Whether its answer may be held is the only difference between long and short ones. */
import { answerFailure, failure } from "../failure.js";
import { requestOf, withParams } from "../source.js";
import type { PollAnswer } from "../types.js";
import { abortable } from "./request.js";
import type { Transport } from "./transport.js";

/** Events at most in one answer, as many as the server gives. */
const LIMIT = "500";

export const poll: Transport = (source, link, tell) =>
  abortable(tell, async (signal, tell) => {
    const response = await source.fetch(
      withParams(source.urls.polling, {
        ...source.params,
        since: link.cursor ?? source.since,
        limit: LIMIT,
        wait: String(link.held ? source.hold / 1000 : 0),
      }),
      requestOf(source, source.token(), { Accept: "application/json" }, signal),
    );
    if (!response.ok) {
      tell({ type: "failed", failure: await answerFailure(response) });
      return;
    }
    const answer = readAnswer(await response.text());
    if (answer === null) {
      const detail = "The answer is none to a poll.";
      tell({ type: "failed", failure: failure("NOT_AN_ANSWER", detail) });
    } else tell({ type: "answer", answer });
  });

function readAnswer(text: string): PollAnswer | null {
  try {
    const body: PollAnswer = JSON.parse(text);
    const whole =
      typeof body.cursor === "string" && Array.isArray(body.events) && body.meta.nextPollIn >= 0;
    return whole ? body : null;
  } catch {
    // Some proxies answer for others, with a page and a 200.
    return null;
  }
}
