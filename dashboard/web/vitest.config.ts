import { defineConfig } from "vitest/config";

// Logic is tested without a browser; what needs one is tested in tests/browser against the real program.
export default defineConfig({ test: { include: ["src/**/*.test.ts"], environment: "node" } });
