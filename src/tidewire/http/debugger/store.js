/** One state, the only way to change it, and who is told. */

/**
 * @template State, Action
 * @param {(state: State, action: Action) => State} reduce
 * @param {State} initial
 * @param {(draw: () => void) => void} schedule when to draw: changes that come together are drawn
 *   together
 */
export function makeStore(reduce, initial, schedule) {
  let state = initial;
  let scheduled = false;
  /** @type {Set<(state: State) => void>} */
  const listeners = new Set();

  const draw = () => {
    scheduled = false;
    for (const listener of listeners) listener(state);
  };

  return {
    get state() {
      return state;
    },
    /** @param {Action} action */
    dispatch(action) {
      const next = reduce(state, action);
      if (next === state) return;
      state = next;
      if (scheduled) return;
      scheduled = true;
      schedule(draw);
    },
    /** @param {(state: State) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
    },
  };
}
