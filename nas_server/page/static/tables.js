// Tables whose rows are kept while what they show changes, so that focus stays where it is.
// Every text goes in as text: what agents call their jobs is never markup.

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// cells(item, row) gives [label, lines or node, class] for each column. A line is a text, or a
// time of words.js; the first is what matters.
export function show(body, items, keyOf, nameOf, cells) {
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const row = old.get(key) ?? element("tr", undefined, { role: "row" });
    old.delete(key);
    row.dataset.key = key;
    const all = [...cells(item, row), ["", toggle(row, nameOf(item)), "toggle"]];
    all.forEach((cell, column) => fill(row, column, cell));
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  old.forEach((row) => row.remove());
  body.closest("table").hidden = items.length === 0;
}

// Where there is room for little, a row shows little until it is opened.
function toggle(row, name) {
  const made = row.querySelector(".toggle button");
  if (made) return made;
  const button = element("button", "More", { type: "button", "aria-expanded": "false", "aria-label": `More about ${name}` });
  button.addEventListener("click", () => {
    const open = row.classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Less" : "More";
  });
  return button;
}

function fill(row, column, [label, content, kind]) {
  const cell = row.cells[column] ?? row.appendChild(element("td", undefined, { role: "cell" }));
  cell.dataset.label = label;
  cell.className = kind ?? "";
  if (content instanceof Node) {
    if (!cell.firstChild) cell.append(content);
    return;
  }
  const lines = [content].flat().filter((line) => line !== "");
  const said = JSON.stringify(lines);
  if (cell.dataset.said === said) return;
  cell.dataset.said = said;
  cell.replaceChildren(...lines.map(lineOf));
}

function lineOf(line, index) {
  const made = element(index ? "small" : "span");
  for (const part of [line].flat()) {
    if (part.ms !== undefined) made.append(element("time", part.text, { datetime: new Date(part.ms).toISOString(), title: part.title }));
    else if (part.agent !== undefined) made.append(element("a", part.agent, { href: part.href }));
    else made.append(part);
  }
  return made;
}
