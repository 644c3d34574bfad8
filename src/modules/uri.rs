//! `uri`: a request to a web service, made on the host.
//!
//! A request that only reads (`GET`, `HEAD`, `OPTIONS` without `dest`) is an event of reading; any
//! other happens once. Source: ansible-core 2.19, `modules/uri.py`.

use super::command::last;
use super::http::{Request, Response, masked};
use super::result::fields;
use super::words::{self, Expand};
use super::{
    Act, Change, Decision, Effect, Failure, Foretell, Input, InputKind, Module, Outcome, Resolved,
    Undo,
};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Makes a request to a web service.
///
/// # Returns
/// * `status`, `msg`: the status of the answer and what the server said of it.
/// * `url`, `redirected`: what answered, and whether there was a redirection to it.
/// * `content`: the body, with `return_content` or on failure; `json`: as data, if it is JSON.
/// * `elapsed`: seconds that it took; `cookies`: the cookies.
///
/// # Example
/// ```yaml
/// - uri: {url: "http://localhost:8008/health", status_code: [200, 503]}
///   register: health
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct Uri;

/// Arguments of `uri`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct UriArgs {
    /// The URL.
    url: String,
    /// The method. Default `GET`.
    method: Option<String>,
    /// The body: text, or a mapping or list that `body_format` turns into text.
    body: Option<Value>,
    /// `raw` (default), `json` or `form-urlencoded`.
    body_format: Option<String>,
    /// A file that is the body: on the controller, or on the host with `remote_src`.
    src: Option<String>,
    /// Whether `src` is on the host. Default false.
    #[serde(default)]
    remote_src: bool,
    /// Header fields.
    #[serde(default)]
    headers: Option<Value>,
    /// The statuses that are no failure. Default 200.
    status_code: Option<Vec<i64>>,
    /// Whether the body of the answer is in the result as `content`. Default false.
    #[serde(default)]
    return_content: bool,
    /// Seconds without any progress after which it fails. Default 30.
    timeout: Option<u32>,
    /// The user.
    #[serde(alias = "user")]
    url_username: Option<String>,
    /// The password.
    #[serde(alias = "password")]
    url_password: Option<String>,
    /// Whether user and password are sent before the server asks for them. Default false.
    #[serde(default)]
    force_basic_auth: bool,
    /// Which redirects are followed: `safe` (default; those of `GET` and `HEAD`), `all`, `none`.
    follow_redirects: Option<String>,
    /// A file or folder on the host for the body of the answer.
    dest: Option<String>,
    /// A path; if it exists, no request is made.
    creates: Option<String>,
    /// A path; if it does not exist, no request is made.
    removes: Option<String>,
    /// Whether the server's certificate is checked. Default true.
    validate_certs: Option<bool>,
    /// A file with certificates to trust, on the host.
    ca_path: Option<String>,
    /// The certificate to show, on the host.
    client_cert: Option<String>,
    /// Its key, on the host.
    client_key: Option<String>,
    /// A socket on the host to talk to.
    unix_socket: Option<String>,
    /// Whether a proxy is used where the host's environment names one. Default true.
    use_proxy: Option<bool>,
    /// Whether `~/.netrc` is read. Default true.
    use_netrc: Option<bool>,
    /// The name to show. Default `ansible-httpget`.
    http_agent: Option<String>,
    /// Ciphers to offer.
    ciphers: Option<Vec<String>>,
    /// Whether caches are told to ask again. Default false.
    #[serde(default)]
    force: bool,
    /// No effect: the answer is asked for as it is.
    #[serde(rename = "decompress")]
    _decompress: Option<bool>,
    /// Not supported.
    #[serde(default)]
    use_gssapi: bool,
    /// Header fields that a redirect does not get; only with `follow_redirects: none`.
    #[serde(default)]
    unredirected_headers: Vec<String>,
    /// Mode of `dest`, in octal.
    mode: Option<String>,
    /// Owner of `dest`.
    owner: Option<String>,
    /// Group of `dest`.
    group: Option<String>,
}

impl UriArgs {
    fn method(&self) -> String {
        self.method.as_deref().unwrap_or("GET").to_uppercase()
    }

    fn is_reading(&self) -> bool {
        matches!(self.method().as_str(), "GET" | "HEAD" | "OPTIONS") && self.dest.is_none()
    }

    fn statuses(&self) -> Vec<i64> {
        self.status_code.clone().unwrap_or_else(|| vec![200])
    }

    fn follows(&self) -> Result<bool, String> {
        let method = self.method();
        match self.follow_redirects.as_deref().unwrap_or("safe") {
            "all" | "yes" | "True" => Ok(true),
            "none" | "no" | "False" => Ok(false),
            "safe" => Ok(matches!(method.as_str(), "GET" | "HEAD")),
            "urllib2" => Ok(matches!(method.as_str(), "GET" | "HEAD" | "POST")),
            other => Err(format!(
                "value of follow_redirects must be one of: all, no, none, safe, urllib2, yes, got: \
                 {other}"
            )),
        }
    }

