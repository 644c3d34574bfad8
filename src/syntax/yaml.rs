//! YAML text to [`Node`]s. The only file that names the YAML crate.
//!
//! It reads the parser's events instead of deserialising: only events have a place for every key
//! and value. Limits: 255 levels of nesting (the parser's) and [`NODES_MAX`] nodes after aliases
//! are expanded, so that a small file cannot fill the memory.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span as Mark};

use super::{Entry, Kind, Node, Tag, resolve_plain};
use crate::diag::{Diagnostic, FileId, Span};

/// Most nodes that aliases may add to one file.
const NODES_MAX: usize = 200_000;

/// Longest text of a key on one line, as in the YAML specification's simple keys.
const KEY_LOOKAHEAD: usize = 4096;

/// What a text held.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The documents, in order; an empty text has none.
    pub documents: Vec<Node>,
    /// What was wrong. Documents are still given as far as they could be read.
    pub problems: Vec<Diagnostic>,
}

/// Reads all documents of a text.
pub fn read_yaml(file: FileId, text: &str) -> Parsed {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.simple_key_max_lookahead = KEY_LOOKAHEAD;
    let mut builder = Builder {
        file,
        text,
        stack: Vec::new(),
        anchors: HashMap::new(),
        expanded: 0,
        parsed: Parsed::default(),
    };
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, mark)) => {
                if !builder.event(event, &mark) {
                    break;
                }
            }
            Err(error) => {
                let is_known = builder
                    .parsed
                    .problems
                    .last()
                    .is_some_and(|p| p.code == "SB0004");
                if !is_known {
                    builder
                        .parsed
                        .problems
                        .push(syntax_error(file, text, &error));
                }
                break;
            }
        }
    }
    builder.parsed
}

enum Frame {
    List {
        items: Vec<Node>,
        span: Span,
        anchor: usize,
        tag: Tag,
    },
    Map {
        entries: Vec<Entry>,
        key: Option<Key>,
        span: Span,
        anchor: usize,
        tag: Tag,
    },
}

struct Key {
    text: Arc<str>,
    span: Span,
    is_merge: bool,
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Node, usize)>,
    expanded: usize,
    parsed: Parsed,
}

