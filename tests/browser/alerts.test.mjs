// Alerts: a rule is made, its secret shown once, and its test reaches a receiver that checks the signature.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, PHONE, shots, until } from "./browser.mjs";

let browser;
let receiver;
const received = [];

before(async () => {
  browser = await launch();
  receiver = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      received.push({ headers: request.headers, body });
      response.end("thank you");
    });
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
});
after(async () => {
  receiver.close();
  await browser.close();
});

test("a rule is created, test-fired, switched off and deleted", async () => {
  const { page, complaints, close } = await browser.open("/alerts");
  const name = `browser test ${Date.now()}`;
  await page.getByRole("button", { name: "New rule" }).first().click();
  const form = page.getByRole("dialog", { name: "New rule" });
  await form.getByLabel("Name").fill(name);
  await form.getByRole("combobox", { name: "Query" }).fill("log.level: error");
  await form.getByLabel("Name").focus();
  await form.getByLabel("Count is").selectOption(">");
  // So high that only the test fires it.
  await form.getByLabel("Events", { exact: true }).fill("1000000000");
  await form.getByLabel("Webhook").fill(`http://127.0.0.1:${receiver.address().port}/hook`);
  await form.getByText("It would not fire now.").waitFor();
  await page.screenshot({ path: `${shots}/alerts-form.png` });
  await form.getByRole("button", { name: "Create rule" }).click();

  const shown = page.getByRole("dialog", { name: "Signing secret" });
  await shown.waitFor();
  const secret = await shown.locator("[data-secret]").innerText();
  assert.match(secret, /^whsec_/);
  await shown.getByRole("button", { name: "I have copied it" }).click();

  const rule = page.getByRole("article").filter({ hasText: name });
  await rule.waitFor();
  await rule.getByRole("button", { name: `Test ${name}` }).click();
  const result = page.getByRole("dialog", { name: `Test of “${name}”` });
  await result.waitFor({ timeout: 20_000 });
  await page.screenshot({ path: `${shots}/alerts-test.png` });
  if (!process.env.LOGMILL_MOCK) {
    const { headers, body } = await until("the webhook", () => received[0]);
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const expected = `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
    assert.ok(headers["webhook-signature"].split(" ").includes(expected), "the signature is right");
    assert.equal(JSON.parse(body).type, "alert.test");
  }
  await result.getByRole("button", { name: "Close" }).last().click();

  const log = page.getByRole("region", { name: "Delivery log" });
  await log.getByRole("button", { name: new RegExp(name) }).first().click();
  await log.getByRole("heading", { name: "Attempts" }).waitFor();
  await page.screenshot({ path: `${shots}/alerts-light.png` });

  await rule.getByRole("switch").click();
  await rule.getByText("Paused").waitFor();
  await rule.getByRole("button", { name: `Delete ${name}` }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await until("the rule to go", async () => (await rule.count()) === 0);
  assert.deepEqual(complaints, []);
  await close();
});

test("the page fits a phone", async () => {
  const { page, complaints, close } = await browser.open("/alerts", { viewport: PHONE, dark: true });
  await page.getByRole("heading", { name: "Alerts" }).waitFor();
  await page.waitForTimeout(500);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  await page.screenshot({ path: `${shots}/alerts-phone-dark.png` });
  assert.deepEqual(complaints, []);
  await close();
});
