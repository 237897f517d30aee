//! The controllers of the platform and the process around them
