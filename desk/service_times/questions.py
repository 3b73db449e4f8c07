"""Whether a text asks something, in any script."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S*[\w/=&#]")
_MARK = re.compile("[?？؟⁇⁈⁉‽¿՞፧⸮꘏꛷\u037e]")
_GREEK_MARK = re.compile(r"[\u0370-\u03ff][^.!\n]*;\s*(?:\n|\Z)")
"""Greek asks with a semicolon, which is written as the ASCII one."""
_ENDINGS = re.compile(
    r"(?:か|かな|の)[\s。」）]*(?:\n|\Z)"  # Japanese
    r"|[吗嗎呢][\s。」）]*(?:\n|\Z)"
    r"|(?:까|나요|가요|는지요)[\s.]*(?:\n|\Z)"
    r"|(?:ไหม|มั้ย|หรือยัง|หรือเปล่า|หรือไม่)(?:ครับ|คะ|ค่ะ)?\s*(?:\n|\Z)"
    r"|(?:ទេ|ឬ)[\s។]*(?:\n|\Z)|ບໍ[່]?\s*(?:\n|\Z)|လား[\s။]*(?:\n|\Z)"
)
"""Ends of questions of the languages that often write no question mark."""


def asks_something(text: str) -> bool:
    """Return whether a text holds a question: a question mark outside addresses, or the ending of a question."""
    plain = _ADDRESS.sub("", text)
    return bool(_MARK.search(plain) or _GREEK_MARK.search(plain) or _ENDINGS.search(plain))
