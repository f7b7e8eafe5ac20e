"""Approving the login of an agent in a browser: what is shown, as HTML without a script. Pure."""

from collections.abc import Sequence
from html import escape

from nas_server.logins import Pending, shown_code


def ask_code(said: str = "") -> str:
    """Return the form for a code; ``said`` is what was wrong with the last one."""
    return (
        f'<p class="said" role="alert">{escape(said)}</p>'
        '<form method="get" action="approve" class="login">'
        '<label for="code">The code that hermes shows</label>'
        '<input id="code" name="code" required autofocus autocomplete="off" spellcheck="false" '
        'maxlength="40">'
        '<button type="submit" class="strong">Continue</button></form>'
    )


def ask_decision(code: str, pending: Pending, agents: Sequence[str], now: int) -> str:
    """Return the form that decides on a login."""
    code, client = escape(shown_code(code)), escape(pending.client_id)
    age_s = max(0, now - pending.asked_ms) // 1_000
    options = "".join(f"<option>{escape(name)}</option>" for name in agents)
    disabled = "" if agents else " disabled"
    return (
        f"<p>A program that calls itself <code>{client}</code> asked to log in {age_s} s ago, from "
        f"<code>{escape(pending.address)}</code>, with the code <strong>{code}</strong>. Approve "
        "it only if you see that code where you are logging in.</p>"
        '<form method="post" action="approve" class="login">'
        f'<input type="hidden" name="code" value="{code}">'
        '<label for="agent">Log it in as</label>'
        f'<select id="agent" name="agent"{disabled}>{options}</select>'
        f'<p class="hint">{_hint(agents)}</p>'
        f'<button name="decision" value="approve" class="strong"{disabled}>Approve</button>'
        '<button name="decision" value="deny">Refuse</button></form>'
    )


def _hint(agents: Sequence[str]) -> str:
    if not agents:
        return "There is no agent yet: <code>nas-server agent add NAME --no-token</code> makes one."
    return "The token or login it has is void then; what it has armed stays armed."


def decided(text: str) -> str:
    """Return what a decision has led to."""
    return f'<p role="status">{escape(text)}</p>'
