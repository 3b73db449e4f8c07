"""An HTML mail as the text that a person sees."""

from __future__ import annotations

import pytest

from qwendesk.channels.mail.html import render_html
from qwendesk.channels.mail.quotes import strip_quotes


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>3 €</td></tr></table>",
            "Item | Price\nTea | 3 €",
        ),
        ("<table><tr><td>a</td><td></td><td>c</td></tr></table>", "a |  | c"),
        ("<table><tr><td><table><tr><td>a<br>b</td></tr></table></td><td>c</td></tr></table>", "a\nb\nc"),
        ("<table><tr><td width=20>&nbsp;</td><td>Hello</td></tr></table>", "Hello"),
        ("<div>one</div><div>two</div>three", "one\ntwo\nthree"),
        ("<div>one</div><div><br></div><div>two</div>", "one\n\ntwo"),
        ("<p>one<p>two", "one\n\ntwo"),
        ("w<b>or</b>d", "word"),
        ("<dl><dt>Size</dt><dd>L</dd></dl>", "Size\nL"),
        ("<span style='display:block'>one</span><span style='display:block'>two</span>", "one\ntwo"),
        ("a\n  b\t c&nbsp;d", "a b c d"),
        ("<pre>\ndef f(x):\n    if x:\n\n        return 1\n</pre>", "def f(x):\n    if x:\n\n        return 1"),
        ("<div style='white-space: pre-wrap'>a\n  b</div>", "a\n  b"),
        ("<p>Run</p><pre>a  b</pre><p>now</p>", "Run\n\na  b\n\nnow"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>", "- a\n- b\n  - c"),
        ("<ol><li>a</li><li>b</li></ol><ol start=7><li>c</li></ol>", "1. a\n2. b\n\n7. c"),
        ("<ol><li><p>a</p><p>b</p></li></ol>", "1. a\n\n   b"),
        ("see <a href='https://x.example/y'>this page</a>", "see this page (https://x.example/y)"),
        ("<a href='https://x.example/y'>https://x.example/y</a>", "https://x.example/y"),
        ("<a href='https://x.example/'>x.example</a>", "x.example"),
        ("<a href='https://x.example/y'>a</a> <a href='https://x.example/y'>b</a>", "a (https://x.example/y) b"),
        ("<a href='mailto:a@x.example?subject=z'>write</a>", "write (a@x.example)"),
        ("<a href='javascript:alert(1)'>a</a><a href='#b'>b</a>", "ab"),
        ("<a href='https://x.example'><img src=y></a>end", "end"),
        ("a <img src=x alt='The broken cup'> b", "a The broken cup b"),
        ("fine<img alt='👍' src=x>", "fine👍"),
        ("10<sup>2</sup> m<sup>2</sup>", "10^2 m^2"),
        ("<s>30</s> 20 €", "~~30~~ 20 €"),
        ("<q>yes</q>", "“yes”"),
        ("<blockquote style='margin:0 0 0 40px;border:none;padding:0px'>mine</blockquote>", "mine"),
        ("<p>a</p><blockquote type=cite>old<br>er</blockquote><p>b</p>", "a\n\n> old\n> er\n\nb"),
        ("Bye<br>-- <br>Anna", "Bye\n-- \nAnna"),
        ("Bye<div class=gmail_signature>Anna, Acme</div>", "Bye"),
        ("a<!--[if mso]>outlook<![endif]--><!--[if !mso]><!-->seen<!--<![endif]-->", "aseen"),
        ("<![if !mso]>seen<![endif]>", "seen"),
        ("&lt;b&gt; &amp; &#8364;", "<b> & €"),
        ("", ""),
    ],
)
def test_a_page_becomes_the_text_that_is_seen(html: str, text: str) -> None:
    assert render_html(html) == text


def test_of_quotes_nothing_is_read() -> None:
    page = "<p>a</p>Anna wrote on 2026-05-01 10:00:<blockquote>old<p>er</p></blockquote>b"
    assert render_html(page) == "a\n\nAnna wrote on 2026-05-01 10:00:\n\n> old\n>\n> er\n\nb"
    assert strip_quotes(render_html(page)) == "a\n\nb"
