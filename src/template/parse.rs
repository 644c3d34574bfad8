//! From text to [`Program`]: the only file of this layer that knows minijinja's parser.
//!
//! ansible-core 2.19 differences in the text itself (`_internal/_templating/_jinja_bits.py`,
//! `AnsibleLexer`): in templates from YAML a backslash inside a string of `{{ }}` stands for itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use minijinja::machinery::{ast as j, parse as parse_template, parse_expr};
use minijinja::syntax::SyntaxConfig;

use super::ast::{
    Arg, Block, Comparison, Expr, ExprKind, For, Macro, Operator, Program, Stmt, Target,
};
use super::error::{ErrorKind, Problem, Result};
use crate::value::{Text, Value};

/// Delimiters and white space of a template, as the arguments of the `template` module or a
/// `#jinja2:` header may change them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Syntax {
    /// Start and end of an expression, `{{` and `}}`.
    pub variable: (String, String),
    /// Start and end of a statement, `{%` and `%}`.
    pub block: (String, String),
    /// Start and end of a comment, `{#` and `#}`.
    pub comment: (String, String),
    /// Whether the newline after a statement is removed (true).
    pub trim_blocks: bool,
    /// Whether white space before a statement is removed (false).
    pub lstrip_blocks: bool,
    /// Whether the parser keeps the last newline (false: it is given back after rendering).
    pub keep_trailing_newline: bool,
    /// What ends a line in the result.
    pub newline: String,
}

impl Default for Syntax {
    fn default() -> Self {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        Self {
            variable: pair("{{", "}}"),
            block: pair("{%", "%}"),
            comment: pair("{#", "#}"),
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: false,
            newline: "\n".to_owned(),
        }
    }
}

impl Syntax {
    fn config(&self) -> Result<SyntaxConfig> {
        SyntaxConfig::builder()
            .variable_delimiters(self.variable.0.clone(), self.variable.1.clone())
            .block_delimiters(self.block.0.clone(), self.block.1.clone())
            .comment_delimiters(self.comment.0.clone(), self.comment.1.clone())
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .keep_trailing_newline(self.keep_trailing_newline)
            .build()
            .map_err(|e| Problem::new(ErrorKind::Syntax, e.to_string()))
    }
}

/// Parses a template. `escape_backslashes`: see the module's documentation.
pub(crate) fn template(text: &str, syntax: &Syntax, escape_backslashes: bool) -> Result<Program> {
    with_stack(|| read_template(text, syntax, escape_backslashes))
}

/// Parses a bare expression, as `when` holds.
pub(crate) fn expression(text: &str) -> Result<Program> {
    with_stack(|| read_expression(text))
}

/// The parser recurses once per level of operators; its own limit of nesting bounds it.
fn with_stack<T>(parse: impl FnOnce() -> T) -> T {
    const SPARE_BYTES: usize = 1 << 20;
    const GROWTH_BYTES: usize = 4 << 20;
    stacker::maybe_grow(SPARE_BYTES, GROWTH_BYTES, parse)
}

fn read_template(text: &str, syntax: &Syntax, escape_backslashes: bool) -> Result<Program> {
    let (source, shifts) = if escape_backslashes && text.contains('\\') {
        double_backslashes(text, syntax)
    } else {
        (Cow::Borrowed(text), Vec::new())
    };
    let config = if *syntax == Syntax::default() {
        default_config()?
    } else {
        syntax.config()?
    };
    let tree = parse_template(&source, "<template>", config)
        .map_err(|e| syntax_problem(&e, &shifts, "template"))?;
    let mut reader = Reader {
        shifts,
        blocks: HashMap::new(),
    };
    let body = match tree {
        j::Stmt::Template(t) => reader.stmts(&t.children)?,
        other => vec![reader.stmt(&other)?],
    };
    Ok(Program {
        body,
        blocks: reader.blocks,
    })
}

fn default_config() -> Result<SyntaxConfig> {
    static CONFIG: std::sync::OnceLock<SyntaxConfig> = std::sync::OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = Syntax::default().config()?;
    Ok(CONFIG.get_or_init(|| config).clone())
}

