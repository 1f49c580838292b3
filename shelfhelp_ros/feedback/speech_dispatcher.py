"""The speech-dispatcher voice, over its own protocol (SSIP), so that a person's own voice and settings apply.

Protocol: https://htmlpreview.github.io/?https://github.com/brailcom/speechd/blob/master/doc/ssip.html
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from shelfhelp_ros.feedback.voice import Utterance, VoiceFailure, VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

_CONNECT_SECONDS = 1.0
_REPLY_SECONDS = 2.0

#: Words a minute that speech-dispatcher's rates -100, 0 and 100 stand for in its espeak-ng module (espeak-ng.conf).
_SLOWEST, _NORMAL, _FASTEST = 80, 170, 449

#: What is only a hint yields to other programs' messages; an answer to what the person asked is interrupted by none.
_PRIORITIES = {Urgency.LOW: "TEXT", Urgency.NORMAL: "MESSAGE", Urgency.HIGH: "IMPORTANT", Urgency.STOP: "IMPORTANT"}

_ENDED, _CANCELLED = "702", "703"


class DispatcherVoice:
    """Speaks through a running speech-dispatcher. Raises VoiceFailure when none answers."""

    kind = "speech-dispatcher"

    def __init__(self, settings: VoiceSettings) -> None:
        self._settings = settings
        self._connection = self._connect()

    def begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        if self._connection.out_of_step:
            self._connection.close()
            self._connection = self._connect()
        self._connection.command(f"SET SELF PRIORITY {_PRIORITIES[urgency]}")
        return _Queued(self._connection, self._connection.speak(text))

    def change(self, settings: VoiceSettings) -> None:
        self._settings = settings
        self._connection.out_of_step = True

    def close(self) -> None:
        self._connection.close()

    def _connect(self) -> Connection:
        connection = Connection()
        connection.command("SET SELF CLIENT_NAME user:shelfhelp:guidance")
        connection.command("SET SELF NOTIFICATION ALL ON")
        settings = self._settings
        if settings.language:
            connection.command(f"SET SELF LANGUAGE {settings.language}")
        if settings.voice:
            connection.command(f"SET SELF SYNTHESIS_VOICE {settings.voice}")
        if settings.rate_wpm is not None:
            connection.command(f"SET SELF RATE {dispatcher_rate(settings.rate_wpm)}")
        if settings.volume is not None:
            connection.command(f"SET SELF VOLUME {2 * settings.volume - 100}")
        return connection


class Connection:
    """One SSIP connection. Replies are read by whoever sent the command, events by the utterance that waits."""

    def __init__(self) -> None:
        self._socket = _open_socket()
        self._socket.settimeout(_REPLY_SECONDS)
        self._unread = b""
        self._sending = threading.Lock()
        self.out_of_step = False

    def command(self, line: str) -> list[str]:
        """Send one line; the lines of its reply. Raises VoiceFailure when it is refused or not answered."""
        self.send(line + "\r\n")
        while True:
            reply = self.read_reply(_REPLY_SECONDS)
            if reply is None:
                raise VoiceFailure("speech-dispatcher does not answer")
            if reply[-1].startswith("2"):
                return reply
            if not reply[-1].startswith("7"):
                raise VoiceFailure(f"speech-dispatcher refuses {line!r}: {reply[-1]}")

    def speak(self, text: str) -> str:
        """Queue a text; its message number."""
        self.command("SPEAK")
        lines = ["." + line if line.startswith(".") else line for line in text.splitlines()]
        return self.command("\r\n".join([*lines, "."]))[0][4:]

    def send(self, data: str) -> None:
        try:
            with self._sending:
                self._socket.sendall(data.encode())
        except OSError as error:
            raise VoiceFailure(f"speech-dispatcher is gone ({error})") from error

    def read_reply(self, seconds: float) -> list[str] | None:
        """The lines of the next reply or event; None when none is complete within ``seconds``."""
        deadline = time.monotonic() + seconds
        lines: list[str] = []
        while True:
            end = self._unread.find(b"\r\n")
            if end < 0:
                if not self._receive(deadline - time.monotonic()):
                    self._unread = "".join(line + "\r\n" for line in lines).encode() + self._unread
                    return None
                continue
            line, self._unread = self._unread[:end].decode(errors="replace"), self._unread[end + 2 :]
            lines.append(line)
            if line[3:4] != "-":
                return lines

    def close(self) -> None:
        self._socket.close()

    def _receive(self, seconds: float) -> bool:
        if seconds <= 0:
            return False
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(4096)
        except TimeoutError:
            return False
        except OSError as error:
            raise VoiceFailure(f"speech-dispatcher is gone ({error})") from error
        if not data:
            raise VoiceFailure("speech-dispatcher is gone")
        self._unread += data
        return True


class _Queued:
    """One message in speech-dispatcher's queue."""

    _LISTEN_SECONDS = 0.1

    def __init__(self, connection: Connection, message: str) -> None:
        self._connection = connection
        self._message = message
        self._cut = threading.Event()

    def wait(self) -> bool:
        while not self._cut.is_set():
            event = self._connection.read_reply(self._LISTEN_SECONDS)
            if event is None or event[0][4:] != self._message:
                continue
            if event[-1].startswith((_ENDED, _CANCELLED)):
                return event[-1].startswith(_ENDED)
        return False

    def cut(self) -> None:
        self._cut.set()
        self._connection.out_of_step = True
        self._connection.send("STOP SELF\r\n")


def dispatcher_rate(rate_wpm: int) -> int:
    """speech-dispatcher's rate, -100..100, for words a minute."""
    reach = _NORMAL - _SLOWEST if rate_wpm < _NORMAL else _FASTEST - _NORMAL
    return max(-100, min(100, round(100 * (rate_wpm - _NORMAL) / reach)))


def _open_socket() -> socket.socket:
    """A connection to $SPEECHD_ADDRESS, or to the socket where a running speech-dispatcher listens."""
    method, _, place = os.environ.get("SPEECHD_ADDRESS", "").partition(":")
    try:
        if method == "inet_socket":
            host, _, port = place.partition(":")
            return socket.create_connection((host or "127.0.0.1", int(port or 6560)), _CONNECT_SECONDS)
        return _open_unix_socket(Path(place) if place else _default_path())
    except (OSError, ValueError) as error:
        raise VoiceFailure(f"speech-dispatcher does not run ({error})") from error


def _open_unix_socket(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_CONNECT_SECONDS)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _default_path() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return (Path(runtime) if runtime else Path.home() / ".cache") / "speech-dispatcher" / "speechd.sock"
