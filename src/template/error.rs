//! What can go wrong while a template is rendered.
//!
//! Knows nothing of files: the caller has the place of the template string and adds the offset.

use std::fmt;

/// Which kind of problem it is; callers treat them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A name, attribute or item that does not exist was used.
    Undefined,
    /// An attribute of the result of a task that check mode skipped: it is not known yet.
    Unknown,
    /// The template or expression cannot be parsed.
    Syntax,
    /// A conditional gave something other than a boolean, or is empty.
    Conditional,
    /// A variable refers to itself, or templates nest too deeply.
    Recursion,
    /// A limit on steps, memory or output was reached.
    Limit,
    /// The expression raised an error with `undef()`, a filter, a test, a lookup or an operator.
    Other,
}

/// A failed rendering. Its message holds no secret: see [`crate::template::Engine`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The kind.
    pub kind: ErrorKind,
    /// What is wrong, in ansible-core's words where it has some.
    pub message: String,
    /// The template or expression text in which it happened.
    pub expression: String,
    /// Byte offset in `expression`, where known.
    pub offset: Option<usize>,
    /// The chain of variables that were being rendered, outermost first.
    pub via: Vec<String>,
}

/// The error inside an evaluation, before the template's text is attached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// Offset in the innermost template whose text is `text`.
    pub(crate) offset: Option<usize>,
    pub(crate) text: Option<String>,
    pub(crate) via: Vec<String>,
}

/// Result inside an evaluation.
pub(crate) type Result<T> = std::result::Result<T, Box<Problem>>;

impl Problem {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            kind,
            message: message.into(),
            offset: None,
            text: None,
            via: Vec::new(),
        })
    }

    pub(crate) fn other(message: impl Into<String>) -> Box<Self> {
        Self::new(ErrorKind::Other, message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