    fn request(&self, inputs: &[Resolved]) -> Result<Request, String> {
        let mut headers = headers(self.headers.as_ref())?;
        let mut add = |name: &str, value: &str| {
            if !headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        let format = self.body_format.as_deref().unwrap_or("raw").to_lowercase();
        let body = match (&self.body, format.as_str()) {
            (None, _) => None,
            (Some(body), "json") => {
                add("Content-Type", "application/json");
                Some(match body.as_str() {
                    Some(text) => text.to_owned(),
                    None => python_json(&body.to_exposed_json()),
                })
            }
            (Some(body), "form-urlencoded") => {
                add("Content-Type", "application/x-www-form-urlencoded");
                Some(form(body)?)
            }
            (Some(body), "raw") => Some(match body {
                Value::Str(text) => text.as_str().to_owned(),
                Value::Map(_) | Value::List(_) => python_json(&body.to_exposed_json()),
                other => scalar(other),
            }),
            (Some(_), other) => return Err(format!("`body_format: {other}` is not supported")),
        };
        if self.force {
            add("Cache-Control", "no-cache");
        }
        let mut request = Request {
            url: self.url.clone(),
            method: self.method(),
            headers,
            body,
            timeout_s: self.timeout.unwrap_or(30),
            user: self.url_username.clone(),
            password: self.url_password.clone(),
            force_basic_auth: self.force_basic_auth,
            follows: self.follows()?,
            skips_certificates: self.validate_certs == Some(false),
            ca_path: self.ca_path.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            unix_socket: self.unix_socket.clone(),
            skips_proxy: self.use_proxy == Some(false),
            uses_netrc: self.use_netrc != Some(false),
            agent: self
                .http_agent
                .as_deref()
                .unwrap_or("ansible-httpget")
                .to_owned(),
            ciphers: self.ciphers.as_ref().map(|ciphers| ciphers.join(":")),
            newer_than: self.dest.clone(),
            ..Request::default()
        };
        match (&self.src, self.remote_src, inputs.first()) {
            (Some(path), true, _) => request.body_file = Some(path.clone()),
            (Some(_), false, Some(input)) => {
                let text = String::from_utf8(input.bytes.clone());
                request.body = Some(text.map_err(|_| {
                    "`src` is not text: copy it to the host and use `remote_src: true`".to_owned()
                })?);
            }
            _ => {}
        }
        request.check()?;
        Ok(request)
    }
}

impl Module for Uri {
    const NAME: &'static str = "uri";
    const EFFECT: Effect = Effect::Once;
    type Args = UriArgs;

    fn effect(args: &UriArgs) -> Effect {
        if args.is_reading() {
            Effect::Reads
        } else {
            Effect::Once
        }
    }

    fn check(args: &UriArgs) -> Result<(), String> {
        if args.body.is_some() && args.src.is_some() {
            return Err("parameters are mutually exclusive: body|src".into());
        }
        if args.use_gssapi {
            return Err("`use_gssapi` is not supported".into());
        }
        if !args.unredirected_headers.is_empty() && args.follows()? {
            return Err(
                "`unredirected_headers` is supported with `follow_redirects: none` only".into(),
            );
        }
        args.request(&[]).map(drop)
    }

    fn inputs(args: &UriArgs) -> Vec<Input> {
        match &args.src {
            Some(path) if !args.remote_src => vec![Input {
                path: path.clone(),
                folder: "files",
                kind: InputKind::Content,
            }],
            _ => Vec::new(),
        }
    }

    fn probe(args: &UriArgs, _: &[Resolved]) -> Option<Script> {
        super::command::probe_paths(None, args.creates.as_deref(), args.removes.as_deref())
    }

    fn decide(args: &UriArgs, inputs: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        if let Some(reply) = seen.first() {
            let seen = reply.fields();
            let says = |name: &str, value: &str| seen.get(name).is_some_and(|v| v == value);
            let skipped = match (&args.creates, &args.removes) {
                (Some(path), _) if says("creates", "yes") => {
                    Some(format!("skipped, since '{path}' exists"))
                }
                (_, Some(path)) if says("removes", "no") => {
                    Some(format!("skipped, since '{path}' does not exist"))
                }
                _ => None,
            };
            if let Some(stdout) = skipped {
                let result = fields([("stdout", stdout.into())]);
                return Ok(Decision::Unchanged(Outcome::ok(result)));
            }
        }
        let request = args.request(inputs).map_err(Failure::new)?;
        let (sh, undo) = match &args.dest {
            Some(dest) => saving(args, &request, dest),
            None => (
                format!("{}sb_fetch\nexit 0\n", request.sh()),
                if args.is_reading() {
                    Undo::NotNeeded
                } else {
                    Undo::Unknown("a request does not say what it changes")
                },
            ),
        };
        Ok(Decision::Change(Change {
            summary: format!("{} {}", request.method, masked(&args.url)),
            diff: Vec::new(),
            acts: vec![Act::script(sh)],
            undo,
            foretell: Foretell::Skipped("This action (uri) does not support check mode.".into()),
        }))
    }

