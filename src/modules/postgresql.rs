//! `postgresql_query` and `postgresql_ping` (of `community.postgresql`), by `psql` on the host.
//!
//! SQL goes to `psql` on its standard input, never as an argument; a password lies for as long as it
//! takes in a file that `psql` alone is told of. Rows come back with NUL between their fields.
//! Source: `community.postgresql` 4, `plugins/modules/postgresql_query.py` and
//! `postgresql_ping.py`.

use serde_json::Value as Json;

use super::command::last;
use super::psql_reply::{MARK, Ran, read};
use super::result::{fields, strings};
use super::sql::{self, Parameters};
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Declares an argument struct with those of the connection added to its own.
macro_rules! login_args {
    ($(#[$meta:meta])* struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($body)*
            /// The role to log in as. Default `postgres`.
            #[serde(alias = "login")]
            login_user: Option<String>,
            /// Its password.
            login_password: Option<String>,
            /// The host of the database. Default: the socket of this one.
            #[serde(alias = "host")]
            login_host: Option<String>,
            /// The folder of the socket.
            #[serde(alias = "unix_socket")]
            login_unix_socket: Option<String>,
            /// The port. Default 5432.
            #[serde(alias = "port")]
            login_port: Option<u16>,
            /// The database. Default: that of the role's name.
            #[serde(alias = "db")]
            login_db: Option<String>,
            /// How TLS is used. Default `prefer`.
            ssl_mode: Option<String>,
            /// The file of the certificates that are trusted.
            #[serde(alias = "ssl_rootcert")]
            ca_cert: Option<String>,
            /// The file of the client's certificate.
            ssl_cert: Option<String>,
            /// The file of its key.
            ssl_key: Option<String>,
            /// More parameters of the connection.
            connect_params: Option<serde_json::Map<String, Json>>,
            /// The role to act as after the login.
            session_role: Option<String>,
            /// No effect: names are always quoted.
            #[serde(rename = "trust_input")]
            _trust_input: Option<bool>,
        }

        impl $name {
            fn login(&self) -> Login<'_> {
                Login {
                    user: self.login_user.as_deref().unwrap_or("postgres"),
                    password: self.login_password.as_deref().filter(|text| !text.is_empty()),
                    host: self.login_host.as_deref().filter(|text| !text.is_empty()),
                    socket: self.login_unix_socket.as_deref().filter(|text| !text.is_empty()),
                    port: self.login_port.unwrap_or(5432),
                    database: self.login_db.as_deref().filter(|text| !text.is_empty()),
                    tls: [
                        ("sslmode", self.ssl_mode.as_deref()),
                        ("sslrootcert", self.ca_cert.as_deref()),
                        ("sslcert", self.ssl_cert.as_deref()),
                        ("sslkey", self.ssl_key.as_deref()),
                    ],
                    more: self.connect_params.as_ref(),
                    role: self.session_role.as_deref(),
                }
            }
        }
    };
}

/// How a database is reached.
struct Login<'a> {
    user: &'a str,
    password: Option<&'a str>,
    host: Option<&'a str>,
    socket: Option<&'a str>,
    port: u16,
    database: Option<&'a str>,
    tls: [(&'static str, Option<&'a str>); 4],
    more: Option<&'a serde_json::Map<String, Json>>,
    role: Option<&'a str>,
}

