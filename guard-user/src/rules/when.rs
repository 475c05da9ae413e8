//! `when:`, a condition in CEL for what the other keys cannot say. It is compiled and bounded when it is read; judging
//! only evaluates it. What it cannot say for certain is unknown, and unknown could match.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
};

use cel::{
    Context, Env, ExecutionError, Program, Value,
    common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue},
};
use regex_automata::meta::Regex;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{act::Act, argv::Answer, error::unknown, judge::Certain};
use crate::{
    circumstances::{Need, Needs},
    operation::{Address, Operation},
};

/// Bytes of an expression, and how deep its brackets go: the reader descends into each.
const LONGEST: usize = 1_000;
const DEEPEST: usize = 24;
/// Bytes that a pattern may take once compiled.
const PATTERN: usize = 1 << 20;

/// The language's own functions and macros, and `re`. The operators are functions, too, with names that nobody can type.
const FUNCTIONS: [&str; 15] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "re",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "has",
    "all",
    "exists",
    "exists_one",
    "dyn",
];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// What an expression may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Op,
    Path,
    OtherPath,
    Argv,
    Size,
    Links,
    Owner,
    Uid,
    User,
    Cwd,
    Env,
    Address,
    Port,
    Signal,
}

impl Variable {
    const ALL: [Self; 14] = [
        Self::Op,
        Self::Path,
        Self::OtherPath,
        Self::Argv,
        Self::Size,
        Self::Links,
        Self::Owner,
        Self::Uid,
        Self::User,
        Self::Cwd,
        Self::Env,
        Self::Address,
        Self::Port,
        Self::Signal,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Op => "op",
            Self::Path => "path",
            Self::OtherPath => "other_path",
            Self::Argv => "argv",
            Self::Size => "size",
            Self::Links => "links",
            Self::Owner => "owner",
            Self::Uid => "uid",
            Self::User => "user",
            Self::Cwd => "cwd",
            Self::Env => "env",
            Self::Address => "address",
            Self::Port => "port",
            Self::Signal => "signal",
        }
    }

    /// Every operation that `act` names has it.
    pub(crate) fn fits(self, act: Act) -> bool {
        match self {
            Self::Op | Self::Uid | Self::User | Self::Cwd | Self::Env => true,
            Self::Path | Self::OtherPath | Self::Size | Self::Links | Self::Owner => act.has_path(),
            Self::Argv => act == Act::Exec,
            Self::Address | Self::Port => act == Act::Connect,
            Self::Signal => act == Act::Signal,
        }
    }

    fn need(self) -> Option<Need> {
        match self {
            Self::User => Some(Need::Users),
            Self::Cwd => Some(Need::Directory),
            Self::Env => Some(Need::Environment),
            Self::Op
            | Self::Path
            | Self::OtherPath
            | Self::Argv
            | Self::Size
            | Self::Links
            | Self::Owner
            | Self::Uid
            | Self::Address
            | Self::Port
            | Self::Signal => None,
        }
    }

    /// `None` where it is not known for certain.
    fn value(self, operation: &Operation, certain: Certain) -> Option<Value> {
        let text = |bytes: &std::ffi::OsStr| Value::from(bytes.to_string_lossy().into_owned());
        let number = |number: u64| i64::try_from(number).ok().map(Value::Int);
        let found = &operation.circumstances;
        let target = || (certain.facts && operation.target.ino != 0).then_some(&operation.target);
        match self {
            Self::Op => Some(operation.op.name().into()),
            Self::Path => certain.paths.then(|| text(operation.path.as_os_str())),
            Self::OtherPath => certain.paths.then(|| text(operation.other_path.as_os_str())),
            Self::Argv => {
                certain.argv.then(|| operation.argv.iter().map(|argument| text(argument)).collect::<Vec<_>>().into())
            }
            Self::Size => target().and_then(|target| number(target.size)),
            Self::Links => target().and_then(|target| number(target.nlink.into())),
            Self::Owner => target().and_then(|target| number(target.uid.into())),
            Self::Uid => number(operation.uid.into()),
            Self::User => {
                let users = found.users.known()?;
                users.iter().find(|(id, _)| *id == operation.uid).map(|(_, name)| name.as_str().into())
            }
            Self::Cwd => found.directory.known().map(|directory| text(directory.as_os_str())),
            Self::Env => found.environment.known().map(|known| {
                let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                // Of a name that is there twice, the first counts, as `getenv` has it.
                let pairs = known.iter().rev().map(|(name, value)| (lossy(name), lossy(value)));
                Value::from(pairs.collect::<HashMap<String, String>>())
            }),
            Self::Address => match operation.address.as_ref().filter(|_| certain.facts)? {
                Address::Inet(address) => Some(address.ip().to_canonical().to_string().into()),
                Address::UnixPath(path) => Some(text(path.as_os_str())),
                Address::UnixAbstract(name) => Some(format!("@{}", String::from_utf8_lossy(name)).into()),
                Address::Other(..) => None,
            },
            Self::Port => match operation.address.as_ref().filter(|_| certain.facts)? {
                Address::Inet(address) => number(address.port().into()),
                Address::UnixPath(_) | Address::UnixAbstract(_) | Address::Other(..) => number(0),
            },
            Self::Signal => number(operation.detail[0]).filter(|_| certain.facts),
        }
    }
}

