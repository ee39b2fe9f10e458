// Accessible to all, and open to nobody who is not signed in.
import AxeBuilder from "@axe-core/playwright";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, PHONE, shots } from "./browser.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

async function serious(page) {
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]).analyze();
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

const ready = {
  "/": (page) => page.locator(".row").first().waitFor(),
  "/alerts": (page) => page.getByRole("heading", { name: "Alerts" }).waitFor(),
  "/status": (page) => page.locator('[data-stage="bus"]').waitFor(),
};

for (const [path, wait] of Object.entries(ready)) {
  for (const dark of [false, true]) {
    for (const phone of [false, true]) {
      test(`${path} ${dark ? "dark" : "light"} ${phone ? "phone" : "desktop"}: axe finds nothing serious`, async () => {
        const { page, close } = await browser.open(path, { dark, ...(phone ? { viewport: PHONE } : {}) });
        await wait(page);
        await page.waitForTimeout(500);
        if (path === "/") {
          await page.locator(".row").nth(1).click();
          await page.locator(".detail").waitFor();
          await page.mouse.move(0, 0);
        }
        assert.deepEqual(await serious(page), []);
        await close();
      });
    }
  }
}

test("dialogs are accessible", async () => {
  const { page, close } = await browser.open("/alerts");
  await page.getByRole("button", { name: "New rule" }).first().click();
  await page.getByRole("dialog").waitFor();
  assert.deepEqual(await serious(page), []);
  await page.goto(new URL("/", page.url()).href);
  await ready["/"](page);
  await page.keyboard.press("d");
  await page.getByRole("dialog", { name: "Time range" }).waitFor();
  assert.deepEqual(await serious(page), []);
  await page.screenshot({ path: `${shots}/search-time.png` });
  await close();
});

test("who is not signed in gets the sign-in page and nothing else", { skip: process.env.LOGMILL_MOCK ? "the mock knows no sessions" : false }, async () => {
  const { page, complaints, close } = await browser.open("/status", { signedIn: false });
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.match(page.url(), /\/login\?next=%2Fstatus/);
  assert.deepEqual(await serious(page), []);
  await page.screenshot({ path: `${shots}/login.png` });
  const at = (path) => new URL(path, page.url()).href;
  assert.equal((await page.request.post(at("/api/search"), { data: {} })).ok(), false);
  assert.equal((await page.request.get(at("/api/status"))).status(), 401);
  await page.getByLabel("Name").fill("nobody");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  assert.deepEqual(complaints.filter((text) => !text.includes("401")), []);
  await close();
});

test("keyboard: rows, opening, theme and help", async () => {
  const { page, complaints, close } = await browser.open("/");
  await ready["/"](page);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  assert.equal(await page.locator('.row[aria-selected="true"]').getAttribute("aria-rowindex"), "3");
  await page.keyboard.press("Enter");
  await page.locator(".detail").waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: /Shortcuts/ }).waitFor();
  await page.screenshot({ path: `${shots}/help.png` });
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Account and appearance" }).click();
  await page.getByRole("button", { name: "Dark" }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  assert.deepEqual(complaints, []);
  await close();
});
