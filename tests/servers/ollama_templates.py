"""Chat templates in the language of Ollama."""

SCRIPTED = """\
{{- range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}\
{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}\
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}{{ end }}</tool_call>{{ end }}\
{{ end }}{{ if .Tools }}{{ end }}"""
"""For a model that plays a script: texts alone, so that the last message ends the prompt."""

SCRIPTED_BARE = "{{- range .Messages }}{{ .Content }}{{ end }}"
"""The same of a model that its server knows neither tools nor thinking of."""

CHATML = """\
{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 -}}
<|im_start|>{{ .Role }}
{{ .Content }}{{ if or (ne .Role "assistant") (not $last) }}<|im_end|>
{{ end }}{{ if and $last (ne .Role "assistant") }}<|im_start|>assistant
{{ end }}{{ end }}"""
"""Qwen's form without tools."""

CHATML_TOOLS = """\
{{- if or .System .Tools }}<|im_start|>system
{{ .System }}{{ if .Tools }}

# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{{- range .Tools }}
{"type": "function", "function": {{ .Function }}}{{ end }}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>{{ end }}<|im_end|>
{{ end }}
{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 -}}
{{ if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ .Content }}{{ if .ToolCalls }}<tool_call>
{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
{{ end }}</tool_call>{{ end }}{{ if not $last }}<|im_end|>
{{ end }}{{ else if eq .Role "tool" }}<|im_start|>user
<tool_response>
{{ .Content }}
</tool_response><|im_end|>
{{ end }}{{ if and $last (ne .Role "assistant") }}<|im_start|>assistant
{{ end }}{{ end }}"""
"""Qwen's form with tools."""
