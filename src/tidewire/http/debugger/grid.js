/** A long table of which only the rows that are seen are there. */
import { attribute, h, say } from "./dom.js";

const ROW = 34;
/** Rows beyond the edges, so that scrolling shows no holes. */
const SPARE = 6;

/**
 * @template Item
 * @typedef {object} Column
 * @property {string} name
 * @property {string} class
 * @property {() => HTMLElement} [make] what a cell holds; a text if it is left out
 * @property {(cell: HTMLElement, item: Item) => void} fill
 */

/** @template {{ n: number }} Item */
export class Grid {
  /** @type {readonly Item[]} */
  #items = [];
  /** @type {Item | null} */
  #selected = null;
  /** The same, before it is drawn: keys may be faster than that.
   *  @type {Item | null} */
  #current = null;
  /** @type {{ row: HTMLElement, cells: HTMLElement[], item: Item | null }[]} */
  #slots = [];
  #columns;
  #onselect;
  #body = h("div", { role: "rowgroup", class: "grid-body" });

  /**
   * @param {string} label
   * @param {readonly Column<Item>[]} columns
   * @param {(item: Item, open: boolean) => void} onselect `open`: it is to be looked at
   */
  constructor(label, columns, onselect) {
    this.#columns = columns;
    this.#onselect = onselect;
    this.element = h(
      "div",
      {
        role: "grid",
        class: "grid",
        tabindex: 0,
        "aria-label": label,
        "aria-readonly": "true",
        onscroll: () => this.#draw(),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
        onclick: (/** @type {MouseEvent} */ event) => this.#click(event),
      },
      h(
        "div",
        { role: "rowgroup", class: "grid-head" },
        h(
          "div",
          { role: "row", class: "grid-row", "aria-rowindex": 1 },
          columns.map((column) =>
            h("div", { role: "columnheader", class: `cell ${column.class}` }, column.name),
          ),
        ),
      ),
      this.#body,
    );
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  /**
   * @param {readonly Item[]} items newest first: their numbers fall
   * @param {Item | null} selected
   */
  render(items, selected) {
    const moved = items === this.#items ? 0 : this.#shift(items);
    const chosen = selected !== this.#selected;
    this.#items = items;
    this.#selected = selected;
    this.#current = selected;
    this.#body.style.height = `${items.length * ROW}px`;
    attribute(this.element, "aria-rowcount", items.length + 1);
    // What one reads stays where it is, though more comes above it.
    if (moved !== 0) this.element.scrollTop += moved * ROW;
    if (chosen && selected !== null) this.#reveal(items.indexOf(selected));
    this.#draw();
  }

  /**
   * By how many rows what is at the upper edge moves down.
   *
   * @param {readonly Item[]} items
   */
  #shift(items) {
    const { scrollTop } = this.element;
    if (scrollTop < ROW / 2) return 0;
    const index = Math.floor(scrollTop / ROW);
    const anchor = this.#items[index];
    if (anchor === undefined) return 0;
    const found = items.findIndex((item) => item.n <= anchor.n);
    return found === -1 ? 0 : found - index;
  }

  /** @param {number} index */
  #reveal(index) {
    if (index < 0) return;
    const { element } = this;
    const head = element.firstElementChild?.clientHeight ?? 0;
    const top = index * ROW;
    const room = element.clientHeight - head - ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (room > 0 && top > element.scrollTop + room) element.scrollTop = top - room;
  }

  #draw() {
    const { scrollTop, clientHeight } = this.element;
    const items = this.#items;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - SPARE);
    const room = Math.ceil(clientHeight / ROW) + 2 * SPARE;
    const shown = clientHeight === 0 ? 0 : Math.min(items.length - first, room);
    while (this.#slots.length < shown) this.#slots.push(this.#slot(this.#slots.length));
    let active = null;
    for (const [place, slot] of this.#slots.entries()) {
      // A row has a slot by its index: what is scrolled into view is all that changes.
      const offset =
        (place - (first % this.#slots.length) + this.#slots.length) % this.#slots.length;
      const index = first + offset;
      const item = offset < shown ? items[index] : undefined;
      attribute(slot.row, "hidden", item === undefined);
      if (item === undefined) {
        slot.item = null;
        continue;
      }
      slot.row.style.transform = `translateY(${index * ROW}px)`;
      attribute(slot.row, "aria-rowindex", index + 2);
      const selected = item === this.#selected;
      attribute(slot.row, "aria-selected", selected ? "true" : "false");
      if (selected) active = slot.row.id;
      if (slot.item !== item) this.#fill(slot, item);
    }
    attribute(this.element, "aria-activedescendant", active);
  }

  /** @param {number} place */
  #slot(place) {
    const cells = this.#columns.map((column) => {
      const cell = h("div", { role: "gridcell", class: `cell ${column.class}` });
      if (column.make) cell.append(column.make());
      return cell;
    });
    const row = h("div", { role: "row", class: "grid-row", id: `row-${place}` }, cells);
    this.#body.append(row);
    return { row, cells, item: null };
  }

  /**
   * @param {{ cells: HTMLElement[], item: Item | null }} slot
   * @param {Item} item
   */
  #fill(slot, item) {
    slot.item = item;
    for (const [index, column] of this.#columns.entries()) {
      const cell = slot.cells[index];
      if (cell === undefined) continue;
      column.fill(/** @type {HTMLElement} */ (column.make ? cell.firstElementChild : cell), item);
    }
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const row = event.target instanceof Element ? event.target.closest('[role="row"]') : null;
    const slot = this.#slots.find((one) => one.row === row);
    if (slot?.item) this.#onselect(slot.item, true);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const items = this.#items;
    const at = this.#current === null ? -1 : items.indexOf(this.#current);
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2);
    /** @type {Readonly<Record<string, number>>} */
    const targets = {
      ArrowDown: at + 1,
      ArrowUp: Math.max(0, at - 1),
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: items.length - 1,
    };
    const target = targets[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey || items.length === 0) return;
    if (event.key === "Enter" && this.#current !== null) {
      event.preventDefault();
      this.#onselect(this.#current, true);
      return;
    }
    if (target === undefined) return;
    event.preventDefault();
    const item = items[Math.min(items.length - 1, Math.max(0, target))];
    if (item === undefined) return;
    this.#current = item;
    this.#onselect(item, false);
  }
}

/**
 * A cell that holds a text.
 *
 * @template Item
 * @param {(item: Item) => string} textOf
 * @returns {(cell: HTMLElement, item: Item) => void}
 */
export function texts(textOf) {
  return (cell, item) => say(cell, textOf(item));
}
