"""``qwendesk chat``."""

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Message = Annotated[str | None, typer.Option("-m", "--message", help="Answer one message and leave.")]
Image = Annotated[list[str] | None, typer.Option("--image", help="A picture to send with it; may be repeated.")]
Audio = Annotated[list[str] | None, typer.Option("--audio", help="A recording to send with it; may be repeated.")]
Document = Annotated[
    list[str] | None,
    typer.Option("--file", help="A document (PDF, DOCX, XLSX, CSV, HTML, text) to ask about; may be repeated."),
]
RoleName = Annotated[str | None, typer.Option("--role", help="Ask general, coder, math, vision, thinking or audio.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Ask this model: NAME, ENGINE:NAME, a .gguf file, or qwen-coder and the like for a role."
    ),
]
Think = Annotated[bool | None, typer.Option("--think/--no-think", help="Think before answering (models that can).")]
Conversation = Annotated[str | None, typer.Option("-c", "--conversation", help="Go on with this conversation.")]
Resume = Annotated[bool, typer.Option("--continue", help="Go on with the newest conversation.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="llamacpp, transformers, ollama, scripted or a server such as vllm.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object with text and receipt.")]


@app.command()
def chat(
    message: Message = None,
    image: Image = None,
    audio: Audio = None,
    file: Document = None,
    role: RoleName = None,
    model: Model = None,
    think: Think = None,
    conversation: Conversation = None,
    resume: Resume = False,
    engine: EngineName = None,
    as_json: AsJson = False,
) -> None:
    """Talk with Qwen here in the terminal; the first run fetches a small model by itself.

    Text may also be piped in: echo "What is 2+2?" | qwendesk chat
    """
    from qwendesk.cli.run import run_command
    from qwendesk.cli.talk import Wishes, talk

    files = tuple(image or ()), tuple(audio or ()), tuple(file or ())
    wishes = Wishes(message, *files, role, model, think, conversation, resume, engine, as_json)
    run_command(talk(wishes))
