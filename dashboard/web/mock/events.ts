// Made-up events of a small shop: believable enough to design with, the same at every start.
import type { Hit } from "../src/lib/types.ts";

let seed = 20_261_122;
/** A small linear congruential generator, so that screenshots can be compared. */
export function random(): number {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
}
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
const int = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
const hex = (chars: number) => Array.from({ length: chars }, () => int(0, 15).toString(16)).join("");

const PATHS = ["/", "/cart", "/api/v1/orders", "/api/v1/items/4711", "/login", "/health", "/static/app.3f2a.js", "/search?q=mill"];
const AGENTS = ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0", "curl/8.5.0", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)"];
const USERS = ["ada", "grace", "linus", "margaret", "dennis", "barbara"];

function level(stormy: boolean): string {
  const roll = random();
  if (stormy && roll < 0.5) return "error";
  if (roll < 0.004) return "fatal";
  if (roll < 0.03) return "error";
  if (roll < 0.1) return "warn";
  return roll < 0.85 ? "info" : "debug";
}

type Make = (stormy: boolean) => { source: Record<string, unknown>; index: string };

const nginx: Make = (stormy) => {
  const status = stormy && random() < 0.6 ? pick([502, 503, 504]) : pick([200, 200, 200, 200, 201, 204, 301, 304, 404, 403, 500]);
  const [path, ip, bytes, user] = [pick(PATHS), `203.0.113.${int(1, 250)}`, int(120, 64_000), random() < 0.2 ? pick(USERS) : "-"];
  return {
    index: "logs-nginx-default",
    source: {
      message: `${ip} - ${user} "GET ${path} HTTP/1.1" ${status} ${bytes} "-" "${pick(AGENTS)}"`,
      source: { ip },
      http: { request: { method: "GET" }, response: { status_code: status, body: { bytes } } },
      url: { path },
      log: { level: status >= 500 ? "error" : status >= 400 ? "warn" : "info", file: { path: "/var/log/nginx/access.log" } },
      service: { name: "nginx" },
      host: { name: pick(["web-1", "web-2"]) },
    },
  };
};

const java: Make = (stormy) => {
  const at = level(stormy);
  const bad = at === "error" || at === "fatal";
  const order = int(10_000, 99_999);
  const message = bad
    ? `Payment for order ${order} failed: gateway timed out after 3000 ms\njava.net.SocketTimeoutException: Read timed out\n\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)\n\tat shop.checkout.PaymentClient.charge(PaymentClient.java:88)\n\tat shop.checkout.OrderService.place(OrderService.java:142)\n\t... 41 more`
    : pick([`Order ${order} placed by ${pick(USERS)}`, `Cache refreshed in ${int(3, 90)} ms`, `Reserved ${int(1, 5)} items for order ${order}`, `Connection pool at ${int(40, 98)} %`]);
  return {
    index: "logs-checkout-default",
    source: {
      message,
      log: { level: at, logger: "shop.checkout.OrderService", file: { path: "/srv/checkout/logs/app.log" } },
      process: { thread: { name: `http-nio-8080-exec-${int(1, 12)}` } },
      service: { name: "checkout" },
      host: { name: pick(["app-1", "app-2", "app-3"]) },
      ...(bad ? { error: { type: "java.net.SocketTimeoutException", message: "Read timed out" } } : {}),
    },
  };
};

const json: Make = (stormy) => {
  const at = level(stormy);
  const ms = int(2, 900);
  return {
    index: "logs-inventory-default",
    source: {
      message: at === "error" ? `stock update rejected: version conflict on item ${int(1000, 9999)}` : `handled ${pick(["GET", "POST"])} /stock/${int(1000, 9999)} in ${ms} ms`,
      duration_ms: ms,
      user: { name: pick(USERS) },
      trace: { id: hex(16) },
      retry: random() < 0.1,
      log: { level: at, file: { path: "/srv/inventory/stdout.json" } },
      service: { name: "inventory" },
      host: { name: pick(["app-1", "app-2", "app-3"]) },
    },
  };
};

const syslog: Make = () => ({
  index: "logs-syslog-default",
  source: {
    message: pick([
      `Accepted publickey for deploy from 198.51.100.${int(2, 9)} port ${int(1024, 60_000)} ssh2: ED25519`,
      "Started logrotate.service - Rotate log files.",
      `<b>not bold</b> & <script>alert("x")</script> stays text`,
      `UFW BLOCK IN=eth0 SRC=192.0.2.${int(1, 200)} DPT=${pick([22, 23, 3389])}`,
    ]),
    process: { name: pick(["sshd", "systemd", "kernel"]), pid: int(300, 9000) },
    log: { level: pick(["info", "notice", "warning"]), file: { path: "/var/log/syslog" } },
    host: { name: pick(["web-1", "app-1", "db-1"]) },
  },
});

let sequence = 0;
export function event(at: number): Hit {
  // A storm of errors for 40 s in every 7 minutes.
  const stormy = Math.floor(at / 1000) % 420 < 40;
  const { source, index } = pick([nginx, nginx, java, json, json, syslog])(stormy);
  const id = `${index}:${(sequence++).toString(36).padStart(8, "0")}`;
  return { id, index, sort: [at, id], source: { "@timestamp": new Date(at).toISOString(), ...source, event: { sequence } } };
}
