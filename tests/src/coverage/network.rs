//! What leaves over the network, and what is said over it. Sockets of helpers on this host are `leaving`.

use super::{Row, command_line, enforced, gap};

/// Under the rules of the scenarios, and under the shipped ones.
const CONNECTED: &str = "a_connection_is_held_however_it_is_made";
const TOLD: &str = "what_an_agent_says_to_helpers_and_hosts_is_held_before_the_first_packet";

/// Why nothing said over a connection is judged.
const WIRE: &str = "guard reads no protocols: it judges where a connection goes, and command lines";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "N-1",
        class: "connect(2)",
        lines: &[
            enforced(
                "TCP over IPv4, by port",
                &["connect_over_ipv4_is_held_and_connects_after_approval", "connect_fails_cleanly_after_denial"],
            ),
            enforced("TCP over IPv6, by port", &["connect_over_ipv6_is_held_and_connects_after_approval"]),
            enforced("by address; IPv4 addresses as IPv6", &[TOLD, CONNECTED]),
            enforced("without waiting (`O_NONBLOCK`); UDP and raw sockets", &[CONNECTED, TOLD]),
            enforced("`0.0.0.0` and `::` for this host, where a rule names the loopback", &[TOLD]),
            enforced("a name that resolves to something else the second time", &[TOLD]),
        ],
    },
    Row {
        id: "N-2",
        class: "sending without connecting",
        lines: &[
            enforced(
                "sendto(2), sendmsg(2), sendmmsg(2) with an address",
                &["datagrams_to_an_address_are_held_without_a_connection"],
            ),
            gap("writev(2), splice(2), sendfile(2) to a connected socket", "only the connection is judged"),
        ],
    },
    Row {
        id: "N-3",
        class: "other ways to connect",
        lines: &[
            enforced("TCP Fast Open by sendto(2) with `MSG_FASTOPEN`", &["tcp_fast_open_is_held_before_it_connects"]),
            enforced("`TCP_FASTOPEN_CONNECT`; the first path of MPTCP", &[CONNECTED]),
            gap("further paths of MPTCP, SCTP", "no hook `mptcp_add_subflow` or `sctp_bind_connect`"),
        ],
    },
    Row {
        id: "N-4",
        class: "sockets below and beside IP",
        lines: &[
            enforced(
                "raw and packet sockets, where a rule is on every address, as an egress list is",
                &["raw_and_packet_sockets_are_held_where_every_address_is"],
            ),
            gap(
                "the same elsewhere; vsock, netlink, Bluetooth, AF_ALG",
                "only a rule on every address holds raw and packet sockets; of the others only what they connect to is looked at",
            ),
            gap("`/dev/net/tun` and TCP of one's own", "no shipped rule names it"),
        ],
    },
    Row {
        id: "N-5",
        class: "Unix sockets",
        lines: &[
            enforced("a socket that a rule names, by its path", &["connect_to_a_unix_socket_is_held"]),
            enforced("an abstract socket that a rule names", &["connect_to_an_abstract_socket_is_held"]),
            enforced(
                "a relative name, `..`, a symbolic link, `/proc/self/fd/N`",
                &["connect_to_a_unix_socket_is_held_by_whatever_name_it_is_reached"],
            ),
            enforced("datagrams without connecting", &["a_datagram_to_a_unix_socket_is_held"]),
            gap("databases, ssh-agent, gpg-agent, keyrings", "no shipped rule names their sockets"),
        ],
    },
    Row {
        id: "N-6",
        class: "sockets that were not connected as this agent",
        lines: &[
            enforced(
                "connected when the agent was tagged: the first use",
                &["a_connection_from_before_the_tagging_is_held_at_its_first_use"],
            ),
            enforced("received over a socket", &["a_connection_that_another_sends_is_refused_until_approved"])
                .note("refused at once; after an approval the next one passes"),
            gap("accepted: somebody connects to the agent", "no hook `socket_accept` or `socket_listen`"),
            gap("a proxy that is no agent", "as in C7"),
        ],
    },
    Row { id: "N-7", class: "messages in pieces", lines: &[gap("any", WIRE)] },
    Row {
        id: "N-8",
        class: "encryption",
        lines: &[gap("TLS, by whichever library", "judged by its destination alone")],
    },
    Row {
        id: "N-9",
        class: "PostgreSQL",
        lines: &[
            gap("over the wire", WIRE),
            command_line("what drops, among the arguments of psql", "sql-drop", "psql"),
            command_line("what changes every row, among the arguments of psql", "sql-every-row", "psql"),
            gap("SQL through a pipe or from a file", "arguments alone are read"),
        ],
    },
    Row {
        id: "N-10",
        class: "MySQL",
        lines: &[
            gap("over the wire", WIRE),
            command_line("what drops, among the arguments of mysql", "sql-drop", "mysql"),
        ],
    },
    Row {
        id: "N-11",
        class: "Redis",
        lines: &[
            gap("over the wire", WIRE),
            command_line("what drops, among the arguments of redis-cli", "nosql-drop", "redis-cli"),
        ],
    },
    Row {
        id: "N-12",
        class: "MongoDB, Elasticsearch, etcd, Kafka, object stores",
        lines: &[
            gap("over the wire", WIRE),
            command_line("what drops, among the arguments of mongosh", "nosql-drop", "mongosh"),
            command_line("objects in a cloud, by its command line", "cloud-delete", " s3"),
        ],
    },
    Row {
        id: "N-13",
        class: "git",
        lines: &[
            command_line("forced pushes by git", "git-force-push", "git"),
            command_line("reset, clean, checkout, stash by git", "git-discard", "git"),
            command_line("history by git", "git-history", "git"),
            command_line("branches and tags by git", "git-branch-delete", "git"),
            gap("pushes by other libraries, over ssh or https", "encrypted: only where it goes is known"),
            gap("the interfaces of forges", WIRE),
            enforced(
                "`.git` renamed, its HEAD or itself removed, by any program",
                &["disks_memory_kernel_parameters_and_repositories_are_held_by_the_shipped_rules"],
            )
            .note("by the shipped rule `git-directory`"),
            gap(
                "its objects removed first, by a program other than rm",
                "in the agent's workspace no rule names them: it is held when HEAD, config or the directory comes",
            ),
        ],
    },
    Row {
        id: "N-14",
        class: "clusters and clouds",
        lines: &[
            command_line("kubectl", "kubectl-delete", "kubectl"),
            command_line("terraform", "terraform-destroy", "terraform"),
            command_line("aws", "cloud-delete", "aws"),
            command_line("gcloud", "cloud-delete", "gcloud"),
            command_line("az", "cloud-delete", "az "),
            gap("the same by curl or a library", WIRE),
            enforced("reading a credential that a rule names", &["reading_a_secret_is_held_until_approved"])
                .note("the shipped rule `read-credentials` names those of the common tools"),
            enforced("the metadata service of a cloud", &[TOLD]).note("by the shipped rule `metadata-service`"),
        ],
    },
];
