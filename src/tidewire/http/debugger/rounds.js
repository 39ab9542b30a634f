/** Something that is done again and again, a while after it was done the last time. */

/**
 * @param {() => Promise<void>} read
 * @param {() => number} pause how long to wait now, in milliseconds
 */
export function rounds(read, pause) {
  let timer = 0;
  let last = 0;

  const begin = async () => {
    clearTimeout(timer);
    last += 1;
    const mine = last;
    await read();
    // Another may have begun meanwhile, which goes on in place of this one.
    if (mine === last) timer = setTimeout(begin, pause());
  };

  return {
    /** Does it now, whenever it was due. */
    begin() {
      void begin();
    },
  };
}
