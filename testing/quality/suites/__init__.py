"""One module for each kind of suite: its questions and the rule that scores an answer."""
