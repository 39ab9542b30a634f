/** What a tab posts to the others. */
import type { MemberDraft, Message, Told } from "./membership.js";

/** Where it stands, or is to start; null: at the head. */
export function place(draft: MemberDraft, cursor = draft.cursor): string | null {
  return cursor ?? (draft.start === "latest" ? null : draft.start);
}

/** What a leader says each time. */
export function told(draft: MemberDraft): Told {
  const { status, hidden } = draft;
  return { status, hidden, cursor: place(draft) };
}

type Unsigned<Kind> = Kind extends Message ? Omit<Kind, "by"> : never;

/** Posts it. Returns how long it is as text, in characters. */
export function post(draft: MemberDraft, message: Unsigned<Message>): number {
  const text = JSON.stringify({ ...message, by: draft.id });
  draft.effects.push({ type: "post", text });
  return text.length;
}
