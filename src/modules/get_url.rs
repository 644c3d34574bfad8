//! `get_url`: fetches a file to the host.
//!
//! A file that is there already is asked for with its age (`If-Modified-Since`), as Ansible does,
//! by a `HEAD` in the probe, so that what is new enough is not a change. Source: ansible-core 2.19,
//! `modules/get_url.py`.

use super::command::last;
use super::http::{Request, Response, masked};
use super::result::fields;
use super::words::{self, Expand};
use super::{Act, Change, Decision, Effect, Failure, Foretell, Module, Outcome, Resolved, Undo};
use crate::script::{Reply, Script, quote};
use crate::value::{Map, Value};

/// Fetches a file to the host.
///
/// # Returns
/// * `url`: what was fetched.
/// * `status_code`: the status of the answer.
/// * `checksum_src`: the SHA-1 of what was fetched.
/// * `checksum_dest`: the SHA-1 of the file before.
/// * `msg`: what the server said.
/// * `dest`: the file that was written.
/// * `backup_file`: the copy of the old file, with `backup`.
/// * `mode`: its permission bits, such as `0644`.
/// * `owner`: the name of its owner.
/// * `group`: the name of its group.
/// * `uid`: the number of its owner.
/// * `gid`: the number of its group.
/// * `size`: its size in bytes.
/// * `state`: what it is: `file`, `directory`, `link`, `hard` or `absent`.
///
/// # Example
/// ```yaml
/// - get_url:
///     url: https://example.org/app.tar.gz
///     dest: /opt/app.tar.gz
///     checksum: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
///     mode: "0644"
/// ```
#[derive(schemars::JsonSchema)]
pub(super) struct GetUrl;

/// Arguments of `get_url`.
#[derive(serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct GetUrlArgs {
    /// The URL.
    url: String,
    /// The file or folder on the host.
    dest: String,
    /// `ALGORITHM:HEX`: what the file has to be; a file that is so is not fetched.
    #[serde(default)]
    checksum: String,
    /// Whether it is fetched even if the file is new enough. Default false.
    #[serde(default)]
    force: bool,
    /// Whether the file before is kept beside it. Default false.
    #[serde(default)]
    backup: bool,
    /// Seconds without any progress after which it fails. Default 10.
    timeout: Option<u32>,
    /// Header fields.
    headers: Option<Map>,
    /// The user.
    #[serde(alias = "username")]
    url_username: Option<String>,
    /// The password.
    #[serde(alias = "password")]
    url_password: Option<String>,
    /// Whether user and password are sent before the server asks for them. Default false.
    #[serde(default)]
    force_basic_auth: bool,
    /// Whether the server's certificate is checked. Default true.
    validate_certs: Option<bool>,
    /// The certificate to show, on the host.
    client_cert: Option<String>,
    /// Its key, on the host.
    client_key: Option<String>,
    /// Whether a proxy is used where the host's environment names one. Default true.
    use_proxy: Option<bool>,
    /// Whether `~/.netrc` is read. Default true.
    use_netrc: Option<bool>,
    /// The name to show. Default `ansible-httpget`.
    http_agent: Option<String>,
    /// Ciphers to offer.
    ciphers: Option<Vec<String>>,
    /// No effect: the file is made beside `dest`, so that it gets there in one step.
    #[serde(rename = "tmp_dest")]
    _tmp_dest: Option<String>,
    /// No effect: the file is asked for as it is.
    #[serde(rename = "decompress")]
    _decompress: Option<bool>,
    /// Mode of the file, in octal.
    mode: Option<String>,
    /// Owner of the file.
    owner: Option<String>,
    /// Group of the file.
    group: Option<String>,
}

