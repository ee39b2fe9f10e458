// How the front end is built. `npm run mock` serves it over made-up data, `npm run dev` over a running Logmill
// (LOGMILL_URL, by default http://127.0.0.1:5601). The output of `npm run build` is embedded by the dashboard's build.rs.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const logmill = process.env.LOGMILL_URL ?? "http://127.0.0.1:5601";

export default defineConfig(async ({ mode }) => ({
  plugins: [svelte(), ...(mode === "mock" ? [(await import("./mock/plugin.ts")).mock()] : [])],
  build: {
    target: "es2022",
    // The first browsers with light-dark(), of early 2024.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The content security policy is default-src 'self': a data: URL would be refused.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Nothing is published from here but what the page loads.
    sourcemap: false,
    reportCompressedSize: true,
  },
  server: {
    port: 5173,
    proxy:
      mode === "mock"
        ? undefined
        : {
            // The host stays the browser's: the server refuses requests that seem to come from another site's page.
            "/api": { target: logmill, changeOrigin: false },
            "^/setup\\?token=": { target: logmill, changeOrigin: false },
          },
  },
}));
