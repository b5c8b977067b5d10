"""Settings come from the environment, checked."""
import subprocess
import sys
from pathlib import Path

import pytest
from shop.settings import Settings

MONOLITH = Path(__file__).parents[2] / "examples" / "01-monolith"


def test_a_setting_is_read_with_its_type():
    settings = Settings.from_environment({"SHOP_LOGINS_PER_ACCOUNT": "7", "SHOP_BODY_TIMEOUT_S": "0.5", "PATH": "/bin"})

    assert settings.logins_per_account == 7
    assert settings.body_timeout_s == 0.5


def test_an_unknown_setting_is_refused_and_the_known_are_listed():
    with pytest.raises(ValueError, match="There is no setting SHOP_LOGINS. There are: SHOP_DATABASE, SHOP_SEED"):
        Settings.from_environment({"SHOP_LOGINS": "7"})


@pytest.mark.parametrize("value", ["many", "0", "-1", "nan", "inf", ""])
def test_a_number_must_be_a_number_above_zero(value):
    with pytest.raises(ValueError, match="SHOP_BODY_TIMEOUT_S must be a number above zero"):
        Settings.from_environment({"SHOP_BODY_TIMEOUT_S": value})


def test_the_seed_is_made_once(tmp_path):
    environment = {"SHOP_DATABASE": f"sqlite:///{tmp_path / 'shop.db'}", "PYTHONPATH": str(MONOLITH)}
    command = [sys.executable, "-m", "shop", "seed"]

    first, second = (subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2))

    assert first.stdout.startswith("Filled with the small seed in ")
    assert second.stdout == "Left as it is: this database was filled before.\n"


def test_a_database_that_is_none_is_said_in_one_line(tmp_path):
    environment = {"SHOP_DATABASE": "mysql://here", "PYTHONPATH": str(MONOLITH)}

    result = subprocess.run([sys.executable, "-m", "shop", "seed"], env=environment, capture_output=True, text=True)

    assert result.returncode == 1
    assert result.stderr == "shop: A database is sqlite:///file.db or postgresql://user@host/name, not 'mysql://here'.\n"
