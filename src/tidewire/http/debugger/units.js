/** Figures, for people to read. */

const KIB = 1024;

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < KIB) return `${bytes} B`;
  if (bytes < KIB * KIB) return `${(bytes / KIB).toFixed(1)} KiB`;
  if (bytes < KIB * KIB * KIB) return `${(bytes / KIB / KIB).toFixed(1)} MiB`;
  return `${(bytes / KIB / KIB / KIB).toFixed(1)} GiB`;
}

/**
 * The time of day of a moment, in the zone of whoever looks.
 *
 * @param {number} ms Unix milliseconds
 */
export function clock(ms) {
  const at = new Date(ms);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const millis = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${millis}`;
}

/** @param {number} ms Unix milliseconds */
export function moment(ms) {
  const at = new Date(ms);
  const day = `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
  return `${day} ${clock(ms)}`;
}

/**
 * How long something took, or takes: two units at most.
 *
 * @param {number} ms
 */
export function duration(ms) {
  if (ms < 1) return `${ms <= 0 ? 0 : ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms < 10 ? trimmed(ms) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${trimmed(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {number} n */
function trimmed(n) {
  return String(Math.round(n * 10) / 10);
}

/**
 * How long ago a moment was, in one unit, calm enough to be read while it changes.
 *
 * @param {number} ms Unix milliseconds
 * @param {number} now
 */
export function ago(ms, now) {
  // Two clocks may differ by a little.
  const seconds = Math.max(0, Math.floor((now - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** @param {number} n */
export function count(n) {
  return n.toLocaleString("en");
}

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export function counted(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** @param {number} n */
export function rate(n) {
  return n >= 100 ? count(Math.round(n)) : trimmed(n);
}
