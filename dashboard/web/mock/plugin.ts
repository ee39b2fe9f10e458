// A stand-in for the server while working on the front end: `npm run mock`.
import type { Plugin } from "vite";
import { handle } from "./server.ts";

export function mock(): Plugin {
  return {
    name: "logmill-mock",
    configureServer: (server) => void server.middlewares.use(handle),
    configurePreviewServer: (server) => void server.middlewares.use(handle),
  };
}