impl GetUrlArgs {
    fn request(&self) -> Request {
        let headers = self.headers.iter().flatten();
        Request {
            url: self.url.clone(),
            method: "GET".into(),
            headers: headers
                .map(|(name, value)| {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_exposed_json().to_string(), str::to_owned);
                    (name.clone(), text)
                })
                .collect(),
            timeout_s: self.timeout.unwrap_or(10),
            user: self.url_username.clone(),
            password: self.url_password.clone(),
            force_basic_auth: self.force_basic_auth,
            follows: true,
            skips_certificates: self.validate_certs == Some(false),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            skips_proxy: self.use_proxy == Some(false),
            uses_netrc: self.use_netrc != Some(false),
            agent: self
                .http_agent
                .as_deref()
                .unwrap_or("ansible-httpget")
                .to_owned(),
            ciphers: self.ciphers.as_ref().map(|ciphers| ciphers.join(":")),
            ..Request::default()
        }
    }

    /// Algorithm and digest in small letters.
    fn digest(&self) -> Result<Option<(String, String)>, String> {
        if self.checksum.is_empty() {
            return Ok(None);
        }
        let (algorithm, digest) = self
            .checksum
            .split_once(':')
            .ok_or("The checksum parameter has to be in format <algorithm>:<checksum>")?;
        if !matches!(
            algorithm,
            "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512"
        ) {
            return Err(format!("Could not hash file with algorithm '{algorithm}'"));
        }
        if digest.contains("://") {
            return Err("a checksum from a URL is not supported: write it out".into());
        }
        let digest: String = digest.chars().filter(char::is_ascii_alphanumeric).collect();
        if digest.is_empty() || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("The checksum format is invalid".into());
        }
        Ok(Some((algorithm.to_owned(), digest.to_lowercase())))
    }

    /// The last part of the URL's path.
    fn file_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let name = path
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or("", |(_, rest)| rest.rsplit('/').next().unwrap_or_default());
        if name.is_empty() { "index.html" } else { name }
    }

    fn mode(&self) -> Option<&str> {
        self.mode.as_deref().map(|mode| {
            let short = mode.trim_start_matches('0');
            if short.is_empty() { "0" } else { short }
        })
    }

    /// sh that sets `SB_dest` and `SB_dir`, in which the file is.
    fn find(&self) -> String {
        format!(
            "SB_dest={}\nSB_is_dir=\n\
             if [ -d \"$SB_dest\" ]; then SB_is_dir=1 SB_dest=${{SB_dest%/}}/{}; fi\n\
             case $SB_dest in */*) SB_dir=${{SB_dest%/*}}/ ;; *) SB_dir=. ;; esac\n",
            words::expanding(&self.dest, Expand::Variables),
            quote(self.file_name())
        )
    }
}

impl Module for GetUrl {
    const NAME: &'static str = "get_url";
    const EFFECT: Effect = Effect::Converges;
    const LONG: bool = true;
    type Args = GetUrlArgs;

    fn check(args: &GetUrlArgs) -> Result<(), String> {
        args.digest()?;
        if let Some(mode) = &args.mode
            && !mode.bytes().all(|b| (b'0'..=b'7').contains(&b))
        {
            return Err(format!(
                "`mode: {mode}` is not octal; for a symbolic one use `file`"
            ));
        }
        args.request().check()
    }

    fn probe(args: &GetUrlArgs, _: &[Resolved]) -> Option<Script> {
        let mut sh = args.find();
        sh.push_str(
            "sb_kv dest \"$SB_dest\"\n[ -d \"$SB_dir\" ] || sb_kv no_dir \"$SB_dir\"\n\
             [ -f \"$SB_dest\" ] || exit 0\n\
             sb_kv stat \"$(stat -c '%a %U %u %G %g %s' -- \"$SB_dest\")\"\n\
             SB_sum=$(sha1sum <\"$SB_dest\") && sb_kv sha1 \"${SB_sum%% *}\"\n",
        );
        // `check` has refused what is no digest.
        let digest = args.digest().unwrap_or_default();
        if let Some((algorithm, _)) = &digest {
            sh.push_str(&format!(
                "SB_sum=$({algorithm}sum <\"$SB_dest\") && sb_kv digest \"${{SB_sum%% *}}\"\n"
            ));
        } else if !args.force {
            let mut request = args.request();
            request.method = "HEAD".into();
            sh.push_str(&format!(
                "[ -z \"$SB_is_dir\" ] || exit 0\nsb_body\n{}sb_fetch\nexit 0\n",
                newer(&request)
            ));
        }
        sh.push_str("exit 0\n");
        Some(Script::new(sh))
    }