    fn finish(
        args: &UriArgs,
        inputs: &[Resolved],
        _: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let request = args.request(inputs).map_err(Failure::new)?;
        let response =
            Response::read(reply, &request).map_err(|why| Failure::of_reply(why, reply))?;
        let saved = reply.stdout_text();
        let saved = saved.rsplit_once("\n@@dest ").map(|(_, line)| line.trim());
        finished(args, &response, saved)
    }
}

fn finished(args: &UriArgs, response: &Response, saved: Option<&str>) -> Result<Outcome, Failure> {
    let shown = masked(&args.url);
    let url = if response.is_http_error() {
        shown.clone()
    } else {
        masked(&response.url)
    };
    let mut result = fields([
        ("redirected", (url != shown).into()),
        ("url", url.into()),
        ("status", Value::Int(response.status)),
        ("elapsed", Value::Int(response.elapsed_s)),
    ]);
    for (name, value) in &response.headers {
        let value = if name == "location" {
            joined(&shown, value)
        } else {
            value.clone()
        };
        result.insert(name.replace('-', "_"), value.into());
    }
    if response.error.is_none() && !response.is_http_error() {
        result.extend(cookies(response));
    }
    if is_json(response.header("content-type").unwrap_or_default())
        && let Ok(json) = serde_json::from_slice(&response.body)
    {
        result.insert("json".into(), Value::from_json(json));
    }
    if args.return_content {
        let text = String::from_utf8_lossy(&response.body).into_owned();
        result.insert("content".into(), text.into());
    }
    let mut is_changed = false;
    if let Some((change, path)) = saved.and_then(|line| line.split_once(' ')) {
        is_changed = change == "changed";
        result.insert("path".into(), path.into());
    }
    let statuses = args.statuses();
    if !statuses.contains(&response.status) {
        let statuses: Vec<String> = statuses.iter().map(i64::to_string).collect();
        let msg = format!(
            "Status code was {} and not [{}]: {}",
            response.status,
            statuses.join(", "),
            response.message()
        );
        return Err(Failure {
            msg,
            is_changed: false,
            result,
            ..Failure::default()
        });
    }
    result.insert("msg".into(), response.message().into());
    Ok(Outcome {
        is_changed,
        result,
        ..Outcome::default()
    })
}

/// Fetches to a temporary file beside `dest` and puts it there if it differs.
fn saving(args: &UriArgs, request: &Request, dest: &str) -> (String, Undo) {
    let statuses: Vec<String> = args.statuses().iter().map(i64::to_string).collect();
    let path = request.url.split(['?', '#']).next().unwrap_or_default();
    let name = match path
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
    {
        Some((_, rest)) => rest.rsplit('/').next().unwrap_or_default(),
        None => "",
    };
    let name = if name.is_empty() { "index.html" } else { name };
    let mut owned = String::new();
    for (command, value) in [
        ("chown", &args.owner),
        ("chgrp", &args.group),
        ("chmod", &args.mode),
    ] {
        if let Some(value) = value {
            owned.push_str(&format!(
                "{command} {} \"$SB_dest\" || exit\n",
                quote(value)
            ));
        }
    }
    let dest = words::expanding(dest, Expand::Variables);
    let cat = if args.return_content {
        "[ ! -f \"$SB_new\" ] || cat \"$SB_new\"\n"
    } else {
        ""
    };
    let sh = format!(
        "{fetch}SB_dest={dest}\n[ ! -d \"$SB_dest\" ] || SB_dest=${{SB_dest%/}}/{name}\n\
         case $SB_dest in\n*/*) cd -- \"${{SB_dest%/*}}/\" || exit ;;\nesac\nSB_dest=./${{SB_dest##*/}}\n\
         SB_new=$(mktemp ./.switchback.XXXXXX) || exit\ntrap 'rm -f \"$SB_new\"' EXIT\n\
         SB_answer=$(sb_fetch \"$SB_new\")\n\
         SB_nl='\n'\nSB_last=${{SB_answer##*\"$SB_nl\"}}\nset -- $SB_last\nSB_is=same\n\
         case \" {statuses} \" in\n*\" $2 \"*)\n\
         if [ \"$2\" != 304 ] && ! cmp -s \"$SB_new\" \"$SB_dest\"; then\n\
         sb_keep_dir || exit\n\
         if [ -e \"$SB_dest\" ]; then cp -p \"$SB_dest\" \"$SB_KEEP/uri.before\" || exit; fi\n\
         printf '%s\\n' \"$PWD/${{SB_dest#./}}\" >\"$SB_KEEP/uri.dest\" || exit\n\
         cp \"$SB_new\" \"$SB_new.2\" && chmod 644 \"$SB_new.2\" && mv -f \"$SB_new.2\" \"$SB_dest\" || exit\nSB_is=changed\nfi\n{owned} ;;\nesac\n\
         printf '%s\\n' \"${{SB_answer%\"$SB_nl\"*}}\"\n{cat}printf '\\n%s\\n@@dest %s %s\\n' \"$SB_last\" \"$SB_is\" \"$PWD/${{SB_dest#./}}\"\n",
        fetch = request.sh(),
        name = quote(name),
        statuses = statuses.join(" "),
    );
    let back = "[ -e \"$SB_KEEP/uri.dest\" ] || exit 0\nIFS= read -r SB_dest <\"$SB_KEEP/uri.dest\"\n\
        if [ -e \"$SB_KEEP/uri.before\" ]; then cp -p \"$SB_KEEP/uri.before\" \"$SB_dest.switchback\" && \
        mv -f \"$SB_dest.switchback\" \"$SB_dest\"; else rm -f \"$SB_dest\"; fi\n";
    let undo = if matches!(request.method.as_str(), "GET" | "HEAD") {
        Undo::Acts {
            summary: format!("restore {}", args.dest.as_deref().unwrap_or_default()),
            acts: vec![Act::script(back)],
        }
    } else {
        Undo::Unknown("a request does not say what it changes")
    };
    (sh, undo)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => String::new(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => format!("{f:?}"),
        other => python_json(&other.to_exposed_json()),
    }
}

fn headers(value: Option<&Value>) -> Result<Vec<(String, String)>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Map(map)) => Ok(map
            .iter()
            .map(|(name, value)| (name.clone(), scalar(value)))
            .collect()),
        Some(other) => Err(format!(
            "`headers` needs a mapping, found {}",
            other.type_name()
        )),
    }
}

