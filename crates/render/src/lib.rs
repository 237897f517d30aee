//! Pure validation and rendering: a graph becomes Kubernetes objects
