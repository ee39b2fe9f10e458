// The search page, as a person uses it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DESKTOP, launch, PHONE, shots, total, until } from "./browser.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const rows = (page) => page.getByRole("grid", { name: "Events" }).locator(".row");
const surface = (page) => page.locator("[data-bars]");

/** Opens the search page and waits until it shows events. */
async function search(path = "/", options) {
  const opened = await browser.open(path, options);
  await rows(opened.page).first().waitFor({ timeout: 10_000 });
  return opened;
}

test("events, the histogram and the total appear within ten seconds", async () => {
  const { page, complaints, close } = await browser.open("/");
  const began = Date.now();
  await rows(page).first().waitFor({ timeout: 10_000 });
  await until("bars", async () => Number(await surface(page).getAttribute("data-bars")) > 0, 10_000);
  await until("a total", async () => (await total(page)) > 0, 10_000);
  assert.ok(Date.now() - began < 10_000);
  assert.match(await page.locator(".fresh").innerText(), /Indexed up to/);
  await page.screenshot({ path: `${shots}/search-light.png` });
  assert.deepEqual(complaints, []);
  await close();
});

test("a top value of the sidebar filters, and the pill can be turned around and removed", async () => {
  const { page, complaints, close } = await search("/?from=now-24h");
  const all = await total(page);
  await page.getByRole("complementary", { name: "Fields" }).getByRole("button", { name: "log.level", exact: true }).click();
  const value = page.getByRole("button", { name: /^Filter for log\.level: / }).first();
  await value.waitFor();
  await page.screenshot({ path: `${shots}/search-top-values.png` });
  await value.click();
  const pill = page.getByRole("list", { name: "Filters" }).getByRole("button", { name: /^Filter log\.level is / });
  await pill.waitFor();
  const filtered = await until("a smaller total", async () => {
    const now = await total(page);
    return now > 0 && now < all ? now : 0;
  });
  assert.ok(new URL(page.url()).searchParams.get("f")?.includes("log.level"), "the filter is in the address");

  await page.getByRole("button", { name: /^Turn around log\.level/ }).click();
  await page.getByRole("button", { name: /^Filter log\.level is not / }).waitFor();
  await until("the other events", async () => (await total(page)) !== filtered);
  await page.getByRole("button", { name: /^Remove log\.level/ }).click();
  await until("all events again", async () => (await total(page)) >= all);
  assert.equal(await pill.count(), 0);
  assert.deepEqual(complaints, []);
  await close();
});

test("a wrong query is explained, and a right one narrows the events", async () => {
  const { page, complaints, close } = await search("/?from=now-24h");
  const all = await total(page);
  await page.keyboard.press("/");
  const query = page.getByRole("combobox", { name: "Query" });
  assert.equal(await query.evaluate((element) => element === document.activeElement), true, "/ goes to the query");
  await query.fill("log.level: (error or ");
  await query.press("Escape"); // closes completions, if there are any
  await query.focus();
  await query.press("Enter");
  const problem = page.locator("#query-problem");
  await problem.waitFor();
  assert.match(await problem.locator("pre").innerText(), /\^/, "a caret points at the place");
  await page.screenshot({ path: `${shots}/search-wrong-query.png` });
  assert.equal(await total(page), all, "a wrong query leaves the results alone");

  await query.fill("log.level: error");
  await query.press("Escape");
  await query.focus();
  await query.press("Enter");
  await until("fewer events", async () => (await total(page)) < all);
  assert.match(page.url(), /q=log\.level/);
  assert.deepEqual(complaints, []);
  await close();
});

test("a row opens to its fields and its JSON", async () => {
  const { page, complaints, close } = await search();
  await rows(page).nth(1).click();
  const detail = page.locator(".detail");
  await detail.waitFor();
  assert.match(await detail.innerText(), /@timestamp/);
  await page.screenshot({ path: `${shots}/search-open-row.png` });
  await detail.getByRole("button", { name: "JSON", exact: true }).click();
  const event = JSON.parse(await detail.locator("pre").innerText());
  assert.ok(event["@timestamp"]);
  assert.deepEqual(complaints, []);
  await close();
});

test("dragging in the histogram zooms in", async () => {
  const { page, complaints, close } = await search();
  await until("bars", async () => Number(await surface(page).getAttribute("data-bars")) > 0);
  const box = await surface(page).boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 40, { steps: 6 });
  await page.mouse.up();
  await until("an absolute range", () => new URL(page.url()).searchParams.get("from")?.startsWith("20"));
  assert.deepEqual(complaints, []);
  await close();
});

test("the live tail shows rows as they come", async () => {
  const { page, complaints, close } = await search();
  await page.getByRole("button", { name: "Live", exact: true }).click();
  await page.getByText("Following new events").waitFor();
  const newest = () => page.locator("[data-key]").first().getAttribute("data-key");
  const was = await newest();
  await until("a new row on top", async () => (await newest()) !== was, 15_000);
  await page.screenshot({ path: `${shots}/search-live.png` });
  await page.getByRole("button", { name: "Stop" }).click();
  assert.equal(await page.getByText("Following new events").count(), 0);
  assert.deepEqual(complaints, []);
  await close();
});

test("the next page comes while scrolling, and only rows in sight are in the page", async () => {
  const { page, complaints, close } = await search("/?from=now-24h");
  if ((await total(page)) > 1000) {
    const grid = page.getByRole("grid", { name: "Events" });
    for (let turn = 0; turn < 12; turn++) {
      await grid.evaluate((element) => (element.scrollTop = element.scrollHeight));
      await page.waitForTimeout(150);
    }
    const last = Number(await rows(page).last().getAttribute("aria-rowindex"));
    assert.ok(last > 400, `reached row ${last}`);
    assert.ok((await rows(page).count()) < 120, "the table is virtual");
  }
  assert.deepEqual(complaints, []);
  await close();
});

test("log text stays text", async () => {
  const { page, complaints, close } = await search("/?from=now-24h");
  assert.equal(await page.locator(".message script, .message b, .message img").count(), 0);
  assert.deepEqual(complaints, []);
  await close();
});

for (const [name, options] of [
  ["search-dark", { viewport: DESKTOP, dark: true }],
  ["search-phone", { viewport: PHONE }],
  ["search-phone-dark", { viewport: PHONE, dark: true }],
]) {
  test(`${name}: nothing sticks out`, async () => {
    const { page, complaints, close } = await search("/", options);
    await page.waitForTimeout(600);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} px too wide`);
    await page.screenshot({ path: `${shots}/${name}.png` });
    assert.deepEqual(complaints, []);
    await close();
  });
}