    fn decide(args: &GetUrlArgs, _: &[Resolved], seen: &[Reply]) -> Result<Decision, Failure> {
        let head = seen[0].fields();
        let digest = args.digest().map_err(Failure::new)?;
        let is_so = if let Some((_, wanted)) = &digest {
            head.get("digest") == Some(wanted) && !args.force
        } else {
            // What the server says of the file's age, where it was asked.
            let answer = Reply {
                stdout: seen[0].body().to_vec(),
                ..Reply::default()
            };
            Response::read(&answer, &args.request()).is_ok_and(|answer| answer.status == 304)
        };
        let attributes = attributes(args, head.get("stat").map_or("", String::as_str));
        if is_so && attributes.is_empty() {
            let mut result = described(args, &head);
            let msg = if digest.is_some() {
                "file already exists"
            } else {
                "HTTP Error 304: Not Modified"
            };
            result.insert("msg".into(), msg.into());
            return Ok(Decision::Unchanged(Outcome::ok(result)));
        }
        if let Some(dir) = head.get("no_dir") {
            return Err(Failure::new(format!(
                "Destination {} does not exist",
                dir.trim_end_matches('/')
            )));
        }
        let mut sh = args.find();
        sh.push_str(KEEP);
        if !is_so {
            sh.push_str(&fetch(args, digest.as_ref()));
        }
        sh.push_str(&attributes);
        sh.push_str(
            "[ -n \"${SB_last:-}\" ] && printf '%s\\n%s\\n' \"$SB_head\" \"$SB_last\"\n\
             printf '@@file %s\\n' \"${SB_is:-changed}|${SB_new_sum:-}|${SB_old_sum:-}|${SB_backup:-}|$(stat -c '%a %U %u %G %g %s' -- \"$SB_dest\")|$SB_dest\"\n",
        );
        let dest = head.get("dest").map_or(args.dest.as_str(), String::as_str);
        Ok(Decision::Change(Change {
            summary: if is_so {
                format!("owner or mode of {dest}")
            } else {
                format!("fetch {} to {dest}", masked(&args.url))
            },
            diff: Vec::new(),
            acts: vec![Act::script(sh)],
            undo: Undo::Acts {
                summary: format!("restore {dest}"),
                acts: vec![Act::script(BACK)],
            },
            foretell: Foretell::Changed(described(args, &head)),
        }))
    }

    fn finish(
        args: &GetUrlArgs,
        _: &[Resolved],
        seen: &[Reply],
        _: &Change,
        replies: &[Reply],
    ) -> Result<Outcome, Failure> {
        let reply = last(replies)?;
        let mut result = described(args, &seen[0].fields());
        let response = Response::read(reply, &args.request());
        if let Ok(response) = &response {
            result.insert("status_code".into(), Value::Int(response.status));
            result.insert("elapsed".into(), Value::Int(response.elapsed_s));
            result.insert("msg".into(), response.message().into());
            if response.status != 200 && reply.rc != 0 {
                result.insert("response".into(), response.message().into());
                return Err(Failure {
                    msg: "Request failed".into(),
                    is_changed: false,
                    result,
                    ..Failure::default()
                });
            }
        }
        let text = reply.stdout_text();
        let file = text
            .rsplit_once("@@file ")
            .map(|(_, line)| line.trim_end_matches('\n'));
        let parts: Vec<&str> = file.unwrap_or_default().splitn(6, '|').collect();
        let ([is, new, old, backup, stat, dest], 0) = (&parts[..], reply.rc) else {
            let why = reply.stderr_text();
            let mut failure = Failure::of_reply(why.trim(), reply);
            failure.result.extend(result);
            return Err(failure);
        };
        for (name, value) in [
            ("checksum_src", new),
            ("checksum_dest", old),
            ("backup_file", backup),
        ] {
            if !value.is_empty() {
                result.insert(name.into(), (*value).into());
            }
        }
        result.extend(of_stat(stat));
        result.insert("dest".into(), (*dest).into());
        Ok(Outcome {
            is_changed: *is == "changed",
            result,
            ..Outcome::default()
        })
    }
}

/// The request, asking only for what is newer than `$SB_dest`.
fn newer(request: &Request) -> String {
    let mut request = request.clone();
    request.newer_than = Some(String::new());
    request.sh().replace("SB_newer=''\n", "SB_newer=$SB_dest\n")
}

/// Keeps the file as it is for the undo.
const KEEP: &str = "sb_keep_dir || exit\nprintf '%s\\n' \"$SB_dest\" >\"$SB_KEEP/get_url.dest\" || exit\n\
    if [ -f \"$SB_dest\" ] && [ ! -e \"$SB_KEEP/get_url.before\" ]; then cp -p -- \"$SB_dest\" \"$SB_KEEP/get_url.before\" || exit; fi\n";

const BACK: &str = "[ -e \"$SB_KEEP/get_url.dest\" ] || exit 0\nIFS= read -r SB_dest <\"$SB_KEEP/get_url.dest\"\n\
    if [ -e \"$SB_KEEP/get_url.before\" ]; then\n\
    cp -p -- \"$SB_KEEP/get_url.before\" \"$SB_dest.switchback\" && mv -f -- \"$SB_dest.switchback\" \"$SB_dest\"\n\
    else rm -f -- \"$SB_dest\"; fi\n";