const TLS_MODES: &[&str] = &[
    "allow",
    "disable",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

impl Login<'_> {
    fn check(&self) -> Result<(), String> {
        if let (_, Some(mode)) = self.tls[0]
            && !TLS_MODES.contains(&mode)
        {
            return Err(format!(
                "value of ssl_mode must be one of: {}, got: {mode}",
                TLS_MODES.join(", ")
            ));
        }
        if self.more.is_some_and(|more| more.contains_key("password")) {
            return Err("a password belongs into `login_password`, not into `connect_params`, which show in the process list".into());
        }
        Ok(())
    }

    /// The parameters of the connection in the form of libpq; nothing in it is secret.
    fn conninfo(&self) -> String {
        let mut all: Vec<(String, String)> = vec![
            ("user".into(), self.user.into()),
            ("port".into(), self.port.to_string()),
            ("dbname".into(), self.database.unwrap_or(self.user).into()),
        ];
        if let Some(host) = self
            .host
            .filter(|host| *host != "localhost" || self.socket.is_none())
        {
            all.push(("host".into(), host.into()));
        } else if let Some(socket) = self.socket {
            all.push(("host".into(), socket.into()));
        }
        for (name, value) in self.tls {
            if let Some(value) = value {
                all.push((name.into(), value.into()));
            }
        }
        for (name, value) in self.more.into_iter().flatten() {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            all.retain(|(known, _)| known != name);
            all.push((name.clone(), value));
        }
        let words: Vec<String> = all
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('\'', "\\'");
                format!("{name}='{value}'")
            })
            .collect();
        words.join(" ")
    }

    /// The script that feeds `sql` to `psql`.
    fn script(&self, sql: &str) -> String {
        let mut sh = String::from(
            "command -v psql >/dev/null || sb_fail 'the host has no psql'\n\
             export PGAPPNAME=switchback LC_MESSAGES=C PSQLRC=/dev/null\n",
        );
        if let Some(password) = self.password {
            let password = password.replace('\\', "\\\\").replace(':', "\\:");
            // A folder of its own that nobody else can enter, gone when psql ends.
            sh.push_str(&format!(
                "SB_dir=${{SB_KEEP-$SB_SPOOL}}/pgpass.$$\nmkdir -p \"${{SB_dir%/*}}\" && mkdir -m 700 \"$SB_dir\" || exit 1\n\
                 export PGPASSFILE=\"$SB_dir/pgpass\"\n\
                 trap 'rm -rf \"$SB_dir\"' EXIT\ntrap 'exit 129' HUP\ntrap 'exit 130' INT\ntrap 'exit 143' TERM\n\
                 (umask 077; printf '%s\\n' {} >\"$PGPASSFILE\") || exit 1\n",
                quote(&format!("*:*:*:*:{password}"))
            ));
        }
        let prefix = self.role.map_or(String::new(), |role| {
            format!("SET ROLE {};\n", sql::name(role))
        });
        sh.push_str(&format!(
            "printf %s {} | psql -X -w -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=default -d {} -f -\n",
            quote(&format!("{SETTINGS}{prefix}{sql}")),
            quote(&self.conninfo())
        ));
        sh
    }
}

/// How `psql` writes rows: fields and records end with NUL, NULL is told from an empty text.
const SETTINGS: &str =
    "\\pset fieldsep_zero on\n\\pset recordsep_zero on\n\\pset null '\\001'\n\\pset footer off\n";

/// The message of the server, without what `psql` puts before it.
fn complaint(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let first = lines
        .iter()
        .position(|line| line.contains("ERROR:  ") || line.contains("FATAL:  "));
    let Some(first) = first else {
        return stderr.trim().to_owned();
    };
    let mut text = lines[first..].join("\n");
    for kind in ["ERROR:  ", "FATAL:  "] {
        if let Some(at) = text.find(kind)
            && !lines[first][..lines[first].len().min(at)].contains('\n')
        {
            text = text[at + kind.len()..].to_owned();
            break;
        }
    }
    text.trim().to_owned()
}

login_args! {
    /// Arguments of `postgresql_query`.
    struct PostgresqlQueryArgs {
        /// A query, or a list of them.
        query: Option<Json>,
        /// What stands for each `%s`.
        positional_args: Option<Vec<Json>>,
        /// What stands for each `%(name)s`.
        named_args: Option<serde_json::Map<String, Json>>,
        /// Whether each query is a transaction of its own, as `VACUUM` needs it. Default false.
        #[serde(default)]
        autocommit: bool,
        /// The encoding of the client.
        encoding: Option<String>,
        /// Schemas to look in.
        #[serde(default)]
        search_path: Vec<String>,
    }
}

impl PostgresqlQueryArgs {
    fn queries(&self) -> Result<Vec<String>, String> {
        match &self.query {
            Some(Json::String(query)) => Ok(vec![query.clone()]),
            Some(Json::Array(all)) => all
                .iter()
                .map(|query| query.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| "query argument must be of type string or list".into()),
            None => Ok(Vec::new()),
            Some(_) => Err("query argument must be of type string or list".into()),
        }
    }

