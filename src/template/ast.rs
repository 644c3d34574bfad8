//! A parsed template, owned, so that it can be cached and shared between threads.
//!
//! The grammar is minijinja's: [`super::parse`] turns its tree into this one. Offsets are bytes in
//! the template's own text.

use std::collections::HashMap;
use std::sync::Arc;

use crate::value::Value;

/// A compiled template or expression.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) body: Vec<Stmt>,
    pub(crate) blocks: HashMap<String, Arc<Block>>,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) body: Vec<Stmt>,
}

#[derive(Debug)]
pub(crate) enum Stmt {
    Raw(Arc<str>),
    Emit(Expr),
    For(Arc<For>),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    With(Vec<(Target, Expr)>, Vec<Stmt>),
    Set(Target, Expr),
    SetBlock(Target, Option<Expr>, Vec<Stmt>),
    FilterBlock(Expr, Vec<Stmt>),
    Block(Arc<Block>),
    Extends(Expr),
    Include(Expr, bool),
    Import(Expr, Arc<str>),
    FromImport(Expr, Vec<(Arc<str>, Arc<str>)>),
    Macro(Arc<Macro>),
    CallBlock(Expr, Arc<Macro>),
    Do(Expr),
    Scoped(Vec<Stmt>),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) iter: Expr,
    pub(crate) filter: Option<Expr>,
    pub(crate) recursive: bool,
    pub(crate) body: Vec<Stmt>,
    pub(crate) otherwise: Vec<Stmt>,
}

#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) name: Arc<str>,
    pub(crate) params: Vec<(Arc<str>, Option<Expr>)>,
    pub(crate) body: Vec<Stmt>,
}

/// What `for`, `set` and `with` assign to.
#[derive(Debug)]
pub(crate) enum Target {
    Name(Arc<str>),
    Attr(Arc<str>, String),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: u32,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Var(Arc<str>),
    Const(Value),
    /// The value of the enclosing filter block.
    Captured,
    Not(Box<Expr>),
    Neg(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    If(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    Filter(String, Box<Expr>, Vec<Arg>),
    Test(String, Box<Expr>, Vec<Arg>),
    Attr(Box<Expr>, Arc<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Vec<Arg>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
}

#[derive(Debug)]
pub(crate) enum Arg {
    One(Expr),
    Named(Arc<str>, Expr),
    Spread(Expr),
    SpreadNamed(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
    Concat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}
