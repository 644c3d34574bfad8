//! Strings that know where they came from.

use std::sync::Arc;

/// Whether a string may be rendered as a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From the user's own files: `{{ }}` in it is rendered at use.
    Template,
    /// From the user's own files, and nothing in it is to be rendered.
    Plain,
    /// From a host, a lookup, a rendered template or `!unsafe`: never rendered.
    Data,
}

/// A string with its trust and secrecy.
#[derive(Clone)]
pub struct Text {
    content: Arc<str>,
    trust: Trust,
    is_secret: bool,
}

impl Text {
    /// Text that is never rendered.
    pub fn data(text: impl Into<Arc<str>>) -> Self {
        Self {
            content: text.into(),
            trust: Trust::Data,
            is_secret: false,
        }
    }

    /// Text from the user's own files. Without `{{`, `{%` or `{#` it is no template, so that nothing
    /// downstream needs to look again.
    pub fn from_user(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let trust = if text.contains("{{") || text.contains("{%") || text.contains("{#") {
            Trust::Template
        } else {
            Trust::Plain
        };
        Self {
            content: text,
            trust,
            is_secret: false,
        }
    }

    /// The text itself. A sink must look at [`Self::is_secret`] first.
    pub fn as_str(&self) -> &str {
        &self.content
    }

    /// Whether it is to be rendered at use.
    pub fn is_template(&self) -> bool {
        self.trust == Trust::Template
    }

    /// Whether it stands in the user's own files, so that it may be read as an expression.
    pub fn is_from_user(&self) -> bool {
        self.trust != Trust::Data
    }

    /// Whether it must not appear in any output, log or file in clear.
    pub fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// The same text, secret.
    #[must_use]
    pub fn into_secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// The same text, never to be rendered.
    #[must_use]
    pub fn into_data(mut self) -> Self {
        self.trust = Trust::Data;
        self
    }
}

/// Equal text is equal: trust and secrecy are about use, not about value.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_secret {
            f.write_str("\"********\"")
        } else {
            self.content.fmt(f)
        }
    }
}
