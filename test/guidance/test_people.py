"""The file of a person: kept whole, and a damaged one is put aside and said to be."""

from __future__ import annotations

import json
import os

import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.gains import Gains
from shelfhelp_ros.guidance.people import load_gains, people_folder, save_gains

KNOWN = Gains.prior().after("x", 0.2, 0.3, 0.2).after("z", 0.3, 0.2, 0.2)


def test_what_was_learnt_comes_back(tmp_path):
    """To the last digit; a person who is new begins with the prior."""
    assert load_gains("mia", tmp_path) == Gains.prior()
    save_gains("mia", KNOWN, tmp_path / "deep")
    assert load_gains("mia", tmp_path / "deep") == KNOWN
    assert load_gains("noa", tmp_path / "deep") == Gains.prior()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"version": 2}', '{"version": 1, "mean": [0, 0], "covariance": [], "n": 1}',
        json.dumps({"version": 1, "mean": [0, 0, 9], "covariance": KNOWN.covariance, "n": 1}),
        json.dumps({"version": 1, "mean": [0, 0, 0], "covariance": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]], "n": 1}),
        json.dumps({"version": 1, "mean": [0, 0, float("nan")], "covariance": KNOWN.covariance, "n": 1}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_put_aside_and_said_to_be(tmp_path, caplog, text):
    """One warning with the file and what follows; the next time all is well."""
    (tmp_path / "mia.json").write_text(text)
    assert load_gains("mia", tmp_path) == Gains.prior()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "mia.json" in caplog.text
    assert "learnt anew" in caplog.text
    assert (tmp_path / "mia.damaged").read_text() == text
    assert load_gains("mia", tmp_path) == Gains.prior()
    assert len(caplog.records) == 1


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch):
    """The file is replaced as a whole or not at all."""
    save_gains("mia", KNOWN, tmp_path)
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ShelfHelpError, match=r"mia\.json cannot be written \(No space"):
        save_gains("mia", Gains.prior(), tmp_path)
    assert load_gains("mia", tmp_path) == KNOWN


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "people").write_text("")
    with pytest.raises(ShelfHelpError, match="cannot be written"):
        save_gains("mia", KNOWN, tmp_path / "people")


def test_the_folder_is_in_the_users_data(monkeypatch, tmp_path):
    """Beside the catalogue."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert people_folder() == tmp_path / "shelfhelp" / "people"
