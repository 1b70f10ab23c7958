"""Rust futures on a Python loop."""
