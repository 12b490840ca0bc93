"""The address of a server: checked, and written so that one server has one name and no password is shown."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

OPENAI_URL = "https://api.openai.com/v1"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServerAddress:
    """Where questions go.

    Args:
        url: as requests use it, credentials included.
        name: scheme, host, port and path only; the same for all spellings of one server, and ``"openai"`` for
            OpenAI's own.
        secrets: user name and password of the address.
    """

    url: str = field(repr=False)
    name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own server."""
        return self.name == "openai"


def server_address(base_url: str) -> ServerAddress:
    """Read ``http(s)://host[:port]/path``, with or without a slash or the path of chat completions at its
    end.

    Raises:
        ValueError: if it is no such address, or carries a query or a fragment. The message holds no
            credentials.
    """
    text = base_url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("base_url is no address: its host or port cannot be read") from None
    if parts.scheme not in _PORTS or not parts.hostname or not text.isprintable() or " " in text:
        raise ValueError(
            "base_url must look like http://host:8000/v1: it has no http:// or https://, no host, or a blank "
            "or control character"
        )
    if parts.query or parts.fragment:
        raise ValueError(
            f"base_url must end with its path, got {shown_url(text)} and a query or fragment after it; give "
            "a key as the API key"
        )
    host = _host(parts.hostname)
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    name = f"{parts.scheme}://{place}{path}"
    url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    secrets = tuple(
        form
        for part in (parts.username, parts.password)
        if part
        for form in dict.fromkeys((part, unquote(part)))
    )
    return ServerAddress(url, "openai" if name == OPENAI_URL else name, secrets)


def shown_url(url: str) -> str:
    """Scheme, host, port and path of an address; what may be secret is left out."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        place = f"{place}:{parts.port}" if parts.port else place
    except ValueError:
        return "an address that cannot be read"
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def _host(host: str) -> str:
    host = host.lower().rstrip(".")
    try:
        number = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "localhost" if host == "localhost" or host.endswith(".localhost") else host
    if number.is_loopback or number.is_unspecified:
        return "localhost"
    return f"[{number}]" if number.version == 6 else str(number)


def checked_key(key: str, origin: str) -> str:
    """Return an API key as it can be sent in a header: blanks and line ends around it are taken off.

    Raises:
        ValueError: if it has characters that no header can carry, or stands in quotes. The message names the
            place and never the key.
    """
    bare = key.strip(" \t\r\n")
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'`":
        raise ValueError(f"{origin}: the API key stands in quotation marks; leave them out")
    for place, character in enumerate(bare, 1):
        if not "!" <= character <= "~":
            kind = "a blank or control character" if character.isascii() else "a character that is not ASCII"
            raise ValueError(
                f"{origin}: the API key has {kind} as number {place} of {len(bare)}; was it copied whole, "
                "and without typographic quotes?"
            )
    return bare