    fn parameters(&self) -> Parameters<'_> {
        match (&self.positional_args, &self.named_args) {
            (Some(list), _) if !list.is_empty() => Parameters::Positional(list),
            (_, Some(map)) if !map.is_empty() => Parameters::Named(map),
            _ => Parameters::None,
        }
    }

    /// Each query with its parameters, and its statements.
    fn filled(&self) -> Result<Vec<(String, Vec<String>)>, String> {
        self.queries()?
            .iter()
            .map(|query| {
                let text = sql::filled(query, &self.parameters())?;
                let statements = sql::statements(&text)?;
                Ok((text, statements))
            })
            .collect()
    }

    /// What `psql` reads.
    fn sql(&self) -> Result<String, String> {
        let mut sql = String::new();
        if let Some(encoding) = &self.encoding {
            sql.push_str(&format!(
                "SET client_encoding TO {};\n",
                sql::quoted(encoding)
            ));
        }
        if !self.search_path.is_empty() {
            let names: Vec<String> = self
                .search_path
                .iter()
                .map(|path| sql::name(path.trim_matches(' ')))
                .collect();
            sql.push_str(&format!("SET search_path TO {};\n", names.join(", ")));
        }
        if !self.autocommit {
            sql.push_str("BEGIN;\n");
        }
        for (i, (_, statements)) in self.filled()?.iter().enumerate() {
            for statement in statements {
                let statement = statement.trim();
                // A remark at the end would swallow what follows it.
                sql.push_str(&format!(
                    "\\echo {MARK} {i} types\n{statement}\n\\gdesc\n\\echo {MARK} {i} rows\n\\timing on\n\\set QUIET off\n\
                     {statement}\n;\n\\set QUIET on\n\\timing off\n\\echo {MARK} {i} count :ROW_COUNT\n"
                ));
            }
        }
        if !self.autocommit {
            sql.push_str("COMMIT;\n");
        }
        Ok(sql)
    }
}

/// Whether a command changed something, as its status says (community.postgresql's rule).
fn has_changed(status: &str) -> bool {
    if status.contains("SELECT") || status.contains("SHOW") {
        return false;
    }
    if ["UPDATE", "INSERT", "DELETE"]
        .iter()
        .any(|verb| status.contains(verb))
    {
        let words: Vec<&str> = status.split_whitespace().collect();
        return match words.len() {
            3 => words[2] != "0",
            2 => words[1] != "0",
            _ => true,
        };
    }
    true
}

/// The result of all queries.
fn collected(
    queries: Vec<String>,
    filled: &[(String, Vec<String>)],
    ran: &[(usize, Ran)],
) -> Outcome {
    let mut all_rows = Vec::new();
    let mut times = Vec::new();
    let (mut is_changed, mut count, mut status) = (false, 0, String::new());
    for at in 0..queries.len() {
        // Of several statements in one query the last one's rows count, as with the driver.
        let of_query = || ran.iter().filter(|(query, _)| *query == at);
        let Some((_, end)) = of_query().next_back() else {
            continue;
        };
        is_changed |= has_changed(&end.status);
        count += end.count.max(0);
        status.clone_from(&end.status);
        times.push(Value::Float(of_query().map(|(_, ran)| ran.ms).sum()));
        all_rows.push(if end.rows.is_empty() {
            Value::from(Map::new())
        } else {
            Value::from(
                end.rows
                    .iter()
                    .cloned()
                    .map(Value::from)
                    .collect::<Vec<_>>(),
            )
        });
    }
    let result = fields([
        (
            "query",
            filled
                .last()
                .map_or(Value::Null, |(text, _)| text.as_str().into()),
        ),
        ("query_list", strings(queries)),
        ("statusmessage", status.into()),
        (
            "query_result",
            all_rows
                .last()
                .cloned()
                .unwrap_or_else(|| Value::from(Map::new())),
        ),
        ("query_all_results", Value::from(all_rows)),
        ("rowcount", Value::Int(count)),
        ("execution_time_ms", Value::from(times)),
    ]);
    Outcome {
        is_changed,
        result,
        ..Outcome::default()
    }
}

/// Runs queries.
///
/// # Returns
/// * `query`: the last query, with its parameters.
/// * `query_list`: all queries.
/// * `query_result`: its rows, a mapping each.
/// * `query_all_results`: the rows of all queries.
/// * `rowcount`: how many rows it gave or changed.
/// * `statusmessage`: what the server said of it.
/// * `execution_time_ms`: how long each took.
///
/// # Example
/// ```yaml
/// - postgresql_query:
///     login_db: app
///     query: SELECT count(*) AS n FROM accounts WHERE state = %s
///     positional_args: [active]
///   become: true
///   become_user: postgres
///   register: accounts
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct PostgresqlQuery;

impl Module for PostgresqlQuery {
    const NAME: &'static str = "postgresql_query";
    const EFFECT: Effect = Effect::Once;
    const LONG: bool = true;
    type Args = PostgresqlQueryArgs;

