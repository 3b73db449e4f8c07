"""Patterns of what a text only shows: quotations, code and addresses.

No run of a quotation contains its opening sign, so that a search takes linear time.
"""

from __future__ import annotations

QUOTED = (
    r"\"[^\"\n]*\"|“[^“”\n]*”|„[^„“”\n]*[“”]|«[^«»\n]*»|»[^«»\n]*«|「[^「」\n]*」|『[^『』\n]*』|"
    r"‚[^‚‘’\n]*[‘’]|‹[^‹›\n]*›"
)
"""Quotations of all languages."""
SINGLE_QUOTED = r"(?<!\w)['‘][^'‘’\n]*['’](?!\w)"
"""Quotations in signs that are apostrophes too."""
QUOTED_LINE = r"^>[^\n]*$"
"""A quoted line; needs ``re.MULTILINE``."""
CODE = r"```.*?(?:```|\Z)|`[^`\n]*`"
"""Code in Markdown; needs ``re.DOTALL``."""
ADDRESS = r"https?://\S+"
