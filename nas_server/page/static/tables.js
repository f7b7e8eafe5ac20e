// Tables whose rows are kept while what they show changes, so that focus stays where it is.
// Every text goes in as text: what agents call their jobs is never markup.

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// cells(item) gives [label, node or text, detail, class] for each column.
export function show(body, items, keyOf, cells) {
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const row = old.get(key) ?? element("tr", undefined, { role: "row" });
    old.delete(key);
    row.dataset.key = key;
    cells(item, row).forEach((cell, column) => fill(row, column, cell));
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  old.forEach((row) => row.remove());
  body.closest("table").hidden = items.length === 0;
}

function fill(row, column, [label, content, detail, kind]) {
  const cell = row.cells[column] ?? row.appendChild(element("td", undefined, { role: "cell" }));
  if (content instanceof Node) {
    if (!cell.firstChild) cell.append(content);
    cell.className = kind ?? "";
    cell.dataset.label = label;
    return;
  }
  const said = JSON.stringify([content, detail, kind]);
  if (cell.dataset.said === said) return;
  cell.dataset.said = said;
  cell.dataset.label = label;
  cell.className = kind ?? "";
  cell.replaceChildren(element("span", content));
  if (detail) cell.append(element("small", detail));
}
