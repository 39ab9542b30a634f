import { type Events, USER } from "./events";

/** Publishes to oneself. A page of yours would not: its server does, when something happens. */
export async function publish<Type extends keyof Events>(
  type: Type,
  ...payloads: Events[Type][]
): Promise<void> {
  const metadata = { userIds: [USER] };
  const events = payloads.map((data) => ({ type, data, metadata }));
  const answer = await fetch(`/api/realtime/publish?userId=${USER}&permissions=publish`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ events }),
  });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
}
