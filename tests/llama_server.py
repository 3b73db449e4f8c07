"""llama.cpp's own OpenAI-compatible server on a free loopback port, as somebody else would run it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qwendesk.engines.cpu_threads import use_passive_waiting

TEMPLATE = """{%- if tools %}{{- "# Tools\\n<tools>" }}{%- for tool in tools %}{{- "\\n" + (tool | tojson) }}{%- endfor %}{{- "\\n</tools>\\n" }}{%- endif %}
{%- for m in messages %}
{%- if m.role == 'assistant' %}
{%- if m.reasoning_content %}{{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}{{- m.content or '' }}
{%- for call in m.tool_calls or [] %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}
{%- else %}{{- m.content }}{%- endif %}
{%- endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '' }}{%- endif %}"""  # noqa: E501
"""A template with thinking and tools, by which the server knows how to read an answer of the scripted model."""


@contextmanager
def llama_server(
    file: Path,
    *,
    name: str,
    context: int = 512,
    threads: int = 1,
    template: str | None = None,
    projector: Path | None = None,
) -> Iterator[str]:
    """Serve a GGUF file; yield the address."""
    use_passive_waiting()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.model_alias = {name}
    params.n_ctx = context
    # prompts with pictures fail beside others in one window
    params.n_parallel, params.kv_unified = (1, False) if projector else (4, True)
    if projector:
        params.mmproj.path = str(projector)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.ui = params.warmup = False
    params.verbosity = -1
    if template:
        params.chat_template = template
    server = xllamacpp.Server(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server
