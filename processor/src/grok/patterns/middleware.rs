//! Databases, caches, queues, name servers.

use super::Table;

pub(super) const TABLE: Table = &[
    (
        "POSTGRESQL",
        r"%{DATESTAMP:timestamp} %{TZ:event.timezone} %{DATA:user.name} %{GREEDYDATA:postgresql.log.connection_id} %{POSINT:process.pid:int}",
    ),
    (
        "POSTGRESQL_LOG",
        r"%{TIMESTAMP_ISO8601:timestamp}(?: (?:%{TZ:event.timezone}|[A-Z]{3,4}))? \[%{POSINT:process.pid:int}(?:-%{INT:postgresql.log.session_line_num:int})?\](?: %{NOTSPACE:user.name}@%{NOTSPACE:postgresql.log.database})? %{WORD:log.level}: +%{GREEDYDATA:message}",
    ),
    ("REDISTIMESTAMP", r"%{MONTHDAY} %{MONTH} %{TIME}"),
    ("REDISLOG", r"\[%{POSINT:process.pid:int}\] %{REDISTIMESTAMP:timestamp} \* "),
    (
        "REDIS_LOG",
        r"%{POSINT:process.pid:int}:%{WORD:redis.log.role} %{MONTHDAY} %{MONTH} (?:%{YEAR} )?%{TIME} [.*#-] %{GREEDYDATA:message}",
    ),
    (
        "REDISMONLOG",
        r#"%{NUMBER:timestamp} \[%{INT:redis.database.id} %{IP:client.ip}:%{POSINT:client.port:int}\] "%{WORD:redis.command.name}"(?: %{GREEDYDATA:redis.command.args})?"#,
    ),
    ("MONGO_LOG", r"%{SYSLOGTIMESTAMP:timestamp} \[%{WORD:mongodb.component}\] %{GREEDYDATA:message}"),
    ("MONGO_QUERY", r"\{ .* \} ntoreturn:"),
    (
        "MONGO_SLOWQUERY",
        r"%{WORD:mongodb.profile.op} %{MONGO_WORDDASH:mongodb.database}\.%{MONGO_WORDDASH:mongodb.collection} %{WORD}: \{ %{DATA:mongodb.query.original} \} ntoreturn:%{NONNEGINT:mongodb.profile.ntoreturn:int} ntoskip:%{NONNEGINT:mongodb.profile.ntoskip:int} nscanned:%{NONNEGINT:mongodb.profile.nscanned:int}.*? nreturned:%{NONNEGINT:mongodb.profile.nreturned:int}.*? %{INT:mongodb.profile.duration:int}ms",
    ),
    ("MONGO_WORDDASH", r"\b[\w-]+\b"),
    ("MONGO3_SEVERITY", r"\w"),
    ("MONGO3_COMPONENT", r"%{WORD}"),
    (
        "MONGO3_LOG",
        r"%{TIMESTAMP_ISO8601:timestamp} %{MONGO3_SEVERITY:log.level} (?:-|%{MONGO3_COMPONENT:mongodb.component})%{SPACE}(?:\[%{DATA:mongodb.context}\])? %{GREEDYDATA:message}",
    ),
    (
        "MYSQL_ERROR",
        r"%{TIMESTAMP_ISO8601:timestamp} %{NONNEGINT:process.thread.id:int} \[%{WORD:log.level}\](?: \[%{NOTSPACE:event.code}\])?(?: \[%{NOTSPACE:mysql.error.subsystem}\])? %{GREEDYDATA:message}",
    ),
    ("BIND9_TIMESTAMP", r"%{MONTHDAY}[-]%{MONTH}[-]%{YEAR} %{TIME}"),
    ("BIND9_DNSTYPE", r"[A-Z0-9]+"),
    ("BIND9_CATEGORY", r"queries"),
    (
        "BIND9",
        r"%{BIND9_TIMESTAMP:timestamp} %{BIND9_CATEGORY:bind.log.category}: %{LOGLEVEL:log.level}: client(?: @0x%{BASE16NUM})? %{IP:client.ip}#%{POSINT:client.port:int} \(%{GREEDYDATA:bind.log.question.name}\): query: %{GREEDYDATA:dns.question.name} (?:IN) %{BIND9_DNSTYPE:dns.question.type}(?: %{DATA:bind.log.question.flags})? \(%{IP:server.ip}\)",
    ),
    (
        "KAFKA_LOG",
        r"\[%{TIMESTAMP_ISO8601:timestamp}\] %{LOGLEVEL:log.level} %{GREEDYDATA:message} \(%{JAVACLASS:log.logger}\)",
    ),
    (
        "LOG4J",
        r"%{TIMESTAMP_ISO8601:timestamp} +%{LOGLEVEL:log.level} +(?:\[%{DATA:process.thread.name}\] )?%{JAVACLASS:log.logger}:? (?:- )?%{GREEDYDATA:message}",
    ),
    (
        "ZOOKEEPER_LOG",
        r"%{TIMESTAMP_ISO8601:timestamp} - %{LOGLEVEL:log.level} +\[%{DATA:process.thread.name}\] - %{GREEDYDATA:message}",
    ),
    (
        "GLOG",
        r"%{GLOG_LEVEL:log.level}%{MONTHNUM2}%{MONTHDAY} %{TIME} +%{INT:process.thread.id:int} %{NOTSPACE:log.origin.file.name}:%{INT:log.origin.file.line:int}\] %{GREEDYDATA:message}",
    ),
    ("GLOG_LEVEL", r"[IWEF]"),
];
