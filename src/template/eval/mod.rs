//! One evaluation: variables, limits and taint. Statements, expressions and operators are in the
//! sibling files.
//!
//! Invariant: whatever reads a secret string sets the taint of the evaluation.

mod access;
mod call;
mod convert;
mod expr;
mod ops;
mod stmt;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::engine::Engine;
use super::error::{ErrorKind, Problem, Result};
use super::scope::{Scope, World};
use super::val::Val;
use crate::value::{Text, Value};

/// Which scope a lazy value is rendered with: an index into [`Eval::scopes`].
pub(crate) type ScopeId = usize;

/// The scope of the evaluation itself.
pub(crate) const ROOT: ScopeId = 0;
/// Marks data: nothing in it is a template, whatever it looks like.
pub(crate) const DATA: ScopeId = usize::MAX;

/// Variables that the template itself set, innermost last.
pub(crate) type Layers = Vec<Rc<RefCell<Vec<(Arc<str>, Val)>>>>;

/// Steps that one evaluation may take: some seconds of work.
const STEPS_MAX: u64 = 10_000_000;
/// Templates within templates: deeper than any sane chain of variables, small enough for a stack.
const DEPTH_MAX: u32 = 48;
/// Expressions within expressions, over all nested templates: bounds memory.
const NESTING_MAX: u32 = 400;
/// Bytes that one evaluation may produce.
const OUTPUT_BYTES_MAX: usize = 128 << 20;

struct ScopeCell {
    shared: Option<Arc<dyn Scope>>,
    host: Option<String>,
    cache: HashMap<Arc<str>, Val>,
}

/// The names that are visible at a place in a template.
pub(crate) struct Frame {
    pub(crate) scope: ScopeId,
    pub(crate) layers: Layers,
    /// The text that an enclosing `filter` block has captured.
    pub(crate) captured: Option<Val>,
    /// Overriding blocks of child templates by name, outermost child first.
    pub(crate) blocks: Rc<RefCell<HashMap<String, Vec<Arc<super::ast::Block>>>>>,
    /// The block being rendered and how often `super()` was followed.
    pub(crate) block: Option<(String, usize)>,
}

impl Frame {
    pub(crate) fn new(scope: ScopeId) -> Self {
        Self::with_layers(scope, Vec::new())
    }

    pub(crate) fn with_layers(scope: ScopeId, mut layers: Layers) -> Self {
        layers.push(Rc::default());
        Self {
            scope,
            layers,
            captured: None,
            blocks: Rc::default(),
            block: None,
        }
    }

    pub(crate) fn push(&mut self) {
        self.layers.push(Rc::default());
    }

    pub(crate) fn pop(&mut self) {
        self.layers.pop();
    }

    pub(crate) fn set(&mut self, name: &Arc<str>, value: Val) {
        if let Some(layer) = self.layers.last() {
            let mut layer = layer.borrow_mut();
            match layer.iter_mut().find(|(known, _)| known == name) {
                Some(entry) => entry.1 = value,
                None => layer.push((name.clone(), value)),
            }
        }
    }

    fn local(&self, name: &str) -> Option<Val> {
        self.layers.iter().rev().find_map(|layer| {
            layer
                .borrow()
                .iter()
                .find(|(known, _)| &**known == name)
                .map(|(_, v)| v.clone())
        })
    }
}

/// One evaluation.
pub(crate) struct Eval<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) world: &'a dyn World,
    root: &'a dyn Scope,
    scopes: RefCell<Vec<ScopeCell>>,
    secret: Cell<bool>,
    steps: Cell<u64>,
    output: Cell<usize>,
    depth: Cell<u32>,
    nesting: Cell<u32>,
    chain: RefCell<Vec<(ScopeId, Arc<str>)>>,
    /// Whether constants that look like templates are rendered, as in conditionals.
    pub(crate) renders_constants: Cell<bool>,
}

impl<'a> Eval<'a> {
    pub(crate) fn new(engine: &'a Engine, root: &'a dyn Scope, world: &'a dyn World) -> Self {
        let cell = ScopeCell {
            shared: None,
            host: None,
            cache: HashMap::new(),
        };
        Self {
            engine,
            world,
            root,
            scopes: RefCell::new(vec![cell]),
            secret: Cell::new(false),
            steps: Cell::new(0),
            output: Cell::new(0),
            depth: Cell::new(0),
            nesting: Cell::new(0),
            chain: RefCell::default(),
            renders_constants: Cell::new(false),
        }
    }

