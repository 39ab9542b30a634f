import type { NotificationData } from "tidewire";
import { publish } from "./publish";

const NEWS: NotificationData[] = [
  { type: "success", title: "Aurora has docked", message: "Berth 4, eleven minutes early." },
  { type: "info", title: "Pilot on the way", message: "Meridian is boarded at the fairway buoy." },
  { type: "warning", title: "Wind is rising", message: "Gusts of 38 knots by the evening." },
  { type: "error", title: "Crane 2 has stopped", message: "Unloading of Borealis is on hold." },
];

const ALERT = {
  title: "Storm surge",
  message: "Close the flood gates within the hour.",
  severity: "critical",
} as const;

/** A thousand moves, in one request. */
const moves = () =>
  Array.from({ length: 1_000 }, (_, n) => ({ ship: `Barge ${n + 1}`, berth: (n % 12) + 1 }));

/** Makes things happen. */
export function Composer() {
  return (
    <section className="composer">
      <h2>Make something happen</h2>
      {NEWS.map((news) => (
        <button
          type="button"
          key={news.title}
          data-type={news.type}
          onClick={() => publish("notification", news)}
        >
          <b>{news.title}</b>
          <span>{news.message}</span>
        </button>
      ))}
      <button type="button" data-type="critical" onClick={() => publish("systemAlert", ALERT)}>
        <b>{ALERT.title}</b>
        <span>A critical alert: its toast stays.</span>
      </button>
      <button type="button" data-type="many" onClick={() => publish("shipMoved", ...moves())}>
        <b>A thousand barges move</b>
        <span>One render a frame, however many come.</span>
      </button>
    </section>
  );
}
