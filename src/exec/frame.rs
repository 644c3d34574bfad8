//! The keywords around a task: play, blocks, includes, the task itself.

use std::rc::Rc;
use std::sync::Arc;

use crate::model::{Block, Cond, Field, Keywords, StepId, UndoSpec};
use crate::value::Map;

/// One level of keywords with what is outside it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    parent: Option<Rc<Frame>>,
    keywords: Rc<Keywords>,
    kind: Kind,
    vars: Arc<Map>,
    /// The undo of a block, which is in place of those inside.
    undo: Option<Rc<(StepId, UndoSpec)>>,
}

/// What a level is, which decides where its `vars` rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The play: its vars are a layer of their own.
    Play,
    /// A block, a static import, or the task.
    Inner,
    /// A dynamic include or role with parameters: they rank above `set_fact`.
    Include,
}

impl Frame {
    /// The outermost level.
    pub(crate) fn play(keywords: &Keywords) -> Rc<Self> {
        Rc::new(Self {
            parent: None,
            vars: Arc::new(keywords.vars.clone()),
            keywords: Rc::new(keywords.clone()),
            kind: Kind::Play,
            undo: None,
        })
    }

    /// One level further in.
    pub(crate) fn inner(self: &Rc<Self>, keywords: &Keywords) -> Rc<Self> {
        self.level(keywords, Kind::Inner, keywords.vars.clone())
    }

    /// The level of a block.
    pub(crate) fn block(self: &Rc<Self>, block: &Block) -> Rc<Self> {
        let level = self.inner(&block.keywords);
        let Some(undo) = &block.undo else {
            return level;
        };
        Rc::new(Self {
            undo: Some(Rc::new((block.id.clone(), undo.clone()))),
            ..(*level).clone()
        })
    }

    /// The undo of the outermost block that has one, with the block.
    pub(crate) fn undo(&self) -> Option<&(StepId, UndoSpec)> {
        self.levels().filter_map(|f| f.undo.as_deref()).last()
    }

    /// The level of a dynamic include: keywords of its `apply`, and its `vars` as parameters.
    pub(crate) fn include(self: &Rc<Self>, apply: &Keywords, params: Map) -> Rc<Self> {
        self.level(apply, Kind::Include, params)
    }

    fn level(self: &Rc<Self>, keywords: &Keywords, kind: Kind, vars: Map) -> Rc<Self> {
        Rc::new(Self {
            parent: Some(self.clone()),
            vars: Arc::new(vars),
            keywords: Rc::new(keywords.clone()),
            kind,
            undo: None,
        })
    }

    fn levels(&self) -> impl Iterator<Item = &Frame> {
        std::iter::successors(Some(self), |frame| frame.parent.as_deref())
    }

    /// The innermost value of a keyword.
    pub(crate) fn keyword(&self, pick: impl Fn(&Keywords) -> Option<&Field>) -> Option<&Field> {
        self.levels().find_map(|frame| pick(&frame.keywords))
    }

    /// All values of a list keyword, outermost first.
    pub(crate) fn fields(&self, pick: impl Fn(&Keywords) -> &[Field]) -> Vec<&Field> {
        let mut levels: Vec<&Frame> = self.levels().collect();
        levels.reverse();
        levels
            .into_iter()
            .flat_map(|frame| pick(&frame.keywords).iter())
            .collect()
    }

    /// All `when` conditions, outermost first. Those of a dynamic include are not inherited: they
    /// decided about the include itself.
    pub(crate) fn conditions(&self) -> Vec<&Cond> {
        let mut levels: Vec<&Frame> = self.levels().collect();
        levels.reverse();
        levels
            .into_iter()
            .flat_map(|frame| frame.keywords.when.iter())
            .collect()
    }

    /// All tags.
    pub(crate) fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = self
            .levels()
            .flat_map(|frame| frame.keywords.tags.iter().cloned())
            .collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// The `vars` of levels of one kind, outermost first.
    pub(crate) fn vars(&self, kind: Kind) -> Vec<Arc<Map>> {
        let mut layers: Vec<Arc<Map>> = self
            .levels()
            .filter(|f| f.kind == kind)
            .map(|f| f.vars.clone())
            .collect();
        layers.reverse();
        layers
    }
}
