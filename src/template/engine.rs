//! The public face: rendering of values, expressions and files.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::ast::Program;
use super::error::{ErrorKind, Problem, Result as Inner, TemplateError};
use super::eval::{Eval, Frame, ROOT};
use super::parse::{self, Syntax};
use super::scope::{Scope, World};
use super::val::Val;
use crate::value::{Text, Value};

/// Compiled templates that are kept; beyond it the cache starts anew.
const CACHE_MAX: usize = 20_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Template,
    File,
    Expression,
}

type Cache = HashMap<Arc<str>, Arc<Program>>;

/// What a top-level value rendered to.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered {
    /// A value, which is data.
    Value(Value),
    /// The value was `omit`: the caller removes the parameter or keyword.
    Omit,
}

/// Renders templates. Cheap to share between threads; holds only compiled templates.
///
/// If a rendering read a secret, every string of its result is secret, and so the message of an
/// error that might quote one is withheld.
#[derive(Default)]
pub struct Engine {
    caches: [Mutex<Cache>; 3],
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine with an empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Renders a value deeply; entries and items that are `omit` are removed, a top-level `omit`
    /// gives null. Use [`Self::render_or_omit`] where it matters.
    ///
    /// # Errors
    /// What the first failing template says.
    pub fn render(
        &self,
        value: &Value,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<Value, TemplateError> {
        Ok(match self.render_or_omit(value, scope, world)? {
            Rendered::Value(value) => value,
            Rendered::Omit => Value::Null,
        })
    }

    /// Renders a value deeply and tells whether it was `omit`.
    ///
    /// # Errors
    /// What the first failing template says.
    pub fn render_or_omit(
        &self,
        value: &Value,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<Rendered, TemplateError> {
        if !value.has_template() {
            return Ok(Rendered::Value(value.clone()));
        }
        let eval = Eval::new(self, scope, world);
        let result = eval.import(value, ROOT).and_then(|v| match v {
            Val::Omit => Ok(None),
            v => eval.finalize(&v).map(Some),
        });
        let shown = value.as_str().unwrap_or_default();
        match finish(&eval, result, shown)? {
            Some(value) => Ok(Rendered::Value(value)),
            None => Ok(Rendered::Omit),
        }
    }

    /// Evaluates a bare expression, as a constructed inventory holds, to its native value. What
    /// looks like a template in its constants is text.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn eval(
        &self,
        expression: &str,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<Value, TemplateError> {
        let eval = Eval::new(self, scope, world);
        let result = eval.expression(expression).and_then(|v| eval.finalize(&v));
        finish(&eval, result, expression)
    }

    /// Evaluates a conditional by the rules of ansible-core 2.19 (`_engine.py`,
    /// `evaluate_conditional`): a boolean is itself, a string is an expression, an expression that
    /// is all template is rendered first, anything but a boolean as result is an error.
    ///
    /// # Errors
    /// Kind [`ErrorKind::Conditional`] when the result is no boolean, else as [`Self::eval`].
    pub fn eval_bool(
        &self,
        conditional: &Value,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<bool, TemplateError> {
        let text = match conditional {
            Value::Bool(b) => return Ok(*b),
            Value::Str(text) => text,
            Value::Null => {
                return Err(broken("", "Empty conditional expressions are not allowed."));
            }
            _ => return Err(broken("", "Conditional expressions must be strings.")),
        };
        let eval = Eval::new(self, scope, world);
        if text.is_secret() {
            eval.note_secret();
        }
        let result = eval.conditional(text);
        finish_bool(&eval, result, text.as_str())
    }

    /// Renders a template file, as the `template` module does: always text. A `#jinja2:` header
    /// may change the syntax. The result is data, and secret if a secret was read.
    ///
    /// Source: ansible-core 2.19, `plugins/action/template.py` and `_internal/_templating/_utils.py`.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn render_file(
        &self,
        source: &str,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<Text, TemplateError> {
        self.render_file_with(source, &Syntax::default(), scope, world)
    }

    /// As [`Self::render_file`], with the delimiters and white space that the module was given.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn render_file_with(
        &self,
        source: &str,
        syntax: &Syntax,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<Text, TemplateError> {
        let (body, syntax) =
            header(source, syntax.clone()).map_err(|p| public(&p, source, false))?;
        let eval = Eval::new(self, scope, world);
        let result = eval.file_text(body, &syntax).map(Value::from);
        match finish(&eval, result, body)? {
            Value::Str(text) => Ok(text),
            _ => Ok(Text::data("")),
        }
    }

    /// The items of `with_NAME: terms`: the lookup's list. `name` is without `with_`.
    ///
    /// Source: ansible-core 2.19, `executor/task_executor.py`, `_get_loop_items`.
    ///
    /// # Errors
    /// What a template in the terms or the lookup says.
    pub fn with_lookup(
        &self,
        name: &str,
        terms: &Value,
        scope: &dyn Scope,
        world: &dyn World,
    ) -> Result<Vec<Value>, TemplateError> {
        let eval = Eval::new(self, scope, world);
        let result = eval.with_lookup(&parse::plugin_name(name), terms);
        match finish(&eval, result, terms.as_str().unwrap_or_default())? {
            Value::List(items) => Ok(items.to_vec()),
            other => Ok(vec![other]),
        }
    }

    /// Whether there is a lookup of that name, for `with_NAME`.
    pub fn has_lookup(name: &str) -> bool {
        super::lookups::exists(&parse::plugin_name(name))
    }

    /// The names that the templates in a value mention, whether or not they are defined. Names
    /// that a template sets itself are among them.
    pub fn references(&self, value: &Value) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.collect_references(value, &mut names);
        names
    }

    /// The names that a bare expression mentions.
    pub fn expression_references(&self, expression: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Ok(program) = self.expression(expression) {
            super::references::collect(&program, &mut names);
        }
        names
    }

    fn collect_references(&self, value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Str(text) if text.is_template() => {
                if let Ok(program) = self.template(text.as_str()) {
                    super::references::collect(&program, names);
                }
            }
            Value::List(items) => items.iter().for_each(|v| self.collect_references(v, names)),
            Value::Map(map) => map.values().for_each(|v| self.collect_references(v, names)),
            _ => {}
        }
    }

    pub(crate) fn template(&self, text: &str) -> Inner<Arc<Program>> {
        self.compiled(Form::Template, text, |text| {
            if text.starts_with("#jinja2:") {
                let (body, syntax) = header(text, Syntax::default())?;
                return parse::template(body, &syntax, true);
            }
            parse::template(text, &Syntax::default(), true)
        })
    }

    /// A file that another template includes, imports or extends.
    pub(crate) fn file(&self, text: &str) -> Inner<Arc<Program>> {
        self.compiled(Form::File, text, |text| {
            parse::template(text, &Syntax::default(), false)
        })
    }

    pub(crate) fn expression(&self, text: &str) -> Inner<Arc<Program>> {
        self.compiled(Form::Expression, text, parse::expression)
    }

    fn compiled(
        &self,
        form: Form,
        text: &str,
        compile: impl FnOnce(&str) -> Inner<Program>,
    ) -> Inner<Arc<Program>> {
        let cache = &self.caches[form as usize];
        if let Some(program) = cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(text)
        {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(compile(text).map_err(|mut problem| {
            problem.text.get_or_insert_with(|| text.to_owned());
            problem
        })?);
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(Arc::from(text), Arc::clone(&program));
        Ok(program)
    }
}

impl Eval<'_> {
    /// The value of a bare expression.
    pub(crate) fn expression(&self, text: &str) -> Inner<Val> {
        let program = self.engine.expression(text)?;
        self.nested(|| self.run_expression(&program))
    }

    fn run_expression(&self, program: &Program) -> Inner<Val> {
        match program.body.as_slice() {
            [super::ast::Stmt::Emit(expr)] => self.expr(expr, &Frame::new(ROOT)),
            _ => Ok(Val::Null),
        }
    }

    fn with_lookup(&self, name: &str, terms: &Value) -> Inner<Value> {
        let terms = Eval::require(self.import(terms, ROOT)?)?;
        let list = if terms.is_sequence() {
            self.items(&terms)?
        } else {
            vec![terms]
        };
        let args = super::val::Args {
            list,
            named: Vec::new(),
        };
        let found = super::lookups::run(self, name, args, true)?;
        self.finalize(&found)
    }

    fn conditional(&self, text: &Text) -> Inner<Val> {
        let mut source = text.as_str().trim().to_owned();
        let broken = |message: &str| Problem::new(ErrorKind::Conditional, message);
        if source.is_empty() {
            return Err(broken("Empty conditional expressions are not allowed."));
        }
        let all_template = (source.starts_with("{{") && source.ends_with("}}"))
            || (source.starts_with("{%") && source.ends_with("%}"));
        if all_template {
            let template = Text::from_user(source);
            let rendered = Eval::require(self.render_text(&template, ROOT)?)?;
            let Val::Str(rendered) = &rendered else {
                return Ok(rendered);
            };
            // 2.19 evaluates the string once more only where it is trusted; data must never run.
            if !self.is_expression_of_user(template.as_str())? {
                return Err(broken(
                    "Conditional expressions must come from a playbook, vars or inventory file; \
                     the template gave a string of data.",
                ));
            }
            source = String::from(rendered.as_str().trim());
            if source.is_empty() {
                return Err(broken("Empty conditional expressions are not allowed."));
            }
        }
        self.renders_constants.set(true);
        Eval::require(self.expression(&source)?)
    }

    /// Whether a template is just the name of a variable that the user's files define.
    fn is_expression_of_user(&self, template: &str) -> Inner<bool> {
        let program = self.engine.template(template)?;
        let [super::ast::Stmt::Emit(expr)] = program.body.as_slice() else {
            return Ok(false);
        };
        let super::ast::ExprKind::Var(name) = &expr.kind else {
            return Ok(false);
        };
        Ok(self.with_scope(ROOT, |scope| scope.is_from_user(name)))
    }

    fn file_text(&self, body: &str, syntax: &Syntax) -> Inner<String> {
        let program = if *syntax == Syntax::default() {
            self.engine.file(body)?
        } else {
            Arc::new(parse::template(body, syntax, false)?)
        };
        let value = self.nested(|| self.run(&program, &mut Frame::new(ROOT)))?;
        // As in ansible-core, a result that is no string has lost the last newline.
        let text = match super::eval::keep_newlines(body, Eval::require(value)?) {
            Val::Null => String::new(),
            other => self.text(&other)?,
        };
        Ok(if syntax.newline == "\n" {
            text
        } else {
            text.replace('\n', &syntax.newline)
        })
    }
}

/// Takes a `#jinja2:` header off a template.
fn header(source: &str, mut syntax: Syntax) -> Inner<(&str, Syntax)> {
    let Some(rest) = source.strip_prefix("#jinja2:") else {
        return Ok((source, syntax));
    };
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    for pair in split_pairs(line) {
        let Some((key, raw)) = pair.split_once(':') else {
            return Err(Problem::new(
                ErrorKind::Syntax,
                format!(
                    "failed to parse the pair '{}' of the `#jinja2:` header",
                    pair.trim()
                ),
            ));
        };
        let raw = raw.trim();
        let text = || {
            raw.trim_matches(['"', '\''])
                .replace("\\r", "\r")
                .replace("\\n", "\n")
        };
        let flag = || matches!(raw.to_ascii_lowercase().as_str(), "true" | "yes" | "1");
        match key.trim() {
            "variable_start_string" => syntax.variable.0 = text(),
            "variable_end_string" => syntax.variable.1 = text(),
            "block_start_string" => syntax.block.0 = text(),
            "block_end_string" => syntax.block.1 = text(),
            "comment_start_string" => syntax.comment.0 = text(),
            "comment_end_string" => syntax.comment.1 = text(),
            "trim_blocks" => syntax.trim_blocks = flag(),
            "lstrip_blocks" => syntax.lstrip_blocks = flag(),
            "keep_trailing_newline" => syntax.keep_trailing_newline = flag(),
            "newline_sequence" => syntax.newline = text(),
            other => {
                return Err(Problem::new(
                    ErrorKind::Syntax,
                    format!("the `#jinja2:` header has no key '{other}'"),
                ));
            }
        }
    }
    Ok((body, syntax))
}

/// Splits at commas outside quotes.
fn split_pairs(line: &str) -> Vec<&str> {
    let mut quote = None;
    line.split(move |c: char| {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        c == ',' && quote.is_none()
    })
    .filter(|pair| !pair.trim().is_empty())
    .collect()
}

fn broken(text: &str, message: &str) -> TemplateError {
    public(&Problem::new(ErrorKind::Conditional, message), text, false)
}

fn finish_bool(eval: &Eval<'_>, result: Inner<Val>, text: &str) -> Result<bool, TemplateError> {
    let value = result.map_err(|p| public(&p, text, eval.is_secret()))?;
    if let Val::Bool(b) = value {
        return Ok(b);
    }
    let truth = eval
        .truth(&value)
        .map_err(|p| public(&p, text, eval.is_secret()))?;
    let truth = if truth { "True" } else { "False" };
    Err(broken(
        text,
        &format!(
            "Conditional result ({truth}) was derived from value of type '{}'. Conditionals must \
             have a boolean result.",
            value.type_name()
        ),
    ))
}

trait Taint {
    fn taint(self) -> Self;
}
impl Taint for Value {
    fn taint(self) -> Self {
        self.into_secret()
    }
}
impl Taint for Option<Value> {
    fn taint(self) -> Self {
        self.map(Value::into_secret)
    }
}

fn finish<T: Taint>(eval: &Eval<'_>, result: Inner<T>, text: &str) -> Result<T, TemplateError> {
    match result {
        Ok(value) if eval.is_secret() => Ok(value.taint()),
        Ok(value) => Ok(value),
        Err(problem) => Err(public(&problem, text, eval.is_secret())),
    }
}

fn public(problem: &Problem, text: &str, is_secret: bool) -> TemplateError {
    let quotes_data = matches!(problem.kind, ErrorKind::Other | ErrorKind::Conditional);
    let message = if is_secret && quotes_data {
        "the expression failed; the reason is withheld because it read a secret".to_owned()
    } else {
        problem.message.clone()
    };
    TemplateError {
        kind: problem.kind,
        message,
        expression: problem.text.clone().unwrap_or_else(|| text.to_owned()),
        offset: problem.offset,
        via: problem.via.clone(),
    }
}

impl Eval<'_> {
    /// The `template` lookup: a file rendered with the current variables and `template_vars`.
    pub(crate) fn template_lookup(&self, source: &str, args: &super::val::Args) -> Inner<Val> {
        let option = |name: &str| {
            args.named
                .iter()
                .find(|(n, _)| &**n == name)
                .map(|(_, v)| v)
        };
        let (body, mut syntax) = header(source, Syntax::default())?;
        let pairs: [(&str, &mut String); 4] = [
            ("variable_start_string", &mut syntax.variable.0),
            ("variable_end_string", &mut syntax.variable.1),
            ("comment_start_string", &mut syntax.comment.0),
            ("comment_end_string", &mut syntax.comment.1),
        ];
        for (name, target) in pairs {
            if let Some(value) = option(name) {
                *target = self.text(value)?;
            }
        }
        if let Some(value) = option("trim_blocks") {
            syntax.trim_blocks = self.truth(value)?;
        }
        if let Some(value) = option("lstrip_blocks") {
            syntax.lstrip_blocks = self.truth(value)?;
        }
        let program = parse::template(body, &syntax, false)?;
        let mut frame = Frame::new(ROOT);
        if let Some(vars) = option("template_vars") {
            for (name, value) in self.entries(vars)? {
                frame.set(&Arc::from(name), value);
            }
        }
        let value = self.nested(|| self.run(&program, &mut frame))?;
        Ok(super::eval::keep_newlines(body, value))
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
