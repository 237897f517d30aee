//! The tree of a report: nodes, their status, and what a parent takes from its children (`tools.md` section 2.2).
//! No reading of the machine, no layout.

use serde::Serialize;

/// How a fact is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    Error,
    #[serde(rename = "warn")]
    Warning,
    Info,
    Unknown,
    #[default]
    None,
}

impl Status {
    pub fn symbol(self) -> Option<&'static str> {
        match self {
            Self::Ok => Some("✅"),
            Self::Error => Some("❌"),
            Self::Warning => Some("⚠️"),
            Self::Unknown => Some("❓"),
            Self::Info | Self::None => None,
        }
    }

    /// How bad it is; only errors and warnings pass from a child to its parent.
    fn weight(self) -> u8 {
        match self {
            Self::Error => 2,
            Self::Warning => 1,
            _ => 0,
        }
    }

    pub fn worse(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }
}

/// One fact with the facts below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub label: String,
    pub desc: Option<String>,
    pub status: Status,
    /// In the order in which they are printed.
    pub meta: Vec<(String, String)>,
    pub children: Vec<Node>,
}

impl Node {
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    pub fn of(label: impl Into<String>, desc: impl Into<String>) -> Self {
        Self::new(label).desc(desc)
    }

    pub fn desc(mut self, desc: impl Into<String>) -> Self {
        self.desc = Some(desc.into());
        self
    }

    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    pub fn ok(self) -> Self {
        self.status(Status::Ok)
    }

    pub fn error(self) -> Self {
        self.status(Status::Error)
    }

    pub fn warning(self) -> Self {
        self.status(Status::Warning)
    }

    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.push((key.into(), value.into()));
        self
    }

    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The tree in which every parent is at least as bad as its worst child, so that no mode hides a fault.
    pub fn settled(mut self) -> Self {
        self.children = self.children.into_iter().map(Self::settled).collect();
        self.status = self.children.iter().fold(self.status, |status, child| status.worse(child.status));
        self
    }

    /// The tree in which errors are warnings, for places that need not be complete.
    pub fn downgraded(mut self) -> Self {
        if self.status == Status::Error {
            self.status = Status::Warning;
        }
        self.children = self.children.into_iter().map(Self::downgraded).collect();
        self
    }

    pub fn has_error(&self) -> bool {
        self.status == Status::Error || self.children.iter().any(Self::has_error)
    }

    /// The first node of that label, at any depth.
    pub fn find(&self, label: &str) -> Option<&Self> {
        if self.label == label {
            Some(self)
        } else {
            self.children.iter().find_map(|child| child.find(label))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_as_bad_as_its_worst_child() {
        let tree = |leaf: Status| {
            Node::new("a").ok().child(Node::new("b").child(Node::new("c").status(leaf))).settled().status
        };
        assert_eq!(tree(Status::Error), Status::Error);
        assert_eq!(tree(Status::Warning), Status::Warning);
        assert_eq!(tree(Status::Unknown), Status::Ok);
        let mixed = Node::new("a").error().child(Node::new("b").warning()).settled();
        assert_eq!(mixed.status, Status::Error);
    }
}
