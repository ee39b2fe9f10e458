//! A Java application logging through logback, with stack traces that run over many lines.

use std::io::{self, Write};

use jiff::Zoned;

use crate::ledger::LineId;
use crate::world::{PRODUCTS, USERS, World};

const FAILURES: [(&str, &str, &str); 4] = [
    ("com.acme.shop.OrderService", "java.lang.IllegalStateException", "order is already paid"),
    ("com.acme.shop.InventoryClient", "java.net.SocketTimeoutException", "Read timed out after 5000 ms"),
    (
        "com.acme.shop.PriceCache",
        "java.lang.NullPointerException",
        "Cannot invoke \"Price.amount()\" because \"price\" is null",
    ),
    (
        "com.acme.shop.db.OrderDao",
        "org.postgresql.util.PSQLException",
        "FATAL: remaining connection slots are reserved",
    ),
];
const FRAMES: [&str; 8] = [
    "com.acme.shop.OrderService.pay(OrderService.java:214)",
    "com.acme.shop.OrderService.place(OrderService.java:131)",
    "com.acme.shop.web.OrderController.post(OrderController.java:77)",
    "com.acme.shop.db.OrderDao.insert(OrderDao.java:58)",
    "org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)",
    "org.apache.catalina.core.ApplicationFilterChain.doFilter(ApplicationFilterChain.java:140)",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
    "java.base/java.lang.Thread.run(Thread.java:1583)",
];

pub(super) fn write(world: &mut World, now: &Zoned, id: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let time = now.strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
    let thread = world.rng.u32(1..33);
    if world.goes_wrong() {
        return write_failure(world, &time, thread, id, out);
    }
    let (user, product, took) = (world.pick(&USERS), world.pick(&PRODUCTS), world.took_ms());
    let order = world.rng.u32(10_000..99_999);
    let (level, logger, text) = match world.rng.u8(..10) {
        0..=4 => ("INFO ", "OrderService", format!("order {order} placed by {user}: 1 x {product} in {took} ms")),
        5..=6 => ("INFO ", "CartService", format!("cart of {user} now holds {product}")),
        7 => ("DEBUG", "PriceCache", format!("price of {product} refreshed in {took} ms")),
        8 => ("WARN ", "InventoryClient", format!("stock of {product} is low, order {order} may wait")),
        _ => ("INFO ", "MailService", format!("confirmation for order {order} sent to {user}@example.com")),
    };
    writeln!(out, "{time} {level} [http-nio-8080-exec-{thread}] com.acme.shop.{logger} - {text} rid={}", LineId(id))?;
    Ok(1)
}

fn write_failure(world: &mut World, time: &str, thread: u32, id: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let (logger, exception, reason) = FAILURES.get(world.rng.usize(..FAILURES.len())).copied().unwrap_or(FAILURES[0]);
    let order = world.rng.u32(10_000..99_999);
    writeln!(out, "{time} ERROR [http-nio-8080-exec-{thread}] {logger} - order {order} failed rid={}", LineId(id))?;
    writeln!(out, "{exception}: {reason} [{}]", LineId(id + 1))?;
    let mut lines = 2;
    let depth = world.rng.u64(3..9);
    for frame in FRAMES.iter().cycle().skip(world.rng.usize(..4)).take(usize::try_from(depth).unwrap_or(3)) {
        writeln!(out, "\tat {frame} ~[{}]", LineId(id + lines))?;
        lines += 1;
    }
    if world.rng.bool() {
        writeln!(out, "Caused by: java.io.IOException: connection reset by peer [{}]", LineId(id + lines))?;
        writeln!(
            out,
            "\tat java.base/sun.nio.ch.SocketChannelImpl.read(SocketChannelImpl.java:435) ~[{}]",
            LineId(id + lines + 1)
        )?;
        lines += 2;
    }
    Ok(lines)
}