impl Builder<'_> {
    /// Takes one event; `false` ends the reading.
    fn event(&mut self, event: Event<'_>, mark: &Mark) -> bool {
        let span = span_of(self.file, mark);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.original());
                let kind = if style == ScalarStyle::Plain {
                    resolve_plain(&text)
                } else {
                    Kind::Str(text.as_ref().into())
                };
                let node = self.tagged(kind, &text, tag.as_deref(), span);
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                self.place(node, &text, is_merge, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.collection_tag(tag.map(|t| t.original()).as_deref(), "seq", span);
                self.stack.push(Frame::List {
                    items: Vec::new(),
                    span,
                    anchor,
                    tag,
                });
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.collection_tag(tag.map(|t| t.original()).as_deref(), "map", span);
                let entries = Vec::new();
                self.stack.push(Frame::Map {
                    entries,
                    key: None,
                    span,
                    anchor,
                    tag,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => return self.alias(id, span),
            _ => {}
        }
        true
    }

    fn alias(&mut self, id: usize, span: Span) -> bool {
        let Some((node, size)) = self.anchors.get(&id) else {
            self.parsed.problems.push(
                Diagnostic::error("SB0006", "an alias stands inside the node that it names")
                    .at(span, "this alias refers to itself"),
            );
            return false;
        };
        self.expanded += size;
        if self.expanded > NODES_MAX {
            self.parsed.problems.push(
                Diagnostic::error(
                    "SB0006",
                    format!("the aliases of this file expand to more than {NODES_MAX} nodes"),
                )
                .at(span, "expanding this one goes over the limit"),
            );
            return false;
        }
        let node = node.clone();
        let text = self.slice(node.span).to_owned();
        self.place(node, &text, false, 0);
        true
    }

    fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, text: &str, is_merge: bool, anchor: usize) {
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut() {
            None => self.parsed.documents.push(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map {
                key: slot @ None, ..
            }) => {
                let text = match &node.kind {
                    Kind::Str(text) => text.clone(),
                    _ => text.into(),
                };
                let span = node.span;
                let is_collection = matches!(node.kind, Kind::List(_) | Kind::Map(_));
                *slot = Some(Key {
                    text,
                    span,
                    is_merge,
                });
                if is_collection {
                    self.bad_key(span);
                }
            }
            Some(Frame::Map {
                entries, key: slot, ..
            }) => {
                let key = slot
                    .take()
                    .expect("invariant: the other arm takes an empty slot");
                if key.is_merge {
                    merge(entries, node, &key, &mut self.parsed.problems);
                } else {
                    entries.push(Entry {
                        key: key.text,
                        key_span: key.span,
                        value: node,
                    });
                }
            }
        }
    }

    fn bad_key(&mut self, span: Span) {
        let before = self.text.get(..span.start as usize).unwrap_or_default();
        let problem = if before.trim_end().ends_with('{') && self.slice(span).starts_with('{') {
            let start = span.start
                - u32::try_from(before.len() - before.rfind('{').unwrap_or(0)).unwrap_or(0);
            unquoted_braces(Span { start, ..span })
        } else {
            Diagnostic::error("SB0009", "a key must be a scalar")
                .at(span, "this collection stands in the place of a key")
        };
        self.parsed.problems.push(problem);
    }

    fn close(&mut self, end: Span) {
        let close = |span: Span| Span {
            end: end.end.max(span.start),
            ..span
        };
        let (node, anchor) = match self.stack.pop() {
            Some(Frame::List {
                items,
                span,
                anchor,
                tag,
            }) => (
                Node {
                    kind: Kind::List(items),
                    span: close(span),
                    tag,
                },
                anchor,
            ),
            Some(Frame::Map {
                entries,
                span,
                anchor,
                tag,
                ..
            }) => {
                let entries = finish(entries, &mut self.parsed.problems);
                (
                    Node {
                        kind: Kind::Map(entries),
                        span: close(span),
                        tag,
                    },
                    anchor,
                )
            }
            None => return,
        };
        let node = Node {
            span: trimmed(self.text, node.span),
            ..node
        };
        self.place(node, "", false, anchor);
    }

    fn collection_tag(&mut self, tag: Option<&str>, core: &str, span: Span) -> Tag {
        match tag {
            None | Some("!") => Tag::None,
            Some("!unsafe") => Tag::Unsafe,
            Some(tag) if tag.strip_prefix("!!") == Some(core) => Tag::None,
            Some(tag) => {
                self.unknown_tag(tag, span);
                Tag::None
            }
        }
    }

    fn tagged(&mut self, kind: Kind, text: &str, tag: Option<&str>, span: Span) -> Node {
        let string = || Kind::Str(text.into());
        let (kind, tag) = match tag {
            None => (kind, Tag::None),
            Some("!" | "!!str") => (string(), Tag::None),
            Some("!unsafe") => (
                if matches!(kind, Kind::Str(_)) {
                    kind
                } else {
                    string()
                },
                Tag::Unsafe,
            ),
            Some("!vault" | "!vault-encrypted") => (string(), Tag::Vault),
            Some("!!int" | "!!float" | "!!bool" | "!!null") => (resolve_plain(text), Tag::None),
            Some(tag) => {
                self.unknown_tag(tag, span);
                (kind, Tag::None)
            }
        };
        Node { kind, span, tag }
    }

    fn unknown_tag(&mut self, tag: &str, span: Span) {
        self.parsed.problems.push(
            Diagnostic::error("SB0003", format!("the tag `{tag}` is not supported"))
                .at(span, "this node has it")
                .help("`!unsafe` is known; quote a value that begins with `!`"),
        );
    }
}

/// Merged entries are marked by an empty key span at the place of `<<` until `finish`.
fn is_merged(entry: &Entry) -> bool {
    entry.key_span.start == entry.key_span.end
}

