//! One HTTP request made on a host with curl or wget, and what came of it.
//!
//! Pure. Nothing that may be secret is on a command line: the request reaches curl on its standard
//! input, and wget in files of a folder that only its user can read. Source of the messages:
//! ansible-core 2.19, `module_utils/urls.py` (`fetch_url`).

use crate::script::{Reply, quote};

/// A request.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Ansible's arguments"
)]
pub(super) struct Request {
    pub(super) url: String,
    /// In capitals.
    pub(super) method: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    /// A file on the host whose bytes are the body.
    pub(super) body_file: Option<String>,
    pub(super) timeout_s: u32,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Whether user and password are sent before they are asked for.
    pub(super) force_basic_auth: bool,
    pub(super) follows: bool,
    pub(super) skips_certificates: bool,
    pub(super) ca_path: Option<String>,
    pub(super) client_cert: Option<String>,
    pub(super) client_key: Option<String>,
    pub(super) unix_socket: Option<String>,
    pub(super) skips_proxy: bool,
    pub(super) uses_netrc: bool,
    pub(super) agent: String,
    pub(super) ciphers: Option<String>,
    /// A file on the host: only what is newer is fetched.
    pub(super) newer_than: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Response {
    /// The status; -1 where there was no answer.
    pub(super) status: i64,
    /// What the status line says after the number.
    pub(super) reason: String,
    /// Header fields of the last answer, names in lower case, equal ones joined.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Where the last answer came from.
    pub(super) url: String,
    pub(super) is_redirected: bool,
    pub(super) elapsed_s: i64,
    /// Why there was no answer.
    pub(super) error: Option<String>,
}

impl Request {
    /// Checks what could change the meaning of a configuration line.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.url.is_empty() || self.url.contains(['\n', '\r', '\0']) {
            return Err("`url` is empty or holds a line end".into());
        }
        let is_method =
            !self.method.is_empty() && self.method.bytes().all(|b| b.is_ascii_uppercase());
        if !is_method {
            return Err(
                "Parameter 'method' needs to be a single word in uppercase, like GET or \
                        POST."
                    .into(),
            );
        }
        for (name, value) in &self.headers {
            if name.is_empty() || name.contains([':', '\n', '\r']) || value.contains(['\n', '\r']) {
                return Err(format!("the header `{name}` holds a line end or a colon"));
            }
        }
        Ok(())
    }

    /// The request as lines of a curl configuration.
    fn curl(&self) -> String {
        let mut out = String::from(
            "silent\nshow-error\ngloboff\nhttp1.1\nheader = \"Expect:\"\n\
             header = \"Accept-Encoding: identity\"\nspeed-limit = 1\n",
        );
        // A flag stands alone on its line: newer versions of curl refuse a value after it.
        let mut flags: Vec<&str> = Vec::new();
        let mut set = |name: &str, value: &str| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
                .replace('\r', "\\r")
                .replace('\t', "\\t");
            out.push_str(&format!("{name} = \"{value}\"\n"));
        };
        set("url", &self.url);
        set("user-agent", &self.agent);
        set("connect-timeout", &self.timeout_s.to_string());
        set("speed-time", &self.timeout_s.to_string());
        for (name, value) in &self.headers {
            if value.is_empty() {
                set("header", &format!("{name};"));
            } else {
                set("header", &format!("{name}: {value}"));
            }
        }
        if let Some(body) = &self.body {
            set("data-raw", body);
        }
        if let Some(file) = &self.body_file {
            set("data-binary", &format!("@{file}"));
        }
        let has_body = self.body.is_some() || self.body_file.is_some();
        match (self.method.as_str(), has_body) {
            ("GET", false) | ("POST", true) => {}
            ("HEAD", false) => flags.push("head"),
            ("POST" | "PUT" | "PATCH", false) => {
                set("request", &self.method);
                set("header", "Content-Length: 0");
            }
            _ => set("request", &self.method),
        }
        if let Some(user) = &self.user {
            let password = self.password.as_deref().unwrap_or_default();
            set("user", &format!("{user}:{password}"));
            flags.push(if self.force_basic_auth {
                "basic"
            } else {
                "anyauth"
            });
        }
        for (name, value) in [
            ("cacert", &self.ca_path),
            ("cert", &self.client_cert),
            ("key", &self.client_key),
            ("unix-socket", &self.unix_socket),
            ("ciphers", &self.ciphers),
        ] {
            if let Some(value) = value {
                set(name, value);
            }
        }
        if self.skips_proxy {
            set("noproxy", "*");
        }
        for (is, flag) in [
            (self.follows, "location"),
            (self.skips_certificates, "insecure"),
            (self.uses_netrc && self.user.is_none(), "netrc-optional"),
        ] {
            if is {
                flags.push(flag);
            }
        }
        if self.follows {
            set("max-redirs", "10");
        }
        for flag in flags {
            out.push_str(flag);
            out.push('\n');
        }
        out
    }

    /// The request as a `wgetrc`, without its body and its URL; `None` where wget cannot make it.
    fn wget(&self) -> Option<String> {
        if self.unix_socket.is_some() || self.body_file.is_some() || self.newer_than.is_some() {
            return None;
        }
        let mut out = format!(
            "tries = 1\nmethod = {}\ntimeout = {}\nuser_agent = {}\nmax_redirect = {}\n\
             server_response = on\ncontent_on_error = on\nverbose = off\n",
            self.method,
            self.timeout_s,
            self.agent,
            if self.follows { 10 } else { 0 },
        );
        let mut set = |name: &str, value: &str| out.push_str(&format!("{name} = {value}\n"));
        for (name, value) in &self.headers {
            set("header", &format!("{name}: {value}"));
        }
        for (name, value) in [
            ("http_user", &self.user),
            ("http_password", &self.password),
            ("ca_certificate", &self.ca_path),
            ("certificate", &self.client_cert),
            ("private_key", &self.client_key),
        ] {
            if let Some(value) = value {
                if value.contains('\n') {
                    return None;
                }
                set(name, value);
            }
        }
        if self.force_basic_auth {
            set("auth_no_challenge", "on");
        }
        if self.skips_certificates {
            set("check_certificate", "off");
        }
        if self.skips_proxy {
            set("use_proxy", "off");
        }
        if !self.uses_netrc {
            set("netrc", "off");
        }
        Some(out)
    }

    /// sh that defines `sb_fetch [FILE]`: makes the request and prints what [`Response::read`]
    /// reads; the body goes to the file, which is named relative to the current folder.
    pub(super) fn sh(&self) -> String {
        let mut newer = String::new();
        if let Some(path) = &self.newer_than {
            newer = format!(
                "  SB_newer={0}\n  [ -f \"$SB_newer\" ] && printf 'time-cond = \"%s\"\\n' \"$SB_newer\"\n",
                quote(path)
            );
        }
        let wget = self.wget().map_or_else(
            || "  echo 'switchback: the request needs curl on the host' >&2; exit 126\n".to_owned(),
            |wgetrc| self.wget_sh(&wgetrc),
        );
        format!(
            "sb_config() {{\n  printf %s {config}\n{newer}\
             \x20 if [ -n \"$1\" ]; then printf 'dump-header = \"-\"\\noutput = \"%s\"\\n' \"$1\"; else echo include; fi\n\
             \x20 printf '%s\\n' 'write-out = \"\\n@@response %{{http_code}} %{{num_redirects}} %{{size_header}} %{{time_total}} %{{url_effective}}\"'\n}}\n\
             sb_fetch() {{\nif command -v curl >/dev/null; then\n\
             \x20 sb_config \"$1\" | curl -q -K -\n  printf ' curl %s\\n' $?\n\
             elif command -v wget >/dev/null; then\n{wget}\
             else echo 'switchback: the request needs curl or wget on the host' >&2; exit 126\nfi\n}}\n",
            config = quote(&self.curl()),
        )
    }

    fn wget_sh(&self, wgetrc: &str) -> String {
        let data = self.body.as_ref().map_or_else(String::new, |body| {
            format!(
                "  printf %s {} >\"$SB_dir/data\" && echo \"body_file = $SB_dir/data\" >>\"$SB_dir/rc\" || exit\n",
                quote(body)
            )
        });
        let is_simple = self.method == "GET" && self.headers.is_empty() && self.user.is_none();
        let without_gnu = if is_simple {
            format!(
                "    SB_err=$(wget -S -T {} -O \"$SB_dir/body\" {} 2>&1); SB_rc=$? ;;\n",
                self.timeout_s,
                quote(&self.url)
            )
        } else {
            "    echo 'switchback: the request needs curl or GNU wget on the host' >&2; exit 126 ;;\n"
                .to_owned()
        };
        format!(
            "  SB_dir=$(sb_tmp_dir http) || exit\n\
             \x20 trap 'rm -rf \"$SB_dir\"' EXIT\n\
             \x20 printf %s {rc} >\"$SB_dir/rc\" && printf '%s\\n' {url} >\"$SB_dir/url\" || exit\n{data}\
             \x20 case $(wget --version 2>&1) in\n  *GNU*)\n\
             \x20   SB_err=$(wget --config=\"$SB_dir/rc\" -i \"$SB_dir/url\" -O \"$SB_dir/body\" 2>&1); SB_rc=$? ;;\n\
             \x20 *)\n{without_gnu}  esac\n{WGET_HEADERS}",
            rc = quote(wgetrc),
            url = quote(&self.url),
        )
    }
}

