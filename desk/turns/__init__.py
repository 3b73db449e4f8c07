"""One turn: attachments, context, graph, receipt, background work."""
