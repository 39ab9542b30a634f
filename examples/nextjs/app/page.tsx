import { getServerSession } from "next-auth";
import { auth } from "../auth";
import { Live } from "./live";

export default async function Page() {
  const session = await getServerSession(auth);
  const user = session?.user?.name;
  return user ? (
    <main>
      <p>
        Hello, {user}. <a href="/api/auth/signout">Sign out</a>
      </p>
      <Live user={user} />
    </main>
  ) : (
    <a href="/api/auth/signin">Sign in</a>
  );
}
