"""What is not kept about a person."""

import pytest

from qwendesk.memory.people.fact_rules import FactRules, secret_in, tidy
from qwendesk.memory.records import NewFact

SECRETS = [
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "378282246310005",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "sk-proj-abcdEFGH1234567890abcd",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "xoxb-123456789012-abcdefghijkl",
    "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    "-----BEGIN RSA PRIVATE KEY----- MII",
    "postgresql://me:hunter2@db/x",
    "123-45-6789",
    "x9Kq2LmP7vRt4WzB8nYc",
]
FINE = [
    "Ada Lovelace",
    "ada.lovelace@example.org",
    "+49 30 1234567",
    "born on 1990-05-17",
    "https://example.org/people/ada-lovelace/index.html",
    "drives a Volkswagen Golf 2019",
    "order 1234567890123",
    "версия 3.11.4 на Ubuntu-22.04",
    "Donaudampfschifffahrtsgesellschaft",
    "住在北京市海淀区",
    "model Qwen2.5-Coder-0.5B-Instruct",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_recognised(text: str) -> None:
    assert secret_in(f"it is {text} now")


@pytest.mark.parametrize("text", FINE)
def test_ordinary_things_are_no_secrets(text: str) -> None:
    assert secret_in(text) is None


@pytest.mark.parametrize(
    "key",
    ["password", "Wi-Fi Passwort", "contraseña", "mot de passe", "пароль от почты", "密码", "パスワード", "비밀번호"],
)
def test_a_password_is_known_by_its_name(key: str) -> None:
    assert "password" in str(FactRules().refusal(NewFact(key, "sunshine")))


def test_a_password_under_another_name_is_known_by_its_sentence() -> None:
    source = "My password is sunshine. I live in Rome."
    assert FactRules().refusal(NewFact("favourite word", "sunshine"), source) == "it was said of a password or the like"
    assert FactRules().refusal(NewFact("home", "Rome"), source) is None


@pytest.mark.parametrize(
    "fact",
    [
        NewFact("diet", "sugar-free", "health"),
        NewFact("condition", "diabetes"),
        NewFact("состояние", "диабет"),
        NewFact("状况", "糖尿病"),
        NewFact("zustand", "schwanger"),
    ],
)
def test_health_is_kept_only_where_allowed(fact: NewFact) -> None:
    assert FactRules().refusal(fact) == "it is about health, which is not kept here"
    assert FactRules(allow_health=True).refusal(fact) is None


def test_health_is_seen_in_what_was_said() -> None:
    assert FactRules().refusal(NewFact("has", "type 2"), "I have diabetes type 2.")


@pytest.mark.parametrize(
    ("value", "said"),
    [("Berlin", "Ich wohne in BERLIN!"), ("北京", "我住在北京"), ("Ada Lovelace", "I'm Ada, Ada Lovelace")],
)
def test_what_was_said_is_accepted(value: str, said: str) -> None:
    assert FactRules().refusal(NewFact("k", value), said) is None


def test_what_a_model_made_up_is_refused() -> None:
    assert FactRules().refusal(NewFact("home", "Paris"), "I live in Berlin") == "the person did not say so"
    assert FactRules().refusal(NewFact("home", "!!!"), "I live in Berlin!!!") == "the person did not say so"


def test_tidying_keeps_one_short_line() -> None:
    fact = tidy(NewFact(" Home_Town \n", "a\0b\u202e\n" + "x" * 1000, confidence=7))
    assert (fact.key, fact.confidence, len(fact.value)) == ("home town", 1.0, 300)
    assert fact.value.startswith("a\ufffdb x")
    assert tidy(NewFact("k", "v", confidence=float("nan"))).confidence == 0.0
