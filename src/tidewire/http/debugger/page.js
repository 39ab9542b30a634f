/** What a browser gives a page: files, the clipboard, storage. */

/**
 * Hands a text over as a file.
 *
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Not at once: the browser has to begin to read it.
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/**
 * Copies a text.
 *
 * @param {string} text
 * @returns {Promise<boolean>} whether the browser let it
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS, and where it is forbidden.
    return false;
  }
}

const NAME = "tidewire.debugger.settings";

/**
 * Keeps the settings of a connection for the next time, without the token.
 *
 * @param {import("./link.js").Settings} settings
 */
export function remember({ who, ...rest }) {
  const { way, userId, roles, permissions } = who;
  try {
    localStorage.setItem(NAME, JSON.stringify({ ...rest, way, userId, roles, permissions }));
  } catch {
    // Then they are as at first.
  }
}

/**
 * What was kept, by field.
 *
 * @returns {Record<string, string>}
 */
export function remembered() {
  try {
    const kept = Object.entries(JSON.parse(localStorage.getItem(NAME) ?? "{}"));
    return Object.fromEntries(
      kept.flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
    );
  } catch {
    return {};
  }
}