/// Fetches to a temporary name beside the file, checks it, and renames it.
fn fetch(args: &GetUrlArgs, digest: Option<&(String, String)>) -> String {
    let request = args.request();
    let request = if args.force || digest.is_some() {
        request.sh()
    } else {
        newer(&request)
    };
    let check = digest.map_or_else(String::new, |(algorithm, wanted)| {
        format!(
            "SB_sum=$({algorithm}sum <\"$SB_new\") || exit\nSB_sum=${{SB_sum%% *}}\n\
             if [ \"$SB_sum\" != {wanted} ]; then\n\
             printf 'The checksum for %s did not match %s; it was %s.\\n' \"$SB_new\" {wanted} \"$SB_sum\" >&2\nexit 6\nfi\n"
        )
    });
    let backup = if args.backup {
        "if [ -f \"$SB_dest\" ]; then SB_backup=$SB_dest.$$.$(date +%Y-%m-%d@%H:%M:%S)~; cp -p -- \"$SB_dest\" \"$SB_backup\" || exit; fi\n"
    } else {
        ""
    };
    format!(
        "{request}SB_nl='\n'\ncd -- \"$SB_dir\" || exit\nSB_old_pwd=$OLDPWD\n\
         SB_new=$(mktemp ./.switchback.XXXXXX) || exit\ntrap 'rm -f -- \"$SB_dir/$SB_new\"' EXIT\n\
         SB_answer=$(sb_fetch \"$SB_new\")\nSB_last=${{SB_answer##*\"$SB_nl\"}} SB_head=${{SB_answer%\"$SB_nl\"*}}\n\
         SB_path=$PWD\ncd -- \"$SB_old_pwd\" || exit\nSB_new=$SB_path/${{SB_new#./}}\ntrap 'rm -f -- \"$SB_new\"' EXIT\n\
         SB_code=${{SB_last#* }} SB_code=${{SB_code%% *}} SB_is=same\n\
         case $SB_code in\n200)\n{check}\
         SB_sum=$(sha1sum <\"$SB_new\") || exit\nSB_new_sum=${{SB_sum%% *}}\n\
         if [ -f \"$SB_dest\" ]; then SB_sum=$(sha1sum <\"$SB_dest\") && SB_old_sum=${{SB_sum%% *}}; fi\n\
         if [ \"$SB_new_sum\" != \"${{SB_old_sum:-}}\" ]; then\n{backup}\
         if [ -e \"$SB_dest\" ]; then chmod \"$(stat -c %a -- \"$SB_dest\")\" \"$SB_new\" && chown \"$(stat -c %u:%g -- \"$SB_dest\")\" \"$SB_new\"; \
         else chmod 644 \"$SB_new\"; fi || exit\nmv -f -- \"$SB_new\" \"$SB_dest\" || exit\nSB_is=changed\nfi ;;\n\
         304) ;;\n*) printf '%s\\n%s\\n' \"$SB_head\" \"$SB_last\"; exit 5 ;;\nesac\n"
    )
}

/// sh that sets owner and mode, where they differ from what `stat` said.
fn attributes(args: &GetUrlArgs, stat: &str) -> String {
    let words: Vec<&str> = stat.split(' ').collect();
    let now = |at: usize| words.get(at).copied().unwrap_or_default();
    let mut sh = String::new();
    for (command, wanted, is_so) in [
        (
            "chown",
            args.owner.as_deref(),
            args.owner
                .as_deref()
                .is_some_and(|owner| owner == now(1) || owner == now(2)),
        ),
        (
            "chgrp",
            args.group.as_deref(),
            args.group
                .as_deref()
                .is_some_and(|group| group == now(3) || group == now(4)),
        ),
        ("chmod", args.mode(), args.mode() == Some(now(0))),
    ] {
        if let Some(wanted) = wanted.filter(|_| !is_so) {
            sh.push_str(&format!(
                "{command} {} \"$SB_dest\" && SB_is=changed || exit\n",
                quote(wanted)
            ));
        }
    }
    sh
}

fn described(args: &GetUrlArgs, head: &std::collections::BTreeMap<String, String>) -> Map {
    let mut result = fields([
        ("url", masked(&args.url).into()),
        (
            "dest",
            head.get("dest")
                .map_or(args.dest.as_str(), String::as_str)
                .into(),
        ),
        ("elapsed", Value::Int(0)),
        ("checksum_src", Value::Null),
        (
            "checksum_dest",
            head.get("sha1")
                .map_or(Value::Null, |sum| sum.as_str().into()),
        ),
    ]);
    if let Some(stat) = head.get("stat") {
        result.extend(of_stat(stat));
    }
    result
}

/// The fields of a file that `stat -c '%a %U %u %G %g %s'` tells.
fn of_stat(stat: &str) -> Map {
    let words: Vec<&str> = stat.split(' ').collect();
    let [mode, owner, uid, group, gid, size] = words[..] else {
        return Map::new();
    };
    let number = |text: &str| text.parse().map_or(Value::Null, Value::Int);
    fields([
        ("mode", format!("{mode:0>4}").into()),
        ("owner", owner.into()),
        ("uid", number(uid)),
        ("group", group.into()),
        ("gid", number(gid)),
        ("size", number(size)),
        ("state", "file".into()),
    ])
}

#[cfg(test)]
mod tests;
