"""A run waits for wandb to check its key only if it finds none itself."""

import pytest

from bench.tracking.background import key_in_sight
from tests.tracking.standin.server import KEY

NETRC = f"machine api.wandb.ai\n  login user\n  password {KEY}\n"


@pytest.mark.parametrize(
    ("key", "netrc", "url", "expected"),
    [
        (KEY, "", None, True),
        (f"wandb_v1_{KEY}", "", None, True),
        ("short", NETRC, None, False),  # wandb takes the variable, and will refuse it
        (None, NETRC, None, True),
        ("", NETRC, None, True),
        (None, NETRC, "https://other.invalid", False),
        (None, NETRC.replace("api.wandb.ai", "127.0.0.1:80"), "http://127.0.0.1:80", True),
        (None, "not netrc at all", None, False),
        (None, "", None, False),
        (None, None, None, False),
    ],
)
def test_a_key_is_found_in_its_variable_and_in_netrc(tmp_path, monkeypatch, key, netrc, url, expected):
    for name, value in {"WANDB_API_KEY": key, "WANDB_BASE_URL": url}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if netrc is not None:
        (tmp_path / "netrc").write_text(netrc)
    assert key_in_sight() is expected
