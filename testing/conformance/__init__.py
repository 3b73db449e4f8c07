"""Conformance kits: test classes that the tests of each channel and each engine inherit."""
