"""What users need who do not see a screen well, or at all: names in the accessibility tree, and contrast."""

import re
from typing import Any

from playwright.sync_api import Page

CONTROLS = {
    *("button", "textbox", "searchbox", "combobox", "listbox", "option", "checkbox", "spinbutton"),
    *("link", "slider", "radio", "switch", "columnheader"),
}
PICTURES = {"image", "img", "progressbar", "table", "region", "grid"}
LEAST_CONTRAST = 4.5
"""WCAG 2.2 AA, of text."""
FAINT = """least => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, under) => [0, 1, 2].map(i => (top[i] * top[3] + under[i] * (255 - top[3])) / 255).concat(255);
  const parents = node => node ? [node, ...parents(node.parentElement)] : [];
  const under = node => parents(node).map(part => rgba(getComputedStyle(part).backgroundColor))
    .reduceRight((below, layer) => over(layer, below), [255, 255, 255, 255]);
  const luminance = colour => colour.slice(0, 3)
    .map(value => value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const faint = [];
  for (const node of document.querySelectorAll('.ga-panel *')) {
    const own = [...node.childNodes].filter(part => part.nodeType === 3).map(part => part.data.trim()).join('');
    const text = own || (node.matches('input:not([type=checkbox]), textarea, select') ? node.value : '');
    if (!text || node.matches(':disabled, option, style') || node.closest('svg')) continue;
    if (!node.checkVisibility({visibilityProperty: true})) continue;
    const below = under(node), ink = rgba(getComputedStyle(node).color);
    ink[3] *= parents(node).reduce((product, part) => product * getComputedStyle(part).opacity, 1);
    const [light, dark] = [luminance(over(ink, below)), luminance(below)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < least) faint.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)} (${node.tagName} ${node.className})`);
  }
  return faint;
}"""
"""Texts in panels that stand out less from what they lie on. Disabled controls are exempt, as in WCAG."""


def check_screen(page: Page) -> set[str]:
    """Every control, picture and head of a column on the screen has a name, and every text its contrast.

    Returns the names.
    """
    nodes = [node for node in accessible(page) if node["role"] in CONTROLS | PICTURES]
    assert [node for node in nodes if not re.search(r"\w", node["name"])] == []
    assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    return {node["name"] for node in nodes}


def accessible(page: Page) -> list[dict[str, Any]]:
    """Chromium's accessibility tree of the panel: role and name of every node that it does not ignore."""
    session = page.context.new_cdp_session(page)
    root = session.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    panel = session.send("DOM.querySelector", {"nodeId": root, "selector": ".ga-panel"})["nodeId"]
    inside = _backend_ids(session.send("DOM.describeNode", {"nodeId": panel, "depth": -1})["node"])
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [
        {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
        for node in nodes
        if not node["ignored"] and node.get("backendDOMNodeId") in inside
    ]


def _backend_ids(node: dict[str, Any]) -> set[int]:
    return {node["backendNodeId"]}.union(*map(_backend_ids, node.get("children", ())))
