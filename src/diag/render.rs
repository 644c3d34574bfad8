//! Problems as a person reads them.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, FileId, Severity, SourceMap};

/// Wider lines of source are cut.
const WIDTH: usize = 160;

/// Renders one problem with its places, source lines and help, ending in a newline.
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code));
    let mut files: Vec<FileId> = Vec::new();
    for (span, _) in &diagnostic.labels {
        if !files.contains(&span.file) && sources.text(span.file).is_some() {
            files.push(span.file);
        }
    }
    for file in files {
        let (Some(text), Some(path)) = (sources.text(file), sources.path(file)) else {
            continue;
        };
        let mut snippet = Snippet::source(&**text)
            .path(path.display().to_string())
            .line_start(1);
        for (index, (span, label)) in diagnostic.labels.iter().enumerate() {
            if span.file == file {
                let kind = if index == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                snippet =
                    snippet.annotation(kind.span(range(text, span.start, span.end)).label(label));
            }
        }
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = renderer.term_width(WIDTH).render(&[group]);
    text.push('\n');
    text
}

/// The part of a span that is shown: within the text and, as a person needs to see where
/// something begins and not all of it, on its first line.
fn range(text: &str, start: u32, end: u32) -> std::ops::Range<usize> {
    let floor = |at: u32| {
        let at = (at as usize).min(text.len());
        (0..=at)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0)
    };
    let (start, end) = (floor(start), floor(end));
    let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
    start..end.clamp(start, line_end.max(start))
}
