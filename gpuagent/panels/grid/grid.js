// A table that holds nothing but the page that it was sent: what is searched, filtered, sorted or turned is asked for
// by the trait `query`, and comes as the trait `page`. All texts are set as text, never as markup.

const DEBOUNCE_MS = 250;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function render({ model, el }) {
  const columns = model.get('columns');
  const label = model.get('label');
  let active = 0; // the row that Tab reaches
  let turned = ''; // which row has the focus once the page that was asked for comes: 'first', 'last' or ''
  let waiting = 0;

  const alertLine = make('div', { class: 'ga-gone', role: 'alert' });
  const form = make('div', { class: 'ga-filters', role: 'search', 'aria-label': `Filter ${label.toLowerCase()}` });
  const inputs = {};
  for (const field of model.get('filters')) {
    const input = field.options.length
      ? make('select', {}, ...field.options.map(([text, value]) => make('option', { value }, text)))
      : make('input', { type: field.wide ? 'search' : 'text', placeholder: field.hint });
    input.setAttribute('aria-label', field.label);
    inputs[field.name] = input;
    form.append(make('label', { class: field.wide ? 'wide' : null }, make('span', {}, field.label), input));
    input.addEventListener(field.options.length ? 'change' : 'input', () => {
      clearTimeout(waiting);
      waiting = setTimeout(ask, field.options.length ? 0 : DEBOUNCE_MS);
    });
    input.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        event.preventDefault();
        clearTimeout(waiting);
        ask();
      }
    });
  }
  const clear = make('button', { type: 'button', class: 'ga-plain' }, 'Clear filters');
  clear.addEventListener('click', () => {
    for (const input of Object.values(inputs)) input.value = '';
    ask();
  });
  form.append(clear);

  const headings = make('tr', { role: 'row' });
  const body = make('tbody', { role: 'rowgroup' });
  const table = make('table', { role: 'grid', 'aria-label': label },
    make('thead', { role: 'rowgroup' }, headings), body);
  const status = make('span', { role: 'status', class: 'ga-count' });
  const pager = name => make('button', { type: 'button', class: 'ga-plain', 'aria-label': `${label}: ${name}` }, name);
  const newer = pager('Previous page');
  const older = pager('Next page');
  newer.addEventListener('click', () => turn(-1, ''));
  older.addEventListener('click', () => turn(1, ''));
  const root = make('div', { class: 'ga ga-grid' }, alertLine, form,
    make('div', { class: 'ga-scroll' }, table), make('div', { class: 'ga-pager' }, newer, older, status));
  el.append(root);

  for (const column of columns) {
    const cell = make('th', { role: 'columnheader', scope: 'col', class: `${column.name} kind-${column.kind}` });
    if (column.sort) {
      const button = make('button', { type: 'button', class: 'ga-plain' }, column.label,
        make('span', { class: 'ga-arrow', 'aria-hidden': 'true' }));
      button.addEventListener('click', () => sortBy(column.sort));
      cell.append(button);
    } else {
      cell.append(column.label);
    }
    headings.append(cell);
  }

  function ask(changes = {}) {
    const values = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]));
    const { sort, asked = 0 } = model.get('query'); // counted, so that the same may be asked for again
    model.set('query', { sort, page: 0, ...values, ...changes, asked: asked + 1 });
    model.save_changes();
    root.classList.add('ga-busy');
  }

  function turn(step, focus) {
    const page = model.get('page');
    if (step > 0 ? !page.more : page.number === 0) return;
    turned = focus;
    ask({ page: page.number + step });
  }

  function sortBy(name) {
    ask({ sort: model.get('query').sort === name ? `${name}:asc` : name });
  }

  function open(row) {
    model.set('chosen', row.id);
    model.save_changes();
    drawChosen();
  }

  async function copy(id, button) {
    try {
      await navigator.clipboard.writeText(id);
    } catch {  // a page that is not served securely has no clipboard of that kind
      const field = make('textarea', { class: 'ga-hidden' });
      field.value = id;
      root.append(field);
      field.select();
      document.execCommand('copy');
      field.remove();
    }
    button.textContent = 'copied';
    setTimeout(() => { button.textContent = 'copy'; }, 1500);
  }

  const rows = () => [...body.querySelectorAll('tr[data-id]')];

  function activate(index, focus) {
    const all = rows();
    active = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((row, place) => row.setAttribute('tabindex', place === active ? '0' : '-1'));
    if (focus && all[active]) {
      all[active].focus({ preventScroll: true });
      all[active].scrollIntoView({ block: 'nearest' });
    }
  }

  function drawRow(row) {
    const line = make('tr', { role: 'row', 'data-id': row.id });
    for (const column of columns) {
      const title = column.kind === 'cut' ? row[column.name] : null;
      const cell = make('td', { role: 'gridcell', class: `${column.name} kind-${column.kind}`, title });
      if (column.kind === 'id') {
        const name = { class: 'ga-plain', 'aria-label': `copy id ${row.id}` };
        const button = make('button', { type: 'button', tabindex: '-1', ...name }, 'copy');
        button.addEventListener('click', event => {
          event.stopPropagation();
          copy(row.id, button);
        });
        cell.append(make('code', {}, row.id), ' ', button);
      } else if (column.kind === 'pill') {
        const pill = make('span', { class: 'pill' }, row[column.name]);
        pill.style.background = row.colour;
        pill.style.color = row.textColour;
        cell.append(pill);
      } else {
        cell.append(row[column.name]);
      }
      line.append(cell);
    }
    line.addEventListener('click', () => {
      if (String(window.getSelection())) return; // a part of the row is being marked, to be copied
      activate(rows().indexOf(line), true);
      open(row);
    });
    return line;
  }

  function drawChosen() {
    const chosen = model.get('chosen');
    for (const row of rows()) row.setAttribute('aria-selected', String(row.dataset.id === chosen));
  }

  function draw() {
    const page = model.get('page');
    const hadFocus = body.contains(document.activeElement);
    const focused = hadFocus ? document.activeElement.closest('tr')?.dataset.id : '';
        body.replaceChildren(...page.rows.map(drawRow));
    if (!page.rows.length) {
      const whole = { colspan: columns.length, class: 'ga-none' };
      const note = make('td', { role: 'gridcell', ...whole }, page.problem || page.none);
      body.append(make('tr', { role: 'row' }, note));
    }
    root.classList.remove('ga-busy');
    alertLine.textContent = '';
    table.setAttribute('aria-rowcount', page.total < 0 ? -1 : page.total + 1);
    form.hidden = !model.get('filters').length;
    status.textContent = page.problem || page.summary;
    status.classList.toggle('bad', Boolean(page.problem));
    newer.disabled = page.number === 0;
    older.disabled = !page.more;
    clear.disabled = !Object.values(inputs).some(input => input.value);
    const [field, ascending] = page.sort.split(':');
    columns.forEach((column, place) => {
      if (!column.sort) return;
      const sorted = column.sort === field;
      const cell = headings.children[place];
      cell.setAttribute('aria-sort', sorted ? (ascending === 'asc' ? 'ascending' : 'descending') : 'none');
      cell.querySelector('.ga-arrow').textContent = sorted ? (ascending === 'asc' ? ' ▲' : ' ▼') : '';
    });
    drawChosen();
    const all = rows();
    if (turned) {
      activate(turned === 'last' ? all.length - 1 : 0, true);
    } else {
      const place = all.findIndex(row => row.dataset.id === (focused || model.get('chosen')));
      activate(place < 0 ? (hadFocus ? active : 0) : place, hadFocus);
    }
    turned = '';
  }

  body.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches('tr')) return;
    const all = rows();
    const place = all.indexOf(event.target);
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: all.length - 1 };
    if (event.key in moves) activate(moves[event.key], true);
    else if (event.key === 'PageDown') turn(1, 'first');
    else if (event.key === 'PageUp') turn(-1, 'first');
    else if (event.key === 'Enter' || event.key === ' ') open({ id: event.target.dataset.id });
    else return;
    event.preventDefault();
  });
  body.addEventListener('copy', event => {
    const row = document.activeElement?.closest('tr[data-id]');
    if (!row || String(window.getSelection())) return;
    event.clipboardData.setData('text/plain', row.dataset.id);
    event.preventDefault();
  });

  // JupyterLab takes the comm away when the kernel ends; it shows no sign of that beside a widget of this kind.
  function gone() {
    alertLine.textContent = 'The kernel is gone: restart the cell to go on. What is shown may be old.';
    root.classList.remove('ga-busy');
  }
  model.on('comm_live_update', gone);
  model.on('comm:close', gone);
  model.on('change:page', draw);
  model.on('change:chosen', drawChosen);
  for (const [name, input] of Object.entries(inputs)) input.value = model.get('query')[name] || '';
  draw();
  return () => {
    clearTimeout(waiting);
    model.off('comm_live_update', gone);
    model.off('comm:close', gone);
    model.off('change:page', draw);
    model.off('change:chosen', drawChosen);
  };
}

export default { render };