/// Prints what wget said of the answers' headers as curl prints them, then the body.
const WGET_HEADERS: &str = r#"  SB_head= SB_code=000 SB_redirects=0 SB_url=-
  SB_ifs=$IFS IFS='
'
  set -f
  for SB_line in $SB_err; do
    SB_line=${SB_line%"$SB_CR"}
    case $SB_line in
    '  '*) SB_line=${SB_line#"${SB_line%%[! ]*}"} ;;
    *) printf '%s\n' "$SB_line" >&2; continue ;;
    esac
    case $SB_line in
    HTTP/*) SB_head= SB_code=${SB_line#* } SB_code=${SB_code%% *} ;;
    [Ll]ocation:*) SB_redirects=$((SB_redirects + 1)) SB_url=${SB_line#*: } ;;
    esac
    SB_head=$SB_head$SB_line$SB_CR$IFS
  done
  set +f
  IFS=$SB_ifs
  printf '%s%s\n' "$SB_head" "$SB_CR"
  if [ -n "$1" ]; then mv "$SB_dir/body" "$1" 2>/dev/null; else cat "$SB_dir/body" 2>/dev/null; fi
  printf '\n@@response %s %s - 0 %s wget %s\n' "$SB_code" "$SB_redirects" "$SB_url" "$SB_rc"
"#;

impl Response {
    /// Reads what `sb_fetch` printed.
    ///
    /// # Errors
    /// Why there is nothing to be read.
    pub(super) fn read(reply: &Reply, request: &Request) -> Result<Self, String> {
        let stderr = reply.stderr_text();
        let marker = b"\n@@response ";
        let at = reply
            .stdout
            .windows(marker.len())
            .rposition(|window| window == marker)
            .ok_or_else(|| {
                let why = stderr.trim().trim_start_matches("switchback: ").to_owned();
                if why.is_empty() {
                    "the request was cut short".to_owned()
                } else {
                    why
                }
            })?;
        let trailer = String::from_utf8_lossy(&reply.stdout[at + marker.len()..]).into_owned();
        let line = trailer.lines().next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [code, redirects, size, time, url, tool, rc] = words[..] else {
            return Err(format!(
                "the answer of the request is not understood: {trailer}"
            ));
        };
        let (headers, body) = split(&reply.stdout[..at], size.parse().ok());
        let mut response = Self {
            status: code.parse().unwrap_or_default(),
            is_redirected: redirects != "0",
            elapsed_s: time
                .split('.')
                .next()
                .and_then(|t| t.parse().ok())
                .unwrap_or_default(),
            body: body.to_vec(),
            url: request.url.clone(),
            ..Self::default()
        };
        if response.is_redirected && url != "-" {
            url.clone_into(&mut response.url);
        }
        response.read_headers(headers);
        if response.status == 0 {
            response.status = -1;
            response.error = Some(no_answer(tool, rc, &stderr));
        }
        Ok(response)
    }

    fn read_headers(&mut self, headers: &[u8]) {
        let text = String::from_utf8_lossy(headers);
        // With redirects, each answer has its own block; the last one counts.
        let block = text
            .trim_end()
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default();
        let mut lines = block.lines();
        if let Some(status) = lines.next() {
            let reason = status.splitn(3, ' ').nth(2).unwrap_or_default();
            reason.trim().clone_into(&mut self.reason);
        }
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim().to_lowercase(), value.trim());
            match self.headers.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => {
                    all.push_str(", ");
                    all.push_str(value);
                }
                None => self.headers.push((name, value.to_owned())),
            }
        }
    }

    /// The header field of that name, in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether Python's `urllib` would have raised this answer as an error.
    pub(super) fn is_http_error(&self) -> bool {
        self.error.is_none() && !(200..300).contains(&self.status)
    }

    /// What Ansible says of the answer.
    pub(super) fn message(&self) -> String {
        match &self.error {
            Some(error) => error.clone(),
            None if self.is_http_error() => {
                format!("HTTP Error {}: {}", self.status, self.reason)
            }
            None => format!(
                "OK ({} bytes)",
                self.header("content-length").unwrap_or("unknown")
            ),
        }
    }
}

/// Headers and body: at the size that curl tells, else where the last block of headers ends.
fn split(bytes: &[u8], size: Option<usize>) -> (&[u8], &[u8]) {
    if let Some(size) = size.filter(|size| *size <= bytes.len()) {
        return bytes.split_at(size);
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    bytes.split_at(end.map_or(bytes.len(), |at| at + 4))
}

/// Why there was no answer, in Python's words where it has some.
fn no_answer(tool: &str, rc: &str, stderr: &str) -> String {
    let why = stderr.trim();
    let why = why
        .strip_prefix("curl: (")
        .and_then(|rest| rest.split_once(") "))
        .map_or(why, |(_, why)| why);
    let failed = |why: &str| format!("Request failed: <urlopen error {why}>");
    match (tool, rc) {
        ("curl", "6") => failed("[Errno -2] Name or service not known"),
        ("wget", "4") if why.contains("unable to resolve") => {
            failed("[Errno -2] Name or service not known")
        }
        ("curl", "7") if why.contains("No such file") => {
            failed("[Errno 2] No such file or directory")
        }
        ("curl", "7")
            if !why.contains("Connection refused") && why.contains("onnect to server") =>
        {
            failed("[Errno 111] Connection refused")
        }
        (_, "4" | "7") if why.contains("refused") => failed("[Errno 111] Connection refused"),
        (_, "7") if why.contains("o route to host") => failed("[Errno 113] No route to host"),
        ("curl", "28") if why.contains("Operation too slow") => {
            "Connection failure: The read operation timed out".to_owned()
        }
        ("curl", "28") => failed("timed out"),
        ("curl", "52") => "Remote end closed connection without response".to_owned(),
        ("curl", "56") if why.contains("reset") => {
            "[Errno 104] Connection reset by peer".to_owned()
        }
        ("curl", "60") => failed(&format!("[SSL: CERTIFICATE_VERIFY_FAILED] {why}")),
        _ => failed(why),
    }
}

/// A URL as Ansible shows it: with a mask for the user and the password in it.
pub(super) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((user, host)) => {
            let mask = if user.contains(':') {
                "****:****"
            } else {
                "****"
            };
            format!("{scheme}://{mask}@{host}{}", &rest[end..])
        }
        None => url.to_owned(),
    }
}