/// A condition, compiled.
pub(crate) struct When {
    program: Program,
    variables: Vec<Variable>,
    patterns: Arc<HashMap<String, Regex>>,
}

impl When {
    /// # Errors
    /// The sentence its author reads.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST || text.trim().is_empty() {
            return Err(format!("a condition has 1 to {LONGEST} bytes"));
        }
        let mut depth = 0_usize;
        for byte in text.bytes() {
            match byte {
                // `!`, `-` and `?` nest as well, and no sensible condition has this many.
                b'(' | b'[' | b'{' | b'!' | b'-' | b'?' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEEPEST {
                return Err(format!("a condition goes {DEEPEST} brackets deep at most"));
            }
        }
        let program = ENV.compile(text).map_err(|errors| {
            let first = errors.errors.first();
            first.map_or_else(
                || "this is no condition in CEL".to_owned(),
                |error| format!("this is no condition in CEL: at its column {}: {}", error.pos.1.max(1), error.msg),
            )
        })?;
        let mut found = Names::default();
        found.look(program.expression(), 0)?;
        let known: Vec<&str> = Variable::ALL.iter().map(|variable| variable.name()).collect();
        let mut variables = Vec::new();
        for name in found.variables.iter().filter(|name| !found.local.contains(name)) {
            let variable = Variable::ALL.into_iter().find(|variable| variable.name() == name);
            variables.push(variable.ok_or_else(|| unknown("variable", name, &known))?);
        }
        Ok(Self { program, variables, patterns: Arc::new(found.patterns) })
    }

    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    pub(crate) fn needs(&self) -> Needs {
        let needs = self.variables.iter().filter_map(|variable| variable.need());
        needs.fold(Needs::NONE, |needs, need| needs.with(Needs::of(need)))
    }

    /// Anything but a plain true or false is unknown.
    pub(crate) fn answer(&self, operation: &Operation, certain: Certain) -> Answer {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for variable in &self.variables {
            // One that is missing fails where the condition depends on it, and only there.
            if let Some(value) = variable.value(operation, certain) {
                context.add_variable_from_value(variable.name(), value);
            }
        }
        if !self.patterns.is_empty() {
            let patterns = Arc::clone(&self.patterns);
            let matches = move |text: Arc<String>, pattern: Arc<String>| {
                let pattern = patterns.get(pattern.as_str());
                let pattern = pattern.ok_or_else(|| ExecutionError::function_error("re", "an unknown pattern"))?;
                Ok::<bool, ExecutionError>(pattern.is_match(text.as_bytes()))
            };
            if context.add_function("re", matches).is_err() {
                return Answer::Unknown;
            }
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(is)) => Answer::of(is),
            Ok(_) | Err(_) => Answer::Unknown,
        }
    }
}

/// What an expression names, and whether it is bounded.
#[derive(Default)]
struct Names {
    variables: Vec<String>,
    /// Variables of its own loops.
    local: Vec<String>,
    patterns: HashMap<String, Regex>,
}

impl Names {
    /// `loops` is how many loops are around this part.
    fn look(&mut self, at: &IdedExpr, loops: usize) -> Result<(), String> {
        let mut parts: Vec<&IdedExpr> = Vec::new();
        match &at.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !self.variables.contains(name) {
                    self.variables.push(name.clone());
                }
            }
            Expr::Call(call) => {
                let is_name = call.func_name.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if is_name && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    return Err(unknown("function", &call.func_name, &FUNCTIONS));
                }
                if call.func_name == "re" {
                    self.pattern(call.args.last())?;
                }
                parts.extend(call.target.as_deref());
                parts.extend(&call.args);
            }
            Expr::Comprehension(each) => {
                if loops > 0 {
                    return Err("a loop inside a loop takes too long for a condition".to_owned());
                }
                if matches!(each.accu_init.expr, Expr::List(_) | Expr::Map(_)) {
                    return Err("a condition makes no lists: `exists` and `all` ask about one".to_owned());
                }
                self.local.extend([each.iter_var.clone(), each.accu_var.clone()]);
                self.local.extend(each.iter_var2.clone());
                self.look(&each.iter_range, loops)?;
                for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                    self.look(part, loops + 1)?;
                }
            }
            Expr::List(list) => parts.extend(&list.elements),
            Expr::Select(select) => parts.push(&select.operand),
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(entry) => parts.extend([&entry.key, &entry.value]),
                        EntryExpr::StructField(field) => parts.push(&field.value),
                    }
                }
            }
            Expr::Struct(_) => return Err("a condition makes no messages".to_owned()),
        }
        parts.into_iter().try_for_each(|part| self.look(part, loops))
    }

    fn pattern(&mut self, argument: Option<&IdedExpr>) -> Result<(), String> {
        let Some(Expr::Literal(LiteralValue::String(pattern))) = argument.map(|argument| &argument.expr) else {
            return Err("`re` is asked as re(text, \"pattern\"), with the pattern in quotes".to_owned());
        };
        let config = Regex::config().nfa_size_limit(Some(PATTERN)).onepass_size_limit(Some(PATTERN));
        let pattern = pattern.inner().to_owned();
        let regex = Regex::builder().configure(config).build(&pattern);
        let regex = regex.map_err(|error| format!("`{pattern}` is not a pattern that can be bounded: {error}"))?;
        self.patterns.insert(pattern, regex);
        Ok(())
    }
}

impl fmt::Debug for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("When").field("variables", &self.variables).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