/// JSON as Python's `json.dumps` writes it.
fn python_json(value: &serde_json::Value) -> String {
    let ascii = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        let mut out = String::with_capacity(quoted.len());
        for c in quoted.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        out
    };
    match value {
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", items.join(", "))
        }
        serde_json::Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", ascii(key), python_json(value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
        serde_json::Value::String(text) => ascii(text),
        other => other.to_string(),
    }
}

/// A mapping, or a list of pairs, as a form.
fn form(body: &Value) -> Result<String, String> {
    let pairs: Vec<(String, Value)> = match body {
        Value::Str(text) => return Ok(text.as_str().to_owned()),
        Value::Map(map) => map.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        Value::List(items) => items
            .iter()
            .map(|item| match item.as_list() {
                Some([key, value]) => Ok((scalar(key), value.clone())),
                _ => Err(
                    "failed to parse body as form_urlencoded: a list of pairs is needed".to_owned(),
                ),
            })
            .collect::<Result<_, _>>()?,
        _ => {
            return Err("failed to parse body as form_urlencoded: a mapping is needed".to_owned());
        }
    };
    let mut out: Vec<String> = Vec::new();
    for (key, value) in pairs {
        let values = value
            .as_list()
            .map_or_else(|| vec![value.clone()], <[Value]>::to_vec);
        for value in values.iter().filter(|value| **value != Value::Null) {
            out.push(format!("{}={}", encoded(&key), encoded(&scalar(value))));
        }
    }
    Ok(out.join("&"))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() || b"_.-~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let sub = kind
        .split_once('/')
        .map_or("", |(_, sub)| sub)
        .to_lowercase();
    let sub = sub
        .split_once('+')
        .map_or(sub.as_str(), |(_, suffix)| suffix);
    matches!(sub, "json" | "javascript")
}

fn cookies(response: &Response) -> Map {
    let mut map = Map::new();
    let mut list: Vec<String> = Vec::new();
    for cookie in response
        .header("set-cookie")
        .into_iter()
        .flat_map(|all| all.split(", "))
    {
        let pair = cookie.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=')
            && !name.contains(' ')
        {
            map.insert(name.to_owned(), value.into());
            list.push(format!("{name}={value}"));
        }
    }
    fields([
        ("cookies", Value::from(map)),
        ("cookies_string", list.join("; ").into()),
    ])
}

/// A location relative to a URL.
fn joined(base: &str, location: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else {
        return location.to_owned();
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let slash = if folder.is_empty() { "" } else { "/" };
        format!("{scheme}://{host}/{folder}{slash}{location}")
    }
}

#[cfg(test)]
mod tests;
