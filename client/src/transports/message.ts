import { failure } from "../failure.js";
import type { Signal } from "../model.js";
import type { Control, Envelope } from "../types.js";

/**
 * One message of a stream.
 *
 * Events of the log have an id, control events have none. The SSE name is not asked: the envelope
 * says the same, also where names are left out.
 */
export function readMessage(data: string, cursor: string | null): Signal {
  const envelope = parse(data);
  if (envelope === null) {
    const detail = "A message is no event.";
    return { type: "failed", failure: failure("NOT_A_STREAM", detail, "fallback_polling") };
  }
  return "id" in envelope
    ? { type: "event", event: envelope, cursor }
    : { type: "control", control: envelope, cursor };
}

function parse(data: string): Envelope | Control | null {
  try {
    const value = JSON.parse(data);
    return typeof value?.type === "string" ? value : null;
  } catch {
    return null;
  }
}
