"""Simulators, scenarios and conformance kits, for the tests of this project and of plug-ins."""
