import type { KnownEvents } from "tidewire";
import type { UseHybridRealtimeOptions } from "tidewire/react";

/** What happens in this harbour, beside the events that have a name in Tidewire. */
export interface Events extends KnownEvents {
  shipMoved: { ship: string; berth: number };
}

export const USER = "harbourmaster";

/** Components that use these share one connection. */
export const CONNECTION: UseHybridRealtimeOptions<Events> = { userId: USER };
