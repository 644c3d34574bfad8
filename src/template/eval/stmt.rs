//! Statements: what a template does besides giving values.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::{Eval, Frame, Layers, ScopeId};
use crate::template::ast::{Expr, For, Macro, Program, Stmt, Target};
use crate::template::error::{ErrorKind, Problem, Result};
use crate::template::val::{Args, Dict, LoopVal, MacroVal, Val};

/// Whether the enclosing loop goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Nodes = Vec<Val>;

impl Eval<'_> {
    /// Runs a program and joins its nodes.
    pub(crate) fn run(&self, program: &Program, frame: &mut Frame) -> Result<Val> {
        let nodes = self.nodes(program, frame)?;
        self.concat(nodes)
    }

    fn nodes(&self, program: &Program, frame: &mut Frame) -> Result<Nodes> {
        if program.body.iter().any(|s| matches!(s, Stmt::Extends(_))) {
            return self.child_template(program, frame);
        }
        let mut nodes = Nodes::new();
        self.stmts(&program.body, frame, &mut nodes)?;
        Ok(nodes)
    }

    /// Joins nodes: none is null, one keeps its type, more make a string
    /// (ansible-core 2.19, `_jinja_bits.py`, `AnsibleEnvironment.concat`).
    fn concat(&self, mut nodes: Nodes) -> Result<Val> {
        nodes.retain(|node| !matches!(node, Val::Null));
        if nodes.len() <= 1 {
            return Ok(nodes.pop().unwrap_or(Val::Null));
        }
        let mut out = String::new();
        for node in nodes {
            if let Val::Marker(_) = node {
                return Ok(node);
            }
            let start = out.len();
            self.write_text(&node, &mut out)?;
            self.produce(out.len() - start)?;
        }
        Ok(Val::str(out))
    }

    fn text_of(&self, stmts: &[Stmt], frame: &mut Frame) -> Result<Val> {
        let mut nodes = Nodes::new();
        frame.push();
        let done = self.stmts(stmts, frame, &mut nodes);
        frame.pop();
        done?;
        match self.concat(nodes)? {
            Val::Null => Ok(Val::str("")),
            other => Ok(other),
        }
    }

    fn stmts(&self, stmts: &[Stmt], frame: &mut Frame, out: &mut Nodes) -> Result<Flow> {
        for stmt in stmts {
            let flow = self.stmt(stmt, frame, out)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn stmt(&self, stmt: &Stmt, frame: &mut Frame, out: &mut Nodes) -> Result<Flow> {
        self.step(1)?;
        match stmt {
            Stmt::Raw(text) => out.push(Val::str(text.clone())),
            Stmt::Emit(expr) => {
                let value = self.expr(expr, frame)?;
                out.push(Self::emitted(value));
            }
            Stmt::For(node) => return self.for_loop(node, frame, out),
            Stmt::If(test, yes, no) => {
                let value = self.expr(test, frame)?;
                let branch = if self.truth(&value).map_err(|p| at(p, test))? {
                    yes
                } else {
                    no
                };
                return self.stmts(branch, frame, out);
            }
            Stmt::Scoped(body) => return self.stmts(body, frame, out),
            Stmt::With(assignments, body) => {
                let mut values = Vec::with_capacity(assignments.len());
                for (_, expr) in assignments {
                    values.push(self.expr(expr, frame)?);
                }
                frame.push();
                for ((target, _), value) in assignments.iter().zip(values) {
                    self.assign(target, value, frame)?;
                }
                let flow = self.stmts(body, frame, out);
                frame.pop();
                return flow;
            }
            Stmt::Set(target, expr) => {
                let value = self.expr(expr, frame)?;
                self.assign(target, value, frame)?;
            }
            Stmt::SetBlock(target, filter, body) => {
                let mut value = self.text_of(body, frame)?;
                if let Some(filter) = filter {
                    value = self.filtered(filter, value, frame)?;
                }
                self.assign(target, value, frame)?;
            }
            Stmt::FilterBlock(filter, body) => {
                let text = self.text_of(body, frame)?;
                out.push(self.filtered(filter, text, frame)?);
            }
            Stmt::Do(expr) => {
                let value = self.expr(expr, frame)?;
                Self::require(value)?;
            }
            Stmt::Break => return Ok(Flow::Break),
            Stmt::Continue => return Ok(Flow::Continue),
            modular => self.modular(modular, frame, out)?,
        }
        Ok(Flow::Next)
    }

    fn emitted(value: Val) -> Val {
        match value {
            Val::Module(module) => Val::str(module.1.clone()),
            other => other,
        }
    }

    fn filtered(&self, filter: &Expr, input: Val, frame: &mut Frame) -> Result<Val> {
        let outer = frame.captured.replace(input);
        let result = self.expr(filter, frame);
        frame.captured = outer;
        result
    }

    fn assign(&self, target: &Target, value: Val, frame: &mut Frame) -> Result<()> {
        match target {
            Target::Name(name) => frame.set(name, value),
            Target::Attr(name, attribute) => match self.name(name, frame)? {
                Val::Namespace(entries) => {
                    entries.borrow_mut().insert(attribute.clone(), value);
                }
                other => {
                    return Err(Problem::other(format!(
                        "cannot assign attribute on non-namespace object of type '{}'",
                        other.type_name()
                    )));
                }
            },
            Target::Tuple(targets) => {
                let items = self.items(&value)?;
                if items.len() != targets.len() {
                    return Err(Problem::other(format!(
                        "cannot unpack {} values into {} names",
                        items.len(),
                        targets.len()
                    )));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item, frame)?;
                }
            }
        }
        Ok(())
    }

    fn for_loop(&self, node: &Arc<For>, frame: &mut Frame, out: &mut Nodes) -> Result<Flow> {
        let iter = self.expr(&node.iter, frame)?;
        let items = self.items(&iter).map_err(|p| at(p, &node.iter))?;
        self.loop_over(node, items, 0, frame, out)?;
        Ok(Flow::Next)
    }

    fn loop_over(
        &self,
        node: &Arc<For>,
        mut items: Vec<Val>,
        depth: usize,
        frame: &mut Frame,
        out: &mut Nodes,
    ) -> Result<()> {
        if let Some(filter) = &node.filter {
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                frame.push();
                let keep = self
                    .assign(&node.target, item.clone(), frame)
                    .and_then(|()| self.expr(filter, frame))
                    .and_then(|v| self.truth(&v));
                frame.pop();
                if keep? {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            frame.push();
            let done = self.stmts(&node.otherwise, frame, out);
            frame.pop();
            return done.map(|_| ());
        }
        let outer: Layers = frame.layers.clone();
        let changed = Rc::new(RefCell::new(None));
        let name: Arc<str> = Arc::from("loop");
        for (index, item) in items.iter().enumerate() {
            let recursive = node
                .recursive
                .then(|| (Arc::clone(node), outer.clone(), frame.scope));
            let state = LoopVal {
                index,
                length: items.len(),
                depth,
                previous: index.checked_sub(1).map(|i| items[i].clone()),
                next: items.get(index + 1).cloned(),
                last_changed: Rc::clone(&changed),
                recursive,
            };
            frame.push();
            frame.set(&name, Val::Loop(Rc::new(state)));
            let flow = self
                .assign(&node.target, item.clone(), frame)
                .and_then(|()| self.stmts(&node.body, frame, out));
            frame.pop();
            if flow? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    /// `loop(children)` in a recursive loop.
    pub(crate) fn recurse(&self, state: &LoopVal, items: &Val) -> Result<Val> {
        let Some((node, layers, scope)) = &state.recursive else {
            return Err(Problem::other(
                "the loop must be marked recursive to call `loop()`",
            ));
        };
        let items = self.items(items)?;
        let mut frame = Frame::with_layers(*scope, layers.clone());
        let mut nodes = Nodes::new();
        self.nested(|| self.loop_over(node, items, state.depth + 1, &mut frame, &mut nodes))?;
        self.concat(nodes)
    }

    fn modular(&self, stmt: &Stmt, frame: &mut Frame, out: &mut Nodes) -> Result<()> {
        match stmt {
            Stmt::Macro(macro_) => {
                let value = Val::Macro(Self::closure(macro_, frame));
                frame.set(&macro_.name, value);
            }
            Stmt::CallBlock(call, caller) => {
                frame.push();
                frame.set(
                    &Arc::from("caller"),
                    Val::Macro(Self::closure(caller, frame)),
                );
                let caller = Val::Macro(Self::closure(caller, frame));
                let value = self.call_with_caller(call, caller, frame);
                frame.pop();
                out.push(value?);
            }
            Stmt::Block(block) => {
                let name = block.name.clone();
                frame
                    .blocks
                    .borrow_mut()
                    .entry(name.clone())
                    .or_default()
                    .push(block.clone());
                out.push(self.block(&name, 0, frame)?);
            }
            Stmt::Include(name, ignore_missing) => {
                self.include(name, *ignore_missing, frame, out)?;
            }
            Stmt::Import(name, target) => {
                let module = self.module(name, frame)?;
                frame.set(target, module);
            }
            Stmt::FromImport(name, names) => {
                let module = self.module(name, frame)?;
                for (name, alias) in names {
                    let value = self.attr(&module, name)?;
                    frame.set(alias, value);
                }
            }
            _ => return Err(Problem::other("this statement cannot stand here")),
        }
        Ok(())
    }

    fn closure(macro_: &Arc<Macro>, frame: &Frame) -> Rc<MacroVal> {
        Rc::new(MacroVal {
            macro_: Arc::clone(macro_),
            layers: frame.layers.clone(),
            scope: frame.scope,
        })
    }

    /// Calls a macro; what it renders is its value.
    pub(crate) fn call_macro(&self, value: &MacroVal, args: Args) -> Result<Val> {
        let mut frame = Frame::with_layers(value.scope, value.layers.clone());
        let macro_ = &value.macro_;
        let mut list = args.list.into_iter();
        let mut named = args.named;
        for (name, default) in &macro_.params {
            let given = list.next().or_else(|| {
                named
                    .iter()
                    .position(|(n, _)| n == name)
                    .map(|i| named.swap_remove(i).1)
            });
            let value = match (given, default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.expr(default, &frame)?,
                (None, None) => Self::undefined(format!("parameter '{name}' was not provided")),
            };
            frame.set(name, value);
        }
        let caller = named.iter().position(|(n, _)| &**n == "caller");
        if let Some(i) = caller {
            let (name, value) = named.swap_remove(i);
            frame.set(&name, value);
        }
        let kwargs: Dict = named.into_iter().map(|(n, v)| (n.to_string(), v)).collect();
        frame.set(&Arc::from("kwargs"), Val::dict(kwargs));
        frame.set(&Arc::from("varargs"), Val::tuple(list.collect()));
        self.nested(|| self.text_of(&macro_.body, &mut frame))
    }

    /// Renders the innermost definition of a block, or the `level`th outer one for `super()`.
    pub(crate) fn block(&self, name: &str, level: usize, frame: &Frame) -> Result<Val> {
        let found = frame
            .blocks
            .borrow()
            .get(name)
            .and_then(|l| l.get(level).cloned());
        let Some(block) = found else {
            return Err(Problem::other(format!(
                "there is no parent block called '{name}'"
            )));
        };
        let mut inner = Frame::with_layers(frame.scope, frame.layers.clone());
        inner.blocks = Rc::clone(&frame.blocks);
        inner.block = Some((name.to_owned(), level));
        self.nested(|| self.text_of(&block.body, &mut inner))
    }

    /// A template that `extends` another: its blocks override, its other text is dropped.
    fn child_template(&self, program: &Program, frame: &mut Frame) -> Result<Nodes> {
        for (name, block) in &program.blocks {
            frame
                .blocks
                .borrow_mut()
                .entry(name.clone())
                .or_default()
                .push(block.clone());
        }
        let mut parent = None;
        let mut dropped = Nodes::new();
        for stmt in &program.body {
            match stmt {
                Stmt::Extends(name) => parent = Some(self.expr(name, frame)?),
                Stmt::Block(_) | Stmt::Raw(_) | Stmt::Emit(_) => {}
                other => {
                    self.stmt(other, frame, &mut dropped)?;
                }
            }
        }
        let parent = Self::require(parent.unwrap_or(Val::Null))?;
        let Some(source) = self.source(&parent)? else {
            return Err(not_found(&parent));
        };
        let program = self.engine.file(&source)?;
        self.nested(|| self.nodes(&program, frame))
    }

    /// The text of the template that an `include`, `import` or `extends` names.
    fn source(&self, name: &Val) -> Result<Option<String>> {
        let candidates = if name.is_sequence() {
            self.items(name)?
        } else {
            vec![name.clone()]
        };
        for candidate in candidates {
            let name = self.string(&candidate)?;
            if let Some(path) = self.world.search_path("templates", &name) {
                let bytes = self.world.read_file(&path).map_err(Problem::other)?;
                return String::from_utf8(bytes)
                    .map(Some)
                    .map_err(|_| Problem::other(format!("`{}` is not UTF-8", path.display())));
            }
        }
        Ok(None)
    }

    fn include(
        &self,
        name: &Expr,
        ignore_missing: bool,
        frame: &mut Frame,
        out: &mut Nodes,
    ) -> Result<()> {
        let name = Self::require(self.expr(name, frame)?)?;
        let Some(source) = self.source(&name)? else {
            return if ignore_missing {
                Ok(())
            } else {
                Err(not_found(&name))
            };
        };
        let program = self.engine.file(&source)?;
        let mut inner = Frame::with_layers(frame.scope, frame.layers.clone());
        let nodes = self
            .nested(|| self.nodes(&program, &mut inner))
            .map_err(|mut p| {
                p.text.get_or_insert(source);
                p
            })?;
        out.extend(nodes);
        Ok(())
    }

    fn module(&self, name: &Expr, frame: &mut Frame) -> Result<Val> {
        let name = Self::require(self.expr(name, frame)?)?;
        let Some(source) = self.source(&name)? else {
            return Err(not_found(&name));
        };
        let program = self.engine.file(&source)?;
        let scope: ScopeId = frame.scope;
        let mut inner = Frame::with_layers(scope, frame.layers.clone());
        let body = self.nested(|| self.run(&program, &mut inner))?;
        let text = if let Val::Null = body {
            String::new()
        } else {
            self.text(&body)?
        };
        let mut names = Dict::new();
        if let Some(layer) = inner.layers.last() {
            for (name, value) in layer.borrow().iter() {
                names.insert(name.to_string(), value.clone());
            }
        }
        Ok(Val::Module(Rc::new((RefCell::new(names), text))))
    }
}

fn not_found(name: &Val) -> Box<Problem> {
    Problem::other(format!(
        "template not found: '{}'",
        name.as_str().unwrap_or("(a list of names)")
    ))
}

/// Adds the place of an expression to a problem that has none.
pub(super) fn at(mut problem: Box<Problem>, expr: &Expr) -> Box<Problem> {
    if problem.offset.is_none() && problem.text.is_none() && problem.kind != ErrorKind::Limit {
        problem.offset = Some(expr.at as usize);
    }
    problem
}
