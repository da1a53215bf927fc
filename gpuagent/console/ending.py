"""What the page says once its process has ended, of which it hears nothing by itself: its buttons would do nothing."""

import json
from typing import Any

from IPython.display import display

SCRIPT = """
const { baseUrl, kernelId } = JSON.parse(document.getElementById('jupyter-config-data').textContent);
const EVERY_MS = 30000;
const WORDS = {
  ended: 'The process of this page has ended: it was left for long, or the server was started anew. ' +
    'What is shown is old, and no button works. Runs are as they were: load the page again to see them.',
  away: 'The server of this page does not answer. What is shown may be old; it is asked again.',
};
const banner = document.createElement('div');
banner.className = 'ga-ended';
banner.setAttribute('role', 'alert');
const text = document.createElement('span');
const again = document.createElement('button');
again.type = 'button';
again.textContent = 'Load the page again';
again.addEventListener('click', () => location.reload());
const style = document.createElement('style');
style.textContent = STYLE;
document.head.append(style);
document.body.prepend(banner);
let timer = 0;

function say(state) {
  if (banner.dataset.state === state) return;
  banner.dataset.state = state;
  text.textContent = WORDS[state] || '';
  banner.replaceChildren(...(state === 'ended' ? [text, again] : state ? [text] : []));
  for (const panel of document.querySelectorAll('.ga-panel')) panel.inert = state === 'ended';
}

async function look() {
  clearTimeout(timer);
  let answer = null;
  try {
    answer = await fetch(`${baseUrl}api/kernels/${kernelId}`, { cache: 'no-store', redirect: 'manual' });
  } catch {  // no network, or no server
  }
  const answered = answer && answer.status < 500;
  say(answered ? (answer.ok ? '' : 'ended') : 'away');
  if (!answered || answer.ok) timer = setTimeout(look, EVERY_MS);
}

document.addEventListener('visibilitychange', () => document.hidden || look());
window.addEventListener('online', look);
timer = setTimeout(look, EVERY_MS);
"""
"""Asks for the kernel every 30 s, and whenever the page comes back into sight. The asking keeps no kernel alive."""

STYLE = """
.ga-ended:not(:empty) { position: sticky; top: 0; z-index: 9; padding: 10px 16px; background: #8c1d18; color: #fff;
  font: 14px/1.45 system-ui, sans-serif; }
.ga-ended button { font: inherit; font-weight: 600; margin-left: 12px; padding: 4px 12px; border: 0; border-radius: 4px;
  color: #8c1d18; background: #fff; }
.ga-panel[inert] { opacity: 0.5; }
"""


def watch_ending() -> None:
    """Have the page look after its own process."""
    code = f"(() => {{const STYLE = {json.dumps(STYLE)};{SCRIPT}}})();"
    content: dict[str, Any] = {"application/javascript": code, "text/plain": ""}
    display(content, raw=True)  # type: ignore[no-untyped-call]
