import { Composer } from "./Composer";
import { Feed } from "./Feed";
import { Status } from "./Status";
import { Toasts } from "./Toasts";

/** Three components that know nothing of each other, and one connection. */
export function App() {
  return (
    <>
      <header>
        <h1>Harbour office</h1>
        <Status />
      </header>
      <main>
        <Composer />
        <Feed />
      </main>
      <Toasts />
    </>
  );
}
