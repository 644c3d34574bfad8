//! Expressions.

use std::rc::Rc;
use std::sync::Arc;

use super::stmt::at;
use super::{Eval, Frame};
use crate::template::ast::{Arg, Comparison, Expr, ExprKind};
use crate::template::error::{Problem, Result};
use crate::template::val::{Args, Dict, Val};
use crate::value::Value;

impl Eval<'_> {
    /// The value of an expression; undefined values are values.
    pub(crate) fn expr(&self, expr: &Expr, frame: &Frame) -> Result<Val> {
        self.step(1)?;
        match self.inside(|| self.expr_kind(expr, frame)) {
            Ok(Val::Marker(problem)) if problem.offset.is_none() && problem.text.is_none() => {
                let mut problem = (*problem).clone();
                problem.offset = Some(expr.at as usize);
                Ok(Val::Marker(Rc::new(problem)))
            }
            Ok(value) => Ok(value),
            Err(problem) => Err(at(problem, expr)),
        }
    }

    fn expr_kind(&self, expr: &Expr, frame: &Frame) -> Result<Val> {
        match &expr.kind {
            ExprKind::Var(name) => self.name(name, frame),
            ExprKind::Const(value) => self.constant(value, frame),
            ExprKind::Captured => Ok(frame.captured.clone().unwrap_or(Val::Null)),
            ExprKind::Not(e) => Ok(Val::Bool(!self.truth(&self.expr(e, frame)?)?)),
            ExprKind::Neg(e) => Self::negate(self.expr(e, frame)?),
            ExprKind::And(a, b) => {
                let left = self.expr(a, frame)?;
                if self.truth(&left)? {
                    self.expr(b, frame)
                } else {
                    Ok(left)
                }
            }
            ExprKind::Or(a, b) => {
                let left = self.expr(a, frame)?;
                if self.truth(&left)? {
                    Ok(left)
                } else {
                    self.expr(b, frame)
                }
            }
            ExprKind::Binary(op, a, b) => {
                let left = Self::require(self.expr(a, frame)?)?;
                let right = Self::require(self.expr(b, frame)?)?;
                self.binary(*op, &left, &right)
            }
            ExprKind::Compare(first, rest) => self.comparisons(first, rest, frame),
            ExprKind::If(test, yes, no) => {
                if self.truth(&self.expr(test, frame)?)? {
                    self.expr(yes, frame)
                } else if let Some(no) = no {
                    self.expr(no, frame)
                } else {
                    Ok(Val::Blank)
                }
            }
            ExprKind::Filter(name, input, args) => {
                let input = self.expr(input, frame)?;
                let args = self.args(args, frame)?;
                self.filter(name, input, &args)
            }
            ExprKind::Test(name, input, args) => {
                let input = self.expr(input, frame)?;
                let args = self.args(args, frame)?;
                self.test(name, &input, &args)
            }
            ExprKind::Attr(base, name) => {
                let base = self.expr(base, frame)?;
                self.attr(&base, name)
            }
            ExprKind::Item(base, key) => {
                let base = self.expr(base, frame)?;
                let key = self.expr(key, frame)?;
                self.item(&base, &key)
            }
            ExprKind::Slice(base, bounds) => self.slice_expr(base, bounds, frame),
            ExprKind::Call(callee, args) => self.call_expr(callee, args, frame),
            ExprKind::List(items) => Ok(Val::list(self.exprs(items, frame)?)),
            ExprKind::Tuple(items) => Ok(Val::tuple(self.exprs(items, frame)?)),
            ExprKind::Dict(entries) => self.dict(entries, frame),
        }
    }

    fn dict(&self, entries: &[(Expr, Expr)], frame: &Frame) -> Result<Val> {
        let mut dict = Dict::with_capacity(entries.len());
        for (key, value) in entries {
            let key = Self::require(self.expr(key, frame)?)?;
            dict.insert(self.key(&key)?, self.expr(value, frame)?);
        }
        Ok(Val::dict(dict))
    }

    fn exprs(&self, list: &[Expr], frame: &Frame) -> Result<Vec<Val>> {
        list.iter().map(|e| self.expr(e, frame)).collect()
    }

    /// A name: set in the template, a variable, or a function.
    pub(crate) fn name(&self, name: &Arc<str>, frame: &Frame) -> Result<Val> {
        match frame.local(name) {
            Some(value) => Ok(value),
            None if &**name == "super" && frame.block.is_some() => Ok(Val::Function("super")),
            None => self.variable(frame.scope, name),
        }
    }

    fn constant(&self, value: &Value, frame: &Frame) -> Result<Val> {
        match value {
            Value::Str(text) if text.is_template() => {
                if self.renders_constants.get() {
                    self.world.warn(
                        "a conditional contains a string that is itself a template; write the \
                         variable without quotes and braces",
                    );
                    return self.render_text(text, frame.scope);
                }
                Ok(Val::Str(text.clone()))
            }
            Value::Str(text) => Ok(Val::Str(text.clone())),
            other => Ok(Val::data(other.clone())),
        }
    }

    fn comparisons(&self, first: &Expr, rest: &[(Comparison, Expr)], frame: &Frame) -> Result<Val> {
        let mut left = Self::require(self.expr(first, frame)?)?;
        for (op, expr) in rest {
            let right = Self::require(self.expr(expr, frame)?)?;
            if !self.compare(*op, &left, &right)? {
                return Ok(Val::Bool(false));
            }
            left = right;
        }
        Ok(Val::Bool(true))
    }

    fn slice_expr(
        &self,
        base: &Expr,
        bounds: &[Option<Box<Expr>>; 3],
        frame: &Frame,
    ) -> Result<Val> {
        let base = Self::require(self.expr(base, frame)?)?;
        let mut numbers = [None; 3];
        for (number, bound) in numbers.iter_mut().zip(bounds) {
            let Some(expr) = bound else { continue };
            *number = match Self::require(self.expr(expr, frame)?)? {
                Val::Null => None,
                Val::Int(i) => Some(i),
                Val::Bool(b) => Some(i64::from(b)),
                other => {
                    return Err(Problem::other(format!(
                        "slice indices must be integers, not '{}'",
                        other.type_name()
                    )));
                }
            };
        }
        self.slice(&base, numbers)
    }

    fn args(&self, args: &[Arg], frame: &Frame) -> Result<Args> {
        let mut out = Args::default();
        for arg in args {
            match arg {
                Arg::One(e) => out.list.push(self.expr(e, frame)?),
                Arg::Named(name, e) => out.named.push((name.clone(), self.expr(e, frame)?)),
                Arg::Spread(e) => {
                    let value = self.expr(e, frame)?;
                    out.list.extend(self.items(&value)?);
                }
                Arg::SpreadNamed(e) => {
                    let value = Self::require(self.expr(e, frame)?)?;
                    for (name, value) in self.entries(&value)? {
                        out.named.push((Arc::from(name), value));
                    }
                }
            }
        }
        Ok(out)
    }

    fn call_expr(&self, callee: &Expr, args: &[Arg], frame: &Frame) -> Result<Val> {
        if let ExprKind::Attr(base, name) = &callee.kind {
            if matches!(&base.kind, ExprKind::Var(v) if &**v == "self") {
                return self.block(name, 0, frame);
            }
            let base = self.expr(base, frame)?;
            if let Val::Marker(_) = base {
                return Ok(base);
            }
            let args = self.args(args, frame)?;
            return self.call_method(&base, name, args);
        }
        let function = self.expr(callee, frame)?;
        let args = self.args(args, frame)?;
        self.call(function, args, frame)
    }

    /// `{% call f(x) %}body{% endcall %}`: calls with the body as `caller`.
    pub(crate) fn call_with_caller(&self, call: &Expr, caller: Val, frame: &Frame) -> Result<Val> {
        let ExprKind::Call(target, args) = &call.kind else {
            return Err(Problem::other("a call block must call a macro"));
        };
        let function = self.expr(target, frame)?;
        let mut args = self.args(args, frame)?;
        args.named.push((Arc::from("caller"), caller));
        self.call(function, args, frame)
    }
}