fn duplicate(key: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::error("SB0002", format!("the key `{key}` is given twice"))
        .at(second, "the second one")
        .at(first, "the first one")
        .help("keep one of them")
}

fn merge(entries: &mut Vec<Entry>, node: Node, key: &Key, problems: &mut Vec<Diagnostic>) {
    let sources = match node.kind {
        Kind::Map(source) => vec![source],
        Kind::List(items) if items.iter().all(|n| n.as_map().is_some()) => items
            .into_iter()
            .filter_map(|n| {
                if let Kind::Map(source) = n.kind {
                    Some(source)
                } else {
                    None
                }
            })
            .collect(),
        _ => {
            problems.push(
                Diagnostic::error("SB0008", "`<<` takes a mapping or a list of mappings")
                    .at(node.span, format!("found {}", node.type_name())),
            );
            return;
        }
    };
    for entry in sources.into_iter().flatten() {
        let key_span = Span {
            end: key.span.start,
            ..key.span
        };
        if !entries.iter().any(|e| e.key == entry.key) {
            entries.push(Entry { key_span, ..entry });
        }
    }
}

/// Lets explicit entries win over merged ones, and gives each key once: the last one, as in
/// Ansible, where a duplicate is only a warning.
fn finish(entries: Vec<Entry>, problems: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let mut kept: HashMap<Arc<str>, Span> = HashMap::with_capacity(entries.len());
    let mut is_sound = true;
    for entry in entries.iter().filter(|entry| !is_merged(entry)) {
        if let Some(first) = kept.insert(entry.key.clone(), entry.key_span) {
            problems.push(duplicate(&entry.key, first, entry.key_span));
            is_sound = false;
        }
    }
    if is_sound && kept.len() == entries.len() {
        return entries;
    }
    entries
        .into_iter()
        .filter(|e| match kept.get(&e.key) {
            Some(span) => *span == e.key_span,
            None => is_merged(e),
        })
        .collect()
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|e| 1 + size(&e.value)).sum(),
        _ => 0,
    }
}

fn span_of(file: FileId, mark: &Mark) -> Span {
    let offset = |byte: Option<usize>| u32::try_from(byte.unwrap_or(0)).unwrap_or(u32::MAX);
    let start = offset(mark.start.byte_offset());
    Span {
        file,
        start,
        end: offset(mark.end.byte_offset()).max(start),
    }
}

/// Ends a span before the blanks that follow its last character.
fn trimmed(text: &str, span: Span) -> Span {
    let length = text
        .get(span.start as usize..span.end as usize)
        .map_or(span.end - span.start, |s| {
            u32::try_from(s.trim_end().len()).unwrap_or(0)
        });
    Span {
        end: span.start + length,
        ..span
    }
}

fn unquoted_braces(span: Span) -> Diagnostic {
    Diagnostic::error("SB0004", "a value that begins with `{{` must be quoted")
        .at(span, "YAML reads `{` as the start of a mapping")
        .help("put the whole value in quotes: \"{{ … }}\"")
}

fn syntax_error(file: FileId, text: &str, error: &ScanError) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let start = (0..=at)
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0);
    let end = text[start..]
        .chars()
        .next()
        .map_or(start, |c| start + c.len_utf8());
    let span = Span {
        file,
        start: offset(start),
        end: offset(end),
    };
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let previous_start = text[..line_start.saturating_sub(1)]
        .rfind('\n')
        .map_or(0, |i| i + 1);
    for from in [line_start, previous_start] {
        let line = text[from..].lines().next().unwrap_or_default();
        if let Some(column) = braces_column(line) {
            let start = offset(from + column);
            return unquoted_braces(Span {
                file,
                start,
                end: start + 2,
            });
        }
    }
    let line = text[line_start..].lines().next().unwrap_or_default();
    let previous = text[previous_start..line_start].trim_end();
    let info = error.info();
    let problem = Diagnostic::error("SB0001", format!("this is not YAML: {info}"))
        .at(span, "the reader stopped here");
    problem.help(hint(line, previous, &info))
}

