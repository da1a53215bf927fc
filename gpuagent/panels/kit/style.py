"""The panels' style sheet, on the notebook's own theme, light or dark; readable without one and in print."""

from gpuagent.panels.kit.html import Html

_SHEET = """
.ga { --ga-line: var(--jp-border-color2, #d0d0d0); --ga-faint: var(--jp-ui-font-color2, #616161);
  --ga-bad: color-mix(in srgb, var(--jp-error-color1, #c62828) 72%, var(--jp-ui-font-color1, #1a1a1a));
  --ga-soft: var(--jp-layout-color2, #f3f3f3);
  color: var(--jp-ui-font-color1, #1a1a1a); font: 13px/1.45 var(--jp-ui-font-family, system-ui, sans-serif);
  overflow-wrap: anywhere; padding: 0 1px; }
.ga h2 { font-size: 17px; font-weight: 600; margin: 2px 0; }
.ga h3 { font-size: 13px; font-weight: 600; margin: 14px 0 4px; }
.ga p { margin: 2px 0; }
.ga table, .jp-RenderedHTMLCommon .ga table { border-collapse: collapse; width: 100%; font-size: 12.5px; margin: 0;
  table-layout: auto; }
.ga th, .ga td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--ga-line);
  vertical-align: top; white-space: normal; }
.ga tr, .ga tbody tr:nth-child(odd) { background: none; }
.ga th { color: var(--ga-faint); font-weight: 500; white-space: nowrap; }
.ga td.num, .ga .num { font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
.ga code, .ga .mono { font: 12px/1.5 var(--jp-code-font-family, monospace); background: none; padding: 0; }
.ga .faint { color: var(--ga-faint); }
.ga .bad { color: var(--ga-bad); }
.ga .good { color: color-mix(in srgb, var(--jp-success-color1, #2e7d32) 72%, var(--jp-ui-font-color1, #1a1a1a)); }
.ga .whole { white-space: nowrap; overflow-wrap: normal; }
.ga .dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 6px;
  box-shadow: 0 0 0 1px var(--ga-line); }
.ga .vendor { white-space: nowrap; overflow-wrap: normal; }
.ga .pill { display: inline-block; padding: 0 8px; border-radius: 9px; font-size: 11.5px; font-weight: 600;
  line-height: 18px; white-space: nowrap; }
.ga .bar { display: flex; height: 14px; border-radius: 4px; overflow: hidden; background: #d9d9d9;
  border: 1px solid var(--ga-line); }
.ga .bar > span { display: block; height: 100%; }
.ga .legend { display: flex; flex-wrap: wrap; gap: 2px 18px; margin-top: 4px; }
.ga .swatch { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px;
  border: 1px solid var(--ga-line); vertical-align: -1px; }
.ga .meter { display: flex; align-items: center; gap: 8px; min-width: 120px; }
.ga .meter .bar { flex: 1; height: 9px; }
.ga .head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: 2px 16px; }
.ga .log { max-height: 300px; overflow-y: auto; border: 1px solid var(--ga-line); border-radius: 4px;
  padding: 6px 10px; }
.ga .log p { display: flex; gap: 10px; margin: 0; font: 12px/1.6 var(--jp-code-font-family, monospace); }
.ga .log time { color: var(--ga-faint); white-space: nowrap; overflow-wrap: normal; }
.ga .log .kind { flex: 0 0 68px; font-weight: 600;
  color: color-mix(in srgb, var(--ga-kind) 60%, var(--jp-ui-font-color1, #1a1a1a)); }
.ga .note { border-left: 3px solid var(--ga-line); background: var(--ga-soft); padding: 5px 10px; margin: 4px 0; }
.ga .note.bad { border-color: var(--jp-error-color1, #c62828); color: inherit;
  background: color-mix(in srgb, var(--jp-error-color1, #c62828) 12%, transparent); }
.ga .note.ask { border-color: #e69f00; }
.ga svg { display: block; width: 100%; max-width: 1118px; height: auto; }
.ga svg text { fill: currentColor; font-family: var(--jp-ui-font-family, system-ui, sans-serif); }
.ga svg.chart { max-width: 760px; }
.ga svg.sample { display: inline-block; width: 26px; height: 10px; margin-right: 6px; }
.ga svg.narrow { display: none; }
.ga .wide { overflow-x: auto; }
@media (max-width: 600px) {
  .ga .wide > table:not(.stacks) { min-width: 320px; }
  .ga .stacks thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .ga .stacks tr { display: block; padding: 4px 0; border-bottom: 1px solid var(--ga-line); }
  .ga .stacks td { display: grid; grid-template-columns: 84px minmax(0, 1fr); gap: 0 8px; border: 0; padding: 1px 0; }
  .ga .stacks td::before { content: attr(data-head) / ""; color: var(--ga-faint); }
  .ga .stacks td:empty, .ga .stacks td:has(> :empty:only-child) { display: none; }
  .ga svg.chart text { font-size: 17px; }
  .ga svg.phases { display: none; }
  .ga svg.narrow { display: block; max-width: 400px; }
  .ga-panel .jupyter-button { min-height: 36px; }
  .ga-panel .widget-text, .ga-panel .widget-textarea, .ga-panel .widget-dropdown, .ga-panel .widget-checkbox {
    width: 100% !important; margin: 2px 0; }
  .ga-panel .widget-text, .ga-panel .widget-textarea, .ga-panel .widget-dropdown { flex-wrap: wrap;
    height: auto !important; }
  .ga-panel .widget-text:has(> [type=number]) { width: 120px !important; }
  .ga-panel .widget-textarea > textarea { height: 96px; }
  .ga-panel .widget-inline-hbox > .widget-label { width: 100% !important; max-width: none; text-align: left;
    height: auto; }
  .ga-panel .widget-inline-hbox > input:not([type=checkbox]), .ga-panel .widget-inline-hbox > select,
  .ga-panel .widget-inline-hbox > textarea { flex: 1 1 100%; min-width: 0; width: 100%; margin: 0; }
  .ga-panel .widget-dropdown > select { height: 32px; }
}
.ga .tries { flex-direction: column; }
.ga h4 { font-size: 12.5px; font-weight: 600; margin: 10px 0 2px; }
.ga details.record { margin: 6px 0; }
.ga details.record summary { cursor: pointer; }
.ga details.record pre { max-height: 320px; overflow: auto; background: var(--ga-soft); padding: 6px 10px;
  margin: 4px 0; font: 12px/1.5 var(--jp-code-font-family, monospace); white-space: pre-wrap; color: inherit; }
.ga .wide { overflow-x: auto; }
.ga .sides { display: flex; flex-wrap: wrap; gap: 0 28px; }
.ga .side { flex: 1 1 420px; min-width: 0; }
.ga .entry { margin: 3px 0; }
.ga .entry time { color: var(--ga-faint); font-variant-numeric: tabular-nums; }
.ga a { color: var(--jp-content-link-color, #0b57a4); }
.ga-panel .widget-html-content { line-height: 1.45; height: auto; min-width: 0; }
.ga-panel .widget-html { height: auto; min-height: 0; margin: 0; }
.ga-panel .jupyter-button { width: auto; min-width: 74px; padding: 0 14px; border-radius: 4px; }
.ga-panel .ga-card { border: 1px solid var(--jp-border-color2, #d0d0d0); border-radius: 6px; padding: 10px 14px; }
.ga-panel .widget-text, .ga-panel .widget-dropdown { max-width: 100%; }
.ga-panel .widget-dropdown > select { appearance: auto; background-image: none; }
.ga-panel .ga-choice, .ga-panel .ga-choice label { height: auto; line-height: 1.5; white-space: normal; }
.ga-panel input, .ga-panel select { font-family: var(--jp-ui-font-family, system-ui, sans-serif); }
.ga-panel .jupyter-button.mod-success, .ga-panel .jupyter-button.mod-warning { color: #111; }
.ga-panel .jupyter-button.mod-active { box-shadow: none; font-weight: 600;
  background: var(--jp-layout-color3, #bdbdbd); }
.ga-panel .jupyter-button:hover:enabled, .ga-panel .jupyter-button:focus { box-shadow: none; }
.ga-panel .jupyter-button:focus-visible, .ga-panel input:focus-visible,
.ga-panel textarea:focus-visible, .ga-panel select:focus-visible, .ga-panel .ga [tabindex]:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 1px; }
@media print { .ga .log { max-height: none; } }
"""


def sheet() -> Html:
    """The style element, once in every picture of a panel."""
    return Html(f"<style>{_SHEET}</style>")
