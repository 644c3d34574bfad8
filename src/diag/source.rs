//! The texts of the user's files, and byte ranges in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Which file of a [`SourceMap`] a [`Span`] is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A byte range in one file; line and column are computed only when it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The place of something that stands in no file (command line, computed values).
    pub const NONE: Self = Self {
        file: FileId(u32::MAX),
        start: 0,
        end: 0,
    };

    /// Whether this names a place in a file.
    pub fn is_some(self) -> bool {
        self.file != Self::NONE.file
    }
}

/// A place as a person reads it; line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path as the user gave it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: Arc<str>,
    /// What is in the file, where that is not what may be shown of it.
    sealed: Option<Arc<str>>,
}

/// Opens texts that are encrypted.
#[derive(Clone)]
pub struct Opener(Arc<OpenText>);

type OpenText = dyn Fn(&str) -> Result<String, String> + Send + Sync;

impl Opener {
    /// An opener that works so.
    pub fn new(open: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Opens a text.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(&self, text: &str) -> Result<String, String> {
        (self.0)(text)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

/// All files read so far, by [`FileId`].
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<Source>,
    /// What opens encrypted files and values.
    pub opener: Option<Opener>,
}

impl SourceMap {
    /// Adds a file's text and returns the id its spans use.
    ///
    /// # Panics
    /// When more than `u32::MAX` files are read.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> FileId {
        let id = u32::try_from(self.files.len()).expect("invariant: fewer than 2^32 files");
        self.files.push(Source {
            path: path.into(),
            text: text.into(),
            sealed: None,
        });
        FileId(id)
    }

    /// Adds an encrypted file: what is in it, and a text with the same places that may be shown.
    pub fn add_sealed(
        &mut self,
        path: impl Into<PathBuf>,
        shown: impl Into<Arc<str>>,
        sealed: impl Into<Arc<str>>,
    ) -> FileId {
        let id = self.add(path, shown);
        if let Some(source) = self.files.last_mut() {
            source.sealed = Some(sealed.into());
        }
        id
    }

    /// The path of a file, as it was given to [`Self::add`].
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.files.get(file.0 as usize).map(|s| s.path.as_path())
    }

    /// All files in the order in which they were read, with what is in them; an encrypted one stays
    /// encrypted.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files.iter().map(|source| {
            let text = source.sealed.as_ref().unwrap_or(&source.text);
            (source.path.as_path(), &**text)
        })
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> Option<&Arc<str>> {
        self.files.get(file.0 as usize).map(|s| &s.text)
    }

    /// Line and column of a span's start, or `None` for [`Span::NONE`].
    pub fn place(&self, span: Span) -> Option<Place> {
        let source = self.files.get(span.file.0 as usize)?;
        let before = source.text.get(..span.start as usize)?;
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Some(Place {
            file: source.path.display().to_string(),
            line: u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX),
            column: u32::try_from(before[line_start..].chars().count() + 1).unwrap_or(u32::MAX),
        })
    }
}
