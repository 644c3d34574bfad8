//! Which names a template mentions.

use std::collections::BTreeSet;

use super::ast::{Arg, Expr, ExprKind, Program, Stmt};

/// Adds the names that a program mentions.
pub(crate) fn collect(program: &Program, names: &mut BTreeSet<String>) {
    stmts(&program.body, names);
}

fn stmts(list: &[Stmt], names: &mut BTreeSet<String>) {
    for stmt in list {
        match stmt {
            Stmt::Emit(e)
            | Stmt::Extends(e)
            | Stmt::Include(e, _)
            | Stmt::Do(e)
            | Stmt::Set(_, e)
            | Stmt::Import(e, _)
            | Stmt::FromImport(e, _) => expr(e, names),
            Stmt::If(e, yes, no) => {
                expr(e, names);
                stmts(yes, names);
                stmts(no, names);
            }
            Stmt::For(node) => {
                expr(&node.iter, names);
                if let Some(filter) = &node.filter {
                    expr(filter, names);
                }
                stmts(&node.body, names);
                stmts(&node.otherwise, names);
            }
            Stmt::With(assignments, body) => {
                for (_, value) in assignments {
                    expr(value, names);
                }
                stmts(body, names);
            }
            Stmt::SetBlock(_, filter, body) => {
                if let Some(filter) = filter {
                    expr(filter, names);
                }
                stmts(body, names);
            }
            Stmt::FilterBlock(e, body) => {
                expr(e, names);
                stmts(body, names);
            }
            Stmt::Block(block) => stmts(&block.body, names),
            Stmt::Macro(m) => {
                m.params
                    .iter()
                    .filter_map(|(_, d)| d.as_ref())
                    .for_each(|e| expr(e, names));
                stmts(&m.body, names);
            }
            Stmt::CallBlock(e, m) => {
                expr(e, names);
                stmts(&m.body, names);
            }
            Stmt::Scoped(body) => stmts(body, names),
            Stmt::Raw(_) | Stmt::Break | Stmt::Continue => {}
        }
    }
}

fn args(list: &[Arg], names: &mut BTreeSet<String>) {
    for arg in list {
        match arg {
            Arg::One(e) | Arg::Named(_, e) | Arg::Spread(e) | Arg::SpreadNamed(e) => expr(e, names),
        }
    }
}

fn expr(e: &Expr, names: &mut BTreeSet<String>) {
    match &e.kind {
        ExprKind::Var(name) => {
            names.insert(name.to_string());
        }
        ExprKind::Const(_) | ExprKind::Captured => {}
        ExprKind::Not(a) | ExprKind::Neg(a) | ExprKind::Attr(a, _) => expr(a, names),
        ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::Binary(_, a, b)
        | ExprKind::Item(a, b) => {
            expr(a, names);
            expr(b, names);
        }
        ExprKind::Compare(a, rest) => {
            expr(a, names);
            for (_, b) in rest {
                expr(b, names);
            }
        }
        ExprKind::If(a, b, c) => {
            expr(a, names);
            expr(b, names);
            if let Some(c) = c {
                expr(c, names);
            }
        }
        ExprKind::Filter(_, a, list) | ExprKind::Test(_, a, list) | ExprKind::Call(a, list) => {
            expr(a, names);
            args(list, names);
        }
        ExprKind::Slice(a, bounds) => {
            expr(a, names);
            for bound in bounds.iter().flatten() {
                expr(bound, names);
            }
        }
        ExprKind::List(items) | ExprKind::Tuple(items) => {
            for item in items {
                expr(item, names);
            }
        }
        ExprKind::Dict(entries) => {
            for (key, value) in entries {
                expr(key, names);
                expr(value, names);
            }
        }
    }
}
