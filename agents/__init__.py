"""The LangGraph: state, router, graph, one module for each expert."""
