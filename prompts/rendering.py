"""Render the prompt templates."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FunctionLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2 import UndefinedError as MissingValue
from jinja2.sandbox import SandboxedEnvironment

from qwendesk.errors import ConfigError
from qwendesk.prompt_quoting import quoted, quoted_name, template_value

_SUFFIX = ".jinja"


def render(template: str, *, folder: Path | None = None, **values: object) -> str:
    """Return the text of a template.

    Args:
        template: name of the template, such as ``general``.
        folder: folder of the user's templates; one of the same name replaces the built-in one.
        values: variables of the template; None stands for "not known". A string is rendered on one line, a
            ``Block`` unchanged.

    Raises:
        ConfigError: there is no such template, a value is missing, or the user's template is invalid.
    """
    try:
        return _environment(folder).get_template(template + _SUFFIX).render(values).strip()
    except TemplateNotFound as error:
        missing = (error.name or template).removesuffix(_SUFFIX)
        raise ConfigError(f"No prompt is called {missing!r}; there are: {', '.join(built_in())}.") from None
    except MissingValue as error:
        raise ConfigError(f"The prompt {template!r} needs a value that was not given: {error.message}.") from None
    except (TemplateError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The prompt {template!r} cannot be rendered: {error}") from None


def built_in() -> list[str]:
    """Return the names of the built-in templates, without partials, which begin with ``_``."""
    found = (file.name for file in files(__package__).iterdir() if file.name.endswith(_SUFFIX))
    return sorted(name.removesuffix(_SUFFIX) for name in found if not name.startswith("_"))


@lru_cache(maxsize=8)
def _environment(folder: Path | None) -> Environment:
    loaders = [FunctionLoader(_built_in_template)]
    if folder is not None:
        loaders.insert(0, FunctionLoader(lambda name: _user_template(folder, name)))
    environment = SandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=template_value,
    )
    environment.filters |= {"name": quoted_name, "quoted": quoted}
    return environment


def _built_in_template(name: str) -> str | None:
    file = files(__package__) / name
    return file.read_text("utf-8") if _is_file_name(name) and file.is_file() else None


def _user_template(folder: Path, name: str) -> tuple[str, str, Callable[[], bool]] | None:
    """Return source, path and freshness check of a user's template."""
    file = folder / name
    if not _is_file_name(name) or not file.is_file():
        return None
    stamp = file.stat().st_mtime_ns
    return file.read_text("utf-8"), str(file), lambda: file.is_file() and file.stat().st_mtime_ns == stamp


def _is_file_name(name: str) -> bool:
    return Path(name).name == name
