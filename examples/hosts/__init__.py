"""Hosts for run loops other than Qt's, each a folder with a program that shows it. See
docs/hosts.md."""
