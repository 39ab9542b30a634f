import { useHybridRealtime } from "tidewire/react";
import { CONNECTION } from "./events";

const WAYS = { sse: "stream", polling: "polling" };

/** How the connection stands, and what can be done to it. Events do not make it render. */
export function Status() {
  const { isConnected, connectionStatus, activeMethod, error, ...act } = useHybridRealtime(
    CONNECTION,
    ({ lastEvent: _, ...rest }) => rest,
    sameValues,
  );
  return (
    <div className="status">
      <span role="status" data-connected={isConnected} title={error?.detail}>
        {connectionStatus}
        {isConnected && activeMethod && ` by ${WAYS[activeMethod]}`}
      </span>
      <div className="switch">
        <button type="button" aria-pressed={activeMethod === "sse"} onClick={act.forceSSE}>
          Stream
        </button>
        <button type="button" aria-pressed={activeMethod === "polling"} onClick={act.forcePolling}>
          Polling
        </button>
        <button type="button" aria-pressed={activeMethod === null} onClick={act.disconnect}>
          Off
        </button>
      </div>
    </div>
  );
}

function sameValues<Selection extends object>(a: Selection, b: Selection): boolean {
  return (Object.keys(a) as (keyof Selection)[]).every((name) => Object.is(a[name], b[name]));
}
