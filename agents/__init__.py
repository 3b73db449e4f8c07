"""The LangGraph application: graph, state, nodes, selection of models and tools, checks of answers."""
