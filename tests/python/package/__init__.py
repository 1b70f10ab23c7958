"""The package as it is installed: what it holds, says of itself, and relies on."""