fn read_expression(text: &str) -> Result<Program> {
    let tree = parse_expr(text).map_err(|e| {
        let mut problem = syntax_problem(&e, &[], "expression");
        if text.contains("{{") || text.contains("{%") {
            problem
                .message
                .push_str("; template delimiters are not supported in expressions");
        }
        problem
    })?;
    let mut reader = Reader {
        shifts: Vec::new(),
        blocks: HashMap::new(),
    };
    let body = vec![Stmt::Emit(reader.expr(&tree)?)];
    Ok(Program {
        body,
        blocks: HashMap::new(),
    })
}

fn syntax_problem(error: &minijinja::Error, shifts: &[usize], what: &str) -> Box<Problem> {
    let detail = error
        .detail()
        .map_or_else(|| error.to_string(), str::to_owned);
    let mut problem = Problem::new(
        ErrorKind::Syntax,
        format!("syntax error in {what}: {detail}"),
    );
    problem.offset = error.range().map(|r| unshift(r.start, shifts));
    problem
}

/// Doubles the backslashes in the strings of `{{ }}`; returns where bytes were inserted.
fn double_backslashes<'t>(text: &'t str, syntax: &Syntax) -> (Cow<'t, str>, Vec<usize>) {
    let mut out = String::with_capacity(text.len() + 8);
    let mut shifts = Vec::new();
    let mut rest = text;
    let (open, close) = (syntax.variable.0.as_str(), syntax.variable.1.as_str());
    while let Some(start) = rest.find(open) {
        // A comment or statement before it is copied with it; a `{{` inside one is not special,
        // and doubling there would change nothing that is evaluated but `{% set x = "{{" %}`.
        out.push_str(&rest[..start + open.len()]);
        rest = &rest[start + open.len()..];
        let mut quote: Option<char> = None;
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((i, c)) = chars.next() {
            match quote {
                None if rest[i..].starts_with(close) => {
                    end = i;
                    break;
                }
                None => {
                    if c == '\'' || c == '"' {
                        quote = Some(c);
                    }
                    out.push(c);
                }
                Some(q) if c == '\\' => {
                    shifts.push(out.len());
                    out.push_str("\\\\");
                    if let Some((_, next)) = chars.next() {
                        if next == q || next == '\\' {
                            shifts.push(out.len());
                            out.push('\\');
                        }
                        out.push(next);
                    }
                }
                Some(q) => {
                    if c == q {
                        quote = None;
                    }
                    out.push(c);
                }
            }
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    (Cow::Owned(out), shifts)
}

fn unshift(offset: usize, shifts: &[usize]) -> usize {
    offset - shifts.iter().filter(|at| **at < offset).count()
}

struct Reader {
    shifts: Vec<usize>,
    blocks: HashMap<String, Arc<Block>>,
}

fn unsupported(what: &str) -> Box<Problem> {
    Problem::new(
        ErrorKind::Syntax,
        format!("{what} is not supported in a template"),
    )
}

impl Reader {
    fn stmts(&mut self, list: &[j::Stmt<'_>]) -> Result<Vec<Stmt>> {
        list.iter().map(|s| self.stmt(s)).collect()
    }

    fn stmt(&mut self, stmt: &j::Stmt<'_>) -> Result<Stmt> {
        Ok(match stmt {
            j::Stmt::Template(t) => Stmt::Scoped(self.stmts(&t.children)?),
            j::Stmt::EmitExpr(e) => Stmt::Emit(self.expr(&e.expr)?),
            j::Stmt::EmitRaw(r) => Stmt::Raw(Arc::from(r.raw)),
            j::Stmt::ForLoop(l) => Stmt::For(Arc::new(For {
                target: Self::target(&l.target)?,
                iter: self.expr(&l.iter)?,
                filter: l.filter_expr.as_ref().map(|e| self.expr(e)).transpose()?,
                recursive: l.recursive,
                body: self.stmts(&l.body)?,
                otherwise: self.stmts(&l.else_body)?,
            })),
            j::Stmt::IfCond(c) => Stmt::If(
                self.expr(&c.expr)?,
                self.stmts(&c.true_body)?,
                self.stmts(&c.false_body)?,
            ),
            j::Stmt::WithBlock(w) => {
                let mut assignments = Vec::with_capacity(w.assignments.len());
                for (target, value) in &w.assignments {
                    assignments.push((Self::target(target)?, self.expr(value)?));
                }
                Stmt::With(assignments, self.stmts(&w.body)?)
            }
            j::Stmt::Set(s) => Stmt::Set(Self::target(&s.target)?, self.expr(&s.expr)?),
            j::Stmt::SetBlock(s) => Stmt::SetBlock(
                Self::target(&s.target)?,
                s.filter.as_ref().map(|f| self.expr(f)).transpose()?,
                self.stmts(&s.body)?,
            ),
            j::Stmt::AutoEscape(a) => Stmt::Scoped(self.stmts(&a.body)?),
            j::Stmt::FilterBlock(f) => {
                Stmt::FilterBlock(self.expr(&f.filter)?, self.stmts(&f.body)?)
            }
            other => return self.module_stmt(other),
        })
    }

    fn module_stmt(&mut self, stmt: &j::Stmt<'_>) -> Result<Stmt> {
        Ok(match stmt {
            j::Stmt::Block(b) => {
                let block = Arc::new(Block {
                    name: b.name.to_owned(),
                    body: self.stmts(&b.body)?,
                });
                self.blocks.insert(b.name.to_owned(), Arc::clone(&block));
                Stmt::Block(block)
            }
            j::Stmt::Extends(e) => Stmt::Extends(self.expr(&e.name)?),
            j::Stmt::Include(i) => Stmt::Include(self.expr(&i.name)?, i.ignore_missing),
            j::Stmt::Import(i) => Stmt::Import(self.expr(&i.expr)?, name_of(&i.name)?),
            j::Stmt::FromImport(i) => {
                let mut names = Vec::with_capacity(i.names.len());
                for (name, alias) in &i.names {
                    let name = name_of(name)?;
                    let alias = alias.as_ref().map_or_else(|| Ok(name.clone()), name_of)?;
                    names.push((name, alias));
                }
                Stmt::FromImport(self.expr(&i.expr)?, names)
            }
            j::Stmt::Macro(m) => Stmt::Macro(self.macro_(m)?),
            j::Stmt::CallBlock(c) => {
                Stmt::CallBlock(self.call(&c.call)?, self.macro_(&c.macro_decl)?)
            }
            j::Stmt::Do(d) => Stmt::Do(self.call(&d.call)?),
            j::Stmt::Continue(_) => Stmt::Continue,
            j::Stmt::Break(_) => Stmt::Break,
            _ => return Err(unsupported("this statement")),
        })
    }

    fn macro_(&mut self, m: &j::Macro<'_>) -> Result<Arc<Macro>> {
        let first_default = m.args.len() - m.defaults.len();
        let mut params = Vec::with_capacity(m.args.len());
        for (i, arg) in m.args.iter().enumerate() {
            let default = i
                .checked_sub(first_default)
                .and_then(|d| m.defaults.get(d))
                .map(|e| self.expr(e))
                .transpose()?;
            params.push((name_of(arg)?, default));
        }
        Ok(Arc::new(Macro {
            name: Arc::from(m.name),
            params,
            body: self.stmts(&m.body)?,
        }))
    }

    fn target(target: &j::Expr<'_>) -> Result<Target> {
        Ok(match target {
            j::Expr::Var(v) => Target::Name(Arc::from(v.id)),
            j::Expr::GetAttr(a) => Target::Attr(name_of(&a.expr)?, a.name.to_owned()),
            j::Expr::Tuple(t) => {
                Target::Tuple(t.items.iter().map(Self::target).collect::<Result<_>>()?)
            }
            j::Expr::List(l) => {
                Target::Tuple(l.items.iter().map(Self::target).collect::<Result<_>>()?)
            }
            _ => return Err(unsupported("this target of an assignment")),
        })
    }

    fn at(&self, expr: &j::Expr<'_>) -> u32 {
        let start = expr.span().start_offset as usize;
        u32::try_from(unshift(start, &self.shifts)).unwrap_or(u32::MAX)
    }

    fn boxed(&mut self, expr: &j::Expr<'_>) -> Result<Box<Expr>> {
        self.expr(expr).map(Box::new)
    }

    fn option(&mut self, expr: Option<&j::Expr<'_>>) -> Result<Option<Box<Expr>>> {
        expr.map(|e| self.boxed(e)).transpose()
    }

    fn exprs(&mut self, list: &[j::Expr<'_>]) -> Result<Vec<Expr>> {
        list.iter().map(|e| self.expr(e)).collect()
    }

    fn call(&mut self, call: &j::Spanned<j::Call<'_>>) -> Result<Expr> {
        let callee = self.boxed(&call.expr)?;
        let at = callee.at;
        Ok(Expr {
            at,
            kind: ExprKind::Call(callee, self.args(&call.args)?),
        })
    }

    fn args(&mut self, args: &[j::CallArg<'_>]) -> Result<Vec<Arg>> {
        args.iter()
            .map(|arg| {
                Ok(match arg {
                    j::CallArg::Pos(e) => Arg::One(self.expr(e)?),
                    j::CallArg::Kwarg(name, e) => Arg::Named(Arc::from(*name), self.expr(e)?),
                    j::CallArg::PosSplat(e) => Arg::Spread(self.expr(e)?),
                    j::CallArg::KwargSplat(e) => Arg::SpreadNamed(self.expr(e)?),
                })
            })
            .collect()
    }

    fn expr(&mut self, expr: &j::Expr<'_>) -> Result<Expr> {
        let at = self.at(expr);
        let kind = match expr {
            j::Expr::Var(v) => ExprKind::Var(Arc::from(v.id)),
            j::Expr::Const(c) => ExprKind::Const(constant(&c.value)?),
            j::Expr::Slice(s) => ExprKind::Slice(
                self.boxed(&s.expr)?,
                [
                    self.option(s.start.as_ref())?,
                    self.option(s.stop.as_ref())?,
                    self.option(s.step.as_ref())?,
                ],
            ),
            j::Expr::UnaryOp(u) => match u.op {
                j::UnaryOpKind::Not => ExprKind::Not(self.boxed(&u.expr)?),
                j::UnaryOpKind::Neg => ExprKind::Neg(self.boxed(&u.expr)?),
            },
            j::Expr::BinOp(b) => self.binary(b)?,
            j::Expr::Compare(c) => {
                let mut ops = Vec::with_capacity(c.ops.len());
                for op in &c.ops {
                    ops.push((comparison(op.op), self.expr(&op.expr)?));
                }
                ExprKind::Compare(self.boxed(&c.expr)?, ops)
            }
            j::Expr::IfExpr(i) => ExprKind::If(
                self.boxed(&i.test_expr)?,
                self.boxed(&i.true_expr)?,
                self.option(i.false_expr.as_ref())?,
            ),
            j::Expr::Filter(f) => {
                let input = match &f.expr {
                    Some(e) => self.boxed(e)?,
                    None => Box::new(Expr {
                        at,
                        kind: ExprKind::Captured,
                    }),
                };
                ExprKind::Filter(plugin_name(f.name), input, self.args(&f.args)?)
            }
            j::Expr::Test(t) => ExprKind::Test(
                plugin_name(t.name),
                self.boxed(&t.expr)?,
                self.args(&t.args)?,
            ),
            j::Expr::GetAttr(a) => ExprKind::Attr(self.boxed(&a.expr)?, Arc::from(a.name)),
            j::Expr::GetItem(i) => {
                ExprKind::Item(self.boxed(&i.expr)?, self.boxed(&i.subscript_expr)?)
            }
            j::Expr::Call(c) => return self.call(c),
            j::Expr::List(l) => ExprKind::List(self.exprs(&l.items)?),
            j::Expr::Tuple(t) => ExprKind::Tuple(self.exprs(&t.items)?),
            j::Expr::Map(m) => {
                let keys = self.exprs(&m.keys)?;
                let values = self.exprs(&m.values)?;
                ExprKind::Dict(keys.into_iter().zip(values).collect())
            }
        };
        Ok(Expr { at, kind })
    }

    fn binary(&mut self, b: &j::BinOp<'_>) -> Result<ExprKind> {
        let left = self.boxed(&b.left)?;
        let right = self.boxed(&b.right)?;
        let compare = |op, left, right: Box<Expr>| ExprKind::Compare(left, vec![(op, *right)]);
        Ok(match b.op {
            j::BinOpKind::Eq => compare(Comparison::Eq, left, right),
            j::BinOpKind::Ne => compare(Comparison::Ne, left, right),
            j::BinOpKind::Lt => compare(Comparison::Lt, left, right),
            j::BinOpKind::Lte => compare(Comparison::Le, left, right),
            j::BinOpKind::Gt => compare(Comparison::Gt, left, right),
            j::BinOpKind::Gte => compare(Comparison::Ge, left, right),
            j::BinOpKind::In => compare(Comparison::In, left, right),
            j::BinOpKind::ScAnd => ExprKind::And(left, right),
            j::BinOpKind::ScOr => ExprKind::Or(left, right),
            j::BinOpKind::Add => ExprKind::Binary(Operator::Add, left, right),
            j::BinOpKind::Sub => ExprKind::Binary(Operator::Sub, left, right),
            j::BinOpKind::Mul => ExprKind::Binary(Operator::Mul, left, right),
            j::BinOpKind::Div => ExprKind::Binary(Operator::Div, left, right),
            j::BinOpKind::FloorDiv => ExprKind::Binary(Operator::FloorDiv, left, right),
            j::BinOpKind::Rem => ExprKind::Binary(Operator::Rem, left, right),
            j::BinOpKind::Pow => ExprKind::Binary(Operator::Pow, left, right),
            j::BinOpKind::Concat => ExprKind::Binary(Operator::Concat, left, right),
        })
    }
}

fn comparison(op: j::CompareOpKind) -> Comparison {
    match op {
        j::CompareOpKind::Eq => Comparison::Eq,
        j::CompareOpKind::Ne => Comparison::Ne,
        j::CompareOpKind::Lt => Comparison::Lt,
        j::CompareOpKind::Lte => Comparison::Le,
        j::CompareOpKind::Gt => Comparison::Gt,
        j::CompareOpKind::Gte => Comparison::Ge,
        j::CompareOpKind::In => Comparison::In,
        j::CompareOpKind::NotIn => Comparison::NotIn,
    }
}

fn name_of(expr: &j::Expr<'_>) -> Result<Arc<str>> {
    match expr {
        j::Expr::Var(v) => Ok(Arc::from(v.id)),
        _ => Err(unsupported("anything but a name here")),
    }
}

/// The short name of a filter, test or lookup of ansible-core.
pub(crate) fn plugin_name(name: &str) -> String {
    name.strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name)
        .to_owned()
}

fn constant(value: &minijinja::Value) -> Result<Value> {
    use minijinja::value::ValueKind;
    Ok(match value.kind() {
        ValueKind::None | ValueKind::Undefined => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::String => {
            // A constant that looks like a template is rendered in conditionals and in the terms
            // of a lookup, as in ansible-core 2.19; everywhere else it is data.
            Value::Str(Text::from_user(value.as_str().unwrap_or_default()))
        }
        ValueKind::Number => match value.as_i64() {
            Some(i) if value.is_integer() => Value::Int(i),
            _ if value.is_integer() => {
                return Err(Problem::new(
                    ErrorKind::Syntax,
                    format!("the integer {value} does not fit into 64 bits"),
                ));
            }
            _ => Value::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        },
        other => return Err(unsupported(&format!("a constant of type {other}"))),
    })
}
