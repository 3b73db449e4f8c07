"""Conformance kits: what every channel and every engine must do, as test classes to inherit from."""
