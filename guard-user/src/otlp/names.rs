//! The names in what is exported: those of OpenTelemetry, and guard's own where it has none. Every one is here and nowhere else.
//!
//! OpenTelemetry's are as its semantic conventions 1.41.0 have them. Those that begin with `gen_ai.` are still in development
//! there and go on, with the same names so far, in <https://github.com/open-telemetry/semantic-conventions-genai>: when they
//! change, this file does.

/// Says which version the names are of.
pub const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";

// Of the host and of what reports it.
pub const HOST_NAME: &str = "host.name";
pub const SERVICE_NAME: &str = "service.name";
pub const SERVICE_VERSION: &str = "service.version";

// Of agents and their tools.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
pub const TOOL_NAME: &str = "gen_ai.tool.name";
pub const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
/// Value of [`OPERATION_NAME`], and the first word of such a span's name.
pub const EXECUTE_TOOL: &str = "execute_tool";

// Of processes and files.
pub const PROCESS_PID: &str = "process.pid";
pub const PROCESS_PARENT_PID: &str = "process.parent_pid";
pub const PROCESS_PATH: &str = "process.executable.path";
pub const PROCESS_ARGUMENTS: &str = "process.command_args";
pub const PROCESS_DIRECTORY: &str = "process.working_directory";
pub const PROCESS_USER_ID: &str = "process.real_user.id";
pub const PROCESS_CGROUP: &str = "process.linux.cgroup";
pub const FILE_PATH: &str = "file.path";
pub const FILE_SIZE: &str = "file.size";

/// `denied` or `killed`: why a hold's span is an error.
pub const ERROR_TYPE: &str = "error.type";

// Spans of guard's.
pub const AGENT: &str = "guard.agent";
pub const HOLD: &str = "guard.hold";
pub const WOULD_HOLD: &str = "guard.would_hold";
pub const EXEC: &str = "guard.exec";
/// Execs that are not in the log one by one.
pub const EXECS_MISSING: &str = "guard.execs_missing";
pub const SHIELDED: &str = "guard.shielded";
pub const SUSPEND: &str = "guard.suspend";
pub const RESUME: &str = "guard.resume";
pub const KILL: &str = "guard.kill";
pub const EXPIRED: &str = "guard.expired";

// Events in the span of a hold.
pub const HELD: &str = "held";
pub const DECISION: &str = "decision";
pub const WITHDRAWN: &str = "withdrawn";
pub const OUTCOME_EVENT: &str = "outcome";

// Attributes of guard's.
/// `a1`: for `guardctl timeline`.
pub const AGENT_ID: &str = "guard.agent.id";
/// `h12`: for `guardctl incident`.
pub const HOLD_ID: &str = "guard.hold.id";
/// Number of the record in the log where it begins.
pub const RECORD: &str = "guard.record";
pub const RULE: &str = "guard.rule";
pub const RULE_TEXT: &str = "guard.rule.text";
pub const REVERSIBILITY: &str = "guard.reversibility";
pub const CONTEXT: &str = "guard.context";
pub const OPERATION: &str = "guard.operation";
pub const OPERATION_OTHER_PATH: &str = "guard.operation.other_path";
pub const OPERATION_ARGUMENTS: &str = "guard.operation.argv";
pub const OPERATION_ADDRESS: &str = "guard.operation.address";
pub const OPERATION_OBJECT: &str = "guard.operation.object_type";
pub const OPERATION_OWN: &str = "guard.operation.own";
pub const OPERATION_DETAIL: &str = "guard.operation.detail";
pub const OPERATION_DOUBT: &str = "guard.operation.doubt";
pub const BLAST_ROOT: &str = "guard.blast.root";
pub const BLAST_FILES: &str = "guard.blast.files";
pub const BLAST_DIRECTORIES: &str = "guard.blast.directories";
pub const BLAST_BYTES: &str = "guard.blast.bytes";
pub const BLAST_MORE: &str = "guard.blast.more";
pub const VERDICT: &str = "guard.verdict";
pub const SCOPE: &str = "guard.scope";
pub const BY: &str = "guard.by";
pub const NOTE: &str = "guard.note";
pub const OUTCOME: &str = "guard.outcome";
/// How sure it is that a hold came from the tool call that the span names, and why.
pub const CAUSE_SURE: &str = "guard.cause.sure";
pub const CAUSE_BECAUSE: &str = "guard.cause.because";
/// Whose hook told of a tool call: `claude-code`, ….
pub const TOOL_FROM: &str = "guard.tool_call.from";
/// False where nobody told that it is over.
pub const TOOL_ENDED: &str = "guard.tool_call.ended";
/// SHA-256 of the program.
pub const PROGRAM: &str = "guard.program.sha256";
pub const MISSING: &str = "guard.execs_missing.count";
