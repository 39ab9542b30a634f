import type { NextAuthOptions } from "next-auth";
import Credentials from "next-auth/providers/credentials";

// Yours are in a database, and have passwords.
const ROLES: Record<string, string[]> = { alice: ["EDITOR"], bob: [] };

export const auth: NextAuthOptions = {
  session: { strategy: "jwt" },
  providers: [
    Credentials({
      credentials: { name: { label: "alice or bob" } },
      authorize: (given) =>
        given?.name && given.name in ROLES ? { id: given.name, name: given.name } : null,
    }),
  ],
  callbacks: {
    // Tidewire reads this cookie: the user from `sub`, and the roles.
    jwt: ({ token, user }) => (user ? { ...token, roles: ROLES[user.id] } : token),
  },
};
