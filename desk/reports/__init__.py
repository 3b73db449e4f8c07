"""What is learned from tickets: customers' ratings, reports, drafts for the knowledge base, and exports."""
