// A real browser against a real Logmill: started once, signed in by the printed link, and watched for anything it complains of.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const url = process.env.LOGMILL_URL;
const link = process.env.LOGMILL_LOGIN_LINK;
if (!url || !link) throw new Error("set LOGMILL_URL and LOGMILL_LOGIN_LINK, or run tests/browser/run.py");

export const shots = fileURLToPath(new URL("../../target/screenshots", import.meta.url));
mkdirSync(shots, { recursive: true });

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** Chromium without what a test machine lacks or should not do. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launch() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
  const first = await browser.newContext({ viewport: DESKTOP });
  const page = await first.newPage();
  // The link works once: its cookies are what every test uses.
  await page.goto(new URL(new URL(link).pathname + new URL(link).search, url).href);
  await page.waitForURL((at) => at.pathname === "/");
  const state = await first.storageState();
  await first.close();

  return {
    close: () => browser.close(),
    /** A page of its own; `complaints` gathers what the browser reports against it. */
    async open(path, { viewport = DESKTOP, dark = false, signedIn = true } = {}) {
      const context = await browser.newContext({
        viewport,
        colorScheme: dark ? "dark" : "light",
        ...(signedIn ? { storageState: state } : {}),
        permissions: ["clipboard-read", "clipboard-write"],
      });
      const page = await context.newPage();
      const complaints = [];
      page.on("console", (message) => {
        // A query that is wrong is answered with 400, which the browser reports although all is as it should be.
        const expected = /\/api\/(query\/check|search)$/.test(message.location().url) && message.text().includes("400");
        if (message.type() === "error" && !expected) complaints.push(`${message.text()} (${message.location().url})`);
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) => console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`));
      });
      await page.goto(new URL(path, url).href);
      return { page, complaints, close: () => context.close() };
    },
  };
}

/** Waits until `look()` answers with something true, and returns that. */
export async function until(what, look, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The number of events that the search page tells. */
export const total = async (page) => Number((await page.locator("[data-total]").getAttribute("data-total", { timeout: 10_000 })) ?? 0);
