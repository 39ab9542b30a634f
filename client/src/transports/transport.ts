import type { Link, Signal } from "../model.js";
import type { Source } from "../source.js";

/**
 * Opens a link, and tells what comes of it until it has failed, was answered, or is closed.
 *
 * @returns closes it. Nothing is told from then on, and nothing is left open.
 */
export type Transport = (source: Source, link: Link, tell: (signal: Signal) => void) => () => void;
