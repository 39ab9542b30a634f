import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The client is linked from this repository, where it has a React of its own for its tests.
  resolve: { dedupe: ["react", "react-dom"] },
  server: {
    // Streams pass as they come: the proxy of Vite holds nothing back.
    proxy: { "/api": process.env.TIDEWIRE_URL ?? "http://127.0.0.1:8000" },
  },
});
