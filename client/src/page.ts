import type { Action } from "./model.js";

type PageAction = Extract<
  Action,
  { type: "offline" | "online" | "hidden" | "visible" | "freeze" | "resume" }
>["type"];

/**
 * Tells what happens to the page that this runs in: its network, whether it is seen, and whether
 * it is frozen or kept for going back to. Where there is no page it tells nothing.
 *
 * @returns ends it.
 */
export function watchPage(tell: (happened: PageAction) => void): () => void {
  if (typeof window === "undefined" || typeof document === "undefined") return () => {};
  const controller = new AbortController();
  const listen = (target: EventTarget, type: string, listener: (event: Event) => void) =>
    target.addEventListener(type, listener, controller);
  const pass = ({ type }: Event) => tell(type as PageAction);
  for (const type of ["online", "offline"]) listen(window, type, pass);
  for (const type of ["freeze", "resume"]) listen(document, type, pass);
  listen(document, "visibilitychange", () => tell(document.hidden ? "hidden" : "visible"));
  // A page with an open connection is not kept for going back to.
  listen(window, "pagehide", (event) => kept(event) && tell("freeze"));
  listen(window, "pageshow", (event) => kept(event) && tell("resume"));
  if (document.hidden) tell("hidden");
  if (globalThis.navigator?.onLine === false) tell("offline");
  return () => controller.abort();
}

function kept(event: Event): boolean {
  return (event as PageTransitionEvent).persisted;
}
