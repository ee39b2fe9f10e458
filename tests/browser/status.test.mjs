// The status page shows the whole chain ready and moving.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, PHONE, shots, until } from "./browser.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

for (const [name, options] of [
  ["status-light", {}],
  ["status-dark", { dark: true }],
  ["status-phone", { viewport: PHONE }],
]) {
  test(`${name}: every stage is ready`, async () => {
    const { page, complaints, close } = await browser.open("/status", options);
    for (const stage of ["shipper", "bus", "processor", "indexer", "dashboard"]) {
      await page.locator(`[data-stage="${stage}"][data-state="ready"]`).waitFor({ timeout: 15_000 });
    }
    await page.getByText("logs.parsed").first().waitFor();
    await until("an index", async () => (await page.getByRole("region", { name: "Indices" }).getByText(/^\s*logs-/).count()) > 0);
    await page.waitForTimeout(5000); // for a sparkline worth looking at
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
    await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
    assert.deepEqual(complaints, []);
    await close();
  });
}