/// Where `{{` begins a value that is not quoted.
fn braces_column(line: &str) -> Option<usize> {
    let column = line.find("{{")?;
    let before = line[..column].trim_end();
    (before.ends_with(':') || before.ends_with('-')).then_some(column)
}

fn hint(line: &str, previous: &str, info: &str) -> String {
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let text = if indent.contains('\t') || info.contains("tab") {
        "indent with spaces: YAML takes no tabs there"
    } else if info.contains("anchor") {
        "an alias `*name` needs an anchor `&name` before it; quote a value that begins with `*`"
    } else if line.matches(": ").count() > 1 || info.contains("mapping values") {
        "a value that contains `: ` must be quoted"
    } else if info.contains("quote") || info.contains("unexpected end of stream") {
        "look for a quote or bracket that is not closed"
    } else if info.contains("':'") || info.contains("simple key") {
        let suspect = if line.contains(':') && !previous.is_empty() {
            previous
        } else {
            line
        };
        return format!("a `:` may be missing after `{}`", suspect.trim());
    } else {
        "look at the indentation of this line and of the one above"
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let mut parsed = read_yaml(FileId(0), text);
        assert_eq!(parsed.problems, []);
        parsed.documents.remove(0)
    }

    fn codes(text: &str) -> Vec<&'static str> {
        read_yaml(FileId(0), text)
            .problems
            .iter()
            .map(|p| p.code)
            .collect()
    }

    #[test]
    fn keys_and_values_have_places() {
        let text = "- name: a\n  copy:\n    mode: 0644\n";
        let root = one(text);
        let task = &root.as_list().unwrap()[0];
        let copy = task.entry("copy").unwrap();
        let mode = copy.value.entry("mode").unwrap();
        let at = |s: Span| &text[s.start as usize..s.end as usize];
        assert_eq!(
            (at(copy.key_span), at(mode.key_span), at(mode.value.span)),
            ("copy", "mode", "0644")
        );
        assert_eq!(mode.value.kind, Kind::Int(420));
        assert_eq!(at(task.span), "name: a\n  copy:\n    mode: 0644");
    }

    #[test]
    fn merge_keys_give_way_to_explicit_ones() {
        let root = one("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: {y: 4, <<: [*a, {z: 5}]}\n");
        let json = root.to_value().to_exposed_json().to_string();
        assert_eq!(
            json,
            r#"{"a":{"x":1,"y":2},"b":{"x":1,"y":3},"c":{"y":4,"x":1,"z":5}}"#
        );
    }

    #[test]
    fn problems_are_told_apart() {
        for (text, code) in [
            ("a: 1\na: 2\n", "SB0002"),
            ("a: !foo 1\n", "SB0003"),
            ("a: {{ b }}\n", "SB0004"),
            ("a: {{ b }}/c\n", "SB0004"),
            ("a: b: c\n", "SB0001"),
            ("a:\n\t- b\n", "SB0001"),
            ("a: \"b\n", "SB0001"),
            ("<<: 1\n", "SB0008"),
            ("? [a]\n: b\n", "SB0009"),
        ] {
            assert_eq!(codes(text), [code], "{text}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..9 {
            let list = vec![format!("*a{}", i - 1); 10].join(",");
            text.extend([format!("a{i}: &a{i} [{list}]\n")]);
        }
        assert_eq!(codes(&text), ["SB0006"]);
    }

    #[test]
    fn unsafe_strings_are_data() {
        let value =
            one("a: !unsafe '{{ x }}'\nb: '{{ x }}'\nc: !unsafe [ '{{ x }}' ]\n").to_value();
        assert!(!value.get("a").unwrap().has_template());
        assert!(value.get("b").unwrap().has_template());
        assert!(!value.get("c").unwrap().has_template());
    }

    #[test]
    fn several_documents_are_read() {
        assert_eq!(read_yaml(FileId(0), "a: 1\n---\nb: 2\n").documents.len(), 2);
        assert_eq!(read_yaml(FileId(0), "# nothing\n").documents.len(), 0);
    }
}
