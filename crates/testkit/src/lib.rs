//! Fixtures for tests against a real control plane
