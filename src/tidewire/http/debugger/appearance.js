// Whether the page is light or dark. Not a module: those run after the first paint.
{
  const NAME = "tidewire.debugger.appearance";
  const CHOICES = ["system", "light", "dark"];

  /** What was chosen before; storage may be forbidden. */
  const kept = () => {
    try {
      return localStorage.getItem(NAME);
    } catch {
      return null;
    }
  };

  /** @param {string} choice */
  const show = (choice) => {
    document.documentElement.dataset.appearance = choice;
  };

  const found = kept();
  show(found !== null && CHOICES.includes(found) ? found : "system");

  addEventListener("appearance", (event) => {
    const choice = /** @type {CustomEvent<string>} */ (event).detail;
    show(choice);
    try {
      localStorage.setItem(NAME, choice);
    } catch {
      // Then it holds until the page is loaded again.
    }
  });
}
