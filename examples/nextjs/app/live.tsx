"use client";

import { useState } from "react";
import { useHybridRealtime } from "tidewire/react";

/** What arrives for the user who is signed in. */
export function Live({ user }: { user: string }) {
  const [titles, setTitles] = useState<string[]>([]);
  const { connectionStatus } = useHybridRealtime({
    // Another user is another connection.
    connectionKey: user,
    eventHandlers: {
      notification: ({ data }) => setTitles((before) => [...before, data.title]),
    },
  });
  return (
    <>
      <p role="status">{connectionStatus}</p>
      <button type="button" onClick={() => void tellMyself()}>
        Tell me something
      </button>
      <ul>
        {titles.map((title, index) => (
          <li key={index}>{title}</li>
        ))}
      </ul>
    </>
  );
}

async function tellMyself(): Promise<void> {
  await fetch("/api/realtime/test", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      type: "notification",
      message: "It works",
      data: { title: `Hello at ${new Date().toLocaleTimeString()}`, type: "success" },
      target: "user",
    }),
  });
}