    fn check(args: &PostgresqlQueryArgs) -> Result<(), String> {
        if args.positional_args.is_some() && args.named_args.is_some() {
            return Err("parameters are mutually exclusive: positional_args|named_args".into());
        }
        args.login().check()?;
        args.sql().map(drop)
    }

    fn probe(_: &PostgresqlQueryArgs, _: &[Resolved]) -> Option<Script> {
        None
    }

    fn decide(
        args: &PostgresqlQueryArgs,
        _: &[Resolved],
        _: &[Reply],
    ) -> Result<Decision, Failure> {
        let queries = args.queries().map_err(Failure::new)?;
        let sql = args.sql().map_err(Failure::new)?;
        Ok(Decision::Change(Change {
            summary: queries.join("; "),
            diff: Vec::new(),
            acts: vec![Act::script(args.login().script(&sql))],
            undo: Undo::Unknown("a query does not say what it changes"),
            foretell: Foretell::Skipped(
                "the query was not run: what it would change cannot be told without running it"
                    .into(),
            ),
        }))
    }

    fn finish(
        args: &PostgresqlQueryArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let queries = args.queries().map_err(Failure::new)?;
        let stdout = reply.stdout_text();
        let ran = read(&stdout);
        if reply.rc != 0 {
            let why = complaint(&reply.stderr_text());
            let Some((query, _)) = ran.last() else {
                return Err(Failure::new(format!(
                    "unable to connect to database: {why}"
                )));
            };
            let failed = queries.get(*query).map_or("", String::as_str);
            return Err(Failure::new(format!(
                "Cannot execute SQL '{failed}': {why}, query list: {queries:?}"
            )));
        }
        let filled = args.filled().map_err(Failure::new)?;
        Ok(collected(queries, &filled, &ran))
    }
}

login_args! {
    /// Arguments of `postgresql_ping`.
    struct PostgresqlPingArgs {
    }
}

/// Asks whether a database answers.
///
/// # Returns
/// * `is_available`: whether it answers.
/// * `server_version`: its version: `major`, `minor`, `full`, `raw`.
/// * `conn_err_msg`: why not.
///
/// # Example
/// ```yaml
/// - postgresql_ping:
///     login_host: db1
///   register: pong
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct PostgresqlPing;

impl Module for PostgresqlPing {
    const NAME: &'static str = "postgresql_ping";
    const EFFECT: Effect = Effect::Reads;
    type Args = PostgresqlPingArgs;

    fn check(args: &PostgresqlPingArgs) -> Result<(), String> {
        args.login().check()
    }

    fn probe(_: &PostgresqlPingArgs, _: &[Resolved]) -> Option<Script> {
        None
    }

    fn decide(
        args: &PostgresqlPingArgs,
        _: &[Resolved],
        seen: &[Reply],
    ) -> Result<Decision, Failure> {
        let Some(reply) = seen.first() else {
            return Ok(Decision::Ask(Script::new(
                args.login().script("SELECT version();\n"),
            )));
        };
        if reply.rc == 1 && reply.stderr_text().contains("the host has no psql") {
            return Err(Failure::new("the host has no psql"));
        }
        let stdout = reply.stdout_text();
        let raw = stdout.trim_end_matches(['\0', '\n']);
        let raw = raw.rsplit(['\0', '\n']).next().unwrap_or_default();
        let mut version = Map::new();
        if reply.rc == 0 {
            let full = raw.split_whitespace().nth(1).unwrap_or_default();
            let mut numbers = full
                .split(|c: char| !c.is_ascii_digit())
                .map_while(|part| part.parse::<i64>().ok());
            for name in ["major", "minor", "patch"] {
                if let Some(number) = numbers.next() {
                    version.insert(name.into(), Value::Int(number));
                }
            }
            version.insert("full".into(), full.into());
            version.insert("raw".into(), raw.into());
        }
        let error = if reply.rc == 0 {
            String::new()
        } else {
            reply.stderr_text().trim().to_owned()
        };
        Ok(Decision::Unchanged(Outcome::ok(fields([
            ("is_available", (reply.rc == 0).into()),
            ("server_version", Value::from(version)),
            ("conn_err_msg", error.into()),
        ]))))
    }

    fn finish(
        _: &PostgresqlPingArgs,
        _: &[Resolved],
        _: &[Reply],
        _: &Change,
        _: &[Reply],
    ) -> Result<Outcome, Failure> {
        unreachable!("invariant: postgresql_ping never decides on a change")
    }
}

#[cfg(test)]
mod tests;
