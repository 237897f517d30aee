//! An engine without a GPU that behaves like a worker
