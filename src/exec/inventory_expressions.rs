//! The expressions of constructed inventories, evaluated before the run.
//!
//! Invariant: an expression sees the variables that it is given and no host.

use std::sync::Arc;

use super::controller::View;
use super::project::{lone_view, problem};
use super::world::ControllerWorld;
use crate::inventory::Expressions;
use crate::template::{Engine, Rendered, TemplateError};
use crate::value::{Map, Value};

/// Evaluates with the template engine.
#[derive(Debug, Default)]
pub struct InventoryExpressions {
    engine: Engine,
    extra_vars: Map,
}

impl InventoryExpressions {
    /// Expressions that may see these variables of the command line.
    pub fn new(extra_vars: Map) -> Self {
        Self {
            engine: Engine::new(),
            extra_vars,
        }
    }
}

/// Evaluates something with these variables alone.
fn with<T>(
    vars: &Map,
    evaluate: impl FnOnce(&View, &ControllerWorld<'_>) -> Result<T, TemplateError>,
) -> Result<T, String> {
    let view = lone_view([Arc::new(vars.clone())]);
    let world = ControllerWorld {
        view: &view,
        opener: None,
        config: None,
    };
    evaluate(&view, &world).map_err(|error| problem(&error).message)
}

impl Expressions for InventoryExpressions {
    fn extra_vars(&self) -> &Map {
        &self.extra_vars
    }

    fn evaluate(&self, expression: &str, vars: &Map) -> Result<Value, String> {
        with(vars, |view, world| {
            self.engine.eval(expression, view, world)
        })
    }

    fn holds(&self, condition: &Value, vars: &Map) -> Result<bool, String> {
        with(vars, |view, world| {
            self.engine.eval_bool(condition, view, world)
        })
    }

    fn render(&self, value: &Value, vars: &Map) -> Result<Option<Value>, String> {
        let rendered = with(vars, |view, world| {
            self.engine.render_or_omit(value, view, world)
        })?;
        Ok(match rendered {
            Rendered::Value(value) => Some(value),
            Rendered::Omit => None,
        })
    }
}
