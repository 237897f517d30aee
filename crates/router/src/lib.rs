//! Choice of a worker for a request
