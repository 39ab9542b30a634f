/** JSON: where its fault is, as one types; and its parts, for colours. */

/**
 * @typedef {{ line: number, column: number, offset: number, message: string }} Fault counted
 *   from 1, the offset from 0
 * @typedef {{ value: unknown, fault: null } | { value: undefined, fault: Fault }} Parsed
 * @typedef {"key" | "string" | "number" | "word" | "mark"} Kind
 * @typedef {{ kind: Kind, text: string }} Part
 */

const SPACE = /[\t\n\r ]*/y;
// Control characters may not stand in it as they are.
const STRING = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /(?:true|false|null)\b/y;
const DEPTH = 200;

class Wrong extends Error {
  /**
   * @param {number} offset
   * @param {string} message
   */
  constructor(offset, message) {
    super(message);
    this.offset = offset;
  }
}

/**
 * Reads JSON. What an engine says of a fault differs between engines; this does not.
 *
 * @param {string} text
 * @returns {Parsed}
 */
export function parse(text) {
  try {
    const end = space(text, value(text, space(text, 0), 0));
    if (end < text.length) throw new Wrong(end, "Nothing may come after the end of the value.");
    return { value: JSON.parse(text), fault: null };
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { value: undefined, fault: faultAt(text, error.offset, error.message) };
  }
}

/**
 * @param {string} text
 * @param {number} offset
 * @param {string} message
 * @returns {Fault}
 */
function faultAt(text, offset, message) {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1, offset, message };
}

/**
 * @param {RegExp} pattern sticky
 * @param {string} text
 * @param {number} at
 * @returns {number} where it ends; -1: it is not there
 */
function matched(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

/**
 * @param {string} text
 * @param {number} at
 */
function space(text, at) {
  return matched(SPACE, text, at);
}

/**
 * @param {string} text
 * @param {number} at
 * @param {number} depth
 * @returns {number} where it ends
 */
function value(text, at, depth) {
  if (depth > DEPTH) throw new Wrong(at, `This is deeper than ${DEPTH} levels.`);
  const first = text[at];
  if (first === undefined) throw new Wrong(at, "A value is missing here.");
  if (first === "{") return list(text, at, depth, "}", member);
  if (first === "[") return list(text, at, depth, "]", value);
  if (first === '"') return string(text, at);
  const end = Math.max(matched(NUMBER, text, at), matched(WORD, text, at));
  // `01` begins like a number.
  if (end > at && !/[\w.+-]/.test(text[end] ?? "")) return end;
  if (first === "'") throw new Wrong(at, 'Texts are in double quotes: "…".');
  if (first === "}" || first === "]") throw new Wrong(at, "A value is missing before this.");
  throw new Wrong(at, "This is no JSON value. Texts are in double quotes.");
}

/**
 * @param {string} text
 * @param {number} start
 * @param {number} depth
 * @param {"}" | "]"} close
 * @param {(text: string, at: number, depth: number) => number} item
 */
function list(text, start, depth, close, item) {
  let at = space(text, start + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = space(text, item(text, at, depth + 1));
    if (text[at] === close) return at + 1;
    if (text[at] === undefined) throw new Wrong(at, `A "${close}" is missing.`);
    if (text[at] !== ",") throw new Wrong(at, `A comma or "${close}" is missing before this.`);
    const comma = at;
    at = space(text, at + 1);
    if (text[at] === close) throw new Wrong(comma, "This comma has nothing after it.");
  }
}

/**
 * @param {string} text
 * @param {number} at
 * @param {number} depth
 */
function member(text, at, depth) {
  if (text[at] !== '"') throw new Wrong(at, "The name of a field is missing, in double quotes.");
  const colon = space(text, string(text, at));
  if (text[colon] !== ":") throw new Wrong(colon, "A colon is missing after the name.");
  return value(text, space(text, colon + 1), depth);
}

/**
 * @param {string} text
 * @param {number} at
 */
function string(text, at) {
  const end = matched(STRING, text, at);
  if (end > 0) return end;
  for (let i = at + 1; i < text.length; i += 1) {
    const character = text[i] ?? "";
    if (character === '"') break;
    if (character === "\n") throw new Wrong(i, "This text does not end before the line does.");
    if (character < " ") throw new Wrong(i, "A control character must be escaped.");
    if (character === "\\") {
      if (!/^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/.test(text.slice(i, i + 6))) {
        throw new Wrong(i, "There is no such escape.");
      }
      i += 1;
    }
  }
  throw new Wrong(text.length, 'A text does not end: " is missing.');
}

/**
 * @param {unknown} value
 */
export function pretty(value) {
  return JSON.stringify(value, null, 2) ?? "null";
}

const PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)|([^"\w-]+)/g;

/**
 * The parts of pretty JSON.
 *
 * @param {string} text
 * @returns {Part[]}
 */
export function parts(text) {
  /** @type {Part[]} */
  const found = [];
  for (const [whole, quoted, colon, number, word] of text.matchAll(PARTS)) {
    if (quoted !== undefined) {
      found.push({ kind: colon === undefined ? "string" : "key", text: quoted });
      if (colon !== undefined) found.push({ kind: "mark", text: colon });
    } else if (number !== undefined) found.push({ kind: "number", text: number });
    else if (word !== undefined) found.push({ kind: "word", text: word });
    else found.push({ kind: "mark", text: whole });
  }
  return found;
}