    /// Whether a secret was read.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret.get()
    }

    /// Sets the taint for what is read outside a scope.
    pub(crate) fn note_secret(&self) {
        self.secret.set(true);
    }

    /// Does something, and says whether it read a secret.
    pub(crate) fn watch_secret<T>(&self, work: impl FnOnce() -> T) -> (T, bool) {
        let before = self.secret.replace(false);
        let done = work();
        let is_secret = self.secret.get();
        self.secret.set(before || is_secret);
        (done, is_secret)
    }

    /// Counts steps.
    pub(crate) fn step(&self, count: u64) -> Result<()> {
        let steps = self.steps.get().saturating_add(count);
        self.steps.set(steps);
        if steps > STEPS_MAX {
            return Err(Problem::new(
                ErrorKind::Limit,
                format!("the template does not end within {STEPS_MAX} steps"),
            ));
        }
        Ok(())
    }

    /// Counts bytes of output.
    pub(crate) fn produce(&self, bytes: usize) -> Result<()> {
        let total = self.output.get().saturating_add(bytes);
        self.output.set(total);
        if total > OUTPUT_BYTES_MAX {
            return Err(Problem::new(
                ErrorKind::Limit,
                format!(
                    "the template produces more than {} MiB",
                    OUTPUT_BYTES_MAX >> 20
                ),
            ));
        }
        Ok(())
    }

    pub(crate) fn undefined(message: impl Into<String>) -> Val {
        Val::Marker(Rc::from(Problem::new(ErrorKind::Undefined, message)))
    }

    /// The value, or the error that an undefined one stands for.
    pub(crate) fn require(value: Val) -> Result<Val> {
        match value {
            Val::Marker(problem) => Err(Box::new((*problem).clone())),
            other => Ok(other),
        }
    }

    pub(crate) fn with_scope<T>(&self, id: ScopeId, use_it: impl FnOnce(&dyn Scope) -> T) -> T {
        let shared = self
            .scopes
            .borrow()
            .get(id)
            .and_then(|cell| cell.shared.clone());
        match shared {
            Some(scope) => use_it(&*scope),
            None => use_it(self.root),
        }
    }

    /// The host whose variables a scope other than the root holds.
    pub(crate) fn scope_host(&self, id: ScopeId) -> Option<String> {
        self.scopes
            .borrow()
            .get(id)
            .and_then(|cell| cell.host.clone())
    }

    /// The scope of a host, for `hostvars`.
    pub(crate) fn host_scope(&self, host: &str) -> Option<ScopeId> {
        let known = self
            .scopes
            .borrow()
            .iter()
            .position(|cell| cell.host.as_deref() == Some(host));
        if known.is_some() {
            return known;
        }
        let scope = self.root.host(host)?;
        let mut scopes = self.scopes.borrow_mut();
        scopes.push(ScopeCell {
            shared: Some(scope),
            host: Some(host.to_owned()),
            cache: HashMap::new(),
        });
        Some(scopes.len() - 1)
    }

    /// A variable, rendered; undefined if there is none.
    pub(crate) fn variable(&self, scope: ScopeId, name: &Arc<str>) -> Result<Val> {
        if let Some(found) = self.known_variable(scope, name)? {
            return Ok(found);
        }
        Ok(match &**name {
            "hostvars" if self.knows_hosts() => Val::Hosts,
            "vars" => Val::Vars(scope),
            "omit" => Val::Omit,
            other => super::eval::call::function(other)
                .unwrap_or_else(|| Self::undefined(format!("'{other}' is undefined"))),
        })
    }

    /// Whether there is an inventory, were it only the implicit localhost.
    fn knows_hosts(&self) -> bool {
        !self.root.host_names().is_empty() || self.root.host("localhost").is_some()
    }

    /// A variable of the scope itself, rendered.
    pub(crate) fn known_variable(&self, scope: ScopeId, name: &Arc<str>) -> Result<Option<Val>> {
        if scope == DATA {
            return Ok(None);
        }
        let cached = self
            .scopes
            .borrow()
            .get(scope)
            .and_then(|c| c.cache.get(name).cloned());
        if cached.is_some() {
            return Ok(cached);
        }
        let Some(raw) = self.with_scope(scope, |s| s.lookup(name)) else {
            return Ok(None);
        };
        if self
            .chain
            .borrow()
            .iter()
            .any(|(s, n)| *s == scope && n == name)
        {
            return Err(self.recursive_loop(name));
        }
        self.chain.borrow_mut().push((scope, name.clone()));
        let value = self.import(&raw, scope);
        self.chain.borrow_mut().pop();
        let value = value.map_err(|mut problem| {
            problem.via.insert(0, name.to_string());
            problem
        })?;
        if let Some(cell) = self.scopes.borrow_mut().get_mut(scope) {
            cell.cache.insert(name.clone(), value.clone());
        }
        Ok(Some(value))
    }

    fn recursive_loop(&self, name: &str) -> Box<Problem> {
        let chain = self.chain.borrow();
        let mut names: Vec<&str> = chain.iter().map(|(_, n)| &**n).collect();
        let start = names.iter().position(|n| *n == name).unwrap_or(0);
        names.push(name);
        Problem::new(
            ErrorKind::Recursion,
            format!(
                "recursive loop detected in template: `{}`",
                names[start..].join("` -> `")
            ),
        )
    }

    /// A raw value as it is seen by an expression: scalars rendered, containers lazy.
    pub(crate) fn import(&self, raw: &Value, scope: ScopeId) -> Result<Val> {
        Ok(match raw {
            Value::Str(text) => {
                if text.is_secret() {
                    self.secret.set(true);
                }
                if scope != DATA && text.is_template() {
                    return self.render_text(text, scope);
                }
                // Whose text it is tells `ansible._protomatter.tagged_with`; no template is left in it.
                let is_plain = scope != DATA && !text.is_template();
                Val::Str(if is_plain {
                    text.clone()
                } else {
                    text.clone().into_data()
                })
            }
            Value::List(_) | Value::Map(_) => Val::Raw(raw.clone(), scope),
            scalar => Val::data(scalar.clone()),
        })
    }

    /// Renders a template string to its native value.
    pub(crate) fn render_text(&self, text: &Text, scope: ScopeId) -> Result<Val> {
        let program = self.engine.template(text.as_str())?;
        let constants = self.renders_constants.replace(false);
        let result = self.nested(|| self.run(&program, &mut Frame::new(scope)));
        self.renders_constants.set(constants);
        let value = result.map_err(|mut problem| {
            if problem.text.is_none() {
                problem.text = Some(text.as_str().to_owned());
            }
            problem
        })?;
        Ok(match value {
            Val::Marker(problem) if problem.text.is_none() => {
                let mut problem = (*problem).clone();
                problem.text = Some(text.as_str().to_owned());
                Val::Marker(Rc::new(problem))
            }
            value => keep_newlines(text.as_str(), value),
        })
    }

    /// Evaluates an expression inside another.
    pub(crate) fn inside<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let nesting = self.nesting.get();
        if nesting >= NESTING_MAX {
            return Err(Problem::new(
                ErrorKind::Limit,
                format!("more than {NESTING_MAX} expressions are nested in each other"),
            ));
        }
        self.nesting.set(nesting + 1);
        let result = with_stack(run);
        self.nesting.set(nesting);
        result
    }

    /// Runs something one level deeper.
    pub(crate) fn nested<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let depth = self.depth.get();
        if depth >= DEPTH_MAX {
            let chain = self.chain.borrow();
            let last = chain.last().map_or("", |(_, name)| &**name);
            return Err(Problem::new(
                ErrorKind::Recursion,
                format!(
                    "recursive loop detected in template: `{last}` nests more than {DEPTH_MAX} \
                     templates"
                ),
            ));
        }
        self.depth.set(depth + 1);
        let result = with_stack(run);
        self.depth.set(depth);
        result
    }
}

/// Runs with room on the stack, wherever the caller's thread stands: the limits above bound it.
fn with_stack<T>(run: impl FnOnce() -> T) -> T {
    const SPARE_BYTES: usize = 128 << 10;
    const GROWTH_BYTES: usize = 1 << 20;
    stacker::maybe_grow(SPARE_BYTES, GROWTH_BYTES, run)
}

/// Gives a string the newlines at the end of its template back, which Jinja swallows
/// (ansible-core 2.19, `_engine.py`, `_post_render_mutation`).
pub(crate) fn keep_newlines(template: &str, value: Val) -> Val {
    let Val::Str(text) = &value else { return value };
    let trailing = |s: &str| s.len() - s.trim_end_matches('\n').len();
    let missing = trailing(template).saturating_sub(trailing(text.as_str()));
    if missing == 0 {
        return value;
    }
    Val::str(format!("{}{}", text.as_str(), "\n".repeat(missing)))
}
