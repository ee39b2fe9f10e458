//! Syslog and what is written through it: cron, PAM, firewalls.

use super::Table;

pub(super) const TABLE: Table = &[
    ("PROG", r"[\x21-\x5a\x5c\x5e-\x7e]+"),
    ("SYSLOGPROG", r"%{PROG:process.name}(?:\[%{POSINT:process.pid:int}\])?"),
    ("SYSLOGHOST", r"%{IPORHOST}"),
    ("SYSLOGFACILITY", r"<%{NONNEGINT:log.syslog.facility.code:int}\.%{NONNEGINT:log.syslog.priority:int}>"),
    ("SYSLOGBASE", r"%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:host.hostname} %{SYSLOGPROG}:"),
    (
        "SYSLOGBASE2",
        r"(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp})(?: %{SYSLOGFACILITY})?(?: %{SYSLOGHOST:host.hostname})?(?: %{SYSLOGPROG}:)?",
    ),
    ("SYSLOGLINE", r"%{SYSLOGBASE2} %{GREEDYDATA:message}"),
    (
        "SYSLOGPAMSESSION",
        r"%{SYSLOGBASE} %{DATA:system.auth.pam.module}\(%{DATA:system.auth.pam.origin}\): session %{WORD:system.auth.pam.session_state} for user %{USERNAME:user.name}(?: by %{GREEDYDATA:system.auth.pam.by})?",
    ),
    ("CRON_ACTION", r"[A-Z ]+"),
    ("CRONLOG", r"%{SYSLOGBASE} \(%{USER:user.name}\) %{CRON_ACTION:system.cron.action} \(%{DATA:message}\)"),
    ("SYSLOG5424PRINTASCII", r"[!-~]+"),
    ("SYSLOG5424PRI", r"<%{NONNEGINT:log.syslog.priority:int}>"),
    ("SYSLOG5424SD", r"\[%{DATA}\]+"),
    (
        "SYSLOG5424BASE",
        r"%{SYSLOG5424PRI}%{NONNEGINT:system.syslog.version} +(?:-|%{TIMESTAMP_ISO8601:timestamp}) +(?:-|%{IPORHOST:host.hostname}) +(?:-|%{SYSLOG5424PRINTASCII:process.name}) +(?:-|%{SYSLOG5424PRINTASCII:process.pid}) +(?:-|%{SYSLOG5424PRINTASCII:event.code}) +(?:-|%{SYSLOG5424SD:system.syslog.structured_data})?",
    ),
    ("SYSLOG5424LINE", r"%{SYSLOG5424BASE} +%{GREEDYDATA:message}"),
    ("NETFILTERMAC", r"(?:[A-Fa-f0-9]{2}:){5}[A-Fa-f0-9]{2}"),
    ("IPTABLES_TCP_FLAGS", r"(?:CWR |ECE |URG |ACK |PSH |RST |SYN |FIN )*"),
    (
        "IPTABLES_TCP_PART",
        r"(?:SEQ=%{INT:iptables.tcp.seq:int} )?(?:ACK=%{INT:iptables.tcp.ack:int} )?WINDOW=%{INT:iptables.tcp.window:int} RES=0x%{BASE16NUM:iptables.tcp_reserved_bits} %{IPTABLES_TCP_FLAGS:iptables.tcp.flags}",
    ),
    ("IPTABLES4_FRAG", r"(?:CE|DF|MF)?"),
    (
        "IPTABLES4_PART",
        r"SRC=%{IPV4:source.ip} DST=%{IPV4:destination.ip} LEN=(?:%{INT:iptables.length:int})? TOS=(?:0|0x%{BASE16NUM:iptables.tos})? PREC=(?:0x%{BASE16NUM:iptables.precedence_bits})? TTL=(?:%{INT:iptables.ttl:int})? ID=(?:%{INT:iptables.id})? (?:%{IPTABLES4_FRAG:iptables.fragment_flags} )?(?:FRAG: %{INT:iptables.fragment_offset:int})?",
    ),
    (
        "IPTABLES6_PART",
        r"SRC=%{IPV6:source.ip} DST=%{IPV6:destination.ip} LEN=(?:%{INT:iptables.length:int})? TC=(?:0|0x%{BASE16NUM:iptables.tos})? HOPLIMIT=(?:%{INT:iptables.ttl:int})? FLOWLBL=(?:%{INT:iptables.flow_label})?",
    ),
    (
        "IPTABLES",
        r"IN=(?:%{NOTSPACE:observer.ingress.interface.name})? OUT=(?:%{NOTSPACE:observer.egress.interface.name})? (?:MAC=(?:%{NOTSPACE:iptables.mac})? )?(?:%{IPTABLES4_PART}|%{IPTABLES6_PART}).*?PROTO=(?:%{WORD:network.transport})?(?: SPT=%{INT:source.port:int} DPT=%{INT:destination.port:int})?(?: %{IPTABLES_TCP_PART})?",
    ),
    (
        "SSHD_FAILED",
        r"Failed %{WORD:system.auth.ssh.method} for (?:invalid user )?%{DATA:user.name} from %{IPORHOST:source.address} port %{INT:source.port:int}(?: ssh2)?",
    ),
];
