"""What operators work with: lists of tickets, their live feed, views, macros, drafts, changes of several tickets."""
