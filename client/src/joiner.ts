/**
 * How a leader brings in who stands elsewhere: from what is remembered, or from the log.
 */
import type { Joiner, MemberAction, MemberDraft } from "./membership.js";
import type { Delivery } from "./model.js";
import { extended, since } from "./past.js";
import { place, post, told } from "./post.js";

/** After the log was asked in vain it is not asked again for so long. */
export const READ_REST = 5_000;

/** Keeps what belongs to the log. How a connection stood is of no use later. */
export function keep(
  draft: MemberDraft,
  from: string | null,
  deliveries: readonly Delivery[],
  size: number,
): void {
  if (from === draft.cursor) return;
  const lasting = deliveries.filter(
    (delivery) =>
      delivery.type === "event" || (delivery.type === "control" && delivery.control.type === "gap"),
  );
  draft.past = extended(draft.past, { from, cursor: draft.cursor, deliveries: lasting, size });
}

/** Whether it may be tried again to bring somebody in. */
export function ready({ now }: MemberDraft, joiner: Joiner): boolean {
  return !joiner.asked && joiner.notBefore <= now;
}

/** Brings somebody in who stands at `at`. */
export function bring(draft: MemberDraft, to: string, at: string | null): void {
  const { cursor } = draft;
  const here = place(draft);
  const missed = at === here ? [] : at === null ? null : since(draft.past, at);
  if (missed !== null) {
    draft.joiners.delete(to);
    page(draft, to, at, here, missed, true);
    return;
  }
  // Before we are somewhere ourselves there is nowhere to bring it.
  draft.joiners.set(to, { at, asked: cursor !== null, notBefore: 0 });
  if (cursor !== null) {
    draft.effects.push({ type: "read", to, from: at, until: cursor });
  }
}

function page(
  draft: MemberDraft,
  to: string,
  from: string | null,
  cursor: string | null,
  deliveries: readonly Delivery[],
  last: boolean,
): void {
  post(draft, { kind: "page", to, last, from, deliveries, ...told(draft), cursor });
}

/** What the log had for somebody. */
export function found(
  draft: MemberDraft,
  { to, from, answer }: MemberAction & { type: "read" },
): void {
  const joiner = draft.joiners.get(to);
  // It may have left and come back meanwhile, and stand elsewhere.
  if (joiner?.at !== from) return;
  if (answer === null) {
    draft.joiners.set(to, { ...joiner, asked: false, notBefore: draft.now + READ_REST });
    return;
  }
  const deliveries: Delivery[] = answer.events.map((event) => ({ type: "event", event }));
  if (answer.gap !== null) {
    deliveries.unshift({ type: "control", control: { type: "gap", data: answer.gap } });
  }
  page(draft, to, joiner.at, answer.cursor, deliveries, false);
  draft.joiners.set(to, { at: answer.cursor, asked: false, notBefore: 0 });
  // Where the log goes on beyond us, or is not yet where we are, it waits until we have moved.
  if (answer.hasMore || since(draft.past, answer.cursor) || answer.cursor === draft.cursor) {
    bring(draft, to, answer.cursor);
  }
}
